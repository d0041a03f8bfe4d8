//! The task of a hub.

use super::Hub;
use crate::{alarm::Alarm, readable::Readable};
use mio::{Events, Poll as Kernel};
use std::{
    future::Future,
    io,
    os::fd::AsFd as _,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tracing::error;

/// How long to work before other tasks of the thread get their turn.
const TURN: Duration = Duration::from_millis(1);
/// Events read from the kernel at once.
const EVENTS: usize = 256;

/// Time between two looks, if the kernel cannot say when to look.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Serves the sockets of a hub: those that were woken, those that have events, and those whose close has to
/// be cut short.
///
/// On a quiet thread, kernel events wake this task. When messages come fast, it polls at intervals instead
/// (see [`Worker::pause`]), as a network card delays its interrupts so that one wake-up serves many packets.
/// The cost is latency, up to the pause, of an input, which is only read at the next tick anyway.
///
/// [`Worker::pause`]: crate::connection::Worker::pause
pub(super) struct Drive {
    hub: Rc<Hub>,
    kernel: Kernel,
    events: Events,
    /// Reports kernel events. None: they are polled for.
    news: Option<Readable>,
    /// When to poll next.
    next_look: Instant,
    alarm: Alarm,
}

impl Drive {
    /// For the calling thread.
    pub(super) fn new(hub: Rc<Hub>, kernel: Kernel) -> io::Result<Self> {
        let (events, next_look) = (Events::with_capacity(EVENTS), Instant::now());
        Ok(Self { hub, kernel, events, news: None, next_look, alarm: Alarm::new()? })
    }

    /// True: there is more to do than one turn may take.
    fn turn(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while self.alarm.poll(cx).is_ready() {} // what is due is found below
        let mut now = Instant::now();
        let until = now + TURN;
        self.choose_pace();
        loop {
            self.serve_called(&mut now, until);
            let looks_again = self.look(cx, &mut now, until)?;
            now = self.hub.worker.interlude(now);
            if self.hub.worker.calls().is_empty() && !looks_again {
                self.set_alarm();
                return Ok(false);
            }
            if now >= until {
                return Ok(true);
            }
        }
    }

    /// Chooses between waiting for events and polling for them.
    fn choose_pace(&mut self) {
        if self.hub.worker.pause().is_some() {
            self.news = None;
        } else if self.news.is_none() {
            let file = self.kernel.registry().as_fd().try_clone_to_owned();
            // If this fails now, it may succeed later.
            self.news = file.and_then(Readable::watch).ok();
        }
    }

    /// Serves the sockets that were woken until now, and those whose close takes too long.
    fn serve_called(&self, now: &mut Instant, until: Instant) {
        let calls = self.hub.worker.calls();
        for _ in 0..calls.len() {
            if *now >= until {
                break;
            }
            if let Some(key) = calls.next() {
                self.hub.prefetch(calls.peek(0), calls.peek(1));
                *now = self.hub.worker.interlude(*now);
                self.hub.serve(key, *now);
                *now = Instant::now();
            }
        }
        while let Some(key) = self.hub.poll_limit(*now) {
            self.hub.serve(key, *now);
        }
    }

    /// Serves the sockets that have events, if it is time to look. True: it is already time to look again.
    fn look(&mut self, cx: &mut Context<'_>, now: &mut Instant, until: Instant) -> io::Result<bool> {
        let mut told = None;
        match &self.news {
            None if *now < self.next_look => return Ok(false),
            None => {}
            Some(news) => match news.poll(cx) {
                Poll::Ready(guard) => told = Some(guard),
                Poll::Pending => return Ok(false),
            },
        }
        match self.kernel.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(e),
            _ => {}
        }
        let looked = *now;
        let mut events = 0;
        let mut ahead = self.events.iter().map(|event| event.token().0).skip(1).peekable();
        for event in &self.events {
            events += 1;
            let next = ahead.next();
            self.hub.prefetch(next, ahead.peek().copied());
            *now = self.hub.worker.interlude(*now);
            if *now < until {
                self.hub.serve_event(event, *now);
                *now = Instant::now();
            } else {
                self.hub.defer_event(event);
            }
        }
        if events == EVENTS {
            self.next_look = looked;
            return Ok(true);
        }
        self.next_look = looked + self.hub.worker.pause().unwrap_or(LOOK_AGAIN);
        if let Some(mut told) = told {
            told.clear_ready();
            return Ok(true); // there may be new events
        }
        Ok(false)
    }

    fn set_alarm(&mut self) {
        let look = self.news.is_none().then_some(self.next_look);
        let next = [look, self.hub.worker.next_interlude(), self.hub.next_limit()];
        self.alarm.set(next.into_iter().flatten().min());
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.hub.worker.calls().attend(cx);
        match self.turn(cx) {
            Ok(true) => cx.waker().wake_by_ref(),
            Ok(false) => self.hub.worker.calls().rest(),
            Err(error) => {
                error!(%error, "a thread can no longer serve its WebSockets");
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

/// A server that stops drops its tasks.
impl Drop for Drive {
    fn drop(&mut self) {
        self.hub.stop();
    }
}
