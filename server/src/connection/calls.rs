//! How a transport is woken when its connection has something to send.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    mem,
    rc::Rc,
    task::{Context, Waker},
};

/// Who sends what a connection has to send.
#[derive(Default)]
pub(super) enum Caller {
    /// Nobody yet, or nobody any more.
    #[default]
    Nobody,
    /// A task of the connection's own.
    Task(Waker),
    /// The hub, which serves many connections of the thread; `key` identifies this one. `called`: it is in
    /// the queue already.
    Hub { key: usize, called: bool },
}

impl Caller {
    /// Wakes the transport; once, until it has noticed.
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

    /// The transport has noticed.
    pub(super) fn heard(&mut self) {
        if let Caller::Hub { called, .. } = self {
            *called = false;
        }
    }

    /// Wakes this task from now on.
    pub(super) fn register(&mut self, cx: &Context<'_>) {
        match self {
            Caller::Task(waker) => waker.clone_from(cx.waker()),
            other => *other = Caller::Task(cx.waker().clone()),
        }
    }
}

/// Connections of a thread that may have something to send, by their keys, in the order in which they were
/// woken.
///
/// A key may belong to a connection that has gone since, or to another that reuses the key: the hub checks.
#[derive(Default)]
pub struct Calls {
    keys: RefCell<VecDeque<usize>>,
    /// The hub is serving them, or will be.
    attended: Cell<bool>,
    server: RefCell<Option<Waker>>,
}

thread_local! {
    static HERE: Rc<Calls> = Rc::default();
}

impl Calls {
    /// The queue of the calling thread.
    pub(super) fn here() -> Rc<Self> {
        HERE.with(Rc::clone)
    }

    fn call(&self, key: usize) {
        self.keys.borrow_mut().push_back(key);
        self.wake();
    }

    /// Makes the hub look again.
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

    /// The task has served everybody: the next call wakes it.
    pub fn rest(&self) {
        self.attended.set(false);
    }

    /// Takes the next key.
    pub fn next(&self) -> Option<usize> {
        self.keys.borrow_mut().pop_front()
    }

    /// The key that is `n` places behind the next.
    pub fn peek(&self, n: usize) -> Option<usize> {
        self.keys.borrow().get(n).copied()
    }

    /// How many keys wait.
    pub fn len(&self) -> usize {
        self.keys.borrow().len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
