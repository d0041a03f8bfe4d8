//! Fewer wake-ups for a busy thread: as a network card waits a moment before it interrupts, so that one interrupt serves many packets.
//!
//! Players send inputs at random moments, and an input is only read at the next tick. A thread that wakes for each pays a context switch
//! for each: a sixth of its time. So while messages come fast, the thread pauses for a moment after each round, and the next round
//! finds all that came meanwhile. What it costs: up to the pause in the latency of an input or a state.

use actix_rt::task::yield_now;
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
    thread,
    time::Duration,
};

/// Messages a second of one thread from which on it pauses. Below, a wake-up for each costs less than a fiftieth of a core.
const FROM_RATE: f64 = 4_000.0;

/// Pauses one thread after each round of work, while messages come fast.
#[derive(Debug, Default)]
pub(super) struct Coalesce {
    pause: Duration,
    busy: Cell<bool>,
    /// A message has arrived since the last pause.
    armed: Cell<bool>,
    arrived: Cell<u32>,
    waker: RefCell<Option<Waker>>,
}

impl Coalesce {
    /// For the calling thread. `pause` zero: never pauses.
    pub(super) fn start(pause: Duration) -> Rc<Self> {
        let coalesce = Rc::new(Self { pause, ..Self::default() });
        if !pause.is_zero() {
            actix_rt::spawn(coalesce.clone().run());
        }
        coalesce
    }

    /// A message has arrived.
    pub(super) fn arrived(&self) {
        self.arrived.set(self.arrived.get() + 1);
        if self.busy.get()
            && !self.armed.replace(true)
            && let Some(waker) = self.waker.borrow().as_ref()
        {
            waker.wake_by_ref();
        }
    }

    /// To be called every `interval`: decides whether messages come fast.
    pub(super) fn measure(&self, interval: Duration) {
        let rate = f64::from(self.arrived.replace(0)) / interval.as_secs_f64();
        // Once busy, it takes clearly less to be idle again.
        let from = if self.busy.get() { FROM_RATE / 2.0 } else { FROM_RATE };
        self.busy.set(rate >= from && !self.pause.is_zero());
    }

    async fn run(self: Rc<Self>) {
        loop {
            poll_fn(|cx| {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                if self.armed.get() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            // What is ready now goes first, and what that makes ready: connections that a tick has just called.
            yield_now().await;
            yield_now().await;
            self.armed.set(false);
            thread::sleep(self.pause);
        }
    }
}
