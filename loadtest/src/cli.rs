//! The command line. What is done with it is [`command`](crate::command)'s.

mod sizes;
mod soak;

pub use sizes::SizesArgs;
pub use soak::SoakArgs;

use crate::{
    cast::BotKind,
    floor::server::FloorServerArgs,
    require::Requirement,
    server::{GameArgs, OperatorArgs},
    tokens::TokenArgs,
    url::Url,
};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use driftless_client::TransportKind;
use driftless_links::Scenario;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Load-test a Driftless server with bots that really play.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all is well; 1 a bot saw an error, or a requirement does not hold; \
                          2 there was no run.";

impl Cli {
    /// Reads the command line, or exits and says what is wrong with it. `--kind` defaults to that of the
    /// first bots.
    pub fn read(bots: &[BotKind]) -> Self {
        Self::from_arg_matches(&Self::command_for(bots).get_matches()).unwrap_or_else(|error| error.exit())
    }
    fn command_for(bots: &[BotKind]) -> clap::Command {
        let Some(first) = bots.first() else { return Self::command() };
        ["run", "slow", "compare", "soak"].into_iter().fold(Self::command(), |command, name| {
            command.mut_subcommand(name, |subcommand| {
                subcommand.mut_arg("kind", |kind| kind.default_value(first.kind()))
            })
        })
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play in many rooms at once, check everything the server sends, and measure.
    Run(RunArgs),
    /// Measure what the kernel alone charges for the same traffic, with a bare epoll server and no game.
    Floor(FloorArgs),
    /// Let one client stop reading for a while; report what it gets afterwards and what the others notice.
    Slow(SlowArgs),
    /// Have many read a topic over HTTP while one publishes in it; report how long events take, and what it
    /// costs.
    Topic(TopicArgs),
    /// For an hour, come and go in every way there is over all transports, and find out whether memory,
    /// descriptors, threads or seats grow.
    Soak(SoakArgs),
    /// Put a bad link in front of a server, for UDP and TCP: latency, loss, a bottleneck, blackouts.
    Link(LinkArgs),
    /// Play the same game over each transport, side by side on equally bad links.
    Compare(CompareArgs),
    /// Measure whether shots hit that hit on their shooter's screen, over a bad link, with lag compensation
    /// and without.
    Aim(AimArgs),
    /// Put a bad link between two network namespaces, with the kernel's own TCP and UDP at both ends. Needs
    /// root.
    Netns(NetnsArgs),
    /// The server that `floor` starts.
    #[command(hide = true)]
    FloorServer(FloorServerArgs),
}

/// `loadtest run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The server under test.
    #[arg(long, default_value = "ws://127.0.0.1:7777")]
    pub url: Url,
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// For a wss:// URL: a PEM file with the authority that has signed the server's certificate. Default:
    /// those that the system trusts.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Number of bots.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub clients: u32,
    /// Bots per room.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub room_size: u32,
    /// Bots that only watch, evenly spread over the rooms, in addition to those that play. They read and
    /// check what they are shown like all others, and count in all figures as clients.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub spectators: u32,
    #[command(flatten)]
    pub game: GameArgs,
    /// How long to measure, for example 30s, 500ms or 2m.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Time over which the bots connect, before measuring begins.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub ramp: Duration,
    /// How long all bots play before measuring begins.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    pub warm_up: Duration,
    /// Process ID of the server, to measure its CPU time and memory. Start the server afresh: memory per
    /// client is what it grew by since just before the first bot.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Recorded movement for the arena's bots to follow: CSV whose first columns are tick, id, x, y; may be
    /// gzipped.
    #[arg(long)]
    pub trace: Option<PathBuf>,
    /// Write the figures to this file as one JSON object; - means standard output.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Write report.html to this folder.
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// Fail unless this holds at the end: a key of the JSON, one of >= <= == > <, and a number. May be
    /// repeated.
    #[arg(long, value_name = "KEY>=N")]
    pub require: Vec<Requirement>,
    /// Afterwards measure the floor of the same traffic, and report the ratio to it.
    #[arg(long)]
    pub floor: bool,
    #[command(flatten)]
    pub tokens: TokenArgs,
    /// What the bots connect over. With mix, bots of all three transports share each room.
    #[arg(long, value_enum, default_value_t = TransportChoice::Websocket)]
    pub transport: TransportChoice,
    /// Servers will be killed, or connections break: that is no error if the bots are back within a minute,
    /// as players are. `away_ms` says how long they were without a state.
    #[arg(long)]
    pub outages: bool,
    /// Threads that run the bots.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// How many of 100 bots read the states that they get, and check them; the others only acknowledge them.
    /// For rooms in which reading takes more CPU than the swarm has.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub readers: u8,
    #[command(flatten)]
    pub sizes: SizesArgs,
}

