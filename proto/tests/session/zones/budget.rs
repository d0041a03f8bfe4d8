//! What does not fit waits, and what is near waits least.

use super::play::Play;
use crate::util::{Conditions, ms};
use driftless_proto::session::Delivery;
use std::collections::BTreeMap;

#[test]
fn a_budget_delays_what_is_far_and_starves_nothing() {
    let state_bytes = 44;
    let mut play = Play::new(Delivery::Ordered, Conditions::default(), (usize::MAX, state_bytes), 3);
    play.still = true;
    let (mut near, mut far, mut total) = (Vec::new(), Vec::new(), 0);
    for tick in 1..400 {
        play.step();
        play.check();
        let urgent: BTreeMap<_, _> = play.view(tick).into_iter().map(|s| (s.zone, s.priority)).collect();
        for (zone, _, until) in play.client.zones() {
            let ages = if urgent[&zone] == 200 { &mut near } else { &mut far };
            ages.push(tick - until);
        }
        let one_zone = 60;
        total += play.bytes;
        assert!(play.bytes <= 4 * state_bytes + one_zone, "{} bytes", play.bytes);
    }
    assert!(total <= 400 * (state_bytes + 20), "{total} bytes");
    near.sort_unstable();
    far.sort_unstable();

    assert_eq!(near[near.len() / 2], 0);
    assert!(far[far.len() / 2] >= 1, "the budget is not tight");
    assert!(*far.last().unwrap() <= 24, "{far:?}");
}

#[test]
fn what_has_no_room_is_not_even_encoded() {
    let mut play = Play::new(Delivery::Ordered, Conditions::default(), (usize::MAX, 12), 3);
    play.still = true;
    (0..300).for_each(|_| play.step());
    // Zone 0 and the most urgent of those that have changed, which are four, mostly.
    let encoded = play.room.used.len();
    assert!((300..300 * 2 + 60).contains(&encoded), "{encoded} encodings");
}

/// Age of the most urgent zone over a link that carries so many bytes a second to the client: the median, in
/// ticks.
fn age_over(delivery: Delivery, rate: u32) -> u32 {
    let conditions = Conditions { delay: ms(30), ..Conditions::default() };
    let mut play = Play::new(delivery, conditions, (1_200, usize::MAX), 9);
    play.down.conditions.rate = rate;
    play.still = true;
    let mut ages = Vec::new();
    for tick in 1..1_000 {
        play.step();
        play.check();
        let urgent = play.view(tick).into_iter().find(|seen| seen.priority == 200).unwrap();
        let zone = play.client.zones().find(|(zone, ..)| *zone == urgent.zone);
        ages.extend(zone.filter(|_| tick > 200).map(|(.., until)| tick - until));
    }
    ages.sort_unstable();
    ages[ages.len() / 2]
}

#[test]
fn over_a_narrow_link_the_near_zone_stays_fresh() {
    for delivery in [Delivery::Ordered, Delivery::Datagram] {
        // All that changes takes 1,400 bytes a second.
        assert!(age_over(delivery, 100_000) <= 1, "{delivery:?}");
        let age = age_over(delivery, 900);
        assert!(age <= 3, "{delivery:?}: {age}");
    }
}
