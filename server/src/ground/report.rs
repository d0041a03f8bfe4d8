//! What rooms and presence tell each other.

use super::{id::RoomId, members::Members, vitals::Vitals};
use actix::{Message, Recipient as Address};
use driftless_proto::{code::CloseCode, wire};
use driftless_sim::{Away, PlayerId};
use std::{sync::Arc, time::Duration};

/// A room tells presence. Times are microseconds of the server clock.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub enum Report {
    /// A seat was taken.
    Joined {
        /// In this room.
        room: Arc<str>,
        /// Which of those of this name, one after the other.
        id: RoomId,
        /// Where the room takes what is asked of it.
        to_room: Address<SeatExpired>,
        /// Its list.
        members: Arc<Members>,
        /// How long it keeps a seat without a connection.
        resume_window: Duration,
        /// By this player.
        player: PlayerId,
        /// Who that is. Seats of one user are one member.
        user: Arc<str>,
        /// Name to show.
        name: Arc<str>,
        /// What the seat's connections measure, one after the other.
        vitals: Arc<Vitals>,
        /// Whether the game plays it: it has no connection, and is never away.
        npc: bool,
        /// When.
        at: u64,
    },
    /// A connection is gone; the seat is kept for the resume window.
    Lost {
        /// In this room.
        room: Arc<str>,
        /// Whose.
        player: PlayerId,
        /// How it was lost.
        why: LostReason,
        /// When.
        at: u64,
    },
    /// A seat that had no connection has one again.
    Back {
        /// In this room.
        room: Arc<str>,
        /// Whose.
        player: PlayerId,
        /// When.
        at: u64,
    },
    /// The seat has ended.
    Left {
        /// In this room.
        room: Arc<str>,
        /// Whose.
        player: PlayerId,
        /// Why.
        why: LeaveReason,
        /// When.
        at: u64,
    },
    /// The room is no more, nor what is left of its seats.
    RoomEnded {
        /// Its name.
        room: Arc<str>,
        /// Which of those of this name: another may have it by now.
        id: RoomId,
    },
}

/// Presence asks a room to end a seat: its resume window is over. If it still has no connection, the room ends it and reports
/// `Left` with this reason. Asked again every second until the room does.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct SeatExpired {
    /// Whose.
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
    /// As the game is told.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
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
    /// As it travels.
    pub fn change(self) -> wire::member::Change {
        match self {
            LeaveReason::Left => wire::member::Change::Left,
            LeaveReason::TimedOut => wire::member::Change::TimedOut,
            LeaveReason::Disconnected => wire::member::Change::Disconnected,
            LeaveReason::Removed => wire::member::Change::Removed,
        }
    }
}
