//! Where players spawn: near others, so that nobody begins alone, but neither on top of them nor in their
//! line of fire. In a team, near one's own, and as if enemies out of its sight were not there: a place must
//! not tell where they are.

use super::{
    Body,
    map::Map,
    player::Player,
    rules::{self, UNITS},
    targets::Targets,
};
use crate::Rng;
use std::ops::Range;

/// Places that are tried.
const TRIES: u32 = 48;
/// Distance from another player at which a player spawns, cm along the longer axis: within what the narrowest
/// page shows.
const NEAR: Range<i32> = 450..760;
/// The same for a bot, which shoots sooner.
const NEAR_OF_BOTS: Range<i32> = 750..1_100;
/// With this many players alive, somebody is near everywhere.
const CROWD: usize = 16;
/// Distance to living players at which a player spawns, if such a place is found, cm.
const ELBOW_ROOM: i32 = 300;
/// Range of a line of fire that is avoided, cm: a projectile flies a little farther.
const RANGE: i32 = 2_500;

/// A place for a player to spawn, in a world whose living players are in `targets`. It touches no box, unless
/// every place that was tried does. `team`: its own; 0: none.
pub(super) fn place(
    map: &Map,
    players: &[Player],
    targets: &Targets,
    (npc, team): (bool, u8),
    rng: &mut Rng,
) -> Body {
    let near = if npc { NEAR_OF_BOTS } else { NEAR };
    let host = host(players, team, rng);
    let radius = rules::PLAYER_RADIUS;
    let (mut best, mut best_merit) = (Body::at(radius, radius), 0);
    for _ in 0..TRIES {
        let (x, y) = match host {
            Host::Somebody((x, y)) => (x + around(near.end, rng), y + around(near.end, rng)),
            Host::Nobody => (within(map, map.side() / 4, rng), within(map, map.side() / 4, rng)),
            Host::Everybody => (within(map, radius, rng), within(map, radius, rng)),
        };
        let body = Body::at(x, y);
        if !map.is_free((body.x, body.y), radius * UNITS) {
            continue;
        }
        let far_enough = !matches!(host, Host::Somebody(at) if distance(at, (x, y)) < near.start);
        let merit = 1 + u32::from(far_enough) + merit(&body, players, targets, team);
        if merit > best_merit {
            (best, best_merit) = (body, merit);
        }
        if merit == 4 {
            break;
        }
    }
    best
}

/// Where a player spawns.
#[derive(Debug, Clone, Copy)]
enum Host {
    /// There are no others: in the middle of the world.
    Nobody,
    /// There are enough others: anywhere.
    Everybody,
    /// Near this place, cm.
    Somebody((i32, i32)),
}

/// A living player, of the team if there is one; a person, if there is one.
fn host(players: &[Player], team: u8, rng: &mut Rng) -> Host {
    let living = || players.iter().filter(|player| player.is_alive() && player.team == team);
    let all = living().take(CROWD).count();
    if all >= CROWD || (all == 0 && team != 0) {
        return Host::Everybody;
    }
    let people = living().filter(|player| !player.npc).count();
    let count = if people > 0 { people } else { all };
    let nth = rng.below(count as u32) as usize;
    let mut hosts = living().filter(|player| people == 0 || !player.npc);
    hosts.nth(nth).map_or(Host::Nobody, |player| Host::Somebody(player.body.place()))
}

/// 2 if the place is neither near a living player nor in one's line of fire; 1 if it is only not near one;
/// else 0.
fn merit(body: &Body, players: &[Player], targets: &Targets, team: u8) -> u32 {
    let at = body.place();
    let within = |reach: i32| {
        let near = targets.near(players, (body.x, body.y), reach * UNITS);
        let is_known = |player: &&Player| team == player.team || player.is_spotted;
        near.map(|(_, player)| player).filter(|player| player.is_alive()).filter(is_known)
    };
    if within(ELBOW_ROOM).any(|player| distance(player.body.place(), at) < ELBOW_ROOM) {
        return 0;
    }
    1 + u32::from(!within(RANGE).any(|player| is_aimed_at(player, at)))
}

/// Whether a place is within about ten degrees of a player's aim.
fn is_aimed_at(player: &Player, at: (i32, i32)) -> bool {
    let from = player.body.place();
    let way = (i64::from(at.0 - from.0), i64::from(at.1 - from.1));
    let aim = (i64::from(player.aim.0), i64::from(player.aim.1));
    let along = way.0 * aim.0 + way.1 * aim.1;
    let across = way.0 * aim.1 - way.1 * aim.0;
    along > 0 && across.abs() * 6 < along && way.0.abs().max(way.1.abs()) < RANGE.into()
}

fn distance(a: (i32, i32), b: (i32, i32)) -> i32 {
    (a.0 - b.0).abs().max((a.1 - b.1).abs())
}

fn around(most: i32, rng: &mut Rng) -> i32 {
    rng.range(-most..most + 1)
}

fn within(map: &Map, margin: i32, rng: &mut Rng) -> i32 {
    rng.range(margin..map.side() - margin)
}
