//! What a client makes of what the server says.

use super::{ClientEvent, ClientSession, Phase, Seat, ServerError, inputs::Inputs};
use crate::{
    code::{self, CloseCode},
    limits,
    schema::Schema,
    session::Delivery,
    state::StateHead,
    wire::{self, reliable, server_message::Body},
};
use bytes::Bytes;
use prost::Message as _;
use std::time::{Duration, Instant};

/// How long a zone whose state does not come is shown as predicted, ms. After that, its entities stand still.
const PREDICT_MS: u32 = 250;
/// Why an unconfirmed command is refused when its seat was lost.
const SEAT_LOST: &str = "the seat was lost before the server confirmed it: it may have been carried out";

impl ClientSession {
    pub(super) fn take(&mut self, now: Instant, message: Bytes) -> Result<(), ServerError> {
        if let Some((head, shared)) = StateHead::split(&message)? {
            return self.take_state(now, head, &shared, message.len());
        }
        let message = wire::ServerMessage::decode(message).map_err(malformed)?;
        match (self.phase, message.body) {
            // A kind of message that this version does not know.
            (_, None) => Ok(()),
            (Phase::Hello { resume, sent: true }, Some(Body::Welcome(welcome))) => {
                self.take_welcome(now, welcome, resume)
            }
            (_, Some(Body::Goodbye(goodbye))) => {
                self.take_goodbye(goodbye);
                Ok(())
            }
            (_, Some(Body::ServerPing(ping))) => {
                self.link.pong = Some(ping.time_us);
                Ok(())
            }
            (Phase::Active, Some(Body::Reliable(reliable))) => self.take_reliable(now, reliable),
            (Phase::Active, Some(Body::Pong(pong))) => self.take_pong(now, &pong),
            (Phase::Active, Some(Body::Presence(presence))) => self.take_presence(presence),
            (Phase::Active, Some(Body::TokenExpires(expires))) => {
                let within = Duration::from_millis(expires.in_ms.into());
                self.events.push_back(ClientEvent::TokenExpires(within));
                Ok(())
            }
            (Phase::Active, Some(Body::Topic(message))) => {
                self.events.extend(self.topics.take(message));
                Ok(())
            }
            (_, Some(Body::Topic(_))) => Err(ServerError::Unexpected("topic before the welcome")),
            (_, Some(Body::TokenExpires(_))) => {
                Err(ServerError::Unexpected("token's expiry before the welcome"))
            }
            (_, Some(Body::Welcome(_))) => Err(ServerError::Unexpected("welcome")),
            (_, Some(Body::Reliable(_))) => {
                Err(ServerError::Unexpected("reliable message before the welcome"))
            }
            (_, Some(Body::Presence(_))) => Err(ServerError::Unexpected("presence before the welcome")),
            (_, Some(Body::Pong(_))) => Err(ServerError::Unexpected("pong before the welcome")),
            (_, Some(Body::State(_))) => Err(ServerError::Unexpected("state")),
        }
    }

    fn take_welcome(
        &mut self,
        now: Instant,
        welcome: wire::Welcome,
        resume: bool,
    ) -> Result<(), ServerError> {
        if welcome.protocol != limits::PROTOCOL {
            return Err(ServerError::UnsupportedVersion(welcome.protocol));
        }
        if welcome.resumed && !resume {
            return Err(ServerError::Unexpected("welcome that answers a resume, after a join"));
        }
        let schema = Schema::from_wire(&welcome.schema.clone().unwrap_or_default())?;
        let tick = Duration::from_secs(1) / welcome.tick_rate.max(1);
        let dropped = if welcome.resumed { None } else { Some(self.commands.new_seat()) };
        self.commands.confirmed(welcome.command_received)?;
        let kept = self.seat.take().filter(|seat| welcome.resumed && seat.schema == schema);
        if kept.is_none() {
            self.history.clear();
        }
        let known = kept.as_ref().and_then(|seat| seat.welcome.undone.last()).map_or(0, |last| last.until);
        let (mut inputs, reliable_received, presence_version, seen) = match kept {
            Some(Seat { inputs, reliable_received, presence_version, seen, .. }) => {
                (inputs, reliable_received, presence_version, seen)
            }
            None => (Inputs::new(), 0, 0, 0),
        };
        inputs.welcomed(self.config.delivery, welcome.input_received, welcome.stood_still);
        self.events.push_back(ClientEvent::Welcome(Box::new(welcome.clone())));
        // All that it has seen is of before the first of those of which it has not been told.
        if let Some(&wire::Undone { after, .. }) = welcome.undone.iter().find(|undone| undone.until > known)
            && seen > 0
        {
            // A command that was confirmed may be undone, too, although no state or event has told of it.
            let undone = self.commands.are_confirmed_beyond(welcome.command_received);
            let until = seen.max(if undone { after.saturating_add(1) } else { 0 });
            if until > after {
                self.events.push_back(ClientEvent::RolledBack { after, until });
            }
        }
        for command in dropped.into_iter().flatten() {
            let reason = SEAT_LOST.to_owned();
            self.events.push_back(ClientEvent::CommandRefused(wire::CommandRefused { command, reason }));
        }
        // A spectator sends no inputs for which to wait. On datagrams, one acknowledgement answers all of a
        // state.
        let ack_tick = match self.config.delivery {
            _ if !welcome.spectating => tick,
            Delivery::Ordered => Duration::ZERO,
            Delivery::Datagram => tick / 5,
        };
        self.seat =
            Some(Seat { welcome, schema, ack_tick, inputs, reliable_received, presence_version, seen });
        self.phase = Phase::Active;
        self.link.next_ping = now;
        Ok(())
    }

