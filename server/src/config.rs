//! Settings: flags take precedence over the environment, the environment over a file, and a file over
//! defaults. Each setting is one row of one table.
//!
//! A row gives the meaning and cost (the help, and the field's documentation), the key, type and default, and
//! the allowed values. From it follow the field of [`Config`], the flag `--max-rooms`, the variable
//! `DRIFTLESS_MAX_ROOMS`, the file's key `max_rooms`, the lines of `--help`, `check-config`, `default-config`
//! and the guide, and the error for a bad value. To add a setting, add a row; a `Kind` says which values are
//! allowed. Then `UPDATE_REFERENCE=1 cargo test -p driftless-server --test reference` updates the guide.
//!
//! The path of a value: [`Options`] holds the text with the highest precedence for each key and where it was
//! found, [`resolve()`] parses each into its field and checks how they fit together, and the server runs with
//! [`Config`].
//!
//! (Why not a crate: `figment` and `config` build on serde, whose errors know types but not ranges, and
//! derived `clap` arguments know no file. What would be left to write with either is longer than the table's
//! macro.)

mod admin_token;
mod described;
#[cfg(any(test, fuzzed))]
mod fuzz;
mod kind;
mod networks;
mod options;
mod otlp;
mod public;
mod redis_url;
mod resolve;
#[macro_use]
mod table;
mod token_secret;

pub use admin_token::AdminToken;
pub use described::{DescribedSetting, default_file, described};
#[cfg(any(test, fuzzed))]
pub(crate) use fuzz::fuzz;
pub use networks::Networks;
pub use options::{Options, Origin, Provenance, check_environment};
pub(crate) use options::{long, meant};
pub use otlp::OtlpUrl;
pub use public::{PublicQuic, PublicUrl, Reached};
pub(crate) use redis_url::At;
pub use redis_url::RedisUrl;
pub use resolve::{ConfigError, Resolved, Setting, resolve};
pub use token_secret::TokenSecret;

use crate::{
    ground::{
        durability::Durabilities, identity::RoomPattern, key_source::KeySource, origin::OriginPattern,
        queue_sizes::QueueSizes, sight::Spectating,
    },
    telemetry::LogFormat,
    tls::PemFiles,
};
use driftless_proto::limits::{Limits, MAX_PLAYERS, MAX_SPECTATORS};
use driftless_sim::TICK_RATES;
use kind::{
    address, admin_token, claim, file, flag, folder, key_sources, log_filter, number, one_word, optional,
    origins, patterns, prefix, present_folder, redis_url, size, span, span_or_never, text, token_secret,
    word,
};
use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, thread, time::Duration};

const ZERO: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

