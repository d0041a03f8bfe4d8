//! The options: every setting, in this one place. Each is a flag, an environment variable and a key of the file.

use clap::Args;
use serde::{Deserialize, Deserializer, Serialize};
use std::{convert::Infallible, fmt, str::FromStr};

/// What was asked for, not yet parsed. What is absent is the default.
///
/// Flags win over the environment (`DRIFTLESS_` and the key in capitals), it over the file (`--config`), it over the
/// defaults. Durations are written `250ms`, `10s`, `5m`, `1h`; sizes `4096`, `16KiB`, `1MiB`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Settings")]
pub struct Options {
    /// Address and port for HTTP and WebSocket [default: 127.0.0.1:7777]. Port 0 takes any free one.
    #[arg(long, env = "DRIFTLESS_LISTEN", value_name = "ADDR:PORT")]
    pub listen: Option<Text>,
    /// Address and port for QUIC and WebTransport, `same` (as HTTP and WebSocket) or `off` [default: same].
    #[arg(long, env = "DRIFTLESS_QUIC", value_name = "ADDR:PORT")]
    pub quic: Option<Text>,
    /// Most QUIC handshakes in progress, 1 to 1000000 [default: 1024]. More are refused. Each costs about 0.5 ms of CPU.
    #[arg(long, env = "DRIFTLESS_QUIC_HANDSHAKES", value_name = "N")]
    pub quic_handshakes: Option<Text>,
    /// QUIC handshakes in progress from which on a new client must first prove its address, 0 to 1000000 [default: 64]. That
    /// costs it a round trip. 0: always.
    #[arg(long, env = "DRIFTLESS_QUIC_RETRY_ABOVE", value_name = "N")]
    pub quic_retry_above: Option<Text>,
    /// Listen on an address that others can reach, though there is no authentication [default: false].
    #[arg(long, env = "DRIFTLESS_INSECURE", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[arg(require_equals = true)]
    pub insecure: Option<Text>,
    /// PEM file with the certificate for HTTPS, secure WebSockets and QUIC, and its chain [default: none, HTTP without TLS and QUIC with
    /// a self-signed certificate]. Read again when it changes.
    #[arg(long, env = "DRIFTLESS_TLS_CERTIFICATE", value_name = "FILE")]
    pub tls_certificate: Option<Text>,
    /// PEM file with the certificate's private key, not encrypted [default: none]. Read again when it changes.
    #[arg(long, env = "DRIFTLESS_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<Text>,
    /// Secret that operators send (Authorization: Bearer) to the dashboard and what belongs to it, at least 16 characters
    /// [default: none, only those on this machine are let in]. Better in the environment or the file: others see flags.
    #[arg(long, env = "DRIFTLESS_ADMIN_TOKEN", value_name = "SECRET")]
    pub admin_token: Option<Text>,
    /// Threads that serve connections, 1 to 1024 [default: the cores that rooms leave]. More than cores costs context switches.
    #[arg(long, env = "DRIFTLESS_WORKERS", value_name = "N")]
    pub workers: Option<Text>,
    /// Threads that run rooms, 1 to 1024 [default: a quarter of the cores]. They compete with the workers for cores.
    #[arg(long, env = "DRIFTLESS_ROOM_THREADS", value_name = "N")]
    pub room_threads: Option<Text>,
    /// How long a thread with more than 4,000 messages a second pauses between two rounds, 0 to 10ms [default: 1ms]: up to so much
    /// more latency, for fewer wake-ups. 0s: never.
    #[arg(long, env = "DRIFTLESS_COALESCE", value_name = "TIME")]
    pub coalesce: Option<Text>,
    /// Kind of game of a room whose creator names none [default: arena].
    #[arg(long, env = "DRIFTLESS_DEFAULT_KIND", value_name = "KIND")]
    pub default_kind: Option<Text>,
    /// Ticks a second of a room whose creator names none, 1 to 128 [default: 20]. CPU and traffic grow in proportion.
    #[arg(long, env = "DRIFTLESS_TICK_RATE", value_name = "HZ")]
    pub tick_rate: Option<Text>,
    /// Most players of a room whose creator names none, 1 to 10000 [default: 100]. Traffic of a room grows with the
    /// square of its players.
    #[arg(long, env = "DRIFTLESS_MAX_PLAYERS", value_name = "N")]
    pub max_players: Option<Text>,
    /// Most rooms, 1 to 1000000 [default: 10000].
    #[arg(long, env = "DRIFTLESS_MAX_ROOMS", value_name = "N")]
    pub max_rooms: Option<Text>,
    /// Most connections, 1 to 10000000 [default: 100000]. Each takes a file descriptor and up to 32 KiB.
    #[arg(long, env = "DRIFTLESS_MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<Text>,
    /// Most connections from one address, 1 to 10000000 [default: 256]. Loopback is not limited.
    #[arg(long, env = "DRIFTLESS_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub max_connections_per_address: Option<Text>,
    /// How long an empty room lives on, up to 24h [default: 30s]. An empty room ticks and keeps its memory.
    #[arg(long, env = "DRIFTLESS_LINGER", value_name = "TIME")]
    pub linger: Option<Text>,
    /// How long a seat is kept without a connection, up to 1h [default: 15s]. A kept seat counts as a player.
    #[arg(long, env = "DRIFTLESS_RESUME_WINDOW", value_name = "TIME")]
    pub resume_window: Option<Text>,
    /// Longest message from a client, 256B to 16MiB [default: 16KiB]. A connection may buffer that much.
    #[arg(long, env = "DRIFTLESS_MESSAGE_BYTES", value_name = "SIZE")]
    pub message_bytes: Option<Text>,
    /// Inputs a second from one client, 1 to 10000, twice as many at once [default: 150].
    #[arg(long, env = "DRIFTLESS_INPUTS_PER_SECOND", value_name = "N")]
    pub inputs_per_second: Option<Text>,
    /// Messages a second from one client, 1 to 10000, twice as many at once [default: 300].
    #[arg(long, env = "DRIFTLESS_MESSAGES_PER_SECOND", value_name = "N")]
    pub messages_per_second: Option<Text>,
    /// Time from the connection to the join or resume, 100ms to 5m [default: 5s].
    #[arg(long, env = "DRIFTLESS_HANDSHAKE", value_name = "TIME")]
    pub handshake: Option<Text>,
    /// How long a client may be silent, 1s to 1h [default: 10s]. Shorter finds lost players sooner, and drops those
    /// whose network pauses.
    #[arg(long, env = "DRIFTLESS_TIMEOUT", value_name = "TIME")]
    pub timeout: Option<Text>,
    /// Time between the server's pings, 100ms to 1h, less than the timeout [default: 4s].
    #[arg(long, env = "DRIFTLESS_HEARTBEAT", value_name = "TIME")]
    pub heartbeat: Option<Text>,
    /// Reliable messages that may wait for one client, 16 to 65536 [default: 512]. One more closes the connection.
    #[arg(long, env = "DRIFTLESS_RELIABLE_MESSAGES", value_name = "N")]
    pub reliable_messages: Option<Text>,
    /// Bytes of them, 4KiB to 64MiB [default: 256KiB]. The most memory that a slow client can hold.
    #[arg(long, env = "DRIFTLESS_RELIABLE_BYTES", value_name = "SIZE")]
    pub reliable_bytes: Option<Text>,
    /// Folder for recordings of all rooms [default: none, nothing is recorded]. Every input is written to disk.
    #[arg(long, env = "DRIFTLESS_RECORD", value_name = "FOLDER")]
    pub record: Option<Text>,
    /// Time over which clients are told to reconnect when the server goes down, up to 1h [default: 5s].
    #[arg(long, env = "DRIFTLESS_DRAIN_SPREAD", value_name = "TIME")]
    pub drain_spread: Option<Text>,
    /// Log lines to write, as `tracing` directives: `warn`, `info,driftless_server=debug`
    /// [default: info,actix_server=warn].
    #[arg(long, env = "DRIFTLESS_LOG", value_name = "FILTER")]
    pub log: Option<Text>,
    /// How log lines are written to standard error: human or json [default: human].
    #[arg(long, env = "DRIFTLESS_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<Text>,
}

/// A value as it was written: a string, or in a file also a number or a boolean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text(pub String);

impl FromStr for Text {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, an integer or a boolean")
            }
            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Text, E> {
                Ok(Text(truth.to_string()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
