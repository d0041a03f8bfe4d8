//! Zones over real connections: what comes into view and leaves it, what stays hidden, and what waits when
//! not everything can be sent.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{snapshot::Snapshot, wire};
use driftless_server::{Server, config::Config};
use driftless_sim::{GameKind, PlayerId, PlayerInput, Rng, Schema, Setup, Simulation, Step, View, ZoneId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use util::{
    Player, TestServer, Wire, config, join,
    quic::{Kind, Link},
    until,
};

/// Length of a cell.
const CELL: i32 = 1_000;
/// Number of cells: zones 1 to `CELLS`.
const CELLS: i32 = 10;
/// The zone of a player's card is this plus the player's number.
const CARDS: ZoneId = 100;
/// Kinds of entity.
const WALKERS: usize = 0;
const HELD: usize = 1;
const THINGS: usize = 2;

/// Where a player goes.
#[derive(Clone, PartialEq, prost::Message)]
struct Go {
    #[prost(sint32, tag = "1")]
    x: i32,
}

/// A row of cells with `CROWD` things in each, which do not rest if there are many. A player sees its own
/// cell and those next to it, goes on seeing those next to these, and sees its own card.
#[derive(Serialize, Deserialize)]
struct Row<const CROWD: u32> {
    players: BTreeMap<PlayerId, i32>,
    things: Vec<i32>,
    rng: Rng,
}

fn zone(x: i32) -> ZoneId {
    1 + (x / CELL).clamp(0, CELLS - 1) as ZoneId
}

impl<const CROWD: u32> Simulation for Row<CROWD> {
    const KIND: &'static str = if CROWD == 1 { "row" } else { "crowd" };
    type Input = Go;
    type Command = ();
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Schema::new()
            .kind("walker", |kind| kind.linear("place", &["x"], 100))
            .kind("card", |kind| kind.hold("face", &["value"], 1))
            .kind("thing", |kind| kind.hold("place", &["x"], 1))
    }
    fn new(_: &Setup) -> Result<Self, String> {
        let things = (0..CELLS).flat_map(|cell| (0..CROWD).map(move |_| cell * CELL)).collect();
        Ok(Self { players: BTreeMap::new(), things, rng: Rng::new(7) })
    }
    fn join(&mut self, player: PlayerId, _: &str, _: &mut Step<'_, ()>) {
        self.players.insert(player, CELL / 2);
    }
    fn leave(&mut self, player: PlayerId, _: &mut Step<'_, ()>) {
        self.players.remove(&player);
    }
    fn step(&mut self, inputs: &[PlayerInput<Go>], _: &mut Step<'_, ()>) {
        for PlayerInput { player, input, .. } in inputs {
            self.players.insert(*player, input.x);
        }
        if CROWD > 1 {
            for x in &mut self.things {
                *x = *x / CELL * CELL + self.rng.range(0..CELL);
            }
        }
    }
    fn snapshot(&self, out: &mut Snapshot) {
        for (&player, &x) in &self.players {
            out.zone(zone(x)).table_mut(WALKERS).push(player, &[x]);
            out.zone(CARDS + player).table_mut(HELD).push(player, &[7_000 + player as i32]);
        }
        for (id, &x) in (1..).zip(&self.things) {
            out.zone(zone(x)).table_mut(THINGS).push(id, &[x]);
        }
    }
    fn view(&self, player: PlayerId, view: &mut View<'_>) {
        let Some(&x) = self.players.get(&player) else { return };
        let own = zone(x);
        for seen in own.saturating_sub(2).max(1)..=own + 2 {
            let far = seen.abs_diff(own);
            if far < 2 || view.had(seen) {
                view.see_with(seen, if far == 0 { 240 } else { 30 });
            }
        }
        view.see(CARDS + player);
    }
}

fn server(config: Config) -> TestServer {
    TestServer::of(Server::new(&[GameKind::of::<Row<1>>(), GameKind::of::<Row<40>>()]), config)
}

fn joining(kind: &str) -> wire::Join {
    wire::Join { kind: kind.into(), ..join("lobby") }
}

fn walker(server: &TestServer) -> Player {
    Player::join_as(server.address(), joining("row"))
}

fn over_quic(server: &TestServer) -> Player<Link> {
    Player::join_over_as(Kind::Quic, server.quic(), joining("row"))
}

