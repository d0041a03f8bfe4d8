//! `driftless store`, and rooms that are made of what it exports, or of recordings.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::wire;
use driftless_server::{Server, config::Config};
use driftless_sim::{
    GameKind, games,
    replay::{Recorder, Recording, scene},
};
use std::{
    fs,
    io::BufReader,
    path::Path,
    process::{Command, Output},
};
use util::{
    Player, TestServer, config,
    games::Obedient,
    join,
    process::{self, Process},
};

/// What `driftless store --store FOLDER …` exits with, prints and complains of.
fn store(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let told = process::run(&[&["store", "--store", folder.to_str().unwrap()], args].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (told.status.code().unwrap(), text(told.stdout), text(told.stderr))
}

/// Leaves a store with a room in which ann has played, whose server was killed. Returns her token.
fn leave_a_room(folder: &Path) -> Vec<u8> {
    let server = Process::start(&["--store", folder.to_str().unwrap(), "--durability", "journal"]);
    let mut ann = Player::named(server.address(), "lobby", "ann");
    for n in 0..30 {
        ann.next_tick();
        ann.run(n, -n);
    }
    let token = ann.token();
    drop(server.kill());
    token.to_vec()
}

#[test]
fn a_room_in_a_store_is_listed_shown_exported_and_removed() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("store");
    let token = leave_a_room(&folder);
    let (_, out, _) = store(&folder, &["ls"]);
    let words: Vec<_> = out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((words[0], words[1], words[3], words[4]), ("lobby", "arena", "1", "journal"), "{out}");
    let (_, out, _) = store(&folder, &["ls", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    let tick = listed[0]["tick"].as_u64().unwrap();
    assert!(tick >= 30 && listed[0]["bytes"].as_u64().unwrap() > 100, "{out}");

    let (_, json, _) = store(&folder, &["show", "lobby", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&shown["seats"][0]["name"], &shown["seats"][0]["away"]), (&"ann".into(), &true.into()));
    assert_eq!((&shown["journal"]["newest_tick"], &shown["state"]["tick"]), (&tick.into(), &tick.into()));
    assert!(shown["journal"]["frames"].as_u64().unwrap() > 20, "{json}");
    assert_eq!(shown["game"], "this program has it");
    assert_eq!(shown["schema"].as_str().unwrap().len(), 8);
    let (_, text, _) = store(&folder, &["show", "lobby"]);
    assert!(text.contains("name ann") && text.contains("tick_rate: 20"), "{text}");
    let hex: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    for secret in [hex, format!("{token:?}")] {
        assert!(!json.contains(&secret) && !text.contains(&secret));
    }

    let file = place.path().join("lobby.driftless");
    let file_name = file.to_str().unwrap();
    let (code, out, err) = store(&folder, &["export", "lobby", "-o", file_name]);
    assert!(code == 0 && out.contains(&format!("at tick {tick}")), "{out}{err}");
    let exported = fs::read(&file).unwrap();
    assert!(!exported.windows(token.len()).any(|bytes| bytes == token), "no token leaves the store");
    assert_eq!(store(&folder, &["export", "lobby", "-o", file_name]).0, 2, "nothing is overwritten");
    let told = process::run(&["replay", file_name]);
    assert!(String::from_utf8_lossy(&told.stdout).contains("the same; all"), "{told:?}");

    let server = Process::start(&["--from", file_name, "--from", &format!("hall={file_name}@{}", tick - 5)]);
    for room in ["lobby", "hall"] {
        let state = util::http::send(
            server.address(),
            "GET",
            &format!("/v1/rooms/{room}/state"),
            &server.authorization(),
            "",
        );
        assert_eq!(state.json()["seats"][0]["name"], "ann", "{state:?}");
        let mut bob = Player::named(server.address(), room, "bob");
        assert!(bob.next_tick() as u64 > tick - 5);
        assert!(bob.number() > 1, "ann's seat waits for her");
    }
    drop(server);

    let (code, _, err) = store(&folder, &["rm", "lobby"]);
    assert!(code == 2 && err.contains("--yes"), "{err}");
    assert_eq!(store(&folder, &["rm", "lobby", "--yes"]).0, 0);
    assert_eq!(store(&folder, &["ls"]).1.lines().count(), 1);
    let server = Process::start(&["--store", folder.to_str().unwrap(), "--durability", "journal"]);
    assert_eq!(util::http::get(server.address(), "/v1/rooms/lobby").status, 404, "it is gone");
}

/// A backup, or a volume that is mounted by somebody else.
#[test]
fn a_store_that_cannot_be_written_can_be_looked_into() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("store");
    leave_a_room(&folder);
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let before: Vec<_> = files.map(|path| (fs::read(&path).unwrap(), path)).collect();
    let looks = |line: &str| {
        let line = format!(
            "mount --bind {0} {0} && mount -o remount,bind,ro {0} || exit 99; {1} store --store {0} {line}",
            folder.display(),
            env!("CARGO_BIN_EXE_driftless"),
        );
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &line]).output().unwrap()
    };
    let listed = looks("ls");
    if listed.status.code() == Some(99) || listed.stderr.starts_with(b"unshare") {
        return eprintln!("NOT TESTED: there are no mounts of one's own here");
    }
    let said =
        |output: &Output| String::from_utf8_lossy(&[&*output.stdout, &output.stderr].concat()).into_owned();
    assert!(listed.status.success() && said(&listed).contains("lobby"), "{listed:?}");
    assert!(said(&looks("show lobby")).contains("name: lobby"));
    let exported = looks("export lobby --output -");
    let file = place.path().join("lobby.driftless");
    fs::write(&file, &exported.stdout).unwrap();
    let replayed = process::run(&["replay", file.to_str().unwrap()]);
    assert!(replayed.status.success(), "standard output is the recording: {replayed:?}");
    let removed = looks("rm lobby --yes");
    assert!(!removed.status.success() && said(&removed).contains("Read-only"), "{removed:?}");
    for (bytes, path) in before {
        assert!(fs::read(&path).unwrap() == bytes, "{} has changed", path.display());
    }
}

