//! Rooms that outlive their server: the next one continues them, and players keep their seats.

#![allow(unsafe_code, reason = "a signal for a child")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{
    code::CloseCode,
    session::client::ClientEvent,
    wire::{self, member::Change},
};
use driftless_server::{RoomEvent, Server, config::Config, jobs::Jobs};
use driftless_sim::{
    Answer, GameKind, Job, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step,
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use std::{
    fs, future,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use util::{
    Player, Socket, TestServer, config, http, join,
    process::{self, Process},
    until,
};

#[derive(Clone, PartialEq, prost::Message)]
struct Ask {
    /// Send everybody this many events.
    #[prost(uint32, tag = "1")]
    tell: u32,
    /// Ask for a job that never finishes.
    #[prost(bool, tag = "2")]
    job: bool,
    /// Seat an NPC, close the room for others, and show something.
    #[prost(bool, tag = "3")]
    settle: bool,
    /// End the room.
    #[prost(bool, tag = "4")]
    end: bool,
}

/// Sent to everybody: the number of the event, or why a job failed.
#[derive(Clone, PartialEq, prost::Message)]
struct Told {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(string, tag = "2")]
    failed: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Endless {}

impl Job for Endless {
    const NAME: &'static str = "endless";
    type Answer = ();
}

/// Shows how many steps it has run. `VERSION` decides what the field is called.
#[derive(Default, Serialize, Deserialize)]
struct Diary<const VERSION: usize> {
    steps: u32,
    told: u32,
    end: bool,
    away: u32,
}

const SHOWN: [&str; 2] = ["steps", "pages"];

impl<const VERSION: usize> Simulation for Diary<VERSION> {
    const KIND: &'static str = "diary";
    type Input = ();
    type Command = Ask;
    type Event = Told;
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("diary", |kind| kind.hold("diary", &[SHOWN[VERSION], "away"], 1))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, _player: PlayerId, _name: &str, _step: &mut Step<'_, Told>) {}
    fn leave(&mut self, _player: PlayerId, _step: &mut Step<'_, Told>) {}
    fn away(&mut self, _: PlayerId, _: driftless_sim::Away, _step: &mut Step<'_, Told>) {
        self.away += 1;
    }
    fn back(&mut self, _player: PlayerId, _step: &mut Step<'_, Told>) {
        self.away -= 1;
    }
    fn command(&mut self, _: PlayerId, ask: Ask, step: &mut Step<'_, Told>) -> Result<(), String> {
        for _ in 0..ask.tell {
            self.told += 1;
            step.broadcast(Told { number: self.told, failed: String::new() });
        }
        if ask.job {
            step.ask(&Endless {});
        }
        if ask.settle {
            step.seat_npc("Bot");
            step.close_joins(true);
            step.info("season", "spring");
        }
        self.end = ask.end;
        Ok(())
    }
    fn answer(&mut self, answer: &Answer, step: &mut Step<'_, Told>) {
        let failed = answer.of::<Endless>().unwrap().unwrap_err().to_string();
        step.broadcast(Told { number: 0, failed });
    }
    fn step(&mut self, _inputs: &[PlayerInput<()>], step: &mut Step<'_, Told>) {
        self.steps += 1;
        if self.end {
            step.end("as asked");
        }
    }
    fn snapshot(&self, out: &mut Snapshot) {
        out.table_mut(0).push(1, &[self.steps as i32, self.away as i32]);
    }
}

fn server<const VERSION: usize>(file: &Path, config: Config) -> TestServer {
    // The job never finishes; a server that stops does not wait for it.
    let jobs = Jobs::new().deadline(Duration::from_secs(1)).on(async |_: Endless, _| future::pending().await);
    let games = [GameKind::of::<Diary<VERSION>>()];
    TestServer::of(Server::new(&games).jobs(jobs).carry(file), config)
}

fn join_as(server: &TestServer, name: &str) -> Player {
    Player::join_as(server.address(), wire::Join { name: name.into(), ..join("lobby") })
}

fn told(player: &mut Player) -> Told {
    player.wait("what the room tells", |event| {
        let ClientEvent::Event(event) = event else { return None };
        Some(Told::decode(&event.payload[..]).unwrap())
    })
}

fn numbers<const N: usize>(player: &mut Player) -> [u32; N] {
    [(); N].map(|()| told(player).number)
}

/// The newest tick, steps run, and players away.
fn seen(player: &mut Player) -> (u32, i32, i32) {
    player.wait_state("a state", |state| {
        Some((state.tick(), state.tables()[0].value(1, 0)?, state.tables()[0].value(1, 1)?))
    })
}

/// Stops a server; its players are told to come back. Returns what the room had told them until then.
fn stop<const N: usize>(server: TestServer, players: [&mut Player; N]) -> Vec<Told> {
    let mut heard = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| drop(server));
        for player in players {
            let goodbye = player.wait("a goodbye", |event| match event {
                ClientEvent::Event(event) => {
                    heard.push(Told::decode(&event.payload[..]).unwrap());
                    None
                }
                ClientEvent::Goodbye(goodbye) => Some(goodbye.clone()),
                _ => None,
            });
            assert_eq!(goodbye.code, CloseCode::Draining as u32);
            assert!(goodbye.reconnect_after_ms <= 500, "{goodbye:?}");
            player.lose_connection();
        }
    });
    heard
}

// Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window." Promise 2:
// "A client never applies a state older than one it has applied."
#[test]
fn a_room_goes_on_at_the_next_server_and_its_players_keep_their_seats() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms");
    let before = server::<0>(&file, config());
    let (mut ann, mut bob) = (join_as(&before, "ann"), join_as(&before, "bob"));
    ann.command(&Ask { tell: 3, settle: true, ..Ask::default() });
    assert_eq!((numbers(&mut ann), numbers(&mut bob)), ([1, 2, 3], [1, 2, 3]));
    let bot = ann.wait_presence("Bot", Change::Joined).players;
    bob.lose_connection();
    ann.wait_presence("bob", Change::Away);
    ann.command(&Ask { tell: 2, job: true, ..Ask::default() });
    assert_eq!(numbers(&mut ann), [4, 5]);
    let (tick, steps, _) = seen(&mut ann);
    let (number, token) = (ann.number(), ann.token());
    // What she sends just before the end is not lost, nor are the events that it causes.
    ann.command(&Ask { tell: 1, ..Ask::default() });
    let mut heard = stop(before, [&mut ann]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "it has tokens");

    let after = server::<0>(&file, config());
    assert!(!file.exists(), "nothing goes on twice");
    assert_eq!(after.players(), 2, "their seats wait for them");
    ann.reconnect_at(after.address());
    let welcome = ann.welcomed();
    assert!(welcome.resumed);
    assert_eq!((welcome.player, &welcome.resume_token), (number, &token));
    bob.reconnect_at(after.address());
    assert!(bob.welcomed().resumed);

    ann.command(&Ask { tell: 1, ..Ask::default() });
    while heard.last().is_none_or(|last| last.number < 7) {
        heard.push(told(&mut ann));
    }
    let of_bob = [(); 5].map(|()| told(&mut bob));
    assert_eq!(of_bob[2..], heard, "the same, once, and in the same order");
    let numbers: Vec<_> = of_bob.iter().map(|told| told.number).filter(|number| *number > 0).collect();
    assert_eq!(numbers, [4, 5, 6, 7]);
    let failed = &heard.iter().find(|told| told.number == 0).unwrap().failed;
    assert_eq!(failed, "it took too long", "the server waits for jobs until their deadline");

    let later = seen(&mut ann);
    assert!(later.0 > tick + 1 && later.1 > steps && later.2 == 0, "{later:?} after {tick}, {steps}");
    let room = after.get("/v1/rooms/lobby").json();
    assert_eq!((&room["players"], &room["npcs"]), (&2.into(), &1.into()));
    assert_eq!((&room["joins_closed"], &room["info"]["season"]), (&true.into(), &"spring".into()));
    let presence = after.get("/v1/presence").json();
    let names: Vec<_> = presence["members"].as_array().unwrap().iter().map(|m| &m["name"]).collect();
    assert_eq!(names.len(), 3, "{presence}");
    let npc = presence["members"].as_array().unwrap().iter().find(|member| member["npc"] == true).unwrap();
    assert_eq!(npc["players"][0], bot[0]);
    bob.leave();
    // It tells her that he has left: her list is this server's.
    ann.wait_presence("bob", Change::Left);
}

