//! States too large for a datagram: a stream each.
//!
//! The newest has the highest priority, so that it need not wait for earlier ones. A stream that is not
//! complete after three round trips, and at least 250 ms, is stuck: it is reset, because a newer state makes
//! it worthless. (Resetting the previous one at each tick would never let a slow link finish any.) While the
//! peer allows no more streams, one state waits, and a newer one replaces it.

use bytes::{Buf, Bytes};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use web_transport_quinn::{SendStream, Session, SessionError, WriteError, generic::poll::SendStream as _};

/// A stream never counts as stuck before this time.
const MIN_STUCK: Duration = Duration::from_millis(250);
/// Error code of a reset: the state is superseded.
const SUPERSEDED: u32 = 0;

/// Large states being sent.
#[derive(Default)]
pub(super) struct LargeStates {
    /// Number of states sent this way, which is the next one's priority.
    sent: i32,
    /// The newest state, while it has no stream yet.
    opening: Option<Opening>,
    /// Oldest first. Completed ones stay until they would count as stuck, because the transport reports
    /// completion only when asked.
    streams: VecDeque<Stream>,
}

struct Opening {
    stream: Pin<Box<dyn Future<Output = Result<SendStream, SessionError>>>>,
    message: Bytes,
}

struct Stream {
    stream: SendStream,
    unsent: Bytes,
    since: Instant,
}

impl LargeStates {
    /// Sends a state, newer than all before it.
    pub(super) fn send(
        &mut self,
        session: &Session,
        message: Bytes,
        cx: &mut Context<'_>,
    ) -> Result<(), SessionError> {
        match &mut self.opening {
            Some(opening) => opening.message = message,
            None => {
                let session = session.clone();
                let stream = Box::pin(async move { session.open_uni().await });
                self.opening = Some(Opening { stream, message });
            }
        }
        self.drive(session, cx)
    }

    /// Continues with the states being sent.
    pub(super) fn drive(&mut self, session: &Session, cx: &mut Context<'_>) -> Result<(), SessionError> {
        if self.opening.is_none() && self.streams.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        self.reset_stuck(session, now);
        if let Some(mut opening) = self.opening.take() {
            match opening.stream.as_mut().poll(cx) {
                Poll::Pending => self.opening = Some(opening),
                Poll::Ready(stream) => {
                    let stream = stream?;
                    self.sent = self.sent.saturating_add(1).min(i32::MAX - 1);
                    let _ = stream.set_priority(self.sent);
                    self.streams.push_back(Stream { stream, unsent: opening.message, since: now });
                }
            }
        }
        self.streams.retain_mut(|stream| stream.drive(cx));
        Ok(())
    }

    fn reset_stuck(&mut self, session: &Session, now: Instant) {
        let limit = (session.rtt() * 3).max(MIN_STUCK);
        while let Some(oldest) = self.streams.front_mut()
            && now.saturating_duration_since(oldest.since) > limit
        {
            // An error means that the peer has all of it.
            let _ = oldest.stream.reset(SUPERSEDED);
            self.streams.pop_front();
        }
    }
}

impl Stream {
    /// Writes as much as there is room for. False: the stream needs no more work.
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if self.unsent.is_empty() {
            return true;
        }
        while !self.unsent.is_empty() {
            match self.stream.poll_write(cx, &self.unsent) {
                Poll::Pending => return true,
                Poll::Ready(Ok(written)) => self.unsent.advance(written),
                Poll::Ready(Err(WriteError::Stopped(_) | WriteError::InvalidStopped(_))) => return false,
                // The end of the connection is noticed elsewhere.
                Poll::Ready(Err(_)) => return false,
            }
        }
        self.stream.finish().is_ok()
    }
}
