//! Whether and when a client reconnects, in virtual time.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use driftless_client::{
    Disconnect, Error, Event, Options, Phase, ServerError,
    proto::{code::CloseCode, session::Delivery},
    transport::{Closed, DialError, TransportKind::*},
};
use std::time::Duration;
use support::pair::{Pair, options};

fn denied(code: CloseCode) -> DialError {
    DialError::Denied { address: "a:1".into(), code, name: "test".into(), reason: "test".into() }
}

fn unreachable() -> DialError {
    DialError::Unreachable { address: "a:1".into(), reason: "test".into() }
}

/// How long the client currently has to wait.
fn wait(pair: &Pair) -> Duration {
    let Phase::Waiting { until } = *pair.core.phase() else { panic!("{:?}", pair.core.phase()) };
    until - pair.now
}

fn lost() -> Disconnect {
    Closed::Lost("test".into()).into()
}

#[test]
fn every_code_is_obeyed() {
    for &code in CloseCode::ALL {
        let mut pair = Pair::joined();
        pair.room.close(code, Duration::ZERO);
        pair.run(Duration::from_millis(100));
        match pair.core.phase() {
            Phase::Ended(Error::Ended(cause)) => {
                assert!(!code.may_reconnect(), "{code:?} ended it");
                assert_eq!(cause.close_code(), Some(code));
            }
            phase => assert!(code.may_reconnect(), "{code:?} left it {phase:?}"),
        }
    }
}

#[test]
fn wait_asked_for_by_the_goodbye_is_kept() {
    let mut pair = Pair::joined();
    pair.room.close(CloseCode::Draining, Duration::from_secs(9));
    pair.run(Duration::from_secs(5));
    let Some(Event::Disconnected { cause, retry_at }) = pair.events.last() else {
        panic!("{:?}", pair.events)
    };
    assert!(
        matches!(cause, Disconnect::Goodbye { code: 4000, reconnect_after, .. } if reconnect_after.as_secs() == 9)
    );
    assert!(matches!(pair.core.phase(), Phase::Waiting { until } if until == retry_at));
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.room.resumes, 1);
}

#[test]
fn server_that_does_not_close_after_its_goodbye_is_left() {
    let mut pair = Pair::joined();
    pair.room.close(CloseCode::Draining, Duration::ZERO);
    let goodbye = std::iter::from_fn(|| pair.room.poll(pair.now)).last().unwrap();
    pair.core.handle_message(pair.now, goodbye).unwrap();
    let due = pair.core.poll_timeout().unwrap();
    assert_eq!(due, pair.now + Duration::from_secs(1));
    let error = pair.core.handle_timeout(due).unwrap_err();
    pair.core.handle_disconnected(due, error.into());
    let event = std::iter::from_fn(|| pair.core.poll_event()).last();
    assert!(matches!(event, Some(Event::Disconnected { cause: Disconnect::Goodbye { code: 4000, .. }, .. })));
}

#[test]
fn a_server_is_in_doubt_after_two_seconds_of_silence_or_eight_round_trips() {
    for (latency, doubt) in [(20, 2_000..2_001), (400, 6_300..6_600)] {
        let mut pair = Pair::joined();
        pair.latency = Duration::from_millis(latency);
        pair.run(Duration::from_secs(120));
        let silence = pair.core.poll_doubt().unwrap() - pair.core.session().silent_since().unwrap();
        assert!(doubt.contains(&silence.as_millis()), "{silence:?}");
        pair.core.handle_disconnected(pair.now, lost());
        assert_eq!(pair.core.poll_doubt(), None);
    }
}

#[test]
fn close_code_counts_where_the_goodbye_was_lost() {
    let mut pair = Pair::joined();
    let code = CloseCode::UnknownSession.number();
    pair.end(Closed::ByPeer { code, reason: String::new() }.into());
    pair.settle();
    assert_eq!((pair.room.joins, pair.room.resumes), (2, 0));
    pair.end(Closed::ByPeer { code: CloseCode::Replaced.number(), reason: String::new() }.into());
    assert!(matches!(pair.core.phase(), Phase::Ended(_)));
}