// Promise 9: "[...] a seat survives it."
#[test]
fn newcomers_do_not_take_the_places_of_those_whose_seats_wait() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms");
    let two = Config { max_connections: 2, ..config() };
    let before = server::<0>(&file, two.clone());
    let (mut ann, mut bob) = (join_as(&before, "ann"), join_as(&before, "bob"));
    stop(before, [&mut ann, &mut bob]);

    let after = server::<0>(&file, two);
    let knock = |name: &str| {
        let join = wire::Join { name: name.into(), ..join("lobby") };
        Player::on(Socket::connect(after.address()), after.address(), join)
    };
    for newcomer in ["cid", "dan"] {
        assert_eq!(knock(newcomer).ended(), CloseCode::ServerFull);
    }
    for player in [&mut ann, &mut bob] {
        player.reconnect_at(after.address());
        assert!(player.welcomed().resumed);
    }
    assert_eq!(knock("cid").ended(), CloseCode::ServerFull);
    bob.leave();
    until("his place is free", || after.players() == 1);
    knock("cid").welcomed();
}

// Promise 5: "[...] no ghosts after the timeout", however often the server is started again.
#[test]
fn the_window_of_a_seat_goes_on_at_the_next_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms");
    let window = Duration::from_secs(2);
    let config = || Config { resume_window: window, linger: Duration::from_secs(60), ..config() };
    let before = server::<0>(&file, config());
    let mut ann = join_as(&before, "ann");
    ann.lose_connection();
    until("she is away", || before.get("/v1/presence").json()["connections"] == 0);
    drop(before);

    // All of it, as it is less than 5 s; but once.
    let between = server::<0>(&file, config());
    let tick = || between.get("/v1/rooms/lobby").json()["tick"].as_u64().unwrap();
    let first = tick();
    until("she was away for three quarters of it", || tick() >= first + 30);
    assert_eq!(between.players(), 1);
    drop(between);

    let after = server::<0>(&file, config());
    let start = Instant::now();
    assert_eq!(after.players(), 1);
    until("her seat has ended", || after.players() == 0);
    assert!(start.elapsed() < window * 3 / 4, "{:?}", start.elapsed());
}

#[test]
fn a_seat_that_nobody_comes_back_to_ends_and_leaves_no_ghost() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms");
    let before = server::<0>(&file, config());
    let (mut ann, mut bob) = (join_as(&before, "ann"), join_as(&before, "bob"));
    stop(before, [&mut ann, &mut bob]);

    let window = Duration::from_millis(600);
    let after = server::<0>(&file, Config { resume_window: window, linger: Duration::ZERO, ..config() });
    ann.reconnect_at(after.address());
    assert!(ann.welcomed().resumed);
    until("bob's seat has ended", || after.players() == 1);
    let presence = after.get("/v1/presence").json();
    assert_eq!((&presence["players"], &presence["member_count"]), (&1.into(), &1.into()), "{presence}");
    assert_eq!(presence["departures"][0]["name"], "bob");
    bob.reconnect_at(after.address());
    assert_eq!(bob.ended(), CloseCode::UnknownSession);
    // Nobody gets the number he had.
    assert_eq!(join_as(&after, "cid").number(), 3);
}

