//! The server's end of a connection.
//!
//! ```text
//!            join/resume arrives          welcome()                 leave, violation, timeout, close()
//!   Handshake ───────────────► Pending ───────────► Active ─────────────────────────► Closing
//! ```
//!
//! - **Handshake**: only a join or resume is taken, within the deadline.
//! - **Pending**: the caller looks for the seat. Pings and a leave are taken, and the silence timeout runs.
//! - **Active**: everything but a second join is taken; control, reliable messages and states go out.
//! - **Closing**: what arrives is ignored; only the goodbye goes out. The first code given stays.
//!
//! Every state can go straight to Closing. There is no way back.
//!
//! What waits to be sent is bounded whatever the peer does: one welcome, one ping, one pong (a newer ping replaces an unanswered one), one
//! goodbye, one state; reliable messages are bounded by their queue.

mod baselines;
mod bucket;
mod hello;

use super::Delivery;
use crate::{
    code::CloseCode,
    gate::Gate,
    limits::{self, Limits},
    reliable::{self, ReliableQueue},
    wire::{self, client_message::Body},
};
use baselines::Baselines;
use bucket::TokenBucket;
use bytes::{Bytes, BytesMut};
pub use hello::is_room_name;
use prost::Message as _;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// One connection as the server sees it. `S` is a handle on a published state, cheap to clone (an `Arc`).
#[derive(Debug)]
pub struct ServerSession<S> {
    limits: Limits,
    delivery: Delivery,
    state: State<S>,
    requests: VecDeque<Request>,
    control: Control,
    coding: wire::ColumnCoding,
    messages: TokenBucket,
    inputs: TokenBucket,
    last_seen: Instant,
    rtt: Option<Duration>,
    stats: SessionStats,
}

/// Where a connection is in its life. The transitions are in this module's documentation.
#[derive(Debug)]
enum State<S> {
    Handshake { deadline: Instant },
    Pending,
    Active(Active<S>),
    Closing(CloseCode),
}

/// What only a connection with a seat has.
#[derive(Debug)]
struct Active<S> {
    gate: Gate,
    slot: Option<S>,
    baselines: Baselines<S>,
    /// Newest tick sent. A state at or below it is never sent.
    newest_sent: Option<u32>,
    input_received: u32,
    command_received: u64,
    next_ping: Instant,
    /// The last ping: the time in it, and when it was made.
    pinged: Option<(u64, Instant)>,
}

/// Control messages that wait to be sent: at most one of each.
#[derive(Debug, Default)]
struct Control {
    welcome: Option<Box<wire::Welcome>>,
    pong: Option<u64>,
    ping: Option<u64>,
    goodbye: Option<Box<wire::Goodbye>>,
}

/// What a peer asks that the session cannot answer by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Wants a seat. Answer with `welcome` or `close`. Protocol version and names are checked.
    Join(wire::Join),
    /// Wants its seat back. Answer with `welcome` or `close`. Protocol version and room name are checked.
    Resume(wire::Resume),
    /// One input, each given once, in order. Numbers may be skipped: those inputs were lost.
    Input(PlayerInput),
    /// One command, each given once, in order.
    Command(wire::Command),
    /// Gives up the seat. The session is closing with `Left`.
    Leave,
}

/// One input of a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerInput {
    /// Number of the input.
    pub sequence: u32,
    /// Tick the player saw. 0: unknown (so it is for one that was repeated because the first sending was lost).
    pub tick: u32,
    /// The game's input message.
    pub payload: Bytes,
}

/// What the peer did wrong. Meets the wire as `code`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct PeerError {
    /// The close code.
    pub code: CloseCode,
    /// For a developer to read.
    pub reason: String,
}

impl PeerError {
    fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// A state to send now: encode `current` against the others, with the player's input in the head.
#[derive(Debug, Clone)]
pub struct StateSend<S> {
    /// The state.
    pub current: S,
    /// What the peer has. None: send everything. At most `delta::MAX_AGE` ticks before `current`.
    pub baseline: Option<S>,
    /// What the peer had before the baseline. At most `delta::MAX_AGE` ticks before `current`.
    pub prior: Option<S>,
}

/// What `welcome` needs to know of the seat.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Ticks a second.
    pub tick_rate: u32,
    /// Last input taken from this player (0 for a new one).
    pub input_received: u32,
    /// Last command taken from this player (0 for a new one).
    pub command_received: u64,
}

