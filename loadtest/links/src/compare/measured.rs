//! What the players of one transport measured, put together.

use crate::histogram::{Micros, Quantiles};
use std::time::Duration;

/// What one player measured; added up, what all of them did.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// 1 if it had a seat to the end.
    pub stayed: u64,
    /// State's age on arrival.
    pub age: Micros,
    /// Age of what was shown, sixty times a second.
    pub shown_age: Micros,
    /// Age of what is known of the zone with the player's own entity, sixty times a second.
    pub own_zone_age: Micros,
    /// Input to the state that contains it.
    pub input: Micros,
    /// Distance between what was shown and where entities really were then, in thousandths of a unit.
    pub error_now: Distances,
    /// Distance between what was shown and where entities were at the moment that was meant to be shown.
    pub error_shown: Distances,
    /// How long what began another life elsewhere was still shown in the earlier one.
    pub life_late: Micros,
    /// Longest time between two states.
    pub longest_gap: Duration,
    /// Longest time that the picture was frozen for lack of a state.
    pub longest_standstill: Duration,
    /// States applied.
    pub states: u64,
    /// Ticks that were due.
    pub due: u64,
    /// States that came after a newer one.
    pub late: u64,
    /// What came after a blackout.
    pub after_black_out: Option<AfterBlackOut>,
    /// K, as far as this end can tell.
    pub gate: Option<u64>,
    /// Why connections ended that should not have.
    pub errors: Vec<String>,
}

/// The worst of all players.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AfterBlackOut {
    /// Players that got a state after it.
    pub players: u64,
    /// Age of the first state applied, microseconds.
    pub first_age_us: i64,
    /// States applied that were of ticks before its end.
    pub stale: u64,
    /// From its end to the first state of a tick after it.
    pub fresh_after: Duration,
}

/// A histogram of distances: thousandths of a unit, to three digits.
#[derive(Debug, Clone, Default)]
pub struct Distances(Micros);

impl Measured {
    /// Adds another player's.
    pub fn add(&mut self, other: &Self) {
        self.stayed += other.stayed;
        self.age.add(&other.age);
        self.shown_age.add(&other.shown_age);
        self.own_zone_age.add(&other.own_zone_age);
        self.input.add(&other.input);
        self.error_now.0.add(&other.error_now.0);
        self.error_shown.0.add(&other.error_shown.0);
        self.life_late.add(&other.life_late);
        self.longest_gap = self.longest_gap.max(other.longest_gap);
        self.longest_standstill = self.longest_standstill.max(other.longest_standstill);
        self.states += other.states;
        self.due += other.due;
        self.late += other.late;
        self.gate = self.gate.max(other.gate);
        self.after_black_out = match (self.after_black_out, other.after_black_out) {
            (Some(a), Some(b)) => Some(AfterBlackOut {
                players: a.players + b.players,
                first_age_us: a.first_age_us.max(b.first_age_us),
                stale: a.stale.max(b.stale),
                fresh_after: a.fresh_after.max(b.fresh_after),
            }),
            (a, b) => a.or(b),
        };
        self.errors.extend_from_slice(&other.errors);
    }
}

impl Distances {
    /// Takes a distance, units.
    pub fn record(&mut self, units: f64) {
        self.0.record_us((units * 1000.0).round() as i64);
    }
    /// Units.
    pub fn quantiles(&self) -> Option<Quantiles> {
        // Thousandths of a millisecond there, thousandths of a unit here.
        self.0.quantiles_ms()
    }
}
