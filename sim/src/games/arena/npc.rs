//! The behaviour of the room's own bots (for one that a client plays, see [`bot`](super::bot)): it wanders,
//! chases the nearest player, keeps its distance, dodges, and shoots not too well.
//!
//! It plays by the same rules as players: its output is an input. It knows where everybody is, but does not
//! see through boxes.

use super::{
    ArenaInput, Body,
    body::{length, shorten},
    map::Map,
    player::Player,
    projectile::Projectile,
    rules::{self, UNITS},
};
use crate::{PlayerId, Rng};
use serde::{Deserialize, Serialize};

/// Range at which it shoots, cm.
const RANGE: i64 = 1_200;
/// Preferred distance from its opponent, cm.
const FIGHTS_AT: std::ops::Range<i64> = 450..850;
/// How far ahead it looks for obstacles, cm.
const FEELERS: [i32; 2] = [70, 160];
/// It dodges a projectile that will pass closer than the first, cm, and is no farther away than the second.
const DODGES: (i64, i64) = (110, 650);
/// Error of its aim, thousandths of the distance.
const WOBBLE: i32 = 240;

/// One bot. All times are remaining ticks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Npc {
    pub id: PlayerId,
    target: Option<PlayerId>,
    /// Until it looks around again.
    look: u32,
    /// Until it reacts to a new opponent.
    reaction: u32,
    /// Until the next shot.
    trigger: u32,
    /// Until it may go round obstacles the other way.
    turn: u32,
    /// The direction in which it goes round obstacles: 1 anticlockwise, -1 clockwise.
    side: i32,
    /// The current error of its aim, and how much of a target's movement it anticipates: thousandths.
    wobble: i32,
    foresight: i32,
    /// The place that it wanders to, cm.
    goal: (i32, i32),
    wander: u32,
}

/// What a bot can know.
#[derive(Debug, Clone, Copy)]
pub(super) struct World<'a> {
    pub map: &'a Map,
    pub players: &'a [Player],
    pub projectiles: &'a [Projectile],
    pub tick_rate: u32,
}

/// A direction or a displacement, cm.
type Way = (i64, i64);

impl Npc {
    pub fn new(id: PlayerId) -> Self {
        Self {
            id,
            target: None,
            look: 0,
            reaction: 0,
            trigger: 0,
            turn: 0,
            side: 1,
            wobble: 0,
            foresight: 0,
            goal: (0, 0),
            wander: 0,
        }
    }

    /// One tick. None: it is dead, or no longer has a seat.
    pub fn think(&mut self, world: World<'_>, rng: &mut Rng) -> Option<ArenaInput> {
        let me = find(world.players, self.id).filter(|me| me.is_alive())?;
        let ticks = |ms: std::ops::Range<i32>, rng: &mut Rng| {
            rules::ticks(rng.range(ms).unsigned_abs(), world.tick_rate)
        };
        for time in [&mut self.look, &mut self.reaction, &mut self.trigger, &mut self.turn, &mut self.wander]
        {
            *time = time.saturating_sub(1);
        }
        if self.turn == 0 {
            self.side = if rng.below(2) == 0 { 1 } else { -1 };
            self.turn = ticks(600..1_800, rng);
        }
        let mut target = self.target.and_then(|id| find(world.players, id)).filter(|it| it.is_alive());
        if self.look == 0 || target.is_none() {
            target = nearest(world.players, me);
            self.look = ticks(700..1_500, rng);
            if target.map(|it| it.id) != self.target {
                self.reaction = ticks(700..1_500, rng);
            }
            self.target = target.map(|it| it.id);
        }
        if self.wander == 0 || length(way(me.body.place(), self.goal)) < 200 {
            self.wander = ticks(4_000..8_000, rng);
            let margin = 500;
            let mut somewhere = || rng.range(margin..world.map.side() - margin);
            self.goal = (somewhere(), somewhere());
        }

        let mut aim = way(me.body.place(), self.goal);
        let mut wanted = aim;
        let mut fire = false;
        if let Some(target) = target {
            let to = way(me.body.place(), target.body.place());
            let distance = length(to);
            let sees = is_clear(world.map, me.body.place(), target.body.place());
            wanted = match distance {
                _ if !sees => to,
                near if near < FIGHTS_AT.start => (-to.0 - self.turned(to).0, -to.1 - self.turned(to).1),
                far if far > FIGHTS_AT.end => to,
                _ => self.turned(to),
            };
            if sees && distance < RANGE + RANGE / 3 {
                aim = self.aim(to, distance, &target.body);
                fire = distance < RANGE && self.reaction == 0 && self.trigger == 0;
                if fire {
                    self.trigger = ticks(450..1_000, rng);
                    self.wobble = rng.range(-WOBBLE..WOBBLE + 1);
                    self.foresight = rng.range(300..1_150);
                }
            }
        }
        if let Some(aside) = self.dodge(me, world) {
            wanted = aside;
        }
        let (x, y) = self.steer(world.map, &me.body, wanted);
        let aim = shorten(aim, 32_000);
        Some(ArenaInput {
            move_x: x as i32,
            move_y: y as i32,
            aim_x: aim.0 as i32,
            aim_y: aim.1 as i32,
            buttons: if fire { rules::BUTTON_FIRE } else { 0 },
            goto_x: None,
            goto_y: None,
        })
    }

