//! Those who watch: they take no seat, send nothing, see what the game shows them, and no earlier than the
//! room says.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{
    code::CloseCode,
    limits::Limits,
    session::{client::ClientEvent, client::SendError, server::StateTick},
    snapshot::Snapshot,
    wire::{self, client_message::Body},
};
use driftless_server::{
    Server,
    config::Config,
    ground::{
        id::{ConnectionId, RoomId},
        shared::RoomShared,
        sight::{Sight, Spectating},
    },
    room::{
        core::{JoinError, RoomCore, Ticked},
        schedule::{Due, Schedule},
    },
};
use driftless_sim::{GameKind, PlayerId, PlayerInput, Schema, Setup, Simulation, Step, View, ZoneId};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use util::{
    Player, Socket, TestServer, Wire, config, join,
    quic::{Kind, Link},
    tokens, until,
};

/// Where the show is, for players and spectators.
const STAGE: ZoneId = 1;
/// What only players see.
const BACKSTAGE: ZoneId = 2;

/// Something said to all.
#[derive(Clone, PartialEq, prost::Message)]
struct Said {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(bool, tag = "2")]
    ends: bool,
}

/// Its state is how many steps it has run, at every place; whatever is said, it tells all.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Theatre {
    steps: i32,
    players: BTreeSet<PlayerId>,
}

impl Simulation for Theatre {
    const KIND: &'static str = "theatre";
    type Input = Said;
    type Command = Said;
    type Event = Said;
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("clock", |kind| kind.hold("all", &["steps"], 1))
    }
    fn new(_: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, player: PlayerId, _: &str, _: &mut Step<'_, Said>) {
        self.players.insert(player);
    }
    fn leave(&mut self, player: PlayerId, _: &mut Step<'_, Said>) {
        self.players.remove(&player);
    }
    fn command(&mut self, player: PlayerId, said: Said, step: &mut Step<'_, Said>) -> Result<(), String> {
        if said.ends {
            step.end("as asked");
        }
        step.send(player, Said { number: 1_000 + said.number, ends: false });
        step.broadcast(said);
        Ok(())
    }
    fn step(&mut self, _: &[PlayerInput<Said>], _: &mut Step<'_, Said>) {
        self.steps += 1;
    }
    fn snapshot(&self, out: &mut Snapshot) {
        out.table_mut(0).push(1, &[self.steps]);
        out.zone(STAGE).table_mut(0).push(2, &[self.steps]);
        out.zone(BACKSTAGE).table_mut(0).push(3, &[self.steps]);
    }
    fn view(&self, _: PlayerId, view: &mut View<'_>) {
        view.see(STAGE);
        view.see(BACKSTAGE);
    }
    fn spectate(&self, view: &mut View<'_>) {
        view.see(STAGE);
    }
}

fn server(config: Config) -> TestServer {
    TestServer::of(Server::new(&[GameKind::of::<Theatre>()]), config)
}

fn watching(room: &str) -> wire::Join {
    wire::Join { spectate: true, ..join(room) }
}

fn spectator(server: &TestServer, room: &str) -> Player {
    Player::join_as(server.address(), watching(room))
}

fn refused(server: &TestServer, room: &str) -> wire::Goodbye {
    Player::on(Socket::connect(server.address()), server.address(), watching(room)).goodbye()
}

fn room(server: &TestServer) -> serde_json::Value {
    server.get("/v1/rooms/show").json()
}

fn ids(state: &Snapshot) -> Vec<u32> {
    state.tables()[0].ids().to_vec()
}

fn next_said<W: Wire>(player: &mut Player<W>) -> (u32, u32) {
    player.wait("an event", |event| {
        let ClientEvent::Event(event) = event else { return None };
        Some((event.tick, Said::decode(&event.payload[..]).unwrap().number))
    })
}

#[test]
fn a_spectator_sees_what_the_game_shows_and_takes_no_seat() {
    let server = server(Config { max_players: 1, max_connections: 1, ..config() });
    let mut ann = Player::named(server.address(), "show", "ann");
    let mut seen = spectator(&server, "show");
    let welcome = seen.session.welcome().unwrap().clone();
    assert!(welcome.spectating && welcome.resume_token.is_empty(), "{welcome:?}");
    assert_eq!((welcome.player, welcome.delay_ms, welcome.resume_window_ms), (0, 0, 0));
    seen.wait_presence("ann", wire::member::Change::Joined);
    seen.wait_state("the stage is shown", |state| (ids(state) == [1, 2]).then_some(()));
    ann.wait_state("players see more", |state| (ids(state) == [1, 2, 3]).then_some(()));
    ann.command(&Said { number: 7, ends: false });
    assert_eq!(next_said(&mut seen).1, 7, "what all are told, and not what she is");
    assert_eq!((server.players(), server.running().metrics().rooms.spectators.get()), (1, 1));
    let presence = server.get("/v1/presence").json();
    assert_eq!((&presence["players"], &presence["member_count"]), (&1.into(), &1.into()), "{presence}");
    assert_eq!((&room(&server)["players"], &room(&server)["spectators"]), (&1.into(), &1.into()));
    let full = refused(&server, "show");
    assert_eq!(full.code, u32::from(CloseCode::ServerFull.number()), "slots of their own are limited, too");
    seen.leave();
    until("nobody watches", || room(&server)["spectators"] == 0);
    assert_eq!(server.running().metrics().rooms.spectators.get(), 0);
    ann.next_tick();
}