#[test]
fn a_room_that_was_set_aside_is_listed_shown_and_removed() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("store");
    let durability = "journal".parse().unwrap();
    let kept = Config { store: Some(folder.clone()), durability, ..config() };
    let server = TestServer::of(Server::new(&[GameKind::of::<Obedient>()]), kept);
    let join = wire::Join { kind: "obedient".into(), ..join("lobby") };
    Player::join_as(server.address(), join).next_tick();
    drop(server);
    // This program does not have its game, and begins another room of its name.
    let server = Process::start(&["--store", folder.to_str().unwrap(), "--durability", "journal"]);
    Player::named(server.address(), "lobby", "ann").next_tick();
    drop(server.kill());
    let (_, out, _) = store(&folder, &["ls"]);
    assert!(out.lines().nth(1).unwrap().starts_with("lobby  arena"), "{out}");
    assert!(out.contains("set aside") && out.lines().last().unwrap().starts_with("lobby  obedient"), "{out}");
    let (_, out, _) = store(&folder, &["ls", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(listed[0]["set_aside_unix_ms"].is_null() && listed[1]["set_aside_unix_ms"].is_u64(), "{out}");
    let (_, shown, _) = store(&folder, &["show", "lobby", "--aside"]);
    assert!(shown.contains("kind: obedient"), "{shown}");
    assert_eq!(store(&folder, &["rm", "lobby", "--aside", "--yes"]).0, 0);
    let (code, _, err) = store(&folder, &["rm", "lobby", "--aside", "--yes"]);
    assert!(code == 2 && err.contains("no room \"lobby\""), "{err}");
    let (_, out, _) = store(&folder, &["ls"]);
    assert!(!out.contains("set aside") && out.contains("lobby  arena"), "{out}");
}

#[test]
fn a_store_without_the_room_or_with_a_server_says_so() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("store");
    let (code, _, err) = store(&folder, &["ls"]);
    assert!(code == 2 && err.contains("there is no store"), "{err}");
    assert!(!folder.exists(), "nothing is made");
    leave_a_room(&folder);
    for action in [&["show"][..], &["export"], &["rm", "--yes"]] {
        let (code, _, err) = store(&folder, &[action, &["loby"]].concat());
        assert!(
            code == 2 && err.contains("no room \"loby\"") && err.contains("did you mean lobby?"),
            "{err}"
        );
    }
    let server = Process::start(&["--store", folder.to_str().unwrap()]);
    let (code, _, err) = store(&folder, &["ls"]);
    assert!(code == 2 && err.contains(&format!("process {}", server.id())), "{err}");
}

