//! The authoritative multiplayer game-state server: an actix shell around `driftless-proto` and `driftless-sim`.
//!
//! What a game is, `driftless-sim` says; what travels and when, `driftless-proto`. Here are sockets, threads, actors and clocks, and
//! as little else as can be: an actor decodes messages and calls a plain struct that holds the logic and the tests.
//!
//! # Threads and actors
//!
//! | thread | actors on it | what wakes it |
//! | --- | --- | --- |
//! | metronome, one | none | the next deadline of any room |
//! | for rooms, `room_threads` | [`room::Room`], one a room | a tick, a join, a leave |
//! | for connections, `workers` | [`connection::Fanout`], one a thread; [`connection::Connection`], one a connection | sockets, a published tick |
//! | main | [`presence::Presence`], one | joins and leaves; every 250 ms |
//! | recorder, one, with `--record` | none | ticks to write |
//! | log, one | none | log lines to write |
//!
//! # Layers
//!
//! Each uses those above it only; what it needs of those below it is handed to it as a recipient or a trait object.
//!
//! | module | what |
//! | --- | --- |
//! | [`ground`] | ids, seats, what rooms and connections share, reasons, messages: no actor, no I/O |
//! | [`room`] | [`room::core::RoomCore`] (pure) and its actor |
//! | [`presence`] | who is in which room: a pure roster and its actor |
//! | [`connection`] | one client: its session, its seat, its [end](connection::End) |
//! | `registry`, `factory` | rooms by name and seats by token; what makes rooms |
//! | [`door`] | who is let in, by whatever transport |
//! | `transport` | WebSocket, QUIC, WebTransport: bytes in, bytes out |
//! | `http`, [`feed`], [`config`], [`metrics`] | for operators |
//! | [`server`] | puts them together |
//!
//! # The way of the data
//!
//! **Input.** `transport::websocket` reads a message and gives it to the connection's [`connection::Peer`], whose session checks it and
//! puts the input into the room's [inbox](ground::shared::Inbox). No message, no wake-up: an input is only read at the next tick.
//!
//! **Tick.** The [`metronome`] tells the room. [`room::core::RoomCore`] drains the inbox in order of player, steps the game, takes one
//! snapshot and publishes one [`ground::published::Published`]: once to each thread's `Fanout`, which overwrites the state slot of the room's
//! connections there and calls their transports.
//!
//! **State.** A transport whose socket has room pulls: control messages, then the seat's reliable queue, then the newest state, if
//! not too many are unacknowledged. The first to ask for a delta against some baseline encodes it; the others share the bytes.
//!
//! **Seats** ([`ground::seat::Seat`]) outlive connections for the resume window. The room owns them; [`presence`] tells when one expires.
//!
//! # A server of your own
//!
//! ```no_run
//! use driftless_server::{config::Config, server::{Server, run}};
//! use driftless_sim::{GameKind, games::cursors::Cursors};
//!
//! run(Server::new(Config::default()).game(GameKind::of::<Cursors>()))?;
//! # Ok::<(), std::io::Error>(())
//! ```

#![warn(unreachable_pub)]

mod alarm;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod door;
mod factory;
pub mod feed;
pub mod ground;
mod homes;
mod http;
pub mod metrics;
pub mod open_files;
pub mod presence;
mod registry;
pub mod room;
pub mod server;
mod shutdown;
pub mod telemetry;
mod thread;
pub mod tls;
mod transport;
