//! A room played over sockets, recorded, and simulated again.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::wire;
use driftless_server::config::Config;
use driftless_sim::{
    GameKind, games,
    games::arena::ArenaInput,
    replay::{EndReason, Recording, Verdict, replay},
};
use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
    time::Duration,
};
use util::{
    Player, TestServer, config,
    games::{Ask, Obedient},
    http, join,
    process::{self, Process},
    until,
};

/// Plays for a while in an arena room that is recorded in `folder`. Returns the recording, and how many ticks
/// the room ran.
fn play(folder: &Path) -> (PathBuf, u64) {
    let server = TestServer::start(Config {
        record: Some(folder.to_owned()),
        linger: Duration::ZERO,
        resume_window: Duration::from_millis(100),
        tick_rate: 60,
        ..config()
    });
    let mut ann = Player::named(server.address(), "lobby", "ann");
    let mut bob = Player::named(server.address(), "lobby", "bob");
    for n in 0..60 {
        ann.next_tick();
        ann.input(&ArenaInput { move_x: 127, aim_x: n, aim_y: 50 - n, buttons: 1, ..ArenaInput::default() });
        bob.run(-n, n);
        match n {
            20 => ann.chat("hello"),
            25 => bob.chat(""), // refused
            // A seat that ends with its resume window, and one that is taken while others play.
            30 => Player::named(server.address(), "lobby", "cid").lose_connection(),
            40 => {
                bob.leave();
                bob = Player::named(server.address(), "lobby", "bob");
            }
            _ => {}
        }
    }
    ann.leave();
    bob.leave();
    let metrics = server.running().metrics();
    until("the room has ended", || metrics.rooms.ended.get("empty") == 1);
    let ticks = metrics.rooms.ticks.get();
    let files = files(folder);
    let [file] = &files[..] else { panic!("one recording a room: {files:?}") };
    // A thread of its own writes it: it is complete at the latest when the server has stopped.
    drop(server);
    (file.clone(), ticks)
}

/// The recordings in a folder, oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|file| file.metadata().unwrap().modified().unwrap());
    files
}

/// The output of `driftless replay`, and its exit code.
fn replayed(file: &Path) -> (Option<i32>, String) {
    let told = process::run(&["replay", file.to_str().unwrap()]);
    let said = [told.stdout, told.stderr].concat();
    (told.status.code(), String::from_utf8(said).unwrap())
}

/// Plays in the lobby until the folder has `bytes` of recordings.
fn play_until(folder: &Path, player: &mut Player, bytes: u64) {
    until("much is recorded", || {
        player.next_tick();
        player.run(100, 20);
        files(folder).iter().map(|file| file.metadata().map_or(0, |m| m.len())).sum::<u64>() > bytes
    });
}

fn verdict(file: &Path) -> Verdict {
    let recording = BufReader::new(File::open(file).unwrap());
    let (header, verdict) = replay(recording, &games::kinds()).expect("a recording");
    assert_eq!((&*header.kind, &*header.room, header.setup.tick_rate), ("arena", "lobby", 60));
    verdict
}

// Promise 1: "A room's state is a function of its seed, its joins and leaves, its inputs and commands. A
// replay gives the same checksums."
#[test]
fn a_recorded_room_replays_with_the_same_checksums() {
    let folder = tempfile::tempdir().unwrap();
    let (file, ticks) = play(folder.path());
    assert!(ticks >= 60, "{ticks}");
    until("the recording is whole", || verdict(&file) == Verdict::Same { ticks });

    let told = process::run(&["replay", file.to_str().unwrap()]);
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    let line = String::from_utf8(told.stdout).unwrap();
    assert!(line.contains("the same") && line.contains(&format!("{ticks} ticks")), "{line}");

    // A change to the recording is detected.
    let whole = fs::read(&file).unwrap();
    let damaged = folder.path().join("damaged");
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let told = process::run(&["replay", damaged.to_str().unwrap()]);
    let [out, error] = [told.stdout, told.stderr].map(|text| String::from_utf8(text).unwrap());
    match told.status.code() {
        Some(2) => assert!(error.contains("damaged: its CRC") || error.contains("announces"), "{error}"),
        // It was in a length, which goes beyond the end now, as if the rest had not been written.
        code => assert!(code == Some(3) && out.contains("without its end marker"), "{code:?} {out} {error}"),
    }

    fs::write(&damaged, &whole[..middle]).unwrap();
    let (code, line) = replayed(&damaged);
    assert_eq!(code, Some(3), "{line}");
    assert!(line.contains("the same as far as it goes") && line.contains("without its end marker"), "{line}");
}

#[test]
fn what_is_no_recording_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    fs::write(&file, "this is no recording").unwrap();
    for path in [file, folder.path().join("missing")] {
        let told = process::run(&["replay", path.to_str().unwrap()]);
        assert_eq!(told.status.code(), Some(2), "{told:?}");
    }
}

