//! What a client sends next.

use super::{ClientSession, Phase, acks::Acked};
use crate::wire::{self, client_message::Body};
use std::time::Instant;

impl ClientSession {
    pub(super) fn next_body(&mut self, now: Instant) -> Option<Body> {
        match &mut self.phase {
            Phase::Hello { resume, sent: sent @ false } => {
                *sent = true;
                let resume = *resume;
                Some(match (&self.seat, resume) {
                    (Some(seat), true) => Body::Resume(seat.resume(&self.join)),
                    _ => Body::Join(self.join.clone()),
                })
            }
            Phase::Hello { .. } => self.next_leave(),
            Phase::Active => self.next_active(now).or_else(|| self.next_leave()),
            Phase::Closed(_) | Phase::Disconnected => None,
        }
    }

    fn next_active(&mut self, now: Instant) -> Option<Body> {
        if self.link.leave_sent {
            return None;
        }
        if let Some(time_us) = self.link.pong.take() {
            return Some(Body::Pong(wire::Pong { time_us }));
        }
        // Half of the allowed commands are waiting: ask earlier which ones the server has.
        let crowded = self.link.pinged.is_none() && self.commands.len() * 2 > self.config.max_commands;
        if now >= self.link.next_ping || crowded {
            let time_us = self.clock_us(now);
            self.link.pinged = Some(time_us);
            self.link.next_ping = now + self.config.ping_interval;
            return Some(Body::Ping(wire::Ping { time_us }));
        }
        if let Some(token) = self.link.renew.take() {
            return Some(Body::Renew(wire::Renew { token }));
        }
        if let Some(asked) = self.topics.next() {
            return Some(asked);
        }
        let seat = self.seat.as_mut()?;
        if !seat.spectates()
            && let Some(command) = self.commands.next()
        {
            return Some(Body::Command(command));
        }
        if let Some(mut input) = seat.inputs.next() {
            let Acked { state, missing, reliable } = self.link.acks.take();
            (input.state_ack, input.state_missing, input.reliable_ack) = (state, missing, reliable);
            return Some(Body::Input(input));
        }
        if self.link.acks.due_at().is_some_and(|due| now >= due) {
            let Acked { state, missing, reliable } = self.link.acks.take();
            return Some(Body::Ack(wire::Ack {
                state_ack: state,
                state_missing: missing,
                reliable_ack: reliable,
            }));
        }
        None
    }

    fn next_leave(&mut self) -> Option<Body> {
        if !self.leaving || self.link.leave_sent {
            return None;
        }
        self.link.leave_sent = true;
        Some(Body::Leave(wire::Leave {}))
    }
}
