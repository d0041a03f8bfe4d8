//! Settings.

use driftless_proto::limits::Limits;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// What a server runs with, after flags, environment, file and defaults are put together and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where HTTP and WebSocket listen.
    pub listen: SocketAddr,
    /// Allows `listen` to be other than loopback while there is no authentication.
    pub insecure: bool,
    /// Threads that serve connections.
    pub workers: usize,
    /// Threads that run rooms.
    pub room_threads: usize,
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

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7777)),
            insecure: false,
            workers: cores,
            room_threads: (cores / 2).max(1),
            default_kind: "arena".to_owned(),
            tick_rate: 20,
            max_players: 100,
            max_rooms: 10_000,
            max_connections: 100_000,
            max_connections_per_address: 256,
            linger: Duration::from_secs(30),
            resume_window: Duration::from_secs(15),
            limits: Limits::default(),
            log: "info".to_owned(),
            log_format: LogFormat::Human,
            record: None,
            drain_spread: Duration::from_secs(5),
        }
    }
}
