//! Deterministic fixed-step simulations: what a game is, to Driftless.

pub mod game;
pub mod games;
pub mod replay;
pub mod rng;
pub mod simulation;

pub use driftless_proto::{schema::Schema, snapshot::Snapshot};
pub use simulation::{PlayerId, Simulation, Step};
