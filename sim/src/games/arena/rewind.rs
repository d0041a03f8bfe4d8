//! Shots at what their shooters were shown.
//!
//! A shooter aims at others where its client shows them: at a moment some ticks before the newest state. The
//! projectile is fired then: in the tick in which the room hears of it, it is flown from that moment to the
//! newest state, through the places that the others had meanwhile, and from there on as any other. So whoever
//! is in its way on the shooter's screen is hit, at any distance. Others first see it when it has flown as
//! far already: that is their part of the price, and why the moment may not be older than
//! [`ArenaOptions::rewind_ms`](super::ArenaOptions::rewind_ms). Boxes do not move, and it never flies through
//! one; but somebody who has reached one within that time can still be hit where he came from.
//!
//! (The moment: Yahn Bernier, "Latency Compensating Methods in Client/Server In-game Protocol Design and
//! Optimization", Valve, 2001. A projectile that makes up for the time since it was fired, up to a limit: the
//! manual of Fish-Networking, "Lag Compensation: Projectiles"; there it flies faster for a while, and those
//! in its way are where they are now.)

use super::{PLAYERS, map::Map, player::Player, projectile::Projectile, rules, targets::Targets};
use crate::{Moment, Past};
use driftless_proto::moment::PARTS;

/// What became of a shot before it is shown.
pub(super) enum Fired {
    /// It flies on.
    Flies,
    /// It has hit the player with this index.
    Hits(usize),
    /// It has met a box or a wall, or its end.
    Ends,
}

/// Flies a shot from what `past` shows to the newest state. `at` gives the room at a later moment.
pub(super) fn catch_up<'a>(
    shot: &mut Projectile,
    mut past: Past<'a>,
    at: impl Fn(Moment) -> Option<Past<'a>>,
    (players, targets): (&[Player], &Targets),
    map: &Map,
    tick_rate: u32,
) -> Fired {
    let Some(newest) = at(Moment::at(u32::MAX)).map(|past| past.moment()) else { return Fired::Flies };
    let mut moment = past.moment();
    let parts = newest.since(moment);
    let flies_on = shot.is_rewound(parts, tick_rate);
    let reach = rules::reach(parts, tick_rate);
    let most = u64::from(PARTS) / u64::from(rules::moves_per_tick(tick_rate));
    while moment < newest {
        // To the next state, if that is not too far for one move.
        let next = Moment::of_parts(moment.parts() + most).min(Moment::at(moment.tick() + 1)).min(newest);
        let flight = shot.flight_of(map, next.since(moment), tick_rate);
        let Some(then) = at(next) else { break };
        let near = targets.near(players, shot.units(), reach);
        let near = near.filter(|(_, player)| shot.is_for(player) && shot.is_within(player.body, reach));
        let hits = near.filter_map(|(index, player)| {
            Some((flight.hits(place(&past, player)?, place(&then, player)?)?, index))
        });
        if let Some((_, victim)) = hits.min() {
            return Fired::Hits(victim as usize);
        }
        if flight.ends() {
            return Fired::Ends;
        }
        shot.arrive(flight);
        (past, moment) = (then, next);
    }
    if flies_on { Fired::Flies } else { Fired::Ends }
}

/// Where a player was, units. None: it was not there, dead, or in another life.
fn place(past: &Past<'_>, player: &Player) -> Option<(i32, i32)> {
    let [x, y, _aim, health, _score, spawns] = past.row(PLAYERS, player.id)?;
    let same_life = health > 0 && i64::from(spawns) == i64::from(player.spawns);
    same_life.then_some((x * rules::UNITS, y * rules::UNITS))
}