    fn take_state(
        &mut self,
        now: Instant,
        head: StateHead,
        shared: &[u8],
        bytes: usize,
    ) -> Result<(), ServerError> {
        let (Phase::Active, Some(seat)) = (self.phase, &mut self.seat) else {
            return match self.config.delivery {
                Delivery::Ordered => Err(ServerError::Unexpected("state before the welcome")),
                // It overtook the welcome, which comes on a stream.
                Delivery::Datagram => Ok(()),
            };
        };
        let applied = self.history.tick().or(self.link.unread);
        // A resume begins with the room's newest state, which may be the one that was applied before the
        // connection was lost.
        let again = !self.link.has_state && applied == Some(head.tick);
        // The state of a tick may come in several datagrams.
        let more = self.link.has_state
            && self.config.delivery == Delivery::Datagram
            && applied == Some(head.tick)
            && !self.link.acks.has(head.number);
        if let Some(applied) = applied
            && head.tick <= applied
            && !more
            && !(again && (head.apart || head.baseline.is_none()))
        {
            return match self.config.delivery {
                Delivery::Ordered => Err(ServerError::Stale { got: head.tick, applied }),
                Delivery::Datagram => Ok(()),
            };
        }
        if !self.config.applies_states {
            self.take_unread(now, head, bytes);
            return Ok(());
        }
        seat.seen = seat.seen.max(head.tick);
        let predict_for = seat.welcome.tick_rate.max(1).saturating_mul(PREDICT_MS) / 1_000;
        self.history.apply(&seat.schema, head, shared, predict_for)?;
        self.link.has_state = true;
        self.link.acks.state(now, head.number, seat.ack_tick);
        seat.inputs.confirmed(head.input);
        if !again {
            let StateHead { tick, input, baseline, apart, .. } = head;
            let full = baseline.is_none() && !apart;
            self.events.push_back(ClientEvent::State { tick, input, full, bytes });
        }
        Ok(())
    }

    fn take_unread(&mut self, now: Instant, head: StateHead, bytes: usize) {
        let Some(seat) = &mut self.seat else { return };
        (self.link.has_state, self.link.unread) = (true, Some(head.tick));
        seat.seen = seat.seen.max(head.tick);
        self.link.acks.state(now, head.number, seat.ack_tick);
        seat.inputs.confirmed(head.input);
        let StateHead { tick, input, baseline, apart, .. } = head;
        let full = baseline.is_none() && !apart;
        self.events.push_back(ClientEvent::State { tick, input, full, bytes });
    }

    fn take_reliable(&mut self, now: Instant, reliable: wire::Reliable) -> Result<(), ServerError> {
        let Some(seat) = &mut self.seat else { return Ok(()) };
        let last = seat.reliable_received;
        // A repeat is acknowledged again: the acknowledgement may be what was lost.
        self.link.acks.reliable(now, last.max(reliable.sequence), seat.ack_tick);
        if reliable.sequence <= last {
            return Ok(());
        }
        if reliable.sequence - last > 1 {
            return Err(ServerError::Gap { got: reliable.sequence, last });
        }
        seat.reliable_received = reliable.sequence;
        let event = match reliable.body {
            Some(reliable::Body::Event(event)) => {
                seat.seen = seat.seen.max(event.tick);
                ClientEvent::Event(event)
            }
            Some(reliable::Body::CommandRefused(mut refused)) => {
                // The server has it. Otherwise the loss of the seat would refuse it once more.
                self.commands.confirmed(refused.command)?;
                refused.command = self.commands.callers(refused.command);
                ClientEvent::CommandRefused(refused)
            }
            // A kind that this version does not know still has its number.
            None => return Ok(()),
        };
        self.events.push_back(event);
        Ok(())
    }

    fn take_presence(&mut self, presence: wire::Presence) -> Result<(), ServerError> {
        let Some(seat) = &mut self.seat else { return Ok(()) };
        if presence.since != 0 && presence.since != seat.presence_version {
            return Err(ServerError::Unexpected("presence with another base version"));
        }
        seat.presence_version = presence.version;
        self.events.push_back(ClientEvent::Presence(presence));
        Ok(())
    }

    fn take_pong(&mut self, now: Instant, pong: &wire::ServerPong) -> Result<(), ServerError> {
        self.commands.confirmed(pong.command_received)?;
        if self.link.pinged.take_if(|time_us| *time_us == pong.time_us).is_none() {
            return Ok(());
        }
        let rtt = Duration::from_micros(self.clock_us(now).saturating_sub(pong.time_us));
        self.events.push_back(ClientEvent::Pong { rtt, server_time_us: pong.server_time_us, at: now });
        Ok(())
    }

    fn take_goodbye(&mut self, goodbye: wire::Goodbye) {
        let number = u16::try_from(goodbye.code).unwrap_or(u16::MAX);
        let unknown = if code::is_reconnect(number) { CloseCode::Internal } else { CloseCode::Kicked };
        self.phase = Phase::Closed(CloseCode::from_number(number).unwrap_or(unknown));
        self.events.push_back(ClientEvent::Goodbye(goodbye));
    }
}

fn malformed(error: prost::DecodeError) -> ServerError {
    ServerError::Malformed(error.to_string())
}
