//! A reader, as the body of an answer.

use crate::{
    clock,
    topics::{EventId, Goodbye, Reader, Since, Step, between},
};
use actix_rt::time::{Sleep, sleep_until};
use bytes::Bytes;
use futures_util::Stream;
use serde_json::json;
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// After this much silence a comment is sent, so that proxies keep the connection and both ends see that it
/// is alive.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// When a reader that has lost its connection comes back: not before this, and not all at once.
const BACK: Duration = Duration::from_secs(1);

/// The events of a reader, as text.
pub(super) struct Events {
    reader: Reader,
    /// When something was sent last.
    sent: Instant,
    /// Wakes it when a comment is due, or when the reader may read no longer.
    timer: Pin<Box<Sleep>>,
    over: bool,
}

impl Events {
    pub(super) fn new(reader: Reader) -> Self {
        let sent = clock::now();
        let timer = Box::pin(sleep_until(wake_at(&reader, sent).into()));
        Self { reader, sent, timer, over: false }
    }

    fn step(&mut self, step: Step) -> Bytes {
        match step {
            Step::Event(event) => event.sse.clone(),
            Step::Begun { at, missed_after } => begin(at, missed_after),
            Step::Over(goodbye) => {
                self.over = true;
                farewell(goodbye)
            }
        }
    }
}

/// When the next comment is due, or the end.
fn wake_at(reader: &Reader, sent: Instant) -> Instant {
    let heartbeat = sent + HEARTBEAT;
    reader.ends_at().map_or(heartbeat, |end| end.min(heartbeat))
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        loop {
            let now = clock::now();
            if let Poll::Ready(step) = this.reader.poll(now, context) {
                this.sent = now;
                return Poll::Ready(Some(Ok(this.step(step))));
            }
            // An event does not set the timer anew: that would cost more than the event.
            if this.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let is_due = this.sent + HEARTBEAT <= now;
            if is_due {
                this.sent = now;
            }
            let next = wake_at(&this.reader, this.sent);
            this.timer.as_mut().reset(next.into());
            if is_due {
                return Poll::Ready(Some(Ok(Bytes::from_static(b": still here\n\n"))));
            }
        }
    }
}

/// The id counts although there is no event: whoever loses the connection before the first one misses
/// nothing.
fn begin(at: EventId, missed_after: Option<Since>) -> Bytes {
    let retry = between(BACK, 2 * BACK).as_millis();
    let gap = missed_after.map(|after| {
        let data = json!({ "after": after.to_string() });
        format!("id: {at}\nevent: gap\ndata: {data}\n\n")
    });
    format!("retry: {retry}\nid: {at}\n\n{}", gap.unwrap_or_default()).into()
}

fn farewell(Goodbye { code, reason, back_in }: Goodbye) -> Bytes {
    let retry = back_in.map(|back_in| format!("retry: {}\n", back_in.as_millis())).unwrap_or_default();
    let data = json!({ "code": code.name(), "reason": reason });
    format!("{retry}event: goodbye\ndata: {data}\n\n").into()
}
