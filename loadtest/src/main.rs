//! `loadtest`: a swarm of bots that plays on a Driftless server over real WebSockets, QUIC and WebTransport,
//! checks what it is told, and measures.
//!
//! - `loadtest run` plays in many rooms and reports how fresh, how regular and how dear the state is.
//! - `loadtest floor` measures what the kernel alone charges for the same traffic.
//! - `loadtest link` is a bad link that anyone can repeat, between any client and a server.
//! - `loadtest compare` plays the same game over each transport on equally bad links, side by side.
//! - `loadtest netns` puts the kernel's own TCP and UDP on both sides of such a link (root).
//! - `loadtest slow` lets one client stop reading and looks at what it and the others get.
//!
//! The links, the namespaces and the comparison are [`driftless_links`]'; their subcommands are here.
//!
//! The way of the data: [`swarm`] moves bytes for thousands of connections on one thread and knows nothing of
//! games; [`bot`] is what each connection is: a session that decodes and applies every state, a player that
//! acts ([`behaviour`]), checks ([`check`]) and measurements ([`measure`]). [`run`] leads them through ramp,
//! warm-up, window and end, and asks the server ([`server`]) for its side. What comes out is one
//! [`figures::Figures`], shown as a table, as JSON and as a page ([`report`]), and held against what was
//! required ([`require`]). [`sizes`] makes many such runs, in rooms of different sizes and by turns on two
//! servers, and one table.
//!
//! Exit codes: 0, all is well; 1, an error was seen by the swarm or a requirement does not hold; 2, there was
//! no run.

mod behaviour;
mod bot;
mod check;
mod cli;
mod command;
mod compare;
mod figures;
mod floor;
mod link;
mod measure;
mod netns;
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

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    command::execute(cli::Cli::parse().command)
}
