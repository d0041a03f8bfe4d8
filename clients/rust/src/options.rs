//! Where to connect, and as whom.

use crate::{
    Backoff, TokenSource,
    transport::{Endpoint, TransportKind, Trust},
};
use driftless_proto::{limits::PROTOCOL, session::client::ClientConfig, wire};
use std::time::Duration;

/// Where to connect, as whom, and how. Create it with [`Options::new`], then change individual fields.
#[derive(Debug, Clone)]
pub struct Options {
    /// `ws://host:port`, or `wss://` for a server with TLS, followed by the path if it is not `/v1/connect`.
    /// For all transports: QUIC and WebTransport use the same number as their UDP port.
    pub url: String,
    /// Room to enter: 1 to 64 characters of `[A-Za-z0-9._-]`, not beginning with `.` or `-`. Created if it
    /// does not exist.
    pub room: String,
    /// Kind of game that the room must have. Default: empty, the server's default kind.
    pub kind: String,
    /// Options for the room if this join creates it, as JSON for its game: `{"respawn_s": 5}`. At most 1 KiB.
    /// Default: empty, the game's defaults. Servers refuse options here unless they run with
    /// `--join-options`.
    pub room_options: String,
    /// A seat that is kept in the room, as `POST /v1/match` has answered. A join with one makes no room.
    /// Default: empty, none.
    pub reservation: String,
    /// Display name, at most 32 characters: see [`driftless_proto::names::display_name`]. Default: empty, the
    /// user id, which the server assigns.
    pub name: String,
    /// Whether to watch the room instead of playing in it: there is no seat, and nothing may be sent. A
    /// spectator makes no room, and joins again when the connection was lost. Default: false.
    pub spectate: bool,
    /// Where to get the token that says who the player is, for a server that wants one. Default: none, a
    /// guest.
    pub token: Option<TokenSource>,
    /// The trace of which the client's coming is a part: the `traceparent` of W3C Trace Context. Default:
    /// empty, none.
    pub traceparent: String,
    /// Transports to try, in order of preference. Default: QUIC, then WebSocket.
    pub transports: Vec<TransportKind>,
    /// How long a transport is tried, at least, before the next one is tried in parallel. Default: 250 ms, as
    /// RFC 8305 recommends for addresses. If a measured round trip shows that a transport's handshakes take
    /// longer, it gets as much time as they take and half as much again, up to 2 s. The cost of a longer
    /// time: behind a firewall that drops UDP, a player connects later.
    pub head_start: Duration,
    /// Which certificates to trust, for QUIC, WebTransport and `wss://`. Default: [`Trust::Fetch`]; without
    /// `wss://`, that is for development.
    pub trust: Trust,
    /// A UDP socket for QUIC and WebTransport, to be shared by many clients. Default: none, so each client
    /// makes its own when it first needs one.
    pub endpoint: Option<Endpoint>,
    /// Longest time for each transport's handshakes, and to get a token. Default: 10 s.
    pub connect_timeout: Duration,
    /// Longest message to accept from the server, bytes. A full state of a large room must fit. Default: 1
    /// MiB.
    pub max_message_bytes: usize,
    /// Waits between attempts to reconnect. Default: up to 1 s, doubling up to 30 s.
    pub backoff: Backoff,
    /// Failed attempts in a row before giving up; an attempt fails if it brings no state. Default: none, try
    /// forever.
    pub max_attempts: Option<u32>,
    /// Seed for the jitter of the waits. Default: none, a different one each time.
    pub seed: Option<u64>,
    /// Whether to keep the members of the room: [`Client::members`](crate::Client::members). Default: true.
    /// It costs memory for each member, which matters for many bots in large rooms.
    pub keep_members: bool,
    /// Session settings: ping interval, silence timeout, column codings, commands kept.
    pub session: ClientConfig,
}

impl Options {
    /// Defaults for everything but the URL and the room.
    pub fn new(url: impl Into<String>, room: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            room: room.into(),
            kind: String::new(),
            room_options: String::new(),
            reservation: String::new(),
            name: String::new(),
            spectate: false,
            token: None,
            traceparent: String::new(),
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

    /// Sets the options for the room if this join creates it.
    pub fn room_options(mut self, json: impl Into<String>) -> Self {
        self.room_options = json.into();
        self
    }

    /// Takes the seat that is kept in the room with this reservation.
    pub fn reservation(mut self, reservation: impl Into<String>) -> Self {
        self.reservation = reservation.into();
        self
    }

    /// Sets the display name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Watches the room instead of playing in it.
    pub fn spectate(mut self) -> Self {
        self.spectate = true;
        self
    }

    /// Sets a token that is valid for as long as the player plays.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(TokenSource::fixed(token));
        self
    }

    /// Sets where to get tokens: asked for each connection, and before the old one expires. An error is what
    /// went wrong, for people; if it may work later, the client tries again.
    pub fn token_from<F>(mut self, get: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        self.token = Some(TokenSource::new(get));
        self
    }

    /// Sets the transports to try.
    pub fn transports(mut self, transports: impl Into<Vec<TransportKind>>) -> Self {
        self.transports = transports.into();
        self
    }

    /// The join message for these options.
    pub(crate) fn join(&self) -> wire::Join {
        wire::Join {
            protocol: PROTOCOL,
            room: self.room.clone(),
            kind: self.kind.clone(),
            name: self.name.clone(),
            options: self.room_options.clone(),
            spectate: self.spectate,
            codings: self.session.codings.iter().map(|c| *c as i32).collect(),
            identity_token: String::new(), // each connection gets its own
            traceparent: self.traceparent.clone(),
            reservation: self.reservation.clone(),
        }
    }
}
