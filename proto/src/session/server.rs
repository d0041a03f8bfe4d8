//! The server's end of a connection.
//!
//! ```text
//!            join/resume arrives          welcome()                 leave, violation, timeout, close()
//!   Handshake ───────────────► Pending ───────────► Active ─────────────────────────► Closing
//! ```
//!
//! - **Handshake**: only a join or resume is accepted, within the deadline.
//! - **Pending**: the caller looks for the seat. Pings and a leave are accepted, and the silence timeout
//!   runs.
//! - **Active**: everything but a second join is accepted; control messages, reliable messages and states are
//!   sent.
//! - **Closing**: what arrives is ignored; only the goodbye is sent. The first close code stays.
//!
//! Every state can go straight to Closing. There is no way back.
//!
//! What waits to be sent is bounded whatever the peer does: one welcome, one ping, one pong (a newer ping
//! replaces an unanswered one), one goodbye, one state. Reliable messages are bounded by their queue.

mod active;
mod baselines;
mod budget;
mod capacity;
mod control;
mod had;
mod hello;
mod input;
mod rate;
mod receive;
mod request;
mod zones;

use super::Delivery;
use crate::{
    code::CloseCode,
    lane::Lane,
    limits::{self, Limits},
    nanos::{Epoch, MaybeNanos, Nanos, nanos},
    reliable::{self, ReliableQueue},
    wire,
};
use active::Active;
pub use active::{StateSend, StateTick};
use baselines::Baselines;
use bytes::{Bytes, BytesMut};
use control::Control;
use rate::Rate;
pub use request::{PeerError, PlayerInput, Request};
use std::{
    collections::VecDeque,
    mem,
    time::{Duration, Instant},
};
pub use zones::{ZoneContent, ZoneWriter, Zoned};

/// One connection as the server sees it. `S` is a handle to a published state (an `Arc`).
///
/// The field order puts what every tick needs first: with many clients, none of it is in the cache.
#[derive(Debug)]
#[repr(C)]
pub struct ServerSession<S> {
    epoch: Epoch,
    timeout: Nanos,
    last_seen: Nanos,
    /// When the peer will have been silent for too long.
    silent_at: Nanos,
    messages: Rate,
    inputs: Rate,
    message_bytes: u32,
    state_bytes_per_second: u32,
    /// A stall has extended the deadline, and the peer has sent nothing since.
    excused: bool,
    delivery: Delivery,
    coding: wire::ColumnCoding,
    control: Control,
    state: State<S>,
    stats: SessionStats,
    rtt: MaybeNanos,
    heartbeat: Nanos,
    handshake: Duration,
    requests: VecDeque<Request>,
}

/// Where a connection is in its life. The module documentation shows the transitions.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all sessions are active, and a pointer would cost each tick"
)]
enum State<S> {
    Handshake {
        deadline: Nanos,
    },
    /// `resumes`: the last reliable message that a returning peer has received.
    Pending {
        resumes: Option<u64>,
    },
    Active(Active<S>),
    Closing(Closing),
}

/// How a connection ended, and what had been taken from it until then.
#[derive(Debug, Clone)]
struct Closing {
    code: CloseCode,
    reason: Box<str>,
    input_received: u32,
    command_received: u64,
}

/// Counts of a session, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionStats {
    /// States that were replaced by a newer one before they were sent.
    pub stale_dropped: u64,
    /// States sent.
    pub states_sent: u64,
    /// Inputs, commands and pings that came too fast: dropped, or refused.
    pub excess_dropped: u64,
}

impl<S: StateTick> ServerSession<S> {
    /// A connection accepted at `now`.
    pub fn new(now: Instant, limits: Limits, delivery: Delivery) -> Self {
        let timeout = nanos(limits.timeout);
        Self {
            epoch: Epoch(now),
            timeout,
            last_seen: 0,
            silent_at: timeout,
            messages: Rate::new(0, limits.messages_per_second),
            inputs: Rate::new(0, limits.inputs_per_second),
            message_bytes: u32::try_from(limits.message_bytes).unwrap_or(u32::MAX),
            state_bytes_per_second: limits.state_bytes_per_second,
            excused: false,
            delivery,
            coding: wire::ColumnCoding::Packed,
            control: Control::default(),
            state: State::Handshake { deadline: nanos(limits.handshake) },
            stats: SessionStats::default(),
            rtt: MaybeNanos::NONE,
            heartbeat: nanos(limits.heartbeat),
            handshake: limits.handshake,
            requests: VecDeque::new(),
        }
    }