#[test]
fn lost_seat_is_told_by_a_server_that_is_there_so_the_wait_is_short() {
    let mut pair = Pair::joined();
    pair.core.handle_disconnected(pair.now, lost());
    for _ in 0..6 {
        pair.core.handle_dial_failed(pair.now, unreachable());
    }
    assert!(pair.core.handle_connected(pair.now, Delivery::Ordered));
    let code = CloseCode::UnknownSession.number();
    pair.core.handle_disconnected(pair.now, Closed::ByPeer { code, reason: String::new() }.into());
    assert!(
        matches!(pair.core.phase(), Phase::Waiting { until } if *until - pair.now <= Duration::from_secs(1))
    );
}

// Promise 9: a seat survives what the server or the network did, if its player comes back in time. How long
// the room stood still is not known: after an outage of two windows, all of the window is still to come.
#[test]
fn while_the_seat_may_wait_no_wait_takes_more_than_a_quarter_of_its_window() {
    for seed in 0..20 {
        let mut pair = Pair::new(Options { seed: Some(seed), ..options() });
        pair.run(Duration::from_secs(6));
        let window = Duration::from_millis(pair.core.welcome().unwrap().resume_window_ms.into());
        let lost_at = pair.now;
        pair.core.handle_disconnected(lost_at, lost());
        let mut longest = Duration::ZERO;
        while pair.now < lost_at + 10 * window {
            assert!(wait(&pair) <= window / 4, "{:?} of {window:?}", wait(&pair));
            pair.now += wait(&pair).max(Duration::from_millis(1));
            pair.core.handle_dial_failed(pair.now, unreachable());
        }
        for _ in 0..20 {
            longest = longest.max(wait(&pair));
            pair.core.handle_dial_failed(pair.now, unreachable());
        }
        assert!(longest > window / 4, "nobody is in a hurry then: {longest:?}");
    }
}

#[test]
fn ended_room_is_joined_anew() {
    for code in [CloseCode::RoomClosed, CloseCode::RoomFailed] {
        let mut pair = Pair::joined();
        pair.room.close(code, Duration::ZERO);
        pair.run(Duration::from_millis(100));
        pair.settle();
        assert_eq!((pair.room.joins, pair.room.resumes), (2, 0));
    }
}

#[test]
fn waits_grow_up_to_30_s_and_start_over_after_success() {
    let mut pair = Pair::joined();
    let mut longest = Duration::ZERO;
    pair.core.handle_disconnected(pair.now, lost());
    for round in 0..40u32 {
        let ceiling = Duration::from_secs(1 << round.min(5)).min(Duration::from_secs(30));
        assert!(wait(&pair) <= ceiling, "{round}: {:?}", wait(&pair));
        longest = longest.max(wait(&pair));
        pair.core.handle_dial_failed(pair.now, unreachable());
    }
    assert!(longest > Duration::from_secs(15));
    pair.room.disconnect();
    pair.settle();
    pair.run(Duration::from_secs(31));
    pair.cut(&mut fastrand::Rng::with_seed(1));
    assert!(wait(&pair) <= Duration::from_secs(1));
}

#[test]
fn rooms_that_fail_right_after_each_join_are_joined_ever_more_slowly() {
    let mut pair = Pair::joined();
    let mut longest = Duration::ZERO;
    for joins in 1..12 {
        pair.run(Duration::from_millis(500)); // states come
        assert_eq!(pair.room.joins, joins);
        pair.end(Closed::ByPeer { code: CloseCode::RoomFailed.number(), reason: String::new() }.into());
        longest = longest.max(wait(&pair));
        pair.settle();
    }
    assert!(longest > Duration::from_secs(8), "{longest:?}");
}

