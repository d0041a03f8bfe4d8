//! A room at a tick: the beginning of a recording that does not begin with its room, and what a replay knows
//! of a room apart from its game.

use super::{Action, wire};
use crate::{JobId, Order, PlayerId};
use std::collections::BTreeMap;

/// A room after a tick.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Start {
    /// The tick.
    pub tick: u32,
    /// CRC-32C of the schema of its snapshots, in protobuf.
    pub schema: u32,
    /// Its game, as `Game::save` writes it.
    pub state: Vec<u8>,
    /// What it is apart from its game.
    pub room: RoomState,
}

/// A room apart from its game: what follows from joins, leaves and the game's orders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomState {
    /// Its seats, in the order in which they were taken.
    pub seats: Vec<RecordedSeat>,
    /// The highest number of a player so far.
    pub last_player: PlayerId,
    /// Whether the game admits no new players.
    pub joins_closed: bool,
    /// What the game publishes in the room list.
    pub info: BTreeMap<String, String>,
    /// Names of NPCs that the game has asked for, and that have no seat yet.
    pub npcs_asked: Vec<String>,
    /// Jobs that the game waits for, with their names.
    pub jobs: Vec<(JobId, String)>,
}

/// A seat of a room that was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordedSeat {
    /// The player.
    pub player: PlayerId,
    /// Display name.
    pub name: String,
    /// The user. Empty: unknown.
    pub user: String,
    /// Whether the game plays it.
    pub npc: bool,
    /// Whether its player has no connection.
    pub away: bool,
}

impl RoomState {
    /// What an action changes.
    pub(super) fn act(&mut self, action: &Action, user: &mut String) {
        match action {
            Action::User { user: known, .. } => user.clone_from(known),
            Action::Join { player, name } => self.seat(*player, name, std::mem::take(user), false),
            Action::JoinNpc { player, name } => self.seat(*player, name, String::new(), true),
            Action::Leave { player } => self.seats.retain(|seat| seat.player != *player),
            Action::Away { player, .. } => self.set_away(*player, true),
            Action::Back { player } => self.set_away(*player, false),
            Action::Answer(answer) => self.jobs.retain(|(id, _)| *id != answer.id),
            Action::Command { .. } => {}
        }
    }

    /// A tick begins: the NPCs that were asked for get seats now, by actions, or never.
    pub(super) fn begin_tick(&mut self) {
        self.npcs_asked.clear();
    }

    /// What an order of the game changes. (Whom it removes leaves by an action.) Requests for more NPCs than
    /// there may be at a time are not kept.
    pub(super) fn obey(&mut self, order: Order, max_npcs: usize) {
        match order {
            Order::SeatNpc { .. } if self.npcs_asked.len() >= max_npcs => {}
            Order::CloseJoins(closed) => self.joins_closed = closed,
            Order::Info { key, value } if value.is_empty() => drop(self.info.remove(&key)),
            Order::Info { key, value } => drop(self.info.insert(key, value)),
            Order::SeatNpc { name } => self.npcs_asked.push(name),
            Order::Ask { id, job, .. } => self.jobs.push((id, job.to_owned())),
            Order::Kick { .. } | Order::End { .. } | Order::Report(_) | Order::Log(_) => {}
        }
    }

    fn seat(&mut self, player: PlayerId, name: &str, user: String, npc: bool) {
        self.last_player = self.last_player.max(player);
        self.seats.push(RecordedSeat { player, name: name.to_owned(), user, npc, away: false });
    }

    fn set_away(&mut self, player: PlayerId, away: bool) {
        self.seats.iter_mut().filter(|seat| seat.player == player).for_each(|seat| seat.away = away);
    }
}

impl Start {
    pub(super) fn to_wire(&self) -> wire::Start {
        let Self { tick, schema, state, room } = self.clone();
        let RoomState { seats, last_player, joins_closed, info, npcs_asked, jobs } = room;
        let seat =
            |RecordedSeat { player, name, user, npc, away }| wire::Seat { player, name, user, npc, away };
        let job = |(JobId { tick, index }, job)| wire::Job { tick, index, job };
        wire::Start {
            tick,
            schema,
            state: state.into(),
            seats: seats.into_iter().map(seat).collect(),
            last_player,
            joins_closed,
            info: info.into_iter().collect(),
            npcs_asked,
            jobs: jobs.into_iter().map(job).collect(),
        }
    }
}

impl From<wire::Start> for Start {
    fn from(start: wire::Start) -> Self {
        let wire::Start { tick, schema, state, seats, last_player, joins_closed, info, npcs_asked, jobs } =
            start;
        let seat =
            |wire::Seat { player, name, user, npc, away }| RecordedSeat { player, name, user, npc, away };
        let job = |wire::Job { tick, index, job }| (JobId { tick, index }, job);
        let room = RoomState {
            seats: seats.into_iter().map(seat).collect(),
            last_player,
            joins_closed,
            info: info.into_iter().collect(),
            npcs_asked,
            jobs: jobs.into_iter().map(job).collect(),
        };
        Self { tick, schema, state: state.to_vec(), room }
    }
}
