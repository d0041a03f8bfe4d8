//! A connection whose peer has a seat.

use super::{
    Baselines, Delivery, PeerError, PlayerInput, Request,
    budget::Budget,
    rate::{Rate, Verdict},
    zones::{ZoneLimits, ZoneWriter, Zoned, Zones},
};
use crate::{
    code::CloseCode,
    gate::Gate,
    limits,
    moment::Moment,
    nanos::{Nanos, SECOND},
    session::moments,
    state::StateHead,
    wire,
};
use bytes::BytesMut;

/// What only a connection with a seat has. The field order puts what every tick needs first.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Active<S> {
    slot: Option<S>,
    /// Newest tick sent. A state at or below it is never sent.
    newest_sent: Option<u32>,
    input_received: u32,
    delivery: Delivery,
    /// Last reliable message sent on this connection, and last one acknowledged.
    reliable_sent: u64,
    reliable_acked: u64,
    pub(super) next_ping: Nanos,
    baselines: Baselines<S>,
    /// None: there was only zone 0.
    zones: Option<Box<Zones>>,
    budget: Budget,
    gate: Gate,
    command_received: u64,
    /// Last command that the room has carried out, if that is known: what the peer is told.
    command_done: Option<u64>,
    /// Commands that the peer knows to have been received may have been undone: the next one may have any
    /// number.
    commands_undone: bool,
    /// The last ping: the time in it, and when it was made.
    pinged: Option<(u64, Nanos)>,
    spectates: bool,
}

/// A state to send now: encode `current` against the other two, with the player's input in the head.
#[derive(Debug)]
pub struct StateSend<'a, S> {
    /// The state.
    pub current: &'a S,
    /// The state that the peer has. None: send everything. At most `delta::MAX_AGE` ticks before `current`.
    pub baseline: Option<&'a S>,
    /// A state that the peer had before the baseline, by at most `delta::MAX_AGE` ticks.
    pub prior: Option<&'a S>,
    /// Number of the message. Usually the tick.
    pub number: u32,
}

impl<S: StateTick> StateSend<'_, S> {
    /// The head of the message. `input` is the player's last input that the state contains.
    pub fn head(&self, input: u32) -> StateHead {
        StateHead {
            tick: self.current.tick(),
            baseline: self.baseline.map(S::tick),
            prior: self.prior.map(S::tick),
            input,
            number: self.number,
            apart: false,
        }
    }
}

/// A handle to a state that knows its tick.
pub trait StateTick {
    /// The tick.
    fn tick(&self) -> u32;
    /// Whether peers have so many different baselines that common ones should be preferred: more bytes for
    /// each, but many peers share an encoding.
    fn prefers_common(&self) -> bool {
        false
    }
}

impl<T: StateTick> StateTick for std::sync::Arc<T> {
    fn tick(&self) -> u32 {
        T::tick(self)
    }
    fn prefers_common(&self) -> bool {
        T::prefers_common(self)
    }
}

fn gate(tick: Nanos, delivery: Delivery) -> Gate {
    match delivery {
        Delivery::Ordered => Gate::new(tick),
        Delivery::Datagram => Gate::lossy(tick),
    }
}

impl<S: StateTick> Active<S> {
    /// `reliable_received` is the last reliable message that the peer has received on earlier connections.
    pub(super) fn new(
        now: Nanos,
        welcome: &wire::Welcome,
        reliable_received: u64,
        delivery: Delivery,
        state_bytes_per_second: u32,
    ) -> Self {
        Self {
            slot: None,
            newest_sent: None,
            input_received: welcome.input_received,
            delivery,
            reliable_sent: reliable_received,
            reliable_acked: reliable_received,
            next_ping: now,
            baselines: Baselines::new(delivery),
            zones: None,
            budget: Budget::new(now, state_bytes_per_second),
            gate: gate(SECOND / u64::from(welcome.tick_rate.max(1)), delivery),
            command_received: welcome.command_received,
            command_done: None,
            commands_undone: !welcome.undone.is_empty(),
            pinged: None,
            spectates: welcome.spectating,
        }
    }

    /// Whether the peer may send no inputs and commands.
    pub(super) fn spectates(&self) -> bool {
        self.spectates
    }

    pub(super) fn input_received(&self) -> u32 {
        self.input_received
    }

    pub(super) fn command_received(&self) -> u64 {
        self.command_received
    }

    /// The last command that the peer may forget.
    pub(super) fn command_done(&self) -> u64 {
        self.command_done.unwrap_or(self.command_received)
    }

    /// The room has carried out the commands up to this one, and they will not be undone.
    pub(super) fn done_commands(&mut self, sequence: u64) {
        self.command_done = Some(sequence);
        // Some may have come by an earlier connection: a peer that hears so before it sends them again does
        // not.
        self.command_received = self.command_received.max(sequence);
    }

    /// Number of states that may be in flight now.
    pub(super) fn in_flight_limit(&self) -> usize {
        self.gate.limit()
    }