/// What a session counted, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionStats {
    /// States that a newer one replaced before they were sent.
    pub stale_dropped: u64,
    /// States sent.
    pub states_sent: u64,
}

/// A handle on a state that knows its tick.
pub trait StateTick {
    /// The tick.
    fn tick(&self) -> u32;
}

impl<S: Clone + StateTick> ServerSession<S> {
    /// A connection accepted at `now`.
    pub fn new(now: Instant, limits: Limits, delivery: Delivery) -> Self {
        Self {
            messages: TokenBucket::new(now, limits.messages_per_second),
            inputs: TokenBucket::new(now, limits.inputs_per_second),
            state: State::Handshake { deadline: now + limits.handshake },
            limits,
            delivery,
            requests: VecDeque::new(),
            control: Control::default(),
            coding: wire::ColumnCoding::Packed,
            last_seen: now,
            rtt: None,
            stats: SessionStats::default(),
        }
    }

    /// A message arrived. On error the session is closing: send what `poll_control` still gives, then close with the error's code.
    /// Acknowledgements of reliable messages are applied to `reliable` (the seat's queue; None before the welcome).
    ///
    /// # Errors
    /// `TooLarge`, `RateLimited`, `Malformed`, `UnsupportedVersion`, `BadName`, `UnknownKind` and
    /// `Unexpected`, as [`CloseCode`] says. A repeated or late input, command or acknowledgement is no error: it is ignored. So is
    /// a message of a kind that this version does not know, and whatever arrives while closing.
    pub fn handle_message(
        &mut self,
        now: Instant,
        message: Bytes,
        reliable: Option<&mut ReliableQueue>,
    ) -> Result<(), PeerError> {
        if matches!(self.state, State::Closing(_)) {
            return Ok(());
        }
        self.last_seen = now;
        self.take(now, message, reliable)
            .inspect_err(|error| self.close(error.code, &error.reason, Duration::ZERO))
    }

    /// What the peer asks, oldest first.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// The peer has a seat: sends `welcome` and becomes active. Fills in the protocol, the server's time, tick rate, timeout, and
    /// the last input and command received; the rest is the caller's. Ignored unless pending.
    pub fn welcome(&mut self, now: Instant, seat: &Seat, mut welcome: wire::Welcome) {
        if !matches!(self.state, State::Pending) {
            return;
        }
        let tick_rate = seat.tick_rate.max(1);
        welcome.protocol = limits::PROTOCOL;
        welcome.tick_rate = tick_rate;
        welcome.input_received = seat.input_received;
        welcome.command_received = seat.command_received;
        welcome.timeout_ms = u32::try_from(self.limits.timeout.as_millis()).unwrap_or(u32::MAX);
        self.control.welcome = Some(Box::new(welcome));
        self.state = State::Active(Active {
            gate: Gate::new(Duration::from_secs(1) / tick_rate),
            slot: None,
            baselines: Baselines::new(self.delivery),
            newest_sent: None,
            input_received: seat.input_received,
            command_received: seat.command_received,
            next_ping: now,
            pinged: None,
        });
    }

    /// Ends the session: queues a goodbye; nothing else will be sent. The first code given stays.
    pub fn close(&mut self, code: CloseCode, reason: &str, reconnect_after: Duration) {
        if matches!(self.state, State::Closing(_)) {
            return;
        }
        self.state = State::Closing(code);
        let goodbye = wire::Goodbye {
            code: u32::from(code.number()),
            reason: reason.to_owned(),
            reconnect_after_ms: u32::try_from(reconnect_after.as_millis()).unwrap_or(u32::MAX),
        };
        self.control = Control { goodbye: Some(Box::new(goodbye)), ..Control::default() };
    }

    /// The code the session is closing with.
    pub fn closing(&self) -> Option<CloseCode> {
        match self.state {
            State::Closing(code) => Some(code),
            _ => None,
        }
    }