#[test]
fn a_room_that_does_not_fit_the_next_server_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms");
    let before = server::<0>(&file, config());
    assert_eq!(before.post("/v1/rooms", r#"{"name":"hall","tick_rate":30,"max_players":7}"#).status, 201);
    let mut ann = join_as(&before, "ann");
    ann.next_tick();
    stop(before, [&mut ann]);

    // Another version of the game, which shows something else.
    let heard: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let hear = heard.clone();
    let after = Server::new(&[GameKind::of::<Diary<1>>()]).carry(&file).on(move |event| {
        if let RoomEvent::Ended { room, reason, .. } = event {
            hear.lock().unwrap().push((room.room.to_string(), reason.clone()));
        }
    });
    let after = TestServer::of(after, config());
    until("listeners hear that both have ended", || heard.lock().unwrap().len() == 2);
    let mut ended = heard.lock().unwrap().clone();
    ended.sort();
    let reason = "the server stopped, and the room cannot continue: the schema of its game has changed";
    assert_eq!(ended, ["hall", "lobby"].map(|room| (room.to_owned(), reason.to_owned())));
    let hall = after.get("/v1/rooms/hall").json();
    assert_eq!(
        (&hall["tick_rate"], &hall["max_players"]),
        (&30.into(), &7.into()),
        "an operator's room is there"
    );
    assert_eq!(after.get("/v1/rooms/lobby").status, 404);
    ann.reconnect_at(after.address());
    assert_eq!(ann.ended(), CloseCode::UnknownSession);
    assert_eq!(join_as(&after, "ann").number(), 1);
    drop(after);
}

#[test]
fn rooms_that_are_damaged_or_of_another_version_are_kept_and_the_server_starts_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms");
    let before = server::<0>(&file, config());
    assert_eq!(before.post("/v1/rooms", r#"{"name":"hall"}"#).status, 201);
    drop(before);
    let good = fs::read(&file).unwrap();
    for at in [7, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&file, &bad).unwrap();
        let after = server::<0>(&file, config());
        assert!(after.running().registry().is_empty() && !file.exists());
        assert_eq!(fs::read(folder.path().join("rooms.bad")).unwrap(), bad);
    }
    // For comparison, what is not damaged.
    fs::write(&file, &good).unwrap();
    assert_eq!(server::<0>(&file, config()).running().registry().len(), 1);
}

// Promise 4: "One client, however slow or hostile, does not [...]"
#[test]
fn a_room_that_a_join_has_made_counts_to_its_address_at_the_next_server_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms");
    let config =
        || Config { trusted_proxy: "127.0.0.0/8".parse().unwrap(), max_rooms_per_address: 1, ..config() };
    let join_room = |server: &TestServer, address: &str, room: &str| {
        let headers = format!("sec-websocket-protocol: driftless.v1\r\nx-forwarded-for: {address}\r\n");
        let socket = Socket::upgrade(TcpStream::connect(server.address()).unwrap(), &headers).unwrap();
        Player::on(socket, server.address(), join(room))
    };
    let before = server::<0>(&file, config());
    let mut ann = join_room(&before, "192.0.2.1", "hers");
    ann.welcomed();
    ann.next_tick();
    stop(before, [&mut ann]);

    let after = server::<0>(&file, config());
    assert_eq!(after.get("/v1/rooms/hers").status, 200);
    assert_eq!(join_room(&after, "192.0.2.1", "more").ended(), CloseCode::AddressLimit);
    join_room(&after, "192.0.2.2", "other").welcomed();
}

#[test]
fn a_room_that_its_game_has_ended_does_not_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms");
    let before = server::<0>(&file, config());
    let mut ann = join_as(&before, "ann");
    ann.command(&Ask { end: true, ..Ask::default() });
    assert_eq!(ann.ended(), CloseCode::GameEnded);
    drop(before);
    assert!(server::<0>(&file, config()).running().registry().is_empty());
}

