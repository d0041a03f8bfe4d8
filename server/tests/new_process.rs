//! A server that is followed by a new process while players play: `driftless upgrade` and SIGUSR2.

#![allow(unsafe_code, reason = "calls of the kernel that no crate here wraps")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_client::TransportKind;
use driftless_server::Server;
use driftless_sim::GameKind;
use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{self, UnixDatagram, UnixStream},
        },
    },
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use util::{
    PATIENCE, eventually, http,
    ledger::{BOMB, Bot, Ledger, Player},
    process, until,
};

/// Longest time without a state, however busy the machine is.
const PAUSE: Duration = Duration::from_secs(5);
/// The arguments of the server that a process runs, if it is to run one.
const ARGUMENTS: &str = "NEW_PROCESS_TEST";
/// The operators' token.
const TOKEN: &str = "operators-of-the-ledger";

/// Not a test of its own: this program as a server, for the others, which start it as another process.
#[test]
fn a_process_of_its_own() {
    let Ok(arguments) = env::var(ARGUMENTS) else { return };
    let server = Server::new(&[GameKind::of::<Ledger>()]);
    let server = server.on(|_| {}); // as most have
    let arguments = ["driftless"].into_iter().chain(arguments.split('|')).map(Into::into);
    assert_eq!(
        format!("{:?}", server.main_with(arguments)),
        format!("{:?}", std::process::ExitCode::SUCCESS)
    );
}

/// A server, and those that follow it. All are killed when it is dropped.
struct Servers {
    address: SocketAddr,
    /// Numbers of the processes, the newest last.
    processes: Vec<u32>,
    first: Child,
    command: Command,
    folder: TempDir,
}

impl Servers {
    /// A server, in a folder of its own, with these arguments besides.
    fn start(more: &[&str]) -> Self {
        Self::with(more, |_, _| {})
    }

    fn with(more: &[&str], change: impl FnOnce(&mut Command, &Path)) -> Self {
        let (address, folder) = (free_address(), tempfile::tempdir().unwrap());
        let listen = address.to_string();
        let mut arguments =
            vec!["serve", "--listen", &listen, "--threads", "2", "--workers", "1", "--log", "info"];
        arguments.extend(more);
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["a_process_of_its_own", "--exact", "--nocapture"]);
        command.env(ARGUMENTS, arguments.join("|")).env(BOMB, folder.path().join("bomb"));
        command.env("DRIFTLESS_ADMIN_TOKEN", TOKEN);
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        change(&mut command, folder.path());
        let first = command.spawn().unwrap();
        let mut servers = Self { address, processes: vec![first.id()], first, command, folder };
        servers.listens();
        servers
    }

    fn listens(&mut self) {
        until("the server listens", || {
            assert!(self.first.try_wait().unwrap().is_none(), "the server has ended");
            TcpStream::connect(self.address).is_ok()
        });
        // It listens a moment before it serves and hears commands.
        assert_eq!(http::get(self.address, "/livez").status, 200);
    }

    /// Starts another, when there is none any more.
    fn start_again(&mut self) {
        self.first = self.command.spawn().unwrap();
        self.processes.push(self.first.id());
        self.listens();
    }

    fn newest(&self) -> u32 {
        *self.processes.last().unwrap()
    }

    /// What `driftless upgrade` does and says.
    fn upgrade(&self, more: &[&str]) -> Output {
        let pid = self.newest().to_string();
        process::command(&["upgrade", "--pid", &pid]).args(more).output().unwrap()
    }

    /// Has an upgrade fail, with such a reason.
    #[track_caller]
    fn fails(&self, more: &[&str], why: &str) {
        let told = self.upgrade(more);
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(told.status.code() == Some(1) && said.contains(why), "{more:?}: {told:?}");
    }

    /// A program to upgrade to, which is a shell's.
    fn script(&self, name: &str, text: &str) -> String {
        let file = self.folder.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file.display().to_string()
    }

    /// What an operator does.
    fn operate(&self, method: &str, path: &str) -> http::Response {
        http::send(self.address, method, path, &format!("authorization: Bearer {TOKEN}\r\n"), "")
    }

    fn terminate(&self) {
        // SAFETY: kill has no preconditions; the process is this test's.
        assert_eq!(unsafe { libc::kill(self.newest().cast_signed(), libc::SIGTERM) }, 0);
    }

    /// Upgrades it, and waits for the end of the old process.
    fn upgraded(&mut self) {
        let told = self.upgrade(&[]);
        let line = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(told.status.success(), "{told:?}");
        let number = line.strip_prefix("process ").and_then(|line| line.split(' ').next());
        let old = self.newest();
        self.processes.push(number.unwrap().parse().unwrap());
        self.ended(old);
    }

    fn ended(&mut self, process: u32) {
        if process == self.first.id() {
            let status = eventually("the old process ends", || self.first.try_wait().unwrap());
            assert!(status.success(), "{status}");
        }
        until("the old process is gone", || !is_running(process));
    }

    fn players(&self) -> usize {
        let metrics = http::get(self.address, "/metrics").body;
        let line = metrics.lines().find_map(|line| line.strip_prefix("driftless_players "));
        line.map_or(0, |number| number.parse().unwrap())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for process in &self.processes {
            // SAFETY: kill has no preconditions. The numbers are those of this test's processes.
            unsafe { libc::kill(process.cast_signed(), libc::SIGKILL) };
        }
        let _ = self.first.kill();
        let _ = self.first.wait();
    }
}

