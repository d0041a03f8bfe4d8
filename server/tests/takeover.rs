//! Rooms of a node that is killed, or stands still: others go on with them.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_client::{Client, Event, Options, TransportKind};
use driftless_proto::code::CloseCode;
use driftless_server::{Server, config::Config};
use driftless_sim::GameKind;
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use util::{
    PATIENCE, eventually, http,
    ledger::{Act, Bot, Ledger, Player},
    quic::wait,
    redis::Redis,
    until,
};

/// The settings of the server that a child process runs, if it is to run one.
const SETTINGS: &str = "TAKEOVER_TEST_SERVER";
/// What a child process says before the address on which it listens.
const LISTENS: &str = "listens on ";

/// The journal of a room.
const FRAMES: &str = "{driftless}:frames:lobby";

/// Not a test of its own: this program as a server, for the others, which start it as another process.
#[test]
fn a_process_of_its_own() {
    let Ok(settings) = std::env::var(SETTINGS) else { return };
    let settings: Vec<&str> = settings.split('|').collect();
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        redis: settings[0].parse().ok(),
        durability: settings[1].parse().unwrap(),
        checkpoint_every: Duration::from_millis(settings[2].parse().unwrap()),
        lease: Duration::from_millis(settings[3].parse().unwrap()),
        threads: 2,
        workers: 1,
        ..Config::default()
    };
    actix_web::rt::System::new().block_on(async {
        let (running, serving) = Server::new(&[GameKind::of::<Ledger>()]).start(config).unwrap();
        println!("{LISTENS}{}", running.address());
        serving.await.unwrap();
    });
}

/// Such a server. Killed when it is dropped.
struct Node {
    child: Child,
    address: SocketAddr,
}

impl Node {
    /// Starts it, and waits until it listens and may have rooms.
    fn start(redis: &Redis, durability: &str, every_ms: u32, lease_ms: u32) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["a_process_of_its_own", "--exact", "--nocapture"]);
        command.env(SETTINGS, format!("{}|{durability}|{every_ms}|{lease_ms}", redis.url()));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = out.find_map(|line| line.unwrap().split_once(LISTENS)?.1.parse().ok()).unwrap();
        // Keeps reading, so that its output can never block it.
        thread::spawn(move || out.for_each(drop));
        let node = Self { child, address };
        until("the node has a lease", || http::get(address, "/readyz").status == 200);
        node
    }

    fn kill(mut self) {
        self.child.kill().unwrap(); // SIGKILL
        self.child.wait().unwrap();
    }

    #[allow(unsafe_code, reason = "a signal for a child")]
    fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: kill has no preconditions; the child has not been waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "the process is there");
    }

    fn metric(&self, name: &str) -> f64 {
        metric(self.address, name)
    }

    /// Makes a room here, which somebody has to join soon.
    fn make(&self, room: &str) {
        let options = Options::new(format!("ws://{}", self.address), room).kind("ledger");
        let options = options.transports([TransportKind::WebSocket]);
        let before = self.metric("driftless_rooms_created_total");
        drop(eventually("Redis has settled", || wait(Client::connect(options.clone())).ok()));
        assert_eq!(
            self.metric("driftless_rooms_created_total"),
            before + 1.0,
            "it is made where it is wanted"
        );
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn metric(at: SocketAddr, name: &str) -> f64 {
    let metrics = http::get(at, "/metrics").body;
    let of = |line: &str| line.strip_prefix(name)?.split_whitespace().last()?.parse::<f64>().ok();
    metrics.lines().filter_map(of).sum()
}

/// Players who play, while nodes fail.
struct Crowd {
    runtime: tokio::runtime::Runtime,
    tasks: Vec<tokio::task::JoinHandle<Player>>,
    stop: Arc<AtomicBool>,
    back: Arc<Mutex<Vec<Instant>>>,
}

impl Crowd {
    /// So many in each of these rooms. They knock at `doors` in turn.
    fn play(doors: &[SocketAddr], rooms: &[String], each: usize, transport: TransportKind) -> Self {
        let (stop, back) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Instant>>>::default());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let all = rooms.iter().flat_map(|room| std::iter::repeat_n(room, each)).enumerate();
        let play = |(n, room): (usize, &String)| {
            let address = doors[n % doors.len()];
            let bot = Bot { address, room: room.clone(), transport, may_lose: true, patient: true };
            runtime.spawn(bot.play(stop.clone(), back.clone()))
        };
        let tasks = all.map(play).collect();
        Self { runtime, tasks, stop, back }
    }

    /// Waits until all are in their seats again, and how long after `since` they were, sorted.
    fn are_back(&self, since: Instant) -> Vec<Duration> {
        until("everybody is back", || {
            assert!(!self.tasks.iter().any(|task| task.is_finished()), "a player has failed");
            self.back.lock().unwrap().len() >= self.tasks.len()
        });
        let mut back = self.back.lock().unwrap();
        let mut took: Vec<_> = back.iter().map(|at| at.saturating_duration_since(since)).collect();
        back.clear();
        took.sort_unstable();
        took
    }

    fn end(self) -> Vec<Player> {
        self.stop.store(true, Relaxed);
        let Self { runtime, tasks, .. } = self;
        runtime.block_on(async {
            let mut players = Vec::new();
            for task in tasks {
                players.push(tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap());
            }
            players
        })
    }
}

