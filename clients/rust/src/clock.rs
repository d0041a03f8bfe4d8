//! An estimate of the server's clock.
//!
//! Each pong gives a round-trip time and the server's clock at the middle of it, as well as that can be
//! known. If the two directions take different times, the estimate is wrong by half the difference, which is
//! at most half the round-trip time. So of the last eight samples the one with the shortest round trip is
//! used. This is the clock filter of NTP (RFC 5905 section 10), with its allowance for clocks that drift
//! apart: a sample loses 15 µs of precision with every second of its age.
//!
//! A sample and the estimate each lie within their error bound of the truth, so they cannot differ by more
//! than the sum of both bounds. If they do, a clock has moved: this machine slept, or the server's did. Then
//! everything older is useless, however short its round trips were. A welcome is a sample whose round trip is
//! unknown; but it cannot have arrived before it was written, so the server's clock is not behind what it
//! says.

use std::time::{Duration, Instant};

/// Samples that are considered.
const WINDOW: usize = 8;
/// How fast two clocks may drift apart, parts per million (RFC 5905: PHI).
const DRIFT_PPM: u32 = 15;
/// How far rounding to whole microseconds can move two samples apart.
const ROUNDING: Duration = Duration::from_micros(4);
/// Server times are clamped to this (285 years), so that no arithmetic with them can overflow.
pub(crate) const LONGEST_US: i64 = 1 << 53;
/// A welcome that says that the server's clock is this far behind the estimate comes from another server.
const OTHER_CLOCK_US: i64 = 2_000_000;

/// The server's clock, as seen from here. All server times are microseconds since the server
/// started, or if it is one of several nodes, since 1970.
#[derive(Debug, Clone)]
pub struct Clock {
    origin: Instant,
    samples: [Option<Sample>; WINDOW],
    next: usize,
    /// Microseconds to add to the time since `origin`. Taken from the welcome until there is a sample.
    offset_us: i64,
    known: bool,
    moves: u32,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    rtt: Duration,
    offset_us: i64,
}

impl Clock {
    /// A clock that knows nothing yet. `now` is any moment not after the first sample.
    pub fn new(now: Instant) -> Self {
        Self { origin: now, samples: [None; WINDOW], next: 0, offset_us: 0, known: false, moves: 0 }
    }

    /// A welcome arrived: the server's clock showed `server_time_us` when it was written. Until the first
    /// pong, the estimate is behind by the time that the welcome was in transit. Forgets all samples if they
    /// belong to another clock.
    pub fn handle_welcome(&mut self, now: Instant, server_time_us: u64) {
        let offset_us = bounded(server_time_us) - self.local_us(now);
        if self.known {
            let bound =
                self.error_bound(now).map_or(OTHER_CLOCK_US, |bound| (bound + ROUNDING).as_micros() as i64);
            if (-OTHER_CLOCK_US..=bound).contains(&(offset_us - self.offset_us)) {
                return;
            }
            self.forget();
        }
        self.offset_us = offset_us;
        self.known = true;
    }

    /// A pong arrived at `at` after `rtt`; `server_time_us` is the server's clock in the middle.
    pub fn handle_pong(&mut self, at: Instant, rtt: Duration, server_time_us: u64) {
        let middle = self.local_us(at) - (rtt.as_micros() / 2) as i64;
        let sample = Sample { at, rtt, offset_us: bounded(server_time_us) - middle };
        if self.samples.iter().flatten().any(|older| !older.agrees_with(&sample)) {
            self.forget();
        }
        self.samples[self.next] = Some(sample);
        self.next = (self.next + 1) % WINDOW;
        if let Some(best) = self.samples.iter().flatten().min_by_key(|s| s.error_at(at)) {
            self.offset_us = best.offset_us;
            self.known = true;
        }
    }

    /// What the server's clock shows at `now`, microseconds. None before the first welcome or pong.
    pub fn server_time_us(&self, now: Instant) -> Option<u64> {
        self.known.then(|| u64::try_from(self.local_us(now) + self.offset_us).unwrap_or(0))
    }

    /// When the server's clock shows `server_time_us`, on this end's clock. None if that is unknown or not
    /// representable (before this machine started).
    pub fn local_time(&self, server_time_us: u64) -> Option<Instant> {
        if !self.known {
            return None;
        }
        let since_origin = bounded(server_time_us) - self.offset_us;
        let distance = Duration::from_micros(since_origin.unsigned_abs());
        if since_origin >= 0 { self.origin.checked_add(distance) } else { self.origin.checked_sub(distance) }
    }

    /// How far the estimate can be off: half the best round trip, plus the drift since. None without a pong.
    pub fn error_bound(&self, now: Instant) -> Option<Duration> {
        self.samples.iter().flatten().map(|s| s.error_at(now)).min()
    }

    /// How often the server's clock turned out to have moved.
    pub fn moves(&self) -> u32 {
        self.moves
    }

    fn forget(&mut self) {
        self.samples = [None; WINDOW];
        self.moves = self.moves.wrapping_add(1);
    }

    fn local_us(&self, now: Instant) -> i64 {
        match now.checked_duration_since(self.origin) {
            Some(after) => after.as_micros() as i64,
            None => -(self.origin.duration_since(now).as_micros() as i64),
        }
    }
}

impl Sample {
    fn error_at(&self, now: Instant) -> Duration {
        let age = now.saturating_duration_since(self.at);
        self.rtt / 2 + age / 1_000_000 * DRIFT_PPM
    }

    /// Whether a newer sample can come from the same two clocks.
    fn agrees_with(&self, newer: &Self) -> bool {
        let apart = Duration::from_micros(self.offset_us.abs_diff(newer.offset_us));
        apart <= self.error_at(newer.at) + newer.error_at(newer.at) + ROUNDING
    }
}

pub(crate) fn bounded(server_time_us: u64) -> i64 {
    i64::try_from(server_time_us).unwrap_or(LONGEST_US).min(LONGEST_US)
}