#[test]
fn seats_that_are_lost_again_and_again_are_asked_for_ever_more_slowly() {
    let mut pair = Pair::joined();
    let mut longest = Duration::ZERO;
    for _ in 0..12 {
        pair.run(Duration::from_millis(500));
        pair.room.forget_seat(); // a server that restarts
        pair.cut(&mut fastrand::Rng::with_seed(1));
        longest = longest.max(wait(&pair));
        pair.settle();
    }
    assert_eq!((pair.room.joins, pair.room.resumes), (13, 0));
    assert!(longest > Duration::from_secs(8), "{longest:?}");
}

#[test]
fn join_that_is_lost_before_its_welcome_is_a_join_again() {
    let mut pair = Pair::joined();
    pair.room.forget_seat();
    pair.cut(&mut fastrand::Rng::with_seed(1));
    while pair.room.joins < 2 {
        pair.step();
    }
    pair.end(lost());
    pair.settle();
    let unknown = |event: &&Event| matches!(event, Event::Disconnected { cause, .. } if cause.close_code() == Some(CloseCode::UnknownSession));
    assert_eq!(pair.events.iter().filter(unknown).count(), 1, "the dead seat is asked for once");
    assert_eq!((pair.room.joins, pair.room.resumes), (3, 0));
}

#[test]
fn seat_that_was_kept_starts_the_waits_over_with_its_first_state() {
    let mut pair = Pair::joined();
    for round in 1..=10 {
        pair.core.handle_disconnected(pair.now, lost());
        assert!(wait(&pair) <= Duration::from_secs(1), "{round}: {:?}", wait(&pair));
        for _ in 0..6 {
            pair.core.handle_dial_failed(pair.now, unreachable());
        }
        pair.room.disconnect();
        pair.settle();
        assert_eq!((pair.room.joins, pair.room.resumes), (1, round));
    }
}

#[test]
fn new_seat_that_lasts_for_5_s_starts_the_waits_over() {
    let mut pair = Pair::joined();
    for round in 1..=10 {
        pair.run(Duration::from_secs(6));
        pair.core.handle_disconnected(pair.now, lost());
        assert!(wait(&pair) <= Duration::from_secs(1), "{round}: {:?}", wait(&pair));
        for _ in 0..6 {
            pair.core.handle_dial_failed(pair.now, unreachable());
        }
        pair.room.disconnect();
        pair.room.forget_seat();
        pair.settle();
        assert_eq!((pair.room.joins, pair.room.resumes), (round + 1, 0));
    }
}

#[test]
fn attempts_that_fail_are_counted_from_the_last_state() {
    let mut pair = Pair::new(Options { max_attempts: Some(3), ..options() });
    pair.run(Duration::from_millis(500));
    for _ in 0..5 {
        pair.room.forget_seat(); // a server that restarts, and is up each time
        pair.end(lost());
        pair.settle();
        pair.run(Duration::from_millis(200));
    }
    assert_eq!(pair.room.joins, 6);
}

#[test]
fn result_of_a_dial_that_nobody_waits_for_is_ignored() {
    let mut pair = Pair::joined();
    let fatal = DialError::NotDriftless { address: "a:1".into(), reason: "test".into() };
    pair.core.handle_dial_failed(pair.now, fatal.clone());
    assert!(!pair.core.handle_connected(pair.now, Delivery::Ordered));
    pair.run(Duration::from_secs(1));
    assert_eq!((pair.room.joins, pair.room.resumes, pair.core.phase()), (1, 0, &Phase::Online));
    assert!(pair.core.send_command(Bytes::new()).is_ok());
    pair.cut(&mut fastrand::Rng::with_seed(1));
    pair.core.leave(pair.now);
    pair.core.handle_dial_failed(pair.now, fatal);
    assert!(!pair.core.handle_connected(pair.now, Delivery::Ordered));
    assert_eq!(*pair.core.phase(), Phase::Ended(Error::Ended(Disconnect::Left)));
}

#[test]
fn connection_that_is_told_lost_twice_counts_once() {
    let mut pair = Pair::joined();
    pair.core.handle_disconnected(pair.now, lost());
    let first = wait(&pair);
    pair.core.handle_disconnected(pair.now, lost());
    assert_eq!(wait(&pair), first);
    let told = std::iter::from_fn(|| pair.core.poll_event());
    assert_eq!(told.filter(|event| matches!(event, Event::Disconnected { .. })).count(), 1);
}