settings! {
    /// A server's configuration, after flags, environment, file and defaults have been merged and checked.
    Config {
        /// Address and port for HTTP and WebSocket. Port 0 takes any free one.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 7777)), address();
        /// Where QUIC and WebTransport listen: an address and port of their own, `same` (as HTTP and
        /// WebSocket) or `off`.
        quic: QuicListen = QuicListen::AsHttp,
            text("ADDR:PORT", "an address and a port such as 127.0.0.1:7777, or same or off");
        /// Address that clients use for HTTP and WebSocket, if it is not the address listened on: behind a
        /// proxy, or a mapped port. None: the one in their requests.
        public_url: Option<PublicUrl> = None, optional("URL", "https://HOST[:PORT] or http://HOST[:PORT]");
        /// Address that clients use for QUIC and WebTransport: a port, or a host and a port. None: if `quic`
        /// is `same`, the port that the client used for HTTP, or that of `public_url`; otherwise, and behind
        /// a proxy on 80 or 443, the port listened on; and with a `public_url` elsewhere, a QUIC that listens
        /// on loopback is not told at all.
        public_quic: Option<PublicQuic> = None, optional("HOST:PORT", "a port, or a host and a port such as play.example.org:7777");
        /// Most QUIC handshakes in progress; more are refused. Each costs about 0.5 ms of CPU.
        quic_handshakes: usize = 1024, number(1..=1_000_000);
        /// With this many QUIC handshakes in progress, a new client must first prove that it receives what is
        /// sent to its address, which costs it a round trip. 0: always.
        quic_retry_above: usize = 64, number(0..=1_000_000);
        /// Listen on an address that others can reach, although nobody needs a token to play.
        insecure: bool = false, flag();
        /// PEM file with the certificate for HTTPS, secure WebSockets and QUIC, and its chain. Read again
        /// when it changes. None: HTTP without TLS, and QUIC with a self-signed certificate.
        tls_certificate: Option<PathBuf> = None, file();
        /// PEM file with the certificate's private key, unencrypted. Read again when it changes.
        tls_key: Option<PathBuf> = None, file();
        /// PEM file with the certificate for QUIC and WebTransport alone, and its chain: where TLS ends at a
        /// proxy that speaks HTTP to this server. Read again when it changes. None: that of
        /// `tls_certificate`, or else a self-signed one, which clients trust by its hash.
        quic_certificate: Option<PathBuf> = None, file();
        /// PEM file with its private key, unencrypted. Read again when it changes.
        quic_key: Option<PathBuf> = None, file();
        /// Secret that operators send (Authorization: Bearer) for the dashboard and the operators' API. None:
        /// the server makes one when it starts, and prints it. Better set in the environment or the file:
        /// others can see flags.
        admin_token: Option<AdminToken> = None, admin_token();
        /// Where the keys are that players' tokens are checked with, separated by commas: files with a JWKS
        /// or a public key in PEM, addresses of JWKS, and `secret:FILE` for a secret of HS256. None, and no
        /// `token_secret`: there are no tokens.
        token_keys: Vec<KeySource> = Vec::new(), key_sources();
        /// Secret for tokens signed with HS256, if it is not in a file of `token_keys`. Better set in the
        /// environment or the file: others can see flags.
        token_secret: Option<TokenSecret> = None, token_secret();
        /// Whether players may come without a token. `auto`: only if there are no keys, so that whoever sets
        /// keys has not left a door open.
        guests: Guests = Guests::Auto, word(&[("auto", Guests::Auto), ("yes", Guests::Yes), ("no", Guests::No)]);
        /// The audience (`aud`) that tokens must be for. None: tokens must not name one.
        token_audience: Option<String> = None, optional("TEXT", "the audience that the issuer writes");
        /// The issuer (`iss`) that tokens must be of. None: any that has the keys.
        token_issuer: Option<String> = None, optional("TEXT", "the name of the issuer, mostly its address");
        /// The claim of tokens that says the role. Name another one where the login's `role` says something
        /// else, as with Supabase: whoever has no such claim is a player.
        token_role: String = "role".to_owned(), claim();
        /// How far the issuer's clock may be from this one's.
        token_leeway: Duration = 10 * SECOND, span(ZERO..=HOUR / 6);
        /// How far in the future tokens may expire. A stolen token is of use for as long.
        token_lifetime: Duration = DAY, span(SECOND..=30 * DAY);
        /// Take each token for one seat only: tokens must have an id (`jti`). (Players come back to their
        /// seats with it.) With a `store`, a server that is started again knows which were used, and with
        /// `redis` all nodes do; without either, it takes each once more, until it expires.
        token_once: bool = false, flag();
        /// Time between two reads of the keys. A token with an unknown key id has them read earlier, at most
        /// every 10 s on average, and four times at once.
        keys_refresh: Duration = 5 * MINUTE, span(SECOND..=DAY);
        /// How long keys are used that cannot be read again. 0s: not at all.
        keys_stale: Duration = DAY, span(ZERO..=30 * DAY);
        /// Let everybody make rooms with POST /v1/rooms, not only operators.
        open_rooms: bool = false, flag();
        /// Origins of other sites whose pages may use the server, separated by commas. Its own pages always
        /// may; while it listens on loopback, so may pages from loopback. Behind a proxy that forwards the
        /// host name, while the server listens on loopback: the proxy's own origin.
        allow_origin: Vec<OriginPattern> = Vec::new(), origins();
        /// How long an HTTP request may take, including its body.
        request_timeout: Duration = 10 * SECOND, span(SECOND..=HOUR);
        /// How long reading an HTTP answer may take. Slow links need it for the pages: 40 kB.
        answer_timeout: Duration = 30 * SECOND, span(SECOND..=HOUR);
        /// How long an HTTP connection may wait for its next request. Behind a proxy or a cloud's balancer
        /// that keeps idle connections: longer than that keeps them, or its requests meet a connection that
        /// is just being closed. An idle connection takes a file descriptor.
        keep_alive: Duration = 5 * SECOND, span(SECOND..=HOUR);
        /// Threads on which rooms and their players live. Default: the number of cores. More than that costs
        /// context switches.
        threads: usize = cores(), number(1..=1024);
        /// Keep each of these threads on a core of its own, of those that the process may use.
        pin_threads: bool = false, flag();
        /// Threads that accept connections: HTTP, TLS handshakes, upgrades. Default: a quarter of the cores.
        workers: usize = (cores() / 4).max(1), number(1..=1024);
        /// How long a thread with more than 4,000 messages per second pauses between two rounds of work: adds
        /// up to this much latency, for fewer wake-ups. 0s: never.
        coalesce: Duration = Duration::from_millis(1), span(ZERO..=SECOND / 100);
        /// Kind of game of rooms whose creator does not name one.
        default_kind: Option<String> = None, optional("KIND", "a kind of game");
        /// Folder with the game's own page, served at `/` in place of what the program has there. Files are
        /// read when they are asked for, so that a page that was built again is there at once.
        pages: Option<PathBuf> = None, present_folder();
        /// Ticks per second of rooms whose creator does not say. CPU and traffic grow in proportion.
        tick_rate: u32 = 20, number(TICK_RATES);
        /// Most players of rooms whose creator does not say. A room's traffic grows with the square of its
        /// players.
        max_players: u32 = 100, number(1..=MAX_PLAYERS);
        /// Most spectators of rooms whose creator does not say. One costs about what the connection of a
        /// player costs, and the game nothing.
        max_spectators: u32 = 100, number(0..=MAX_SPECTATORS);
        /// How long ago what spectators are shown was, in rooms whose creator and game do not say, so that
        /// nobody plays by what a spectator sees. Each room keeps the states of that time: some kilobytes a
        /// tick, for 50 players of the arena.
        spectate_delay: Duration = ZERO, span(ZERO..=Duration::from_millis(Spectating::MAX_DELAY_MS as u64));
        /// Topics that everybody may read, also without a token: names in which `*` stands for any
        /// characters, separated by commas. Nobody publishes without a token that allows it, or the admin
        /// token.
        topics_open: Vec<RoomPattern> = Vec::new(), patterns();
        /// Most readers of topics over HTTP (GET /v1/topics/NAME). Each takes a file descriptor and some 20
        /// KiB; a quarter of the files that the process may open is left for players.
        max_topic_readers: usize = 20_000, number(0..=1_000_000);
        /// Most topics that have a history; with `redis`, of all nodes together. Each takes up to
        /// `topic_history_bytes`, there or here. (Topics that are only read take some 300 bytes for each of
        /// their readers, bounded by `max_topic_readers`.)
        max_topics: usize = 1_000, number(0..=1_000_000);
        /// Events of a topic that are kept for readers who were away or are slow.
        topic_history: usize = 500, number(1..=100_000);
        /// Bytes that these may take; twice that, if clients of games read them.
        topic_history_bytes: usize = 256 << 10, size(1 << 10..=1 << 30);
        /// How long they are kept.
        topic_history_age: Duration = HOUR, span(SECOND..=30 * DAY);
        /// Events per second that may be published from one address, on average; at most five seconds' worth
        /// at once. Operators, and loopback, are not limited.
        topic_events_per_second_per_address: u32 = 20, number(1..=1_000_000);
        /// Let joins bring options for the rooms that they create. Otherwise only those who may POST
        /// /v1/rooms can choose them.
        join_options: bool = false, flag();
        /// Most rooms.
        max_rooms: usize = 10_000, number(1..=1_000_000);
        /// Most players, including those who are away, and most spectators. Each takes a file descriptor and
        /// up to 32 KiB. (As many connections again may be open: those with which players come back before
        /// the lost ones have ended.) A seat that a restart has kept has its place: its player comes back
        /// however full the server is, and newcomers wait meanwhile.
        max_connections: usize = 100_000, number(1..=10_000_000);
        /// Most players from one address (an IPv4 address or an IPv6 /64), including those who are away.
        /// Loopback is not limited, because a load test has one address for all.
        max_connections_per_address: usize = 256, number(1..=10_000_000);
        /// Most seats of one user in a room, including those that wait for their player: who has closed a
        /// page and opens it again needs a second one for as long as the first is kept. A user watches a room
        /// at most so often, too. 0: as many as there are, so that one user can fill a room. Guests are other
        /// users each time: their address limits them.
        max_seats_per_user: usize = 4, number(0..=10_000);
        /// New players per second from one address (an IPv4 address or an IPv6 /64), on average; at most five
        /// seconds' worth at once. Clients that come faster are told when to come again. Loopback is not
        /// limited.
        joins_per_second_per_address: u32 = 20, number(1..=1_000_000);
        /// Proxies whose `X-Forwarded-For` (or what `proxy_header` names) says who their clients are, and
        /// whose PROXY protocol is read: networks, such as `10.0.0.0/8, 2001:db8::/32`. Name your proxies:
        /// otherwise all clients of a proxy count as one address.
        trusted_proxy: Networks = Networks::default(), text("NETWORKS", "networks such as 10.0.0.0/8, 2001:db8::/32");
        /// Which header trusted proxies write. The other one is ignored, because a proxy passes it on as the
        /// client sent it.
        proxy_header: ProxyHeader = ProxyHeader::XForwardedFor,
            word(&[("x-forwarded-for", ProxyHeader::XForwardedFor), ("forwarded", ProxyHeader::Forwarded)]);
        /// Trusted proxies begin each TCP connection with the PROXY protocol, version 2, which names the
        /// client.
        proxy_protocol: bool = false, flag();
        /// Most existing rooms that joins from one address may have created. Loopback is not limited.
        max_rooms_per_address: usize = 20, number(1..=1_000_000);
        /// Most ticks per second of all rooms together, three quarters of them for rooms created by joins.
        /// Default: 25,000 per core. A tick of an empty room costs about 15 µs.
        max_ticks_per_second: u32 = u32::try_from(cores()).unwrap_or(1).saturating_mul(25_000), number(1..=100_000_000);
        /// How long an empty room is kept. It keeps ticking and keeps its memory.
        linger: Duration = 30 * SECOND, span(ZERO..=24 * HOUR);
        /// The same for rooms that POST /v1/rooms makes, which operators do (or all: `open_rooms`). `never`:
        /// such a room stays until an operator or its game ends it; with a store and durability, over
        /// restarts, too. None: as `linger`.
        operator_linger: Option<Duration> = None, span_or_never(ZERO..=24 * HOUR);
        /// How long the seats of a match are kept for players who have yet to come.
        reservation: Duration = 10 * SECOND, span(SECOND..=5 * MINUTE);
        /// Games with a queue for matches, and how many play: teams x players of a team, as `arena=2x4,
        /// chess=2x1`.
        queue: QueueSizes = QueueSizes::default(), text("SIZES", "none, or KIND=TEAMSxPLAYERS, separated by commas");
        /// Most parties that wait for a match. Each takes about 1 KiB.
        queue_tickets: usize = 20_000, number(1..=1_000_000);
        /// Where this server is, for filters of matches and lobbies: `region = "eu"`. None: it does not say.
        region: Option<String> = None, one_word("a word, without spaces, that players' filters name");
        /// How long a seat is kept without a connection. A kept seat counts as a player. Over a restart, this
        /// time goes on from where it was, and the time without a server does not count; who has less than 5
        /// s left then gets that, once in an absence.
        resume_window: Duration = 15 * SECOND, span(ZERO..=HOUR);
        /// Remove a player whom its game has reported so often within `reports_window`, for inputs that no
        /// honest client would send (close code 4518). 0: never.
        reports_limit: u32 = 0, number(0..=1_000);
        /// See `reports_limit`.
        reports_window: Duration = 60 * SECOND, span(SECOND..=HOUR);
        /// Folder for recordings of all rooms. None: nothing is recorded. Every input is written to disk, and
        /// every room keeps one file open: 60 MB per hour for 50 players of the arena at 20 Hz, 1.5 MB for an
        /// empty room.
        record: Option<PathBuf> = None, folder();
        /// Bytes that recordings in that folder may take, including those of earlier runs. When they are used
        /// up, recordings end, games go on, and rooms are not recorded until files are removed.
        record_quota: usize = 10 << 30, size(1 << 20..=1 << 50);
        /// Folder from which rooms go on after the server has stopped, or was killed. Nobody else may read
        /// it: it has the tokens of players. One server uses it at a time. None: rooms end with the server.
        store: Option<PathBuf> = None, folder();
        /// What of a room survives if the server is killed: `none`; `checkpoint`, what it was a moment
        /// before; or `journal`, all. With exceptions for kinds of games: `checkpoint, arena=journal`. POST
        /// /v1/rooms can say otherwise for a room.
        durability: Durabilities = Durabilities::default(),
            text("WORDS", "none, checkpoint or journal, and with exceptions none, KIND=journal");
        /// Time between two checkpoints of a room.
        checkpoint_every: Duration = 10 * SECOND, span(SECOND / 10..=HOUR);
        /// Time between two moments when the journal is certainly on the disk: what is lost if the machine
        /// dies is no older. (If the process dies, nothing is lost.) 0s: the kernel decides, within half a
        /// minute.
        journal_sync: Duration = SECOND, span(ZERO..=HOUR);
        /// What becomes of a stored room that cannot go on, because its game has changed: `anew`, another one
        /// begins in its place, or `wait`, its name stays taken until a server comes that can go on with it,
        /// or it is removed.
        store_mismatch: StoreMismatch = StoreMismatch::Anew,
            word(&[("anew", StoreMismatch::Anew), ("wait", StoreMismatch::Wait)]);
        /// Redis, through which several servers are one: each is a node, a room is on one of them, and
        /// clients are sent to the right one. None: this is the only one. With a password in it, better set
        /// in the environment or the file: others can see flags.
        redis: Option<RedisUrl> = None, redis_url();
        /// What the names of its keys in Redis begin with. Nodes with the same are one.
        redis_prefix: String = "driftless".to_owned(), prefix();
        /// How many replicas of Redis must have a lease before it counts. 0: Redis alone; then, if it is cut
        /// off from its replicas and one of them takes its place, two nodes may own a room.
        redis_replicas: u32 = 0, number(0..=5);
        /// The name of this node, for people. None: the address that clients use.
        node: Option<String> = None, optional("NAME", "a name");
        /// How long a node owns its rooms without being able to say so to Redis. Then it ends them, and
        /// another node may have them. The same on all nodes.
        lease: Duration = 2 * SECOND, span(SECOND / 2..=MINUTE);
        /// How long matches may go on when the server shuts down, until their players are gone: their rooms
        /// take those who come, new rooms are refused. 0s: everybody is told to go at once.
        drain_wait: Duration = ZERO, span(ZERO..=24 * HOUR);
        /// How many players per second are then told to go. 0: all at once.
        drain_rate: u32 = 0, number(0..=1_000_000);
        /// When the server shuts down, end its rooms, instead of having them go on at other nodes.
        drain_in_place: bool = false, flag();
        /// Time over which clients are told to reconnect when the server shuts down.
        drain_spread: Duration = 5 * SECOND, span(ZERO..=HOUR);
        /// Log lines to write, as `tracing` directives: `warn`, `driftless_server=debug`. What they do not
        /// name is as by default.
        // actix logs every worker that starts and stops.
        log: String = "info".to_owned(), log_filter();
        /// How log lines are written to standard error.
        log_format: LogFormat = LogFormat::Human, word(&[("human", LogFormat::Human), ("json", LogFormat::Json)]);
        /// Where to send traces of how players come in: the address of a collector that takes OTLP over HTTP.
        /// Needs a program built with the feature `otlp`. None: the one in OTEL_EXPORTER_OTLP_ENDPOINT.
        otlp: Option<OtlpUrl> = None, optional("URL", "http://HOST:PORT or https://HOST[:PORT] of a collector");
        /// Of 100 traces, how many are recorded; of those that a client began, if the client records them.
        otlp_percent: u8 = 100, number(0..=100);
    }
    /// Limits of each connection. The defaults are those of [`Limits`].
    limits: Limits {
        /// Longest message from a client.
        message_bytes: size(256..=16 << 20);
        /// Inputs per second from one client, on average; a whole timeout's worth may come at once, after its
        /// network paused. More are dropped.
        inputs_per_second: number(1..=10_000);
        /// Messages per second from one client, likewise; a message counts once more for each 4 KiB. A client
        /// that sends more than four times as many for longer than a timeout is disconnected.
        messages_per_second: number(1..=10_000);
        /// Time from the connection to the join or resume.
        handshake: span(SECOND / 10..=HOUR / 12);
        /// How long a client may be silent. A shorter time detects lost players earlier, and drops those
        /// whose network pauses.
        timeout: span(SECOND..=HOUR);
        /// Time between the server's pings, less than the timeout.
        heartbeat: span(SECOND / 10..=HOUR);
        /// Reliable messages that may wait for one client. With more waiting, it has to acknowledge some
        /// within the timeout.
        reliable_messages: number(16..=65_536);
        /// Bytes of those messages. A slow client's queue holds at most four times as many; what players can
        /// cause a room to send is limited to a quarter of them per second.
        reliable_bytes: size(4 << 10..=64 << 20);
        /// Bytes of states per second that a client is sent, in rooms with zones: what does not fit waits,
        /// the least important first. 0: no limit.
        state_bytes_per_second: number(0..=1_000_000_000);
    }
}

