//! Which rooms move when the CPU load of threads differs for a long time.

use std::cmp::Reverse;

/// Difference in CPU load that is worth moving rooms for, thousandths.
const UNEQUAL: u32 = 250;
/// How many measurements in a row must show the difference: the end of a match, or a wave of new players,
/// passes by itself.
const LOOKS: u32 = 6;

/// Watches the CPU loads of threads.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    /// Measurements in a row that found them unequal.
    unequal: u32,
}

/// From which thread to which rooms should move, and how much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shift {
    /// Index of the busiest thread.
    pub(crate) from: usize,
    /// Index of the idlest thread.
    pub(crate) to: usize,
    /// The fraction of the busiest thread's rooms, by weight.
    part: f64,
}

impl Balance {
    /// Takes the CPU loads of all threads, thousandths.
    pub(crate) fn look(&mut self, loads: &[u32]) -> Option<Shift> {
        let (from, most) = loads.iter().copied().enumerate().max_by_key(|(_, load)| *load)?;
        let (to, least) = loads.iter().copied().enumerate().min_by_key(|(_, load)| *load)?;
        let difference = most - least;
        self.unequal = if difference >= UNEQUAL { self.unequal + 1 } else { 0 };
        if self.unequal < LOOKS {
            return None;
        }
        self.unequal = 0;
        Some(Shift { from, to, part: f64::from(difference / 2) / f64::from(most) })
    }
}

impl Shift {
    /// Which rooms of the busiest thread should move, according to their weights: the heaviest that fit, so
    /// that few have to move. A room that is too heavy would only make the other thread the busiest.
    pub(crate) fn choose<T>(&self, mut rooms: Vec<(u32, T)>) -> Vec<T> {
        let all: u32 = rooms.iter().map(|(weight, _)| weight).sum();
        let mut left = (f64::from(all) * self.part) as u32;
        rooms.sort_by_key(|(weight, _)| Reverse(*weight));
        let mut chosen = Vec::new();
        for (weight, room) in rooms {
            if weight <= left {
                left -= weight;
                chosen.push(room);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_differ_for_long_are_made_alike() {
        let mut balance = Balance::default();
        let mut loads = [800, 200, 500];
        for _ in 1..LOOKS {
            assert_eq!(balance.look(&loads), None);
        }
        let shift = balance.look(&loads).unwrap();
        assert_eq!((shift.from, shift.to), (0, 1));
        let rooms: Vec<_> = (0..80).map(|room| (10, room)).collect();
        let moved = shift.choose(rooms).len() as u32;
        loads = [800 - 10 * moved, 200 + 10 * moved, 500];
        assert_eq!(loads, [500, 500, 500]);
        assert!((0..100).all(|_| balance.look(&loads).is_none()));
    }

    #[test]
    fn a_peak_moves_nothing() {
        let mut balance = Balance::default();
        for _ in 0..10 {
            for _ in 1..LOOKS {
                assert_eq!(balance.look(&[900, 100]), None);
            }
            assert_eq!(balance.look(&[300, 100]), None);
        }
    }

    #[test]
    fn a_room_that_is_most_of_a_thread_stays_and_the_small_ones_go() {
        let shift = Shift { from: 0, to: 1, part: 0.4 };
        assert_eq!(shift.choose(vec![(5, 'a'), (80, 'b'), (10, 'c'), (5, 'd')]), ['c', 'a', 'd']);
        assert!(shift.choose(vec![(100, 'b')]).is_empty());
        assert!(shift.choose(Vec::<(u32, char)>::new()).is_empty());
    }

    #[test]
    fn a_server_of_one_thread_or_none_has_nothing_to_move() {
        let mut balance = Balance::default();
        assert!((0..20).all(|_| balance.look(&[1000]).is_none() && balance.look(&[]).is_none()));
    }
}
