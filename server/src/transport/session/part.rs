//! A part of a task that is polled only when it was woken itself: a tick, which wakes the writer, does not
//! make the readers look.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// A future with a waker of its own.
pub(super) struct Part<'a, F> {
    future: Pin<&'a mut F>,
    flag: Arc<Flag>,
    waker: Waker,
}

/// Set when the part is woken; the task is woken with it.
struct Flag {
    called: AtomicBool,
    task: Waker,
}

impl<'a, F: Future> Part<'a, F> {
    /// A part of the task that has this waker. The task must keep the same waker.
    pub(super) fn new(future: Pin<&'a mut F>, task: &Waker) -> Self {
        let flag = Arc::new(Flag { called: AtomicBool::new(true), task: task.clone() });
        Self { future, waker: flag.clone().into(), flag }
    }

    /// Polls the future if it was woken since the last poll.
    pub(super) fn poll(&mut self) -> Poll<F::Output> {
        if !self.flag.called.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        self.future.as_mut().poll(&mut Context::from_waker(&self.waker))
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.called.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, future::poll_fn, pin::pin};

    #[test]
    fn a_part_is_polled_once_for_each_call() {
        let (mut polls, waker) = (0, RefCell::new(None::<Waker>));
        let future = pin!(poll_fn(|cx| {
            polls += 1;
            *waker.borrow_mut() = Some(cx.waker().clone());
            if polls == 3 { Poll::Ready(polls) } else { Poll::Pending }
        }));
        let mut part = Part::new(future, Waker::noop());
        let call = || waker.borrow().as_ref().expect("polled before").wake_by_ref();
        assert!(part.poll().is_pending(), "it is polled first");
        assert!(part.poll().is_pending(), "not polled");
        call();
        call();
        assert!(part.poll().is_pending(), "polled once for both");
        assert!(part.poll().is_pending(), "not polled");
        call();
        assert_eq!(part.poll(), Poll::Ready(3));
    }
}
