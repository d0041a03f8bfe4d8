//! WebSocket: binary frames, one protocol message each, at `/v1/connect`.
//!
//! actix-web-actors does the handshake. Its context is not used: an actor polled as a response body stops when its peer stops
//! reading, and its queue has no bound. Instead the response body pulls what is to be sent, and a plain actor gets what arrives.

mod body;
mod frames;
mod handshake;

pub use body::Body;
pub use frames::Frames;
pub use handshake::connect;

use actix_http::ws::CloseReason;
use bytes::Bytes;
use std::cell::{Cell, RefCell};

/// What the two halves of a WebSocket tell each other.
#[derive(Debug, Default)]
struct Link {
    /// The newest ping that is not answered. (RFC 6455, section 5.5.3: older ones need no answer.)
    ping: RefCell<Option<Bytes>>,
    /// Close with this, at once.
    close: RefCell<Option<CloseReason>>,
    /// The peer has sent its close frame.
    closed: Cell<bool>,
}
