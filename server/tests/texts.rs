//! Texts of entities in a room: what an operator sees of them, and what becomes of a game that forgets one.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{limits::Limits, wire};
use driftless_server::{
    Server,
    ground::{id::ConnectionId, id::RoomId, seat::CommandTaken, shared::RoomShared},
    room::{
        core::{Effect, RoomCore},
        schedule::{Due, Schedule},
    },
};
use driftless_sim::{GameKind, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step, View};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use util::{Player, TestServer, config, join};

/// Everybody has a name, and in a zone of its own a bag. After any command, the game takes the numbers of the
/// names from memory, without asking for them.
#[derive(Default, Serialize, Deserialize)]
struct Names {
    players: BTreeMap<PlayerId, (String, i32)>,
    forgets: bool,
}

impl Simulation for Names {
    const KIND: &'static str = "names";
    type Input = ();
    type Command = ();
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Schema::new()
            .kind("player", |kind| kind.hold("score", &["points"], 1).text("name", &["name"]))
            .kind("bag", |kind| kind.text("label", &["label"]).bytes("content", &["items"]))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, player: PlayerId, name: &str, _step: &mut Step<'_, ()>) {
        let number = Snapshot::new(&Self::schema()).text(name);
        self.players.insert(player, (name.to_owned(), number));
    }
    fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, ()>) {
        self.players.remove(&player);
    }
    fn command(&mut self, _: PlayerId, (): (), _: &mut Step<'_, ()>) -> Result<(), String> {
        self.forgets = true;
        Ok(())
    }
    fn step(&mut self, _inputs: &[PlayerInput<()>], _step: &mut Step<'_, ()>) {}
    fn snapshot(&self, out: &mut Snapshot) {
        for (&player, (name, remembered)) in &self.players {
            let number = if self.forgets { *remembered } else { out.text(name) };
            out.table_mut(0).push(player, &[3, number]);
            let zone = out.zone(player);
            let bag = [zone.text(&format!("{name}'s")), zone.bytes(&[player as u8, 0xff])];
            zone.table_mut(1).push(player, &bag);
        }
    }
    fn view(&self, player: PlayerId, view: &mut View<'_>) {
        view.see(player);
    }
}

fn server() -> TestServer {
    TestServer::of(Server::new(&[GameKind::of::<Names>()]), config())
}

fn player(server: &TestServer, name: &str) -> Player {
    Player::join_as(server.address(), wire::Join { name: name.into(), kind: "names".into(), ..join("lobby") })
}

/// Label and content of the bags in a state.
fn bags(state: &Snapshot) -> Vec<(&str, &[u8])> {
    let [labels, items] = [0, 1].map(|column| state.tables()[1].column(column));
    labels.iter().zip(items).map(|(&label, &items)| (state.text_of(label), state.bytes_of(items))).collect()
}

#[test]
fn the_inspector_shows_texts_of_all_zones() {
    let server = server();
    let mut players = ["ann", "bob"].map(|name| player(&server, name));
    players[1]
        .wait_state("it has its bag", |state| (bags(state) == [("bob's", &[2, 0xff][..])]).then_some(()));
    let seen = server.get_as_operator("/v1/rooms/lobby/state").json();
    let types = |table: usize| seen["tables"][table]["fields"].as_array().unwrap().iter().map(|f| &f["type"]);
    assert_eq!(types(0).collect::<Vec<_>>(), ["number", "text"]);
    assert_eq!(types(1).collect::<Vec<_>>(), ["text", "bytes"]);
    assert_eq!(seen["tables"][0]["columns"], json!([[3, 3], ["ann", "bob"]]));
    assert_eq!(seen["tables"][1]["zones"], json!([1, 2]));
    assert_eq!(seen["tables"][1]["columns"], json!([["ann's", "bob's"], ["01ff", "02ff"]]));
}

#[test]
fn a_text_that_the_game_forgets_is_empty_and_its_players_stay() {
    let server = server();
    let mut ann = player(&server, "ann");
    let name = |state: &Snapshot| state.text_of(state.tables()[0].column(1)[0]).to_owned();
    ann.wait_state("she has her name", |state| (name(state) == "ann").then_some(()));
    ann.command(&());
    ann.wait_state("she has none", |state| name(state).is_empty().then_some(()));
    for _ in 0..30 {
        ann.next_tick();
    }
    assert_eq!(bags(ann.session.snapshot().unwrap()), [("ann's", &[1, 0xff][..])]);
}

#[test]
fn a_room_says_once_which_text_is_missing() {
    let (kind, setup) = (GameKind::of::<Names>(), Setup::new(1, 20));
    let shared = Arc::new(RoomShared::new(RoomId(1), "lobby".into(), kind.name(), 20, 10));
    let (game, schedule) = (kind.start(&setup).unwrap(), Schedule::new(Instant::now(), 20));
    let mut room = RoomCore::new(shared, game, kind.schema(), schedule, Limits::default(), false);
    let seat = room.join(ConnectionId(1), "guest".into(), "ann".into()).unwrap();
    let mut said = Vec::new();
    for tick in 1..=4 {
        if tick == 2 {
            assert_eq!(seat.take_command(1, Some(Vec::new().into())), CommandTaken::Now);
        }
        room.tick(Due { tick, late: Duration::ZERO, skipped: 0 }).unwrap();
        said.extend(room.take_effects().into_iter().filter_map(|effect| match effect {
            Effect::UnknownText { kind, field } => Some((tick, kind, field)),
            _ => None,
        }));
    }
    assert_eq!(said, [(2, "player".to_owned(), "name".to_owned())]);
}
