//! How a connection ends.

use crate::{
    ground::{id::ConnectionId, report::LostReason},
    room::{Leave, Lost, RoomAddr},
};
use driftless_proto::code::CloseCode;

/// Why a connection ends. Decided once, by whoever is first to say so (the session, its room, an operator, the transport); the goodbye and
/// the transport's close, the metrics, and what the room and presence hear all follow from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a code: the server ends it, or the player leaves.
    Closed {
        /// The code.
        code: CloseCode,
        /// Why, for a developer to read.
        reason: String,
    },
    /// The peer or the network has ended it, and nobody said that the player leaves.
    Lost(String),
}

impl End {
    /// With what code. None: there is none.
    pub(super) fn code(&self) -> Option<CloseCode> {
        match self {
            End::Closed { code, .. } => Some(*code),
            End::Lost(_) => None,
        }
    }

    /// Tells the room. `welcomed`: the peer may have its token.
    pub(super) fn tell(&self, room: &RoomAddr, connection: ConnectionId, welcomed: bool) {
        let lost = |why| Lost { connection, why, welcomed };
        // One message a connection, whose number is limited: no mailbox is flooded, and none of them may be lost.
        match self.code() {
            Some(CloseCode::Left) => room.do_send(Leave { connection, removed: None }),
            Some(code) if !code.may_reconnect() => room.do_send(Leave { connection, removed: Some(code) }),
            Some(CloseCode::TimedOut) => room.do_send(lost(LostReason::TimedOut)),
            Some(code @ CloseCode::SlowConsumer) => room.do_send(lost(LostReason::Removed(code))),
            Some(_) | None => room.do_send(lost(LostReason::Disconnected)),
        }
    }
}
