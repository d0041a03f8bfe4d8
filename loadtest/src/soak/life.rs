//! What one bot's life is like: how long it plays, and what then happens to it. Follows from a seed.

use std::time::Duration;

/// How long a pause between two seats may be.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a bot may not read, at most: less than the server's timeout, so that it is slow and not silent.
const STALL: Duration = Duration::from_secs(6);
/// How much of the resume window a bot may be without a connection: it must get its seat back.
const OF_WINDOW: u32 = 3;

/// What happens to a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It gives its seat back.
    Leave,
    /// Its connection is cut for so long, and it resumes.
    Cut(Duration),
    /// Its connection is cut, and it never asks for the seat again.
    Vanish,
    /// It does not read for so long.
    Stall(Duration),
}

/// A seeded life.
#[derive(Debug)]
pub struct Life {
    random: fastrand::Rng,
    play: Duration,
}

impl Life {
    /// Between two turns, it plays for `play` on average.
    pub fn new(seed: u64, play: Duration) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), play }
    }
    /// How long it plays until the next turn: memoryless, as what happens to many people is, but no longer
    /// than five times the mean.
    pub fn stretch(&mut self) -> Duration {
        self.play.mul_f64((-(1.0 - self.random.f64()).ln()).min(5.0))
    }
    /// How long it is away between two seats.
    pub fn pause(&mut self) -> Duration {
        PAUSE.mul_f64(self.random.f64())
    }
    /// The next turn, where seats are kept for `window`.
    pub fn turn(&mut self, window: Duration) -> Turn {
        let part = self.random.f64();
        match self.random.u8(..10) {
            0..3 => Turn::Leave,
            3..7 => Turn::Cut((window / OF_WINDOW).mul_f64(part)),
            7 => Turn::Vanish,
            _ => Turn::Stall(STALL.mul_f64(part)),
        }
    }
    /// One of so many.
    pub fn choose(&mut self, count: usize) -> usize {
        self.random.usize(..count.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_happens_and_cuts_leave_time_to_resume() {
        let (mut life, window) = (Life::new(1, Duration::from_secs(60)), Duration::from_secs(15));
        let turns: Vec<_> = (0..1000).map(|_| life.turn(window)).collect();
        let count = |of: fn(&Turn) -> bool| turns.iter().filter(|turn| of(turn)).count();
        assert!((250..350).contains(&count(|turn| *turn == Turn::Leave)));
        assert!((50..150).contains(&count(|turn| *turn == Turn::Vanish)));
        assert!((150..250).contains(&count(|turn| matches!(turn, Turn::Stall(_)))));
        let cuts =
            turns.iter().filter_map(|turn| if let Turn::Cut(time) = turn { Some(*time) } else { None });
        assert!(cuts.max().unwrap() <= window / 2);
    }

    #[test]
    fn it_plays_for_as_long_as_asked_on_average() {
        let mut life = Life::new(2, Duration::from_secs(60));
        let mean = (0..10_000).map(|_| life.stretch()).sum::<Duration>() / 10_000;
        assert!((55..65).contains(&mean.as_secs()), "{mean:?}");
    }
}
