//! Finds, creates, lists and drains rooms; knows which seat a resume token names.

mod rooms;
mod spec;

pub use rooms::{Directory, Seated, Services};
pub use spec::{DirectoryError, RoomSpec, RoomSummary};
