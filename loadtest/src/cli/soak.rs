//! `loadtest soak`.

use crate::{require::Requirement, server::OperatorArgs, url::Url};
use clap::Args;
use std::{path::PathBuf, time::Duration};

/// `loadtest soak`.
#[derive(Debug, Clone, Args)]
pub struct SoakArgs {
    /// The server under test.
    #[arg(long, default_value = "ws://127.0.0.1:7777")]
    pub url: Url,
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// Process ID of the server. Start it afresh.
    #[arg(long)]
    pub server_pid: u32,
    /// Number of bots that play: a third each over WebSocket, QUIC and WebTransport.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub clients: u32,
    /// Number of bots that watch, in addition to those that play.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub spectators: u32,
    /// Number of rooms at a time.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rooms: u32,
    /// Kind of game. In one that this program has no bot for, bots send empty inputs.
    #[arg(long, default_value = "arena")]
    pub kind: String,
    /// Ticks per second of the rooms, by turns.
    #[arg(long, value_name = "RATES", value_delimiter = ',', default_value = "2,2,2,2,2,5,5,10,20",
        value_parser = clap::value_parser!(u32).range(1..=128))]
    pub tick_rates: Vec<u32>,
    /// How long a bot plays, on average, until something happens to it: it leaves, loses its connection and
    /// comes back to its seat, vanishes, or does not read for a while.
    #[arg(long, default_value = "1m", value_parser = humantime::parse_duration)]
    pub play: Duration,
    /// How long a room lasts before it is closed and another takes its place.
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration)]
    pub room_life: Duration,
    /// How long to measure.
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// How long all bots live before measuring begins: memory that is kept for later has to grow to its size
    /// first.
    #[arg(long, default_value = "10m", value_parser = humantime::parse_duration)]
    pub warm_up: Duration,
    /// Time over which the bots come.
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration)]
    pub ramp: Duration,
    /// Time between two samples.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub every: Duration,
    /// Growth that is tolerated, in percent of the mean per hour: a series fails the run if the whole
    /// interval of 95 % of its slope is above it.
    #[arg(long, default_value_t = 0.5)]
    pub tolerance: f64,
    /// What the bots' lives follow from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write the samples to this file, as CSV, as they are taken.
    #[arg(long)]
    pub samples: Option<PathBuf>,
    /// Write the figures to this file as one JSON object; - means standard output.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Fail unless this holds at the end: a key of the JSON such as trends.rss_bytes.high, one of
    /// >= <= == > <, and a number. May be repeated.
    #[arg(long, value_name = "KEY>=N")]
    pub require: Vec<Requirement>,
}
