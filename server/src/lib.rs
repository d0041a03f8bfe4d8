//! The authoritative multiplayer game-state server: an actix shell around `driftless-proto` and `driftless-sim`.

pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod directory;
pub mod error;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod metronome;
pub mod open_files;
pub mod presence;
pub mod room;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod thread;
pub mod transport;
