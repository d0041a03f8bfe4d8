//! Limits how many lines a place in the code may write.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tracing::Level;

/// Most lines of one place that are written in one second.
const MOST: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// Admits the first lines of each place in each second, and counts the rest.
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
    /// Level of its lines.
    pub level: Level,
}

/// A second of a place, and what is left to report of earlier ones.
#[derive(Debug)]
struct Second {
    start: Instant,
    lines: u32,
    /// Lines left out in this second.
    more: u64,
    /// Lines left out in earlier seconds and not yet reported.
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

    /// How many lines of which places were left out in past seconds. Each is reported once.
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
            // 1,000 lines per second, and a reader that looks at times that never coincide with a second's
            // end.
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
