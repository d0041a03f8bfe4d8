//! Shared by the benchmarks: a room whose players never stand still, and clients without sockets.
//!
//! - [`BusyRoom`] is the server's [`RoomCore`](driftless_server::room::core::RoomCore) with its seats and
//!   inbox, and one input per player and tick.
//! - [`Thread`] is one of the server's threads that serve connections, without its event loop.
//! - [`Client`] is the server's [`Peer`](driftless_server::connection::Peer), with this crate in place of the
//!   transport and the remote machine.
//! - [`Parts`] is a game without any of this, whose ticks are measured part by part.
//!
//! Nothing else here reads a clock except the server's own encode-time metric: time is an argument, in ticks
//! of the room.

mod client;
mod parts;
mod room;

pub use client::{Client, Thread};
pub use parts::{PARTS, Parts};
pub use room::{BusyRoom, UnknownGame};

use std::{error::Error, fs::File, path::Path};

/// Writes figures as JSON to a file, or to standard output if the path is `-`.
///
/// # Errors
/// The file cannot be written.
pub fn write_json(path: &Path, figures: &impl serde::Serialize) -> Result<(), Box<dyn Error>> {
    if path == Path::new("-") {
        serde_json::to_writer_pretty(std::io::stdout(), figures)?;
        println!();
    } else {
        serde_json::to_writer_pretty(File::create(path)?, figures)?;
    }
    Ok(())
}