    /// Puts a newer state into the slot. True: it replaced an unsent one.
    pub(super) fn offer(&mut self, state: S) -> bool {
        let (newest, tick) = (self.slot.as_ref().map(S::tick).or(self.newest_sent), state.tick());
        let replaced = newest.is_none_or(|newest| tick > newest) && self.slot.replace(state).is_some();
        if replaced && let Some(zones) = &mut self.zones {
            zones.capacity.replaced(tick);
        }
        replaced
    }

    /// Whether there is a state in the slot that the gate would let pass. (On transports that lose messages,
    /// the gate may open when it is tried, because time has passed.)
    pub(super) fn wants_transmit(&self) -> bool {
        self.slot.is_some() && (self.delivery == Delivery::Datagram || self.gate.is_open())
    }

    /// The state in the slot.
    pub(super) fn offered(&self) -> Option<&S> {
        self.slot.as_ref()
    }

    /// Whether the peer may have zones other than zone 0.
    pub(super) fn has_zones(&self) -> bool {
        self.zones.as_ref().is_some_and(|zones| !zones.is_empty())
    }

    /// Whether the peer acknowledges nothing although it leaves one zone after the other.
    pub(super) fn is_stuck(&self) -> bool {
        self.zones.as_ref().is_some_and(|zones| zones.is_stuck())
    }

