//! Clocks of the machine, also those that nobody can set.

use crate::clock::{boot, millis, time_of_day, uptime};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The time of day, milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    millis(time_of_day())
}

/// A moment of which another process can tell how long ago it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    unix_ms: u64,
    /// See [`boot`].
    boot: String,
    /// How long the machine had been running, milliseconds. None: unknown.
    up_ms: Option<u64>,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { unix_ms: now_ms(), boot: boot().to_string(), up_ms: uptime().map(millis) }
    }

    /// How long ago another one was: by a clock that nobody sets, if the machine still runs, or else by the
    /// time of day, however wrong that is. None: by that, it is yet to come.
    pub(super) fn since(&self, before: &Self) -> Option<Duration> {
        let runs_on = self.is_of_the_boot_of(before);
        let passed = self.up_ms.zip(before.up_ms).and_then(|(now, before)| now.checked_sub(before));
        let by_day = self.unix_ms.checked_sub(before.unix_ms);
        passed.filter(|_| runs_on).or(by_day).map(Duration::from_millis)
    }

    /// Whether the machine has been running since another one, as far as is known.
    pub(super) fn is_of_the_boot_of(&self, before: &Self) -> bool {
        self.boot == before.boot && !self.boot.is_empty()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn moment(boot: &str, up_s: u64, unix_s: u64) -> Moment {
        Moment { unix_ms: unix_s * 1_000, boot: boot.to_owned(), up_ms: Some(up_s * 1_000) }
    }

    /// Of this boot, when nobody knew for how long the machine had been running, by a clock that showed 1970.
    pub(in super::super) fn long_ago() -> Moment {
        Moment { unix_ms: 0, boot: boot().to_string(), up_ms: None }
    }

    #[test]
    fn while_the_machine_runs_nobody_can_change_how_long_ago_something_was() {
        let before = moment("a", 100, 5_000);
        for unix_s in [0, 5_030, 900_000] {
            assert_eq!(moment("a", 130, unix_s).since(&before), Some(Duration::from_secs(30)));
        }
        // It was started again.
        let minute = Some(Duration::from_secs(60));
        assert_eq!(moment("b", 130, 5_060).since(&before), minute);
        assert_eq!(moment("b", 130, 4_000).since(&before), None, "by a clock that is behind");
        // A container that is told its own age.
        assert_eq!(moment("a", 5, 5_060).since(&before), minute);
        assert_eq!(moment("", 130, 5_060).since(&moment("", 100, 5_000)), minute);
        let (first, second) = (Moment::now(), Moment::now());
        assert!(second.since(&first) < minute && first.up_ms.is_some());
    }
}
