//! The client's end of a connection.
//!
//! ```text
//!        reconnected()            hello sent, welcome arrives           goodbye arrives
//!   ┌──────────────────► Hello ───────────────────────────────► Active ────────────────► Closed
//!   │                      │                                      │                        │
//!   │                      ▼                                      ▼                        │
//!   └───────────────── Disconnected ◄───── disconnected(), silence, a server's fault ◄─────┘
//! ```
//!
//! - **Hello**: a join, or a resume if there is a token, is sent; then nothing until the welcome.
//! - **Active**: inputs, commands, acknowledgements and pings are sent; states and reliable messages are
//!   accepted.
//! - **Closed**: the server said goodbye; what arrives is ignored. [`crate::code::is_reconnect`] says whether
//!   to try again.
//! - **Disconnected**: nothing is sent. The snapshot, the token, the last reliable message received, the
//!   version of the presence and the unconfirmed commands are kept for the next connection.
//!
//! If the token is wrong or has expired, the server says goodbye with `UnknownSession`, and the caller calls
//! [`ClientSession::reconnected`] with `rejoin`. That makes a new player, so the numbers of inputs and
//! reliable messages start at 1 again. Numbers of commands continue: commands that were queued and never sent
//! go to the new seat; those that were sent but not confirmed are refused ([`ClientEvent::CommandRefused`],
//! after the welcome).

mod acks;
mod commands;
mod config;
mod contents;
mod error;
mod event;
mod fit;
mod history;
mod inputs;
mod link;
mod receive;
mod send;
mod topics;
mod union;

use super::Delivery;
use crate::{
    code::CloseCode, lane::Lane, limits, moment::Moment, schema::Schema, snapshot::Snapshot, view::ZoneId,
    wire,
};
use bytes::{Bytes, BytesMut};
use commands::Commands;
pub use config::ClientConfig;
pub use error::{SendError, ServerError};
pub use event::ClientEvent;
use history::History;
use link::{Link, Seat};
use prost::Message as _;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use topics::Topics;

/// One player's session as the client sees it. Lives over several connections: `disconnected`, then
/// `reconnected`.
#[derive(Debug)]
pub struct ClientSession {
    config: ClientConfig,
    join: wire::Join,
    phase: Phase,
    link: Link,
    seat: Option<Seat>,
    commands: Commands,
    leaving: bool,
    history: History,
    events: VecDeque<ClientEvent>,
    topics: Topics,
    /// The client's clock counts from this instant.
    origin: Instant,
}

/// Where a session is in its life. The module documentation shows the transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Hello { resume: bool, sent: bool },
    Active,
    Closed(CloseCode),
    Disconnected,
}

impl ClientSession {
    /// A session that will join. Fills in the protocol and codings of `join`.
    pub fn join(now: Instant, config: ClientConfig, join: wire::Join) -> Self {
        let join = wire::Join {
            protocol: limits::PROTOCOL,
            codings: config.codings.iter().map(|&coding| coding as i32).collect(),
            ..join
        };
        Self {
            link: Link::new(now, config.delivery),
            history: History::new(config.delivery),
            commands: Commands::new(config.max_commands),
            config,
            join,
            phase: Phase::Hello { resume: false, sent: false },
            seat: None,
            leaving: false,
            events: VecDeque::new(),
            topics: Topics::default(),
            origin: now,
        }
    }

    /// Handles a message. On error the server is at fault and the session is disconnected: drop the
    /// connection, and perhaps call `reconnected`. What arrives while closed or disconnected is ignored.
    ///
    /// # Errors
    /// See [`ServerError`]. Ignored without an error: a reliable message that came before, a message of a
    /// kind that this version does not know, and on datagrams a state older than the one applied.
    pub fn handle_message(&mut self, now: Instant, message: Bytes) -> Result<(), ServerError> {
        if matches!(self.phase, Phase::Closed(_) | Phase::Disconnected) {
            return Ok(());
        }
        self.link.heard_at = now;
        self.take(now, message).inspect_err(|_| self.phase = Phase::Disconnected)
    }

    /// What the server said, oldest first.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Appends the next message to send, if any, to `out`. The acknowledgement of a state travels with the
    /// next input; if none is sent within a tick (and a quarter, for jitter), an Ack message goes out.
    ///
    /// For transports with one lane. For those with two, see
    /// [`poll_transmit_lane`](Self::poll_transmit_lane).
    pub fn poll_transmit(&mut self, now: Instant, out: &mut BytesMut) -> bool {
        self.poll_transmit_lane(now, out, || usize::MAX).is_some()
    }

