//! Promise 5: a player is reported joined once, left once, with the true reason.

use super::promise::{Kept, keep};
use driftless_server::{
    ground::report::LeaveReason,
    presence::{Change, PresenceChange, Watcher},
};
use driftless_sim::PlayerId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What presence has said of each seat.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    new: Vec<PresenceChange>,
    /// The last change of each seat.
    seats: BTreeMap<PlayerId, Change>,
    /// Seats that their players give up, and that may be taken from them.
    left: BTreeSet<PlayerId>,
    removed: BTreeSet<PlayerId>,
    /// Somebody left before it knew its seat.
    unknown: bool,
    /// Any seat may be taken.
    any: bool,
    /// There was another room before of this name.
    again: bool,
}

impl Watcher for Ledger {
    fn is_watching(&self) -> bool {
        true
    }
    fn note(&self, change: PresenceChange) {
        self.said().new.push(change);
    }
}

impl Ledger {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another server, to which all seats are new.
    pub fn begin(&self) {
        let mut said = self.said();
        said.new.clear();
        said.seats.clear();
    }

    /// The room is closed: its players are removed, and another begins to count seats anew.
    pub fn begin_room(&self) {
        self.said().again = true;
    }

    /// The player of this seat gives it up. None: before it knows which it has.
    pub fn leaves(&self, seat: Option<PlayerId>) {
        let mut said = self.said();
        said.left.extend(seat);
        said.unknown |= seat.is_none();
    }

    /// The player of this seat may be removed.
    pub fn may_be_removed(&self, seat: PlayerId) {
        self.said().removed.insert(seat);
    }

    /// A seat may be removed of which nobody here knows which it is.
    pub fn any_may_be_removed(&self) {
        self.said().any = true;
    }

    /// Checks what was said since the last call.
    pub fn check(&self) -> Kept {
        let Said { new, seats, left, removed, unknown, any, again } = &mut *self.said();
        for PresenceChange { player, change, why, .. } in new.drain(..) {
            let before = seats.insert(player, change);
            let fits = match change {
                Change::Joined => before.is_none() || (*again && before == Some(Change::Left)),
                Change::Lost => matches!(before, Some(Change::Joined | Change::Back)),
                Change::Back => before == Some(Change::Lost),
                Change::Left => before.is_some_and(|before| before != Change::Left),
            };
            keep(5, fits, || format!("seat {player} was reported {change:?} after {before:?}"))?;
            let is_true = match why.filter(|_| change == Change::Left) {
                Some(LeaveReason::Left) => left.contains(&player) || *unknown || *again,
                Some(LeaveReason::Removed) => removed.contains(&player) || *any || *again,
                Some(LeaveReason::TimedOut | LeaveReason::Disconnected) | None => true,
            };
            keep(5, is_true, || format!("seat {player} was reported to have left: {why:?}"))?;
        }
        Ok(())
    }
}