impl RunArgs {
    /// Bots that play.
    pub fn players(&self) -> usize {
        self.clients as usize
    }
    /// All bots: those that play, and then those that watch.
    pub fn bots(&self) -> usize {
        self.players() + self.spectators as usize
    }
    /// Number of rooms.
    pub fn rooms(&self) -> u32 {
        self.clients.div_ceil(self.room_size)
    }
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
    /// Number of clients.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub clients: u32,
    /// Ticks per second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub tick_rate: u32,
    /// Size of a message from the server, bytes.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub frame_bytes: u32,
    /// Size of a message from a client, bytes.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=3000))]
    pub input_bytes: u32,
    /// How long to measure.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Number of rooms; their ticks are spread over time. Default: one per 50 clients.
    #[arg(long)]
    pub rooms: Option<u32>,
    /// Write the figures to this file as one JSON object; - means standard output.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// `loadtest slow`.
#[derive(Debug, Clone, Args)]
pub struct SlowArgs {
    /// The server under test.
    #[arg(long, default_value = "ws://127.0.0.1:7777")]
    pub url: Url,
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// Players in the room, including the slow one.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub room_size: u32,
    #[command(flatten)]
    pub game: GameArgs,
    #[command(flatten)]
    pub tokens: TokenArgs,
    /// How long the slow client stops reading.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub stall: Duration,
    /// How long to play before and after that.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub around: Duration,
    /// Process ID of the server, to measure its memory.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Write the figures to this file as one JSON object; - means standard output.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Fail unless this holds at the end: a key of the JSON, one of >= <= == > <, and a number. May be
    /// repeated.
    #[arg(long, value_name = "KEY>=N")]
    pub require: Vec<Requirement>,
}

/// `loadtest topic`.
#[derive(Debug, Clone, Args)]
pub struct TopicArgs {
    /// The server that is read from.
    #[arg(long, default_value = "ws://127.0.0.1:7777")]
    pub url: Url,
    /// The server at which events are published, if it is another node.
    #[arg(long)]
    pub publish_url: Option<Url>,
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// The topic.
    #[arg(long, default_value = "loadtest")]
    pub topic: String,
    /// Readers.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub readers: u32,
    /// Events per second.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Bytes of an event's text, besides the time in it.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=16_000))]
    pub bytes: u32,
    /// Publish events that replace each other.
    #[arg(long)]
    pub latest: bool,
    /// How long to measure, for example 30s, 500ms or 2m.
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Process ID of the server, to measure its CPU time and memory.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Write the figures to this file as one JSON object; - means standard output.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// `loadtest link`.
#[derive(Debug, Clone, Args)]
pub struct LinkArgs {
    /// Where clients connect, for both UDP and TCP. Port 0 picks a free port and prints it.
    #[arg(long, default_value = "127.0.0.1:7700")]
    pub listen: SocketAddr,
    /// The server to relay to.
    #[arg(long, default_value = "127.0.0.1:7777")]
    pub to: SocketAddr,
    /// Where the server accepts QUIC, if that is a different port.
    #[arg(long, value_name = "ADDR:PORT")]
    pub quic_to: Option<SocketAddr>,
    /// What the link is like.
    #[arg(long, help = scenario_help())]
    pub scenario: Scenario,
}

/// `loadtest compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// The server under test.
    #[arg(long, default_value = "ws://127.0.0.1:7777")]
    pub url: Url,
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// What the links are like.
    #[arg(long, help = scenario_help(), required_unless_present = "direct")]
    pub scenario: Option<Scenario>,
    /// Use no relays: the path to the server stays as it is. What clients show is then compared with nothing.
    #[arg(long, conflicts_with = "scenario")]
    pub direct: bool,
    /// Transports to compare.
    #[arg(long, value_delimiter = ',', default_value = "websocket,quic,webtransport")]
    pub transports: Vec<TransportKind>,
    /// Players per transport, all in one room.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub clients: u32,
    /// So many more play in each room on perfect links, and what each of them gets of itself is the truth, to
    /// compare with what is shown: for rooms in which nobody sees all (0: one more player sees all).
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=5_000))]
    pub crowd: u32,
    /// Recorded movement for the arena's bots to follow: CSV whose first columns are tick, id, x, y; may be
    /// gzipped.
    #[arg(long)]
    pub trace: Option<PathBuf>,
    #[command(flatten)]
    pub game: GameArgs,
    /// How long to measure. Default: the scenario's phases plus 10 s, or 20 s if it has no end.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Time over which the players connect, before measuring begins.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    pub ramp: Duration,
    /// How long all play under the conditions of the first phase before measuring, and the scenario, begin.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub warm_up: Duration,
    /// Write the figures to this file as one JSON object; - means standard output.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Fail unless this holds at the end: a key of the JSON such as quic.age_ms.p99, one of >= <= == > <,
    /// and a number. May be repeated.
    #[arg(long, value_name = "KEY>=N")]
    pub require: Vec<Requirement>,
}

