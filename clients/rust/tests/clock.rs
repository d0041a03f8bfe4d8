//! The estimate of the server's clock, in virtual time.
#![allow(clippy::unwrap_used)]

use driftless_client::Clock;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// A server whose clock is `ahead_us` ahead of the time since `start`, over a link with these delays.
struct World {
    start: Instant,
    now: Instant,
    ahead_us: u64,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        let start = Instant::now();
        Self { start, now: start, ahead_us: 1_000_000_000, clock: Clock::new(start) }
    }
    fn server_us(&self, at: Instant) -> u64 {
        self.ahead_us + at.duration_since(self.start).as_micros() as u64
    }
    fn ping(&mut self, up: Duration, down: Duration) {
        let sampled = self.server_us(self.now + up);
        self.now += up + down;
        self.clock.handle_pong(self.now, up + down, sampled);
    }
    fn error(&self) -> Duration {
        let estimate = self.clock.server_time_us(self.now).unwrap();
        Duration::from_micros(estimate.abs_diff(self.server_us(self.now)))
    }
}

#[test]
fn nothing_is_known_before_the_first_sample() {
    let world = World::new();
    assert_eq!(world.clock.server_time_us(world.now), None);
    assert_eq!(world.clock.error_bound(world.now), None);
}

#[test]
fn symmetric_link_gives_the_exact_time() {
    let mut world = World::new();
    world.ping(20 * MS, 20 * MS);
    assert_eq!(world.error(), Duration::ZERO);
}

#[test]
fn asymmetric_link_errs_by_half_the_difference_within_the_bound() {
    let mut world = World::new();
    world.ping(10 * MS, 70 * MS);
    assert_eq!(world.error(), 30 * MS);
    assert!(world.error() <= world.clock.error_bound(world.now).unwrap());
}

#[test]
fn under_asymmetric_jitter_the_shortest_round_trip_is_believed() {
    let mut world = World::new();
    let mut rng = fastrand::Rng::with_seed(7);
    for round in 0..200 {
        let (up, down) = (MS * rng.u32(5..100), MS * rng.u32(5..400));
        world.ping(up, down);
        if round % 6 == 0 {
            world.ping(5 * MS, 6 * MS); // now and then the queues are empty
        }
        world.now += Duration::from_secs(2);
        assert!(world.error() <= world.clock.error_bound(world.now).unwrap() + MS);
        assert!(world.error() <= 2 * MS, "round {round}: {:?}", world.error());
    }
}

#[test]
fn old_sample_gives_way_when_the_path_changed() {
    let mut world = World::new();
    world.ping(MS, MS);
    for _ in 0..8 {
        world.now += Duration::from_secs(2);
        world.ping(40 * MS, 40 * MS);
    }
    assert!(world.clock.error_bound(world.now).unwrap() >= 40 * MS); // the 2 ms sample is out of the window
}

#[test]
fn samples_after_a_clock_moved_are_believed_though_older_ones_were_better() {
    // A closed lid stops this clock for 5 s, or 400 ms; a sleeping server machine stops the other.
    for moved_us in [5_000_000, 400_000, -5_000_000i64, -400_000] {
        let mut world = World::new();
        for _ in 0..8 {
            world.ping(10 * MS, 10 * MS);
            world.now += Duration::from_secs(2);
        }
        world.ahead_us = world.ahead_us.strict_add_signed(moved_us);
        world.ping(10 * MS, 11 * MS);
        assert!(world.error() <= MS, "moved by {moved_us} µs: {:?}", world.error());
        assert!(world.clock.error_bound(world.now).unwrap() >= 10 * MS);
    }
}

#[test]
fn a_sample_that_contradicts_any_older_one_tells_of_a_move() {
    let mut world = World::new();
    world.ping(10 * MS, 10 * MS);
    world.ahead_us += 35_000;
    world.ping(30 * MS, 30 * MS); // it may just come from the same clock
    world.ahead_us -= 50_000;
    world.ping(9 * MS, 9 * MS); // consistent with the first sample, which is the best, but not with the second
    assert_eq!((world.clock.moves(), world.error()), (1, Duration::ZERO));
}