#[test]
fn the_program_carries_rooms_over_a_restart_when_it_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms");
    let arguments = ["--carry", file.to_str().unwrap()];
    let mut before = Process::start(&arguments);
    let mut ann = Player::named(before.address(), "lobby", "ann");
    let mut bob = Player::named(before.address(), "lobby", "bob");
    ann.chat("before");
    assert_eq!([ann.next_chat().1, bob.next_chat().1], ["before"; 2]);
    let number = bob.number();
    bob.lose_connection();
    ann.wait_presence("bob", Change::Away);
    ann.chat("meanwhile");
    assert_eq!(ann.next_chat().1, "meanwhile");
    before.signal(libc::SIGTERM);
    ann.goodbye();
    ann.lose_connection();
    assert!(before.wait().0.success());

    let after = Process::start(&arguments);
    until("nothing can go on twice", || !file.exists() && !folder.path().join("rooms.taken").exists());
    bob.reconnect_at(after.address());
    assert!(bob.welcomed().resumed && bob.number() == number);
    assert_eq!(bob.next_chat().1, "meanwhile");
    ann.reconnect_at(after.address());
    assert!(ann.welcomed().resumed);
    bob.chat("after");
    assert_eq!(ann.next_chat().1, "after");

    let help = String::from_utf8(process::run(&["serve", "--help"]).stdout).unwrap();
    assert!(help.contains("--config") && !help.contains("--carry"), "{help}");
}

/// Leaves a file with a room called hall, which ticks once a second.
fn leave_a_room(arguments: &[&str]) {
    let mut server = Process::start(arguments);
    make_room(&server);
    server.signal(libc::SIGTERM);
    assert!(server.wait().0.success());
}

fn make_room(server: &Process) {
    let body = r#"{"name":"hall","tick_rate":1}"#;
    let made = http::send(server.address(), "POST", "/v1/rooms", &server.authorization(), body);
    assert_eq!(made.status, 201);
}

#[track_caller]
fn assert_goes_on(arguments: &[&str]) {
    let server = Process::start(arguments);
    assert_eq!(http::get(server.address(), "/v1/rooms/hall").status, 200);
}

#[test]
fn rooms_survive_a_signal_while_their_server_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms");
    let arguments = ["--carry", file.to_str().unwrap()];
    leave_a_room(&arguments);
    let mut starting = process::command(&["--listen", "127.0.0.1:0", "--log", "error"]);
    let starting = starting.args(arguments).stdout(Stdio::null()).spawn().unwrap();
    // From here on only the process has them.
    while file.exists() {
        thread::yield_now();
    }
    // SAFETY: kill has no preconditions; the child has not been waited for, so the id is still its own.
    assert_eq!(unsafe { libc::kill(starting.id().try_into().unwrap(), libc::SIGTERM) }, 0);
    let ended = starting.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "it ends in order");
    assert_goes_on(&arguments);
}

#[test]
fn rooms_go_on_even_if_a_server_took_them_and_was_killed_before_it_listened() {
    let folder = tempfile::tempdir().unwrap();
    let (file, taken) = (folder.path().join("rooms"), folder.path().join("rooms.taken"));
    let arguments = ["--carry", file.to_str().unwrap()];
    leave_a_room(&arguments);
    fs::rename(&file, &taken).unwrap();
    let server = Process::start(&arguments);
    assert_eq!(http::get(server.address(), "/v1/rooms/hall").status, 200);
    until("nothing can go on twice", || !taken.exists());
}

#[test]
fn a_server_that_loses_rooms_says_so_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms");
    let mut server = Process::start(&["--carry", file.to_str().unwrap()]);
    make_room(&server);
    fs::create_dir(&file).unwrap();
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().0.code(), Some(1));
    let said = server.kill();
    assert!(
        said.contains("driftless: rooms are lost (1)") && said.contains(file.to_str().unwrap()),
        "{said}"
    );
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [file], "nothing half written");
}

#[test]
fn rooms_are_carried_once_if_an_operator_drains_the_server_before_the_signal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms");
    let arguments = ["--carry", file.to_str().unwrap()];
    let mut server = Process::start(&arguments);
    make_room(&server);
    let address = server.address();
    assert_eq!(http::send(address, "POST", "/v1/drain", &server.authorization(), "").status, 202);
    server.signal(libc::SIGTERM);
    assert!(server.wait().0.success());
    assert_goes_on(&arguments);
}
