//! Rooms that survive their server: processes that are killed at any moment, and started again.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_client::TransportKind;
use driftless_proto::code::CloseCode;
use driftless_server::{
    Server,
    config::{Config, StoreMismatch},
};
use driftless_sim::{GameKind, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step};
use serde::{Deserialize, Serialize};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use util::{
    PATIENCE, http,
    ledger::{Act, Bot, Ledger, Player, Said},
    until,
};

/// The same game after somebody has worked on it: its state has another schema.
#[derive(Default, Serialize, Deserialize)]
struct Changed(Ledger);

impl Simulation for Changed {
    const KIND: &'static str = Ledger::KIND;
    type Input = Act;
    type Command = Act;
    type Event = Said;
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("player", |kind| kind.hold("entry", &["input", "commands", "more"], 1))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, player: PlayerId, name: &str, step: &mut Step<'_, Said>) {
        self.0.join(player, name, step);
    }
    fn leave(&mut self, player: PlayerId, step: &mut Step<'_, Said>) {
        self.0.leave(player, step);
    }
    fn step(&mut self, inputs: &[PlayerInput<Act>], step: &mut Step<'_, Said>) {
        self.0.step(inputs, step);
    }
    fn snapshot(&self, out: &mut Snapshot) {
        for (player, (input, commands, _)) in &self.0.players {
            out.table_mut(0).push(*player, &[*input as i32, *commands as i32, 0]);
        }
    }
}

/// The settings of the server that a child process runs, if it is to run one.
const SETTINGS: &str = "STORE_TEST_SERVER";

/// Not a test of its own: this program as a server, for the others, which start it as another process.
#[test]
fn a_process_of_its_own() {
    let Ok(settings) = std::env::var(SETTINGS) else { return };
    let settings: Vec<&str> = settings.split('|').collect();
    let config = Config {
        listen: settings[0].parse().unwrap(),
        store: Some(settings[1].into()),
        durability: settings[2].parse().unwrap(),
        checkpoint_every: Duration::from_millis(settings[3].parse().unwrap()),
        store_mismatch: if settings[4] == "wait" { StoreMismatch::Wait } else { StoreMismatch::Anew },
        threads: 2,
        workers: 1,
        ..Config::default()
    };
    let changed = settings[5] == "changed";
    let game = if changed { GameKind::of::<Changed>() } else { GameKind::of::<Ledger>() };
    actix_web::rt::System::new().block_on(async {
        let (_running, serving) = Server::new(&[game]).start(config).unwrap();
        serving.await.unwrap();
    });
}

/// Such a server. Killed when it is dropped.
struct Process(Child);

impl Process {
    /// Starts it, and waits until it listens.
    fn start(address: SocketAddr, store: &Path, durability: &str, every_ms: u32) -> Self {
        Self::with(address, store, &format!("{durability}|{every_ms}|anew|unchanged"))
    }

