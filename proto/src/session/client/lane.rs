//! Which way a message takes on transports that have two.

use crate::wire::{ClientMessage, client_message::Body};
use prost::Message as _;

/// How a message travels. Both ends take any message on either; this is which one suits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// In order, until it has arrived.
    Reliable,
    /// At once or never: what a lost one said, the next one says again or says better.
    Datagram,
}

/// The lane of a message. An input loses repeated ones, the oldest first, until it fits a datagram.
pub(super) fn fit(message: &mut ClientMessage, max_datagram: impl FnOnce() -> usize) -> Lane {
    match &message.body {
        Some(Body::Input(_) | Body::Ack(_) | Body::Ping(_) | Body::Pong(_)) => {}
        Some(Body::Join(_) | Body::Resume(_) | Body::Command(_) | Body::Leave(_)) | None => {
            return Lane::Reliable;
        }
    }
    let most = max_datagram();
    loop {
        if message.encoded_len() <= most {
            return Lane::Datagram;
        }
        match &mut message.body {
            Some(Body::Input(input)) if !input.previous.is_empty() => drop(input.previous.remove(0)),
            _ => return Lane::Reliable,
        }
    }
}