    /// Like [`poll_transmit`](Self::poll_transmit), but returns the lane that the message takes.
    /// `max_datagram` is called for each message that may go as a datagram; it returns the longest datagram
    /// that the transport currently takes, bytes. An input that is too long together with the earlier ones
    /// that it repeats drops the oldest of them; a message that is still too long takes the reliable lane.
    pub fn poll_transmit_lane(
        &mut self,
        now: Instant,
        out: &mut BytesMut,
        max_datagram: impl FnOnce() -> usize,
    ) -> Option<Lane> {
        let mut message = wire::ClientMessage { body: Some(self.next_body(now)?) };
        let lane = match self.config.delivery {
            Delivery::Ordered => Lane::Reliable,
            Delivery::Datagram => fit::lane_of(&mut message, max_datagram),
        };
        // Encoding fails only for lack of space, and the buffer grows.
        message.encode(out).ok().map(|()| lane)
    }

    /// When to call `handle_timeout`, or `poll_transmit` for an acknowledgement without an input.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Hello { .. } => Some(self.silent_at()),
            // Nothing is sent after the leave; the goodbye is awaited.
            Phase::Active if self.link.leave_sent => Some(self.silent_at()),
            Phase::Active => {
                let timer = self.silent_at().min(self.link.next_ping);
                Some(self.link.acks.due_at().map_or(timer, |due| due.min(timer)))
            }
            Phase::Closed(_) | Phase::Disconnected => None,
        }
    }

    /// Time has passed. Call `poll_transmit` afterwards.
    ///
    /// # Errors
    /// `TimedOut`, once: the session is then disconnected.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ServerError> {
        if matches!(self.phase, Phase::Hello { .. } | Phase::Active) && now >= self.silent_at() {
            let silence = now.saturating_duration_since(self.link.heard_at);
            self.phase = Phase::Disconnected;
            return Err(ServerError::TimedOut(silence));
        }
        Ok(())
    }

    /// Queues an input and returns its number. Older inputs that are still unsent go with it (at most 8;
    /// older ones are dropped, because the ticks they were meant for are past). On datagrams, so do those
    /// that no state has confirmed.
    ///
    /// It says that the player was shown the newest state. For what is shown later than it comes, see
    /// [`send_input_seen`](Self::send_input_seen).
    ///
    /// # Errors
    /// `NotActive`, `Spectating`, `TooLarge` (more than [`limits::MAX_INPUT`] bytes), `Exhausted`.
    pub fn send_input(&mut self, payload: Bytes) -> Result<u32, SendError> {
        let newest = self.history.current().map(|state| Moment::at(state.tick()));
        self.send_input_seen(payload, newest)
    }

    /// Like [`send_input`](Self::send_input), with the moment that the player was shown when acting. None:
    /// nothing.
    ///
    /// # Errors
    /// As for `send_input`.
    pub fn send_input_seen(&mut self, payload: Bytes, moment: Option<Moment>) -> Result<u32, SendError> {
        if payload.len() > limits::MAX_INPUT {
            return Err(SendError::TooLarge(payload.len()));
        }
        self.check_may_send()?;
        let seat = self.seat.as_mut().ok_or(SendError::NotActive)?;
        seat.inputs.push(moment, payload).ok_or(SendError::Exhausted)
    }

    /// Queues a command and returns its number. The command is kept, and sent again after a resume, until the
    /// server has it. Numbers count from 1 and continue across seats.
    ///
    /// # Errors
    /// `NotActive`, `Spectating`, `TooLarge` (more than [`limits::MAX_COMMAND`] bytes), `TooManyCommands`.
    pub fn send_command(&mut self, payload: Bytes) -> Result<u64, SendError> {
        self.check_may_send()?;
        if payload.len() > limits::MAX_COMMAND {
            return Err(SendError::TooLarge(payload.len()));
        }
        self.commands.push(payload).ok_or(SendError::TooManyCommands(self.commands.len()))
    }

    fn check_may_send(&self) -> Result<(), SendError> {
        match &self.seat {
            _ if self.phase != Phase::Active || self.leaving => Err(SendError::NotActive),
            Some(seat) if seat.spectates() => Err(SendError::Spectating),
            Some(_) => Ok(()),
            None => Err(SendError::NotActive),
        }
    }

    /// Says who the client is from now on: the next hello shows this token, at most
    /// [`limits::MAX_IDENTITY_TOKEN`] bytes.
    pub fn set_identity_token(&mut self, token: String) {
        self.join.identity_token = token;
    }

    /// Sends a fresh token, in answer to [`ClientEvent::TokenExpires`]. The next hello shows it, too.
    pub fn renew(&mut self, token: String) {
        self.link.renew = Some(token.clone());
        self.set_identity_token(token);
    }

    /// Reads a topic from now on, over this connection and those that follow: [`ClientEvent::Topic`].
    /// `after`: the id of the last event that the client has; empty: none.
    pub fn read_topic(&mut self, topic: &str, after: &str) {
        self.topics.read(topic, after);
    }

    /// Reads a topic no longer.
    pub fn stop_topic(&mut self, topic: &str) {
        self.topics.stop(topic);
    }

    /// Publishes something in a topic, over this connection: [`ClientEvent::Published`] says what became of
    /// it. Returns its number.
    ///
    /// # Errors
    /// `NotActive`, `TooLarge` (a text of more than [`limits::MAX_PUBLISH`] bytes).
    pub fn publish(&mut self, publish: wire::Publish) -> Result<u64, SendError> {
        if self.phase != Phase::Active || self.leaving {
            return Err(SendError::NotActive);
        }
        match publish.text.len() {
            length if length > limits::MAX_PUBLISH => Err(SendError::TooLarge(length)),
            _ => Ok(self.topics.publish(publish)),
        }
    }

    /// Gives up the seat: a leave is sent after what is queued. Without a connection, it is sent after the
    /// next connection's hello.
    pub fn leave(&mut self) {
        self.leaving = true;
    }

    /// The connection was lost. What was queued for it is dropped; commands are kept.
    pub fn disconnected(&mut self) {
        if !matches!(self.phase, Phase::Closed(_)) {
            self.phase = Phase::Disconnected;
        }
        self.events.extend(self.topics.disconnected());
    }

    /// There is a new connection: resumes the seat if there is one and `rejoin` is false, else joins anew (as
    /// a spectator always does).
    /// `delivery` describes the new transport, which may differ from the previous one.
    pub fn reconnected(&mut self, now: Instant, rejoin: bool, delivery: Delivery) {
        self.config.delivery = delivery;
        let resume = !rejoin && self.seat.as_ref().is_some_and(Seat::can_be_resumed);
        self.phase = Phase::Hello { resume, sent: false };
        self.link = Link::new(now, delivery);
        self.history.reconnected(delivery);
        self.commands.disconnected();
        self.events.extend(self.topics.disconnected());
    }

    /// The newest state applied. Kept across a reconnection; a new seat starts without one.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.history.current()
    }

    /// The state applied before the newest.
    pub fn previous_snapshot(&self) -> Option<&Snapshot> {
        self.history.previous()
    }

    /// The zones that the player sees, other than zone 0: each with its newest content, and the tick up to
    /// which that is known to be its content. In [`snapshot`](Self::snapshot) they are all together.
    pub fn zones(&self) -> impl Iterator<Item = (ZoneId, &Snapshot, u32)> {
        self.history.zones()
    }

    /// The newest content of one of these zones, or of zone 0. None: the client does not have it.
    pub fn content(&self, zone: ZoneId) -> Option<&Snapshot> {
        self.history.content(zone)
    }

    /// Whether [`snapshot`](Self::snapshot) shows an entity as it was, or should have moved since, at an
    /// earlier tick, because its zone is late. Inputs that the newest state contains are not in it then.
    pub fn is_late(&self, kind: usize, id: u32) -> bool {
        self.history.is_late(kind, id)
    }

    /// The room's schema, after the welcome.
    pub fn schema(&self) -> Option<&Schema> {
        self.seat.as_ref().map(|seat| &seat.schema)
    }

    /// The last welcome.
    pub fn welcome(&self) -> Option<&wire::Welcome> {
        self.seat.as_ref().map(|seat| &seat.welcome)
    }

    /// Since when nothing has come from a server that has sent a welcome and would say something.
    pub fn silent_since(&self) -> Option<Instant> {
        (self.phase == Phase::Active && !self.link.leave_sent).then_some(self.link.heard_at)
    }

    /// Whether the player is in the room and connected.
    pub fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    /// The code of the goodbye. A code that this version does not know counts as `Internal` (4000–4499) or
    /// `Kicked` (all others).
    pub fn closed(&self) -> Option<CloseCode> {
        match self.phase {
            Phase::Closed(code) => Some(code),
            _ => None,
        }
    }

    fn clock_us(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_micros()).unwrap_or(u64::MAX)
    }

    fn silent_at(&self) -> Instant {
        let promised = self.welcome().map_or(0, |welcome| welcome.timeout_ms);
        self.link.heard_at + self.config.timeout.max(Duration::from_millis(u64::from(promised)))
    }
}