    /// Aims ahead of the target, and a little off.
    fn aim(&self, to: Way, distance: i64, target: &Body) -> Way {
        let flight_ms = distance * 1_000 / i64::from(rules::PROJECTILE_SPEED);
        let lead =
            |speed: i32| i64::from(speed / UNITS) * flight_ms / 1_000 * i64::from(self.foresight) / 1_000;
        let off = i64::from(self.wobble);
        (to.0 + lead(target.vx) - to.1 * off / 1_000, to.1 + lead(target.vy) + to.0 * off / 1_000)
    }

    /// Moves across the path of an approaching projectile. Each bot overlooks some.
    fn dodge(&self, me: &Player, world: World<'_>) -> Option<Way> {
        let coming = world
            .projectiles
            .iter()
            .filter(|shot| shot.owner != self.id && (shot.id.wrapping_add(self.id)).is_multiple_of(2));
        coming
            .filter_map(|shot| {
                let (place, speed) = shot.course();
                let to = way(place, me.body.place());
                let along = to.0 * speed.0 + to.1 * speed.1;
                let across = (to.0 * speed.1 - to.1 * speed.0) / length(speed).max(1);
                let comes = along > 0 && length(to) < DODGES.1 && across.abs() < DODGES.0;
                // To the side of the path that the bot is already on.
                let side = if across >= 0 { 1 } else { -1 };
                comes.then_some((speed.1 * side, -speed.0 * side))
            })
            .next()
    }

    /// A stick towards `wanted`, round obstacles.
    fn steer(&mut self, map: &Map, body: &Body, wanted: Way) -> Way {
        let full = i64::from(rules::FULL_STICK);
        let far = length(wanted).max(1);
        let straight = (wanted.0 * full / far, wanted.1 * full / far);
        let left = i64::from(self.side);
        // In eighths of a circle, beginning with the side that it prefers.
        let mut ways = [0, 1, -1, 2, -2, 3, -3, 4].map(|eighths| turn(straight, eighths * left)).into_iter();
        let found = ways.position(|way| is_open(map, body, way));
        let Some(found) = found else { return straight };
        if found > 0 {
            self.turn = self.turn.max(2); // on round it, not to and fro
        }
        if found == 2 || found == 4 {
            self.side = -self.side;
        }
        turn(straight, [0, 1, -1, 2, -2, 3, -3, 4][found] * left)
    }

    fn turned(&self, to: Way) -> Way {
        turn(to, 2 * i64::from(self.side))
    }
}

fn find(players: &[Player], id: PlayerId) -> Option<&Player> {
    players.binary_search_by_key(&id, |player| player.id).ok().map(|at| &players[at])
}

fn nearest<'a>(players: &'a [Player], me: &Player) -> Option<&'a Player> {
    let others = players.iter().filter(|other| other.id != me.id && other.is_alive() && !other.is_friend(me));
    others.min_by_key(|other| length(way(me.body.place(), other.body.place())))
}

fn way(from: (i32, i32), to: (i32, i32)) -> Way {
    (i64::from(to.0 - from.0), i64::from(to.1 - from.1))
}

/// Turns a vector anticlockwise by eighths of a circle, -4 to 4.
fn turn((x, y): Way, eighths: i64) -> Way {
    /// The square root of one half.
    const HALF: (i64, i64) = (181, 256);
    match eighths.rem_euclid(8) {
        0 => (x, y),
        2 => (-y, x),
        4 => (-x, -y),
        6 => (y, -x),
        odd => {
            let (x, y) = turn((x, y), odd - 1);
            ((x - y) * HALF.0 / HALF.1, (x + y) * HALF.0 / HALF.1)
        }
    }
}

/// Whether nothing is in the way for the next steps.
fn is_open(map: &Map, body: &Body, stick: Way) -> bool {
    FEELERS.iter().all(|&far| {
        let ahead =
            |at: i32, part: i64| at + (part * i64::from(far * UNITS) / i64::from(rules::FULL_STICK)) as i32;
        map.is_free((ahead(body.x, stick.0), ahead(body.y, stick.1)), rules::PLAYER_RADIUS * UNITS)
    })
}

/// Whether no box is between two places: checked every half metre, which is less than the size of a box.
fn is_clear(map: &Map, from: (i32, i32), to: (i32, i32)) -> bool {
    let (x, y) = way(from, to);
    let steps = (length((x, y)) / 50).max(1);
    (1..steps).all(|n| {
        let at = |from: i32, part: i64| (from + (part * n / steps) as i32) * UNITS;
        map.is_free((at(from.0, x), at(from.1, y)), 0)
    })
}
