//! The command line. What is done with it is [`command`](crate::command)'s.

mod sizes;

pub use sizes::SizesArgs;

use crate::{floor::server::FloorServerArgs, require::Requirement, server::OperatorArgs, url::Url};
use clap::{Args, Parser, Subcommand};
use driftless_client::TransportKind;
use driftless_links::Scenario;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Plays on a Driftless server with many bots, and measures.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Plays in many rooms at once; checks and measures everything.
    Run(RunArgs),
    /// Measures what the kernel alone charges for the same traffic: a bare epoll server without any game.
    Floor(FloorArgs),
    /// One client stops reading for a while: what it gets then, and what the others notice.
    Slow(SlowArgs),
    /// A bad link before a server, UDP and TCP: latency, loss, a narrow place, black-outs, as a scenario says.
    Link(LinkArgs),
    /// The same game over each transport, side by side on links that are equally bad.
    Compare(CompareArgs),
    /// A bad link between two network namespaces, with the kernel's own TCP and UDP on both sides. Needs root.
    Netns(NetnsArgs),
    /// The server's side of `floor`, which starts it.
    #[command(hide = true)]
    FloorServer(FloorServerArgs),
}

/// `loadtest run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The server.
    #[arg(long, default_value = "ws://127.0.0.1:7777")]
    pub url: Url,
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// Bots.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub clients: u32,
    /// Bots in a room.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub room_size: u32,
    /// Ticks a second of the rooms, and inputs a second of each bot.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=128))]
    pub tick_rate: u32,
    /// Kind of game.
    #[arg(long, default_value = "arena")]
    pub kind: String,
    /// How long to measure: 30s, 500ms, 2m.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Time over which the bots connect, before the measuring.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub ramp: Duration,
    /// Time that all play before the measuring.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    pub warm_up: Duration,
    /// Process of the server, to measure its CPU time and memory. Start the server afresh: its memory before the
    /// first bot is what each bot's share is counted from.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Recorded movement that the bots follow instead of wandering: CSV with tick, id, x, y first; may be gzipped.
    #[arg(long)]
    pub trace: Option<PathBuf>,
    /// Writes the figures as one JSON object to this file; - is standard output.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Writes report.html into this folder.
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// What must hold at the end: a key of the JSON, one of >= <= == > <, and a number. May be repeated.
    #[arg(long, value_name = "KEY>=N")]
    pub require: Vec<Requirement>,
    /// Measures the floor right after, with the traffic that was seen, and the ratio to it.
    #[arg(long)]
    pub floor: bool,
    /// What the bots connect over. With mix, one after the other of the three, in the same rooms.
    #[arg(long, value_enum, default_value_t = TransportChoice::Websocket)]
    pub transport: TransportChoice,
    /// Threads of the swarm.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    #[command(flatten)]
    pub sizes: SizesArgs,
}

/// What bots connect over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TransportChoice {
    /// WebSocket.
    Websocket,
    /// Native QUIC.
    Quic,
    /// WebTransport.
    Webtransport,
    /// A third of the bots each.
    Mix,
}

impl TransportChoice {
    /// What this bot connects over.
    pub fn of(self, bot: usize) -> TransportKind {
        const ALL: [TransportKind; 3] =
            [TransportKind::WebSocket, TransportKind::Quic, TransportKind::WebTransport];
        match self {
            Self::Websocket => TransportKind::WebSocket,
            Self::Quic => TransportKind::Quic,
            Self::Webtransport => TransportKind::WebTransport,
            Self::Mix => ALL[bot % ALL.len()],
        }
    }
    /// Its name in the figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Websocket => "websocket",
            Self::Quic => "quic",
            Self::Webtransport => "webtransport",
            Self::Mix => "mix",
        }
    }
}

