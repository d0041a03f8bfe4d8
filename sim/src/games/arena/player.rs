//! One player of the arena: body, aim, health, score, and timers.

use super::{ArenaInput, Body, Drive, rules};
use crate::PlayerId;
use serde::{Deserialize, Serialize};

/// A player. All times are remaining ticks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Player {
    pub id: PlayerId,
    pub body: Body,
    pub drive: Drive,
    /// Until the drive ends for lack of a newer input.
    pub hold: u32,
    /// A direction of any length, never 0.
    pub aim: (i32, i32),
    /// Where it aimed in the first of this tick's inputs with the fire button down: that is what its view
    /// belongs to, wherever it aims later in the tick.
    pub fire: Option<(i32, i32)>,
    /// Until the next shot.
    pub cooldown: u32,
    pub state: State,
    pub score: u32,
    /// How often it has spawned: 1 in its first life.
    pub spawns: u32,
    /// On the clients' palette; 0: not chosen.
    pub colour: u8,
    /// Until it may choose another colour.
    pub colour_wait: u32,
    /// Whether it wants the next round now.
    pub again: bool,
    /// Whether it is a bot.
    pub npc: bool,
    /// 1 or 2; 0 in a room without teams.
    pub team: u8,
    /// Whether a living enemy was near enough to see it in the last tick, in a room with teams.
    pub is_spotted: bool,
}

/// Joined: `Alive`. Health at 0: `Alive` → `Dead`. Time over: `Dead` → `Alive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Alive { health: u8 },
    Dead { respawn: u32 },
}

impl Player {
    /// A player that spawns for the first time.
    pub fn new(id: PlayerId, body: Body) -> Self {
        Self {
            id,
            body,
            drive: Drive::Rest,
            hold: 0,
            aim: (1, 0),
            fire: None,
            cooldown: 0,
            state: State::Alive { health: rules::MAX_HEALTH },
            score: 0,
            spawns: 1,
            colour: 0,
            colour_wait: 0,
            again: false,
            npc: false,
            team: 0,
            is_spotted: false,
        }
    }

    /// Takes one of a tick's inputs: the last movement and aim count, buttons are combined.
    pub fn input(&mut self, input: &ArenaInput, tick_rate: u32) {
        self.drive = Drive::of(input);
        self.hold = rules::ticks(rules::HOLD_MS, tick_rate);
        self.aim = Self::aim(input).unwrap_or(self.aim);
        if input.buttons & rules::BUTTON_FIRE != 0 {
            self.fire.get_or_insert(self.aim);
        }
    }

    /// The direction that an input aims in. None: as before.
    pub fn aim(input: &ArenaInput) -> Option<(i32, i32)> {
        let clamp = |n: i32| n.clamp(-32_768, 32_767);
        let aim = (clamp(input.aim_x), clamp(input.aim_y));
        (aim != (0, 0)).then_some(aim)
    }

    /// Whether both are of the same team.
    pub fn is_friend(&self, other: &Player) -> bool {
        self.team != 0 && self.team == other.team
    }

    pub fn is_alive(&self) -> bool {
        matches!(self.state, State::Alive { .. })
    }

    /// 0 for the dead.
    pub fn health(&self) -> u8 {
        match self.state {
            State::Alive { health } => health,
            State::Dead { .. } => 0,
        }
    }

    /// The player is hit. Returns whether that was fatal, in which case it respawns after `respawn_ms`.
    pub fn hit(&mut self, respawn_ms: u32, tick_rate: u32) -> bool {
        let health = self.health().saturating_sub(rules::DAMAGE);
        if health > 0 {
            self.state = State::Alive { health };
            return false;
        }
        self.state = State::Dead { respawn: rules::ticks(respawn_ms, tick_rate) };
        self.body = Body { vx: 0, vy: 0, ..self.body };
        true
    }

    /// Starts the next life.
    pub fn respawn(&mut self, body: Body) {
        self.body = body;
        self.state = State::Alive { health: rules::MAX_HEALTH };
        self.cooldown = 0;
        self.spawns = self.spawns.saturating_add(1);
    }

    /// Starts another round.
    pub fn restart(&mut self, body: Body) {
        self.respawn(body);
        self.score = 0;
        self.again = false;
    }

    /// Chooses a colour, or says why not.
    pub fn choose_colour(&mut self, colour: u32, tick_rate: u32) -> Result<(), String> {
        let chosen = u8::try_from(colour).ok().filter(|it| rules::COLOURS.contains(it));
        let chosen = chosen.ok_or_else(|| format!("colour is {colour}, outside {:?}", rules::COLOURS))?;
        if chosen == self.colour {
            return Ok(());
        }
        if self.colour_wait > 0 {
            return Err("too many colours; wait a moment".into());
        }
        self.colour = chosen;
        self.colour_wait = rules::ticks(rules::COLOUR_INTERVAL_MS, tick_rate);
        Ok(())
    }

