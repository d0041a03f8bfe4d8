use super::ms;
use crate::model::Bottleneck;
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn a_packet_leaves_when_its_last_byte_has() {
    let mut narrow = Bottleneck::default();
    assert_eq!(narrow.admit(ms(0), Some(1000), 5000, 500), Some(ms(500)));
    assert_eq!(narrow.admit(ms(100), Some(1000), 5000, 100), Some(ms(600)));
    assert_eq!(narrow.backlog(ms(350), Some(1000)), 250);
    assert_eq!(narrow.admit(ms(2000), Some(1000), 5000, 10), Some(ms(2010)));
}

#[test]
fn what_finds_the_queue_full_is_dropped_and_takes_no_room() {
    let mut narrow = Bottleneck::default();
    assert!(narrow.admit(ms(0), Some(1000), 1000, 900).is_some());
    assert_eq!(narrow.admit(ms(0), Some(1000), 1000, 101), None);
    assert_eq!(narrow.admit(ms(0), Some(1000), 1000, 100), Some(ms(1000)));
}

#[test]
fn without_a_rate_nothing_waits() {
    let mut narrow = Bottleneck::default();
    assert_eq!(narrow.admit(ms(7), None, 0, 1_000_000), Some(ms(7)));
}

#[test]
fn a_rate_that_rises_lets_nobody_overtake() {
    let mut narrow = Bottleneck::default();
    let first = narrow.admit(ms(0), Some(1000), 5000, 1000).unwrap();
    let second = narrow.admit(ms(1), None, 0, 10).unwrap();
    assert!(second >= first);
}

proptest! {
    #[test]
    fn the_queue_never_holds_more_than_it_may_and_the_rate_is_kept(
        rate in 500..100_000u64,
        queue in 2048..40_000u64,
        packets in proptest::collection::vec((0..50_000u64, 1..1500usize), 1..200),
    ) {
        let mut narrow = Bottleneck::default();
        let (mut now, mut departures) = (Duration::ZERO, Vec::new());
        for (pause, bytes) in packets {
            now += Duration::from_micros(pause);
            if let Some(departure) = narrow.admit(now, Some(rate), queue, bytes) {
                departures.push((departure, bytes));
            }
            prop_assert!(narrow.backlog(now, Some(rate)) <= queue);
        }
        // Between two departures nothing passes that the rate does not carry in that time.
        for pair in departures.windows(2) {
            let need = Duration::from_secs_f64(pair[1].1 as f64 / rate as f64);
            let had = pair[1].0 - pair[0].0;
            prop_assert!(had + Duration::from_nanos(2) >= need, "{had:?} for {need:?}");
        }
    }
}
