//! Control messages that wait to be sent.

use crate::wire::{
    Goodbye, ServerMessage, ServerPong, Welcome,
    server_message::{self, Body},
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

    /// Writes the next, if any.
    pub(super) fn poll(&mut self, server_time_us: u64, command_received: u64, out: &mut BytesMut) -> bool {
        let body = if let Some(mut welcome) = self.welcome.take() {
            welcome.server_time_us = server_time_us;
            Body::Welcome(*welcome)
        } else if let Some(time_us) = self.pong.take() {
            Body::Pong(ServerPong { time_us, server_time_us, command_received })
        } else if let Some(time_us) = self.ping.take() {
            Body::ServerPing(server_message::Ping { time_us })
        } else if let Some(goodbye) = self.goodbye.take() {
            Body::Goodbye(*goodbye)
        } else {
            return false;
        };
        ServerMessage { body: Some(body) }.encode(out).is_ok()
    }
}
