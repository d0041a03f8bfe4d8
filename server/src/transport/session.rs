//! One connection over datagrams and streams: what QUIC and WebTransport have in common, which is everything
//! but their beginning.
//!
//! | what | lane | if it cannot be sent now |
//! | --- | --- | --- |
//! | welcome, reliable messages, goodbye | the reliable stream, which the client opens: each message after its length | waits, in the seat's bounded queue |
//! | ping, pong, a state that fits | one datagram each | an older one that waits is dropped |
//! | a state too large for a datagram | a stream of its own, newer ones first | a newer one replaces it, see [`large`] |
//!
//! One task reads datagrams, reads the stream and writes, in this order, so that what an input makes due is
//! sent in the same turn. Streams that a client opens in addition to the first are not read; the transport's
//! windows bound what they can hold.
//!
//! **The end.** If the server ends it: the goodbye, then the end of the stream, then at most 3 s for the peer
//! to receive both, then the close of the session with the same code and reason. The peer ends it by its
//! close, the end of its half of the stream, or silence. A peer that breaks the rules of the transport gets
//! only the close.

mod inbound;
mod large;
mod outbound;
mod part;

use super::CLOSE_LIMIT;
use crate::{
    connection::{End, PeerRef, Worker},
    ground::refusal::Refusal,
};
use driftless_proto::code::CloseCode;
use inbound::Violation;
use outbound::Outgoing;
use part::Part;
use std::{cell::RefCell, future::poll_fn, pin::pin, rc::Rc, task::Poll};
use tokio::time::timeout;
use web_transport_quinn::{SendStream, Session, SessionError};

/// Longest reason of a close, bytes (draft-ietf-webtrans-http3, section 5).
const MAX_REASON: usize = 1024;

/// Prefix of each datagram of a session. On WebTransport it is the session's number (as a variable-length
/// integer), which is that of the request's stream; that is the connection's first stream, so the number is
/// 0.
fn datagram_header(session: &Session) -> &'static [u8] {
    if session.request().is_some() { &[0] } else { &[] }
}

/// How a part of the task ended.
enum Outcome {
    /// The session has ended: its goodbye is in the stream's buffer, if there is a stream.
    Closing,
    /// The connection is lost.
    Lost(SessionError),
    /// The peer broke a rule.
    Violation(Violation),
    /// The peer ended the reliable stream, as one does that goes without a leave and may come back. For the
    /// room this is a lost connection.
    StreamEnded(Violation),
}

/// Serves a connection until it ends.
pub(super) async fn serve(session: Session, peer: PeerRef, worker: Rc<Worker>, max_message: usize) {
    let _end = EndOnDrop(peer.clone());
    // The reader leaves our half of the reliable stream here for the writer.
    let stream = RefCell::new(None);
    let mut outgoing = Outgoing::new(&session, &peer, &worker, &stream);
    let datagrams = pin!(inbound::datagrams(&session, &peer, &worker));
    let messages = pin!(inbound::stream(&session, &peer, &worker, &stream, max_message));
    let task = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let (mut datagrams, mut messages) = (Part::new(datagrams, &task), Part::new(messages, &task));
    let outcome = poll_fn(|cx| {
        for reader in [datagrams.poll(), messages.poll()] {
            if reader.is_ready() {
                return reader;
            }
        }
        outgoing.poll(cx)
    })
    .await;
    match outcome {
        Outcome::Closing => {
            let unsent = outgoing.into_unsent();
            let _ = timeout(CLOSE_LIMIT, say_goodbye(stream.take(), &unsent)).await;
            close(&session, &ending_of(&peer)).await;
        }
        Outcome::Lost(error) => peer.borrow_mut().end(End::Lost(error.to_string())),
        Outcome::Violation(Violation { code, reason }) => {
            // The room is told before the peer has time to react.
            peer.borrow_mut().end(End::Closed { code, reason: reason.clone() });
            close(&session, &Refusal::new(code, &reason)).await;
        }
        Outcome::StreamEnded(Violation { code, reason }) => {
            peer.borrow_mut().end(End::Lost(reason.clone()));
            close(&session, &Refusal::new(code, &reason)).await;
        }
    }
}

/// Closes a session, and waits until the peer knows (at most 3 s).
pub(super) async fn close(session: &Session, ending: &Refusal) {
    let mut reason = ending.reason.as_str();
    while reason.len() > MAX_REASON {
        let end = (0..=MAX_REASON).rev().find(|end| reason.is_char_boundary(*end));
        reason = &reason[..end.unwrap_or(0)];
    }
    session.close(ending.code.number().into(), reason.as_bytes());
    let _ = timeout(CLOSE_LIMIT, session.closed()).await;
}

/// Writes what is left, the goodbye last, and waits until the peer has it.
async fn say_goodbye(stream: Option<SendStream>, unsent: &[u8]) {
    let Some(mut stream) = stream else { return };
    if stream.write_all(unsent).await.is_ok() && stream.finish().is_ok() {
        let _ = stream.stopped().await;
    }
}

fn ending_of(peer: &PeerRef) -> Refusal {
    let peer = peer.borrow();
    let code = peer.session.closing().unwrap_or(CloseCode::Internal);
    Refusal::new(code, &peer.session.closing_reason().unwrap_or_default())
}

/// A server that stops drops its tasks; the actor must be told all the same.
struct EndOnDrop(PeerRef);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.borrow_mut().end(End::Lost("the server stopped".to_owned()));
    }
}
