//! Whether a room's ticks are so long that the other rooms of its thread suffer, so that it has to live
//! elsewhere.

use std::time::{Duration, Instant};

/// A longer tick makes another room's tick late by more than allowed (Promise 7).
pub(super) const LONG: Duration = Duration::from_millis(1);
/// A single call of the game this long is enough.
const BLOCKED: Duration = Duration::from_millis(20);
/// How much a long tick adds. Each tick subtracts one, so one in twenty may be long, because the machine had
/// other work.
const LONG_COUNTS: u32 = 20;
/// From this count on a room is heavy: five long ticks in a row, or more than one in twenty.
const HEAVY: u32 = 5 * LONG_COUNTS;
/// How long a room has to be light before it may move back, the first time. The time doubles each time.
const STAY: Duration = Duration::from_secs(10);
/// Maximum of that time.
const LONGEST_STAY: Duration = Duration::from_secs(3600);

/// Weighs a room.
#[derive(Debug)]
pub(super) struct Weight {
    count: u32,
    place: Place,
    /// How long it has to be light next time.
    stay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On a common thread.
    Common,
    /// On a thread for heavy rooms, and since when it has been light.
    Apart { light_since: Instant },
}

/// The result of weighing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weighed {
    /// It has become too heavy to live with others.
    Heavy,
    /// It is light again.
    Light,
}

impl Weight {
    /// For a room that has not ticked yet.
    pub(super) fn new() -> Self {
        Self { count: 0, place: Place::Common, stay: STAY }
    }

    /// The room has moved, to a common thread or apart from the others.
    pub(super) fn moved(&mut self, apart: bool, now: Instant) {
        self.place = if apart { Place::Apart { light_since: now } } else { Place::Common };
    }

    /// A tick, or another call of the game, took this long. Some: the room should move.
    pub(super) fn weigh(&mut self, now: Instant, took: Duration) -> Option<Weighed> {
        if took > LONG {
            self.count += LONG_COUNTS;
        }
        let heavy = took >= BLOCKED || self.count > HEAVY;
        self.count = self.count.saturating_sub(1).min(HEAVY);
        match &mut self.place {
            Place::Common if heavy => {
                self.count = 0;
                Some(Weighed::Heavy)
            }
            Place::Common => None,
            Place::Apart { light_since } => {
                if took > LONG {
                    *light_since = now;
                }
                if now.saturating_duration_since(*light_since) < self.stay {
                    return None;
                }
                *light_since = now;
                self.stay = (self.stay * 2).min(LONGEST_STAY);
                Some(Weighed::Light)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(50);
    const SHORT: Duration = Duration::from_micros(100);

    struct Room {
        weight: Weight,
        now: Instant,
    }

    impl Room {
        fn new() -> Self {
            Self { weight: Weight::new(), now: Instant::now() }
        }

        /// Runs `ticks` ticks, of which one in `every` is long. Returns the result, and after how many ticks
        /// it came.
        fn play(&mut self, ticks: usize, every: usize, took: Duration) -> Option<(usize, Weighed)> {
            (1..=ticks).find_map(|n| {
                self.now += TICK;
                let took = if n.is_multiple_of(every) { took } else { SHORT };
                let found = self.weight.weigh(self.now, took)?;
                self.weight.moved(found == Weighed::Heavy, self.now);
                Some((n, found))
            })
        }
    }

    // Promise 4, for a game instead of a client: a game that blocks for 200 ms makes no other room late by
    // more than that, and only once.
    #[test]
    fn a_room_that_blocks_once_is_heavy() {
        assert_eq!(Room::new().play(9, 5, Duration::from_millis(200)), Some((5, Weighed::Heavy)));
    }

    #[test]
    fn a_room_whose_ticks_are_long_is_heavy_after_a_few() {
        assert_eq!(Room::new().play(100, 1, Duration::from_millis(3)), Some((6, Weighed::Heavy)));
        let found = Room::new().play(10_000, 10, Duration::from_millis(3));
        assert!(matches!(found, Some((10..=200, Weighed::Heavy))), "{found:?}");
    }

    #[test]
    fn a_room_whose_machine_stutters_now_and_then_is_not() {
        assert_eq!(Room::new().play(100_000, 30, Duration::from_millis(3)), None);
    }

    #[test]
    fn a_heavy_room_comes_back_when_it_has_been_light_for_long_enough_each_time_later() {
        let mut room = Room::new();
        for stay in [200, 400, 800] {
            assert_eq!(room.play(1, 1, BLOCKED), Some((1, Weighed::Heavy)));
            assert_eq!(room.play(10, 1, BLOCKED), None, "it is where it belongs");
            assert_eq!(room.play(10_000, usize::MAX, SHORT), Some((stay, Weighed::Light)));
        }
    }
}
