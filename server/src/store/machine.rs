//! Clocks of the machine, also those that nobody can set.

use crate::clock::{boot, time_of_day};
use serde::{Deserialize, Serialize};
use std::{fs, time::Duration};

/// The time of day, milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    u64::try_from(time_of_day().as_millis()).unwrap_or(u64::MAX)
}

/// A moment of which another process can tell how long ago it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    unix_ms: u64,
    /// See [`boot`].
    boot: String,
    /// How long the machine had been running, milliseconds. None: unknown.
    up_ms: Option<u64>,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { unix_ms: now_ms(), boot: boot().to_string(), up_ms: uptime_ms() }
    }

    /// How long ago another one was: by a clock that nobody sets, if the machine still runs, or else by the
    /// time of day, however wrong that is.
    pub(super) fn since(&self, before: &Self) -> Duration {
        let runs_on = self.boot == before.boot && !self.boot.is_empty();
        let passed = self.up_ms.zip(before.up_ms).and_then(|(now, before)| now.checked_sub(before));
        let by_day = self.unix_ms.saturating_sub(before.unix_ms);
        Duration::from_millis(passed.filter(|_| runs_on).unwrap_or(by_day))
    }
}

/// How long the machine has been running, including the time during which it was asleep. None: unknown.
fn uptime_ms() -> Option<u64> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split(' ').next()?.parse().ok()?;
    Some((seconds * 1_000.0) as u64)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn moment(boot: &str, up_s: u64, unix_s: u64) -> Moment {
        Moment { unix_ms: unix_s * 1_000, boot: boot.to_owned(), up_ms: Some(up_s * 1_000) }
    }

    #[test]
    fn while_the_machine_runs_nobody_can_change_how_long_ago_something_was() {
        let before = moment("a", 100, 5_000);
        for unix_s in [0, 5_030, 900_000] {
            assert_eq!(moment("a", 130, unix_s).since(&before).as_secs(), 30);
        }
        // It was started again.
        assert_eq!(moment("b", 130, 5_060).since(&before).as_secs(), 60);
        assert_eq!(moment("b", 130, 4_000).since(&before).as_secs(), 0, "by a clock that is behind");
        // A container that is told its own age.
        assert_eq!(moment("a", 5, 5_060).since(&before).as_secs(), 60);
        assert_eq!(moment("", 130, 5_060).since(&moment("", 100, 5_000)).as_secs(), 60);
        let (first, second) = (Moment::now(), Moment::now());
        assert!(second.since(&first) < Duration::from_secs(60) && first.up_ms.is_some());
    }
}
