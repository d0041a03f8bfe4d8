//! The authoritative multiplayer game-state server: an actix shell around `driftless-proto` and
//! `driftless-sim`.
//!
//! `driftless-sim` defines what a game is, and `driftless-proto` what is sent and when. This crate contains
//! sockets, threads, actors and clocks, and as little else as possible: an actor decodes messages and calls a
//! plain struct, which holds the logic and the tests.
//!
//! # Threads and actors
//!
//! | thread | what is on it | what wakes it |
//! | --- | --- | --- |
//! | home, `threads` of them | [`room::Room`], one per room; the connections of their players: [`connection::Connection`], one each, [`connection::Fanout`], one per thread; the WebSockets' hub; QUIC's endpoint | the beginning of a slot of its rooms; packets |
//! | apart, at most as many | rooms whose ticks would make others late | the same |
//! | acceptors, `workers` | accept, TLS, HTTP, connections until they have a room | sockets |
//! | main | [`presence::Presence`], one | joins and leaves; every 250 ms |
//! | jobs, 2, and up to 16 that may block, with [`jobs`] | none | jobs requested by games |
//! | room events, one, with [`Server::on`] | none | rooms made, reports, rooms ended |
//! | recorder, one, with `--record` | none | ticks to write |
//! | nodes, one, with `--redis` | none | joins to unknown rooms; every fifth of a lease |
//! | store, three, with `--store` | none | every 20 ms |
//! | log, one | none | log lines to write |
//! | control, one | none | `driftless upgrade` |
//!
//! **Home.** A room and the connections of its players live on one thread, where a tick is a function call,
//! and nothing is locked, woken or sent. A WebSocket moves there from the thread that accepted it when its
//! player joins or resumes: the socket goes from one thread's hub to the other's, with everything that it has
//! read and not sent. QUIC connections stay where the kernel's filter puts their packets. They, the players
//! of a room too large for one thread, and those of a room that lives apart get the room's states with one
//! message per thread. `homes` assigns the threads: new rooms go to a thread with little to do, heavy rooms
//! apart, and when the CPU load of threads differs for a long time, rooms move with their connections.
//!
//! # Layers
//!
//! Each layer uses only those above it; what it needs from those below is handed to it as a recipient or a
//! trait object.
//!
//! | module | what |
//! | --- | --- |
//! | [`ground`] | ids, seats, what rooms and connections share, reasons, messages: no actor, no I/O |
//! | [`room`] | [`room::core::RoomCore`] (pure) and its actor |
//! | [`presence`] | who is in which room: a pure roster and its actor |
//! | [`connection`] | one client: its session, its seat, its [end](connection::End) |
//! | `registry`, `nodes`, `homes`, `factory` | rooms by name and seats by token; which of many servers has a room; their threads; making rooms |
//! | [`door`] | who is admitted, over any transport |
//! | `transport` | WebSocket, QUIC, WebTransport: bytes in, bytes out |
//! | `matching` | seats for parties in rooms that fit |
//! | [`jobs`] | work that is too slow for a tick |
//! | `topics` | what is said to all who read it |
//! | `http`, [`feed`], [`config`], [`metrics`], [`health`] | for operators |
//! | `upgrade` | one process follows another |
//! | [`server`] | assembles them |
//!
//! # Data flow
//!
//! **Input.** `transport::websocket` reads a message and gives it to the connection's [`connection::Peer`],
//! whose session checks it and puts the input into the room's [inbox](ground::shared::Inbox). This takes no
//! message and no wake-up, because an input is only read at the next tick.
//!
//! **Tick.** The thread's [timetable](room::timetable) calls the room. [`room::core::RoomCore`] drains the
//! inbox in order of player, steps the game, takes one snapshot and publishes one
//! [`ground::published::Published`], once to each thread with connections of the room: it overwrites their
//! state slots and wakes their transports. Reading and writing of WebSockets is interrupted for rooms that
//! are due.
//!
//! **State.** A transport whose socket has room pulls: control messages, then the seat's reliable queue, then
//! the newest state, unless too many are unacknowledged. The first connection that needs a delta against some
//! baseline encodes it; the others share the bytes.
//!
//! **Seats** ([`ground::seat::Seat`]) outlive connections for the resume window. The room owns them;
//! [`presence`] says when one expires.
//!
//! # A server of your own
//!
//! ```no_run
//! use driftless_sim::{GameKind, games::cursors::Cursors};
//!
//! fn main() -> std::process::ExitCode {
//!     driftless_server::main(&[GameKind::of::<Cursors>()])
//! }
//! ```
//!
//! It has every command and option of `driftless`, for these games and no others. [`Server`] adds the game's
//! own page and routes; its [`start`](Server::start) runs it within a program of another kind.

#![warn(unreachable_pub)]

/// The code in the README and in the guide compiles, and does what it says.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../guide/20-commands-and-events.md")]
    struct CommandsAndEvents;
    #[doc = include_str!("../guide/30-rooms.md")]
    struct Rooms;
    #[doc = include_str!("../guide/33-matches.md")]
    struct Matches;
    #[doc = include_str!("../guide/40-prediction.md")]
    struct Prediction;
    #[doc = include_str!("../guide/43-zones.md")]
    struct Zones;
    #[doc = include_str!("../guide/45-lag-compensation.md")]
    struct LagCompensation;
    #[doc = include_str!("../guide/50-jobs.md")]
    struct Jobs;
    #[doc = include_str!("../guide/55-rooms-that-survive.md")]
    struct RoomsThatSurvive;
    #[doc = include_str!("../guide/60-testing.md")]
    struct Testing;
    #[doc = include_str!("../guide/65-rust-client.md")]
    struct RustClient;
    #[doc = include_str!("../guide/70-load-testing.md")]
    struct LoadTesting;
    #[doc = include_str!("../guide/82-identity.md")]
    struct Identity;
}

mod alarm;
mod carry;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod door;
mod factory;
pub mod feed;
mod file_size;
#[cfg(any(test, fuzzed))]
#[doc(hidden)]
pub mod fuzz;
pub mod ground;
pub mod health;
mod homes;
mod http;
pub mod jobs;
mod matching;
pub mod metrics;
mod moving;
mod nodes;
pub mod open_files;
mod prefetch;
pub mod presence;
mod readable;
#[cfg(test)]
#[path = "../tests/util/redis.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the tests of the whole server have it, too, and want more of it"
)]
mod redis_server;
mod registry;
pub mod room;
pub mod server;
mod shutdown;
mod spans;
mod store;
mod systemd;
pub mod telemetry;
mod thread;
pub mod tls;
mod topics;
mod transport;
mod types;
mod upgrade;
mod whereabouts;

pub use actix_web;
pub use door::{Denied, Knock};
pub use driftless_sim::{self, prost, serde};
pub use ground::identity::{EntryRights, Identity, Role, RoomPattern, TopicRights, User};
pub use http::Pages;
pub use matching::{Backfill, Groups, MatchFunction, Proposal, Round, Ticket, TicketId};
pub use room::events::{RoomEvent, RoomView};
pub use server::Server;
#[doc(hidden)]
pub use store::{Disk, Footing, Task, Yardstick};

use driftless_sim::GameKind;
use std::process::ExitCode;

/// The program `driftless`, with these games in place of those that come with it: the first is the default.
/// It reads the command line and the environment, and does what they say.
pub fn main(games: &[GameKind]) -> ExitCode {
    Server::new(games).main()
}
