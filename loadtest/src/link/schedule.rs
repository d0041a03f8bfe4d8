//! What is due when: a queue by time, in which equal times keep their order.

use std::{cmp::Ordering, collections::BinaryHeap, time::Duration};

/// Things that are due at times.
#[derive(Debug)]
pub struct Schedule<T> {
    heap: BinaryHeap<Entry<T>>,
    count: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Duration,
    number: u64,
    thing: T,
}

impl<T> Schedule<T> {
    /// Takes one in.
    pub fn push(&mut self, at: Duration, thing: T) {
        self.count += 1;
        self.heap.push(Entry { at, number: self.count, thing });
    }
    /// The next that is due by now.
    pub fn pop(&mut self, now: Duration) -> Option<T> {
        self.next().filter(|&at| at <= now)?;
        self.heap.pop().map(|entry| entry.thing)
    }
    /// When the next is due.
    pub fn next(&self) -> Option<Duration> {
        self.heap.peek().map(|entry| entry.at)
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.heap.len()
    }
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), count: 0 }
    }
}

/// The heap gives the greatest first: that is the earliest.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Entry<T> {}

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