/// Whether a process is there, and not only waits for its parent to notice its end.
fn is_running(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// An address that nobody listens on, over TCP or UDP.
fn free_address() -> SocketAddr {
    loop {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// Bots that play until they are stopped.
struct Swarm {
    runtime: tokio::runtime::Runtime,
    stop: Arc<AtomicBool>,
    back: Arc<Mutex<Vec<Instant>>>,
    bots: Vec<JoinHandle<Player>>,
}

impl Swarm {
    /// So many bots over each of these transports, in four rooms.
    fn play(servers: &Servers, each: usize, transports: &[TransportKind]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let (runtime, stop) = (runtime.unwrap(), Arc::<AtomicBool>::default());
        let back = Arc::<Mutex<Vec<Instant>>>::default();
        let bots = transports.iter().flat_map(|transport| (0..each).map(|n| (*transport, n)));
        let bots: Vec<_> = bots
            .map(|(transport, n)| {
                let room = format!("room{}", n % 4);
                let bot = Bot { address: servers.address, room, transport, may_lose: false, patient: false };
                runtime.spawn(bot.play(stop.clone(), back.clone()))
            })
            .collect();
        until("all play", || servers.players() == bots.len());
        Self { runtime, stop, back, bots }
    }

    /// Waits until all have come back once more.
    fn all_back(&self, times: usize) {
        until("everybody is back", || {
            assert!(!self.bots.iter().any(JoinHandle::is_finished), "a player has failed");
            self.back.lock().unwrap().len() >= times * self.bots.len()
        });
    }

    /// Waits until the rooms have told all of them something new.
    fn goes_on(&self, servers: &Servers) {
        let ticks = || {
            let metrics = http::get(servers.address, "/metrics").body;
            let line = metrics.lines().find_map(|line| line.strip_prefix("driftless_ticks_total "));
            line.map_or(0, |number| number.parse::<u64>().unwrap())
        };
        let before = ticks();
        until("the rooms go on", || ticks() > before + 40);
    }

    fn end(self) -> Vec<Player> {
        self.stop.store(true, Relaxed);
        self.runtime.block_on(async {
            let mut all = Vec::new();
            for bot in self.bots {
                all.push(tokio::time::timeout(PATIENCE, bot).await.unwrap().unwrap());
            }
            all
        })
    }
}

/// Players over two transports, so many over each, whose server is upgraded twice.
fn survive_two_upgrades(each: usize, more: &[&str]) {
    let mut servers = Servers::start(more);
    let swarm = Swarm::play(&servers, each, &[TransportKind::WebSocket, TransportKind::Quic]);
    for times in 1..=2 {
        swarm.goes_on(&servers);
        servers.upgraded();
        swarm.all_back(times);
    }
    swarm.goes_on(&servers);
    let players = swarm.end();
    for player in &players {
        assert_eq!((player.resumed, player.gaps.len()), (2, 2));
        assert!(player.confirmed > 20 && player.said.len() > 5 && player.rolled_back.is_empty(), "it played");
    }
    let mut gaps: Vec<_> = players.iter().flat_map(|player| player.gaps.clone()).collect();
    gaps.sort_unstable();
    let last = gaps.len() - 1;
    println!(
        "without a state: p50 {:?}, p99 {:?}, all {:?}",
        gaps[last / 2],
        gaps[last * 99 / 100],
        gaps[last]
    );
    assert!(gaps[last] < PAUSE, "nobody waits long");
}

// Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window." Promise 2:
// "A client never applies a state older than one it has applied." The players check both.
#[test]
fn players_and_rooms_go_on_in_the_new_process() {
    survive_two_upgrades(10, &[]);
}

// The same with rooms that go by the store.
#[test]
fn rooms_with_a_journal_go_on_in_the_new_process() {
    survive_two_upgrades(10, &["--store", "store", "--durability", "journal"]);
}

/// It says how long 200 players are without a state:
/// `cargo test --release -p driftless-server --test new_process -- --ignored --nocapture`.
#[test]
#[ignore = "needs a release build"]
fn two_hundred_players_go_on_in_the_new_process() {
    survive_two_upgrades(100, &[]);
    survive_two_upgrades(100, &["--store", "store", "--durability", "journal"]);
}

#[test]
fn a_program_that_cannot_follow_changes_nothing() {
    let servers = Servers::with(&["--config", "settings.toml"], |_, folder| {
        fs::write(folder.join("settings.toml"), "tick_rate = 20\n").unwrap();
    });
    let swarm = Swarm::play(&servers, 3, &[TransportKind::WebSocket, TransportKind::Quic]);
    let script = |name: &str, text: &str| servers.script(name, text);
    let own = env!("CARGO_BIN_EXE_driftless");
    let failed = |binary: &str, why: &str| servers.fails(&["--binary", binary], why);
    failed("/nowhere/driftless", "/nowhere/driftless cannot be started: ");
    failed(&script("ends", "exit 7"), "has ended (exit status: 7)");
    failed(&script("elsewhere", &format!("exec {own} serve --listen 127.0.0.1:1")), "--listen has changed");
    let listen = servers.address;
    let off = format!("exec {own} serve --listen {} --threads 2 --quic off", servers.address);
    failed(&script("off", &off), "--quic has changed");
    failed(
        &script("threads", &format!("exec {own} serve --listen {listen} --threads 3")),
        "--threads has changed",
    );
    failed(
        &script("another", &format!("exec {own} serve --listen {listen} --threads 2")),
        "the game \"ledger\" is not in the new server, and 3 of its rooms are open",
    );
    let settings = |text: &str| fs::write(servers.folder.path().join("settings.toml"), text).unwrap();
    settings("tick_rate = 0\n");
    servers.fails(&[], "tick_rate");
    settings("redis = \"redis://127.0.0.1:1\"\n");
    servers.fails(&[], "other nodes may have its rooms (--redis)");

    swarm.goes_on(&servers);
    assert!(is_running(servers.newest()));
    for player in swarm.end() {
        assert_eq!((player.resumed, player.gaps.len()), (0, 0), "nobody has noticed");
    }
}

#[test]
fn the_old_program_goes_on_if_the_new_one_fails_with_the_rooms() {
    let mut servers = Servers::start(&[]);
    let swarm = Swarm::play(&servers, 3, &[TransportKind::WebSocket, TransportKind::Quic]);
    fs::write(servers.folder.path().join("bomb"), "").unwrap();
    servers.upgraded();
    assert!(!servers.folder.path().join("bomb").exists(), "it went off");
    swarm.all_back(1);
    swarm.goes_on(&servers);
    assert!(swarm.end().iter().all(|player| player.resumed == 1));
}

#[test]
fn rooms_wait_for_the_next_server_if_the_old_program_fails_with_them_too() {
    let mut servers = Servers::start(&["--carry", "rooms"]);
    let swarm = Swarm::play(&servers, 3, &[TransportKind::WebSocket]);
    for bomb in ["bomb", "bomb.next"] {
        fs::write(servers.folder.path().join(bomb), "").unwrap();
    }
    servers.fails(&[], "this server has stopped, and nobody goes on with its rooms: ");
    let status = eventually("the server ends", || servers.first.try_wait().unwrap());
    assert!(!status.success(), "{status}");
    servers.start_again(); // as whatever watches it does
    swarm.all_back(1);
    swarm.goes_on(&servers);
    assert!(swarm.end().iter().all(|player| player.resumed == 1));
}

#[test]
fn a_signal_upgrades_and_the_service_manager_is_told_who_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("notify");
    let notified = UnixDatagram::bind(&socket).unwrap();
    notified.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut text = [0; 256];
        let length = notified.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    };
    let mut servers = Servers::with(&[], |command, _| _ = command.env("NOTIFY_SOCKET", &socket));
    assert_eq!(next(), "READY=1");
    let old = servers.newest();
    // SAFETY: kill has no preconditions; the child has not been waited for.
    assert_eq!(unsafe { libc::kill(old.cast_signed(), libc::SIGUSR2) }, 0);
    assert_eq!(next(), "READY=1", "of the new process");
    let told = next();
    let new = told.strip_prefix("MAINPID=").unwrap_or_else(|| panic!("{told}")).parse().unwrap();
    servers.processes.push(new);
    servers.ended(old);
    // It ends as the first one would.
    // SAFETY: as above; the process is this test's.
    assert_eq!(unsafe { libc::kill(new.cast_signed(), libc::SIGTERM) }, 0);
    assert!(next().starts_with("STOPPING=1"));
    until("it ends", || !is_running(new));
}

#[test]
fn operators_keep_the_token_that_they_were_told() {
    let mut server = process::Process::start(&[]);
    let pid = server.id().to_string();
    let told = process::run(&["upgrade", "--pid", &pid]);
    let line = String::from_utf8_lossy(&told.stdout).into_owned();
    let new: i32 = line.strip_prefix("process ").unwrap().split(' ').next().unwrap().parse().unwrap();
    let answer = http::send(server.address(), "GET", "/v1/drain", &server.authorization(), "");
    // SAFETY: kill has no preconditions; the process is this test's.
    unsafe { libc::kill(new, libc::SIGKILL) };
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(server.wait().0.success());
}

#[test]
fn there_must_be_a_server_to_upgrade() {
    let told = process::run(&["upgrade", "--pid", "1"]);
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.code() == Some(1) && said.contains("process 1 cannot be asked"), "{told:?}");
    let folder = tempfile::tempdir().unwrap();
    let told = process::run(&["upgrade", "--store", folder.path().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.code() == Some(1) && said.contains("no server has the store in"), "{told:?}");
}

/// A server in a container of its own, started by these words. None: the system makes none.
fn contained(words: &[&str]) -> Option<process::Process> {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]);
    let possible = Command::new("unshare").args(command.get_args()).arg("true").status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("NOT TESTED: unshare makes no namespaces here");
        return None;
    }
    command.args(words).env("DRIFTLESS_ADMIN_TOKEN", TOKEN).stdin(Stdio::null());
    Some(process::Process::of(command))
}