/// `loadtest aim`.
#[derive(Debug, Clone, Args)]
pub struct AimArgs {
    /// The server under test.
    #[arg(long, default_value = "ws://127.0.0.1:7777")]
    pub url: Url,
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// What the shooters' links are like.
    #[arg(long, help = scenario_help(), default_value = "rtt150")]
    pub scenario: Scenario,
    /// Transports of the shooters.
    #[arg(long, value_delimiter = ',', default_value = "websocket,quic")]
    pub transports: Vec<TransportKind>,
    /// Ticks per second of each room.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=128))]
    pub tick_rate: u32,
    /// How far shots may be rewound where they are, ms: the arena's option.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub rewind_ms: u32,
    /// Shooters on each transport in rooms that rewind, and as many in rooms that do not.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub shooters: u32,
    /// Runners in each shooter's room.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub runners: u32,
    /// How long to measure.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Write the figures to this file as one JSON object; - means standard output.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Fail unless this holds at the end: a key of the JSON such as quic.on.hit_ratio, one of
    /// >= <= == > <, and a number. May be repeated.
    #[arg(long, value_name = "KEY>=N")]
    pub require: Vec<Requirement>,
}

/// `loadtest netns`.
#[derive(Debug, Clone, Args)]
pub struct NetnsArgs {
    /// What the link is like.
    #[arg(long, help = scenario_help())]
    pub scenario: Scenario,
    /// Shell command that starts the server, where the address is 198.18.0.2.
    #[arg(long, default_value = "driftless serve --listen 198.18.0.2:7777 --insecure")]
    pub server: String,
    /// TCP port on which the server accepts connections once it is ready.
    #[arg(long, default_value_t = 7777)]
    pub ready: u16,
    /// Only check whether this machine supports it; start nothing.
    #[arg(long)]
    pub check: bool,
    /// Command that runs the client, where the address is 198.18.0.1.
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
        Cli::command_for(&[BotKind::wanderers()]).debug_assert();
    }
}
