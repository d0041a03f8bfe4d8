//! Rooms: one actor each, on the thread where its players' connections are.
//!
//! The logic is in [`core`], which knows no actor and no clock. Around it is a [`Shell`], which keeps a panic of the game inside the
//! room, and hands what comes out to connections, presence and recorder. The thread's [timetable] has it tick, by a call; what is rare
//! comes as messages to its actor, [`Room`], by an [address](RoomAddr) that stays the same when the room moves to another thread.

pub mod core;
pub mod events;
pub mod inspect;
pub mod jobs;
pub mod npcs;
pub mod record;
pub mod schedule;
pub mod seats;
pub mod start;
pub mod timetable;

mod actor;
mod address;
mod budget;
mod fanouts;
mod pace;
mod shell;
mod weight;

pub use actor::{AskStarted, Carry, CloseRoom, Join, Kick, Leave, Lost, Moved, Resume, Room};
pub use address::{Handled, RoomAddr};
pub(crate) use shell::SPREAD_FROM;
pub use shell::{Housing, Listing, RoomSettings, Seated, Shell};