impl Config {
    /// Certificate of HTTPS and secure WebSockets. None (without one or both files): plain HTTP.
    pub fn tls(&self) -> Option<PemFiles> {
        let (certificate, key) = self.tls_certificate.clone().zip(self.tls_key.clone())?;
        Some(PemFiles { certificate, key })
    }

    /// Certificate of QUIC alone. None: that of HTTPS, or else a self-signed one.
    pub fn quic_tls(&self) -> Option<PemFiles> {
        let (certificate, key) = self.quic_certificate.clone().zip(self.quic_key.clone())?;
        Some(PemFiles { certificate, key })
    }
}

impl Config {
    /// Whether there are keys for players' tokens.
    pub fn has_token_keys(&self) -> bool {
        !self.token_keys.is_empty() || self.token_secret.is_some()
    }

    /// Whether players may come without a token.
    pub fn takes_guests(&self) -> bool {
        match self.guests {
            Guests::Auto => !self.has_token_keys(),
            Guests::Yes => true,
            Guests::No => false,
        }
    }
}

/// Whether players may come without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guests {
    /// If there are no keys for tokens.
    Auto,
    /// They may.
    Yes,
    /// They may not.
    No,
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, |n| n.get())
}

/// What becomes of a stored room that cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreMismatch {
    /// Another one begins in its place.
    Anew,
    /// Its name stays taken.
    Wait,
}

/// The header in which a proxy names its client.
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
    /// On the address and port number of HTTP. (If that is 127.0.0.1, also on ::1, which browsers may use for
    /// `localhost`.)
    AsHttp,
    /// On this address and port.
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