    /// Its colour: that of its team, if there are teams.
    fn look(&self) -> u8 {
        match self.team {
            0 => self.colour,
            team => rules::TEAM_COLOURS[usize::from(team == 2)],
        }
    }

    /// Where it shoots now. None: it does not want to, is dead, or the last shot was not long enough ago.
    pub fn shoots(&mut self, tick_rate: u32) -> Option<(i32, i32)> {
        let aim = self.fire.filter(|_| self.cooldown == 0 && self.is_alive())?;
        self.cooldown = rules::ticks(rules::FIRE_INTERVAL_MS, tick_rate);
        Some(aim)
    }

    /// Ends a tick. Returns whether it is time to respawn.
    pub fn end_tick(&mut self) -> bool {
        self.fire = None;
        self.cooldown = self.cooldown.saturating_sub(1);
        self.colour_wait = self.colour_wait.saturating_sub(1);
        self.hold = self.hold.saturating_sub(1);
        if self.hold == 0 {
            self.drive = Drive::Rest;
        }
        match &mut self.state {
            State::Alive { .. } => false,
            State::Dead { respawn } => {
                *respawn = respawn.saturating_sub(1);
                *respawn == 0
            }
        }
    }

    /// The columns of its row in a snapshot.
    pub fn columns(&self) -> [i32; 7] {
        let (x, y) = self.body.place();
        let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let [score, spawns] = [self.score, self.spawns].map(count);
        [x, y, sector(self.aim), i32::from(self.health()), score, spawns, i32::from(self.look())]
    }
}

/// The sector of a direction, 0 to `AIM_SECTORS - 1`: sector n has the angles from n to n + 1 of 64 equal
/// parts of the circle, anticlockwise from the x axis. Found by comparison with the tangents within an
/// octant, without floats.
pub fn sector((x, y): (i32, i32)) -> i32 {
    /// tan(n · 2π/64) · 1024 for n = 1 to 7.
    const TANGENTS: [i64; 7] = [101, 204, 311, 424, 547, 684, 840];
    let (x, y) = (i64::from(x), i64::from(y));
    // Rotated back by whole quadrants, so that 0° <= angle < 90°.
    let (quadrant, along, across) = match (x, y) {
        (x, y) if x > 0 && y >= 0 => (0, x, y),
        (x, y) if x <= 0 && y > 0 => (1, y, -x),
        (x, y) if x < 0 => (2, -x, -y),
        (x, y) => (3, -y, x),
    };
    let within = if across < along {
        TANGENTS.iter().filter(|&&tangent| across * 1_024 >= tangent * along).count()
    } else {
        15 - TANGENTS.iter().filter(|&&tangent| along * 1_024 > tangent * across).count()
    };
    quadrant * 16 + within as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shot_goes_where_the_input_that_fires_it_aims() {
        let body = Body { x: 0, y: 0, vx: 0, vy: 0 };
        let mut player = Player::new(1, body);
        let aims = |aim_x, aim_y, buttons| ArenaInput { aim_x, aim_y, buttons, ..ArenaInput::default() };
        player.input(&aims(100, 0, rules::BUTTON_FIRE), 20);
        player.input(&aims(0, 100, 0), 20);
        assert_eq!((player.shoots(20), player.aim), (Some((100, 0)), (0, 100)));
        player.end_tick();
        assert_eq!(player.shoots(20), None);
    }

    #[test]
    fn sectors_follow_the_circle() {
        for degrees in (0..3600).map(|tenth| f64::from(tenth) / 10.0) {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let at = sector(((cos * 30_000.0) as i32, (sin * 30_000.0) as i32));
            let exact = degrees * 64.0 / 360.0;
            let off = (f64::from(at) + 0.5 - exact).abs();
            assert!(off.min(64.0 - off) < 0.55, "{degrees} degrees: sector {at}, exactly {exact}");
        }
    }

    #[test]
    fn sectors_of_the_axes_are_multiples_of_16() {
        assert_eq!([(1, 0), (0, 1), (-1, 0), (0, -1)].map(sector), [0, 16, 32, 48]);
        for x in [i32::MIN, -1, 0, 1, i32::MAX] {
            for y in [i32::MIN, -1, 0, 1, i32::MAX] {
                assert!((0..rules::AIM_SECTORS).contains(&sector((x, y))));
            }
        }
    }
}
