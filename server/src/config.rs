//! Settings: flags over the environment over a file over defaults, each option in one place (`Options`).
//!
//! Three steps: `Layers` finds the strongest text given for each key and remembers where it was, `resolve` reads and
//! checks it, and `Config` is what the server runs with. A bad value fails here, with the key, the value, where it
//! came from and what is allowed.

mod layers;
mod options;
mod resolve;
mod units;

pub use layers::{Layers, Origin, Source};
pub use options::{Options, Text};
pub use resolve::{Resolved, Setting, resolve};
pub use units::{Size, Span};

use crate::http::AdminToken;
use crate::tls::{PemFiles, TlsError};
use driftless_proto::limits::Limits;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// What a server runs with, after flags, environment, file and defaults are put together and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where HTTP and WebSocket listen.
    pub listen: SocketAddr,
    /// QUIC and WebTransport.
    pub quic: QuicConfig,
    /// Allows `listen` to be other than loopback while there is no authentication.
    pub insecure: bool,
    /// Certificate of QUIC, HTTPS and secure WebSockets. None: HTTP as it is, and QUIC with a self-signed certificate.
    pub tls: Option<PemFiles>,
    /// What operators have to send who drain, close, remove and watch. None: only those on this machine may.
    pub admin_token: Option<AdminToken>,
    /// Threads that serve connections.
    pub workers: usize,
    /// Threads that run rooms.
    pub room_threads: usize,
    /// How long a busy thread that serves connections pauses between two rounds, to serve many with one wake-up. Zero: never.
    pub coalesce: Duration,
    /// Kind of game of a room whose creator names none.
    pub default_kind: String,
    /// Ticks a second of a room whose creator names none, 1 to 128.
    pub tick_rate: u32,
    /// Most players of a room whose creator names none.
    pub max_players: u32,
    /// Most rooms.
    pub max_rooms: usize,
    /// Most connections.
    pub max_connections: usize,
    /// Most connections from one address (loopback addresses are not limited: a proxy on this host has one).
    pub max_connections_per_address: usize,
    /// How long an empty room lives on.
    pub linger: Duration,
    /// How long a seat is kept without a connection.
    pub resume_window: Duration,
    /// Limits of each connection.
    pub limits: Limits,
    /// Which log lines are written: `tracing` directives ("info,driftless_server=debug").
    pub log: String,
    /// How they are written.
    pub log_format: LogFormat,
    /// Folder for recordings of all rooms. None: nothing is recorded.
    pub record: Option<PathBuf>,
    /// How a drain spreads the clients' reconnects.
    pub drain_spread: Duration,
}

/// Settings of QUIC and WebTransport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuicConfig {
    /// Where they listen.
    pub listen: QuicListen,
    /// Most handshakes in progress: more connections are refused.
    pub handshakes: usize,
    /// Handshakes in progress from which on a new client must first show that it receives what is sent to its address.
    pub retry_above: usize,
}

/// Where QUIC and WebTransport listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuicListen {
    /// Nowhere.
    Off,
    /// At the address and port number of HTTP. (Where that is 127.0.0.1, also at ::1, which browsers may take for `localhost`.)
    AsHttp,
    /// At this address and port.
    At(SocketAddr),
}

/// Why there is no configuration: the operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file is no TOML, or has keys that are no options.
    #[error("{}: {reason}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A value is not what the option takes.
    #[error("{} is {value:?} (from {from}), but must be {allowed}", from.key)]
    Bad {
        /// The option, and where the value came from.
        from: Source,
        /// The value.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// One of two options that belong together is missing.
    #[error("{} is set (from {given}), but {missing} is not: set both or none", given.key)]
    Half {
        /// The one that is set.
        given: Source,
        /// The one that is not.
        missing: &'static str,
    },
    /// The certificate cannot be served.
    #[error("tls_certificate and tls_key: {0}")]
    Tls(Box<TlsError>),
    /// Others could connect, and there is no authentication.
    #[error(
        "{} is {listen} (from {from}), which others can reach, and there is no authentication yet: anyone could play. \
         Listen on 127.0.0.1 behind a proxy of your own, or allow it with --insecure",
        from.key
    )]
    Insecure {
        /// The address.
        listen: SocketAddr,
        /// Where it came from.
        from: Source,
    },
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Default for QuicConfig {
    fn default() -> Self {
        Self { listen: QuicListen::AsHttp, handshakes: 1024, retry_above: 64 }
    }
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        // A tick costs little beside its delivery.
        let room_threads = (cores / 4).max(1);
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7777)),
            quic: QuicConfig::default(),
            insecure: false,
            tls: None,
            admin_token: None,
            workers: cores.saturating_sub(room_threads).max(1),
            room_threads,
            coalesce: Duration::from_millis(1),
            default_kind: "arena".to_owned(),
            tick_rate: 20,
            max_players: 100,
            max_rooms: 10_000,
            max_connections: 100_000,
            max_connections_per_address: 256,
            linger: Duration::from_secs(30),
            resume_window: Duration::from_secs(15),
            limits: Limits::default(),
            // actix tells of every worker that starts and stops.
            log: "info,actix_server=warn".to_owned(),
            log_format: LogFormat::Human,
            record: None,
            drain_spread: Duration::from_secs(5),
        }
    }
}