#[test]
fn a_server_that_was_killed_and_started_again_overwrites_no_recording() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--record", folder.path().to_str().unwrap(), "--tick-rate", "60"];
    let server = Process::start(&arguments);
    play_until(folder.path(), &mut Player::join(server.address(), "lobby"), 1_000);
    drop(server.kill());
    let [first] = &files(folder.path())[..] else { panic!("one recording") };
    let before = fs::read(first).unwrap();

    let mut server = Process::start(&arguments);
    let mut player = Player::join(server.address(), "lobby");
    play_until(folder.path(), &mut player, before.len() as u64 + 1_000);
    player.leave();
    server.signal(libc::SIGTERM);
    assert!(server.wait().0.success());

    assert_eq!(fs::read(first).unwrap(), before);
    let (code, line) = replayed(first);
    assert_eq!(code, Some(3), "{line}");
    assert!(line.contains("ends without its end marker"), "{line}");
    let second = files(folder.path()).into_iter().find(|file| file != first).expect("another file");
    let (code, line) = replayed(&second);
    assert_eq!(code, Some(0), "{line}");
    assert!(line.contains("the same; all"), "{line}");
}

#[test]
fn two_servers_in_one_folder_write_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { record: Some(folder.path().to_owned()), tick_rate: 60, ..config() };
    let servers = [(); 2].map(|()| TestServer::start(config()));
    let mut players = servers.each_ref().map(|server| Player::join(server.address(), "lobby"));
    for n in 0..60 {
        for player in &mut players {
            player.next_tick();
            player.run(n, -n);
        }
    }
    // The rooms still exist: the stopping servers end the recordings.
    players.iter_mut().for_each(Player::leave);
    let metrics = servers.each_ref().map(|server| server.running().metrics().clone());
    drop(servers);
    let files = files(folder.path());
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        assert!(matches!(verdict(&file), Verdict::Same { ticks } if ticks >= 60));
    }
    for metrics in metrics {
        assert_eq!(metrics.store.recordings_ended.get("server_stopped"), 1);
        assert_eq!(metrics.store.recordings.get(), 0);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_before_anything_is_started() {
    // Not even root may write there.
    let told = process::run(&["--record", "/proc/self", "--listen", "127.0.0.1:0", "--log", "error"]);
    assert_eq!(told.status.code(), Some(2), "{told:?}");
    assert_eq!(String::from_utf8(told.stdout).unwrap(), "", "it never listened");
    let said = String::from_utf8(told.stderr).unwrap();
    assert!(said.contains("record: recordings cannot be written to /proc/self: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

// A full disk behaves the same, apart from the error's name.
#[test]
fn a_disk_that_takes_no_more_ends_the_recording_by_name_and_the_game_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = process::command(&[]);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]).arg(server.get_program()); // 4 KiB a file
    limited
        .args(["--listen", "127.0.0.1:0", "--log", "error", "--tick-rate", "60", "--record"])
        .arg(folder.path());
    let server = Process::of(limited);
    let mut player = Player::join(server.address(), "lobby");
    let unwritable = "driftless_recordings_ended_total{reason=\"unwritable\"}";
    until("the recording ends", || {
        player.next_tick();
        player.run(100, 20);
        http::get(server.address(), "/metrics").metric(unwritable) == 1.0
    });
    for _ in 0..10 {
        player.next_tick();
    }
    let said = server.kill();
    assert!(said.contains("cannot be written and is given up") && said.contains("lobby"), "{said}");
    let [file] = &files(folder.path())[..] else { panic!("one recording") };
    let (code, line) = replayed(file);
    assert_eq!(code, Some(3), "{line}");
    // The marker is missing only if not even that fitted after the last whole record.
    assert!(
        line.contains("the disk could not be written") || line.contains("without its end marker"),
        "{line}"
    );
}

#[test]
fn a_panic_of_the_game_is_recorded_with_what_led_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { record: Some(folder.path().to_owned()), ..config() };
    let server = TestServer::with(config, GameKind::of::<Obedient>());
    let mut ann = Player::join_as(server.address(), wire::Join { kind: "obedient".into(), ..join("lobby") });
    ann.next_tick();
    ann.command(&Ask { panic: true, ..Ask::default() });
    ann.ended();
    drop(server);
    let [file] = &files(folder.path())[..] else { panic!("one recording") };
    let (_, verdict) = replay(&fs::read(file).unwrap()[..], &[GameKind::of::<Obedient>()]).unwrap();
    let Verdict::Panicked { recorded: true, replayed: Some(said), .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert!(said.contains("as asked"), "{said}");
}

#[test]
fn fields_that_the_game_does_not_know_cost_no_disk() {
    let folder = tempfile::tempdir().unwrap();
    let record = Some(folder.path().to_owned());
    let server = TestServer::start(Config { record, tick_rate: 60, ..config() });
    let mut ann = Player::join(server.address(), "lobby");
    for _ in 0..30 {
        ann.next_tick();
        ann.input(&Padded { move_x: 127, padding: vec![1; 1_000] });
    }
    drop(server);
    let [file] = &files(folder.path())[..] else { panic!("one recording") };
    let bytes = fs::read(file).unwrap();
    let mut recording = Recording::open(&bytes[..]).unwrap();
    let mut inputs = 0;
    while let Some(tick) = recording.next_record().unwrap() {
        inputs += tick.inputs.len();
    }
    assert!(inputs >= 20, "{inputs}");
    assert!(bytes.len() < 10_000, "{} bytes", bytes.len());
    assert_eq!(recording.end(), Some(EndReason::ServerStopped));
    assert!(matches!(verdict(file), Verdict::Same { .. }));
}

/// An input of the arena with a field that it does not have.
#[derive(Clone, PartialEq, prost::Message)]
struct Padded {
    #[prost(sint32, tag = "1")]
    move_x: i32,
    #[prost(bytes = "vec", tag = "99")]
    padding: Vec<u8>,
}
