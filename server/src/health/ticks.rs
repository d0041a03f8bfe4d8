//! Whether ticks are late.

use std::collections::VecDeque;

/// A tick that begins that long after its deadline is late, nanoseconds. (The promise is 1 ms. A player feels
/// nothing of 10 ms, but a machine that is that late has no reserve.)
pub(super) const LATE_NS: u64 = 10_000_000;

/// Seconds that are looked at together.
const WINDOW: usize = 10;
/// Share of late and skipped ticks above which they are too many, and below which all is well again.
const TOO_MANY: f64 = 0.05;
const FEW: f64 = 0.01;
/// Late ticks that say nothing, as in a room with few ticks.
const CHANCE: u64 = 5;

/// Judges the ticks of the last ten seconds.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    /// Totals, a second apart.
    seen: VecDeque<Totals>,
    late: bool,
}

/// Ticks of all rooms since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    /// Ticks run.
    pub run: u64,
    /// Of these, those that began late.
    pub late: u64,
    /// Ticks that were not run.
    pub skipped: u64,
}

impl Ticks {
    /// Called every second. Returns what is wrong.
    pub(super) fn judge(&mut self, now: Totals) -> Option<String> {
        let first = *self.seen.front().unwrap_or(&now);
        self.seen.push_back(now);
        if self.seen.len() > WINDOW {
            self.seen.pop_front();
        }
        let (run, late, skipped) = (now.run - first.run, now.late - first.late, now.skipped - first.skipped);
        let bad = late + skipped;
        let share = bad as f64 / (run + skipped).max(1) as f64;
        self.late = if self.late { share >= FEW } else { share > TOO_MANY && bad >= CHANCE };
        self.late.then(|| {
            format!(
                "of {} ticks in {WINDOW} s, {skipped} were skipped and {late} began more than {} ms late: fewer rooms \
                 or players, or a faster machine",
                run + skipped,
                LATE_NS / 1_000_000
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts of seconds with 1,000 ticks each, of which so many are late.
    fn verdicts(late: impl IntoIterator<Item = u64>) -> Vec<bool> {
        let (mut ticks, mut totals) = (Ticks::default(), Totals::default());
        ticks.judge(totals);
        late.into_iter()
            .map(|late| {
                totals = Totals { run: totals.run + 1_000, late: totals.late + late, ..totals };
                ticks.judge(totals).is_some()
            })
            .collect()
    }

    #[test]
    fn a_hiccup_is_no_failure_and_ten_bad_seconds_are() {
        assert_eq!(verdicts([0; 30]), [false; 30]);
        let hiccup = (0..30).map(|n| if n == 15 { 400 } else { 0 });
        assert!(!verdicts(hiccup).contains(&true), "4 % of ten seconds");
        let bad = verdicts((0..30).map(|n| if n >= 15 { 200 } else { 0 }));
        assert!(!bad[15] && bad[20] && bad[29], "{bad:?}");
    }

    #[test]
    fn it_does_not_flap_while_things_are_neither_good_nor_bad() {
        // 10 %, then 3 % for a long time, then none.
        let late = (0..60).map(|n| match n {
            0..20 => 100,
            20..40 => 30,
            _ => 0,
        });
        let found = verdicts(late);
        assert!(found[19] && found[39] && !found[59], "{found:?}");
        assert_eq!(found.windows(2).filter(|pair| pair[0] != pair[1]).count(), 2 - usize::from(found[0]));
        assert_eq!(verdicts([30; 60]), [false; 60], "3 % alone are no failure");
    }

    #[test]
    fn skipped_ticks_count_and_a_few_do_not() {
        let mut ticks = Ticks::default();
        assert_eq!(ticks.judge(Totals::default()), None);
        assert_eq!(ticks.judge(Totals { run: 1, late: 1, skipped: 3 }), None, "four of four are chance");
        let why = ticks.judge(Totals { run: 1, late: 1, skipped: 9 }).unwrap();
        assert!(why.contains("of 10 ticks") && why.contains("9 were skipped"), "{why}");
    }
}