#[test]
fn a_room_of_a_recording_goes_on_from_a_tick() {
    let folder = tempfile::tempdir().unwrap();
    let server =
        TestServer::start(Config { record: Some(folder.path().to_owned()), tick_rate: 60, ..config() });
    let mut ann = Player::named(server.address(), "lobby", "ann");
    for n in 0..40 {
        ann.next_tick();
        ann.run(n, n);
    }
    drop(server);
    let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let from = format!("again={}@20", file.display());
    let server = TestServer::of(Server::new(&games::kinds()).room_from(&from), config());
    let room = server.get("/v1/rooms/again").json();
    assert_eq!((&room["tick_rate"], &room["players"]), (&60.into(), &1.into()), "{room}");
    let mut bob = Player::named(server.address(), "again", "bob");
    let (tick, number) = (bob.next_tick(), bob.number());
    assert!(tick > 20 && number == 2, "{tick} {number}");
    let here = scene(BufReader::new(fs::File::open(&file).unwrap()), &games::kinds(), Some(20)).unwrap();
    assert_eq!((here.room.seats[0].name.as_str(), here.header.room.as_str()), ("ann", "lobby"));
}

#[test]
fn what_no_room_can_be_made_of_is_named_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let record = |kind: GameKind, name: &str| {
        let record = folder.path().join(name);
        let config = Config { record: Some(record.clone()), ..config() };
        let server = TestServer::of(Server::new(std::slice::from_ref(&kind)), config);
        let join = wire::Join { kind: kind.name().into(), ..join("lobby") };
        let mut ann = Player::join_as(server.address(), join);
        (0..5).for_each(|_| _ = ann.next_tick());
        drop(server);
        fs::read_dir(record).unwrap().next().unwrap().unwrap().path()
    };
    let cursors = games::kinds().into_iter().find(|kind| kind.name() == "cursors").unwrap();
    let (good, foreign) = (record(cursors, "good"), record(GameKind::of::<Obedient>(), "foreign"));
    let bytes = fs::read(&good).unwrap();
    let (damaged, changed) = (folder.path().join("damaged"), folder.path().join("changed"));
    let mut wrong = bytes.clone();
    wrong[bytes.len() / 2] ^= 1;
    fs::write(&damaged, wrong).unwrap();
    let at = scene(&bytes[..], &games::kinds(), None).unwrap();
    let mut start = at.start();
    start.schema ^= 1;
    let header = Recording::open(&bytes[..]).unwrap().header().clone();
    fs::write(&changed, Recorder::starting_from(Vec::new(), &header, &start).unwrap().into_inner()).unwrap();
    let refused = |from: &str, why: &str| {
        let told = process::run(&["--listen", "127.0.0.1:0", "--log", "error", "--from", from]);
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(told.status.code() == Some(2) && said.lines().count() == 1 && said.contains(why), "{told:?}");
        assert!(told.stdout.is_empty(), "it never listened");
    };
    let text = |file: &Path| file.display().to_string();
    refused("/nowhere.driftless", "/nowhere.driftless: No such file");
    refused(env!("CARGO_MANIFEST_PATH"), "this is not a recording");
    refused(&text(&damaged), "damaged");
    refused(&text(&changed), "the schema of the game has changed");
    refused(&text(&foreign), "the game \"obedient\", which this program does not have");
    refused(
        &format!("{}@{}", text(&good), 1_000_000),
        "there is no tick 1000000: the recording ends with tick ",
    );
}
