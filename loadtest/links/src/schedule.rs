//! What is due when: a queue ordered by time, in which equal times keep their order.

use std::{collections::BTreeMap, time::Duration};

/// Things that are due at times.
#[derive(Debug)]
pub struct Schedule<T> {
    /// By time, and by how many there were before.
    things: BTreeMap<(Duration, u64), T>,
    count: u64,
}

impl<T> Schedule<T> {
    /// Adds one.
    pub fn push(&mut self, at: Duration, thing: T) {
        self.count += 1;
        self.things.insert((at, self.count), thing);
    }
    /// The next that is due by now.
    pub fn pop(&mut self, now: Duration) -> Option<T> {
        self.next().filter(|&at| at <= now)?;
        self.things.pop_first().map(|(_, thing)| thing)
    }
    /// When the next is due.
    pub fn next(&self) -> Option<Duration> {
        self.things.first_key_value().map(|(&(at, _), _)| at)
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.things.len()
    }
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self { things: BTreeMap::new(), count: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_equals_in_their_order() {
        let ms = Duration::from_millis;
        let mut schedule = Schedule::default();
        for (at, thing) in [(30, 'd'), (10, 'a'), (20, 'b'), (20, 'c')] {
            schedule.push(ms(at), thing);
        }
        assert_eq!((schedule.next(), schedule.len()), (Some(ms(10)), 4));
        assert_eq!(schedule.pop(ms(9)), None);
        let due: String = std::iter::from_fn(|| schedule.pop(ms(29))).collect();
        assert_eq!((due.as_str(), schedule.len()), ("abc", 1));
    }
}
