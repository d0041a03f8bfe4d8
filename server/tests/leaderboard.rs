//! The example with a database, played over sockets.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests, too, may fail loudly

#[allow(dead_code)] // its main
#[path = "../examples/leaderboard.rs"]
mod leaderboard;
mod util;

use driftless_proto::{session::client::ClientEvent, wire};
use driftless_server::{RoomEvent, Server, config::Config, jobs::Jobs};
use driftless_sim::{
    GameKind, Output, Setup, Simulation, Step,
    replay::{Verdict, replay},
    step::Order,
};
use leaderboard::{Buttons, Options, Press, Rank, SaveScore, Scores, Won};
use prost::Message as _;
use rusqlite::Connection;
use serde_json::json;
use std::{
    fs::{self, File},
    io::BufReader,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use util::{Player, TestServer, config, join, until};

/// A server with a room of short rounds, and who plays in it.
fn opened<const N: usize>(server: Server, config: Config, names: [&str; N]) -> (TestServer, [Player; N]) {
    let server = TestServer::of(server, config);
    assert_eq!(server.post("/v1/rooms", r#"{"name": "hall", "options": {"round_s": 1}}"#).status, 201);
    let players = names
        .map(|name| Player::join_as(server.address(), wire::Join { name: name.to_owned(), ..join("hall") }));
    (server, players)
}

fn won(player: &mut Player) -> Won {
    player.wait("the end of a round", |event| {
        let ClientEvent::Event(event) = event else { return None };
        Some(Won::decode(&event.payload[..]).unwrap())
    })
}

/// Scores of another room.
fn earlier(file: &Path, scores: &[u32]) {
    let all = Scores::open(file).unwrap();
    for (round, &score) in scores.iter().enumerate() {
        all.save(&SaveScore { seed: 7, round: round as u32, name: "zoe".into(), score }).unwrap();
    }
}

/// All scores of a name.
fn scores_of(file: &Path, name: &str) -> Vec<u32> {
    let scores = Connection::open(file).unwrap();
    let mut query = scores.prepare("SELECT score FROM scores WHERE name = ?").unwrap();
    query.query_map([name], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

// Promise 1: "A replay gives the same checksums."
#[test]
fn the_winners_rank_is_told_to_all_and_replayed_without_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let (file, recordings) = (folder.path().join("scores.sqlite"), folder.path().join("recordings"));
    earlier(&file, &[100, 50, 1]);
    let reports = Arc::new(Mutex::new(Vec::new()));
    let heard = reports.clone();
    let server = leaderboard::server(file.clone()).on(move |event| {
        if let RoomEvent::Reported { report, .. } = event {
            heard.lock().unwrap().push(report.clone());
        }
    });
    let config = Config { record: Some(recordings.clone()), linger: Duration::ZERO, ..config() };
    let (server, [mut ann, mut bob]) = opened(server, config, ["ann", "bob"]);

    ann.command(&Press {});
    let first = won(&mut ann);
    assert_eq!((&*first.name, first.score, first.rank), ("ann", 1, 3));
    assert_eq!(won(&mut bob), first);
    let shown = || server.get_as_operator("/v1/rooms/hall").json()["info"].clone();
    until("it is shown", || shown() == json!({ "winner": "ann, 1 presses, place 3" }));
    bob.command(&Press {});
    let second = won(&mut ann);
    assert_eq!((&*second.name, second.score, second.rank), ("bob", 1, 3));
    assert!(second.round > first.round);
    until("it is reported", || reports.lock().unwrap().len() == 2);
    assert_eq!(*reports.lock().unwrap(), [first, second].map(|won| serde_json::to_value(won).unwrap()));
    assert_eq!((scores_of(&file, "ann"), scores_of(&file, "bob")), (vec![1], vec![1]));

    ann.leave();
    bob.leave();
    let metrics = server.running().metrics().clone();
    until("the room has ended", || metrics.rooms.ended.get("empty") == 1);
    drop(server);
    fs::remove_file(file).unwrap();
    let recording = fs::read_dir(recordings).unwrap().next().unwrap().unwrap().path();
    let recording = BufReader::new(File::open(recording).unwrap());
    let (_, verdict) = replay(recording, &[GameKind::of::<Buttons>()]).unwrap();
    assert_eq!(verdict, Verdict::Same { ticks: metrics.rooms.ticks.get() });
}

#[test]
fn a_score_whose_answer_was_lost_is_asked_for_again_and_saved_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scores.sqlite");
    earlier(&file, &[100]);
    let (scores, attempts) = (Scores::open(&file).unwrap(), Arc::new(AtomicU32::new(0)));
    let attempt = attempts.clone();
    let jobs = Jobs::new().on_blocking(move |job: SaveScore, _| {
        let rank = scores.save(&job)?;
        match attempt.fetch_add(1, Relaxed) {
            0 => Err("saved, and then the line went dead".into()),
            _ => Ok(Rank { rank }),
        }
    });
    let server = leaderboard::server(file.clone()).jobs(jobs);
    let (_server, [mut ann]) = opened(server, config(), ["ann"]);
    ann.command(&Press {});
    let won = won(&mut ann);
    assert_eq!((won.score, won.rank), (1, 2));
    assert_eq!((attempts.load(Relaxed), scores_of(&file, "ann")), (2, vec![1]));
}

#[test]
fn a_database_that_does_not_open_is_one_line_and_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let no_database = folder.path().join("notes.txt");
    fs::write(&no_database, "this is no database, but a text that is long enough to be none").unwrap();
    for file in [no_database, folder.path().join("missing/scores.sqlite")] {
        let error = leaderboard::server(file.clone()).start(config()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(file.to_str().unwrap()) && error.contains("LEADERBOARD"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn the_winner_of_a_round_is_who_pressed_most_and_of_equals_who_came_first() {
    let setup = Setup { seed: 7, tick_rate: 1, max_players: 4, options: Options { round_s: Some(1) } };
    let mut game = Buttons::new(&setup).unwrap();
    let mut output = Output::new();
    for (player, name) in [(1, "ann"), (2, "bob"), (3, "cid")] {
        game.join(player, name, &mut Step::new(0, &mut output));
    }
    // Nobody has pressed in the first round, nor in the third.
    for (tick, presses) in [(1, vec![]), (2, vec![1, 2, 2, 3, 3]), (3, vec![]), (4, vec![1])] {
        let mut step = Step::new(tick, &mut output);
        presses.into_iter().for_each(|player| game.command(player, Press {}, &mut step).unwrap());
        game.step(&[], &mut step);
    }
    let asked = output.orders.iter().map(|order| {
        let Order::Ask { payload: Ok(job), .. } = order else { panic!("{order:?}") };
        let SaveScore { seed, round, name, score } = SaveScore::decode(&job[..]).unwrap();
        (seed, round, name, score)
    });
    let asked: Vec<_> = asked.collect();
    assert_eq!(asked, [(7, 2, "bob".to_owned(), 2), (7, 4, "ann".to_owned(), 1)]);
}