/// `loadtest floor`.
#[derive(Debug, Clone, Args)]
pub struct FloorArgs {
    /// Clients.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub clients: u32,
    /// Ticks a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub tick_rate: u32,
    /// Bytes of a message from the server.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub frame_bytes: u32,
    /// Bytes of a message from a client.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=3000))]
    pub input_bytes: u32,
    /// How long to measure.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Rooms, their phases spread over the tick. Default: one for 50 clients.
    #[arg(long)]
    pub rooms: Option<u32>,
    /// Writes the figures as one JSON object to this file; - is standard output.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// `loadtest slow`.
#[derive(Debug, Clone, Args)]
pub struct SlowArgs {
    /// The server.
    #[arg(long, default_value = "ws://127.0.0.1:7777")]
    pub url: Url,
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// Players in the room, the slow one included.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub room_size: u32,
    /// Ticks a second of the room.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=128))]
    pub tick_rate: u32,
    /// Kind of game.
    #[arg(long, default_value = "arena")]
    pub kind: String,
    /// How long the slow client does not read.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub stall: Duration,
    /// How long to play before the stall and after it.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub around: Duration,
    /// Process of the server, to measure its memory.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Writes the figures as one JSON object to this file; - is standard output.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// What must hold at the end: a key of the JSON, one of >= <= == > <, and a number. May be repeated.
    #[arg(long, value_name = "KEY>=N")]
    pub require: Vec<Requirement>,
}

/// `loadtest link`.
#[derive(Debug, Clone, Args)]
pub struct LinkArgs {
    /// Where clients connect, UDP and TCP. Port 0: any free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:7700")]
    pub listen: SocketAddr,
    /// The server.
    #[arg(long, default_value = "127.0.0.1:7777")]
    pub to: SocketAddr,
    /// Where the server takes QUIC, if that is another port.
    #[arg(long, value_name = "ADDR:PORT")]
    pub quic_to: Option<SocketAddr>,
    /// What the link is like.
    #[arg(long, help = scenario_help())]
    pub scenario: Scenario,
}

/// `loadtest compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// The server.
    #[arg(long, default_value = "ws://127.0.0.1:7777")]
    pub url: Url,
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// What the links are like.
    #[arg(long, help = scenario_help(), required_unless_present = "direct")]
    pub scenario: Option<Scenario>,
    /// No relays: the way to the server is what it is. What the client shows is then compared to nothing.
    #[arg(long, conflicts_with = "scenario")]
    pub direct: bool,
    /// Transports to compare.
    #[arg(long, value_delimiter = ',', default_value = "websocket,quic,webtransport")]
    pub transports: Vec<TransportKind>,
    /// Players on each transport, all in one room.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub clients: u32,
    /// Ticks a second of the rooms, and inputs a second of each player.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=128))]
    pub tick_rate: u32,
    /// Kind of game.
    #[arg(long, default_value = "arena")]
    pub kind: String,
    /// How long to measure. Default: the scenario's phases and 10 s more; 20 s for one without an end.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Time over which the players connect, before the measuring.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    pub ramp: Duration,
    /// Time that all play on the scenario's first phase before the measuring, and before its time begins.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub warm_up: Duration,
    /// Writes the figures as one JSON object to this file; - is standard output.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// What must hold at the end: a key of the JSON such as quic.age_ms.p99, one of >= <= == > <, and a number. May be
    /// repeated.
    #[arg(long, value_name = "KEY>=N")]
    pub require: Vec<Requirement>,
}

/// `loadtest netns`.
#[derive(Debug, Clone, Args)]
pub struct NetnsArgs {
    /// What the link is like.
    #[arg(long, help = scenario_help())]
    pub scenario: Scenario,
    /// The server's command, for the shell. It runs where the address is 198.18.0.2.
    #[arg(long, default_value = "driftless serve --listen 198.18.0.2:7777 --insecure")]
    pub server: String,
    /// The TCP port that the server takes connections on when it is ready.
    #[arg(long, default_value_t = 7777)]
    pub ready: u16,
    /// Only sees whether this machine can do it, and starts nothing.
    #[arg(long)]
    pub check: bool,
    /// The client's command. It runs where the address is 198.18.0.1.
    #[arg(last = true, required_unless_present = "check")]
    pub command: Vec<String>,
}

/// The help of an argument that is a scenario.
fn scenario_help() -> String {
    let built_in: Vec<_> = Scenario::built_in().collect();
    format!("What the link is like: a TOML file, or one of {}", built_in.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
