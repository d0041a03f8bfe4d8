//! States too large for a datagram: a stream each.
//!
//! The newest has the highest priority, so that it need not wait for earlier ones. A stream that is not
//! complete after three round trips, and at least 250 ms, is stuck: it is reset, because a newer state makes
//! it worthless. (Resetting the previous one at each tick would never let a slow link finish any.) While the
//! peer allows no more streams, one state waits, in all its messages, and a newer one replaces it.

use bytes::{Buf, Bytes};
use driftless_proto::state::StateHead;
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
    waiting: Waiting,
    /// The stream of the first message that waits.
    opening: Option<Opening>,
    /// Oldest first. Completed ones stay until they would count as stuck, because the transport reports
    /// completion only when asked.
    streams: VecDeque<Stream>,
}

type Opening = Pin<Box<dyn Future<Output = Result<SendStream, SessionError>>>>;

/// The messages of the newest state that have no stream yet, in order.
#[derive(Debug, Default)]
struct Waiting {
    tick: Option<u32>,
    messages: VecDeque<Bytes>,
}

struct Stream {
    stream: SendStream,
    unsent: Bytes,
    since: Instant,
}

impl LargeStates {
    /// Sends a message of a state: of the same as the last one, or a newer one.
    pub(super) fn send(
        &mut self,
        session: &Session,
        message: Bytes,
        cx: &mut Context<'_>,
    ) -> Result<(), SessionError> {
        self.waiting.push(message);
        self.drive(session, cx)
    }

    /// Continues with the states being sent.
    pub(super) fn drive(&mut self, session: &Session, cx: &mut Context<'_>) -> Result<(), SessionError> {
        if self.waiting.messages.is_empty() && self.streams.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        self.reset_stuck(session, now);
        while !self.waiting.messages.is_empty() {
            let opening = self.opening.get_or_insert_with(|| {
                let session = session.clone();
                Box::pin(async move { session.open_uni().await })
            });
            let Poll::Ready(stream) = opening.as_mut().poll(cx) else { break };
            self.opening = None;
            let stream = stream?;
            self.sent = self.sent.saturating_add(1).min(i32::MAX - 1);
            let _ = stream.set_priority(self.sent);
            let unsent = self.waiting.messages.pop_front().unwrap_or_default();
            self.streams.push_back(Stream { stream, unsent, since: now });
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

impl Waiting {
    /// Adds a message. What waits of an earlier state is worthless then.
    fn push(&mut self, message: Bytes) {
        let tick = StateHead::split(&message).ok().flatten().map(|(head, _)| head.tick);
        if tick != self.tick {
            self.messages.clear();
            self.tick = tick;
        }
        self.messages.push_back(message);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tick: u32, number: u32) -> Bytes {
        let head = StateHead { tick, baseline: None, prior: None, input: 0, number, apart: false };
        let mut message = Vec::new();
        head.write(0, &mut message);
        message.into()
    }

    // Promise 2: "State it misses is superseded, never replayed late."
    #[test]
    fn while_there_is_no_stream_all_messages_of_the_newest_state_wait() {
        let mut waiting = Waiting::default();
        let sent = [(7, 7), (7, 8), (7, 9), (8, 10), (8, 11)].map(|(tick, number)| message(tick, number));
        for messages in [&sent[..3], &sent[3..]] {
            messages.iter().cloned().for_each(|message| waiting.push(message));
            assert_eq!(waiting.messages.make_contiguous(), messages);
        }
    }
}
