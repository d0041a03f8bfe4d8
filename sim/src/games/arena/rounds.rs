//! Rounds: a match of limited time, a pause to look at the result, and a rematch.

use super::{arena_event::Round, player::Player, rules};
use crate::PlayerId;
use serde::{Deserialize, Serialize};

/// The current round, and how long it continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rounds {
    tick_rate: u32,
    /// Ticks per round.
    ticks: u32,
    number: u32,
    phase: Phase,
}

/// The times are remaining ticks. `Playing` → `Over` → `Playing` of the next round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Playing { left: u32 },
    Over { left: u32, winner: PlayerId, score: u32 },
}

impl Rounds {
    /// Rounds of this many seconds. The first one begins.
    pub fn new(seconds: u32, tick_rate: u32) -> Self {
        let ticks = seconds * tick_rate;
        Self { tick_rate, ticks, number: 1, phase: Phase::Playing { left: ticks } }
    }

    /// Whether shots count.
    pub fn is_playing(&self) -> bool {
        matches!(self.phase, Phase::Playing { .. })
    }

    /// One tick. Returns whether a round has ended, or the next has begun.
    pub fn step(&mut self, players: &[Player]) -> bool {
        let (Phase::Playing { left } | Phase::Over { left, .. }) = &mut self.phase;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return false;
        }
        self.phase = if self.is_playing() {
            let (winner, score) = winner(players).unwrap_or_default();
            Phase::Over { left: rules::ticks(rules::PAUSE_MS, self.tick_rate), winner, score }
        } else {
            self.number = self.number.saturating_add(1);
            Phase::Playing { left: self.ticks }
        };
        true
    }

    /// The pause is over.
    pub fn hurry(&mut self) {
        if let Phase::Over { left, .. } = &mut self.phase {
            *left = 0;
        }
    }

    /// What players are told about it.
    pub fn told(&self) -> Round {
        let (left, winner, score) = match self.phase {
            Phase::Playing { left } => (left, 0, 0),
            Phase::Over { left, winner, score } => (left, winner, score),
        };
        let (number, playing) = (self.number, self.is_playing());
        Round { number, playing, seconds_left: left.div_ceil(self.tick_rate), winner, score }
    }
}

/// The player who has more kills than all others, and how many.
fn winner(players: &[Player]) -> Option<(PlayerId, u32)> {
    let best = players.iter().map(|player| player.score).max().filter(|best| *best > 0)?;
    let mut with_best = players.iter().filter(|player| player.score == best);
    let first = with_best.next()?;
    with_best.next().is_none().then_some((first.id, best))
}
