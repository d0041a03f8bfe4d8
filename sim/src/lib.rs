//! Deterministic fixed-step simulations: what a game is, to Driftless.

pub mod chat;
pub mod checksum;
pub mod game;
pub mod games;
pub mod replay;
pub mod rng;
pub mod simulation;

pub use driftless_proto::{schema::Schema, snapshot::Snapshot};
pub use game::{Game, GameKind};
pub use rng::Rng;
pub use simulation::{PlayerId, Recipient, Simulation, Step};
