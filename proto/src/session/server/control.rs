//! Control messages that wait to be sent.

use crate::{
    lane::Lane,
    wire::{
        Goodbye, ServerMessage, ServerPong, Welcome,
        server_message::{self, Body},
    },
};
use bytes::BytesMut;
use prost::Message as _;

/// At most one of each, so that a peer who asks and does not read cannot make them pile up.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) welcome: Option<Box<Welcome>>,
    /// Time in the client's newest ping.
    pub(super) pong: Option<u64>,
    /// Time in the server's newest ping.
    pub(super) ping: Option<u64>,
    pub(super) goodbye: Option<Box<Goodbye>>,
}

impl Control {
    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.welcome.is_none() && self.pong.is_none() && self.ping.is_none() && self.goodbye.is_none()
    }

    /// Writes the next that takes this lane, if any.
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
        let welcome = self.welcome.take().map(|mut welcome| {
            welcome.server_time_us = server_time_us;
            Body::Welcome(*welcome)
        });
        welcome.or_else(|| self.goodbye.take().map(|goodbye| Body::Goodbye(*goodbye)))
    }

    fn next_unreliable(&mut self, server_time_us: u64, command_received: u64) -> Option<Body> {
        let pong = self
            .pong
            .take()
            .map(|time_us| Body::Pong(ServerPong { time_us, server_time_us, command_received }));
        pong.or_else(|| self.ping.take().map(|time_us| Body::ServerPing(server_message::Ping { time_us })))
    }
}
