//! How a load-testing bot plays: it goes for the nearest player, keeps moving when it is there, and shoots.
//! Players of its own colour, if they have chosen one, it takes for its team.

use super::{Arena, ArenaInput, PLAYERS, body::shorten, rules};
use crate::{Bot, Rng, Seen};
use serde::{Deserialize, Serialize};

/// Within this distance it circles its enemy; beyond it, it approaches, cm.
const NEAR: i64 = 900;
/// It does not shoot farther than this, cm.
const RANGE: i64 = 2_200;
/// With an enemy in range, one input in this many shoots.
const PATIENCE: u32 = 4;
/// How far its aim is off at most, in 1/256 of the distance.
const CARELESS: i32 = 40;

/// What a bot remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BotMemory {
    /// The direction it moves in.
    way: (i32, i32),
    /// Inputs until it thinks again.
    left: u32,
    /// Where it was.
    place: (i32, i32),
}

impl Bot for Arena {
    type Memory = BotMemory;

    fn act(memory: &mut BotMemory, seen: &Seen<'_>, rng: &mut Rng) -> ArenaInput {
        let Some([x, y, _aim, 1..=i32::MAX, _score, _spawns, own]) = seen.row(PLAYERS) else {
            return ArenaInput::default();
        };
        let players = &seen.state.tables()[PLAYERS];
        let others = players.ids().iter().enumerate().filter(|&(row, &id)| {
            let (health, colour) = (players.column(3)[row], players.column(6)[row]);
            id != seen.player && health > 0 && (colour != own || colour == 0)
        });
        let others = others.map(|(row, _)| (players.column(0)[row], players.column(1)[row]));
        memory.act((x, y), others, seen.tick_rate, rng)
    }
}

impl BotMemory {
    /// What a player at `place` does now, if the other living players are at `others`, cm.
    pub(super) fn act(
        &mut self,
        place: (i32, i32),
        others: impl Iterator<Item = (i32, i32)>,
        tick_rate: u32,
        rng: &mut Rng,
    ) -> ArenaInput {
        let to = |(x, y): (i32, i32)| (i64::from(x) - i64::from(place.0), i64::from(y) - i64::from(place.1));
        let square = |(x, y): (i64, i64)| x * x + y * y;
        let enemy = others.map(to).min_by_key(|&way| square(way));
        let stands = self.way != (0, 0) && self.place == place;
        if self.left == 0 || stands {
            self.left = tick_rate / 2 + rng.below(tick_rate);
            let anywhere = (i64::from(rng.range(-127..128)), i64::from(rng.range(-127..128)));
            let way = match enemy {
                _ if stands => anywhere,
                Some(way) if square(way) > NEAR * NEAR => way,
                Some((x, y)) if rng.below(2) == 0 => (-y, x),
                Some((x, y)) => (y, -x),
                None => anywhere,
            };
            let (x, y) = shorten(way, rules::FULL_STICK.into());
            self.way = (x as i32, y as i32);
        }
        self.left = self.left.saturating_sub(1);
        self.place = place;
        let mut input = ArenaInput { move_x: self.way.0, move_y: self.way.1, ..Default::default() };
        if let Some((x, y)) = enemy {
            // The error grows with the distance.
            let off = i64::from(rng.range(-CARELESS..CARELESS + 1));
            let aim = shorten((x * 256 - y * off, y * 256 + x * off), 1_000);
            (input.aim_x, input.aim_y) = (aim.0 as i32, aim.1 as i32);
            let fires = square((x, y)) < RANGE * RANGE && rng.below(PATIENCE) == 0;
            input.buttons = if fires { rules::BUTTON_FIRE } else { 0 };
        }
        input
    }
}
