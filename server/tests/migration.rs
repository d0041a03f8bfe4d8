//! Rooms that go on at another node while people play in them and watch, through a real Redis.

#![allow(unsafe_code, reason = "signals for a child")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_client::TransportKind;
use driftless_proto::code::CloseCode;
use driftless_server::{Server, config::Config};
use driftless_sim::GameKind;
use serde_json::Value;
use std::{
    env,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use util::{
    PATIENCE, TestServer, config, eventually, http,
    ledger::{Bot, Ledger, Player, Watcher, watch},
    process,
    redis::Redis,
    sse::Sse,
    until,
};

/// The arguments of the server that a process runs, if it is to run one.
const ARGUMENTS: &str = "MIGRATION_TEST";

/// Not a test of its own: this program as a server, for the others, which start it as another process.
#[test]
fn a_process_of_its_own() {
    let Ok(arguments) = env::var(ARGUMENTS) else { return };
    let arguments = ["driftless"].into_iter().chain(arguments.split('|')).map(Into::into);
    let ended = Server::new(&[GameKind::of::<Ledger>()]).main_with(arguments);
    assert_eq!(format!("{ended:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
}

/// A node in a process of its own, at an address that it keeps when it is started again.
struct OwnNode {
    address: SocketAddr,
    arguments: String,
    child: Child,
}

impl OwnNode {
    fn start(redis: &Redis, name: &str) -> Self {
        Self::with(redis, name, &[])
    }

    fn with(redis: &Redis, name: &str, more: &[&str]) -> Self {
        let address = free_address();
        let (listen, redis) = (address.to_string(), redis.url());
        let arguments = [
            "serve",
            "--listen",
            &listen,
            "--threads",
            "2",
            "--workers",
            "1",
            "--log",
            "warn",
            "--redis",
            &redis,
            "--node",
            name,
            "--admin-token",
            TOKEN,
        ];
        let arguments = [&arguments[..], more].concat().join("|");
        Self { address, child: Self::run(address, &arguments), arguments }
    }

    fn run(address: SocketAddr, arguments: &str) -> Child {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["a_process_of_its_own", "--exact", "--nocapture"]).env(ARGUMENTS, arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        until("the node listens", || {
            assert!(child.try_wait().unwrap().is_none(), "the node has ended");
            TcpStream::connect(address).is_ok()
        });
        child
    }

    /// Drains it, waits for its end, and starts it again.
    fn restart(&mut self) -> Duration {
        let start = Instant::now();
        // SAFETY: kill has no preconditions; the child has not been waited for, so the number is its own.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) }, 0);
        let status = eventually("the node ends", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
        let took = start.elapsed();
        self.child = Self::run(self.address, &self.arguments);
        took
    }

    fn players(&self) -> usize {
        http::get(self.address, "/metrics").metric("driftless_players") as usize
    }

    fn ticks(&self) -> f64 {
        http::get(self.address, "/metrics").metric("driftless_ticks_total")
    }

    /// How many nodes it knows.
    fn knows(&self) -> usize {
        let token = format!("authorization: Bearer {TOKEN}\r\n");
        let said = http::send(self.address, "GET", "/v1/nodes", &token, "");
        if said.status == 200 { said.json()["nodes"].as_array().unwrap().len() } else { 0 }
    }
}

impl Drop for OwnNode {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TOKEN: &str = "operators-of-the-test-of-migrations";

/// An address that nobody listens on, over TCP or UDP.
fn free_address() -> SocketAddr {
    loop {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

const TRANSPORTS: [TransportKind; 2] = [TransportKind::WebSocket, TransportKind::Quic];

/// A node with the ledger.
fn node(redis: &Redis, name: &str) -> TestServer {
    let config = Config { redis: redis.url().parse().ok(), node: Some(name.into()), ..config() };
    TestServer::with(config, GameKind::of::<Ledger>())
}

/// Those who play and watch until they are stopped.
struct Crowd {
    runtime: tokio::runtime::Runtime,
    stop: Arc<AtomicBool>,
    back: Arc<Mutex<Vec<Instant>>>,
    bots: Vec<JoinHandle<Player>>,
    watchers: Vec<JoinHandle<Watcher>>,
}

impl Crowd {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let (stop, back) = (Arc::default(), Arc::default());
        Self { runtime: runtime.unwrap(), stop, back, bots: Vec::new(), watchers: Vec::new() }
    }

    /// So many players over each transport.
    fn play(&mut self, address: SocketAddr, room: &str, each: usize) {
        for transport in TRANSPORTS.iter().flat_map(|transport| std::iter::repeat_n(*transport, each)) {
            let bot = Bot { address, room: room.to_owned(), transport, may_lose: false, patient: false };
            self.bots.push(self.runtime.spawn(bot.play(self.stop.clone(), self.back.clone())));
        }
    }

    /// One who watches over each transport.
    fn watch(&mut self, address: SocketAddr, room: &str) {
        for transport in TRANSPORTS {
            let watching = watch(address, room.to_owned(), transport, self.stop.clone());
            self.watchers.push(self.runtime.spawn(watching));
        }
    }

    fn check(&self) {
        assert!(!self.bots.iter().any(JoinHandle::is_finished), "a player has failed");
        assert!(!self.watchers.iter().any(JoinHandle::is_finished), "a spectator has failed");
    }

    /// Waits until all players have come back so often.
    fn all_back(&self, times: usize) {
        until("everybody is back", || {
            self.check();
            self.back.lock().unwrap().len() >= times * self.bots.len()
        });
    }

    fn end(self) -> (Vec<Player>, Vec<Watcher>) {
        self.stop.store(true, Relaxed);
        self.runtime.block_on(async {
            let (mut players, mut watchers) = (Vec::new(), Vec::new());
            for bot in self.bots {
                players.push(tokio::time::timeout(PATIENCE, bot).await.unwrap().unwrap());
            }
            for watcher in self.watchers {
                watchers.push(tokio::time::timeout(PATIENCE, watcher).await.unwrap().unwrap());
            }
            (players, watchers)
        })
    }
}

/// Makes a room of the ledger at a node, once rooms can be made.
fn make(at: &TestServer, room: &str) {
    let spec = format!(r#"{{"name":"{room}","kind":"ledger"}}"#);
    let made = eventually("Redis has settled", || {
        Some(at.post("/v1/rooms", &spec)).filter(|made| made.status != 503)
    });
    assert_eq!(made.status, 201, "{}", made.body);
}

/// Waits until the room has played for a second.
fn plays(at: &TestServer, room: &str) {
    let tick = || at.running().registry().get(room).expect("it is here").shared.tick.load(Relaxed);
    let before = tick();
    until("the room plays", || tick() > before + 20);
}

fn sees(node: &TestServer, name: &str) -> bool {
    let said = node.get_as_operator("/v1/nodes").json();
    said["nodes"].as_array().unwrap().iter().any(|node| node["name"] == name)
}

fn move_to(at: &TestServer, room: &str, body: &str) -> (u16, Value) {
    let answer = at.post(&format!("/v1/rooms/{room}/move"), body);
    (answer.status, answer.json())
}

/// Prints how long players and spectators were without a state.
fn print_gaps(what: &str, gaps: &mut [Duration]) -> Duration {
    gaps.sort_unstable();
    let last = gaps.len() - 1;
    let [p50, p99] = [last / 2, last * 99 / 100].map(|n| gaps[n]);
    println!(
        "{what} without a state, {} times: p50 {p50:?}, p99 {p99:?}, at most {:?}",
        gaps.len(),
        gaps[last]
    );
    p99
}

// Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window." The players
// check it, and that ticks do not go back; spectators that they miss nothing.
#[test]
fn a_room_goes_to_and_fro_and_nobody_misses_anything() {
    const TIMES: usize = 6;
    let redis = Redis::start();
    let (a, b) = (node(&redis, "a"), node(&redis, "b"));
    make(&a, "hall");
    until("they see each other", || sees(&a, "b") && sees(&b, "a"));
    let mut crowd = Crowd::new();
    crowd.play(b.address(), "hall", 8); // those at b are sent to a
    until("all play", || a.players() == 16);
    crowd.watch(b.address(), "hall");
    let mut stood = Vec::new();
    for times in 1..=TIMES {
        let (from, to, name) = if times % 2 == 1 { (&a, &b, "b") } else { (&b, &a, "a") };
        plays(from, "hall");
        let (status, said) = move_to(from, "hall", &format!(r#"{{"node":"{name}"}}"#));
        assert_eq!((status, said["node"].as_str()), (200, Some(name)), "{said}");
        stood.push(said["stood_ms"].as_u64().unwrap());
        crowd.all_back(times);
        assert_eq!((from.running().registry().len(), from.players()), (0, 0));
        assert_eq!((to.running().registry().len(), to.players()), (1, 16));
    }
    plays(&a, "hall");
    let (players, watchers) = crowd.end();
    println!("the room stood still for {stood:?} ms until its players were told");
    for player in &players {
        assert_eq!((player.resumed as usize, player.gaps.len(), player.missed), (TIMES, TIMES, 0));
        assert!(player.confirmed > 50 && player.said.len() > 5 && player.rolled_back.is_empty(), "it played");
    }
    for watcher in &watchers {
        assert_eq!((watcher.welcomes, watcher.gaps.len()), (TIMES + 1, TIMES));
        assert!(watcher.events > 50, "{}", watcher.events);
    }
    let mut gaps: Vec<_> = players.iter().flat_map(|player| player.gaps.clone()).collect();
    print_gaps("players", &mut gaps);
    let mut gaps: Vec<_> = watchers.iter().flat_map(|watcher| watcher.gaps.clone()).collect();
    print_gaps("spectators", &mut gaps);
}

// Promise 4 bounds what an address may make at a node. What it has made goes on all the same.
#[test]
fn a_room_goes_to_a_node_where_its_maker_has_made_as_many_as_one_address_may() {
    let redis = Redis::start();
    let start = |name: &str| {
        TestServer::start(Config {
            redis: redis.url().parse().ok(),
            node: Some(name.into()),
            trusted_proxy: "127.0.0.0/8".parse().unwrap(),
            max_rooms_per_address: 1,
            linger: Duration::from_secs(600),
            ..config()
        })
    };
    let (a, b) = (start("a"), start("b"));
    until("they see each other", || sees(&a, "b") && sees(&b, "a"));
    let make = |at: &TestServer, mode: &str| {
        let wanted = format!(r#"{{"kind":"arena","filter":"mode = \"{mode}\""}}"#);
        eventually("an answer", || {
            let made =
                http::send(at.address(), "POST", "/v1/match", "x-forwarded-for: 192.0.2.2\r\n", &wanted);
            // Redis has yet to settle; and requests are limited, too.
            let again = made.status == 503 || made.status == 429 && made.error_code() == "too_often";
            (!again).then_some(made)
        })
    };
    let made = make(&a, "x");
    assert_eq!((made.status, make(&b, "y").status), (200, 200), "{made:?}");
    let room = made.json()["room"]["name"].as_str().unwrap().to_owned();
    let (status, said) = move_to(&a, &room, r#"{"node":"b"}"#);
    assert_eq!((status, said["node"].as_str()), (200, Some("b")), "{said}");
    assert_eq!(b.get(&format!("/v1/rooms/{room}")).status, 200);
    let refused = make(&b, "z");
    assert_eq!((refused.status, refused.error_code()), (429, "too_many_rooms_of_address".into()));
    until("it counts at its first node no more", || make(&a, "z").status == 200);
}

// "A rolling restart of three nodes: 0 errors, no player loses a seat." Each player and spectator panics if
// it loses its seat, if an event comes twice or not at all, if a tick is older than one before, or if its
// connection ends with an error.
#[test]
fn what_is_kept_of_a_room_that_moves_is_written_by_its_owner_alone() {
    let redis = Redis::start();
    let kept = |name: &str| {
        let config = Config {
            redis: redis.url().parse().ok(),
            node: Some(name.into()),
            durability: "journal".parse().unwrap(),
            ..config()
        };
        TestServer::with(config, GameKind::of::<Ledger>())
    };
    let (a, b) = (kept("a"), kept("b"));
    make(&a, "hall");
    until("they see each other", || sees(&a, "b") && sees(&b, "a"));
    let journal = || redis.value("{driftless}:frames:hall");
    for (from, to, name) in [(&a, &b, "b"), (&b, &a, "a"), (&a, &b, "b")] {
        plays(from, "hall");
        let (status, said) = move_to(from, "hall", &format!(r#"{{"node":"{name}"}}"#));
        assert_eq!((status, said["node"].as_str()), (200, Some(name)), "{said}");
        plays(to, "hall");
        let before = journal();
        until("its journal goes on", || journal() != before);
    }
    for node in [&a, &b] {
        let metrics = node.get("/metrics").body;
        assert!(metrics.contains("driftless_store_failures_total{what=\"refused\"} 0"), "{metrics}");
    }
}

#[test]
fn nobody_loses_a_seat_in_a_rolling_restart() {
    const ROOMS: usize = 6;
    let redis = Redis::start();
    let mut nodes = ["a", "b", "c"].map(|name| OwnNode::start(&redis, name));
    until("they know each other", || nodes.iter().all(|node| node.knows() == 3));
    let mut crowd = Crowd::new();
    for room in 0..ROOMS {
        let address = nodes[room % 3].address;
        let name = format!("room{room}");
        let token = format!("authorization: Bearer {TOKEN}\r\n");
        let spec = format!(r#"{{"name":"{name}"}}"#);
        let made = eventually("Redis has settled", || {
            Some(http::send(address, "POST", "/v1/rooms", &token, &spec)).filter(|made| made.status != 503)
        });
        assert_eq!(made.status, 201, "{}", made.body);
        crowd.play(address, &name, 5);
        crowd.watch(address, &name);
    }
    let all = ROOMS * 10;
    let players = |nodes: &[OwnNode; 3]| nodes.iter().map(OwnNode::players).sum::<usize>();
    until("all play", || {
        crowd.check();
        players(&nodes) == all
    });
    for n in 0..3 {
        let took = nodes[n].restart();
        println!("node {n} had drained after {took:?}");
        until("they know each other", || nodes.iter().all(|node| node.knows() == 3));
        until("all play", || {
            crowd.check();
            players(&nodes) == all
        });
        let ticks = || nodes.iter().map(|node| node.ticks()).sum::<f64>();
        let before = ticks();
        until("they play on for a while", || ticks() > before + 60.0);
    }
    crowd.check();
    let (players, watchers) = crowd.end();
    for player in &players {
        assert!(player.rolled_back.is_empty() && player.confirmed > 20, "it played");
        assert_eq!(player.missed, 0, "inputs are lost");
    }
    let moves: u32 = players.iter().map(|player| player.resumed).sum();
    assert!(moves as usize >= all, "each room went somewhere: {moves}");
    let mut gaps: Vec<_> = players.iter().flat_map(|player| player.gaps.clone()).collect();
    print_gaps("players", &mut gaps);
    let mut gaps: Vec<_> = watchers.iter().flat_map(|watcher| watcher.gaps.clone()).collect();
    print_gaps("spectators", &mut gaps);
}

// A goodbye would have them wait before they come back (`drain_spread`), although they know where their room
// is; and nobody may be cut off who has been told nothing.
#[test]
fn whoever_goes_with_a_room_in_a_drain_is_told_where_and_nothing_else() {
    const ROOMS: usize = 6;
    let redis = Redis::start();
    let (a, b) = (node(&redis, "a"), node(&redis, "b"));
    until("they see each other", || sees(&a, "b") && sees(&b, "a"));
    let mut crowd = Crowd::new();
    for room in 0..ROOMS {
        let name = format!("room{room}");
        make(&a, &name);
        crowd.play(a.address(), &name, 3);
        crowd.watch(a.address(), &name);
    }
    let (players, all) = (ROOMS * 6, ROOMS * 8);
    let watch = |node: &TestServer| node.running().metrics().rooms.spectators.get() == 2 * ROOMS as i64;
    until("all play and watch", || a.players() == players as i64 && watch(&a));
    actix_rt::System::new().block_on(a.running().drain());
    let told = |reason| a.disconnects(reason);
    assert_eq!((told("moved"), told("draining"), told("lost")), (all as u64, 0, 0));
    crowd.all_back(1);
    until("all play and watch", || b.players() == players as i64 && watch(&b));
    let (players, watchers) = crowd.end();
    assert!(players.iter().all(|player| player.missed == 0 && player.resumed == 1));
    assert!(watchers.iter().all(|watcher| watcher.welcomes == 2));
}

#[test]
fn a_room_that_cannot_go_stays_and_its_operator_is_told_why() {
    let redis = Redis::start();
    let bare = Config { redis: redis.url().parse().ok(), node: Some("bare".into()), ..config() };
    let (a, b, _bare) = (node(&redis, "a"), node(&redis, "b"), TestServer::start(bare));
    make(&a, "hall");
    until("they see each other", || ["b", "bare"].iter().all(|name| sees(&a, name)) && sees(&b, "a"));
    let mut crowd = Crowd::new();
    crowd.play(a.address(), "hall", 1);
    until("all play", || a.players() == 2);
    let refused = |at: &TestServer, room: &str, body: &str| {
        let (status, said) = move_to(at, room, body);
        (status, said["code"].as_str().unwrap_or_default().to_owned())
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(refused(&a, "hall", r#"{"node":"nobody"}"#), is(409, "no_such_node"));
    assert_eq!(refused(&a, "hall", r#"{"node":"a"}"#), is(409, "same_node"));
    assert_eq!(refused(&a, "hall", r#"{"node":"bare"}"#), is(409, "node_unable"), "it lacks the game");
    assert_eq!(refused(&a, "attic", "{}"), is(404, "no_such_room"));
    assert_eq!(refused(&b, "hall", "{}"), is(409, "room_elsewhere"));
    assert_eq!(refused(&a, "hall", r#"{"knot":"b"}"#), is(400, "malformed_json"));
    assert_eq!(a.get("/v1/rooms/hall/move").status, 405);
    let single = TestServer::with(config(), GameKind::of::<Ledger>());
    assert_eq!(refused(&single, "hall", "{}"), is(409, "single_node"));
    plays(&a, "hall");
    assert_eq!(a.running().metrics().nodes.migrations.get("node_unable"), 1);
    // Any node is the one that has its game.
    let (status, said) = move_to(&a, "hall", "");
    assert_eq!((status, said["node"].as_str()), (200, Some("b")), "{said}");
    crowd.all_back(1);
    plays(&b, "hall");
    assert_eq!(a.running().metrics().nodes.migrations.get("moved"), 1);
    let (players, _) = crowd.end();
    assert!(players.iter().all(|player| player.missed == 0 && player.resumed == 1));
}

// The other node stands still, so it takes no room: players see nothing new for a second, and the room goes
// on where it was.
#[test]
fn a_room_goes_on_where_it_was_if_the_other_node_does_not_take_it() {
    let redis = Redis::start();
    let (a, b) = (node(&redis, "a"), OwnNode::start(&redis, "b"));
    make(&a, "hall");
    until("they see each other", || sees(&a, "b"));
    let mut crowd = Crowd::new();
    crowd.play(a.address(), "hall", 2);
    crowd.watch(a.address(), "hall");
    until("all play", || a.players() == 4);
    let signal = |signal| {
        // SAFETY: kill has no preconditions; the child has not been waited for, so the number is its own.
        assert_eq!(unsafe { libc::kill(b.child.id().cast_signed(), signal) }, 0);
    };
    signal(libc::SIGSTOP);
    let (status, said) = move_to(&a, "hall", r#"{"node":"b"}"#);
    assert_eq!((status, said["code"].as_str()), (409, Some("stayed")), "{said}");
    plays(&a, "hall");
    signal(libc::SIGCONT);
    // What it is told late changes nothing.
    plays(&a, "hall");
    crowd.check();
    assert_eq!((a.players(), a.running().registry().len()), (4, 1));
    let (players, watchers) = crowd.end();
    assert!(players.iter().all(|player| player.missed == 0 && player.resumed == 0));
    assert!(watchers.iter().all(|watcher| watcher.welcomes == 1 && watcher.events > 5));
}

// Promise 5: "A player MUST be reported joined once, left once, with the true reason; no ghosts after the
// timeout."
#[test]
fn who_leaves_a_room_on_its_way_has_no_seat_where_it_arrives() {
    let redis = Redis::start();
    let config = Config {
        redis: redis.url().parse().ok(),
        node: Some("a".into()),
        resume_window: Duration::from_secs(3_600),
        lease: Duration::from_secs(6), // longer than b stands still
        ..config()
    };
    let a = TestServer::with(config, GameKind::of::<Ledger>());
    let b = OwnNode::with(&redis, "b", &["--resume-window", "1h", "--lease", "6s"]);
    make(&a, "hall");
    until("they see each other", || sees(&a, "b"));
    let mut stays = util::Player::join(a.address(), "hall");
    let signal = |signal| {
        // SAFETY: kill has no preconditions; the child has not been waited for, so the number is its own.
        assert_eq!(unsafe { libc::kill(b.child.id().cast_signed(), signal) }, 0);
    };
    let tick = || a.running().registry().get("hall").map(|room| room.shared.tick.load(Relaxed));
    // If it takes too long until b goes on, the room goes on here.
    until("it goes while somebody leaves", || {
        let mut goes = util::Player::join(a.address(), "hall");
        assert_eq!(a.players(), 2);
        signal(libc::SIGSTOP);
        std::thread::scope(|scope| {
            let moves = scope.spawn(|| move_to(&a, "hall", r#"{"node":"b"}"#));
            until("it stands still", || {
                let before = tick();
                std::thread::sleep(Duration::from_millis(150));
                tick() == before || moves.is_finished()
            });
            goes.leave();
            until("the seat has ended", || a.players() < 2);
            signal(libc::SIGCONT);
            moves.join().unwrap().0 == 200
        })
    });
    until("b has who stays, and nobody else", || b.players() == 1);
    assert_eq!(stays.ended(), CloseCode::Moved);
    stays.reconnect_at(b.address);
    assert!(stays.welcomed().resumed);
}

// "Whoever looks for a room finds it": before, while and after it goes from one node to another.
#[test]
fn a_room_on_its_way_is_in_every_lobby_once() {
    let redis = Redis::start();
    let nodes = ["a", "b", "c"].map(|name| node(&redis, name));
    let names = |at: &TestServer| {
        let said = at.get("/v1/lobby?kind=ledger").json();
        let rooms = said["rooms"].as_array().unwrap().iter();
        rooms.map(|room| room["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    make(&nodes[0], "hall");
    until("they see each other", || nodes.iter().all(|at| ["a", "b", "c"].iter().all(|of| sees(at, of))));
    until("it is in every lobby", || nodes.iter().all(|at| names(at) == ["hall"]));
    let asks = "accept: text/event-stream\r\n";
    let mut live = nodes.each_ref().map(|at| Sse::open(at.address(), "/v1/lobby?kind=ledger", asks));
    let stop = AtomicBool::new(false);
    let looked = std::thread::scope(|scope| {
        let look = |at| {
            let mut times = 0;
            while !stop.load(Relaxed) {
                assert_eq!(names(at), ["hall"]);
                times += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            times
        };
        let looks: Vec<_> = nodes.iter().map(|at| scope.spawn(move || look(at))).collect();
        for times in 0..4 {
            let (from, to) = (times % 2, (times + 1) % 2);
            let to_where = format!(r#"{{"node":"{}"}}"#, ["a", "b"][to]);
            // One that has just come may be busy.
            until("it has moved", || {
                let (status, said) = move_to(&nodes[from], "hall", &to_where);
                assert!(status == 200 || said["code"] == "room_busy", "{said}");
                status == 200
            });
            plays(&nodes[to], "hall");
        }
        stop.store(true, Relaxed);
        looks.into_iter().map(|look| look.join().unwrap()).min().unwrap()
    });
    assert!(looked > 20, "{looked}");
    assert_eq!(nodes[0].operate("DELETE", "/v1/rooms/hall", "").status, 204);
    for live in &mut live {
        let mut gone = Vec::new();
        while gone.is_empty() {
            let said: Value = serde_json::from_str(&live.data()).unwrap();
            gone.extend(said["gone"].as_array().into_iter().flatten().cloned());
            let rooms = said["rooms"].as_array().unwrap();
            assert!(rooms.len() <= 1 && (gone.is_empty() || rooms.is_empty()), "{said}");
        }
        assert_eq!(gone, ["hall"]);
    }
    until("it is in no lobby", || nodes.iter().all(|at| names(at).is_empty()));
}

#[test]
fn a_command_moves_a_room() {
    let redis = Redis::start();
    let (a, b) = (OwnNode::start(&redis, "a"), OwnNode::start(&redis, "b"));
    until("they know each other", || a.knows() == 2 && b.knows() == 2);
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    until("a room is made", || {
        http::send(a.address, "POST", "/v1/rooms", &token, r#"{"name":"hall"}"#).status == 201
    });
    let pid = a.child.id().to_string();
    let moved = process::command(&["move", "hall", "b", "--pid", &pid]).output().unwrap();
    let said = String::from_utf8_lossy(&moved.stdout).into_owned();
    assert!(moved.status.success() && said.starts_with("room hall goes on at node b"), "{moved:?}");
    until("it is at b", || http::get(b.address, "/v1/rooms/hall").status == 200);
    assert_eq!(http::get(a.address, "/v1/rooms/hall").status, 409);
    let again = process::command(&["move", "hall", "--any", "--pid", &pid]).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("the room is on node b"), "{again:?}");
}
