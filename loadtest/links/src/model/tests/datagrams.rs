use super::{ms, path, phases};
use crate::model::{Conditions, Datagrams, Dropped, Fate, Loss};
use proptest::prelude::*;
use std::time::Duration;

fn arrival(fate: Fate) -> Option<Duration> {
    match fate {
        Fate::Arrives { at, .. } => Some(at),
        Fate::Dropped(_) => None,
    }
}

#[test]
fn a_perfect_wire_passes_all_at_once() {
    let mut way = Datagrams::new(path(Conditions::default()), 1);
    assert_eq!(way.offer(ms(3), 100), Fate::Arrives { at: ms(3), again: None });
}

#[test]
fn latency_is_added() {
    let mut way = Datagrams::new(path(Conditions { latency: ms(30), ..Conditions::default() }), 1);
    assert_eq!(way.offer(ms(3), 100), Fate::Arrives { at: ms(33), again: None });
}

#[test]
fn jitter_delays_within_its_bounds_and_keeps_order() {
    let both = Conditions { latency: ms(30), jitter: ms(10), ..Conditions::default() };
    let mut way = Datagrams::new(path(both), 1);
    let sent: Vec<Duration> = (0..1000).map(|n| ms(n * 25)).collect();
    let arrivals: Vec<Duration> = sent.iter().filter_map(|&at| arrival(way.offer(at, 100))).collect();
    assert!(arrivals.is_sorted());
    let took: Vec<Duration> = arrivals.iter().zip(&sent).map(|(&arrived, &sent)| arrived - sent).collect();
    assert!(took.iter().all(|took| (ms(20)..=ms(40)).contains(took)));
    assert!(took.iter().any(|&took| took < ms(22)) && took.iter().any(|&took| took > ms(38)));
}

#[test]
fn what_is_held_back_is_overtaken() {
    let both = Conditions { reorder: 0.2, reorder_by: ms(30), ..Conditions::default() };
    let mut way = Datagrams::new(path(both), 1);
    let arrivals: Vec<Duration> = (0..1000).filter_map(|n| arrival(way.offer(ms(n * 10), 100))).collect();
    let held = arrivals.iter().enumerate().filter(|&(n, &at)| at == ms(n as u64 * 10 + 30)).count();
    assert!((150..250).contains(&held), "{held}");
    assert!(!arrivals.is_sorted());
}

#[test]
fn duplicates_arrive_twice() {
    let mut way = Datagrams::new(path(Conditions { duplicate: 0.1, ..Conditions::default() }), 1);
    let twice =
        (0..1000).filter(|&n| matches!(way.offer(ms(n), 100), Fate::Arrives { again: Some(_), .. })).count();
    assert!((70..130).contains(&twice), "{twice}");
}

#[test]
fn a_black_out_passes_nothing_from_its_first_moment_to_its_last() {
    let dark = Conditions { black_out: true, ..Conditions::default() };
    let clear = Conditions::default;
    let path = phases(vec![(Some(ms(100)), clear()), (Some(ms(50)), dark), (None, clear())]);
    let mut way = Datagrams::new(path, 1);
    let passes: Vec<bool> =
        [99, 100, 149, 150].map(|t| way.offer(ms(t), 10) != Fate::Dropped(Dropped::BlackOut)).into();
    assert_eq!(passes, [true, false, false, true]);
}

#[test]
fn what_waits_at_the_bottleneck_when_the_black_out_begins_is_lost() {
    let narrow = Conditions { rate: Some(1000), queue: 5000, ..Conditions::default() };
    let dark = Conditions { black_out: true, ..narrow.clone() };
    let mut way = Datagrams::new(phases(vec![(Some(ms(200)), narrow), (None, dark)]), 1);
    assert_eq!(arrival(way.offer(ms(0), 72)), Some(ms(100)));
    assert_eq!(way.offer(ms(0), 172), Fate::Dropped(Dropped::BlackOut));
}

#[test]
fn the_nth_datagram_meets_the_same_loss_whenever_it_comes() {
    let both = Conditions { loss: Loss::Independent(0.3), jitter: ms(5), ..Conditions::default() };
    let lost = |pause: u64| -> Vec<bool> {
        let mut way = Datagrams::new(path(both.clone()), 9);
        (0..200).map(|n| arrival(way.offer(ms(n * pause), 100)).is_none()).collect()
    };
    assert_eq!(lost(1), lost(17));
}

proptest! {
    #[test]
    fn the_same_seed_has_the_same_fate(seed: u64, both in conditions(), sizes in sizes()) {
        let fates = || -> Vec<Fate> {
            let mut way = Datagrams::new(path(both.clone()), seed);
            sizes.iter().enumerate().map(|(n, &size)| way.offer(ms(n as u64 * 7), size)).collect()
        };
        prop_assert_eq!(fates(), fates());
    }

    #[test]
    fn nothing_arrives_before_it_can(seed: u64, both in conditions(), sizes in sizes()) {
        let mut way = Datagrams::new(path(both.clone()), seed);
        for (n, size) in sizes.into_iter().enumerate() {
            let now = ms(n as u64 * 7);
            if let Some(at) = arrival(way.offer(now, size)) {
                let sending = both.rate.map_or(Duration::ZERO, |rate| {
                    Duration::from_secs_f64(size as f64 / rate as f64)
                });
                prop_assert!(at + Duration::from_nanos(1) >= now + both.latency.saturating_sub(both.jitter) + sending);
            }
        }
    }
}

pub(super) fn sizes() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..1450usize, 1..150)
}

pub(super) fn conditions() -> impl Strategy<Value = Conditions> {
    let time = |most: u64| (0..most).prop_map(ms);
    let rate = proptest::option::of(2_000..200_000u64);
    (time(100), time(50), 0.0..0.5, 0.0..0.3, time(60), 0.0..0.3, rate, 3_000..40_000u64).prop_map(
        |(latency, jitter, loss, reorder, reorder_by, duplicate, rate, queue)| Conditions {
            latency,
            jitter,
            loss: Loss::Independent(loss),
            reorder,
            reorder_by,
            duplicate,
            rate,
            queue,
            black_out: false,
        },
    )
}
