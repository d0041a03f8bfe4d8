//! What survives a lost connection, in virtual time, against the real server session.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use driftless_client::{Event, proto::code::CloseCode, transport::Closed};
use std::time::Duration;
use support::pair::Pair;

// Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window." Promise 2:
// "A client never applies a state older than one it has applied. State it misses is superseded, never
// replayed late."
#[test]
fn events_arrive_once_in_order_and_states_ascend_across_forced_disconnects() {
    for seed in 0..30 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut pair = Pair::joined();
        for _ in 0..10 {
            for _ in 0..rng.u32(1..60) {
                if rng.u8(..) < 60 {
                    pair.room.event(pair.tick);
                }
                pair.step();
            }
            pair.cut(&mut rng);
            pair.settle();
        }
        pair.run(Duration::from_secs(1));
        assert_eq!(pair.game_events(), (1..=pair.room.events).collect::<Vec<_>>(), "seed {seed}");
        assert!(pair.state_ticks().windows(2).all(|w| w[0] < w[1]), "seed {seed}");
        assert_eq!((pair.room.joins, pair.room.resumes), (1, 10));
        assert_eq!(pair.core.stats().reconnects, 10);
        assert_eq!(pair.core.stats().resumes, 10);
        assert_eq!(pair.core.stats().stale, 0);
    }
}

#[test]
fn commands_arrive_once_in_order_across_forced_disconnects() {
    for seed in 0..20 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut pair = Pair::joined();
        let mut sent = Vec::new();
        for _ in 0..6 {
            for _ in 0..rng.u32(1..40) {
                let payload = Bytes::from(vec![sent.len() as u8]);
                if rng.u8(..) < 60 && pair.core.send_command(payload.clone()).is_ok() {
                    sent.push(payload);
                }
                pair.step();
            }
            pair.cut(&mut rng);
            pair.settle();
        }
        pair.run(Duration::from_secs(1));
        assert_eq!(pair.room.commands, sent, "seed {seed}");
    }
}

/// Numbers of the commands that the client was told are refused.
fn refused(pair: &Pair) -> Vec<u64> {
    let number = |event: &Event| match event {
        Event::CommandRefused(refused) => Some(refused.command),
        _ => None,
    };
    pair.events.iter().filter_map(number).collect()
}

#[test]
fn commands_over_a_lost_seat_are_sent_or_refused_and_their_numbers_go_on() {
    for code in [CloseCode::UnknownSession, CloseCode::RoomClosed, CloseCode::RoomFailed] {
        let mut pair = Pair::joined();
        let send =
            |pair: &mut Pair, n: u8| assert_eq!(pair.core.send_command(Bytes::from(vec![n])), Ok(n.into()));
        [1, 2].into_iter().for_each(|n| send(&mut pair, n));
        pair.run(Duration::from_secs(5)); // a pong confirms them
        [3, 4].into_iter().for_each(|n| send(&mut pair, n));
        pair.step();
        send(&mut pair, 5); // never gets to the wire
        pair.room.forget_seat();
        pair.end(Closed::ByPeer { code: code.number(), reason: String::new() }.into());
        pair.settle();
        pair.run(Duration::from_secs(1));
        assert_eq!(refused(&pair), [3, 4], "{code:?}");
        assert_eq!(pair.room.commands, [vec![1], vec![2], vec![5]], "{code:?}");
        send(&mut pair, 6);
        pair.room.refuse_command(2); // the new seat's second
        pair.run(Duration::from_secs(1));
        assert_eq!(refused(&pair), [3, 4, 6], "{code:?}");
        assert_eq!((pair.room.joins, pair.room.commands.len()), (2, 4));
    }
}

#[test]
fn input_numbers_go_on_after_a_resume() {
    let mut pair = Pair::joined();
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..5 {
        for _ in 0..20 {
            pair.core.send_input(Bytes::from_static(b"go")).unwrap();
            pair.run(Duration::from_millis(50));
        }
        pair.cut(&mut rng);
        pair.settle();
    }
    let numbers: Vec<u32> = pair.room.inputs.iter().map(|i| i.sequence).collect();
    assert!(numbers.windows(2).all(|w| w[0] < w[1]), "{numbers:?}");
    assert!(numbers.len() > 90);
}

#[test]
fn lost_seat_is_joined_anew_without_a_long_wait() {
    let mut pair = Pair::joined();
    pair.room.forget_seat();
    pair.cut(&mut fastrand::Rng::with_seed(4));
    pair.settle();
    assert_eq!((pair.room.joins, pair.room.resumes), (2, 0));
    let players: Vec<(u32, bool)> = pair
        .events
        .iter()
        .filter_map(|e| match e {
            Event::Welcome(w) => Some((w.player, w.resumed)),
            _ => None,
        })
        .collect();
    assert_eq!(players, [(1, false), (2, false)]);
    // Two waits of the backoff: at most 1 s and 2 s.
    assert!(pair.now.duration_since(pair.start) < Duration::from_secs(4));
}

#[test]
fn snapshot_stays_while_away() {
    let mut pair = Pair::joined();
    let tick = pair.core.snapshot().unwrap().tick();
    pair.cut(&mut fastrand::Rng::with_seed(5));
    assert!(pair.core.snapshot().unwrap().tick() >= tick);
}