    /// When `handle_timeout` wants to be called. May move with every message: a caller may also sleep to the last answer and ask again then.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let silent = self.last_seen + self.limits.timeout;
        match &self.state {
            State::Handshake { deadline } => Some(*deadline),
            State::Pending => Some(silent),
            State::Active(active) => Some(silent.min(active.next_ping)),
            State::Closing(_) => None,
        }
    }

    /// Time has passed: pings, the handshake deadline, the silence timeout (then the session is closing).
    pub fn handle_timeout(&mut self, now: Instant, server_time_us: u64) {
        let silence = now.saturating_duration_since(self.last_seen);
        match &mut self.state {
            State::Handshake { deadline } if now >= *deadline => {
                let reason = format!("no join or resume within {:?}", self.limits.handshake);
                self.close(CloseCode::HandshakeTimeout, &reason, Duration::ZERO);
            }
            State::Pending | State::Active(_) if silence >= self.limits.timeout => {
                let reason = format!("silent for {:?}", self.limits.timeout);
                self.close(CloseCode::TimedOut, &reason, Duration::ZERO);
            }
            State::Active(active) if now >= active.next_ping => {
                active.next_ping = now + self.limits.heartbeat;
                active.pinged = Some((server_time_us, now));
                self.control.ping = Some(server_time_us);
            }
            _ => {}
        }
    }

    /// Writes the next control message (welcome, pong, ping, goodbye), if any: appends one message to `out`.
    /// To be asked before reliable and state.
    pub fn poll_control(&mut self, server_time_us: u64, out: &mut BytesMut) -> bool {
        use wire::server_message::{Body, Ping};
        let control = &mut self.control;
        let body = if let Some(mut welcome) = control.welcome.take() {
            welcome.server_time_us = server_time_us;
            Body::Welcome(*welcome)
        } else if let Some(time_us) = control.pong.take() {
            let command_received = match &self.state {
                State::Active(active) => active.command_received,
                _ => 0,
            };
            Body::Pong(wire::ServerPong { time_us, server_time_us, command_received })
        } else if let Some(time_us) = control.ping.take() {
            Body::ServerPing(Ping { time_us })
        } else if let Some(goodbye) = control.goodbye.take() {
            Body::Goodbye(*goodbye)
        } else {
            return false;
        };
        wire::ServerMessage { body: Some(body) }.encode(out).is_ok()
    }

    /// Writes the next reliable message of the seat's queue, if any and if the session is active: appends one
    /// message to `out`. A queue that has overflowed closes the session as a slow consumer. (A peer that does not read is not
    /// polled: whoever pushes to the queue should `close` when the push fails.)
    pub fn poll_reliable(&mut self, queue: &mut ReliableQueue, out: &mut BytesMut) -> bool {
        if !matches!(self.state, State::Active(_)) {
            return false;
        }
        if queue.is_overflowed() {
            self.close(CloseCode::SlowConsumer, "too many reliable messages unacknowledged", Duration::ZERO);
            return false;
        }
        let Some((sequence, body)) = queue.pop_unsent() else { return false };
        reliable::write_message(sequence, &body, out);
        true
    }

    /// Puts a newer state in the slot. An unsent one is dropped and counted. Ignored unless active, or if not
    /// newer than what was offered or sent.
    pub fn offer_state(&mut self, state: S) {
        let State::Active(active) = &mut self.state else { return };
        let newest = active.slot.as_ref().map(S::tick).or(active.newest_sent);
        if newest.is_some_and(|newest| state.tick() <= newest) {
            return;
        }
        if active.slot.replace(state).is_some() {
            self.stats.stale_dropped += 1;
        }
    }

    /// Takes the state in the slot if the gate lets it pass, and notes it as sent (and, on ordered transports, as the baseline).
    pub fn poll_state(&mut self, now: Instant) -> Option<StateSend<S>> {
        let State::Active(active) = &mut self.state else { return None };
        active.slot.as_ref()?;
        if self.delivery == Delivery::Datagram {
            active.gate.expire(now);
        }
        if !active.gate.is_open() {
            return None;
        }
        let current = active.slot.take()?;
        let tick = current.tick();
        let (baseline, prior) = active.baselines.references(tick);
        active.baselines.sent(current.clone());
        active.gate.sent(now, tick);
        active.newest_sent = Some(tick);
        self.stats.states_sent += 1;
        Some(StateSend { current, baseline, prior })
    }

    /// Forgets what the peer has: the next state is full.
    pub fn forget_baseline(&mut self) {
        if let State::Active(active) = &mut self.state {
            active.baselines = Baselines::new(self.delivery);
        }
    }

    /// The coding both ends speak that is densest.
    pub fn coding(&self) -> wire::ColumnCoding {
        self.coding
    }

    /// Round-trip time by the last ping.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// When a message last arrived. When the connection was accepted, if none did.
    pub fn last_seen(&self) -> Instant {
        self.last_seen
    }

    /// States that may be in flight now. 0 unless active.
    pub fn in_flight_limit(&self) -> usize {
        match &self.state {
            State::Active(active) => active.gate.limit(),
            _ => 0,
        }
    }

    /// Last input taken from this player, for the seat. 0 unless active.
    pub fn input_received(&self) -> u32 {
        match &self.state {
            State::Active(active) => active.input_received,
            _ => 0,
        }
    }

    /// Last command taken from this player, for the seat. 0 unless active.
    pub fn command_received(&self) -> u64 {
        match &self.state {
            State::Active(active) => active.command_received,
            _ => 0,
        }
    }

    /// What was counted.
    pub fn stats(&self) -> SessionStats {
        self.stats
    }
}

