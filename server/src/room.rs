//! Rooms: one actor each, on a thread of the rooms' own.
//!
//! The logic is in [`core`], which knows no actor and no clock. The actor here decodes messages, keeps a panic of the game
//! inside the room, and hands what comes out to connections, presence and recorder.

pub mod core;
pub mod inspect;
pub mod record;
pub mod schedule;
pub mod seats;
pub mod start;

mod actor;
mod budget;
mod fanouts;

pub use actor::{
    CloseRoom, Join, Kick, Leave, Listing, Lost, Resume, Room, RoomSettings, Seated, Tick, spread_schedule,
};
