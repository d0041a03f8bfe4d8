//! Presence: one actor for all rooms, so that a user's seats in many rooms are seen together.
//!
//! Rooms report ([`Report`](crate::ground::report::Report)) what happens to their seats. Presence writes the
//! room's [member list](crate::ground::members), from which connections read what their players lack, and
//! asks the room to end seats whose resume window is over
//! ([`SeatExpired`](crate::ground::report::SeatExpired)). The rules are in [`roster::Roster`], which knows no
//! actor and no clock; [`actor::Presence`] passes on messages and time.
//!
//! ```text
//!            Joined                  Lost                    SeatExpired ─► Left
//!   (none) ─────────► Here ─────────────────────► Away ──────────────────────────► (none)
//!                        │◄─────────────────────── │
//!                        │          Back           │
//!                        ╰── Left (given up, removed) ─► (none)
//! ```
//!
//! Replacing a connection with another is no change, because the seat has a connection all the time.
//!
//! Only the room ends a seat: presence asks it to (`SeatExpired`), because the player may have come back at
//! that moment.
//!
//! A user's rooms are what other nodes, and whoever watches the user, are told of: all changes of a tenth of
//! a second together ([`UserListener`]).
//!
//! # Contract of rooms
//! - Send with `do_send`: a dropped report would leave a ghost, and the number of reports is bounded by the
//!   seats that the server admits.
//! - Report `RoomEnded` before the name can be given to another room.
//! - Player numbers ascend over a room's life and are never reused in it.

pub mod actor;
pub mod change;
pub mod roster;
pub mod view;
pub mod whereabouts;

pub use actor::{Presence, TellAll, UserListener, Watcher, WhereAre};
pub use change::{Change, PresenceChange};
pub use roster::Roster;
pub use view::{MemberView, PresenceView};
pub use whereabouts::{Visit, Whereabouts};

use actix::Message;
use std::{fmt, sync::Arc};

/// Asks presence for a view.
#[derive(Debug, Clone, Message)]
#[rtype(result = "PresenceView")]
pub struct Query {
    /// Only this room. For a room that presence does not know, the view is empty.
    pub room: Option<Arc<str>>,
    /// Only members after this one.
    pub after: Option<MemberPosition>,
    /// Most members to list.
    pub limit: usize,
}

/// A member's position in the list of all members; as text `ROOM/USER`. (A room's name has no slash.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPosition {
    /// The room.
    pub room: Arc<str>,
    /// Who.
    pub user: Arc<str>,
}

impl MemberPosition {
    fn of(member: &MemberView) -> Self {
        Self { room: member.room.clone(), user: member.user.clone() }
    }
}

impl fmt::Display for MemberPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.room, self.user)
    }
}

impl From<&str> for MemberPosition {
    /// Without a user: before all members of the room.
    fn from(text: &str) -> Self {
        let (room, user) = text.split_once('/').unwrap_or((text, ""));
        Self { room: room.into(), user: user.into() }
    }
}
