//! How far in the past to show the world.

use std::time::Duration;

/// To reach the target unnoticed, play faster or slower by this fraction of the time (a tenth).
const GENTLE: i64 = 10;
/// The same when far from the target (a half).
const FIRM: i64 = 2;
/// Further than this from the target is far.
const FAR_US: i64 = 100_000;
/// Further behind than this: jump forward. Further ahead: stand still.
const LOST_US: i64 = 500_000;

/// The render delay of a link: the mean age of its states on arrival, four times the mean deviation from it
/// (like TCP's retransmission timer, RFC 6298), and the time between two states, because the later one must
/// be there when the earlier one is left behind.
///
/// The time shown is moved towards `now - target` by playing up to a tenth faster or slower.
#[derive(Debug, Clone)]
pub struct RenderDelay {
    min_us: i64,
    max_us: i64,
    age: Option<Age>,
    /// Whether `age` was measured on an earlier clock: the next state starts it over.
    outdated: bool,
    gap_us: i64,
    now_us: i64,
    shown_us: Option<i64>,
}

/// Age of states on arrival, microseconds.
#[derive(Debug, Clone, Copy)]
struct Age {
    mean: i64,
    deviation: i64,
}

impl RenderDelay {
    /// A delay within these bounds.
    pub fn new(min: Duration, max: Duration) -> Self {
        let us = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX / 4);
        let (min_us, max_us) = (us(min), us(max).max(us(min)));
        Self { min_us, max_us, age: None, outdated: false, gap_us: 0, now_us: 0, shown_us: None }
    }

    /// The clock has moved: earlier measurements are void, and the time shown is chosen anew.
    pub fn restart(&mut self) {
        (self.outdated, self.gap_us, self.now_us, self.shown_us) = (true, 0, 0, None);
    }

    /// A state arrived `age_us` after it was due, `gap_us` after the previous one by their ticks.
    pub fn state(&mut self, age_us: i64, gap_us: i64) {
        let age = self.age.filter(|_| !std::mem::take(&mut self.outdated));
        self.age = Some(match age {
            None => Age { mean: age_us, deviation: gap_us / 8 },
            Some(Age { mean, deviation }) => Age {
                deviation: deviation + ((mean - age_us).abs() - deviation) / 4,
                mean: mean + (age_us - mean) / 8,
            },
        });
        // Follow an increase at once, a decrease slowly.
        self.gap_us = gap_us.max(self.gap_us - (self.gap_us - gap_us) / 8);
    }

    /// Time has passed. Returns the time to show, never earlier than before. Microseconds of the server's
    /// clock. None before the first state.
    pub fn advance(&mut self, now_us: i64) -> Option<i64> {
        let goal = now_us - self.target_us()?;
        let shown = match self.shown_us {
            None => goal,
            Some(shown) => {
                // After a correction backwards, the clock stands still for a while.
                let passed = (now_us - self.now_us).max(0);
                let error = goal - (shown + passed);
                let slew = match error.abs() {
                    e if e > LOST_US => error,
                    e if e > FAR_US => error.clamp(-passed / FIRM, passed / FIRM),
                    _ => error.clamp(-passed / GENTLE, passed / GENTLE),
                };
                (shown + passed + slew).max(shown)
            }
        };
        self.now_us = self.now_us.max(now_us);
        self.shown_us = Some(shown);
        Some(shown)
    }

    /// The delay to aim for.
    pub fn target(&self) -> Duration {
        Duration::from_micros(self.target_us().unwrap_or(0).max(0) as u64)
    }

    fn target_us(&self) -> Option<i64> {
        self.age.map(|a| (a.mean + 4 * a.deviation + self.gap_us).clamp(self.min_us, self.max_us))
    }
}
