//! Settings: flags over the environment over a file over defaults, each in one row of one table.
//!
//! A row says meaning and cost (the help, and the field's documentation), key, type, default, and what a value may be. From it follow the
//! field of [`Config`], the flag `--max-rooms`, the variable `DRIFTLESS_MAX_ROOMS`, the file's key `max_rooms`, the lines of `--help` and
//! `check-config`, and the error for a bad value. To add a setting, add a row; what a value may be is a `Kind`.
//!
//! The way of a value: [`Options`] holds the strongest text that was given for each key and where it was, [`resolve()`] reads each into its
//! field and checks what they mean together, and [`Config`] is what the server runs with.
//!
//! (Why not a crate: the errors of serde, on which `figment` and `config` build, know a type but no range, and derived `clap` arguments know
//! no file. What is left to write beside either is longer than the macro of the table.)

mod admin_token;
mod kind;
mod networks;
mod options;
mod public;
mod resolve;
#[macro_use]
mod table;

pub use admin_token::AdminToken;
pub use networks::Networks;
pub use options::{Options, Origin, Provenance, check_environment};
pub use public::{PublicQuic, PublicUrl, Reached};
pub use resolve::{ConfigError, Resolved, Setting, resolve};

use crate::{ground::origin::OriginPattern, telemetry::LogFormat, tls::PemFiles};
use driftless_proto::limits::{Limits, MAX_PLAYERS};
use driftless_sim::TICK_RATES;
use kind::{
    address, admin_token, file, flag, folder, log_filter, number, optional, origins, present_folder, size,
    span, text, word,
};
use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, thread, time::Duration};

const ZERO: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

