//! The authoritative multiplayer game-state server: an actix shell around `driftless-proto` and `driftless-sim`.

pub mod cli;
pub mod clock;
pub mod config;
pub mod directory;
pub mod http;
pub mod metrics;
pub mod open_files;
pub mod presence;
pub mod telemetry;
