//! How much a room's players may cause it to send. Whatever a command makes the game send costs everybody who
//! receives it.
//!
//! Commands are carried out while the room has sent less than a burst beyond its rate. After that, only
//! commands of players who have caused less than their share are carried out, so that a few players who shout
//! (or many) do not keep others from speaking; and beyond a final bound none are, so that what waits for a
//! client is bounded however many players there are. Other commands are refused, by number.
//!
//! What a game sends of its own accord, in its step, is not counted: the game's author is responsible for
//! that.
//!
//! Everything follows from the bytes that may wait for a client, `B` ([`Limits::reliable_bytes`]): a burst of
//! `B / 4`, a rate of `B / 4` per second, and at most `B` ahead of that. A queue holds `4 B`
//! ([`HARD_BOUND`](driftless_proto::reliable::HARD_BOUND)), so players who shout need 12 s to fill the queue
//! of a client that acknowledges nothing.

use driftless_proto::limits::Limits;

/// What a room has been made to send.
#[derive(Debug)]
pub(super) struct EventBudget {
    /// `B` in the module's documentation.
    bytes: u64,
    tick_rate: u64,
    told: Told,
}

/// What one player, or all, have made a room send beyond the rate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    bytes: u64,
    /// As of this tick.
    tick: u32,
}

impl EventBudget {
    /// The budget of a room that has sent nothing.
    pub(super) fn new(limits: &Limits, tick_rate: u32) -> Self {
        Self {
            bytes: limits.reliable_bytes as u64,
            tick_rate: tick_rate.max(1).into(),
            told: Told::default(),
        }
    }

    /// Whether to carry out a command of a player with this `told`. `seats` is the number of players who
    /// share the rate.
    pub(super) fn admits(&self, tick: u32, seats: usize, told: Told) -> bool {
        let all = self.told.at(tick, self.each_tick(1));
        let own = told.at(tick, self.each_tick(seats));
        let burst = self.bytes / 4;
        all < burst || (own < (burst / seats.max(1) as u64).max(1) && all < self.bytes)
    }

    /// A command of this player made the game send `cost` bytes.
    pub(super) fn charge(&mut self, tick: u32, seats: usize, told: &mut Told, cost: usize) {
        let (all, own) = (self.each_tick(1), self.each_tick(seats));
        self.told.add(tick, all, cost);
        told.add(tick, own, cost);
    }

    /// Bytes per tick, if `seats` share the rate.
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

    /// How many commands of `cost` are carried out in one tick if each of the players sends `times`.
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

    // Promise 4: "One client, however slow or hostile, does not delay another's tick or grow memory without
    // bound."
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
