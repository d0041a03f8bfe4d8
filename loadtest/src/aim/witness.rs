//! What really was in a room: the states that somebody on a perfect link got.

use super::screen::{PER_METRE, Vector};
use driftless_sim::{
    PlayerId, Snapshot,
    games::arena::{PLAYERS, PROJECTILES},
};
use std::collections::VecDeque;

/// States that are kept, seconds: longer than it takes until everything is known of a shot.
const KEPT: u32 = 6;

/// The last states of a room.
#[derive(Debug)]
pub struct Witness {
    tick_rate: u32,
    /// Ascending by tick.
    states: VecDeque<State>,
}

#[derive(Debug)]
struct State {
    tick: u32,
    players: Vec<Player>,
    shots: Vec<Shot>,
}

#[derive(Debug, Clone, Copy)]
struct Player {
    id: PlayerId,
    place: Vector,
    health: i32,
    spawns: i32,
}

#[derive(Debug, Clone, Copy)]
struct Shot {
    id: u32,
    owner: PlayerId,
    place: Vector,
}

impl Witness {
    /// Of a room of so many ticks a second.
    pub fn new(tick_rate: u32) -> Self {
        Self { tick_rate, states: VecDeque::new() }
    }

    /// A state has come.
    pub fn push(&mut self, state: &Snapshot) {
        let tick = state.tick();
        if self.states.back().is_some_and(|last| last.tick >= tick) {
            return;
        }
        let [players, shots] = [PLAYERS, PROJECTILES].map(|kind| state.tables().get(kind));
        let (Some(players), Some(shots)) = (players, shots) else { return };
        let place = |x: i32, y: i32| Vector { x: f64::from(x) / PER_METRE, y: f64::from(y) / PER_METRE };
        let player = |(row, &id): (usize, &u32)| {
            let [x, y, health, spawns] = [0, 1, 3, 5].map(|column| players.column(column)[row]);
            Player { id, place: place(x, y), health, spawns }
        };
        let shot = |(row, &id): (usize, &u32)| {
            let [x, y, owner] = [0, 1, 2].map(|column| shots.column(column)[row]);
            Shot { id, owner: owner as u32, place: place(x, y) }
        };
        self.states.push_back(State {
            tick,
            players: players.ids().iter().enumerate().map(player).collect(),
            shots: shots.ids().iter().enumerate().map(shot).collect(),
        });
        if self.states.front().is_some_and(|first| first.tick + KEPT * self.tick_rate < tick) {
            self.states.pop_front();
        }
    }

    /// Where a living player was so many seconds after tick 0. None: it was not there, or dead.
    pub fn place(&self, player: PlayerId, seconds: f64) -> Option<Vector> {
        let ticks = seconds * f64::from(self.tick_rate);
        let after = self.states.partition_point(|state| f64::from(state.tick) <= ticks);
        let before = self.states.get(after.checked_sub(1)?)?;
        let from = before.player(player).filter(|player| player.health > 0)?;
        let next = self.states.get(after);
        let to = next.and_then(|next| Some((next.tick, next.player(player)?)));
        let Some((tick, to)) = to.filter(|(_, to)| to.spawns == from.spawns) else { return Some(from.place) };
        let part = (ticks - f64::from(before.tick)) / f64::from(tick - before.tick);
        Some(from.place + (to.place - from.place) * part)
    }

    /// The first state after `since` with a shot of a player that is new in it: its tick, and where the shot
    /// is in it. None: there is none.
    pub fn shot(&self, owner: PlayerId, since: u32) -> Option<(u32, Vector)> {
        let first = self.states.partition_point(|state| state.tick <= since);
        let before = first.checked_sub(1).and_then(|before| self.states.get(before));
        let old = |id: u32| before.is_some_and(|before| before.shots.iter().any(|shot| shot.id == id));
        self.states.range(first..).find_map(|state| {
            let shot = state.shots.iter().find(|shot| shot.owner == owner && !old(shot.id))?;
            Some((state.tick, shot.place))
        })
    }
}

impl State {
    fn player(&self, id: PlayerId) -> Option<Player> {
        let at = self.players.binary_search_by_key(&id, |player| player.id).ok()?;
        Some(self.players[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_sim::{Simulation, games::arena::Arena};

    #[test]
    fn a_witness_knows_places_between_states_and_the_first_place_of_a_shot() {
        let mut witness = Witness::new(20);
        let mut state = Snapshot::new(&Arena::schema());
        for (tick, x, health, spawns) in [(4, 0, 25, 1), (5, 100, 25, 1), (6, 100, 0, 1), (8, 9_000, 100, 2)]
        {
            state.clear(tick);
            state.table_mut(PLAYERS).push(7, &[x, 0, 0, health, 0, spawns, 0]);
            if tick >= 5 {
                state.table_mut(PROJECTILES).push(3, &[i32::try_from(tick).unwrap() * 100, 0, 1]);
            }
            witness.push(&state);
        }
        let x = |ticks: f64| witness.place(7, ticks / 20.0).map(|place| place.x);
        assert_eq!([x(3.0), x(4.5), x(5.5), x(6.5), x(8.0)], [None, Some(0.5), Some(1.0), None, Some(90.0)]);
        assert_eq!(witness.shot(1, 4), Some((5, Vector { x: 5.0, y: 0.0 })));
        assert_eq!((witness.shot(1, 5), witness.shot(2, 4)), (None, None), "it is not new");
    }
}