    /// Handles a message. On error the session is closing: send what `poll_control` still returns, then close
    /// with the error's code.
    ///
    /// Messages beyond the rate limits are dropped and counted; only a sustained flood is an error. When an
    /// input is dropped, its acknowledgements still count. A leave is never dropped.
    ///
    /// # Errors
    /// `TooLarge`, `RateLimited`, `Malformed`, `UnsupportedVersion`, `BadName`, `UnknownKind`, `Spectating`
    /// and
    /// `Unexpected`; see [`CloseCode`]. Ignored without an error: a repeated or late input, command or
    /// acknowledgement; a message of a kind that this version does not know; and whatever arrives while
    /// closing.
    pub fn handle_message(&mut self, now: Instant, message: Bytes) -> Result<(), PeerError> {
        let mut requests = mem::take(&mut self.requests);
        let result = self.handle_message_with(now, message, |request| requests.push_back(request));
        self.requests = requests;
        result
    }

    /// Like `handle_message`, but requests are passed to `taken` at once instead of being kept for
    /// `poll_request`.
    ///
    /// # Errors
    /// As for `handle_message`.
    pub fn handle_message_with(
        &mut self,
        now: Instant,
        message: Bytes,
        mut taken: impl FnMut(Request),
    ) -> Result<(), PeerError> {
        if matches!(self.state, State::Closing(_)) {
            return Ok(());
        }
        let now = self.epoch.at(now);
        self.last_seen = now;
        self.silent_at = now.saturating_add(self.timeout);
        self.excused = false;
        let result = self.take(now, message, &mut taken);
        result.inspect_err(|error| self.close(error.code, &error.reason, Duration::ZERO))
    }

    /// The peer's requests, oldest first.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// Gives the peer a seat: sends `welcome` and becomes active. Fills in the protocol, the server's time,
    /// the timeout, and whether the peer resumes. The caller provides the rest, including the tick rate and
    /// the last input and command received, from which the session continues. Ignored unless pending.
    pub fn welcome(&mut self, now: Instant, mut welcome: wire::Welcome) {
        let State::Pending { resumes } = self.state else { return };
        welcome.protocol = limits::PROTOCOL;
        welcome.tick_rate = welcome.tick_rate.max(1);
        welcome.timeout_ms = u32::try_from(self.timeout().as_millis()).unwrap_or(u32::MAX);
        welcome.resumed = resumes.is_some();
        let now = self.epoch.at(now);
        let rate = self.state_bytes_per_second;
        let active = Active::new(now, &welcome, resumes.unwrap_or(0), self.delivery, rate);
        self.control.welcome(welcome);
        self.state = State::Active(active);
    }

    /// Ends the session: queues a goodbye, after which nothing is sent. The first close code stays.
    pub fn close(&mut self, code: CloseCode, reason: &str, reconnect_after: Duration) {
        self.end(code, reason, reconnect_after, None);
    }

    /// Ends the session because the room is elsewhere: the goodbye says where.
    pub fn send_away(&mut self, reason: &str, moved: wire::Moved) {
        self.end(CloseCode::Moved, reason, Duration::ZERO, Some(moved));
    }

    fn end(&mut self, code: CloseCode, reason: &str, reconnect_after: Duration, moved: Option<wire::Moved>) {
        if matches!(self.state, State::Closing(_)) {
            return;
        }
        let (input_received, command_received) = (self.input_received(), self.command_received());
        let closing = Closing { code, reason: reason.into(), input_received, command_received };
        self.state = State::Closing(closing);
        let goodbye = wire::Goodbye {
            code: u32::from(code.number()),
            reason: reason.to_owned(),
            reconnect_after_ms: u32::try_from(reconnect_after.as_millis()).unwrap_or(u32::MAX),
            moved,
        };
        self.control = Control::goodbye(goodbye);
    }

    /// Asks the peer for a fresh token, because its own expires in this time. Ignored unless active.
    pub fn ask_for_token(&mut self, within: Duration) {
        if matches!(self.state, State::Active(_)) {
            self.control.token_expires(u32::try_from(within.as_millis()).unwrap_or(u32::MAX));
        }
    }

    /// The code with which the session is closing.
    pub fn closing(&self) -> Option<CloseCode> {
        match &self.state {
            State::Closing(closing) => Some(closing.code),
            _ => None,
        }
    }

    /// The reason given in the goodbye, if the session is closing.
    pub fn closing_reason(&self) -> Option<&str> {
        match &self.state {
            State::Closing(closing) => Some(&closing.reason),
            _ => None,
        }
    }

