//! What a player wants to connect to, and as whom.

use crate::{
    Backoff,
    transport::{Endpoint, TransportKind, Trust},
};
use driftless_proto::{limits::PROTOCOL, session::client::ClientConfig, wire};
use std::time::Duration;

/// Where to connect, as whom, and how. Made with [`Options::new`], then changed field by field.
#[derive(Debug, Clone)]
pub struct Options {
    /// `ws://host:port`, or `wss://` to a server with TLS; with the path if it is not `/v1/connect`. For all transports: QUIC and WebTransport use the
    /// same number as UDP port.
    pub url: String,
    /// Room to enter, 1 to 64 characters of `[A-Za-z0-9._-]`, the first no `.` or `-`. Created if it is not there.
    pub room: String,
    /// Kind of game the room must be. Default: empty, the server's default kind.
    pub kind: String,
    /// Options for the room if this join makes it, as JSON for its game: `{"respawn_s": 5}`. At most 1 KiB. Default: empty, the game's
    /// defaults. Servers take none here unless they run with `--join-options`.
    pub room_options: String,
    /// Name to show, at most 32 characters: see [`driftless_proto::names::display_name`]. Default: empty, the user's id,
    /// which the server makes up.
    pub name: String,
    /// Transports to try, the best first. Default: QUIC, then WebSocket.
    pub transports: Vec<TransportKind>,
    /// How long a transport is tried, at least, before the next one is tried beside it. Default: 250 ms, as RFC 8305
    /// recommends for addresses. Where a round trip has been seen that makes a transport's handshakes longer than this, it
    /// gets as much time as they take and half as much again, up to 2 s. Longer: a player behind a firewall that drops
    /// UDP is in later.
    pub head_start: Duration,
    /// Whom to take for the server over QUIC and WebTransport. Default: [`Trust::Fetch`], for development.
    pub trust: Trust,
    /// A UDP socket for QUIC and WebTransport, to share one between many clients. Default: none, each client makes
    /// its own when it first needs one.
    pub endpoint: Option<Endpoint>,
    /// Longest to wait for each transport's handshakes. Default: 10 s.
    pub connect_timeout: Duration,
    /// Longest message to take from the server, bytes. A full state of a large room must fit. Default: 1 MiB.
    pub max_message_bytes: usize,
    /// Waits between attempts to reconnect. Default: up to 1 s, doubling up to 30 s.
    pub backoff: Backoff,
    /// Failed attempts in a row before giving up: those that brought no state. Default: none, try for ever.
    pub max_attempts: Option<u32>,
    /// Seed of the jitter of the waits. Default: none, a different one each time.
    pub seed: Option<u64>,
    /// Whether to keep who is in the room: [`Client::members`](crate::Client::members). Default: true. It costs memory
    /// for each member, which many bots in large rooms may not have to spare.
    pub keep_members: bool,
    /// Session: ping interval, silence timeout, column codings, commands kept.
    pub session: ClientConfig,
}

impl Options {
    /// Defaults for everything but the address and the room.
    pub fn new(url: impl Into<String>, room: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            room: room.into(),
            kind: String::new(),
            room_options: String::new(),
            name: String::new(),
            transports: vec![TransportKind::Quic, TransportKind::WebSocket],
            head_start: Duration::from_millis(250),
            trust: Trust::Fetch,
            endpoint: None,
            connect_timeout: Duration::from_secs(10),
            max_message_bytes: 1024 * 1024,
            backoff: Backoff::default(),
            max_attempts: None,
            seed: None,
            keep_members: true,
            session: ClientConfig::default(),
        }
    }

    /// Sets the kind of game.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }

    /// Sets the options for the room if this join makes it.
    pub fn room_options(mut self, json: impl Into<String>) -> Self {
        self.room_options = json.into();
        self
    }

    /// Sets the name to show.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the transports to try.
    pub fn transports(mut self, transports: impl Into<Vec<TransportKind>>) -> Self {
        self.transports = transports.into();
        self
    }

    /// The join message that these options make.
    pub(crate) fn join(&self) -> wire::Join {
        wire::Join {
            protocol: PROTOCOL,
            room: self.room.clone(),
            kind: self.kind.clone(),
            name: self.name.clone(),
            options: self.room_options.clone(),
            codings: self.session.codings.iter().map(|c| *c as i32).collect(),
        }
    }
}
