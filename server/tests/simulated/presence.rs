//! Promise 5: a player is reported joined once, left once, with the true reason.

use super::player::{Kept, keep};
use driftless_server::presence::{Change, PresenceChange, Watcher};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// What presence has said of each seat.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Rc<RefCell<Said>>);

#[derive(Debug, Default)]
struct Said {
    new: Vec<PresenceChange>,
    /// The last change of each seat.
    seats: BTreeMap<u32, Change>,
}

impl Watcher for Ledger {
    fn is_watching(&self) -> bool {
        true
    }
    fn note(&self, change: PresenceChange) {
        self.0.borrow_mut().new.push(change);
    }
}

impl Ledger {
    /// Checks what was said since the last call.
    pub fn check(&self) -> Kept {
        let Said { new, seats } = &mut *self.0.borrow_mut();
        for PresenceChange { player, change, .. } in new.drain(..) {
            let before = seats.insert(player, change);
            let fits = match change {
                Change::Joined => before.is_none(),
                Change::Lost => matches!(before, Some(Change::Joined | Change::Back)),
                Change::Back => before == Some(Change::Lost),
                Change::Left => before.is_some_and(|before| before != Change::Left),
            };
            keep(5, fits, || format!("seat {player} was reported {change:?} after {before:?}"))?;
        }
        Ok(())
    }
}
