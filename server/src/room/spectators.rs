//! Those who watch a room.
//!
//! A spectator has what a player's connection has, a [`Seat`], but none of the room's seats: the game does
//! not know it, and presence does not list it. It is shown the same published states as players, so their
//! deltas are shared with everybody who has the same baseline.
//!
//! If the room has a delay, it keeps the published states of that time, and what was broadcast in each tick.
//! Spectators get both when that time has passed, and nothing before. This costs memory: a full state each
//! tick.

use crate::ground::{
    id::ConnectionId,
    published::{Published, Watched},
    seat::Seat,
    sight::Sight,
    tight::SortedMap,
};
use bytes::Bytes;
use driftless_proto::session::server::StateTick;
use std::{collections::VecDeque, sync::Arc};

/// The spectators of a room, and what they have yet to be shown.
#[derive(Debug, Default)]
pub struct Spectators {
    all: SortedMap<ConnectionId, Arc<Seat>>,
    /// How many of them see everything.
    admins: usize,
    /// None: what they are shown is as fresh as for players.
    delay: Option<Box<Delay>>,
    /// What was broadcast since the last published state.
    told: Vec<Bytes>,
}

/// What the spectators have yet to be shown.
#[derive(Debug)]
struct Delay {
    ticks: u32,
    /// Oldest first.
    kept: VecDeque<Kept>,
    shown: Option<Arc<Published>>,
}

#[derive(Debug)]
struct Kept {
    state: Arc<Published>,
    told: Vec<Bytes>,
}

impl Spectators {
    /// Of a room with a delay of so many ticks.
    pub(super) fn new(delay_ticks: u32) -> Self {
        let delay = Delay { ticks: delay_ticks, kept: VecDeque::new(), shown: None };
        Self { delay: (delay_ticks > 0).then(|| delay.into()), ..Self::default() }
    }

    /// Number of spectators, including admins.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Number of those who are no admins.
    pub fn limited(&self) -> usize {
        self.all.len() - self.admins
    }

    /// Whether a user watches so often, not counting as an admin.
    pub(super) fn has(&self, user: &str, times: usize) -> bool {
        let his = self.all.iter().filter(|(_, seat)| seat.sight == Sight::Spectator && *seat.user == *user);
        his.take(times).count() == times
    }

    /// Published states that are kept for them.
    pub(super) fn kept(&self) -> usize {
        self.delay.as_ref().map_or(0, |delay| delay.kept.len() + 1)
    }

    pub(super) fn add(&mut self, connection: ConnectionId, seat: Arc<Seat>) {
        self.admins += usize::from(seat.sight == Sight::Everything);
        self.all.insert(connection, seat);
    }

    /// False: it is none.
    pub(super) fn remove(&mut self, connection: ConnectionId) -> bool {
        let removed = self.all.remove(connection);
        self.admins -= usize::from(removed.as_ref().is_some_and(|seat| seat.sight == Sight::Everything));
        removed.is_some()
    }

    /// What of the next state may be looked at.
    pub(super) fn watched(&self) -> Watched {
        Watched {
            // One who comes later may look at what is kept now.
            by_spectators: self.delay.is_some() || self.limited() > 0,
            by_admins: self.admins > 0,
        }
    }

    /// A message to all: for those who see what is now it is queued at once. `full` is told of connections
    /// that cannot take it. Returns how many got it.
    pub(super) fn tell(&mut self, body: &Bytes, mut full: impl FnMut(ConnectionId, String)) -> u64 {
        if self.delay.is_some() {
            self.told.push(body.clone());
        }
        let Self { all, delay, .. } = self;
        let now = all.iter().filter(|(_, seat)| delay.is_none() || seat.sight != Sight::Spectator);
        now.map(|(connection, seat)| tell(seat, body, || *connection, &mut full)).sum()
    }

    /// A state was published. If there is a delay: what spectators are shown now, of which `full` is told as
    /// for
    /// `tell`, and the number of messages queued.
    pub(super) fn published(
        &mut self,
        state: &Arc<Published>,
        mut full: impl FnMut(ConnectionId, String),
    ) -> (Option<Arc<Published>>, u64) {
        let Self { all, delay, told, .. } = self;
        let Some(delay) = delay else { return (None, 0) };
        delay.kept.push_back(Kept { state: state.clone(), told: std::mem::take(told) });
        let until = state.tick().checked_sub(delay.ticks);
        let mut queued = 0;
        while let Some(kept) = delay.kept.pop_front_if(|kept| Some(kept.state.tick()) <= until) {
            for (body, (connection, seat)) in
                kept.told.iter().flat_map(|body| all.iter().map(move |one| (body, one)))
            {
                if seat.sight == Sight::Spectator {
                    queued += tell(seat, body, || *connection, &mut full);
                }
            }
            if let Some(before) = delay.shown.replace(kept.state) {
                before.retire();
            }
        }
        (delay.shown.clone().filter(|_| self.all.len() > self.admins), queued)
    }
}

fn tell(
    seat: &Seat,
    body: &Bytes,
    connection: impl FnOnce() -> ConnectionId,
    full: &mut impl FnMut(ConnectionId, String),
) -> u64 {
    match seat.tell(body.clone()) {
        Some(Ok(_)) => 1,
        Some(Err(e)) => {
            full(connection(), e.to_string());
            0
        }
        None => 0,
    }
}
