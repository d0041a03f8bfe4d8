//! The seats of a room.

use super::{absence::Absence, budget::Told, pace::Pace, reports::Reports};
use crate::ground::{
    id::ConnectionId,
    seat::{ResumeToken, Seat},
    tight::{self, SortedMap},
};
use driftless_sim::{Moment, PlayerId};
use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

/// The seats of a room, by index, by player and by connection.
#[derive(Debug, Default)]
pub struct Seats {
    by_index: Vec<Option<Taken>>,
    /// Free indices of `by_index`.
    free: BinaryHeap<Reverse<usize>>,
    index_of: SortedMap<PlayerId, u32>,
    player_of: SortedMap<ConnectionId, PlayerId>,
    last_player: PlayerId,
}

/// A taken seat.
#[derive(Debug)]
pub struct Taken {
    /// The part shared with the connection.
    pub seat: Arc<Seat>,
    /// The connection. None: the player is away, within the resume window.
    pub connection: Option<ConnectionId>,
    /// The player was connected at another node, and is on its way here: the game does not know.
    pub absent: bool,
    /// How long the player has been away. None: it is here.
    pub absence: Option<Absence>,
    /// Sequence of the last input that the game got.
    pub applied: u32,
    /// The newest moment that the player was shown, according to its inputs so far.
    pub moment: Option<Moment>,
    /// Assigns its inputs to ticks.
    pub pace: Pace,
    /// The player is removed: nobody can come back to this seat, which ends with its connection.
    pub removed: bool,
    /// The last reliable message that it has acknowledged, as far as the journal knows.
    pub acknowledged: u64,
    /// What its commands made the room send.
    pub told: Told,
    /// Its reports, once there is one.
    pub reports: Option<Box<Reports>>,
}