settings! {
    /// What a server runs with, after flags, environment, file and defaults are put together and checked.
    Config {
        /// Address and port for HTTP and WebSocket. Port 0 takes any free one.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 7777)), address();
        /// Where QUIC and WebTransport listen: an address and port of their own, `same` (as HTTP and WebSocket) or `off`.
        quic: QuicListen = QuicListen::AsHttp,
            text("ADDR:PORT", "an address and a port, as 127.0.0.1:7777, or same or off");
        /// What clients of HTTP and WebSocket use, where that is not the address listened at: behind a proxy, or a port that is mapped. None:
        /// what they name in their requests.
        public_url: Option<PublicUrl> = None, optional("URL", "https://HOST[:PORT] or http://HOST[:PORT]");
        /// What clients of QUIC and WebTransport use: a port, or a host and a port. None: with `quic` as `same`, the port that the client
        /// had to name to reach HTTP, or that of `public_url`; else, and behind a proxy on 80 or 443, the port listened at.
        public_quic: Option<PublicQuic> = None, optional("HOST:PORT", "a port, or a host and a port, as play.example.org:7777");
        /// Most QUIC handshakes in progress: more are refused. Each costs about 0.5 ms of CPU.
        quic_handshakes: usize = 1024, number(1..=1_000_000);
        /// QUIC handshakes in progress from which on a new client must first prove that it receives what is sent to its address, which
        /// costs it a round trip. 0: always.
        quic_retry_above: usize = 64, number(0..=1_000_000);
        /// Listen on an address that others can reach, though there is no authentication.
        insecure: bool = false, flag();
        /// PEM file with the certificate for HTTPS, secure WebSockets and QUIC, and its chain. Read again when it changes. None: HTTP
        /// without TLS, and QUIC with a self-signed certificate.
        tls_certificate: Option<PathBuf> = None, file();
        /// PEM file with the certificate's private key, not encrypted. Read again when it changes.
        tls_key: Option<PathBuf> = None, file();
        /// Secret that operators send (Authorization: Bearer) to the dashboard and what belongs to it. None: the server makes one when it
        /// starts, and prints it. Better in the environment or the file: others see flags.
        admin_token: Option<AdminToken> = None, admin_token();
        /// Let everybody make rooms by POST /v1/rooms, not only operators.
        open_rooms: bool = false, flag();
        /// Pages from elsewhere that may use the server, by their origins with commas between them. Its own pages always may; while it
        /// listens on loopback, so may those of loopback. Behind a proxy that passes the host on, while it listens on loopback: the proxy's own.
        allow_origin: Vec<OriginPattern> = Vec::new(), origins();
        /// How long a request over HTTP may take, its body included.
        request_timeout: Duration = 10 * SECOND, span(SECOND..=HOUR);
        /// How long the answer over HTTP may take, and the next request on its connection. Slow links need it for the pages: 40 kB.
        answer_timeout: Duration = 30 * SECOND, span(SECOND..=HOUR);
        /// Threads that rooms and their players live on. Default: the cores. More than cores costs context switches.
        threads: usize = cores(), number(1..=1024);
        /// Keep each of these threads on a core of its own, of those that the process may use.
        pin_threads: bool = false, flag();
        /// Threads that accept connections: HTTP, TLS handshakes, upgrades. Default: a quarter of the cores.
        workers: usize = (cores() / 4).max(1), number(1..=1024);
        /// How long a thread with more than 4,000 messages a second pauses between two rounds: up to so much more latency, for fewer
        /// wake-ups. 0s: never.
        coalesce: Duration = Duration::from_millis(1), span(ZERO..=SECOND / 100);
        /// Kind of game of a room whose creator names none. None: the first that the program offers.
        default_kind: Option<String> = None, optional("KIND", "a kind of game");
        /// Folder with the game's own page, served at `/` in place of what the program has there. Files are read when they are asked
        /// for, so that a page that was built again is there at once.
        pages: Option<PathBuf> = None, present_folder();
        /// Ticks a second of a room whose creator names none. CPU and traffic grow in proportion.
        tick_rate: u32 = 20, number(TICK_RATES);
        /// Most players of a room whose creator names none. Traffic of a room grows with the square of its players.
        max_players: u32 = 100, number(1..=MAX_PLAYERS);
        /// Let joins bring options for the rooms that they make. Without it only those who may POST /v1/rooms choose any.
        join_options: bool = false, flag();
        /// Most rooms.
        max_rooms: usize = 10_000, number(1..=1_000_000);
        /// Most players, those who are away included. Each takes a file descriptor and up to 32 KiB. (As many connections again may be open:
        /// those with which players come back before the ones that they lost have ended.)
        max_connections: usize = 100_000, number(1..=10_000_000);
        /// Most players from one address (an IPv4 address or an IPv6 /64), those who are away included. Loopback is not limited: a load test has one address for all.
        max_connections_per_address: usize = 256, number(1..=10_000_000);
        /// New connections a second from one address (an IPv4 address or an IPv6 /64), over time; those of five seconds at once. Who comes
        /// faster is told when to come again. Loopback is not limited.
        joins_per_second_per_address: u32 = 20, number(1..=1_000_000);
        /// Proxies whose `X-Forwarded-For` (or what `proxy_header` names) says who their clients are, and whose PROXY protocol is read: networks, as
        /// `10.0.0.0/8, 2001:db8::/32`. Name them: for others, a proxy's clients are one address.
        trusted_proxy: Networks = Networks::default(), text("NETWORKS", "networks, as 10.0.0.0/8, 2001:db8::/32");
        /// Which header trusted proxies write. The other is ignored: a proxy passes it on as a client has sent it.
        proxy_header: ProxyHeader = ProxyHeader::XForwardedFor,
            word(&[("x-forwarded-for", ProxyHeader::XForwardedFor), ("forwarded", ProxyHeader::Forwarded)]);
        /// Trusted proxies begin each TCP connection with the PROXY protocol, version 2, which says who the client is.
        proxy_protocol: bool = false, flag();
        /// Most rooms that the joins of one address may have made at a time. Loopback is not limited.
        max_rooms_per_address: usize = 20, number(1..=1_000_000);
        /// Most ticks a second that all rooms may ask for together, three quarters of them for rooms that joins have made. Default: 25,000 a core. A tick of an empty room costs about 15 µs.
        max_ticks_per_second: u32 = u32::try_from(cores()).unwrap_or(1).saturating_mul(25_000), number(1..=100_000_000);
        /// How long an empty room lives on. It ticks and keeps its memory.
        linger: Duration = 30 * SECOND, span(ZERO..=24 * HOUR);
        /// How long a seat is kept without a connection. A kept seat counts as a player.
        resume_window: Duration = 15 * SECOND, span(ZERO..=HOUR);
        /// Folder for recordings of all rooms. None: nothing is recorded. Every input is written to disk, and every room holds
        /// one open file: 60 MB an hour for 50 players of the arena at 20 Hz, 1.5 MB for an empty room.
        record: Option<PathBuf> = None, folder();
        /// Bytes that recordings in that folder may have, those of earlier runs too. When they are used up, recordings end,
        /// games go on, and rooms are not recorded until files are removed.
        record_quota: usize = 10 << 30, size(1 << 20..=1 << 50);
        /// Time over which clients are told to reconnect when the server goes down.
        drain_spread: Duration = 5 * SECOND, span(ZERO..=HOUR);
        /// Log lines to write, as `tracing` directives: `warn`, `info,driftless_server=debug`.
        // actix tells of every worker that starts and stops.
        log: String = "info,actix_server=warn".to_owned(), log_filter();
        /// How log lines are written to standard error.
        log_format: LogFormat = LogFormat::Human, word(&[("human", LogFormat::Human), ("json", LogFormat::Json)]);
    }
    /// Limits of each connection. Their defaults are those of [`Limits`].
    limits: Limits {
        /// Longest message from a client.
        message_bytes: size(256..=16 << 20);
        /// Inputs a second from one client, over time; all of a timeout's at once, after its network paused. More are dropped.
        inputs_per_second: number(1..=10_000);
        /// Messages a second from one client, in the same way; one counts once more for each 4 KiB. Who sends more than four times as
        /// many for longer than a timeout is cut off.
        messages_per_second: number(1..=10_000);
        /// Time from the connection to the join or resume.
        handshake: span(SECOND / 10..=HOUR / 12);
        /// How long a client may be silent. Shorter finds lost players sooner, and drops those whose network pauses.
        timeout: span(SECOND..=HOUR);
        /// Time between the server's pings, less than the timeout.
        heartbeat: span(SECOND / 10..=HOUR);
        /// Reliable messages that may wait for one client. With more waiting, it has to acknowledge some within the timeout.
        reliable_messages: number(16..=65_536);
        /// Bytes of them. Four times as many are the most that a slow client can hold; a quarter a second, what players can make a
        /// room tell.
        reliable_bytes: size(4 << 10..=64 << 20);
    }
}

impl Config {
    /// Certificate of QUIC, HTTPS and secure WebSockets. None (without one or both files): HTTP as it is, and QUIC with a self-signed certificate.
    pub fn tls(&self) -> Option<PemFiles> {
        let (certificate, key) = self.tls_certificate.clone().zip(self.tls_key.clone())?;
        Some(PemFiles { certificate, key })
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, |n| n.get())
}

/// The header by which a proxy says whose request it passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The customary one.
    XForwardedFor,
    /// That of RFC 7239.
    Forwarded,
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

impl FromStr for QuicListen {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(QuicListen::Off),
            "same" => Ok(QuicListen::AsHttp),
            address => address.parse().map(QuicListen::At),
        }
    }
}

impl fmt::Display for QuicListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuicListen::Off => f.write_str("off"),
            QuicListen::AsHttp => f.write_str("same"),
            QuicListen::At(address) => address.fmt(f),
        }
    }
}