/// The cells that a player has.
fn cells<W: Wire>(player: &Player<W>) -> Vec<ZoneId> {
    player.session.zones().map(|(zone, ..)| zone).filter(|zone| *zone < CARDS).collect()
}

fn place(state: &Snapshot, player: PlayerId) -> Option<i32> {
    state.tables()[WALKERS].value(player, 0)
}

/// Goes there, and waits until it is there.
fn go<W: Wire>(player: &mut Player<W>, x: i32) {
    let number = player.number();
    player.input(&Go { x });
    player.wait_state("it is there", |state| (place(state, number) == Some(x)).then_some(()));
}

fn cards(state: &Snapshot) -> Vec<u32> {
    state.tables()[HELD].ids().to_vec()
}

/// One goes away and comes back, and the other sees it while it is near.
fn comes_and_goes<W: Wire, V: Wire>(mut watcher: Player<W>, mut other: Player<V>) {
    let number = other.number();
    watcher.wait_state("the other is seen", |state| place(state, number));
    go(&mut other, 1_700);
    watcher.wait_state("it is in the next cell", |state| (place(state, number) == Some(1_700)).then_some(()));
    assert_eq!(cells(&watcher), [1, 2]);
    go(&mut other, 5_500);
    watcher.wait_state("it has gone", |state| place(state, number).is_none().then_some(()));
    assert_eq!(cells(&other), [5, 6, 7]);
    other.wait_state("it sees only itself", |state| (state.tables()[WALKERS].len() == 1).then_some(()));
    assert_eq!(cells(&watcher), [1, 2], "the cells of the other are none of its business");
    go(&mut other, 300);
    watcher.wait_state("it is back", |state| (place(state, number) == Some(300)).then_some(()));
}

#[test]
fn who_comes_near_is_seen_and_who_goes_away_is_not() {
    let server = server(config());
    comes_and_goes(walker(&server), walker(&server));
}

#[test]
fn over_quic_who_comes_near_is_seen_and_who_goes_away_is_not() {
    let server = server(config());
    comes_and_goes(over_quic(&server), over_quic(&server));
    comes_and_goes(over_quic(&server), walker(&server));
}

#[test]
fn an_entity_that_changes_zone_is_there_all_the_time() {
    let server = server(Config { tick_rate: 60, ..config() });
    let (mut watcher, mut other) = (over_quic(&server), walker(&server));
    let number = other.number();
    watcher.wait_state("the other is seen", |state| place(state, number));
    for x in (CELL / 2..2 * CELL).step_by(100).chain((0..2 * CELL).rev().step_by(100)) {
        other.input(&Go { x });
        watcher.wait_state("it is there", |state| {
            let at = place(state, number).expect("it is in one of the two cells in view");
            let rows = state.tables()[WALKERS].ids().iter().filter(|id| **id == number).count();
            assert_eq!(rows, 1);
            (at == x).then_some(())
        });
    }
}

// Promise 8: "A client MUST NOT receive a byte of what its player may not see."
#[test]
fn a_card_is_seen_only_by_who_holds_it() {
    let server = server(config());
    let mut players = [walker(&server), walker(&server), walker(&server)];
    for player in &mut players {
        let number = player.number();
        for _ in 0..20 {
            player.next_tick();
            let state = player.session.snapshot().unwrap();
            assert_eq!(cards(state), [number]);
            assert_eq!(state.tables()[HELD].value(number, 0), Some(7_000 + number as i32));
            let strange = player.session.zones().find(|(zone, ..)| *zone > CARDS && *zone != CARDS + number);
            assert_eq!(strange.map(|(zone, ..)| zone), None);
        }
    }
}

#[test]
fn a_cell_that_was_seen_stays_in_view_a_little_longer() {
    let server = server(config());
    let mut player = walker(&server);
    let mut sees = |x, expected: &[ZoneId]| {
        go(&mut player, x);
        while cells(&player) != expected {
            player.next_tick();
        }
    };
    sees(500, &[1, 2]);
    sees(2_500, &[1, 2, 3, 4]);
    sees(3_500, &[2, 3, 4, 5]);
    sees(2_500, &[2, 3, 4, 5]);
    sees(8_500, &[8, 9, 10]);
}

