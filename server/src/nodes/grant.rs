//! By which a node has a room.

use super::ask::{Epoch, Incarnation};
use crate::ground::ownership::Ownership;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// A room is this node's: what of it concerns others. Clones are the [same](Self::is) grant; the next room of
/// its name has another, also on the same node.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// For how long.
    pub(super) owned: Arc<Ownership>,
    /// The node, and its epoch of the room: what is stored is written under them. 0: it is on its way here.
    pub(super) node: Incarnation,
    pub(super) epoch: Arc<AtomicU64>,
    /// Something of the room is stored that it has yet to go on from.
    pub(super) stored: Arc<AtomicBool>,
}

impl Grant {
    /// Whether it is the same one.
    pub(super) fn is(&self, other: &Grant) -> bool {
        Arc::ptr_eq(&self.epoch, &other.epoch)
    }

    /// Since which epoch the room is this node's.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch.load(Relaxed)
    }

    /// The room is this node's since this epoch.
    pub(super) fn since(&self, epoch: Epoch) {
        self.epoch.store(epoch, Relaxed);
    }

    /// The room goes on: when it has ended, nothing of it is stored.
    pub(super) fn begins(&self) {
        self.stored.store(false, Relaxed);
    }

    /// The room is not had by this node any more, and goes on elsewhere, or here again.
    pub(super) fn leaves_stored(&self) {
        self.stored.store(true, Relaxed);
    }

    /// Whether something of the room is stored that it has yet to go on from.
    pub(super) fn is_stored(&self) -> bool {
        self.stored.load(Relaxed)
    }
}
