//! Receiving: datagrams, and messages on the reliable stream.

use super::{Outcome, datagram_header};
use crate::connection::{PeerRef, Worker};
use bytes::{Buf, Bytes};
use driftless_proto::{
    code::CloseCode,
    framing::{Framing, FramingError},
};
use std::{cell::RefCell, future::pending, time::Instant};
use web_transport_quinn::{ReadError, SendStream, Session, quinn::Connection};

/// A violation by the peer.
pub(super) struct Violation {
    /// The close code it gets.
    pub(super) code: CloseCode,
    /// The reason.
    pub(super) reason: String,
}

/// Receives datagrams until the connection ends.
pub(super) async fn datagrams(session: &Session, peer: &PeerRef, worker: &Worker) -> Outcome {
    let header = datagram_header(session);
    // Quinn's connection, because the session's own method takes the connection's lock twice more per
    // datagram.
    let connection: &Connection = session;
    loop {
        match connection.read_datagram().await {
            Ok(mut message) if message.starts_with(header) => {
                message.advance(header.len());
                peer.borrow_mut().receive(worker, Instant::now(), message);
            }
            Ok(_) => {
                return Violation::outcome(CloseCode::Malformed, "a datagram that belongs to no session");
            }
            Err(error) => return Outcome::Lost(error.into()),
        }
    }
}

/// Waits for the reliable stream, leaves our half of it in `ours`, and receives messages until the connection
/// ends.
pub(super) async fn stream(
    session: &Session,
    peer: &PeerRef,
    worker: &Worker,
    ours: &RefCell<Option<SendStream>>,
    max_message: usize,
) -> Outcome {
    let (send, mut receive) = match session.accept_bi().await {
        Ok(halves) => halves,
        Err(error) => return Outcome::Lost(error),
    };
    // States, on streams of their own, come after.
    let _ = send.set_priority(i32::MAX);
    *ours.borrow_mut() = Some(send);
    let mut framing = Framing::new(max_message);
    loop {
        let mut chunk = match receive.read_chunk(max_message, true).await {
            Ok(Some(chunk)) => chunk.bytes,
            Err(ReadError::SessionError(error)) => return Outcome::Lost(error),
            // The end of a stream whose session is closing has no further meaning.
            Ok(None) | Err(_) if peer.borrow().session.closing().is_some() => return pending().await,
            Ok(None) if framing.is_between_messages() => {
                return stream_ended(CloseCode::Unexpected, "the reliable stream ended without a leave");
            }
            Ok(None) => {
                return stream_ended(CloseCode::Malformed, "the reliable stream ended within a message");
            }
            Err(_) => return stream_ended(CloseCode::Unexpected, "the reliable stream was reset"),
        };
        if let Err(error) = receive_all(&mut framing, &mut chunk, peer, worker) {
            let code = match error {
                FramingError::TooLarge { .. } => CloseCode::TooLarge,
                FramingError::BadLength => CloseCode::Malformed,
            };
            return Violation::outcome(code, &error.to_string());
        }
    }
}

fn receive_all(
    framing: &mut Framing,
    chunk: &mut Bytes,
    peer: &PeerRef,
    worker: &Worker,
) -> Result<(), FramingError> {
    while let Some(message) = framing.next_message(chunk)? {
        peer.borrow_mut().receive(worker, Instant::now(), message);
    }
    Ok(())
}

fn stream_ended(code: CloseCode, reason: &str) -> Outcome {
    Outcome::StreamEnded(Violation { code, reason: reason.to_owned() })
}

impl Violation {
    pub(super) fn outcome(code: CloseCode, reason: &str) -> Outcome {
        Outcome::Violation(Self { code, reason: reason.to_owned() })
    }
}