impl Seats {
    /// Number of seats taken.
    pub fn len(&self) -> usize {
        self.index_of.len()
    }
    /// Whether no seat is taken.
    pub fn is_empty(&self) -> bool {
        self.index_of.is_empty()
    }
    /// Number of seats that have a connection.
    pub fn connected(&self) -> usize {
        self.player_of.len()
    }
    /// A number for a new player or NPC; each is given once. None: there are none left.
    pub fn next_player(&mut self) -> Option<PlayerId> {
        self.last_player = self.last_player.checked_add(1)?;
        Some(self.last_player)
    }
    /// Takes a free seat for a new player; `seat` makes it from the player's number and the seat's index.
    /// None: there are no numbers left, because each is given once.
    pub fn take(
        &mut self,
        connection: ConnectionId,
        seat: impl FnOnce(PlayerId, usize) -> Seat,
    ) -> Option<Arc<Seat>> {
        let player = self.next_player()?;
        let index = self.free.pop().map_or_else(
            || {
                tight::push(&mut self.by_index, None);
                self.by_index.len() - 1
            },
            |Reverse(lowest)| lowest,
        );
        let seat = Arc::new(seat(player, index));
        let (connected, told) = (Some(connection), Told::default());
        self.by_index[index] = Some(Taken {
            seat: seat.clone(),
            connection: connected,
            absent: false,
            absence: None,
            applied: 0,
            moment: None,
            pace: Pace::default(),
            removed: false,
            acknowledged: 0,
            told,
            reports: None,
        });
        self.index_of.insert(player, index as u32); // at most one a player
        self.player_of.insert(connection, player);
        Some(seat)
    }
    /// The number of the last who was given one.
    pub fn last_player(&self) -> PlayerId {
        self.last_player
    }
    /// From now on, numbers are above this one.
    pub fn count_from(&mut self, last: PlayerId) {
        self.last_player = self.last_player.max(last);
    }
    /// Takes in a seat that waits for its player. They come in the order of their indexes, before all others.
    pub fn keep(&mut self, seat: Arc<Seat>, applied: u32, absent: bool, absence: Absence) {
        let player = seat.player;
        self.last_player = self.last_player.max(player);
        self.index_of.insert(player, self.by_index.len() as u32); // at most one a player
        let (pace, told) = (Pace::default(), Told::default());
        // What it was shown is not carried: a player who says less than before gains no more than one who has
        // said so all along, and no room rewinds further than its limit.
        let (connection, moment, removed, reports) = (None, None, false, None);
        let (absence, acknowledged) = (Some(absence), seat.outbox.lock().queue().acknowledged());
        let taken = Taken {
            seat,
            connection,
            absent,
            absence,
            applied,
            moment,
            pace,
            removed,
            acknowledged,
            told,
            reports,
        };
        tight::push(&mut self.by_index, Some(taken));
    }
    /// Ends a seat.
    pub fn free(&mut self, player: PlayerId) -> Option<Taken> {
        let index = self.index_of.remove(player)? as usize;
        let taken = self.by_index.get_mut(index)?.take()?;
        self.free.push(Reverse(index));
        if let Some(connection) = taken.connection {
            self.player_of.remove(connection);
        }
        Some(taken)
    }
    /// Gives a seat to another connection. Returns the one that had it.
    pub fn attach(&mut self, player: PlayerId, connection: ConnectionId) -> Option<ConnectionId> {
        let taken = self.get_mut(player)?;
        taken.absent = false;
        let old = taken.connection.replace(connection);
        taken.absence = None;
        if let Some(old) = old {
            self.player_of.remove(old);
        }
        self.player_of.insert(connection, player);
        old
    }
    /// Notes that a connection is lost after this tick. None: it has no seat (any more).
    pub fn detach(&mut self, connection: ConnectionId, tick: u32) -> Option<Arc<Seat>> {
        let player = self.player_of.remove(connection)?;
        let taken = self.get_mut(player)?;
        (taken.connection, taken.absence) = (None, Some(Absence::begins(tick)));
        taken.seat.outbox.lock().detach(connection);
        Some(taken.seat.clone())
    }
    /// The seat of a player.
    pub fn get(&self, player: PlayerId) -> Option<&Taken> {
        self.by_index.get(*self.index_of.get(player)? as usize)?.as_ref()
    }
    /// The seat of a player, mutably.
    pub fn get_mut(&mut self, player: PlayerId) -> Option<&mut Taken> {
        self.by_index.get_mut(*self.index_of.get(player)? as usize)?.as_mut()
    }
    /// The seat of a player, if the token matches.
    pub fn with_token(&self, player: PlayerId, token: ResumeToken) -> Option<&Taken> {
        self.get(player).filter(|taken| taken.seat.token == token)
    }
    /// All seats in order of index, including free ones.
    pub fn places(&self) -> impl Iterator<Item = Option<&Taken>> {
        self.by_index.iter().map(Option::as_ref)
    }
    /// All seats that are taken.
    pub fn iter(&self) -> impl Iterator<Item = &Taken> {
        self.by_index.iter().flatten()
    }
    /// All seats that are taken, mutably.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Taken> {
        self.by_index.iter_mut().flatten()
    }
    /// The player that a connection plays.
    pub fn player_of(&self, connection: ConnectionId) -> Option<PlayerId> {
        self.player_of.get(connection).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::{id::RoomId, shared::RoomShared};
    use driftless_proto::limits::Limits;

    #[test]
    fn each_number_is_given_once_and_then_none() {
        let shared = Arc::new(RoomShared::new(RoomId(1), "old".into(), "arena", 20, 2));
        let mut seats = Seats { last_player: PlayerId::MAX - 1, ..Seats::default() };
        let mut take = |connection| {
            let token = ResumeToken::random().unwrap();
            seats.take(ConnectionId(connection), |player, index| {
                Seat::new(shared.clone(), player, index, "u".into(), "n".into(), token, &Limits::default())
            })
        };
        assert_eq!(take(1).map(|seat| seat.player), Some(PlayerId::MAX));
        assert!(take(2).is_none());
        assert_eq!((seats.len(), seats.connected()), (1, 1));
    }
}
