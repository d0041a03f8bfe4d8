//! Messages between rooms and presence.

use super::{id::RoomId, members::Members, vitals::Vitals};
use actix::{Message, Recipient as Address};
use driftless_proto::{code::CloseCode, wire};
use driftless_sim::{Away, PlayerId};
use std::{sync::Arc, time::Duration};

/// What a room tells presence. Times are microseconds of the server clock.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub enum Report {
    /// A seat was taken.
    Joined {
        /// Name of the room.
        room: Arc<str>,
        /// Number of the room, as rooms may have the same name one after another.
        id: RoomId,
        /// Where to send requests to the room.
        to_room: Address<SeatExpired>,
        /// The room's member list.
        members: Arc<Members>,
        /// How long the room keeps a seat without a connection.
        resume_window: Duration,
        /// The player.
        player: PlayerId,
        /// The user. Seats of one user are one member.
        user: Arc<str>,
        /// Display name.
        name: Arc<str>,
        /// Measurements of the seat's current connection.
        vitals: Arc<Vitals>,
        /// Whether the game plays it: it has no connection, and is never away.
        npc: bool,
        /// When.
        at: u64,
    },
    /// A connection is lost; the seat is kept for the resume window.
    Lost {
        /// Name of the room.
        room: Arc<str>,
        /// The player.
        player: PlayerId,
        /// How it was lost.
        why: LostReason,
        /// When.
        at: u64,
    },
    /// A seat that comes from another process, and has no connection yet, is kept for what is left of the
    /// resume window.
    Waits {
        /// Name of the room.
        room: Arc<str>,
        /// The player.
        player: PlayerId,
        /// How long.
        left: Duration,
        /// From when on.
        at: u64,
    },
    /// A seat that had no connection has one again.
    Back {
        /// Name of the room.
        room: Arc<str>,
        /// The player.
        player: PlayerId,
        /// When.
        at: u64,
    },
    /// The seat has ended.
    Left {
        /// Name of the room.
        room: Arc<str>,
        /// The player.
        player: PlayerId,
        /// Why.
        why: LeaveReason,
        /// When.
        at: u64,
    },
    /// The room is another node's, with its seats. Nobody has left.
    RoomMoved {
        /// Name of the room.
        room: Arc<str>,
        /// Number of the room.
        id: RoomId,
    },
    /// The room has ended, and with it any seats that were left.
    RoomEnded {
        /// Name of the room.
        room: Arc<str>,
        /// Number of the room: another one may have the name by now.
        id: RoomId,
    },
}

/// Presence asks a room to end a seat whose resume window is over. If the seat still has no connection, the
/// room ends it and reports `Left` with this reason. Repeated every second until the room does.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct SeatExpired {
    /// The player.
    pub player: PlayerId,
    /// The reason to report: how the connection was lost.
    pub why: LeaveReason,
}

/// How a connection was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostReason {
    /// It fell silent.
    TimedOut,
    /// It was closed without a leave.
    Disconnected,
    /// The server closed it.
    Removed(CloseCode),
}

impl LostReason {
    /// What the game is told.
    pub fn away(self) -> Away {
        match self {
            LostReason::TimedOut => Away::TimedOut,
            LostReason::Disconnected => Away::Disconnected,
            LostReason::Removed(_) => Away::Closed,
        }
    }
    /// Why the seat has ended if nobody comes back to it.
    pub fn leave_reason(self) -> LeaveReason {
        match self {
            LostReason::TimedOut => LeaveReason::TimedOut,
            LostReason::Disconnected => LeaveReason::Disconnected,
            LostReason::Removed(_) => LeaveReason::Removed,
        }
    }
}

/// Why a seat has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// The player gave it up.
    Left,
    /// The connection fell silent and nobody came back.
    TimedOut,
    /// The connection was closed without a leave and nobody came back.
    Disconnected,
    /// The server removed the player, or the room ended.
    Removed,
}

impl LeaveReason {
    /// The value on the wire.
    pub fn change(self) -> wire::member::Change {
        match self {
            LeaveReason::Left => wire::member::Change::Left,
            LeaveReason::TimedOut => wire::member::Change::TimedOut,
            LeaveReason::Disconnected => wire::member::Change::Disconnected,
            LeaveReason::Removed => wire::member::Change::Removed,
        }
    }
}