/// The end of the first process of a container is the end of all.
#[test]
fn a_server_whose_end_would_end_its_container_goes_on() {
    let driftless = env!("CARGO_BIN_EXE_driftless");
    let serve = ["serve", "--listen", "0.0.0.0:0", "--insecure", "--quic", "off"];
    let folder = tempfile::tempdir().unwrap();
    let tini = folder.path().join("tini").display().to_string();
    std::os::unix::fs::symlink("/bin/sh", &tini).unwrap();
    let line = format!("{driftless} {}; true", serve.join(" "));
    for (words, number) in [([&[driftless], &serve[..]].concat(), "1"), (vec![&*tini, "-c", &line], "2")] {
        let Some(mut server) = contained(&words) else { return };
        let children = format!("/proc/{0}/task/{0}/children", server.id());
        let first = fs::read_to_string(children).unwrap();
        let told = Command::new("nsenter")
            .args(["--target", first.trim(), "--user", "--net", "--pid", "--mount", driftless, "upgrade"])
            .args(["--pid", number])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(told.status.code() == Some(1) && said.contains("start a new container"), "{told:?}");
        assert!(is_running(server.id()) && is_running(first.trim().parse().unwrap()));
        server.signal(libc::SIGKILL);
        server.wait();
    }
}

#[test]
fn a_store_that_cannot_be_taken_is_seen_before_the_rooms_stop() {
    let settings = "store = \"store\"\ndurability = \"journal\"\n";
    let servers = Servers::with(&["--config", "settings.toml"], |_, folder| {
        fs::write(folder.join("settings.toml"), settings).unwrap();
    });
    let swarm = Swarm::play(&servers, 2, &[TransportKind::WebSocket]);
    let place = servers.folder.path();
    let store = place.join("store");
    for (file, text, why) in [
        ("revoked.json", &b"{"[..], "remove it to have nobody's access revoked"),
        ("journal-0000000099", b"DRIFTJNL\x63\x9c\x63\x9c", "its journal has the format 99"),
    ] {
        fs::write(store.join(file), text).unwrap();
        servers.fails(&[], why);
        fs::remove_file(store.join(file)).unwrap();
    }
    fs::create_dir(place.join("other")).unwrap();
    fs::set_permissions(place.join("other"), fs::Permissions::from_mode(0o700)).unwrap();
    for (store, why) in [
        ("store = \"other\"\n", "there is no store"),
        ("", "store has changed"),
        ("store = \"/proc/nowhere\"\n", "/proc/nowhere"),
    ] {
        fs::write(place.join("settings.toml"), store).unwrap();
        servers.fails(&[], why);
    }
    let other = Servers::start(&["--store", place.join("other").to_str().unwrap()]);
    fs::write(place.join("settings.toml"), "store = \"other\"\n").unwrap();
    servers.fails(&[], "store has changed");
    drop(other);

    swarm.goes_on(&servers);
    for player in swarm.end() {
        assert_eq!((player.resumed, player.gaps.len()), (0, 0), "nobody has noticed");
    }
}

