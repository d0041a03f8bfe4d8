//! How much a room's players may make it tell: what a command makes the game say costs everybody who hears it.
//!
//! A command is done while the room has told less than a burst beyond its rate. After that only who has told less than his
//! share of it is heard, so that a few who shout (or many) keep nobody else from speaking; and past a last bound nobody,
//! so that what waits for a client is bounded however many they are. Who is not heard is refused, by the command's number.
//!
//! What a game tells of its own accord, in its step, is not counted: its author answers for that.
//!
//! All of it follows from the bytes that may wait for a client, `B` ([`Limits::reliable_bytes`]): a burst of `B / 4`, `B / 4` a
//! second, at most `B` ahead of that. A queue holds `4 B` ([`HARD_BOUND`](driftless_proto::reliable::HARD_BOUND)), so it takes
//! those who shout 12 s to fill that of somebody who acknowledges nothing.

use driftless_proto::limits::Limits;

/// What a room has been made to tell.
#[derive(Debug)]
pub(super) struct EventBudget {
    /// As in the module's documentation: `B`.
    bytes: u64,
    tick_rate: u64,
    told: Told,
}

/// What one player, or all, have made a room tell beyond the rate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    bytes: u64,
    /// As of this tick.
    tick: u32,
}

impl EventBudget {
    /// The budget of a room that has told nothing.
    pub(super) fn new(limits: &Limits, tick_rate: u32) -> Self {
        Self {
            bytes: limits.reliable_bytes as u64,
            tick_rate: tick_rate.max(1).into(),
            told: Told::default(),
        }
    }

    /// Whether a command of a player who has `told` so much is to be done. `seats`: how many share the rate.
    pub(super) fn admits(&self, tick: u32, seats: usize, told: Told) -> bool {
        let all = self.told.at(tick, self.each_tick(1));
        let own = told.at(tick, self.each_tick(seats));
        let burst = self.bytes / 4;
        all < burst || (own < (burst / seats.max(1) as u64).max(1) && all < self.bytes)
    }

    /// A command of this player made the game tell so much.
    pub(super) fn charge(&mut self, tick: u32, seats: usize, told: &mut Told, cost: usize) {
        let (all, own) = (self.each_tick(1), self.each_tick(seats));
        self.told.add(tick, all, cost);
        told.add(tick, own, cost);
    }

    /// Bytes a tick, where so many share the rate.
    fn each_tick(&self, seats: usize) -> u64 {
        (self.bytes / 4 / self.tick_rate / seats.max(1) as u64).max(1)
    }
}

impl Told {
    fn at(self, tick: u32, each_tick: u64) -> u64 {
        self.bytes.saturating_sub(u64::from(tick.saturating_sub(self.tick)) * each_tick)
    }

    fn add(&mut self, tick: u32, each_tick: u64, cost: usize) {
        *self = Self { bytes: self.at(tick, each_tick) + cost as u64, tick };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 20;

    fn budget() -> EventBudget {
        EventBudget::new(&Limits::default(), RATE)
    }

    /// How many commands of `cost` are done in one tick, where each of the players asks so many times.
    fn done(budget: &mut EventBudget, tick: u32, players: &mut [Told], times: usize, cost: usize) -> usize {
        let seats = players.len();
        let mut done = 0;
        for player in players {
            for _ in 0..times {
                if budget.admits(tick, seats, *player) {
                    budget.charge(tick, seats, player, cost);
                    done += 1;
                }
            }
        }
        done
    }

    // Promise 4: "One client, however slow or hostile, MUST NOT delay another's tick or grow memory without bound."
    #[test]
    fn accomplices_who_shout_keep_nobody_from_speaking() {
        let (mut budget, mut shouting) = (budget(), vec![Told::default(); 66]);
        let heard = done(&mut budget, 1, &mut shouting, 5, 870);
        assert!((66..200).contains(&heard), "each once, and not all of the 330: {heard}");
        for tick in 1..200 {
            done(&mut budget, tick, &mut shouting, 5, 870);
            assert!(budget.admits(tick, 67, Told::default()), "tick {tick}: who has said nothing is heard");
        }
    }

    #[test]
    fn what_is_told_is_bounded_however_many_tell() {
        let (mut budget, mut shouting) = (budget(), vec![Told::default(); 1000]);
        let bytes = |heard: usize| heard * 4160;
        let first = bytes(done(&mut budget, 1, &mut shouting, 10, 4160));
        assert!(first <= 256 * 1024 + 4160, "{first} at once");
        let mut all = 0;
        for tick in 2..=10 * RATE {
            all += bytes(done(&mut budget, tick, &mut shouting, 10, 4160));
        }
        assert!(all <= 10 * 64 * 1024 + 4160, "{all} in 10 s more");
        assert!(all >= 5 * 64 * 1024, "and the rate is used: {all}");
    }

    #[test]
    fn who_speaks_now_and_then_is_never_refused() {
        let (mut budget, mut talking) = (budget(), vec![Told::default(); 50]);
        for tick in 1..10_000 {
            let asked = tick % RATE == 0;
            assert_eq!(done(&mut budget, tick, &mut talking, asked.into(), 200), if asked { 50 } else { 0 });
        }
    }
}
