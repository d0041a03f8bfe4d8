//! When a room's ticks are due.

use std::time::{Duration, Instant};

/// The deadlines of a room: tick n is due at `epoch + n / tick_rate` seconds, without drift.
///
/// A tick's number is the number of its deadline. Missed ticks leave a gap in the numbers, so that a number always
/// stands for the same moment, on the server and, by the welcome, on every client.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    epoch: Instant,
    tick_rate: u32,
}

/// A tick that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its number.
    pub tick: u32,
    /// How long ago it was due.
    pub late: Duration,
    /// Ticks between the last one and this one, which will not run.
    pub skipped: u32,
}

impl Schedule {
    /// A schedule whose tick 0 is at `epoch`. `tick_rate` is at least 1.
    pub fn new(epoch: Instant, tick_rate: u32) -> Self {
        Self { epoch, tick_rate: tick_rate.max(1) }
    }
    /// When tick 0 is.
    pub fn epoch(&self) -> Instant {
        self.epoch
    }
    /// When a tick is due.
    pub fn deadline(&self, tick: u32) -> Instant {
        self.epoch + Duration::from_nanos(u64::from(tick) * 1_000_000_000 / u64::from(self.tick_rate))
    }
    /// Time between two ticks.
    pub fn interval(&self) -> Duration {
        Duration::from_nanos(1_000_000_000 / u64::from(self.tick_rate))
    }
    /// The newest tick that is due at `now`, if it is newer than `last`. A late tick runs once; those missed before it
    /// are skipped, never run in a burst.
    pub fn due(&self, now: Instant, last: u32) -> Option<Due> {
        let since = now.checked_duration_since(self.epoch)?;
        let mut tick = (since.as_nanos() * u128::from(self.tick_rate) / 1_000_000_000) as u32;
        // The division above may round a deadline that has passed by less than a nanosecond down to the tick before.
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
    fn missed_ticks_are_skipped_and_counted() {
        let epoch = Instant::now();
        let schedule = Schedule::new(epoch, 20);
        let due = schedule.due(epoch + Duration::from_millis(260), 1).unwrap();
        assert_eq!(due, Due { tick: 5, late: Duration::from_millis(10), skipped: 3 });
        assert_eq!(schedule.due(epoch + Duration::from_millis(299), 5), None);
    }

    #[test]
    fn every_deadline_is_due_at_its_own_moment() {
        let epoch = Instant::now();
        for rate in 1..=128 {
            let schedule = Schedule::new(epoch, rate);
            for tick in 1..2000 {
                let due = schedule.due(schedule.deadline(tick), tick - 1).unwrap();
                assert_eq!((due.tick, due.late, due.skipped), (tick, Duration::ZERO, 0), "rate {rate}");
                assert_eq!(schedule.due(schedule.deadline(tick) - Duration::from_nanos(1), tick - 1), None);
            }
        }
    }
}
