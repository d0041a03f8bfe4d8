//! Rooms: one actor each, on the thread where its players' connections are.
//!
//! The logic is in [`core`], which knows no actor and no clock. Around it is a [`Shell`], which keeps a
//! game's panic inside the room and hands the results to connections, presence and the recorder. The thread's
//! [timetable] calls it for each tick. Rare events come as messages to its actor, [`Room`], at an
//! [address](RoomAddr) that stays the same when the room moves to another thread.

pub mod absence;
pub mod core;
pub mod events;
pub mod inspect;
pub mod jobs;
pub mod journal;
pub mod npcs;
pub mod record;
pub mod reports;
pub mod reservations;
pub mod schedule;
pub mod seats;
pub mod spectators;
pub mod start;
pub mod timetable;

mod actor;
mod address;
mod budget;
mod checkpoints;
mod fanouts;
mod moving;
mod pace;
mod shell;
mod weight;

pub use actor::{
    AskStarted, Carry, CloseRoom, Join, Kick, Leave, Lost, Moved, Release, Reserve, Resume, Room,
};
pub use address::{Handled, RoomAddr};
pub(crate) use checkpoints::{CheckpointSink, Checkpoints};
pub use moving::{Begin, Depart, Freeze, Frozen, Goes, Stands, Thaw};
pub(crate) use shell::SPREAD_FROM;
pub use shell::{Housing, Listing, RoomSettings, Seated, Shell};