fn names(rooms: usize) -> Vec<String> {
    (0..rooms).map(|n| format!("room{n}")).collect()
}

/// Percentiles of what is sorted.
fn at(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// A node that is killed, and who plays there.
#[derive(Clone, Copy)]
struct Trial {
    durability: &'static str,
    every_ms: u32,
    lease_ms: u32,
    rooms: usize,
    /// In each room.
    players: usize,
    transport: TransportKind,
}

/// What became of the players of a node that was killed, with times since then.
struct Kill {
    /// How long its lease lasted.
    lease: Duration,
    /// When the last of its rooms went on.
    taken: Duration,
    /// When each player was in his seat again, sorted.
    back: Vec<Duration>,
    players: Vec<Player>,
}

/// A node with rooms is killed; two others have them then.
fn killed(trial: Trial) -> Kill {
    let Trial { durability, every_ms, lease_ms, rooms, players, transport } = trial;
    let redis = Redis::start();
    let start = || Node::start(&redis, durability, every_ms, lease_ms);
    let (dies, rooms) = (start(), names(rooms));
    // While there is no other.
    rooms.iter().for_each(|room| dies.make(room));
    let (left, right) = (start(), start());
    let crowd = Crowd::play(&[left.address, right.address], &rooms, players, transport);
    // Those who have made the rooms are away.
    let all = (rooms.len() * (players + 1)) as f64;
    until("all play", || dies.metric("driftless_players ") >= all);
    // Seats are kept with the next checkpoint, which each room has when all together have had some.
    let checkpoints = || dies.metric("driftless_checkpoints_total");
    let before = checkpoints();
    until("all seats are kept", || checkpoints() >= before + 3.0 * rooms.len() as f64);
    // The kill comes at any moment between two renewals.
    thread::sleep(Duration::from_millis(fastrand::u32(0..lease_ms / 5).into()));
    crowd.back.lock().unwrap().clear();
    let address = dies.address;
    dies.kill();
    let kill = Instant::now();
    let lease = redis.lease(address);
    let on = |node: &Node| node.metric("driftless_takeovers_total");
    until("its rooms go on", || on(&left) + on(&right) >= rooms.len() as f64);
    let taken = kill.elapsed();
    let back = crowd.are_back(kill);
    assert_eq!(on(&left) + on(&right), rooms.len() as f64, "each room goes on once");
    let by = |node: &Node| (node.metric("driftless_takeovers_total{by=\"knock\"}"), on(node));
    eprintln!(
        "{durability}, {} rooms: the lease lasted {lease:?}, all went on after {taken:?}, back after p50 {:?}, \
         p99 {:?}, all {:?}; by knocks and in all {:?} and {:?}; restored in {:.1} ms on average",
        rooms.len(),
        at(&back, 0.5),
        at(&back, 0.99),
        at(&back, 1.0),
        by(&left),
        by(&right),
        1e3 * (left.metric("driftless_takeover_duration_seconds_sum")
            + right.metric("driftless_takeover_duration_seconds_sum"))
            / rooms.len() as f64,
    );
    let commands = || left.metric("driftless_commands_total") + right.metric("driftless_commands_total");
    let before = commands();
    until("they play on", || commands() >= before + 2.0 * back.len() as f64);
    Kill { lease, taken, back, players: crowd.end() }
}

/// Whether a player of a room with a journal has lost no more than he may.
fn has_lost_a_moment_at_most(player: &Player) -> bool {
    // At 20 Hz, 20 ms are in one tick, or two.
    player.rolled_back.iter().all(|(after, until)| until - after <= 2)
}

const SMALL: Trial = Trial {
    durability: "journal",
    every_ms: 500,
    lease_ms: 1_000,
    rooms: 2,
    players: 3,
    transport: TransportKind::WebSocket,
};

// Promises 3 and 10
#[test]
fn a_journaled_room_of_a_killed_node_goes_on_elsewhere_and_loses_a_moment_at_most() {
    let trial = Trial { rooms: 4, players: 3, ..SMALL };
    for player in &killed(trial).players {
        assert!(player.confirmed > 10 && player.said.len() > 3 && player.resumed == 1, "it played");
        assert!(has_lost_a_moment_at_most(player), "{:?}", player.rolled_back);
    }
}

// Nobody tells them that the process is gone: what is lost on the way to a closed port looks like any loss.
#[test]
fn who_plays_over_quic_is_back_long_before_the_timeout_when_his_node_is_killed() {
    for transport in [TransportKind::Quic, TransportKind::WebTransport] {
        let Kill { back, players, .. } = killed(Trial { transport, ..SMALL });
        assert!(players.iter().all(|player| player.resumed == 1 && has_lost_a_moment_at_most(player)));
        // The timeout is 10 s.
        assert!(at(&back, 1.0) < Duration::from_secs(6), "{transport}: {back:?}");
    }
}

/// For release builds, because debug builds are too slow for so many players. It says how long they are away,
/// and what for: `cargo test --release -p driftless-server --test takeover -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes, and needs a release build"]
fn two_hundred_players_are_back_within_three_seconds_of_each_of_twenty_kills() {
    let (every_ms, lease_ms, rooms, players) = (10_000, 2_000, 20, 10);
    let trial = Trial { every_ms, lease_ms, rooms, players, ..SMALL };
    let kills: Vec<Kill> = (0..20).map(|_| killed(trial)).collect();
    let sorted = |of: &mut dyn Iterator<Item = Duration>| {
        let mut all: Vec<_> = of.collect();
        all.sort_unstable();
        all
    };
    let back = sorted(&mut kills.iter().flat_map(|kill| kill.back.iter().copied()));
    let leases = sorted(&mut kills.iter().map(|kill| kill.lease));
    let taking = sorted(&mut kills.iter().map(|kill| kill.taken.saturating_sub(kill.lease)));
    let after =
        |kill: &Kill| kill.back.iter().map(|back| back.saturating_sub(kill.taken)).collect::<Vec<_>>();
    let reconnecting = sorted(&mut kills.iter().flat_map(after));
    let parts = [
        ("back in the seat", &back),
        ("of that, until the lease was over", &leases),
        ("then, until all rooms went on", &taking),
        ("then, until the player was there", &reconnecting),
    ];
    for (part, all) in parts {
        println!("{part}: p50 {:?}, p99 {:?}, all {:?}", at(all, 0.5), at(all, 0.99), at(all, 1.0));
    }
    assert!(kills.iter().flat_map(|kill| &kill.players).all(has_lost_a_moment_at_most));
    assert!(at(&back, 0.99) < Duration::from_secs(3));
}

#[test]
fn a_room_with_checkpoints_of_a_killed_node_goes_back_to_one_and_says_so() {
    let trial = Trial { durability: "checkpoint", every_ms: 1_000, ..SMALL };
    for player in &killed(trial).players {
        assert!(player.resumed == 1 && player.rolled_back.len() == 1, "{:?}", player.rolled_back);
    }
}

// Promise 10: "A room has one owner."
#[test]
fn a_node_that_stands_still_finds_its_rooms_gone_on_elsewhere_and_is_not_heard() {
    let redis = Redis::start();
    let start = || Node::start(&redis, "journal", 60_000, 1_000);
    let stops = start();
    stops.make("lobby");
    let other = start();
    let mut ann = util::Player::join(stops.address, "lobby");
    ann.input(&Act { number: 1 });
    ann.wait_state("the input", |state| (state.tables()[0].value(2, 0) == Some(1)).then_some(()));
    // They come back in the moment in which it goes on, on connections that it has already.
    let mut back: Vec<_> = (0..20).map(|_| util::Player::join(stops.address, "lobby")).collect();
    let again: Vec<_> = back.iter().map(|_| util::Socket::connect(stops.address)).collect();
    // With the next tick, it is kept for certain.
    let before = redis.value(FRAMES).len();
    until("it is kept", || redis.value(FRAMES).len() > before);
    stops.signal(libc::SIGSTOP);
    for (player, socket) in back.iter_mut().zip(again) {
        player.reconnect_on(socket);
        player.transmit();
    }
    let mut bob = eventually("the other has the room", || {
        let options = Options::new(format!("ws://{}", other.address), "lobby").kind("ledger");
        let options = options.transports([TransportKind::WebSocket]);
        wait(Client::connect(options)).ok().filter(|client| client.welcome().is_some())
    });
    // The checkpoint for the seat of who has come takes frames away: it is due within a second of the room's.
    play(&mut bob, 25);
    for _ in 0..3 {
        let before = redis.value(FRAMES);
        until("what came before is written", || redis.value(FRAMES) != before);
    }
    let kept = redis.value(FRAMES);
    stops.signal(libc::SIGCONT);
    assert_eq!(ann.ended(), CloseCode::NodeLost);
    until("it has no room", || stops.metric("driftless_rooms ") == 0.0);
    // Only frames of the other have come since.
    until("the other goes on", || redis.value(FRAMES).len() > kept.len());
    assert!(redis.value(FRAMES).starts_with(&kept));
    for player in &mut back {
        let told = player.ended();
        let elsewhere = [CloseCode::Moved, CloseCode::RegistryUnavailable, CloseCode::NodeLost];
        assert!(elsewhere.contains(&told), "the seat is there, elsewhere: {told:?}");
    }
    // Its player has his seat there, with what he has done.
    ann.reconnect_at(other.address);
    assert!(ann.welcomed().resumed);
    ann.wait_state("the input", |state| (state.tables()[0].value(2, 0) == Some(1)).then_some(()));
    play(&mut bob, 1);
}

/// Takes in so many states.
fn play(client: &mut Client, states: usize) {
    let mut left = states;
    wait(async {
        while left > 0 {
            left -= usize::from(matches!(client.next().await.unwrap(), Event::State { .. }));
        }
    });
}