    fn with(address: SocketAddr, store: &Path, settings: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["a_process_of_its_own", "--exact", "--nocapture"]);
        command.env(SETTINGS, format!("{address}|{}|{settings}", store.display()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let mut process = Self(child);
        until("the server listens", || {
            assert!(process.0.try_wait().unwrap().is_none(), "the server has ended");
            TcpStream::connect(address).is_ok()
        });
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap(); // SIGKILL
        self.0.wait().unwrap();
    }
}

/// An address that nobody listens on.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What is to be survived.
struct Trial {
    rooms: u32,
    /// In each room.
    players: u32,
    durability: &'static str,
    every_ms: u32,
    kills: u32,
    /// What happens to the store between a server that was killed and the next one.
    between: fn(&Path),
}

fn nothing(_: &Path) {}

/// Another server has the store meanwhile, which has not the game of its rooms, and has a room of its own.
fn another_game(store: &Path) {
    let config = Config {
        store: Some(store.to_owned()),
        store_mismatch: StoreMismatch::Wait,
        durability: "journal".parse().unwrap(),
        ..util::config()
    };
    let server = util::TestServer::start(config);
    let mut ann = util::Player::named(server.address(), "terrace", "ann");
    ann.chat("meanwhile");
    assert_eq!(ann.next_chat().1, "meanwhile");
    thread::scope(|scope| {
        scope.spawn(|| drop(server));
        ann.goodbye();
    });
}

/// Rooms of players, while the server is killed several times. Returns what the players know at the end, and
/// how long after the listener each was back in its seat, sorted.
fn survive(trial: &Trial) -> (Vec<Player>, Vec<Duration>) {
    let Trial { rooms, players, durability, every_ms, kills, between } = *trial;
    let all = rooms * players;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let address = free_address();
    let may_lose = durability != "journal";
    let mut server = Process::start(address, &store, durability, every_ms);
    let (stop, back) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Instant>>>::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let tasks: Vec<_> = (0..all)
        .map(|n| {
            let room = format!("room{}", n % rooms);
            let bot = Bot { address, room, transport: TransportKind::WebSocket, may_lose, patient: false };
            runtime.spawn(bot.play(stop.clone(), back.clone()))
        })
        .collect();
    until("all play", || {
        let metrics = http::get(address, "/metrics").body;
        metrics.contains(&format!("\ndriftless_players {all}\n"))
    });
    let (mut random, mut took) = (0x9e37_79b9_u32, Vec::new());
    for kill in 1..=kills {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        thread::sleep(Duration::from_millis(300 + u64::from(random % 400)));
        back.lock().unwrap().clear();
        drop(server);
        between(&store);
        server = Process::start(address, &store, durability, every_ms);
        let listening = Instant::now();
        until("everybody is back", || {
            assert!(!tasks.iter().any(|task| task.is_finished()), "a player has failed, after {kill} kills");
            back.lock().unwrap().len() >= all as usize
        });
        took.extend(back.lock().unwrap().iter().map(|at| at.saturating_duration_since(listening)));
    }
    thread::sleep(Duration::from_millis(300));
    stop.store(true, Relaxed);
    let players: Vec<Player> = runtime.block_on(async {
        let mut all = Vec::new();
        for task in tasks {
            all.push(tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap());
        }
        all
    });
    assert!(players.iter().all(|player| player.resumed == kills));
    took.sort_unstable();
    (players, took)
}

// Promise 10: "What was acknowledged as durable survives the death of its node."
#[test]
fn a_journaled_room_goes_on_where_it_was_whenever_its_server_is_killed() {
    let trial =
        Trial { rooms: 3, players: 3, durability: "journal", every_ms: 500, kills: 6, between: nothing };
    for player in survive(&trial).0 {
        let (said, refused) = (player.said.len(), player.refused.len());
        assert!(player.confirmed > 20 && said > 5 && refused > 0, "it played");
        assert!(player.rolled_back.is_empty());
    }
}

// The same, for a room that waits in the store for a server that has its game.
#[test]
fn a_journaled_room_that_waits_goes_on_where_it_was() {
    let (rooms, players, durability, every_ms, kills) = (2, 2, "journal", 60_000, 2);
    let trial = Trial { rooms, players, durability, every_ms, kills, between: another_game };
    for player in survive(&trial).0 {
        assert!(player.confirmed > 5, "it played");
        assert!(player.rolled_back.is_empty());
    }
}

#[test]
fn a_room_with_checkpoints_goes_back_to_one_and_says_so() {
    let trial =
        Trial { rooms: 3, players: 3, durability: "checkpoint", every_ms: 500, kills: 4, between: nothing };
    for player in survive(&trial).0 {
        assert!(!player.rolled_back.is_empty());
        assert!(player.rolled_back.windows(2).all(|two| two[0].1 <= two[1].0), "{:?}", player.rolled_back);
    }
}

/// For release builds, because debug builds are too slow for so many players. It says how long they are away:
/// `cargo test --release -p driftless-server --test store -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes, and needs a release build"]
fn two_hundred_rooms_of_ten_survive_fifty_kills() {
    let kills = std::env::var("STORE_TEST_KILLS").map_or(50, |kills| kills.parse().unwrap());
    let trial =
        Trial { rooms: 200, players: 10, durability: "journal", every_ms: 2_000, kills, between: nothing };
    let (players, took) = survive(&trial);
    assert!(players.iter().all(|player| player.rolled_back.is_empty()));
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!("back in the seat after the listener: p50 {:?}, p99 {:?}, all {:?}", at(0.5), at(0.99), at(1.0));
    assert!(at(1.0) < Duration::from_secs(2));
}

/// A room, of which another server is to take care whose game has changed.
fn left_to_a_changed_game() -> (tempfile::TempDir, SocketAddr, util::Player) {
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let server = Process::start(address, &folder.path().join("store"), "journal", 60_000);
    let mut ann = util::Player::join(address, "den");
    ann.input(&Act { number: 1 });
    ann.wait_state("the input", |state| (state.tables()[0].value(1, 0) == Some(1)).then_some(()));
    drop(server);
    ann.lose_connection();
    (folder, address, ann)
}

#[test]
fn a_room_whose_game_has_changed_begins_anew() {
    let (folder, address, mut ann) = left_to_a_changed_game();
    let store = folder.path().join("store");
    let server = Process::with(address, &store, "journal|60000|anew|changed");
    ann.reconnect_at(address);
    assert_eq!(ann.ended(), CloseCode::UnknownSession);
    let mut ann = util::Player::join(address, "den");
    ann.wait_state("a new room", |state| (state.tables()[0].value(1, 0) == Some(0)).then_some(()));
    drop(server);
    ann.lose_connection();
    let _server = Process::with(address, &store, "journal|60000|anew|changed");
    ann.reconnect_at(address);
    assert!(ann.welcomed().resumed, "the new one goes on");
}

#[test]
fn a_room_whose_game_has_changed_waits_if_it_is_to_and_goes_on_with_its_game() {
    let (folder, address, mut ann) = left_to_a_changed_game();
    let store = folder.path().join("store");
    // Twice: what waits is left as it is.
    for _ in 0..2 {
        let _server = Process::with(address, &store, "journal|60000|wait|changed");
        let mut bob = util::Player::on(util::Socket::connect(address), address, util::join("den"));
        let told = bob.goodbye().reason;
        assert!(told.contains("the schema of its game has changed"), "{told}");
    }
    let _server = Process::with(address, &store, "journal|60000|wait|unchanged");
    ann.reconnect_at(address);
    let welcome = ann.welcomed();
    assert!(welcome.resumed && welcome.undone.is_empty(), "{welcome:?}");
    ann.wait_state("the input", |state| (state.tables()[0].value(1, 0) == Some(1)).then_some(()));
}

#[test]
fn a_room_that_stops_in_order_goes_on_without_a_loss() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config {
        store: Some(folder.path().join("store")),
        durability: "checkpoint".parse().unwrap(),
        ..util::config()
    };
    let before = util::TestServer::start(config());
    let mut ann = util::Player::named(before.address(), "lobby", "ann");
    ann.chat("before");
    assert_eq!(ann.next_chat().1, "before");
    std::thread::scope(|scope| {
        scope.spawn(|| drop(before));
        ann.goodbye();
    });
    ann.lose_connection();
    let after = util::TestServer::start(config());
    ann.reconnect_at(after.address());
    let welcome = ann.welcomed();
    assert!(welcome.resumed && welcome.undone.is_empty(), "{welcome:?}");
    assert_eq!(after.get("/healthz").status, 200);
}
