//! A swarm of bots that plays on a Driftless server over real WebSockets, QUIC and WebTransport, checks what
//! it is told, and measures. The binary `loadtest` is this with the games that come with Driftless; a game's
//! own is one line.
//!
//! - `loadtest run` plays in many rooms and reports how fresh and how regular the state is, and what it
//!   costs.
//! - `loadtest floor` measures what the kernel alone charges for the same traffic.
//! - `loadtest slow` lets one client stop reading and looks at what it and the others get.
//! - `loadtest link` is a bad link that anyone can repeat, between any client and a server.
//! - `loadtest compare` plays the same game over each transport on equally bad links, side by side.
//! - `loadtest netns` puts the kernel's own TCP and UDP on both sides of such a link (root).
//!
//! The links, the namespaces and the comparison are those of [`driftless_links`]; their subcommands are here.
//!
//! # Bots
//! What bots do is said at the start of each run. In a game that this program does not know, they send empty
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
//! # The way of the data
//! ```text
//!   swarm    bytes of thousands of connections on one thread; knows no games
//!     │
//!   bot      a connection's session: decodes and applies every state
//!     ├─ cast, behaviour   what the player does
//!     ├─ check             what must never happen: an old state, a gap, a jump, a wrong checksum
//!     └─ measure           histograms
//!     │
//!   run      leads all threads through ramp, warm-up, measured time and end;
//!            asks the server (HTTP, /metrics) and the kernel for their side
//!     │
//!   figures  one JSON object, shown as a table and as a page (report), held against --require
//! ```
//!
//! # Exit codes
//! 0: all is well; 1: an error was seen by the swarm, or a requirement does not hold; 2: there was no run.

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
mod stop;
mod swarm;
mod trace;
mod url;
mod ws;

pub use cast::BotKind;

use std::process::ExitCode;

/// The whole program: reads the command line and does what it says, with these bots. `--kind` is the first
/// one's where it is not given.
pub fn main(bots: &[BotKind]) -> ExitCode {
    command::execute(cli::Cli::read(bots).command, bots)
}