    /// When to call `handle_timeout`. Every message may move it, so a caller may also sleep until the time
    /// returned last and then ask again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let at = match &self.state {
            State::Handshake { deadline } => *deadline,
            State::Pending { .. } => self.silent_at,
            State::Active(active) => self.silent_at.min(active.next_ping),
            State::Closing(_) => return None,
        };
        Some(self.epoch.instant(at))
    }

    /// Time has passed: handles pings, the handshake deadline and the silence timeout (which closes the
    /// session).
    pub fn handle_timeout(&mut self, now: Instant, server_time_us: u64) {
        let now = self.epoch.at(now);
        match &mut self.state {
            State::Handshake { deadline } if now >= *deadline => {
                let reason = format!("no join or resume within {:?}", self.handshake);
                self.close(CloseCode::HandshakeTimeout, &reason, Duration::ZERO);
            }
            State::Pending { .. } | State::Active(_) if now >= self.silent_at => {
                let reason = format!("silent for {:?}", self.timeout());
                self.close(CloseCode::TimedOut, &reason, Duration::ZERO);
            }
            State::Active(active) if now >= active.next_ping => {
                active.ping(now, server_time_us, self.heartbeat);
                self.control.ping(server_time_us);
            }
            _ => {}
        }
    }

    /// The caller could not read for `stall`, up to `now`: what the peer sent meanwhile is still unread, so
    /// its silence is not its own. Deadlines move by as much of `stall` as came after what was heard last,
    /// and are at least [`limits::READ_FIRST`] away. This last happens only once until the peer is heard
    /// again, so that a caller who is always late does not keep dead connections forever. Call it before
    /// `handle_timeout`.
    pub fn handle_stall(&mut self, now: Instant, stall: Duration) {
        let now = self.epoch.at(now);
        let readable = now.saturating_add(nanos(limits::READ_FIRST));
        let stall = nanos(stall).min(now.saturating_sub(self.last_seen));
        let deadline = match &mut self.state {
            State::Handshake { deadline } => deadline,
            _ => &mut self.silent_at,
        };
        *deadline = deadline.saturating_add(stall);
        if *deadline < readable && !mem::replace(&mut self.excused, true) {
            *deadline = readable;
        }
    }

    /// Appends the next control message (welcome, goodbye, pong, ping), if any, to `out`. Call it before
    /// `poll_reliable` and `poll_state`.
    pub fn poll_control(&mut self, server_time_us: u64, out: &mut BytesMut) -> bool {
        self.poll_control_of(Lane::Reliable, server_time_us, out)
            || self.poll_control_of(Lane::Unreliable, server_time_us, out)
    }

    /// Like `poll_control`, but only for messages that take this lane: welcome and goodbye, or pong and ping.
    /// For transports with two lanes.
    pub fn poll_control_of(&mut self, lane: Lane, server_time_us: u64, out: &mut BytesMut) -> bool {
        if self.control.is_empty() {
            return false;
        }
        let command = match &self.state {
            State::Active(active) => active.command_done(),
            _ => self.command_received(),
        };
        self.control.poll(lane, server_time_us, command, out)
    }

    /// Whether a control message waits.
    pub fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    /// The room has carried out this player's commands up to `sequence`, whatever happens now: the peer may
    /// be told so. If this is never called, the peer is told what was received.
    pub fn done_commands(&mut self, sequence: u64) {
        if let State::Active(active) = &mut self.state {
            active.done_commands(sequence);
        }
    }

    /// Appends the next reliable message of the seat's queue to `out`, if there is one and the session is
    /// active. An overflowed queue closes the session as a slow consumer. (A peer that does not read is not
    /// polled, so whoever pushes to the queue should call `close` when the push fails.)
    pub fn poll_reliable(&mut self, queue: &mut ReliableQueue, out: &mut BytesMut) -> bool {
        let State::Active(active) = &mut self.state else { return false };
        if queue.is_overflowed() {
            self.close(CloseCode::SlowConsumer, "too many unacknowledged reliable messages", Duration::ZERO);
            return false;
        }
        let Some((sequence, body)) = queue.pop_unsent() else { return false };
        active.sent_reliable(sequence);
        reliable::write_message(sequence, &body, out);
        true
    }

    /// Puts a newer state into the slot. An unsent one is dropped and counted. Ignored unless active, or if
    /// it is not newer than what was offered or sent before.
    pub fn offer_state(&mut self, state: S) {
        if let State::Active(active) = &mut self.state
            && active.offer(state)
        {
            self.stats.stale_dropped += 1;
        }
    }

    /// If the gate lets the state in the slot pass, calls `write` for it, notes it as sent (on ordered
    /// transports also as the baseline), and returns the result.
    pub fn poll_state<R>(&mut self, now: Instant, write: impl FnOnce(StateSend<'_, S>) -> R) -> Option<R> {
        let State::Active(active) = &mut self.state else { return None };
        let written = active.next_state(self.epoch.at(now), write)?;
        self.stats.states_sent += 1;
        Some(written)
    }

    /// The state in the slot, which has not been sent yet.
    pub fn offered(&self) -> Option<&S> {
        match &self.state {
            State::Active(active) => active.offered(),
            _ => None,
        }
    }

    /// Whether the peer may have zones other than zone 0. Then, or if the state [offered](Self::offered) has
    /// such zones, call `poll_zones` instead of `poll_state`.
    pub fn has_zones(&self) -> bool {
        matches!(&self.state, State::Active(active) if active.has_zones())
    }

    /// Like `poll_state`, for a room with zones: appends the messages of the state in the slot to `out`, and
    /// calls `each` after each of them, which may take it away. Returns false if there is none.
    ///
    /// On ordered transports a state is one message. On those that lose messages it may be several, each at
    /// most `message_bytes` long (if no zone alone is longer), and of use without the others. Zones that have
    /// not changed cost nothing. If not all that have changed fits into what may be sent
    /// ([`Limits::state_bytes_per_second`]), the most urgent zones are sent: those with the highest product
    /// of priority and ticks since they were sent last. `input` is the player's last input that the state
    /// contains.
    #[allow(clippy::too_many_arguments, reason = "what there is to send, and where to")]
    pub fn poll_zones(
        &mut self,
        now: Instant,
        input: u32,
        room: &mut impl Zoned<S>,
        message_bytes: usize,
        writer: &mut ZoneWriter,
        out: &mut BytesMut,
        each: impl FnMut(&mut BytesMut),
    ) -> bool
    where
        S: Clone,
    {
        let State::Active(active) = &mut self.state else { return false };
        if active.is_stuck() {
            self.close(CloseCode::SlowConsumer, "no acknowledgement of states", Duration::ZERO);
            return false;
        }
        let written = active.next_zones(self.epoch.at(now), input, room, message_bytes, writer, out, each);
        self.stats.states_sent += u64::from(written);
        written
    }

    /// Whether there is a control message to send, or a state that the gate would let pass. (The session does
    /// not know the seat's reliable queue.)
    pub fn wants_transmit(&self) -> bool {
        match &self.state {
            State::Active(active) if active.wants_transmit() => true,
            _ => !self.control.is_empty(),
        }
    }

    /// Whether the peer has yet to acknowledge reliable messages that were sent to it.
    pub fn awaits_reliable_ack(&self) -> bool {
        matches!(&self.state, State::Active(active) if active.awaits_reliable_ack())
    }

    /// Forgets what the peer has: the next state is full.
    pub fn forget_baseline(&mut self) {
        if let State::Active(active) = &mut self.state {
            active.forget_baseline();
        }
    }

    /// The densest coding that both ends speak.
    pub fn coding(&self) -> wire::ColumnCoding {
        self.coding
    }

    /// How long the peer may be silent.
    pub fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout)
    }

    /// Round-trip time, measured by the last ping.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.get().map(Duration::from_nanos)
    }

    /// When the last message arrived, or when the connection was accepted if none has.
    pub fn last_seen(&self) -> Instant {
        self.epoch.instant(self.last_seen)
    }

    /// Number of states that may be in flight now. 0 unless active.
    pub fn in_flight_limit(&self) -> usize {
        match &self.state {
            State::Active(active) => active.in_flight_limit(),
            _ => 0,
        }
    }

    /// Last input taken from this player (also while closing). 0 before the welcome.
    pub fn input_received(&self) -> u32 {
        match &self.state {
            State::Active(active) => active.input_received(),
            State::Closing(closing) => closing.input_received,
            State::Handshake { .. } | State::Pending { .. } => 0,
        }
    }

    /// Last command taken from this player (also while closing). 0 before the welcome.
    pub fn command_received(&self) -> u64 {
        match &self.state {
            State::Active(active) => active.command_received(),
            State::Closing(closing) => closing.command_received,
            State::Handshake { .. } | State::Pending { .. } => 0,
        }
    }

    /// The counts of this session.
    pub fn stats(&self) -> SessionStats {
        self.stats
    }
}
