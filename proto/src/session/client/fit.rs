//! Chooses the lane of a client's message, and makes an input fit a datagram.

use crate::{
    lane::Lane,
    wire::{ClientMessage, client_message::Body},
};
use prost::Message as _;

/// The lane of a message. Repeated inputs are removed, the oldest first, until the message fits a datagram.
pub(super) fn lane_of(message: &mut ClientMessage, max_datagram: impl FnOnce() -> usize) -> Lane {
    match &message.body {
        Some(Body::Input(_) | Body::Ack(_) | Body::Ping(_) | Body::Pong(_)) => {}
        Some(
            Body::Join(_)
            | Body::Resume(_)
            | Body::Command(_)
            | Body::Leave(_)
            | Body::Renew(_)
            | Body::ReadTopic(_)
            | Body::Publish(_),
        )
        | None => return Lane::Reliable,
    }
    let most = max_datagram();
    loop {
        if message.encoded_len() <= most {
            return Lane::Unreliable;
        }
        match &mut message.body {
            Some(Body::Input(input)) if !input.previous.is_empty() => {
                input.previous.remove(0);
                // The moments are those of the last of them.
                let more = input.previous_moments.len().saturating_sub(input.previous.len());
                input.previous_moments.drain(..more);
            }
            _ => return Lane::Reliable,
        }
    }
}
