//! Foundations of every other part of the server: identifiers, seats, what a room shares with its
//! connections, what parts tell each other. Plain data and messages: nothing here is an actor, a socket or a
//! clock, and nothing here knows who uses it.

pub mod admission;
pub mod api_error;
pub mod close;
pub(crate) mod credit;
mod departed;
pub mod drain;
pub mod durability;
pub mod entrant;
pub mod fanout;
pub mod figures;
pub mod guest;
pub(crate) mod held;
pub mod home;
pub mod id;
pub mod identity;
pub(crate) mod inode;
pub mod key_source;
pub mod members;
pub mod notice;
pub mod once;
pub mod origin;
pub mod ownership;
pub mod places;
pub mod published;
pub mod queue_sizes;
pub mod rate;
pub mod refusal;
pub mod report;
pub mod reservation;
pub mod revocations;
pub mod seat;
pub mod shared;
pub mod shares;
pub mod shrink;
pub mod sight;
pub mod source;
pub mod tenure;
pub mod tight;
pub mod trace;
pub mod transport_kind;
pub(crate) mod unique;
pub(crate) mod unreadable;
pub mod vitals;
pub(crate) mod whole;
pub mod zones;
