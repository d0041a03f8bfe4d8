//! A swarm of bots that plays on a Driftless server over real WebSockets, QUIC and WebTransport, checks what
//! it is told, and measures. The binary `loadtest` has bots for the games that come with Driftless; a program
//! with a game's own bots is one line.
//!
//! - `loadtest run` plays in many rooms and reports how fresh and how regular the state is, and what it
//!   costs.
//! - `loadtest floor` measures what the kernel alone charges for the same traffic.
//! - `loadtest slow` lets one client stop reading and looks at what it and the others get.
//! - `loadtest topic` has many read a topic over HTTP, and measures how long events take to reach them.
//! - `loadtest soak` has bots come and go for an hour, and looks whether anything of the server grows.
//! - `loadtest link` puts a bad link that anyone can reproduce between any client and a server.
//! - `loadtest compare` plays the same game over each transport on equally bad links, side by side.
//! - `loadtest aim` measures whether shots hit that hit on their shooter's screen, over a bad link.
//! - `loadtest netns` puts the kernel's own TCP and UDP at both ends of such a link (needs root).
//!
//! Links, namespaces and the comparison are in [`driftless_links`]; only their subcommands are here.
//!
//! # Bots
//! Each run begins by saying what its bots do. In a game that this program does not know, they send empty
//! inputs: connections and states are measured, play is not. A game that implements
//! [`Bot`](driftless_sim::Bot) is played; its swarm is `src/bin/swarm.rs` in the game's crate (or
//! `examples/swarm.rs`, with this crate as a dev-dependency):
//!
//! ```no_run
//! # use driftless_sim::games::cursors::Cursors as Tag;
//! use driftless_loadtest::BotKind;
//!
//! fn main() -> std::process::ExitCode {
//!     driftless_loadtest::main(&[BotKind::of::<Tag>()])
//! }
//! ```
//!
//! `cargo run --release --bin swarm -- run --clients 100 --room-size 10` then plays it, on the server of
//! `--url`.
//!
//! # Data flow
//! ```text
//!   swarm    bytes of thousands of connections on one thread; knows no games
//!     │
//!   bot      a connection's session: decodes and applies every state
//!     ├─ cast, behaviour   what the player does
//!     ├─ check             what must never happen: an old state, a gap, a jump, a wrong checksum
//!     └─ measure           histograms
//!     │
//!   run      leads all threads through ramp-up, warm-up, measured time and end;
//!            asks the server (HTTP, /metrics) and the kernel for their side
//!     │
//!   figures  one JSON object, shown as a table and as a page (report), held against --require
//! ```
//!
//! # Exit codes
//! 0: all is well; 1: a bot saw an error, or a requirement does not hold; 2: there was no run.

mod aim;
mod behaviour;
mod bot;
mod cast;
mod check;
mod cli;
mod command;
mod compare;
mod figures;
mod floor;
mod link;
mod measure;
mod netns;
mod own;
mod process;
mod report;
mod require;
mod run;
mod server;
mod sizes;
mod slow;
mod soak;
mod stop;
mod swarm;
mod tls;
mod tokens;
mod topic;
mod trace;
mod url;
mod ws;

pub use cast::BotKind;

use std::process::ExitCode;

/// The whole program: reads the command line and does what it says, with these bots. `--kind` defaults to
/// that of the first.
pub fn main(bots: &[BotKind]) -> ExitCode {
    command::execute(cli::Cli::read(bots).command, bots)
}
