//! Deterministic fixed-step simulations: what a game is, to Driftless.
//!
//! A game implements [`Simulation`]: typed inputs, one `step` per tick, integers out. A server holds it as a
//! [`Game`], behind a byte interface, and never knows its rules. This crate does no I/O, reads no clock and
//! starts no thread: the caller decides when a tick is.
//!
//! # Data flow
//!
//! ```text
//! join, away, command… ──┐
//! inputs (bytes) ────────┼──► Game ──► Simulation::step ──► Snapshot   (integers, to the delta codec)
//! tick ──────────────────┘                             ├──► view       (which zones; `spectate`, too)
//!                                                      ├──► events     (bytes, reliable)
//!                                                      ├──► orders     (kick, end, … : see Step)
//!                                                      └──► checksum   (CRC-32C of the whole state)
//! ```
//!
//! Order within a tick: joins, leaves, losses and returns of connections, and commands, in the order in which
//! they take effect; the inputs in order of player (one of each, unless a game asks for more), each once
//! `validate` has passed it; `step`; `snapshot`; `view` for each player, if the snapshot has zones. A
//! [`replay`] needs to know only which of these happened before which step.
//!
//! # A whole game
//!
//! Everybody has a button, and everybody sees how often each one was pressed.
//!
//! ```
//! use driftless_sim::{GameKind, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step};
//! use serde::{Deserialize, Serialize};
//! use std::collections::BTreeMap;
//!
//! #[derive(Clone, Copy, PartialEq, prost::Message)]
//! struct Press {
//!     #[prost(uint32, tag = "1")]
//!     times: u32,
//! }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Buttons(BTreeMap<PlayerId, i32>);
//!
//! impl Simulation for Buttons {
//!     const KIND: &'static str = "buttons";
//!     type Input = Press;
//!     type Command = ();
//!     type Event = ();
//!     type Options = ();
//!
//!     fn schema() -> Schema {
//!         Schema::new().kind("button", |kind| kind.hold("count", &["presses"], 1))
//!     }
//!     fn new(_setup: &Setup) -> Result<Self, String> {
//!         Ok(Self::default())
//!     }
//!     fn join(&mut self, player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {
//!         self.0.insert(player, 0);
//!     }
//!     fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, ()>) {
//!         self.0.remove(&player);
//!     }
//!     fn step(&mut self, inputs: &[PlayerInput<Press>], _step: &mut Step<'_, ()>) {
//!         // At most one of a player: see `Simulation::step`.
//!         for PlayerInput { player, input, .. } in inputs {
//!             // What a client sends is clamped, never trusted.
//!             self.0.entry(*player).and_modify(|count| *count += input.times.min(1) as i32);
//!         }
//!     }
//!     fn snapshot(&self, out: &mut Snapshot) {
//!         self.0.iter().for_each(|(&player, &count)| out.table_mut(0).push(player, &[count]));
//!     }
//! }
//!
//! let kind = GameKind::of::<Buttons>();
//! let mut room = kind.start(&Setup::new(1, 20))?;
//! room.join(1, 7, "Ada");
//! let press = prost::Message::encode_to_vec(&Press { times: 1_000 });
//! room.input(PlayerInput::new(7, &press[..]))?;
//! room.step(1);
//!
//! let mut seen = Snapshot::new(&kind.schema());
//! room.snapshot(1, &mut seen);
//! assert_eq!(seen.tables()[0].value(7, 0), Some(1));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # What keeps a game deterministic
//!
//! - Integers and fixed point instead of floats, whose results differ between machines and compilers.
//!   `i64::isqrt` is exact.
//! - Ordered containers: a `HashMap` iterates in a different order in each process.
//! - The [`Rng`] of this crate, kept in the state; no clock, no thread, no memory address.
//! - Everything that the rules depend on is in what `Serialize` writes. Scratch memory is `#[serde(skip)]`.
//! - Times are counted in ticks, and speeds are per second, so that a game plays alike at any tick rate.
//!
//! # What else a game may define
//!
//! - How its own player moves: [`Predict`]. A native client predicts with it, and pages with the game's
//!   library as a module: [`wasm`].
//! - How a bot plays it: [`Bot`].
//! - Its messages' `.proto` ([`Simulation::PROTO`]), from which `driftless types` writes the types of a page.
//!
//! [`games::arena`] is a larger game built this way, [`games::cursors`] a small one, and [`games::hands`] one
//! with zones.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate self as driftless_sim; // so that the games here are written like anybody's

pub mod bot;
pub mod chat;
pub mod checksum;
pub mod game;
pub mod games;
pub mod grid;
pub mod input;
pub mod job;
pub mod past;
pub mod predict;
pub mod replay;
pub mod rng;
pub mod secret;
pub mod seen;
pub mod setup;
pub mod simulation;
pub mod step;
mod users;
pub mod validation;
pub mod view;
pub mod wasm;

pub use bot::Bot;
pub use driftless_proto::{
    moment::Moment,
    schema::Schema,
    snapshot::{Snapshot, Table},
    view::{InView, ZoneId},
};
pub use game::{Game, GameKind, Messages};
pub use grid::Grid;
pub use input::PlayerInput;
pub use job::{Answer, Job, JobError, JobId};
pub use past::Past;
pub use predict::{Predict, Prediction};
pub use rng::Rng;
pub use secret::SecretRng;
pub use seen::Seen;
pub use setup::Setup;
pub use simulation::{Away, PlayerId, Simulation, TICK_RATES};
pub use step::{Order, Output, Recipient, Step};
pub use validation::Validation;
pub use view::{View, seen_by};
/// The versions that games are written with.
pub use {prost, serde};