/// What arrives.
impl<S: Clone + StateTick> ServerSession<S> {
    fn take(
        &mut self,
        now: Instant,
        message: Bytes,
        reliable: Option<&mut ReliableQueue>,
    ) -> Result<(), PeerError> {
        if message.len() > self.limits.message_bytes {
            let reason = format!("message of {} bytes, at most {}", message.len(), self.limits.message_bytes);
            return Err(PeerError::new(CloseCode::TooLarge, reason));
        }
        if !self.messages.take(now, 1) {
            return Err(PeerError::new(CloseCode::RateLimited, "too many messages a second"));
        }
        let message = wire::ClientMessage::decode(message)
            .map_err(|error| PeerError::new(CloseCode::Malformed, error.to_string()))?;
        // A kind of message that this version does not know decodes to none.
        let Some(body) = message.body else { return self.take_unknown() };
        match (&self.state, body) {
            (State::Handshake { .. }, Body::Join(join)) => self.take_join(join),
            (State::Handshake { .. }, Body::Resume(resume)) => self.take_resume(resume),
            (State::Pending | State::Active(_), Body::Ping(ping)) => {
                self.control.pong = Some(ping.time_us);
                Ok(())
            }
            (State::Pending | State::Active(_), Body::Leave(_)) => {
                self.requests.push_back(Request::Leave);
                self.close(CloseCode::Left, "left", Duration::ZERO);
                Ok(())
            }
            (State::Active(_), Body::Input(input)) => self.take_input(now, input, reliable),
            (State::Active(_), Body::Ack(ack)) => {
                self.take_acks(now, ack.state_ack, ack.reliable_ack, reliable)
            }
            (State::Active(_), Body::Command(command)) => self.take_command(command),
            (State::Active(_), Body::Pong(pong)) => {
                self.take_pong(now, pong);
                Ok(())
            }
            (state, body) => {
                let reason = format!("unexpected {} while {}", name_of(&body), state.name());
                Err(PeerError::new(CloseCode::Unexpected, reason))
            }
        }
    }

    fn take_unknown(&mut self) -> Result<(), PeerError> {
        match self.state {
            State::Handshake { .. } => {
                Err(PeerError::new(CloseCode::Unexpected, "the first message is no join or resume"))
            }
            _ => Ok(()),
        }
    }

    fn take_join(&mut self, join: wire::Join) -> Result<(), PeerError> {
        hello::check_join(&join)?;
        self.coding = hello::densest(&join.codings);
        self.requests.push_back(Request::Join(join));
        self.state = State::Pending;
        Ok(())
    }