#[test]
fn a_revocation_that_could_not_be_written_is_written_later_and_by_the_next_process() {
    let mut servers = Servers::start(&["--store", "store", "--durability", "journal"]);
    let store = servers.folder.path().join("store");
    // As with a full disk, nothing can be written here.
    fs::create_dir(store.join("revoked.part")).unwrap();
    let revoke = |servers: &Servers, user: &str| {
        let answer = servers.operate("POST", &format!("/v1/users/{user}/revoke"));
        answer.json()["survives_restart"].as_bool().unwrap()
    };
    assert!(!revoke(&servers, "ann"));
    until("it is said", || http::get(servers.address, "/healthz").status == 503);
    servers.fails(&[], "whose access was revoked cannot be written");
    fs::remove_dir(store.join("revoked.part")).unwrap();
    let is_written = || fs::read_to_string(store.join("revoked.json")).is_ok_and(|text| text.contains("ann"));
    until("it is written", is_written);
    until("all is well", || http::get(servers.address, "/healthz").status == 200);
    fs::remove_file(store.join("revoked.json")).unwrap();
    servers.upgraded();
    until("the next process knows, and writes it", is_written);
}

// A first signal asks a server to stop in order, whatever else has asked it before.
#[test]
fn a_drain_refuses_upgrades_and_goes_on_after_a_first_signal() {
    let mut servers = Servers::start(&["--drain-wait", "120s"]);
    let swarm = Swarm::play(&servers, 1, &[TransportKind::WebSocket]);
    assert_eq!(servers.operate("POST", "/v1/drain").status, 202);
    servers.fails(&[], "the server is stopping");
    servers.terminate();
    servers.fails(&[], "the server is stopping");
    assert_eq!(servers.operate("GET", "/v1/drain").json()["step"], "matches");
    assert!(swarm.end().iter().all(|player| player.confirmed > 0), "its match has ended");
    servers.ended(servers.newest());
}

