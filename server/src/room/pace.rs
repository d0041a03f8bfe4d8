//! Assigns a player's inputs to ticks.
//!
//! Each tick takes one, in order. Inputs that arrive late and together wait, so that a network hiccup does
//! not cost a player any movement. Excess inputs are dropped, the oldest first, so that sending more does not
//! move a player farther. Inputs that have waited for a second were not late: they came too early, or one of
//! them was too many. If no tick in that second needed them, they are dropped too, because otherwise the
//! player would feel the hiccup forever.

/// Ticks whose inputs may wait: a tenth of a second, but at least this many.
const LATE_TICKS: u32 = 3;

/// What a room allows each of its players.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// Most inputs that a tick takes.
    per_tick: u32,
    /// Most inputs that wait after a tick: together with those that it takes, a few ticks' worth of a client
    /// that sends one per tick.
    waiting: u32,
    /// Number of ticks after which the minimum of waiting inputs counts as needless.
    window: u32,
}

/// A player's waiting inputs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// Ticks in a row after which some waited.
    ticks: u32,
    /// The minimum number that waited in these ticks.
    least: u32,
}

/// What to do with the available inputs, oldest first: drop some, give the next ones to this tick, and let
/// the rest wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// To drop.
    pub dropped: usize,
    /// For this tick.
    pub given: usize,
}

impl Rhythm {
    /// For this many inputs per tick.
    pub fn new(inputs_per_tick: u32, tick_rate: u32) -> Self {
        let per_tick = inputs_per_tick.max(1);
        let late_ticks = (tick_rate / 10).max(LATE_TICKS);
        Self { per_tick, waiting: (1 + late_ticks).saturating_sub(per_tick), window: tick_rate }
    }
}

impl Pace {
    /// A tick in which `there` inputs of the player are available. (A player without any needs no call.)
    pub fn turn(&mut self, there: usize, rhythm: &Rhythm) -> Turn {
        let Rhythm { window, .. } = *rhythm;
        let (per_tick, waiting) = (rhythm.per_tick as usize, rhythm.waiting as usize);
        let too_many = there.saturating_sub(per_tick + waiting);
        let needless =
            if self.ticks < window { 0 } else { (self.least as usize).min(there.saturating_sub(per_tick)) };
        let dropped = too_many.max(needless);
        let given = per_tick.min(there - dropped);
        let rest = u32::try_from(there - dropped - given).unwrap_or(u32::MAX);
        *self = match (rest, self.ticks) {
            (0, _) => Self::default(),
            (rest, ticks) if ticks == 0 || ticks >= window => Self { ticks: 1, least: rest },
            (rest, ticks) => Self { ticks: ticks + 1, least: rest.min(self.least) },
        };
        Turn { dropped, given }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 20;

    /// Inputs given to each tick when these many arrive in each, and how many were dropped.
    fn given(per_tick: u32, coming: impl IntoIterator<Item = usize>) -> (Vec<usize>, usize) {
        let (rhythm, mut pace) = (Rhythm::new(per_tick, RATE), Pace::default());
        let (mut waiting, mut dropped) = (0, 0);
        let each = coming.into_iter().map(|come| {
            let there = waiting + come;
            if there == 0 {
                return 0;
            }
            let turn = pace.turn(there, &rhythm);
            waiting = there - turn.dropped - turn.given;
            dropped += turn.dropped;
            turn.given
        });
        (each.collect(), dropped)
    }

    #[test]
    fn a_tick_takes_one_however_many_come() {
        for come in [1, 3, 7, 1_000] {
            let (each, dropped) = given(1, [come; 100]);
            assert_eq!(each, [1; 100], "{come} a tick");
            let needless = 100 * (come - 1);
            assert!((needless.saturating_sub(3)..=needless).contains(&dropped), "{come} a tick: {dropped}");
        }
        assert_eq!(given(3, [7; 100]).0, [3; 100], "of a game that asks for three");
    }

    #[test]
    fn late_inputs_catch_up_one_a_tick_and_missing_ones_are_missing() {
        assert_eq!(given(1, [1, 0, 0, 3, 0, 0, 1]), (vec![1, 0, 0, 1, 1, 1, 1], 0));
    }

    #[test]
    fn of_more_than_a_few_late_ones_the_oldest_are_dropped() {
        assert_eq!(given(1, [0, 0, 9, 0, 0, 0, 0]), (vec![0, 0, 1, 1, 1, 1, 0], 5));
    }

    #[test]
    fn a_hiccup_is_not_felt_for_longer_than_a_second() {
        let hiccup = [0, 0, 3].into_iter();
        // With one more input per tick, the number of waiting inputs would never fall.
        let (each, dropped) = given(1, hiccup.chain([1; 100]).chain([0; 5]));
        assert_eq!(dropped, 2, "those that waited");
        assert_eq!(each[2..103], [1; 101], "no tick of the others was without one");
        assert_eq!(each[103..], [0; 5], "and none waits at the end");
    }

    #[test]
    fn what_an_unsteady_network_needs_goes_on_waiting() {
        // Every half second, one comes a tick late.
        let unsteady = [1, 1, 1, 1, 1, 1, 1, 1, 0, 2];
        let (each, dropped) = given(1, unsteady.into_iter().cycle().take(1_000));
        assert_eq!(dropped, 0);
        assert_eq!(each.iter().filter(|given| **given == 0).count(), 1, "only the first time");
    }
}
