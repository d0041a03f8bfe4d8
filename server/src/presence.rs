//! Who is here: one actor for all rooms, so that a user's seats in many places are one picture.
//!
//! Rooms report ([`Report`]) what happens to their seats, presence answers ([`ToRoom`]) with what to tell the members
//! and with the seats whose resume window has ended. The rules are in [`roster::Roster`], which knows no actor and no
//! clock; [`actor::Presence`] moves messages and time.
//!
//! ```text
//!            Joined                  Lost                    SeatExpired ─► Left
//!   (none) ─────────► Here ─────────────────────► Away ──────────────────────────► (none)
//!                      ▲ │◄─────────────────────── │
//!                      │ │          Back           │ Left (given up, removed)
//!                 Back ╰─╯ (connection replaced)   ▼
//! ```
//!
//! Only the room ends a seat: presence asks (`SeatExpired`), because a player may have come back in that moment.
//!
//! # Contract of rooms
//! - Send with `do_send`: a report that is dropped would be a ghost, and reports are bounded by the seats that the
//!   server admits.
//! - Report `RoomEnded` before the name can be given to another room.
//! - Player numbers ascend over a room's life and are never used again in it.

pub mod actor;
pub mod roster;
pub mod view;

pub use actor::Presence;
pub use roster::{Roster, RosterConfig};
pub use view::PresenceView;

use actix::{Message, Recipient as Address};
use driftless_proto::{code::CloseCode, wire};
use driftless_sim::{PlayerId, simulation::Recipient};
use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// A room tells presence. Times are microseconds of the server clock.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub enum Report {
    /// A seat was taken.
    Joined {
        /// In this room.
        room: Arc<str>,
        /// Where the room takes announcements.
        to_room: Address<ToRoom>,
        /// By this player.
        player: PlayerId,
        /// Who that is. Seats of one user are one member.
        user: Arc<str>,
        /// Name to show.
        name: Arc<str>,
        /// What the seat's connection measures.
        vitals: Arc<Vitals>,
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
    /// A seat has a connection again, or another one.
    Back {
        /// In this room.
        room: Arc<str>,
        /// Whose.
        player: PlayerId,
        /// What the new connection measures.
        vitals: Arc<Vitals>,
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
    },
}

/// Presence tells a room.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub enum ToRoom {
    /// To be delivered to members, reliably.
    Announce(Announce),
    /// A seat's resume window is over. If it still has no connection: end it and report `Left` with this reason.
    /// Asked again every second until the room does.
    SeatExpired {
        /// Whose.
        player: PlayerId,
        /// The reason to report: how the connection was lost.
        why: LeaveReason,
    },
}

/// A presence message and whom it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Announce {
    /// For all seats of the room, or one.
    pub to: Recipient,
    /// But not this one (it has just got the full list).
    pub except: Option<PlayerId>,
    /// The message.
    pub presence: wire::Presence,
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

/// What a connection measures and presence shows. Written by the connection's thread, read by any.
#[derive(Debug, Default)]
pub struct Vitals {
    /// When the last message came, microseconds of the server clock.
    pub last_seen_us: AtomicU64,
    /// Smoothed round-trip time, microseconds. 0: not measured yet.
    pub rtt_us: AtomicU32,
}

impl Vitals {
    /// Of a connection that was heard of at `now_us`.
    pub fn seen(now_us: u64) -> Self {
        Self { last_seen_us: AtomicU64::new(now_us), rtt_us: AtomicU32::new(0) }
    }

    /// A message came.
    pub fn set_last_seen(&self, now_us: u64) {
        self.last_seen_us.store(now_us, Relaxed);
    }

    /// A round-trip time was measured.
    pub fn set_rtt(&self, rtt_us: u32) {
        self.rtt_us.store(rtt_us, Relaxed);
    }

    /// When the last message came, microseconds of the server clock.
    pub fn last_seen(&self) -> u64 {
        self.last_seen_us.load(Relaxed)
    }

    /// Round-trip time, microseconds. None: not measured yet.
    pub fn rtt(&self) -> Option<u32> {
        Some(self.rtt_us.load(Relaxed)).filter(|us| *us > 0)
    }
}

/// Asks presence for a picture.
#[derive(Debug, Clone, Message)]
#[rtype(result = "PresenceView")]
pub struct Query {
    /// Of this room only. A room that presence does not know is an empty picture.
    pub room: Option<Arc<str>>,
    /// Most members to list.
    pub limit: usize,
}