#[test]
fn a_signal_ends_the_wait_for_a_program_that_hangs_and_all_that_it_has_started() {
    let mut servers = Servers::start(&[]);
    let hangs = servers.script("hangs", "sleep 300 &\necho started >hanging\nsleep 300");
    let upgrade = thread::scope(|scope| {
        let upgrade = scope.spawn(|| servers.upgrade(&["--binary", &hangs]));
        until("it hangs", || servers.folder.path().join("hanging").exists());
        servers.terminate();
        upgrade.join().unwrap()
    });
    let said = String::from_utf8_lossy(&upgrade.stderr).into_owned();
    assert!(upgrade.status.code() == Some(1) && said.contains("the server is stopping"), "{upgrade:?}");
    servers.ended(servers.newest());
    TcpListener::bind(servers.address).expect("nobody has the port any more");
}

#[test]
fn who_asks_for_an_upgrade_while_there_is_one_hears_who_has_followed() {
    let mut servers = Servers::start(&[]);
    let old = servers.newest();
    let name = net::SocketAddr::from_abstract_name(format!("driftless-{old}")).unwrap();
    let ask = || {
        let mut stream = UnixStream::connect_addr(&name).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"{\"upgrade\":null}\n").unwrap();
        BufReader::new(stream)
    };
    let asked = [ask(), ask(), ask()];
    let [first, others @ ..] = asked.map(|mut stream| {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        serde_json::from_str::<Result<u32, String>>(&line).unwrap_or_else(|_| panic!("{line:?}"))
    });
    let new = first.unwrap();
    servers.processes.push(new);
    assert_eq!(others, [(); 2].map(|()| Err(format!("process {new} has followed it already"))));
    servers.ended(old);
}

#[test]
fn a_room_of_a_recording_that_has_ended_does_not_come_back() {
    let mut recorded = Servers::start(&["--record", "recordings"]);
    Swarm::play(&recorded, 1, &[TransportKind::WebSocket]).end();
    recorded.terminate();
    recorded.ended(recorded.newest());
    let recordings = fs::read_dir(recorded.folder.path().join("recordings")).unwrap();
    let file = recordings.map(|entry| entry.unwrap().path().display().to_string()).next().unwrap();
    let mut servers = Servers::start(&["--from", &format!("hall={file}")]);
    assert_eq!(servers.operate("DELETE", "/v1/rooms/hall").status, 204);
    until("it has ended", || servers.operate("GET", "/v1/rooms/hall").status == 404);
    servers.upgraded();
    assert_eq!(servers.operate("GET", "/v1/rooms/hall").status, 404);
}
