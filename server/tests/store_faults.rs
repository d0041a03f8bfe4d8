//! A store when something is wrong: no space, limits, another server, strangers' files; and processes that
//! are killed at the worst moment.

#![allow(unsafe_code, reason = "calls of the kernel that no crate here wraps")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use std::{
    fs::{self, File, Permissions},
    io::{self, BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use util::{
    Player, http,
    process::{Process, command},
    until,
};

const LISTEN: &str = "--listen=127.0.0.1:0";

fn store_in(folder: &Path) -> [String; 2] {
    [format!("--store={}", folder.display()), "--log=error".to_owned()]
}

/// The binary with this store, and with what else it is to have.
fn with_store(folder: &Path, args: &[&str]) -> Command {
    let mut with = command(&[LISTEN, "--threads=2", "--workers=1"]);
    with.args(store_in(folder)).args(args);
    with
}

/// What a server says that does not start: one line.
#[track_caller]
fn refusal(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code().is_some_and(|code| code != 0), "{:?}: {said}", output.status);
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

// Promise 10: "What was acknowledged as durable survives the death of its process."
#[test]
fn a_room_and_a_seat_survive_a_kill_right_after_the_join() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    for round in 0..5 {
        let server = Process::of(with_store(&store, &["--durability=journal"]));
        let mut ann = Player::named(server.address(), &format!("room-{round}"), "ann"); // has her token
        server.kill();
        ann.lose_connection();
        let server = Process::of(with_store(&store, &["--durability=journal"]));
        ann.reconnect_at(server.address());
        let welcome = ann.welcomed();
        assert!(welcome.resumed && welcome.undone.is_empty(), "{welcome:?}");
    }
}

#[test]
fn a_room_with_checkpoints_survives_a_kill_right_after_the_first_state() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    for round in 0..5 {
        let server = Process::of(with_store(&store, &["--durability=checkpoint"]));
        let mut ann = Player::named(server.address(), &format!("room-{round}"), "ann");
        ann.next_tick();
        server.kill();
        ann.lose_connection();
        let server = Process::of(with_store(&store, &["--durability=checkpoint"]));
        ann.reconnect_at(server.address());
        assert!(ann.welcomed().resumed);
    }
}

// Its players were told that it is over.
#[test]
fn a_room_that_has_ended_does_not_come_back_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let server = Process::of(with_store(&store, &["--durability=journal", "--open-rooms"]));
    let mut ann = Player::named(server.address(), "den", "ann");
    ann.next_tick();
    let head = format!(
        "DELETE /v1/rooms/den HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{}\r\n",
        server.address(),
        server.authorization()
    );
    http::request(server.address(), &head);
    ann.goodbye();
    server.kill();
    let server = Process::of(with_store(&store, &["--durability=journal"]));
    assert_eq!(http::get(server.address(), "/v1/rooms").json()["rooms"].as_array().unwrap().len(), 0);
}

#[test]
fn a_store_that_another_process_has_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let _server = Process::of(with_store(&store, &[]));
    let said = refusal(&with_store(&store, &[]).output().unwrap());
    assert!(said.contains("another server is using it"), "{said}");
}

#[test]
fn files_that_are_none_of_the_stores_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    drop(Process::of(with_store(&store, &["--durability=journal"])));
    let most = u64::MAX.to_string();
    for stray in ["1", "", "9999999999", &most, "+000000001", "0000000001.bak"] {
        fs::write(store.join(format!("journal-{stray}")), "mine").unwrap();
    }
    fs::create_dir(store.join("journal-0000000500")).unwrap();
    // Databases of servers before were readable by others, but for the folder.
    fs::set_permissions(store.join("rooms.redb"), Permissions::from_mode(0o644)).unwrap();
    for _ in 0..2 {
        let server = Process::of(with_store(&store, &["--durability=journal"]));
        Player::join(server.address(), "den");
        assert_eq!(http::get(server.address(), "/healthz").status, 200);
    }
    assert_eq!(fs::metadata(store.join("rooms.redb")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(store.join("journal-1")).unwrap(), "mine");
}

