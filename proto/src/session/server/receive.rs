//! What the server makes of what a peer says.

use super::{PeerError, Request, ServerSession, State, StateTick, hello, input, rate::Verdict};
use crate::{
    code::CloseCode,
    limits,
    nanos::{MaybeNanos, Nanos},
    wire::{self, client_message::Body},
};
use bytes::Bytes;
use prost::Message as _;
use std::time::Duration;

impl<S: StateTick> ServerSession<S> {
    pub(super) fn take(
        &mut self,
        now: Nanos,
        message: Bytes,
        taken: &mut impl FnMut(Request),
    ) -> Result<(), PeerError> {
        if message.len() > self.message_bytes as usize {
            let reason =
                format!("message of {} bytes; at most {} are allowed", message.len(), self.message_bytes);
            return Err(PeerError::new(CloseCode::TooLarge, reason));
        }
        let weight = 1 + message.len() / limits::BYTES_A_MESSAGE;
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        let verdict = self.messages.take(now, weight, self.timeout);
        if verdict == Verdict::Flood {
            return Err(PeerError::flood("messages"));
        }
        // A message of a kind that this version does not know decodes to none.
        let Some(body) = decode(message)? else { return self.take_unknown() };
        let counts = match (&mut self.state, body) {
            (State::Active(active), body @ (Body::Input(_) | Body::Command(_))) if active.spectates() => {
                let reason = format!("{} of a spectator, who may only watch", name_of(&body));
                return Err(PeerError::new(CloseCode::Spectating, reason));
            }
            (State::Active(active), Body::Input(input)) => {
                active.take_acks(now, (input.state_ack, input.state_missing), input.reliable_ack, taken)?;
                active.take_input(now, input, verdict, &mut self.inputs, self.timeout, taken)?
            }
            (State::Active(active), Body::Ack(ack)) => {
                active.take_acks(now, (ack.state_ack, ack.state_missing), ack.reliable_ack, taken)?;
                true
            }
            (State::Active(active), Body::Command(command)) => {
                active.take_command(command, verdict)?.into_iter().for_each(taken);
                verdict == Verdict::Within
            }
            (State::Active(_), Body::Renew(renew)) => {
                hello::check_token(&renew.token)?;
                if verdict == Verdict::Within {
                    taken(Request::Renew(renew.token));
                }
                verdict == Verdict::Within
            }
            (State::Active(_), Body::ReadTopic(read)) => {
                hello::check_topic(&read.topic)?;
                if verdict == Verdict::Within {
                    taken(Request::ReadTopic(read.into()));
                }
                verdict == Verdict::Within
            }
            (State::Active(_), Body::Publish(publish)) => {
                hello::check_topic(&publish.topic)?;
                let excess = verdict != Verdict::Within;
                taken(Request::Publish { publish: publish.into(), excess });
                !excess
            }
            (State::Active(active), Body::Pong(pong)) => {
                if let Some(rtt) = active.take_pong(now, &pong) {
                    self.rtt = MaybeNanos::some(rtt);
                }
                true
            }
            (State::Pending { .. } | State::Active(_), Body::Ping(ping)) => {
                if verdict == Verdict::Within {
                    self.control.pong(ping.time_us);
                }
                verdict == Verdict::Within
            }
            (State::Pending { .. } | State::Active(_), Body::Leave(_)) => {
                taken(Request::Leave);
                self.close(CloseCode::Left, "left", Duration::ZERO);
                true
            }
            (State::Handshake { .. }, Body::Join(join)) => {
                taken(self.take_join(join)?);
                true
            }
            (State::Handshake { .. }, Body::Resume(resume)) => {
                taken(self.take_resume(resume)?);
                true
            }
            (state, body) => {
                let reason = format!("unexpected {} while {}", name_of(&body), state.name());
                return Err(PeerError::new(CloseCode::Unexpected, reason));
            }
        };
        self.stats.excess_dropped += u64::from(!counts);
        Ok(())
    }

    fn take_unknown(&mut self) -> Result<(), PeerError> {
        match self.state {
            State::Handshake { .. } => {
                Err(PeerError::new(CloseCode::Unexpected, "the first message is not a join or resume"))
            }
            _ => Ok(()),
        }
    }

    fn take_join(&mut self, mut join: wire::Join) -> Result<Request, PeerError> {
        join.name = hello::check_join(&join)?;
        self.coding = hello::densest(&join.codings);
        self.state = State::Pending { resumes: None };
        Ok(Request::Join(join.into()))
    }

    fn take_resume(&mut self, resume: wire::Resume) -> Result<Request, PeerError> {
        hello::check_resume(&resume)?;
        self.coding = hello::densest(&resume.codings);
        self.state = State::Pending { resumes: Some(resume.reliable_received) };
        Ok(Request::Resume(resume.into()))
    }
}

/// The body of a message. None: this version does not know it.
fn decode(message: Bytes) -> Result<Option<Body>, PeerError> {
    match input::decode(message) {
        Ok(input) => Ok(Some(input)),
        Err(message) => wire::ClientMessage::decode(message)
            .map(|message| message.body)
            .map_err(|error| PeerError::new(CloseCode::Malformed, error.to_string())),
    }
}

impl<S> State<S> {
    fn name(&self) -> &'static str {
        match self {
            State::Handshake { .. } => "waiting for the join",
            State::Pending { .. } => "waiting for the seat",
            State::Active(_) => "in the room",
            State::Closing(_) => "closing",
        }
    }
}

fn name_of(body: &Body) -> &'static str {
    match body {
        Body::Input(_) => "input",
        Body::Ack(_) => "ack",
        Body::Join(_) => "join",
        Body::Resume(_) => "resume",
        Body::Command(_) => "command",
        Body::Ping(_) => "ping",
        Body::Pong(_) => "pong",
        Body::Leave(_) => "leave",
        Body::Renew(_) => "renew",
        Body::ReadTopic(_) => "read of a topic",
        Body::Publish(_) => "publication in a topic",
    }
}
