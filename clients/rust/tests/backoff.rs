//! Waits between attempts to connect.

use driftless_client::{Backoff, backoff::MAX_SERVER_DELAY};
use std::time::Duration;

#[test]
fn ceiling_doubles_from_1_s_to_30_s() {
    let mut backoff = Backoff::default();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut ceilings = Vec::new();
    for _ in 0..8 {
        ceilings.push(backoff.ceiling().as_secs());
        backoff.next(&mut rng, None);
    }
    assert_eq!(ceilings, [1, 2, 4, 8, 16, 30, 30, 30]);
}

#[test]
fn wait_is_anywhere_below_the_ceiling() {
    let mut rng = fastrand::Rng::with_seed(2);
    let (mut low, mut high) = (false, false);
    for _ in 0..200 {
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            let ceiling = backoff.ceiling();
            let wait = backoff.next(&mut rng, None);
            assert!(wait <= ceiling);
            low |= wait < ceiling / 4;
            high |= wait > ceiling * 3 / 4;
        }
    }
    assert!(low && high);
}

#[test]
fn same_seed_gives_the_same_waits() {
    let waits = |seed| {
        let (mut backoff, mut rng) = (Backoff::default(), fastrand::Rng::with_seed(seed));
        (0..10).map(|_| backoff.next(&mut rng, None)).collect::<Vec<_>>()
    };
    assert_eq!(waits(3), waits(3));
    assert_ne!(waits(3), waits(4));
}

#[test]
fn servers_first_three_waits_are_kept_whatever_failed_before_and_then_are_a_lower_bound() {
    let mut rng = fastrand::Rng::with_seed(5);
    for asked in [Duration::from_millis(1), Duration::from_secs(7)] {
        let mut backoff = Backoff::default();
        // Its old node could not be reached.
        for _ in 0..6 {
            backoff.next(&mut rng, None);
        }
        for _ in 0..3 {
            assert_eq!(backoff.next(&mut rng, Some(asked)), asked, "the server has spread its clients");
        }
        for _ in 0..20 {
            let ceiling = backoff.ceiling();
            let wait = backoff.next(&mut rng, Some(asked));
            assert!(asked <= wait && wait <= ceiling.max(asked), "{wait:?}");
        }
    }
    let (mut backoff, none) = (Backoff::default(), Some(Duration::ZERO));
    assert!(backoff.next(&mut rng, none) > Duration::ZERO, "one that asks for nothing has spread nobody");
}

#[test]
fn absurd_wait_of_a_server_is_cut() {
    let (mut backoff, mut rng) = (Backoff::default(), fastrand::Rng::with_seed(5));
    assert_eq!(backoff.next(&mut rng, Some(Duration::from_secs(1 << 40))), MAX_SERVER_DELAY);
}

#[test]
fn success_starts_over_and_failures_never_overflow() {
    let (mut backoff, mut rng) = (Backoff::default(), fastrand::Rng::with_seed(6));
    for _ in 0..100 {
        backoff.next(&mut rng, None);
    }
    assert_eq!(backoff.ceiling(), Duration::from_secs(30));
    backoff.reset();
    assert_eq!(backoff.ceiling(), Duration::from_secs(1));
}