#[test]
fn attempts_run_out() {
    let mut pair = Pair::new(Options { max_attempts: Some(3), ..options() });
    pair.run(Duration::from_millis(500));
    pair.core.handle_disconnected(pair.now, lost());
    for _ in 0..3 {
        assert!(matches!(pair.core.phase(), Phase::Waiting { .. }));
        pair.core.handle_dial_failed(pair.now, unreachable());
    }
    assert_eq!(*pair.core.phase(), Phase::Ended(Error::GaveUp { attempts: 3, last: unreachable().into() }));
}

#[test]
fn server_that_knows_no_seat_not_even_for_a_join_is_given_up_as_well() {
    let mut pair = Pair::new(Options { max_attempts: Some(3), ..options() });
    pair.run(Duration::from_millis(500));
    pair.room.refuse = Some((CloseCode::UnknownSession, Duration::ZERO));
    pair.end(lost());
    pair.run(Duration::from_secs(60));
    assert!(
        matches!(pair.core.phase(), Phase::Ended(Error::GaveUp { attempts: 3, .. })),
        "{:?}",
        pair.core.phase()
    );
}

#[test]
fn first_connection_that_fails_ends_it() {
    let mut pair = Pair::new(options());
    pair.room.refuse = Some((CloseCode::RoomFull, Duration::ZERO));
    pair.run(Duration::from_millis(200));
    let Phase::Ended(Error::Ended(cause)) = pair.core.phase() else { panic!("{:?}", pair.core.phase()) };
    assert_eq!(cause.close_code(), Some(CloseCode::RoomFull));
}

#[test]
fn silent_server_is_left_and_found_again() {
    let mut pair = Pair::joined();
    pair.frozen = true;
    pair.run(Duration::from_secs(11));
    let timed_out = |e: &Event| {
        matches!(e, Event::Disconnected { cause: Disconnect::Server(ServerError::TimedOut(_)), .. })
    };
    assert!(pair.events.iter().any(timed_out));
    pair.frozen = false;
    pair.settle();
    assert_eq!(pair.room.resumes, 1);
}

#[test]
fn nonsense_from_the_server_ends_it_with_the_reason() {
    let mut pair = Pair::joined();
    let error = pair.core.handle_message(pair.now, Bytes::from_static(b"\xff\xff\xff\xff")).unwrap_err();
    pair.core.handle_disconnected(pair.now, error.clone().into());
    assert_eq!(*pair.core.phase(), Phase::Ended(Error::Ended(Disconnect::Server(error))));
}

#[test]
fn dial_errors_are_retried_only_where_that_can_help() {
    let refused = |status| DialError::Refused { address: "a:1".into(), status, body: String::new() };
    let url = DialError::Url { url: "x".into(), reason: "y".into() };
    let all = |first, second| DialError::All(vec![(Quic, first), (WebSocket, second)]);
    for (error, retried) in [
        (refused(503), true),
        (refused(404), true),
        (denied(CloseCode::Forbidden), false),
        (all(unreachable(), denied(CloseCode::Forbidden)), false),
        (all(unreachable(), refused(403)), true),
        (url, false),
    ] {
        let mut pair = Pair::joined();
        pair.core.handle_disconnected(pair.now, lost());
        pair.core.handle_dial_failed(pair.now, error);
        assert_eq!(matches!(pair.core.phase(), Phase::Waiting { .. }), retried);
    }
}