    /// Calls `write` for the state in the slot if the gate lets it pass.
    pub(super) fn next_state<R>(
        &mut self,
        now: Nanos,
        write: impl FnOnce(StateSend<'_, S>) -> R,
    ) -> Option<R> {
        let current = self.pass(now)?;
        let tick = current.tick();
        let pair = self.baselines.references(&current);
        let number = self.baselines.next_number(tick);
        let (baseline, prior) = (pair.baseline, pair.prior);
        let written = write(StateSend { current: &current, baseline, prior, number });
        let covers = self.baselines.covers(true);
        let common = current.prefers_common();
        self.baselines.keep_older(common);
        self.baselines.sent(current, number, covers);
        self.baselines.prune(None, common);
        self.sent(now, tick);
        Some(written)
    }

    /// Writes the messages of the state in the slot, of a room with zones, if the gate lets it pass.
    #[allow(clippy::too_many_arguments, reason = "as for `ServerSession::poll_zones`")]
    pub(super) fn next_zones(
        &mut self,
        now: Nanos,
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
        let Some(current) = self.pass(now) else { return false };
        let zones = self.zones.get_or_insert_default();
        let state_bytes = self.budget.allows(now, zones.capacity.rate());
        // On a stream, a second message of a tick would be stale.
        let in_parts = self.delivery == Delivery::Datagram;
        let message_bytes = if in_parts { message_bytes } else { usize::MAX };
        let limits = ZoneLimits { message_bytes, state_bytes };
        let (tick, common) = (current.tick(), current.prefers_common());
        self.baselines.keep_older(true);
        let bytes = zones.write(&current, input, room, limits, &mut self.baselines, writer, out, each);
        self.baselines.prune(zones.oldest_needed(common), common);
        self.budget.spent(bytes);
        zones.capacity.sent(tick, bytes);
        self.sent(now, tick);
        true
    }

    /// Takes the state out of the slot if the gate lets it pass.
    fn pass(&mut self, now: Nanos) -> Option<S> {
        self.slot.as_ref()?;
        if self.delivery == Delivery::Datagram {
            self.gate.expire(now);
        }
        if !self.gate.is_open() {
            return None;
        }
        self.slot.take()
    }

    fn sent(&mut self, now: Nanos, tick: u32) {
        self.gate.sent(now, tick);
        self.newest_sent = Some(tick);
    }

    pub(super) fn forget_baseline(&mut self) {
        self.baselines.forget();
        if let Some(zones) = &mut self.zones {
            zones.forget();
        }
    }

    /// A reliable message was sent.
    pub(super) fn sent_reliable(&mut self, sequence: u64) {
        self.reliable_sent = sequence;
    }

    /// Whether reliable messages of this connection are unacknowledged.
    pub(super) fn awaits_reliable_ack(&self) -> bool {
        self.reliable_acked < self.reliable_sent
    }

    /// Takes an input and the earlier ones that it repeats. New ones go to `taken`. False: they came too fast
    /// and are treated as lost.
    pub(super) fn take_input(
        &mut self,
        now: Nanos,
        input: wire::Input,
        verdict: Verdict,
        rate: &mut Rate,
        timeout: Nanos,
        taken: &mut impl FnMut(Request),
    ) -> Result<bool, PeerError> {
        let repeated = input.previous.len();
        if repeated > limits::MAX_PREVIOUS_INPUTS || input.sequence as usize <= repeated {
            let reason = format!("input {} with {repeated} before it", input.sequence);
            return Err(PeerError::new(CloseCode::Malformed, reason));
        }
        if input.previous_moments.len() > repeated {
            let reason = format!("{} moments of {repeated} earlier inputs", input.previous_moments.len());
            return Err(PeerError::new(CloseCode::Malformed, reason));
        }
        if input.previous.iter().chain([&input.payload]).any(|payload| payload.len() > limits::MAX_INPUT) {
            let reason = format!("input of more than {} bytes", limits::MAX_INPUT);
            return Err(PeerError::new(CloseCode::TooLarge, reason));
        }
        let received = self.input_received;
        if input.sequence <= received {
            return Ok(true);
        }
        if verdict != Verdict::Within {
            return Ok(false);
        }
        // At most 8, by the check above.
        let first = input.sequence - repeated as u32;
        let news = input.sequence - received.max(first - 1);
        match rate.take(now, news, timeout) {
            Verdict::Within => {}
            Verdict::Excess => return Ok(false),
            Verdict::Flood => return Err(PeerError::flood("inputs")),
        }
        self.input_received = input.sequence;
        let moment = Moment::from_wire(input.moment);
        let sent = Moment::at(self.newest_sent.unwrap_or(0));
        if repeated > 0 {
            let moments = moments::of_repeated(moment, &input.previous_moments, repeated);
            let previous = (first..input.sequence).zip(input.previous).zip(moments);
            for ((sequence, payload), moment) in previous {
                if sequence > received {
                    let moment = moment.map(|moment| moment.min(sent));
                    taken(Request::Input(PlayerInput { sequence, moment, payload }));
                }
            }
        }
        let wire::Input { sequence, payload, .. } = input;
        let moment = moment.map(|moment| moment.min(sent)); // nobody has been shown more
        taken(Request::Input(PlayerInput { sequence, moment, payload }));
        Ok(true)
    }

    /// Takes acknowledgements; 0 means none. `missing`: see `Input.state_missing`.
    pub(super) fn take_acks(
        &mut self,
        now: Nanos,
        (state, missing): (u32, u32),
        reliable: u64,
        taken: &mut impl FnMut(Request),
    ) -> Result<(), PeerError> {
        if state != 0 {
            let Self { zones, delivery, .. } = self;
            let had = |zone, tick| {
                if let Some(zones) = zones {
                    zones.had(zone, tick, *delivery);
                }
            };
            let tick = self.baselines.acked(state, missing, had);
            let tick = tick.ok().filter(|tick| tick.is_none_or(|tick| self.gate.acked(now, tick)));
            if tick.is_none() {
                let reason = format!("acknowledgement of state {state}, which was never sent");
                return Err(PeerError::new(CloseCode::Unexpected, reason));
            }
            if let Some(zones) = &mut self.zones {
                zones.acked(state);
                if let Some(tick) = tick.flatten() {
                    zones.capacity.acked(now, tick, self.gate.is_congested());
                }
            }
        }
        if reliable > self.reliable_sent {
            let reason = format!("acknowledgement of reliable message {reliable}, which was never sent");
            return Err(PeerError::new(CloseCode::Unexpected, reason));
        }
        if reliable > self.reliable_acked {
            self.reliable_acked = reliable;
            taken(Request::ReliableAck(reliable));
        }
        Ok(())
    }

    /// Takes a command. Returns a request if it is new; if it came too fast, the request is to refuse it.
    pub(super) fn take_command(
        &mut self,
        command: wire::Command,
        verdict: Verdict,
    ) -> Result<Option<Request>, PeerError> {
        if command.payload.len() > limits::MAX_COMMAND {
            let reason = format!(
                "command of {} bytes; at most {} are allowed",
                command.payload.len(),
                limits::MAX_COMMAND
            );
            return Err(PeerError::new(CloseCode::TooLarge, reason));
        }
        if command.sequence <= self.command_received {
            return Ok(None);
        }
        let undone = std::mem::take(&mut self.commands_undone);
        if command.sequence - self.command_received > 1 && !undone {
            let reason = format!("command {} after {}", command.sequence, self.command_received);
            return Err(PeerError::new(CloseCode::Unexpected, reason));
        }
        self.command_received = command.sequence;
        Ok(Some(match verdict {
            Verdict::Within => Request::Command(command),
            Verdict::Excess | Verdict::Flood => Request::RefuseCommand(command.sequence),
        }))
    }

    /// Notes that a ping with `time_us` is sent.
    pub(super) fn ping(&mut self, now: Nanos, time_us: u64, heartbeat: Nanos) {
        self.next_ping = now + heartbeat;
        self.pinged = Some((time_us, now));
    }

    /// The round-trip time, if this answers the last ping. Any other pong is late or made up, and is ignored.
    pub(super) fn take_pong(&mut self, now: Nanos, pong: &wire::Pong) -> Option<Nanos> {
        let (_, at) = self.pinged.take_if(|(time_us, _)| *time_us == pong.time_us)?;
        Some(now.saturating_sub(at))
    }
}
