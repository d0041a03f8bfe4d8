//! What a node asks of Redis, and what that says. Each is one call of the [script](super::script).

use super::{REMEDY, node::Node};
use bytes::Bytes;
use std::{fmt, sync::Arc, time::Duration};

/// The same as [`REMEDY`], about a Redis that does not let this node in.
const LOGIN: &str = "see that user and password are right there and here (redis, or DRIFTLESS_REDIS in the environment), and \
                     that this user may do what the guide says (\"More than one machine\")";

/// One life of one node: from its first lease until it loses that. What it owns then is owned by nobody, even
/// if the process goes on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Incarnation(pub(super) Arc<str>);

/// The memory of the Redis that has answered: another one after it was started again, emptied, or replaced.
/// What was agreed under one before may be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generation(pub(super) Arc<str>);

/// Which of a room's owners is the newer one. Rises over all rooms.
pub(crate) type Epoch = u64;

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ask {
    /// Renew the lease; if `had`, only one that is still there.
    Renew { had: bool },
    /// Who else is there.
    Nodes,
    /// Register rooms again, which this node has.
    Restore(Vec<Owned>),
    /// Whose the room is. If it is nobody's, and something of it is stored that this node has the game for:
    /// it is to be this node's. If nothing is stored and it is to be `made`: that of `to`.
    Claim { room: Arc<str>, to: Incarnation, make: bool },
    /// Where the room is. This changes nothing.
    Where { room: Arc<str> },
    /// The room has ended here; or it is to go on from what is `stored`, at whichever node can.
    Release { room: Arc<str>, epoch: Epoch, stored: bool },
    /// Of a node whose lease is over: take at most so many of the rooms that are stored, and forget the
    /// others. Or those that were taken last, `again`, because the answer was lost.
    Inherit { from: Incarnation, most: usize, again: bool },
    /// Rooms that Redis counts as this node's, if they are more than it knows.
    Rooms { known: usize },
    /// Give up the lease: all rooms have ended.
    Leave,
    /// The room stands still, and is to go on at another node as it is there.
    Offer { room: Arc<str>, epoch: Epoch, to: Incarnation, parcel: Bytes },
    /// What is offered to this node of the room.
    Look { room: Arc<str> },
    /// The room is ready here: it is to be this node's, if what was offered in that epoch is still offered.
    Take { room: Arc<str>, offered: Epoch },
    /// The room cannot go on here.
    Decline { room: Arc<str>, offered: Epoch, why: String },
    /// What has become of what was offered in that epoch. If nothing, it is withdrawn.
    Conclude { room: Arc<str>, offered: Epoch },
}

/// A room that this node has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Owned {
    pub room: Arc<str>,
    pub epoch: Epoch,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub generation: Generation,
    /// How long nothing is claimed yet, because Redis may have forgotten something.
    pub settling: Duration,
    /// The rule by which it removes keys to save memory, if it does: told with each renewal.
    pub removes: Option<Arc<str>>,
    pub said: Said,
}

/// What it says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// Done.
    Done,
    /// The nodes that there are have leases of another length.
    OtherLease(Duration),
    /// The node has no lease any more.
    Lost,
    /// All nodes: with what they say of themselves and how long their leases last, or without, if they are
    /// over.
    Nodes(Vec<(Incarnation, Option<(Node, Duration)>)>),
    /// Registered again, but for these, which are others'.
    Restored { refused: Vec<Arc<str>> },
    /// The room is this node's. `stored`: something of it is stored that it is to go on from.
    Ours { epoch: Epoch, stored: bool },
    /// It is nobody's, and goes on from what is stored where there is a game of this kind.
    Foreign { kind: Arc<str> },
    /// It is another node's, whose lease lasts so long if it is not renewed.
    At(Node, Duration),
    /// It is nobody's.
    Nowhere,
    /// These rooms are this node's. If they were taken over, something of each is stored.
    Taken(Vec<Owned>),
    /// Nobody may claim anything yet.
    Settling,
    /// This is offered, since this epoch.
    Offered { epoch: Epoch, parcel: Bytes },
    /// Nobody has taken what was offered, and it is offered no more. `why`: the other node could not.
    Stayed { epoch: Epoch, why: Option<String> },
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// It cannot be reached.
    #[error("Redis cannot be reached: {0}")]
    Away(String),
    /// It did not answer in time.
    #[error("Redis has not answered for {0:?}")]
    Slow(Duration),
    /// It is a replica, or has lost its replicas, or is busy.
    #[error("Redis takes no writes: {0}")]
    ReadOnly(String),
    /// It has no memory left.
    #[error("Redis is full: {0}")]
    Full(String),
    /// It does not know this node, or does not let it do what all nodes do.
    #[error("Redis gives this node no right to ask: {0}")]
    Locked(String),
    /// Too few replicas have confirmed it.
    #[error("{confirmed} of Redis's replicas have confirmed a lease, but {wanted} should: is one down?")]
    Unconfirmed {
        /// How many did.
        confirmed: u64,
        /// How many should.
        wanted: u64,
    },
    /// It says no, or nonsense.
    #[error("Redis refuses: {0}")]
    Refused(String),
}

impl Failure {
    /// Whether it is Redis's, or the connection's: the same question may have an answer later.
    pub(crate) fn is_passing(&self) -> bool {
        self.is_of_connection() || matches!(self, Failure::Full(_))
    }

    /// What operators are told to do about it.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Failure::Locked(_) => LOGIN,
            _ => REMEDY,
        }
    }

    /// Whether the same question may have an answer over another connection.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(self, Failure::Away(_) | Failure::Slow(_) | Failure::ReadOnly(_) | Failure::Locked(_))
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
