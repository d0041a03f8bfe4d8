//! A room played over sockets, recorded, and simulated again.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests, too, may fail loudly

mod util;

use driftless_server::config::Config;
use driftless_sim::{
    games,
    games::arena::ArenaInput,
    replay::{Verdict, replay},
};
use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
    time::Duration,
};
use util::{Player, TestServer, config, process, until};

/// Plays for a while in a room of the arena, recorded in `folder`. The recording, and how many ticks the room ran.
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
            // A seat that ends with its window, and one that is taken while others play.
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
    until("the room has ended", || metrics.rooms_ended.get("empty") == 1);
    let ticks = metrics.ticks.get();
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("one recording a room: {files:?}") };
    // Written on a thread of its own: it is all there when the server has stopped, at the latest.
    drop(server);
    (file.clone(), ticks)
}

fn verdict(file: &Path) -> Verdict {
    let recording = BufReader::new(File::open(file).unwrap());
    let (header, verdict) = replay(recording, &games::kinds()).expect("a recording");
    assert_eq!((&*header.kind, &*header.room, header.tick_rate), ("arena", "lobby", 60));
    verdict
}

// Promise 1: "A room's state MUST be a function of its seed, its joins and leaves, and its inputs. Replaying a recording
// MUST give the same checksums."
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

    // What is no longer as it was written is found.
    let whole = fs::read(&file).unwrap();
    let damaged = folder.path().join("damaged");
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let told = process::run(&["replay", damaged.to_str().unwrap()]);
    assert_eq!(told.status.code(), Some(2), "{told:?}");
    let line = String::from_utf8(told.stderr).unwrap();
    assert!(line.contains("damaged: its CRC") || line.contains("announces"), "{line}");

    fs::write(&damaged, &whole[..middle]).unwrap();
    let told = process::run(&["replay", damaged.to_str().unwrap()]);
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    assert!(String::from_utf8(told.stdout).unwrap().contains("breaks off"));
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
