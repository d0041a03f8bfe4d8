//! Presence as JSON.

use crate::ground::report::LeaveReason;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A view of one room or of all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct PresenceView {
    /// Seats taken, by people.
    pub players: usize,
    /// Seats with a connection.
    pub connections: usize,
    /// Seats of NPCs, which games play. They are members too, but no departures of theirs are listed or
    /// counted.
    pub npcs: usize,
    /// Number of members: users, each counted in every room that it is in.
    pub member_count: usize,
    /// The members by room and user, up to the requested limit.
    pub members: Vec<MemberView>,
    /// The `after` of the next page (`?after=`). None: there are no more.
    pub next: Option<String>,
    /// The latest seats that ended, newest first.
    pub departures: Vec<Departure>,
    /// Seats since the server (or the room) started.
    pub totals: Totals,
}

/// A user in a room.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MemberView {
    /// The room.
    pub room: Arc<str>,
    /// The user.
    pub user: Arc<str>,
    /// Display name.
    pub name: Arc<str>,
    /// Whether the game plays it.
    pub npc: bool,
    /// Whether any seat has a connection. (An NPC is always there.)
    pub state: MemberState,
    /// The user's seats.
    pub players: Vec<u32>,
    /// How many of them have a connection.
    pub connections: u32,
    /// When the user's first seat was taken, milliseconds since 1970.
    pub since_unix_ms: u64,
    /// How long ago the latest message came from any of the seats, milliseconds.
    pub last_seen_ms_ago: u64,
    /// Round-trip time of the fastest connection, milliseconds. Null: not measured yet.
    pub rtt_ms: Option<f64>,
}

/// Whether a member can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// A seat has a connection.
    Online,
    /// No seat has a connection; all are within their resume window.
    Away,
}

/// A seat that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Departure {
    /// Name of the room.
    pub room: Arc<str>,
    /// The player.
    pub player: u32,
    /// The user.
    pub user: Arc<str>,
    /// Display name.
    pub name: Arc<str>,
    /// Why.
    pub why: LeaveReason,
    /// When it ended, milliseconds since 1970.
    pub at_unix_ms: u64,
}

/// Seats of people, counted since the start. `joined` is the sum of the others and of the seats there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PresenceTotals)]
pub struct Totals {
    /// Taken.
    pub joined: u64,
    /// Given up by the player.
    pub left: u64,
    /// Ended after a silence.
    pub timed_out: u64,
    /// Ended after a closed connection.
    pub disconnected: u64,
    /// Ended by the server, or with the room.
    pub removed: u64,
}

impl Totals {
    /// Counts a seat that ended.
    pub(super) fn count(&mut self, why: LeaveReason) {
        *match why {
            LeaveReason::Left => &mut self.left,
            LeaveReason::TimedOut => &mut self.timed_out,
            LeaveReason::Disconnected => &mut self.disconnected,
            LeaveReason::Removed => &mut self.removed,
        } += 1;
    }

    /// Seats that ended.
    pub fn ended(&self) -> u64 {
        self.left + self.timed_out + self.disconnected + self.removed
    }
}
