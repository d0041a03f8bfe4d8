//! Reduces the number of wake-ups of a thread that is busy with QUIC, as a network card delays its interrupts
//! so that one of them serves many packets.
//!
//! Players send inputs at random moments, and an input is only read at the next tick. A thread that wakes for
//! each one pays a context switch for each: a sixth of its time. So while messages come fast, the thread
//! pauses for a moment after each round of work, and the next round handles everything that came meanwhile.
//! The cost is latency: an input or a state may be late by up to the pause. (The hub that serves WebSockets
//! polls its sockets at such intervals anyway, and needs no pause of the thread.)

use super::{interlude::Interludes, load::Load};
use actix_rt::task::yield_now;
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

/// Pauses one thread after each round of work, while messages come fast.
pub(super) struct Coalesce {
    pause: Duration,
    load: Load,
    interludes: Rc<Interludes>,
    /// A message has arrived since the last pause.
    armed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Coalesce {
    /// For the calling thread. With a `pause` of zero it never pauses.
    pub(super) fn start(pause: Duration, interludes: Rc<Interludes>) -> Rc<Self> {
        let (load, armed, waker) = (Load::default(), Cell::default(), RefCell::default());
        let coalesce = Rc::new(Self { pause, load, interludes, armed, waker });
        if !pause.is_zero() {
            actix_rt::spawn(coalesce.clone().run());
        }
        coalesce
    }

    /// A message has arrived.
    pub(super) fn arrived(&self) {
        self.load.arrived();
        if self.load.is_busy()
            && !self.armed.replace(true)
            && let Some(waker) = self.waker.borrow().as_ref()
        {
            waker.wake_by_ref();
        }
    }

    /// Call it every `interval`: decides whether messages come fast.
    pub(super) fn measure(&self, interval: Duration) {
        self.load.measure(interval);
    }

    async fn run(self: Rc<Self>) {
        loop {
            poll_fn(|cx| {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                if self.armed.get() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            // First runs whatever is ready now and what that makes ready: connections that a tick has just
            // woken.
            yield_now().await;
            yield_now().await;
            self.armed.set(false);
            let due = self.interludes.due().map(|due| due.saturating_duration_since(Instant::now()));
            thread::sleep(due.map_or(self.pause, |due| due.min(self.pause)));
        }
    }
}
