//! Games that come with Driftless.
pub mod arena;
pub mod cursors;