    fn take_resume(&mut self, resume: wire::Resume) -> Result<(), PeerError> {
        hello::check_resume(&resume)?;
        self.coding = hello::densest(&resume.codings);
        self.requests.push_back(Request::Resume(resume));
        self.state = State::Pending;
        Ok(())
    }

    fn take_input(
        &mut self,
        now: Instant,
        input: wire::Input,
        reliable: Option<&mut ReliableQueue>,
    ) -> Result<(), PeerError> {
        let repeated = input.previous.len();
        if repeated > limits::MAX_PREVIOUS_INPUTS || input.sequence as usize <= repeated {
            let reason = format!("input {} with {repeated} before it", input.sequence);
            return Err(PeerError::new(CloseCode::Malformed, reason));
        }
        if input.previous.iter().chain([&input.payload]).any(|payload| payload.len() > limits::MAX_INPUT) {
            let reason = format!("input of more than {} bytes", limits::MAX_INPUT);
            return Err(PeerError::new(CloseCode::TooLarge, reason));
        }
        self.take_acks(now, input.state_ack, input.reliable_ack, reliable)?;
        let State::Active(active) = &mut self.state else { return Ok(()) };
        let received = active.input_received;
        if input.sequence <= received {
            return Ok(());
        }
        // At most 8, by the check above.
        let first = input.sequence - repeated as u32;
        let news = input.sequence - received.max(first - 1);
        if !self.inputs.take(now, news) {
            return Err(PeerError::new(CloseCode::RateLimited, "too many inputs a second"));
        }
        active.input_received = input.sequence;
        let previous =
            (first..input.sequence).zip(input.previous).filter(|(sequence, _)| *sequence > received);
        self.requests.extend(
            previous.map(|(sequence, payload)| Request::Input(PlayerInput { sequence, tick: 0, payload })),
        );
        self.requests.push_back(Request::Input(PlayerInput {
            sequence: input.sequence,
            tick: input.tick,
            payload: input.payload,
        }));
        Ok(())
    }

    fn take_acks(
        &mut self,
        now: Instant,
        state: u32,
        reliable: u64,
        queue: Option<&mut ReliableQueue>,
    ) -> Result<(), PeerError> {
        let State::Active(active) = &mut self.state else { return Ok(()) };
        if state != 0 {
            if !active.gate.acked(now, state) {
                let reason = format!("acknowledgement of state {state}, which was not sent");
                return Err(PeerError::new(CloseCode::Unexpected, reason));
            }
            active.baselines.acked(state);
        }
        if reliable != 0
            && let Some(queue) = queue
            && !queue.acked(reliable)
        {
            let reason = format!("acknowledgement of reliable message {reliable}, which was not sent");
            return Err(PeerError::new(CloseCode::Unexpected, reason));
        }
        Ok(())
    }

    fn take_command(&mut self, command: wire::Command) -> Result<(), PeerError> {
        let State::Active(active) = &mut self.state else { return Ok(()) };
        if command.payload.len() > limits::MAX_COMMAND {
            let reason =
                format!("command of {} bytes, at most {}", command.payload.len(), limits::MAX_COMMAND);
            return Err(PeerError::new(CloseCode::TooLarge, reason));
        }
        if command.sequence <= active.command_received {
            return Ok(());
        }
        if command.sequence - active.command_received > 1 {
            let reason = format!("command {} after {}", command.sequence, active.command_received);
            return Err(PeerError::new(CloseCode::Unexpected, reason));
        }
        active.command_received = command.sequence;
        self.requests.push_back(Request::Command(command));
        Ok(())
    }

    fn take_pong(&mut self, now: Instant, pong: wire::Pong) {
        let State::Active(active) = &mut self.state else { return };
        if let Some((_, at)) = active.pinged.take_if(|(time_us, _)| *time_us == pong.time_us) {
            self.rtt = Some(now.saturating_duration_since(at));
        }
    }
}

impl<S> State<S> {
    fn name(&self) -> &'static str {
        match self {
            State::Handshake { .. } => "waiting for the join",
            State::Pending => "waiting for the seat",
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
    }
}