#[test]
fn spectators_watch_over_datagrams_too() {
    let server = server(config());
    let _ann = Player::join(server.address(), "show").in_background();
    let mut seen: Player<Link> = Player::join_over_as(Kind::Quic, server.quic(), watching("show"));
    seen.wait_state("the stage is shown", |state| (ids(state) == [1, 2]).then_some(()));
    for _ in 0..5 {
        seen.next_tick();
    }
    assert!(seen.session.zones().all(|(zone, ..)| zone == STAGE));
}

#[test]
fn a_spectator_who_sends_an_input_or_a_command_is_sent_off() {
    let server = server(config());
    let ann = Player::join(server.address(), "show").in_background();
    let input = Body::Input(wire::Input { sequence: 1, ..wire::Input::default() });
    let command = Body::Command(wire::Command { sequence: 1, ..wire::Command::default() });
    for body in [input, command] {
        let mut seen = spectator(&server, "show");
        seen.next_tick();
        assert_eq!(seen.session.send_input("x".into()), Err(SendError::Spectating), "its own session knows");
        assert_eq!(seen.session.send_command("x".into()), Err(SendError::Spectating));
        seen.send(body);
        assert_eq!(seen.ended(), CloseCode::Spectating);
    }
    ann.wait_ticks(2);
}

#[test]
fn a_room_that_is_not_there_is_not_made_to_be_watched() {
    let server = server(config());
    let goodbye = refused(&server, "show");
    assert_eq!(goodbye.code, u32::from(CloseCode::NoSuchRoom.number()), "{goodbye:?}");
    assert_eq!(server.running().metrics().rooms.created.get(), 0);
}

