//! How often a game has reported a player, for inputs that no honest client would send.
//!
//! Each report counts. The operators are told of a player's reports at most once a second, however many there
//! are, and of the one for which the player is removed.

use std::collections::VecDeque;

/// From how many reports on a player is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportLimit {
    /// With so many...
    pub reports: u32,
    /// ...in so many ticks.
    pub within: u32,
}

/// The reports of one player.
#[derive(Debug, Default)]
pub struct Reports {
    all: u32,
    /// Ticks of the last ones, if there is a limit: one fewer than it, at most.
    recent: VecDeque<u32>,
    /// When the operators were told last.
    told: Option<u32>,
}

/// What one more report amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Reports of this player so far, since it has its seat in this process.
    pub all: u32,
    /// Whether to tell the operators.
    pub tell: bool,
    /// Whether it was one too many.
    pub remove: bool,
}

impl Reports {
    /// One more, in this tick. `second` is the number of ticks of one.
    pub fn add(&mut self, tick: u32, second: u32, limit: Option<ReportLimit>) -> Counted {
        self.all = self.all.saturating_add(1);
        let remove = limit.is_some_and(|ReportLimit { reports, within }| {
            while self.recent.front().is_some_and(|&at| tick.saturating_sub(at) >= within) {
                self.recent.pop_front();
            }
            let remove = self.recent.len() as u64 + 1 >= u64::from(reports);
            if !remove {
                self.recent.push_back(tick);
            }
            remove
        });
        let tell = remove || self.told.is_none_or(|told| tick.saturating_sub(told) >= second);
        if tell {
            self.told = Some(tick);
        }
        Counted { all: self.all, tell, remove }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u32 = 20;

    #[test]
    fn so_many_within_so_long_are_too_many_and_no_fewer() {
        let limit = Some(ReportLimit { reports: 3, within: 100 });
        let removed = |ticks: &[u32]| {
            let mut reports = Reports::default();
            ticks.iter().map(|tick| reports.add(*tick, SECOND, limit).remove).collect::<Vec<_>>()
        };
        assert_eq!(removed(&[1, 2, 3]), [false, false, true]);
        assert_eq!(removed(&[1, 50, 101]), [false; 3], "the first is 100 ticks old");
        assert_eq!(removed(&[1, 50, 100]), [false, false, true]);
        assert_eq!(removed(&[1, 50, 101, 149]), [false, false, false, true]);
        let once = Some(ReportLimit { reports: 1, within: 1 });
        assert!(Reports::default().add(7, SECOND, once).remove);
    }

    // Promise 4
    #[test]
    fn whoever_is_reported_all_the_time_is_told_of_once_a_second_and_keeps_no_memory() {
        let mut reports = Reports::default();
        let told = (0..1_000).filter(|tick| reports.add(*tick, SECOND, None).tell).count();
        assert_eq!((told, reports.all, reports.recent.len()), (50, 1_000, 0));
        let limit = Some(ReportLimit { reports: 10, within: u32::MAX });
        for tick in 0..1_000 {
            reports.add(tick, SECOND, limit);
        }
        assert_eq!(reports.recent.len(), 9);
    }
}
