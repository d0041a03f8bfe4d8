//! What ends with a connection, and what outlives it.

use super::{acks::Acks, inputs::Inputs};
use crate::{limits, schema::Schema, session::Delivery, wire};
use std::time::{Duration, Instant};

/// What ends with the connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) heard_at: Instant,
    pub(super) next_ping: Instant,
    /// Time in the ping that has not been answered yet.
    pub(super) pinged: Option<u64>,
    /// Time in the server's ping that is to be answered. A newer ping replaces it.
    pub(super) pong: Option<u64>,
    pub(super) acks: Acks,
    /// Whether a state has arrived on this connection.
    pub(super) has_state: bool,
    /// Tick of the newest state that arrived and was not applied, as the configuration wants it.
    pub(super) unread: Option<u32>,
    pub(super) leave_sent: bool,
    /// A fresh token that is to be sent.
    pub(super) renew: Option<String>,
}

/// What a welcome gives, kept for a resume.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) welcome: wire::Welcome,
    pub(super) schema: Schema,
    /// The tick length by which acknowledgements wait for an input.
    pub(super) ack_tick: Duration,
    pub(super) inputs: Inputs,
    pub(super) reliable_received: u64,
    /// Version of the last presence received. 0: none.
    pub(super) presence_version: u64,
    /// Tick of the newest state or event that came, over any connection. 0: none.
    pub(super) seen: u32,
}

impl Link {
    pub(super) fn new(now: Instant, delivery: Delivery) -> Self {
        Self {
            heard_at: now,
            next_ping: now,
            pinged: None,
            pong: None,
            acks: Acks::new(delivery),
            has_state: false,
            unread: None,
            leave_sent: false,
            renew: None,
        }
    }
}

impl Seat {
    /// Whether it is none, but a place from which to watch.
    pub(super) fn spectates(&self) -> bool {
        self.welcome.spectating
    }

    /// Whether the server would know it again.
    pub(super) fn can_be_resumed(&self) -> bool {
        !self.welcome.resume_token.is_empty()
    }

    pub(super) fn resume(&self, join: &wire::Join) -> wire::Resume {
        wire::Resume {
            protocol: limits::PROTOCOL,
            room: self.welcome.room.clone(),
            token: self.welcome.resume_token.clone(),
            reliable_received: self.reliable_received,
            codings: join.codings.clone(),
            presence_version: self.presence_version,
            identity_token: join.identity_token.clone(),
            traceparent: join.traceparent.clone(),
        }
    }
}
