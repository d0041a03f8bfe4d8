//! The example with a database, played by bots.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests, too, may fail loudly

#[path = "../examples/leaderboard.rs"]
mod leaderboard;
mod util;

use driftless_proto::{session::client::ClientEvent, wire};
use driftless_server::{RoomEvent, config::Config};
use driftless_sim::{
    GameKind,
    replay::{Verdict, replay},
};
use leaderboard::{Board, Button, Presses, Scores, server};
use prost::Message as _;
use std::{
    fs::{self, File},
    io::BufReader,
    time::Duration,
};
use util::{Player, TestServer, config, join, until};

/// Presses the button in every `every`th tick, until the round is over and its scores are saved.
fn play(player: &mut Player, every: u32) -> Board {
    for n in 0_u32.. {
        player.input(&Button { down: n.is_multiple_of(every) });
        let board = player.wait("a state or a board", |event| match event {
            ClientEvent::Event(event) => Some(Some(Board::decode(&event.payload[..]).unwrap())),
            ClientEvent::State { .. } => Some(None),
            _ => None,
        });
        if let Some(board) = board {
            return board;
        }
    }
    unreachable!("rounds end")
}

// Promise 1: "A replay gives the same checksums."
#[test]
fn scores_are_kept_in_the_database_and_a_replay_does_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, recordings) = (folder.path().join("scores.sqlite"), folder.path().join("recordings"));
    let config = Config {
        join_options: true,
        record: Some(recordings.clone()),
        linger: Duration::ZERO,
        resume_window: Duration::ZERO,
        ..config()
    };
    let server = TestServer::of(
        server(Scores::open(&file).unwrap())
            .on(|event| assert!(matches!(event, RoomEvent::Made { .. } | RoomEvent::Ended { .. }))),
        config,
    );
    let join_as =
        |name: &str| wire::Join { name: name.into(), options: r#"{"seconds":1}"#.into(), ..join("lobby") };
    let mut ann = Player::join_as(server.address(), join_as("ann"));
    let mut bob = Player::join_as(server.address(), join_as("bob"));
    let idle = std::thread::spawn(move || (play(&mut bob, 1_000_000), bob));
    let (first, second) = (play(&mut ann, 2), play(&mut ann, 4));
    let (of_bob, mut bob) = idle.join().unwrap();
    assert!(&*first.best[0].name == "ann" && first.best[0].score > 2, "{first:?}");
    assert!(of_bob.best.iter().any(|saved| saved.name == "bob" && saved.score <= 1), "{of_bob:?}");
    let sorted = second.best.is_sorted_by_key(|saved| std::cmp::Reverse(saved.score));
    assert!(second.best.len() >= 3 && sorted, "{second:?}");
    ann.leave();
    bob.leave();
    let metrics = server.running().metrics().clone();
    until("the room has ended", || metrics.rooms_ended.get("empty") == 1);
    assert!(metrics.jobs_answered.get("done") >= 2);
    drop(server);

    let saved: u32 = rusqlite::Connection::open(&file)
        .unwrap()
        .query_row("SELECT count(*) FROM scores WHERE name IN ('ann', 'bob')", [], |row| row.get(0))
        .unwrap();
    assert!(u64::from(saved) >= metrics.jobs_answered.get("done"));
    fs::remove_file(&file).unwrap();
    let recording = fs::read_dir(&recordings).unwrap().next().unwrap().unwrap().path();
    let (_, verdict) =
        replay(BufReader::new(File::open(recording).unwrap()), &[GameKind::of::<Presses>()]).unwrap();
    assert_eq!(verdict, Verdict::Same { ticks: metrics.ticks.get() });
}