#[test]
fn server_clock_is_not_behind_what_a_welcome_says() {
    let mut world = World::new();
    world.ping(10 * MS, 10 * MS);
    world.ahead_us += 400_000;
    world.clock.handle_welcome(world.now, world.server_us(world.now));
    assert_eq!((world.clock.moves(), world.error()), (1, Duration::ZERO));
}

#[test]
fn a_bad_sample_that_may_be_true_drops_no_good_one() {
    let mut world = World::new();
    world.ping(MS, MS);
    world.now += Duration::from_secs(2);
    world.ping(MS, 800 * MS); // the way back was jammed: off by 400 ms, which is within its bound
    assert!(world.error() <= MS, "{:?}", world.error());
}

#[test]
fn welcome_is_believed_until_the_first_pong() {
    let mut world = World::new();
    let written = world.server_us(world.now);
    world.now += 30 * MS;
    world.clock.handle_welcome(world.now, written);
    assert_eq!(world.error(), 30 * MS);
    world.ping(20 * MS, 20 * MS);
    assert_eq!(world.error(), Duration::ZERO);
}

#[test]
fn welcome_of_another_server_forgets_the_samples() {
    let mut world = World::new();
    world.ping(20 * MS, 20 * MS);
    world.ahead_us = 5_000_000;
    world.clock.handle_welcome(world.now, world.server_us(world.now));
    assert_eq!(world.error(), Duration::ZERO);
    assert_eq!(world.clock.error_bound(world.now), None);
}

#[test]
fn welcome_of_the_same_server_keeps_them() {
    let mut world = World::new();
    world.ping(20 * MS, 20 * MS);
    world.clock.handle_welcome(world.now + 300 * MS, world.server_us(world.now));
    assert_eq!(world.error(), Duration::ZERO);
}

#[test]
fn local_time_is_the_inverse() {
    let mut world = World::new();
    world.ping(20 * MS, 20 * MS);
    let later = world.now + 12 * MS;
    assert_eq!(world.clock.local_time(world.server_us(later)), Some(later));
}

#[test]
fn absurd_times_do_not_overflow() {
    for time in [0, u64::MAX, i64::MAX as u64, 1 << 62] {
        let mut world = World::new();
        world.clock.handle_welcome(world.now, time);
        world.clock.handle_pong(world.now, Duration::from_secs(1), time);
        world.clock.server_time_us(world.now + Duration::from_secs(1000)).unwrap();
        world.clock.local_time(u64::MAX);
    }
}

// Days for which the server has run, and days for which the client has.
#[test]
fn a_clock_is_exact_however_long_both_have_run() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    for (server, client) in [(0, 30), (30, 50), (380, 380), (36_500, 36_500)] {
        let mut world = World::new();
        world.ahead_us = (DAY * server).as_micros() as u64;
        world.ping(20 * MS, 20 * MS);
        world.now += DAY * client;
        // A welcome of the same server gives the same time: nothing is forgotten. Measurements drift by 15 µs
        // per second.
        world.clock.handle_welcome(world.now, world.server_us(world.now));
        assert_eq!(world.error(), Duration::ZERO, "{server} and {client} days");
        let drifted = Duration::from_micros(u64::from(client) * 24 * 60 * 60 * 15);
        assert_eq!(world.clock.error_bound(world.now), Some(20 * MS + drifted));
        world.ping(5 * MS, 5 * MS);
        assert_eq!(world.error(), Duration::ZERO, "{server} and {client} days");
        assert_eq!(world.clock.error_bound(world.now), Some(5 * MS));
        let at = world.clock.local_time(world.server_us(world.now)).unwrap();
        assert_eq!(at, world.now, "{server} and {client} days");
    }
}
