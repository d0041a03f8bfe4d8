//! How a transport is called when its connection has something to send.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    mem,
    rc::Rc,
    task::{Context, Waker},
};

/// Who sends what a connection has.
#[derive(Default)]
pub(super) enum Caller {
    /// Nobody yet, or nobody any more.
    #[default]
    Nobody,
    /// A task of its own.
    Task(Waker),
    /// The one that serves many of the thread: this is the connection's key there. `called`: it is in the
    /// queue already.
    Hub { key: usize, called: bool },
}

impl Caller {
    /// Calls, once until it is heard.
    pub(super) fn call(&mut self) {
        match self {
            Caller::Nobody => {}
            Caller::Task(waker) => waker.wake_by_ref(),
            Caller::Hub { key, called } => {
                if !mem::replace(called, true) {
                    HERE.with(|calls| calls.call(*key));
                }
            }
        }
    }

    /// The call was heard.
    pub(super) fn heard(&mut self) {
        if let Caller::Hub { called, .. } = self {
            *called = false;
        }
    }

    /// Calls this task from now on.
    pub(super) fn register(&mut self, cx: &Context<'_>) {
        match self {
            Caller::Task(waker) => waker.clone_from(cx.waker()),
            other => *other = Caller::Task(cx.waker().clone()),
        }
    }
}

/// Connections of a thread that may have something to send, by their keys, first come, first served.
///
/// A key may be that of a connection that has gone since, or of another that took its place: whoever serves
/// them finds out.
#[derive(Default)]
pub struct Calls {
    keys: RefCell<VecDeque<usize>>,
    /// Whoever serves them is at it, or will be.
    attended: Cell<bool>,
    server: RefCell<Option<Waker>>,
}

thread_local! {
    static HERE: Rc<Calls> = Rc::default();
}

impl Calls {
    /// Those of the calling thread.
    pub(super) fn here() -> Rc<Self> {
        HERE.with(Rc::clone)
    }

    fn call(&self, key: usize) {
        self.keys.borrow_mut().push_back(key);
        self.wake();
    }

    /// Has whoever serves them look again.
    pub(super) fn wake(&self) {
        if !self.attended.replace(true)
            && let Some(server) = &*self.server.borrow()
        {
            server.wake_by_ref();
        }
    }

    /// This task serves them, now and when it is woken.
    pub fn attend(&self, cx: &Context<'_>) {
        self.attended.set(true);
        match &mut *self.server.borrow_mut() {
            Some(server) => server.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// The task has done what there was: it is woken at the next call.
    pub fn rest(&self) {
        self.attended.set(false);
    }

    /// Whose turn it is.
    pub fn next(&self) -> Option<usize> {
        self.keys.borrow_mut().pop_front()
    }

    /// Who is `n` turns after the next.
    pub fn peek(&self, n: usize) -> Option<usize> {
        self.keys.borrow().get(n).copied()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.keys.borrow().len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
