//! Ways in and out of bytes. One file or folder a transport; everything above the bytes is the same code.

mod accept;
mod socket;
mod stream;
pub mod websocket;

pub use accept::Accept;
pub use stream::Stream;
