//! When a room's ticks are due.

use crate::clock::Clock;
use std::time::{Duration, Instant};

const NANOS: u64 = 1_000_000_000;
const MICROS: i64 = 1_000_000;

/// The deadlines of a room: tick n is due at `epoch + n / tick_rate` seconds, without drift.
///
/// A tick's number is the number of its deadline. Missed ticks leave a gap in the numbers, so that a number
/// always stands for the same moment, on the server and, through the welcome, on every client. Here they have
/// 64 bits, so that no room, however old, can disturb the schedule of the others. On the wire they have 32:
/// see [`RoomCore::tick`](super::core::RoomCore::tick).
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// When the room's slot begins for the first time.
    epoch: Instant,
    tick_rate: u32,
    /// Which of the slot's beginnings is tick 0. Negative: the room is older than this process.
    first: i64,
}

/// A tick that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its number.
    pub tick: u64,
    /// How long ago it was due.
    pub late: Duration,
    /// Ticks between the last one and this one, which will not run.
    pub skipped: u64,
}

impl Schedule {
    /// A schedule whose tick 0 is at `epoch`. `tick_rate` is at least 1.
    pub fn new(epoch: Instant, tick_rate: u32) -> Self {
        Self { epoch, tick_rate: tick_rate.max(1), first: 0 }
    }
    /// The same deadlines, with tick 0 at the last one before `now`.
    pub(super) fn from(self, now: Instant) -> Self {
        Self { first: self.first + self.due(now, 0).map_or(0, |due| due.tick as i64), ..self }
    }
    /// The same deadlines, with this many more ticks before each: for a room that continues after a restart.
    #[must_use]
    pub fn after(self, ticks: u32) -> Self {
        Self { first: self.first - i64::from(ticks), ..self }
    }
    /// When tick 0 was due, microseconds of the server's clock. Negative: before the server started.
    pub fn epoch_us(&self, clock: Clock) -> i64 {
        let rate = i64::from(self.tick_rate);
        let epoch = i64::try_from(clock.micros(self.epoch)).unwrap_or(i64::MAX);
        let since = self.first.div_euclid(rate) * MICROS + self.first.rem_euclid(rate) * MICROS / rate;
        epoch.saturating_add(since)
    }
    /// Ticks a second.
    pub fn tick_rate(&self) -> u32 {
        self.tick_rate
    }
    /// What schedules share whose ticks are due at the same moments.
    pub(super) fn phase(&self) -> (Instant, u32) {
        (self.epoch, self.tick_rate)
    }
    /// When a tick is due.
    pub fn deadline(&self, tick: u64) -> Instant {
        // No room asks for a tick before those that this process has run.
        let (rate, tick) = (u64::from(self.tick_rate), tick.saturating_add_signed(self.first));
        let nanos = tick % rate * NANOS / rate; // of a second, so they fit
        self.epoch + Duration::new(tick / rate, nanos as u32)
    }
    /// Time between two ticks.
    pub fn interval(&self) -> Duration {
        Duration::from_nanos(NANOS / u64::from(self.tick_rate))
    }
    /// The newest tick that is due at `now`, if it is newer than `last`. A late tick runs once; those missed
    /// before it are skipped, never run in a burst.
    pub fn due(&self, now: Instant, last: u64) -> Option<Due> {
        let since = now.checked_duration_since(self.epoch)?;
        let rate = u64::from(self.tick_rate);
        let begun = since.as_secs() * rate + u64::from(since.subsec_nanos()) * rate / NANOS;
        // The division above may round down a deadline that has passed by less than a nanosecond, to the
        // previous tick.
        let mut tick = begun.checked_add_signed(-self.first)?;
        if self.deadline(tick + 1) <= now {
            tick += 1;
        }
        (tick > last).then(|| Due {
            tick,
            late: now.saturating_duration_since(self.deadline(tick)),
            skipped: tick - last - 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise 7: "then it is skipped and counted, never queued."
    #[test]
    fn a_room_older_than_the_wire_can_number_goes_on_being_due() {
        let schedule = Schedule::new(Instant::now(), 128);
        for tick in [u64::from(u32::MAX) - 1, 1 << 32, (1 << 32) + 1, 1 << 40] {
            let at = schedule.deadline(tick);
            assert_eq!(schedule.due(at, tick - 1).map(|due| due.tick), Some(tick));
            assert_eq!(schedule.due(at, tick), None);
            assert!(schedule.deadline(tick + 1) > at, "no deadline comes twice");
        }
        let frozen = schedule.due(schedule.deadline(1 << 33), 1).unwrap();
        assert_eq!((frozen.tick, frozen.skipped), (1 << 33, (1 << 33) - 2));
    }

    #[test]
    fn a_room_that_goes_on_counts_on() {
        let clock = Clock::start();
        let epoch = clock.instant(3_500);
        for rate in [1, 20, 60, 128] {
            let now = epoch + Duration::from_millis(2_001);
            let new = Schedule::new(epoch, rate).from(now);
            let old = new.after(1_000_001);
            let due = new.due(now + new.interval(), 0).unwrap();
            let later = old.due(now + new.interval(), 1_000_001).unwrap();
            assert_eq!(
                (later.tick, later.late, later.skipped),
                (due.tick + 1_000_001, due.late, due.skipped)
            );
            assert_eq!(old.deadline(later.tick), new.deadline(due.tick));
            // As clients reckon it, from a moment before the server started.
            let reckoned = old.epoch_us(clock) + (later.tick * 1_000_000 / u64::from(rate)) as i64;
            let is = clock.micros(old.deadline(later.tick)) as i64;
            assert!(old.epoch_us(clock) < 0 && (reckoned - is).abs() <= 1, "{reckoned} {is}");
        }
    }

    #[test]
    fn missed_ticks_are_skipped_and_counted() {
        let epoch = Instant::now();
        let schedule = Schedule::new(epoch, 20);
        let due = schedule.due(epoch + Duration::from_millis(260), 1).unwrap();
        assert_eq!(due, Due { tick: 5, late: Duration::from_millis(10), skipped: 3 });
        assert_eq!(schedule.due(epoch + Duration::from_millis(299), 5), None);
    }

    // Promise 7: "Room tick *n* starts within 1 ms of its deadline". Rooms live long: 2^32 ticks are 388 days
    // at 128 Hz.
    #[test]
    fn every_deadline_is_due_at_its_own_moment_however_old_the_room() {
        const DAY: u64 = 24 * 60 * 60;
        let epoch = Instant::now();
        for (rate, days) in (1..=128).flat_map(|rate| [(rate, 0), (rate, 30), (rate, 380), (rate, 36_500)]) {
            let schedule = Schedule::new(epoch, rate);
            let first = days * DAY * u64::from(rate) + 1;
            for tick in first..first + 300 {
                let due = schedule.due(schedule.deadline(tick), tick - 1).unwrap();
                assert_eq!((due.tick, due.late, due.skipped), (tick, Duration::ZERO, 0), "rate {rate}");
                assert_eq!(schedule.due(schedule.deadline(tick) - Duration::from_nanos(1), tick - 1), None);
            }
        }
    }
}