// A login may answer with what it has answered before.
#[test]
fn a_refused_token_is_asked_for_again_and_is_final_if_it_is_the_same() {
    let goodbye = || Disconnect::Goodbye {
        code: CloseCode::Unauthenticated.number(),
        reason: "the token has expired".into(),
        reconnect_after: Duration::ZERO,
    };
    for over_quic in [false, true] {
        let refuse = |pair: &mut Pair, token: &str| {
            pair.core.set_identity_token(token.into());
            match over_quic {
                true => {
                    assert!(pair.core.handle_connected(pair.now, Delivery::Datagram));
                    pair.core.handle_disconnected(pair.now, goodbye());
                }
                false => pair.core.handle_dial_failed(pair.now, denied(CloseCode::Unauthenticated)),
            }
            matches!(pair.core.phase(), Phase::Waiting { .. })
        };
        let joined = || {
            let mut pair = Pair::new(options().token("first"));
            pair.settle();
            pair.core.handle_disconnected(pair.now, lost());
            pair
        };
        let mut pair = joined();
        assert!(refuse(&mut pair, "stale") && refuse(&mut pair, ""));
        assert!(!refuse(&mut pair, ""));

        let mut pair = joined();
        assert!(refuse(&mut pair, "early"));
        pair.settle();
        pair.core.handle_disconnected(pair.now, lost());
        assert!(refuse(&mut pair, "early"), "it was good meanwhile");
    }
}

#[test]
fn leave_is_answered_and_ends_it() {
    let mut pair = Pair::joined();
    pair.core.leave(pair.now);
    pair.run(Duration::from_millis(200));
    assert_eq!(*pair.core.phase(), Phase::Ended(Error::Ended(Disconnect::Left)));
    assert_eq!(pair.room.resumes, 0);
}

#[test]
fn leave_while_away_is_said_over_one_more_connection_at_once() {
    let mut pair = Pair::joined();
    pair.end(lost());
    for _ in 0..6 {
        pair.core.handle_dial_failed(pair.now, unreachable());
    }
    pair.core.leave(pair.now);
    assert_eq!(pair.core.poll_timeout(), Some(pair.now));
    pair.run(Duration::from_millis(200));
    assert_eq!((pair.room.joins, pair.room.resumes, pair.room.left), (1, 1, true));
    assert_eq!(*pair.core.phase(), Phase::Ended(Error::Ended(Disconnect::Left)));
}

#[test]
fn leave_while_away_ends_it_where_nobody_can_be_told() {
    let mut pair = Pair::joined();
    pair.core.handle_disconnected(pair.now, lost());
    pair.core.leave(pair.now);
    pair.core.handle_dial_failed(pair.now, unreachable());
    assert_eq!(*pair.core.phase(), Phase::Ended(Error::Ended(Disconnect::Left)));
    // The seat is already lost.
    let mut pair = Pair::joined();
    let code = CloseCode::RoomClosed.number();
    pair.core.handle_disconnected(pair.now, Closed::ByPeer { code, reason: String::new() }.into());
    pair.core.leave(pair.now);
    assert_eq!(*pair.core.phase(), Phase::Ended(Error::Ended(Disconnect::Left)));
    assert_eq!(pair.core.poll_timeout(), None);
}

#[test]
fn clock_that_moved_is_told_once() {
    let mut pair = Pair::joined();
    pair.run(Duration::from_secs(10));
    pair.room.pass_unseen(Duration::from_millis(400));
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.events.iter().filter(|event| **event == Event::ClockMoved).count(), 1);
}

#[test]
fn clock_and_statistics_are_measured() {
    let mut pair = Pair::joined();
    pair.run(Duration::from_secs(5));
    let stats = pair.core.stats();
    assert_eq!(stats.rtt, Some(Duration::from_millis(40)));
    assert_eq!(stats.age, Some(Duration::from_millis(20))); // the latency of one direction: the room's tick 0 is at its time 0
    assert_eq!((stats.stale, stats.ticks_missed, stats.reconnects), (0, 0, 0));
    assert_eq!(stats.full_states, 1);
    assert_eq!(stats.states, pair.state_ticks().len() as u64);
    assert!(stats.bytes_down > 0 && stats.bytes_up > 0 && stats.jitter < Duration::from_millis(1));
    let server_us = pair.core.clock().server_time_us(pair.now).unwrap();
    assert!(server_us.abs_diff(pair.room.time_us(pair.now)) <= 1);
}
