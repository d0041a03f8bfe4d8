//! How far the server is with its end.

use parking_lot::Mutex;
use serde::Serialize;
use std::{
    sync::atomic::{
        AtomicBool, AtomicU8,
        Ordering::{Relaxed, SeqCst},
    },
    time::{Duration, Instant},
};
use utoipa::ToSchema;

/// The steps of a drain, in their order. None is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[schema(as = DrainStep)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Step {
    /// The server serves.
    Serving = 0,
    /// Rooms go to other nodes. No new rooms are made.
    Moving = 1,
    /// Matches may end. Their rooms take players, and those who come back; no new rooms are made.
    Matches = 2,
    /// Players are told to go, some at a time. Nobody is admitted.
    Goodbyes = 3,
    /// Everybody was told. What is not finished yet has a few seconds.
    Stopping = 4,
}

impl Step {
    const ALL: [Step; 5] = [Step::Serving, Step::Moving, Step::Matches, Step::Goodbyes, Step::Stopping];
}

/// The current step, which many threads read.
#[derive(Debug, Default)]
pub struct Drain {
    step: AtomicU8,
    handed_over: AtomicBool,
    until: Mutex<Option<Instant>>,
}

impl Drain {
    /// The current step.
    pub fn step(&self) -> Step {
        Step::ALL[usize::from(self.step.load(Relaxed))]
    }

    /// Takes a step, which takes until then at most. A step that was taken already stays taken.
    pub fn take(&self, step: Step, until: Instant) {
        self.step.fetch_max(step as u8, Relaxed);
        *self.until.lock() = Some(until);
    }

    /// From now on, another process is to have everything: what changes here, it would not know.
    pub fn hand_over(&self) {
        self.handed_over.store(true, SeqCst);
    }

    /// Whether another process is to have everything.
    pub fn is_handed_over(&self) -> bool {
        self.handed_over.load(SeqCst)
    }

    /// The longest time that the current step still takes. None: the server serves.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.until.lock().map(|until| until.saturating_duration_since(now))
    }
}

/// How many goodbyes may be said when: so many a second, on average, and a tenth of a second's worth at once.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// None: all at once.
    per_second: Option<f64>,
}

impl Pace {
    /// 0: all at once.
    pub fn new(per_second: u32) -> Self {
        Self { per_second: (per_second > 0).then_some(f64::from(per_second)) }
    }

    /// How many may have been said after this time.
    pub fn by(self, passed: Duration) -> usize {
        match self.per_second {
            Some(rate) => (rate * (passed.as_secs_f64() + 0.1)).round().max(1.0) as usize,
            None => usize::MAX,
        }
    }

    /// How long so many take.
    pub fn time_for(self, goodbyes: usize) -> Duration {
        self.per_second.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(goodbyes as f64 / rate))
    }
}

/// When the `n`th of those who are told to go should come back: spread over this time, evenly for any number
/// of them, so that neighbours come at different times. (The additive recurrence of the golden ratio.)
pub fn comes_back(n: usize, spread: Duration) -> Duration {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    spread.mul_f64((n as f64 * GOLDEN).fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn no_step_is_taken_back() {
        let (drain, now) = (Drain::default(), Instant::now());
        assert_eq!((drain.step(), drain.left(now)), (Step::Serving, None));
        drain.take(Step::Matches, now + SECOND);
        assert_eq!((drain.step(), drain.left(now)), (Step::Matches, Some(SECOND)));
        drain.take(Step::Goodbyes, now);
        drain.take(Step::Matches, now);
        assert_eq!((drain.step(), drain.left(now + SECOND)), (Step::Goodbyes, Some(Duration::ZERO)));
    }

    #[test]
    fn goodbyes_keep_their_pace_and_one_can_always_be_said() {
        let pace = Pace::new(100);
        assert_eq!([0, 1, 5].map(|s| pace.by(s * SECOND)), [10, 110, 510]);
        assert_eq!(pace.time_for(250), 2 * SECOND + SECOND / 2);
        assert_eq!([0, 2].map(|s| Pace::new(1).by(s * SECOND)), [1, 2]);
        assert_eq!((Pace::new(0).by(Duration::ZERO), Pace::new(0).time_for(9)), (usize::MAX, Duration::ZERO));
    }

    #[test]
    fn whoever_was_told_together_comes_back_apart() {
        for many in [2, 10, 1000] {
            let mut back: Vec<_> = (0..many).map(|n| comes_back(n, SECOND)).collect();
            back.sort();
            let gaps = back.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(back.iter().all(|wait| *wait < SECOND));
            assert!(gaps.max().unwrap() < SECOND * 2 / many as u32 + SECOND / 5, "{many}");
        }
    }
}
