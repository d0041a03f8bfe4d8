//! Sending: messages are pulled out of the peer when the network has room.

use super::{Outcome, Violation, datagram_header, large::LargeStates};
use crate::connection::{Outbound, PeerRef, Worker};
use bytes::{Buf, BufMut, BytesMut};
use driftless_proto::{code::CloseCode, framing::put_message};
use std::{
    cell::RefCell,
    task::{Context, Poll, ready},
    time::Instant,
};
use web_transport_quinn::{
    SendStream, Session, SessionError,
    generic::poll::SendStream as _,
    quinn::{Connection, SendDatagramError},
};

/// Bytes of reliable messages that are assembled before they are offered to the stream.
const BATCH: usize = 16 * 1024;

/// The sending side of a connection.
pub(super) struct Outgoing<'a> {
    session: &'a Session,
    peer: &'a PeerRef,
    worker: &'a Worker,
    /// Our half of the reliable stream, once the client has opened it.
    stream: &'a RefCell<Option<SendStream>>,
    /// What the stream had no room for. Until it is sent, no more reliable messages are pulled.
    unsent: BytesMut,
    /// Datagrams are split off from this buffer, so that one allocation serves many.
    datagrams: BytesMut,
    large: LargeStates,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(
        session: &'a Session,
        peer: &'a PeerRef,
        worker: &'a Worker,
        stream: &'a RefCell<Option<SendStream>>,
    ) -> Self {
        let (unsent, datagrams) = (BytesMut::new(), BytesMut::new());
        Self { session, peer, worker, stream, unsent, datagrams, large: LargeStates::default() }
    }

    /// Sends what can be sent. Ready: nothing more will be sent.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.peer.borrow_mut().register(cx);
        if let Poll::Ready(outcome) = self.poll_reliable(cx) {
            return Poll::Ready(outcome);
        }
        if let Err(error) = self.send_unreliable(cx) {
            return Poll::Ready(Outcome::Lost(error));
        }
        Poll::Pending
    }

    /// What the reliable stream has not taken yet.
    pub(super) fn into_unsent(self) -> BytesMut {
        self.unsent
    }

    /// Pending: the stream is full, there is nothing to send, or there is no stream yet.
    fn poll_reliable(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = stream.as_mut() else {
            return match self.peer.borrow().session.closing() {
                Some(_) => Poll::Ready(Outcome::Closing),
                None => Poll::Pending,
            };
        };
        loop {
            let full = match poll_flush(stream, &mut self.unsent, cx) {
                Poll::Ready(Some(outcome)) => return Poll::Ready(outcome),
                Poll::Ready(None) => false,
                Poll::Pending => true,
            };
            let mut peer = self.peer.borrow_mut();
            // A full stream does not delay an end: the goodbye has the time limit of a close to get through,
            // and no longer.
            if !peer.wants_transmit() || (full && peer.session.closing().is_none()) {
                return Poll::Pending;
            }
            let now = Instant::now();
            let mut message = self.worker.scratch();
            while full || self.unsent.len() < BATCH {
                message.clear();
                match peer.next_reliable(self.worker, now, &mut message) {
                    Outbound::Message => put_message(&message, &mut self.unsent),
                    Outbound::Idle => break,
                    Outbound::Close(_) => return Poll::Ready(Outcome::Closing),
                }
            }
            if self.unsent.is_empty() {
                return Poll::Pending;
            }
        }
    }

    fn send_unreliable(&mut self, cx: &mut Context<'_>) -> Result<(), SessionError> {
        self.large.drive(self.session, cx)?;
        let mut peer = self.peer.borrow_mut();
        if !peer.session.wants_transmit() {
            return Ok(());
        }
        let (now, header) = (Instant::now(), datagram_header(self.session));
        // Quinn's connection, because the session's own method would copy the message to prepend the header.
        let connection: &Connection = self.session;
        let Self { session, worker, datagrams, large, .. } = self;
        let message_bytes = connection.max_datagram_size().map_or(usize::MAX, |most| most - header.len());
        let mut result = Ok(());
        datagrams.put_slice(header);
        while peer.next_unreliable(worker, now, message_bytes, datagrams, |datagrams| {
            let mut message = datagrams.split().freeze();
            datagrams.put_slice(header);
            match connection.send_datagram(message.clone()) {
                Ok(()) => {}
                Err(SendDatagramError::ConnectionLost(error)) => result = Err(error.into()),
                // Too large for what the path takes now, or the peer does not take datagrams.
                Err(_) => {
                    message.advance(header.len());
                    if let Err(error) = large.send(session, message, cx) {
                        result = Err(error);
                    }
                }
            }
        }) && result.is_ok()
        {}
        datagrams.clear();
        result
    }
}

/// Ready(None): everything is written.
fn poll_flush(stream: &mut SendStream, unsent: &mut BytesMut, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
    while !unsent.is_empty() {
        match ready!(stream.poll_write(cx, unsent)) {
            Ok(written) => unsent.advance(written),
            Err(web_transport_quinn::WriteError::SessionError(error)) => {
                return Poll::Ready(Some(Outcome::Lost(error)));
            }
            Err(error) => {
                return Poll::Ready(Some(Violation::outcome(CloseCode::Unexpected, &error.to_string())));
            }
        }
    }
    if unsent.capacity() > 0 {
        *unsent = BytesMut::new(); // a peer that keeps up needs no memory here
    }
    Poll::Ready(None)
}
