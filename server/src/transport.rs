//! Ways in and out of bytes. One file or folder a transport; everything above the bytes is the same code.

mod socket;
pub mod websocket;

pub use socket::tune;