/// What was in view before a connection was lost is not there after the next one has begun.
fn starts_anew<W: Wire, V: Wire>(mut player: Player<W>, mut other: Player<V>) {
    let number = other.number();
    player.wait_state("the other is seen", |state| place(state, number));
    player.lose_connection();
    go(&mut other, 6_500);
    player.reconnect();
    assert!(player.welcomed().resumed);
    player.next_tick();
    assert_eq!(place(player.session.snapshot().unwrap(), number), None, "it has gone meanwhile");
    player.wait_state("the zones are there", |state| (!cards(state).is_empty()).then_some(()));
    assert_eq!(cells(&player), [1, 2]);
    go(&mut player, 7_500);
    player.wait_state("it has gone there, too", |state| place(state, number));
}

#[test]
fn after_a_resume_the_zones_begin_anew() {
    let server = server(config());
    starts_anew(walker(&server), walker(&server));
    starts_anew(over_quic(&server), walker(&server));
}

#[test]
fn the_inspector_shows_all_zones_or_what_a_player_sees() {
    let server = server(config());
    let (mut ann, mut bob) = (walker(&server), walker(&server));
    go(&mut bob, 9_500);
    let look = |query: &str| server.get_as_operator(&format!("/v1/rooms/lobby/state{query}"));
    let column = |json: &serde_json::Value, table: usize, key: &str| {
        let values = json["tables"][table][key].as_array().unwrap();
        values.iter().map(|value| value.as_u64().unwrap() as u32).collect::<Vec<_>>()
    };
    let all = look("").json();
    assert_eq!(all["zoned"], true);
    assert_eq!(column(&all, WALKERS, "ids"), [ann.number(), bob.number()]);
    assert_eq!(column(&all, WALKERS, "zones"), [1, 10]);
    assert_eq!(column(&all, THINGS, "zones"), (1..=10).collect::<Vec<_>>());
    let seen = look(&format!("?player={}", bob.number())).json();
    assert_eq!(column(&seen, WALKERS, "ids"), [bob.number()]);
    assert_eq!(column(&seen, HELD, "zones"), [CARDS + bob.number()]);
    assert_eq!(column(&seen, THINGS, "zones"), [9, 10]);
    for unknown in ["99", "x", "-1", ""] {
        let answer = look(&format!("?player={unknown}"));
        assert_eq!((answer.status, &*answer.error_code()), (404, "no_such_player"), "{unknown:?}");
    }
    ann.lose_connection();
    let away = || column(&look(&format!("?player={}", ann.number())).json(), HELD, "ids");
    until("who is away sees nothing", || away().is_empty());
}

/// How many ticks each zone that a player has is behind, in each state.
fn behind<W: Wire>(player: &mut Player<W>, states: u32) -> BTreeMap<ZoneId, Vec<u32>> {
    let mut ages: BTreeMap<ZoneId, Vec<u32>> = BTreeMap::new();
    for _ in 0..states {
        player.next_tick();
        let tick = player.session.snapshot().unwrap().tick();
        for (zone, _, until) in player.session.zones() {
            ages.entry(zone).or_default().push(tick - until);
        }
    }
    ages
}

#[test]
fn when_not_all_can_be_sent_the_near_zone_is_fresh_and_the_far_ones_wait_their_turn() {
    // A cell takes some 70 bytes a tick, and three are in view.
    let mut config = Config { tick_rate: 60, ..config() };
    config.limits.state_bytes_per_second = 60 * 110;
    let server = server(config);
    let mut player = Player::join_as(server.address(), joining("crowd"));
    go(&mut player, 5_500);
    while cells(&player) != [5, 6, 7] {
        player.next_tick();
    }
    let ages = behind(&mut player, 240);
    let of = |zone: ZoneId, part: usize| {
        let mut ages = ages[&zone].clone();
        ages.sort_unstable();
        ages[(ages.len() - 1) * part / 100]
    };
    assert!(of(6, 50) == 0 && of(6, 95) <= 2, "near: {:?}", ages[&6]);
    for far in [5, 7] {
        assert!(of(far, 50) >= 1, "the budget is not tight: {:?}", ages[&far]);
        assert!(of(far, 100) <= 40, "starved: {:?}", ages[&far]);
    }
}
