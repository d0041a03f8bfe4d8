//! How a connection ends.

use crate::{
    ground::{id::ConnectionId, report::LostReason},
    room::{Leave, Lost, RoomAddr},
};
use driftless_proto::code::CloseCode;

/// Why a connection ends. Decided once, by whoever says so first (the session, its room, an operator, the
/// transport). The goodbye, the transport's close, the metrics, and what the room and presence are told all
/// follow from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a close code: the server ends it, or the player leaves.
    Closed {
        /// The code.
        code: CloseCode,
        /// The reason, for a developer to read.
        reason: String,
    },
    /// The peer or the network has ended it without a leave. The text says how.
    Lost(String),
}

impl End {
    /// The close code, if there is one.
    pub(super) fn code(&self) -> Option<CloseCode> {
        match self {
            End::Closed { code, .. } => Some(*code),
            End::Lost(_) => None,
        }
    }

    /// Tells the room. `welcomed`: the peer may have its token.
    pub(super) fn tell(&self, room: &RoomAddr, connection: ConnectionId, welcomed: bool) {
        let lost = |why| Lost { connection, why, welcomed };
        // One message per connection, whose number is limited: no mailbox is flooded, and none of these may
        // be lost.
        match self.code() {
            Some(CloseCode::Left) => room.do_send(Leave { connection, removed: None }),
            Some(code) if !code.may_reconnect() => room.do_send(Leave { connection, removed: Some(code) }),
            Some(CloseCode::TimedOut) => room.do_send(lost(LostReason::TimedOut)),
            Some(code @ CloseCode::SlowConsumer) => room.do_send(lost(LostReason::Removed(code))),
            Some(_) | None => room.do_send(lost(LostReason::Disconnected)),
        }
    }
}