#[test]
fn a_journal_of_another_version_is_refused_by_name_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    drop(Process::of(with_store(&store, &["--durability=journal"])));
    let segment = store.join("journal-0000000001");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[8..12].copy_from_slice(&[77, !77, 77, !77]);
    fs::write(&segment, &bytes).unwrap();
    let said = refusal(&with_store(&store, &["--durability=journal"]).output().unwrap());
    assert!(said.contains("format 77"), "{said}");
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

// By default the kernel ends the process, without a word.
#[test]
fn a_limit_of_file_sizes_is_an_error_and_no_signal() {
    let folder = tempfile::tempdir().unwrap();
    let mut limited = with_store(&folder.path().join("store"), &["--durability=journal"]);
    let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
    // SAFETY: setrlimit is async-signal-safe and reads a struct that the closure owns.
    unsafe {
        limited.pre_exec(move || match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    let said = refusal(&limited.output().unwrap());
    assert!(said.contains("File too large"), "{said}");
}

/// Set where no disk can be mounted: then what needs one is not tested.
const NO_DISKS: &str = "DRIFTLESS_TEST_WITHOUT_DISKS";

/// A disk of its own, which others do not see.
struct Disk {
    mounted_by: Child,
    path: PathBuf,
    at: tempfile::TempDir,
}

impl Disk {
    /// None: this process may not mount one, and that was allowed for.
    fn new(bytes: u64) -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        let mut unshare = Command::new("unshare");
        unshare.args([
            "--mount",
            "sh",
            "-c",
            "mount -t tmpfs -o mode=0700,size=$1 disk \"$0\" && echo && cat",
        ]);
        unshare.arg(at.path()).arg(bytes.to_string());
        let mut mounted_by = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut line = String::new();
        BufReader::new(mounted_by.stdout.take()?).read_line(&mut line).ok()?;
        if line.is_empty() {
            let _ = mounted_by.wait();
            let allowed = std::env::var_os(NO_DISKS).is_some();
            assert!(allowed, "this process may not mount a disk: run it as root, or set {NO_DISKS}");
            eprintln!("not tested: this process may not mount a disk");
            return None;
        }
        let path = Path::new("/proc").join(mounted_by.id().to_string()).join("root");
        let path = path.join(at.path().strip_prefix("/").unwrap());
        Some(Self { mounted_by, path, at })
    }

    /// Leaves so many bytes on it.
    fn fill(&self, but: u64) {
        let mut file = File::create(self.path.join("others")).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(but)).unwrap();
    }

    /// Makes it larger.
    fn enlarge(&self, bytes: u64) {
        let mount = format!("mount -o remount,size={bytes} \"$0\"");
        let mut enter = Command::new("nsenter");
        enter.arg(format!("--mount=/proc/{}/ns/mnt", self.mounted_by.id())).args(["sh", "-c", &mount]);
        assert!(enter.arg(self.at.path()).status().unwrap().success());
    }

    fn make_space(&self) {
        fs::remove_file(self.path.join("others")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.mounted_by.kill();
        let _ = self.mounted_by.wait();
    }
}

#[test]
fn a_full_disk_is_said_in_one_line_by_a_server_that_does_not_start() {
    const MIB: u64 = 1 << 20;
    let Some(disk) = Disk::new(32 * MIB) else { return };
    // No space for anything; for the database; for most of the journal.
    for but in [0, MIB, 6 * MIB] {
        disk.fill(but);
        let said = refusal(&with_store(&disk.path, &["--durability=journal"]).output().unwrap());
        assert!(said.contains("cannot keep rooms in") && said.contains("No space left"), "{said}");
        disk.make_space();
    }
    // With rooms that are to go on.
    let server = Process::of(with_store(&disk.path, &["--durability=journal"]));
    let mut ann = Player::named(server.address(), "den", "ann");
    ann.next_tick();
    server.kill();
    ann.lose_connection();
    disk.fill(0);
    let said = refusal(&with_store(&disk.path, &["--durability=journal"]).output().unwrap());
    assert!(said.contains("No space left"), "{said}");
    disk.make_space();
    let server = Process::of(with_store(&disk.path, &["--durability=journal"]));
    ann.reconnect_at(server.address());
    assert!(ann.welcomed().resumed, "nothing was changed meanwhile");
}

fn make_rooms(server: &Process, rooms: std::ops::Range<u32>) {
    for n in rooms {
        let body = format!(r#"{{"name": "room-{n}", "tick_rate": 1}}"#);
        let made = http::send(server.address(), "POST", "/v1/rooms", &server.authorization(), &body);
        assert_eq!(made.status, 201, "{made:?}");
    }
}

#[test]
fn too_little_space_for_the_next_server_is_said_before_anything_fails() {
    let Some(disk) = Disk::new(40 << 20) else { return };
    let server = Process::of(with_store(&disk.path, &["--durability=journal"]));
    let health = || http::get(server.address(), "/healthz?verbose");
    let segments = || {
        let names = fs::read_dir(&disk.path).unwrap().map(|file| file.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("journal-")).count()
    };
    until("what is needed here is reserved", || segments() == 2 && health().status == 200);
    disk.fill(4 << 20);
    until("it is said", || health().status == 503);
    let told = health().body;
    assert!(told.contains("MiB are free") && !told.contains("would not survive"), "{told}");
    let failures = r#"driftless_store_failures_total{what="journal"}"#;
    assert_eq!(http::get(server.address(), "/metrics").metric(failures), 0.0);
    disk.make_space();
    until("it is well again by itself", || health().status == 200);
}

#[test]
fn rooms_go_on_while_the_disk_is_full_and_are_written_when_it_is_not() {
    let Some(disk) = Disk::new(40 << 20) else { return };
    let server = Process::of(with_store(&disk.path, &["--durability=journal"]));
    let health = || http::get(server.address(), "/healthz?verbose");
    let mut ann = Player::named(server.address(), "den", "ann");
    ann.next_tick();
    disk.fill(0);
    // More than the database has space for.
    make_rooms(&server, 0..300);
    until("it is said", || health().status == 503);
    let told = health().body;
    assert!(told.contains("No space left") && told.contains("rooms go on"), "{told}");
    assert!(!told.contains("/proc") && !told.contains("root"), "where is not everybody's business: {told}");
    ann.next_tick();
    // Whoever follows could not write the rooms either.
    let upgrade = command(&["upgrade", "--pid", &server.id().to_string()]).output().unwrap();
    let said = String::from_utf8_lossy(&upgrade.stderr).into_owned();
    assert!(!upgrade.status.success() && said.contains("rooms would be lost"), "{said}");
    ann.next_tick();
    disk.make_space();
    until("it is well again by itself", || health().status == 200);
    ann.chat("after");
    assert_eq!(ann.next_chat().1, "after");
    server.kill();
    ann.lose_connection();
    let server = Process::of(with_store(&disk.path, &["--durability=journal"]));
    assert_eq!(http::get(server.address(), "/metrics").metric("driftless_rooms"), 301.0);
    ann.reconnect_at(server.address());
    let welcome = ann.welcomed();
    assert!(welcome.resumed && welcome.undone.is_empty(), "{welcome:?}");
}

// Promise 2: "A client never applies a state older than one it has applied."
#[test]
fn ticks_do_not_go_back_after_a_kill_while_the_disk_is_full() {
    // There is space for one segment of the journal, and for no other.
    let Some(disk) = Disk::new(14 << 20) else { return };
    let server = Process::of(with_store(&disk.path, &["--durability=journal"]));
    let mut ann = Player::named(server.address(), "den", "ann");
    ann.next_tick();
    for n in 0..200 {
        let body = format!(r#"{{"name": "room-{n}", "tick_rate": 60}}"#);
        let made = http::send(server.address(), "POST", "/v1/rooms", &server.authorization(), &body);
        assert_eq!(made.status, 201, "{made:?}");
    }
    // The number of the frame that says so.
    let refused = (u64::MAX - 1).to_le_bytes();
    until("the segment is full", || {
        ann.next_tick();
        let segment = fs::read(disk.path.join("journal-0000000001")).unwrap();
        segment[segment.len() - 4096..].windows(8).any(|bytes| bytes == refused)
    });
    let seen = (0..20).map(|_| ann.next_tick()).max().unwrap();
    server.kill();
    ann.lose_connection();
    disk.enlarge(64 << 20);
    let server = Process::of(with_store(&disk.path, &["--durability=journal"]));
    ann.reconnect_at(server.address());
    let welcome = ann.welcomed();
    assert!(
        welcome.resumed && welcome.undone.iter().any(|undone| undone.until >= seen),
        "{seen}: {welcome:?}"
    );
    assert!(ann.next_tick() > seen);
}
