//! Native client of Driftless, for games and for bots.
//!
//! A player connects to a room, sends inputs, and gets the room's state: always the newest, never an older one than
//! it had. When the connection is lost the client comes back by itself and takes its seat again.
//!
//! ```no_run
//! use driftless_client::{Client, Error, Event, Options};
//! # async fn play() -> Result<(), Error> {
//! let mut client = Client::connect(Options::new("ws://127.0.0.1:7777", "lobby").kind("arena")).await?;
//! loop {
//!     match client.next().await? {
//!         Event::State { tick, .. } => {
//!             let Some(state) = client.snapshot() else { continue };
//!             println!("tick {tick}: {} players", state.tables()[0].len());
//!         }
//!         Event::Disconnected { cause, .. } => eprintln!("{cause}; will reconnect"),
//!         _ => {}
//!     }
//! }
//! # }
//! ```
//!
//! # Two layers
//! - [`ClientCore`] is everything but the socket: the session of `driftless-proto`, the server's [`Clock`], the
//!   [`Stats`], when to reconnect. `handle_*` takes something in, `poll_*` gives something out, time is an argument.
//! - [`Connection`] puts it on a tokio WebSocket, driven by the one task that owns it. Bots are built on this.
//! - [`Client`] adds the reconnecting.
//!
//! Nothing here starts a task or a thread, and nothing happens while nobody waits in `next`.

pub mod backoff;
pub mod client;
pub mod client_core;
pub mod clock;
pub mod connection;
pub mod error;
pub mod event;
pub mod interpolation;
pub mod options;
pub mod prediction;
pub mod stats;
pub mod transport;
pub mod typed;

pub use backoff::Backoff;
pub use client::Client;
pub use client_core::{ClientCore, Phase};
pub use clock::Clock;
pub use connection::{Connection, Step};
pub use error::{Disconnect, Error};
pub use event::Event;
pub use interpolation::{Interpolation, InterpolationConfig};
pub use options::Options;
pub use prediction::{Prediction, Smoothing};
pub use stats::Stats;
pub use typed::{Messages, Payloads, decode_event};

pub use driftless_proto as proto;
pub use driftless_proto::session::client::{ClientConfig, SendError, ServerError};
