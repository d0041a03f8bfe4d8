//! Work that a thread does between two pieces of other work because its time has come.

use crate::clock;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

/// Work that must not wait until a thread has served all its connections.
pub trait Interlude {
    /// Runs what is due. Returns when it is due next.
    fn run(&self, now: Instant) -> Option<Instant>;
}

/// The interlude of a thread, if it has one, and when it is due.
#[derive(Default)]
pub(super) struct Interludes {
    interlude: RefCell<Option<Rc<dyn Interlude>>>,
    due: Cell<Option<Instant>>,
}

impl Interludes {
    /// Runs `interlude` from now on, first at once.
    pub(super) fn set(&self, interlude: Rc<dyn Interlude>) {
        *self.interlude.borrow_mut() = Some(interlude);
        self.due.set(Some(clock::now()));
    }

    /// Makes it due now.
    pub(super) fn hasten(&self) {
        self.due.set(Some(clock::now()));
    }

    /// When it is due. None: it is not scheduled.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.get()
    }

    /// Runs it, if it is due. No connection may be borrowed. True: it ran, so some time has passed.
    pub(super) fn run(&self, now: Instant) -> bool {
        if self.due.get().is_none_or(|due| due > now) {
            return false;
        }
        let interlude = self.interlude.borrow().clone();
        self.due.set(interlude.and_then(|interlude| interlude.run(now)));
        true
    }
}
