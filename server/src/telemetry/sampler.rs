//! How many lines a place in the code may write.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tracing::Level;

/// Lines of one place in one second that are written.
const MOST: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// Lets the first lines of each place in each second through, and counts the rest.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    places: HashMap<Place, Second>,
}

/// A place in the code that logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Its module.
    pub target: &'static str,
    /// Its line there.
    pub line: u32,
    /// How much its lines matter.
    pub level: Level,
}

/// A second of a place, and what it has to tell of those before.
#[derive(Debug)]
struct Second {
    start: Instant,
    lines: u32,
    /// Left out in it.
    more: u64,
    /// Left out in those before it, and not told yet.
    due: u64,
}

impl Sampler {
    /// Whether a line may be written.
    pub(super) fn admit(&mut self, place: Place, now: Instant) -> bool {
        let second = self.places.entry(place).or_insert(Second { start: now, lines: 0, more: 0, due: 0 });
        if second.is_over(now) {
            *second = Second { start: now, lines: 0, more: 0, due: second.due + second.more };
        }
        if second.lines < MOST {
            second.lines += 1;
            return true;
        }
        second.more += 1;
        false
    }

    /// How many lines of which places were left out in seconds that are over. Each is told once.
    pub(super) fn left_out(&mut self, now: Instant) -> Vec<(Place, u64)> {
        let mut left_out = Vec::new();
        for (place, second) in &mut self.places {
            if second.is_over(now) {
                second.due += std::mem::take(&mut second.more);
            }
            if second.due > 0 {
                left_out.push((*place, std::mem::take(&mut second.due)));
            }
        }
        left_out
    }
}

impl Second {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.start) >= SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = Place { target: "here", line: 1, level: Level::INFO };
    const THERE: Place = Place { target: "here", line: 2, level: Level::INFO };

    #[test]
    fn the_first_lines_of_a_second_are_written_and_the_rest_is_told_once() {
        let (mut sampler, start) = (Sampler::default(), Instant::now());
        let admitted = (0..25).filter(|_| sampler.admit(HERE, start)).count();
        assert_eq!(admitted, 10);
        assert!(sampler.admit(THERE, start), "another place has its own");
        assert_eq!(sampler.left_out(start), [], "the second is not over");
        assert_eq!(sampler.left_out(start + SECOND), [(HERE, 15)]);
        assert_eq!(sampler.left_out(start + 9 * SECOND), []);
        assert!(sampler.admit(HERE, start + 9 * SECOND));
    }

    #[test]
    fn a_flood_that_goes_on_is_told_again_and_again() {
        let (mut sampler, start) = (Sampler::default(), Instant::now());
        let (mut admitted, mut told) = (0, 0);
        for n in 0..10_000 {
            // 1,000 a second, and one who looks at times that are never a second's end.
            let now = start + Duration::from_millis(n);
            admitted += u64::from(sampler.admit(HERE, now));
            if n % 1_000 == 700 {
                let left_out = sampler.left_out(now);
                assert_eq!(left_out.len(), usize::from(n > 1_000), "at {n} ms");
                told += left_out.iter().map(|(_, more)| more).sum::<u64>();
            }
        }
        told += sampler.left_out(start + 11 * SECOND).iter().map(|(_, more)| more).sum::<u64>();
        assert_eq!((admitted, admitted + told), (100, 10_000));
    }

    #[test]
    fn few_lines_are_all_written() {
        let (mut sampler, start) = (Sampler::default(), Instant::now());
        assert!((0..100).all(|n| sampler.admit(HERE, start + n * SECOND / 5)));
        assert_eq!(sampler.left_out(start + 100 * SECOND), []);
    }
}
