//! Control messages that wait to be sent.

use crate::{
    lane::Lane,
    wire::{
        Goodbye, ServerMessage, ServerPong, TokenExpires, Welcome,
        server_message::{self, Body},
    },
};
use bytes::BytesMut;
use prost::Message as _;

/// At most one of each, so that a peer that asks and does not read cannot make them pile up.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// The welcome or, once the session is closing, the goodbye.
    reliable: Option<Box<Body>>,
    /// The client's token is about to expire, in milliseconds.
    token_expires: Option<u32>,
    /// Whether there is a pong, or a ping.
    has_pong: bool,
    has_ping: bool,
    /// Time in the client's newest ping.
    pong: u64,
    /// Time in the server's newest ping.
    ping: u64,
}

impl Control {
    /// Only a goodbye: nothing else will be sent.
    pub(super) fn goodbye(goodbye: Goodbye) -> Self {
        Self { reliable: Some(Box::new(Body::Goodbye(goodbye))), ..Self::default() }
    }

    pub(super) fn welcome(&mut self, welcome: Welcome) {
        self.reliable = Some(Box::new(Body::Welcome(welcome)));
    }

    /// Answers the client's newest ping.
    pub(super) fn pong(&mut self, time_us: u64) {
        (self.has_pong, self.pong) = (true, time_us);
    }

    pub(super) fn ping(&mut self, time_us: u64) {
        (self.has_ping, self.ping) = (true, time_us);
    }

    /// Asks for a fresh token.
    pub(super) fn token_expires(&mut self, in_ms: u32) {
        self.token_expires = Some(in_ms);
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.reliable.is_none() && self.token_expires.is_none() && !self.has_pong && !self.has_ping
    }

    /// Writes the next message that takes this lane, if any.
    pub(super) fn poll(
        &mut self,
        lane: Lane,
        server_time_us: u64,
        command_received: u64,
        out: &mut BytesMut,
    ) -> bool {
        let body = match lane {
            Lane::Reliable => self.next_reliable(server_time_us),
            Lane::Unreliable => self.next_unreliable(server_time_us, command_received),
        };
        body.is_some_and(|body| ServerMessage { body: Some(body) }.encode(out).is_ok())
    }

    fn next_reliable(&mut self, server_time_us: u64) -> Option<Body> {
        let Some(body) = self.reliable.take() else {
            return self.token_expires.take().map(|in_ms| Body::TokenExpires(TokenExpires { in_ms }));
        };
        let mut body = *body;
        if let Body::Welcome(welcome) = &mut body {
            welcome.server_time_us = server_time_us;
        }
        Some(body)
    }

    fn next_unreliable(&mut self, server_time_us: u64, command_received: u64) -> Option<Body> {
        if std::mem::take(&mut self.has_pong) {
            return Some(Body::Pong(ServerPong { time_us: self.pong, server_time_us, command_received }));
        }
        std::mem::take(&mut self.has_ping)
            .then(|| Body::ServerPing(server_message::Ping { time_us: self.ping }))
    }
}
