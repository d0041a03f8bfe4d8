//! Servers, rooms and sessions that have run for a long time: the clock counts microseconds, ticks have 32
//! bits.

use crate::util::{Pair, ms};
use driftless_proto::{
    code::CloseCode,
    session::{Delivery, client::ClientEvent},
};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The last tick that a room can have.
const LAST: u32 = u32::MAX - 1;

/// Days for which server and client have run, and the room's tick at that time. Includes times just before a
/// 32-bit sign change, and the end.
const AGES: [(u32, u32); 6] = [
    (0, 10),
    (30, 30 * 86_400 * 20),
    (50, i32::MAX as u32 - 10), // 2^32 ms are 49.7 days
    (380, 380 * 86_400 * 20),
    (380, LAST - 60),
    (36_500, LAST - 60),
];

/// A pair whose ends lost each other that many days ago and have just reconnected.
fn found_again(delivery: Delivery, days: u32, tick: u32) -> Pair {
    let mut pair = Pair::joined(delivery);
    pair.lose();
    pair.age(DAY * days, tick);
    pair.events.clear();
    pair.reconnect(false);
    pair
}

#[test]
fn old_ends_play_as_young_ones_do() {
    for delivery in [Delivery::Ordered, Delivery::Datagram] {
        for (days, tick) in AGES {
            let mut pair = found_again(delivery, days, tick);
            pair.run(ms(2_500));
            pair.assert_healthy();
            assert!(pair.client.welcome().unwrap().resumed);
            let ticks = pair.ticks();
            assert!(ticks.is_sorted_by(|a, b| a + 1 == *b), "{days} days: each tick once: {ticks:?}");
            assert_eq!(
                (ticks.len() >= 48, ticks.last().unwrap() > &tick),
                (true, true),
                "{days} days: {ticks:?}"
            );
            assert_eq!(pair.server.rtt(), Some(ms(10)), "{days} days");
            let uptime = u64::try_from((pair.now - pair.start).as_micros()).unwrap();
            for event in &pair.events {
                let ClientEvent::Pong { rtt, server_time_us, .. } = event else { continue };
                assert_eq!(*rtt, ms(10), "{days} days");
                assert!(
                    (uptime - 2_500_000..uptime).contains(server_time_us),
                    "{days} days: {server_time_us}"
                );
            }
        }
    }
}

#[test]
fn last_tick_that_has_a_number_is_acknowledged_like_any_other() {
    for delivery in [Delivery::Ordered, Delivery::Datagram] {
        let mut pair = found_again(delivery, 388, LAST - 40);
        pair.run_until(ms(2_500), |pair| pair.room.tick == LAST);
        pair.run(ms(40));
        pair.assert_healthy();
        assert_eq!(pair.client.snapshot().unwrap().tick(), LAST);
    }
}

// Promise 5: "no ghosts after the timeout."
#[test]
fn silence_of_a_year_is_a_timeout() {
    for delivery in [Delivery::Ordered, Delivery::Datagram] {
        let mut pair = Pair::joined(delivery);
        for link in [&mut pair.up, &mut pair.down, &mut pair.up_datagrams, &mut pair.down_datagrams] {
            link.cut();
        }
        pair.age(DAY * 380, 5_000);
        pair.run(ms(1));
        assert_eq!(pair.server.closing(), Some(CloseCode::TimedOut));
        assert!(pair.client_error.is_some());
    }
}
