//! Native client of Driftless, for games and for bots.
//!
//! A player connects to a room, sends inputs, and receives the room's state: always the newest, never an
//! older one than before. When the connection is lost, the client reconnects by itself and resumes its seat.
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
//! # Three layers
//! - [`ClientCore`] is everything but the socket: the session of `driftless-proto`, the server's [`Clock`],
//!   the [`Stats`], and when to reconnect. `handle_*` takes something in, `poll_*` gives something out, and
//!   time is an argument.
//! - [`Connection`] runs a `ClientCore` on a [`Transport`] (WebSocket, QUIC, WebTransport), driven by the
//!   task that owns it. Bots are built on this.
//! - [`Client`] adds reconnecting.
//!
//! Nothing here starts a thread, and nothing happens unless `next` is being awaited. (Under QUIC and
//! WebTransport, quinn has one task per connection and one per socket.) A connection has one timer. It does
//! not require `Send`, but is `Send`.
//!
//! # Data flow
//! ```text
//! socket ─────► transport ───────► ClientCore ─► Event::State ─► snapshot() ─┬─► Interpolation ─► the others
//!                                      ▲   └─► Clock, Stats                   └─► Prediction ───► the player
//! socket ◄───── transport ◄────────┴── send_input(), command()
//! ```
//!
//! # What is shown
//! A state is already old when it arrives, and the next one is a tick away. [`Interpolation`] shows the
//! others a little in the past, between two states. [`Prediction`] shows the player itself in the present: by
//! the game's own rules ([`Predict`]), it applies at once what the server will apply later, and every state
//! corrects it; [`Smoothing`] hides the corrections. All of these are separate from the client: a bot, or a
//! game that draws the newest state, needs none of them. After this machine has slept, its estimate of the
//! server's clock is wrong: at [`Event::ClockMoved`], call [`Interpolation::restart`].
//!
//! ```
//! use driftless_client::proto::{schema::Schema, snapshot::Snapshot, wire};
//! use driftless_client::{Interpolation, InterpolationConfig};
//!
//! let schema = Schema::new().kind("cart", |k| k.linear("position", &["x"], 100));
//! let welcome = wire::Welcome { tick_rate: 20, ..Default::default() };
//! let config = InterpolationConfig { max_delay: std::time::Duration::ZERO, ..Default::default() };
//! let mut others = Interpolation::new(&schema, &welcome, config);
//! for tick in 0..2 {
//!     let mut state = Snapshot::new(&schema);
//!     state.clear(tick);
//!     state.table_mut(0).push(7, &[tick as i32 * 100]);
//!     others.push(0, &state);
//! }
//! // Tick 0 is at 0 µs and tick 1 at 50,000 µs; halfway between them the cart has moved half a unit.
//! let view = others.advance(25_000).ok_or("no state yet")?;
//! let cart = view.entity(0, 7).ok_or("no cart")?;
//! assert_eq!((cart.quanta(0), cart.units(0)), (50, 0.5));
//! # Ok::<_, &str>(())
//! ```
//!
//! # Transports
//! QUIC where UDP gets through, else WebSocket: see [`transport`]. A change of network does not end a QUIC
//! connection. If UDP does not get through the new network, the next connection is a WebSocket with the same
//! seat.
//!
//! QUIC and WebTransport always use TLS, and so does a WebSocket to a `wss://` URL. [`Options::trust`] says
//! which certificates are the server's. The default asks the server itself: with a `ws://` URL that is for
//! development, and a game that ships has a `wss://` URL, or the hash of a certificate.
//!
//! # Who the player is
//! A server with keys wants a token that says so: [`Options::token_from`] says where to get one. It is asked
//! for each connection, and again before the old token expires; tokens travel in headers, or on QUIC in the
//! join.
//!
//! # When the connection is lost
//! [`Disconnect`] says why, and whether trying again can help. If it can, the client waits (exponentially
//! longer, with jitter, and at least as long as the server requests: see [`backoff`]) and resumes its seat.
//! Reliable events continue where they stopped, each exactly once; commands that the server had not taken are
//! sent again; the state is sent in full; and of the [`Members`], the changes are sent. If the seat is lost,
//! the client joins as a new player, which the welcome shows. If trying again cannot help, [`Error`] ends the
//! client.
//!
//! # What it does not do
//! Drawing.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod backoff;
pub mod client;
pub mod client_core;
pub mod clock;
pub mod connection;
pub mod error;
pub mod event;
pub mod interpolation;
pub mod members;
pub mod options;
mod runtime;
pub mod smoothing;
pub mod stats;
mod token;
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
pub use members::Members;
pub use options::Options;
pub use smoothing::Smoothing;
pub use stats::Stats;
pub use token::TokenSource;
pub use transport::{Endpoint, Transport, TransportKind, Trust};
pub use typed::{Messages, Payloads, decode_event};

pub use driftless_proto as proto;
pub use driftless_proto::session::client::{ClientConfig, SendError, ServerError};
pub use driftless_sim::{Predict, Prediction};
