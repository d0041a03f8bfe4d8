//! How long a player has been away, in ticks of a room that ran meanwhile: over restarts, the resume window
//! goes on from where it was, and does not begin anew. While no server runs, nobody can come back, so that
//! counts for nothing.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a player has left at least after a restart, as clients wait before they try again. Given once, so
/// that a server that fails again and again keeps no seats for ever.
const LEAST: Duration = Duration::from_secs(5);

/// An absence that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    before: Before,
    /// The tick from which on it counts besides.
    since: u32,
}

/// An absence up to a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Before {
    ticks: u32,
    /// It has had what a player has at least.
    extended: bool,
}

impl Absence {
    /// It begins after this tick.
    pub fn begins(tick: u32) -> Self {
        Before::default().goes_on(tick)
    }

    /// As it is after this tick.
    pub fn until(self, tick: u32) -> Before {
        self.before.longer(tick.saturating_sub(self.since))
    }
}

impl Before {
    /// It goes on after this tick.
    pub fn goes_on(self, tick: u32) -> Absence {
        Absence { before: self, since: tick }
    }

    /// So many ticks later.
    #[must_use]
    pub fn longer(self, ticks: u32) -> Self {
        Self { ticks: self.ticks.saturating_add(ticks), ..self }
    }

    /// The same for a player who is to have a chance to come back to another server, which keeps seats for
    /// `window`.
    #[must_use]
    pub fn for_another_server(self, window: Duration, tick_rate: u32) -> Self {
        let least = LEAST.min(window);
        if self.extended || self.left(window, tick_rate) >= least {
            return self;
        }
        let ticks = (window - least).as_micros() * u128::from(tick_rate) / 1_000_000;
        Self { ticks: u32::try_from(ticks).unwrap_or(u32::MAX), extended: true }
    }

    /// What is left of the window.
    pub fn left(self, window: Duration, tick_rate: u32) -> Duration {
        let passed = u64::from(self.ticks) * 1_000_000 / u64::from(tick_rate.max(1));
        window.saturating_sub(Duration::from_micros(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const WINDOW: Duration = Duration::from_secs(15);
    const RATE: u32 = 20;

    fn left(before: Before) -> u64 {
        before.left(WINDOW, RATE).as_secs()
    }

    #[test]
    fn a_window_goes_on_from_where_it_was() {
        let before = Absence::begins(100).until(100 + 4 * RATE);
        assert_eq!(left(before), 11);
        let after = before.for_another_server(WINDOW, RATE);
        assert_eq!(after, before, "that is enough");
        assert_eq!(left(after.goes_on(7_000).until(7_000 + 3 * RATE)), 8);
        assert_eq!(
            left(Before::default().for_another_server(WINDOW, RATE)),
            15,
            "who was there has all of it"
        );
    }

    // Promise 5: "[...] no ghosts after the timeout."
    #[test]
    fn who_has_little_left_gets_more_once_however_often_the_server_fails() {
        let mut before = Absence::begins(0).until(14 * RATE);
        let (mut tick, mut had) = (14 * RATE, Vec::new());
        for _ in 0..5 {
            before = before.for_another_server(WINDOW, RATE);
            assert_eq!(before.for_another_server(WINDOW, RATE), before, "twice is as good as once");
            had.push(left(before));
            tick += 2;
            before = before.goes_on(tick).until(tick + 2 * RATE);
        }
        assert_eq!(had, [5, 3, 1, 0, 0]);
    }

    #[test]
    fn no_window_gets_longer_than_it_is() {
        for window in [Duration::ZERO, SECOND / 2, 3 * SECOND] {
            let before = Absence::begins(0).until(10_000).for_another_server(window, RATE);
            assert_eq!(before.left(window, RATE), window);
        }
    }
}