#[test]
fn no_more_watch_than_may() {
    let server = server(config());
    assert_eq!(server.post("/v1/rooms", r#"{"name": "show", "max_spectators": 2}"#).status, 201);
    let (mut one, two) = (spectator(&server, "show"), spectator(&server, "show").in_background());
    let goodbye = refused(&server, "show");
    assert_eq!(goodbye.code, u32::from(CloseCode::RoomFull.number()));
    assert!(goodbye.reason.contains("2 spectators"), "{}", goodbye.reason);
    let _ann = Player::join(server.address(), "show");
    one.leave();
    spectator(&server, "show").next_tick();
    two.wait_ticks(1);
}

#[test]
fn spectators_do_not_keep_a_room() {
    let server = server(Config { linger: Duration::from_millis(200), ..config() });
    let mut ann = Player::join(server.address(), "show");
    let mut seen = spectator(&server, "show");
    ann.leave();
    assert_eq!(seen.ended(), CloseCode::RoomClosed);
    until("it has ended", || server.running().metrics().rooms.current.get() == 0);
    assert_eq!(server.running().metrics().rooms.spectators.get(), 0);
    // It comes back as it came: there is no seat to resume, and no room to watch.
    seen.reconnect();
    assert_eq!(seen.ended(), CloseCode::NoSuchRoom);
}

#[test]
fn with_a_delay_nothing_is_shown_or_told_before_its_time() {
    const DELAY: u32 = 10;
    let server = server(config());
    let made = server.post("/v1/rooms", r#"{"name": "show", "spectate_delay_ms": 500}"#);
    assert_eq!(made.status, 201, "{}", made.body);
    let mut ann = Player::join(server.address(), "show");
    let mut seen = spectator(&server, "show");
    let (hers, its) = (ann.session.welcome().unwrap().clone(), seen.session.welcome().unwrap().clone());
    assert_eq!((its.delay_ms, its.epoch_us - hers.epoch_us), (500, 500_000), "its ticks are due later");
    assert_eq!(room(&server)["spectate_delay_ms"], 500);
    ann.command(&Said { number: 7, ends: false });
    let (told, _) = next_said(&mut ann);
    let mut background = ann.in_background();
    let newest = || room(&server)["tick"].as_u64().unwrap() as u32;
    let (mut heard, mut states) = (None, 0);
    while heard.is_none() || states < 20 {
        match seen.next() {
            // The room's figure may be newer than the state, but is not older.
            ClientEvent::State { tick, .. } => {
                assert!(tick + DELAY <= newest() + 1, "tick {tick} at {}", newest());
                assert!(heard.is_some() || tick <= told, "told before it is shown");
                states += 1;
            }
            ClientEvent::Event(event) => {
                assert_eq!((event.tick, heard.replace(event.tick)), (told, None));
                assert!(told + DELAY <= newest(), "told at {}", newest());
            }
            _ => {}
        }
    }
    seen.wait_state("the stage is shown", |state| (ids(state) == [1, 2]).then_some(()));
    background.wait_ticks(1);
    ann = background.stop();
    ann.leave();
    background = spectator(&server, "show").in_background();
    background.wait_ticks(2);
}

#[test]
fn a_maker_of_rooms_whom_nobody_knows_cannot_make_the_server_keep_more_states() {
    let server = server(Config { open_rooms: true, ..config() });
    let made = server.post("/v1/rooms", r#"{"name": "show", "spectate_delay_ms": 500}"#);
    assert_eq!((made.status, &made.json()["code"]), (422, &"out_of_range".into()));
    let server = self::server(config());
    let made = server.post("/v1/rooms", r#"{"name": "show", "spectate_delay_ms": 300001}"#);
    assert_eq!((made.status, &made.json()["code"]), (400, &"out_of_range".into()));
}

#[test]
fn an_admin_watches_everything_now_and_takes_no_place_whatever_it_asks_for() {
    let server = server(tokens::config());
    let made = r#"{"name": "show", "max_spectators": 0, "spectate_delay_ms": 60000}"#;
    assert_eq!(server.post("/v1/rooms", made).status, 201);
    let joins = |role: &str| {
        let identity_token = tokens::token_with(role, serde_json::json!({ "role": role }));
        let join = wire::Join { identity_token, ..join("show") };
        Player::<Link>::on(Link::connect(Kind::Quic, server.quic()), server.quic(), join)
    };
    let mut player = joins("player");
    assert!(!player.welcomed().spectating);
    let mut admin = joins("admin");
    let welcome = admin.welcomed();
    assert_eq!((welcome.spectating, welcome.delay_ms, welcome.player), (true, 0, 0));
    admin.wait_state("all is shown", |state| (ids(state) == [1, 2, 3]).then_some(()));
    assert_eq!(joins("spectator").ended(), CloseCode::RoomFull, "0 may watch");
    assert_eq!((server.players(), server.running().metrics().rooms.spectators.get()), (1, 1));
}

/// A room without a clock.
struct Room {
    core: RoomCore,
    tick: u32,
}

impl Room {
    fn new(spectating: Spectating) -> Self {
        let kind = GameKind::of::<Theatre>();
        let shared = RoomShared::new(RoomId(1), "show".into(), kind.name(), 20, 10);
        let shared = Arc::new(RoomShared { spectating, ..shared });
        let schedule = Schedule::new(Instant::now(), 20);
        let game = kind.start(&Setup::new(7, 20)).unwrap();
        let core = RoomCore::new(shared, game, kind.schema(), schedule, Limits::default(), true);
        Self { core, tick: 0 }
    }

    fn watch(&mut self, connection: u64, sight: Sight) -> Arc<driftless_server::ground::seat::Seat> {
        self.core.spectate(ConnectionId(connection), sight, "guest-1".into(), "n".into()).unwrap()
    }

    fn skip(&mut self, skipped: u32) -> Ticked {
        self.tick += 1 + skipped;
        self.core.tick(Due { tick: self.tick.into(), late: Duration::ZERO, skipped: skipped.into() }).unwrap()
    }

    fn tick(&mut self) -> Ticked {
        self.skip(0)
    }
}

fn queued(seat: &driftless_server::ground::seat::Seat) -> usize {
    seat.outbox.lock().queue().len()
}

fn shown(ticked: &Ticked) -> Option<u32> {
    ticked.delayed.as_ref().map(|state| state.tick())
}

#[test]
fn a_delay_is_exact_to_the_tick_whatever_the_room_skips() {
    let mut room = Room::new(Spectating { max: 10, delay_ms: 140 }); // 2.8 ticks
    let player = room.core.join(ConnectionId(1), "guest-2".into(), "n".into()).unwrap();
    assert_eq!(shown(&room.tick()), None);
    let seen = room.watch(2, Sight::Spectator);
    assert_eq!([2, 3].map(|_| shown(&room.tick())), [None, None]);
    assert_eq!([4, 5].map(|_| shown(&room.tick())), [Some(1), Some(2)]);
    let said = Said { number: 1, ends: false }.encode_to_vec();
    player.take_command(1, Some(said.into()));
    assert_eq!(shown(&room.tick()), Some(3), "tick 6, in which it is said");
    assert_eq!((queued(&player), queued(&seen)), (2, 0));
    assert_eq!(shown(&room.skip(1)), Some(5), "tick 8");
    assert_eq!(queued(&seen), 0);
    assert_eq!((shown(&room.tick()), queued(&seen)), (Some(6), 1));
    // Of those that were skipped there is none.
    assert_eq!([10, 11].map(|_| shown(&room.tick())), [Some(6), Some(8)]);
    room.core.lost(ConnectionId(2), true, driftless_sim::Away::TimedOut);
    assert_eq!(shown(&room.tick()), None, "nobody looks");
    assert_eq!(shown(&room.tick()), None);
    room.watch(3, Sight::Spectator);
    assert_eq!(shown(&room.tick()), Some(11), "tick 14");
}

// Promise 4: "One client, however slow or hostile, does not delay another's tick or grow memory without
// bound."
#[test]
fn the_states_that_are_kept_are_those_of_the_delay_and_are_used_again() {
    let mut room = Room::new(Spectating { max: 10, delay_ms: 5_000 });
    let mut kept = BTreeSet::new();
    for tick in 1..=1_000 {
        let state = room.tick().published;
        if tick > 150 {
            kept.insert(Arc::as_ptr(&state));
        }
    }
    assert!((100..=105).contains(&kept.len()), "{} states for 100 ticks", kept.len());
}

#[test]
fn whoever_sees_everything_sees_it_now() {
    let mut room = Room::new(Spectating { max: 1, delay_ms: 1_000 });
    let player = room.core.join(ConnectionId(1), "guest-2".into(), "n".into()).unwrap();
    let admin = room.watch(2, Sight::Everything);
    let seen = room.watch(3, Sight::Spectator);
    let full = room.core.spectate(ConnectionId(4), Sight::Spectator, "guest-1".into(), "n".into());
    assert!(matches!(full, Err(JoinError::TooManySpectators { max: 1, .. })), "{full:?}");
    player.take_command(1, Some(Said { number: 1, ends: false }.encode_to_vec().into()));
    let ticked = room.tick();
    let zones =
        |seat: &_| -> Vec<ZoneId> { ticked.published.seen_from(seat).iter().map(|seen| seen.zone).collect() };
    assert_eq!((zones(&player), zones(&seen)), (vec![STAGE, BACKSTAGE], vec![STAGE]));
    assert_eq!(zones(&admin), [STAGE, BACKSTAGE]);
    assert_eq!((queued(&admin), queued(&seen)), (1, 0));
    assert_eq!((admin.channel(), admin.delay_ticks()), (RoomId(1), 0));
    assert_eq!((seen.channel(), seen.delay_ticks()), (RoomId(1).delayed(), 20));
}

#[test]
fn a_user_watches_only_so_often_and_leaves_room_for_others() {
    let mut room = Room::new(Spectating { max: 10, delay_ms: 0 });
    room.core.limit_seats_of_user(2);
    let mut watch = |connection, sight, user: &str| {
        room.core.spectate(ConnectionId(connection), sight, user.into(), "n".into()).map(|_| ())
    };
    for connection in 0..2 {
        watch(connection, Sight::Spectator, "eve").unwrap();
    }
    let third = watch(2, Sight::Spectator, "eve");
    assert!(matches!(third, Err(JoinError::WatchesTooOften { max: 2, .. })), "{third:?}");
    watch(3, Sight::Everything, "eve").unwrap();
    watch(4, Sight::Spectator, "bob").unwrap();
    for guest in 5..9 {
        watch(guest, Sight::Spectator, "guest-1").unwrap();
    }
    room.core.leave(ConnectionId(1));
    room.core.spectate(ConnectionId(9), Sight::Spectator, "eve".into(), "n".into()).unwrap();
}

// Promise 1: who watches is no part of it.
#[test]
fn a_game_and_its_recording_know_nothing_of_spectators() {
    let mut rooms = [Room::new(Spectating { max: 10, delay_ms: 0 }), Room::new(Spectating::default())];
    let [watched, alone] = &mut rooms;
    for n in 0..10 {
        watched.watch(n, Sight::Spectator);
        watched.tick();
        alone.tick();
        assert_eq!(watched.core.take_record(), alone.core.take_record());
    }
    watched.core.leave(ConnectionId(3));
    watched.core.lost(ConnectionId(4), true, driftless_sim::Away::Closed);
    assert_eq!(watched.core.spectators().len(), 8);
}
