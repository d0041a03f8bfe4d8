//! One bot: a real client that decodes every state, checks it, measures it, and plays.
//!
//! ```text
//!   Outside ──open──► Joining ──welcome──► Playing ──leave──► Leaving ──► Gone
//!                        │                 ▲     │
//!                        │         welcome └ Away┘ the server shuts down (4000), or the room moves (4014)
//!                        └────────── closed, refused, at fault ──────────► Gone
//! ```
//!
//! A bot that is told to come back does so, as all clients do: into its seat, if the next server has it, or
//! into a new one.
//!
//! The client library's `ClientCore` does the protocol; the swarm gives it bytes and time. States are counted
//! by *tick*, so that a state of the last measured tick is not missed when it arrives a moment after the end;
//! bytes are counted by *time*.

mod crowd;
#[cfg(test)]
mod tests;

pub use crowd::Crowd;

use crate::{
    behaviour::Behaviour,
    check::{MotionRules, Order, Sight, Violation},
    measure::Measure,
    swarm::{End, Frames, Peer},
};
use bytes::Bytes;
use driftless_client::{
    ClientCore, Disconnect, Event, Options, Phase,
    transport::{Closed, DialError},
};
use driftless_links::Player;
use driftless_proto::{code::CloseCode, session::client::ServerError, wire};
use std::{
    collections::VecDeque,
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// One bot.
pub struct Bot {
    room: usize,
    /// Whether it only watches.
    spectates: bool,
    life: Life,
    /// From the opening of the connection on.
    core: Option<Box<ClientCore>>,
    behaviour: Behaviour,
    order: Order,
    /// Whether it applies the states that it gets.
    reads: bool,
    sight: Sight,
    /// Inputs that no state has contained yet: number, and when each was meant to be sent.
    pending: VecDeque<(u32, Instant)>,
    /// Number of the last input sent.
    last_input: u32,
    applied_at: Option<Instant>,
    /// While it is away: when it applied the last state, and whether it was sent to another node.
    left: Option<(Instant, bool)>,
    /// Entities that moved in the newest state, as far as it has come.
    moved: u64,
    /// Whether, in the state before it and in itself, some zones were only predicted.
    behind: [bool; 2],
    /// Ticks that count: above the first, up to the last.
    first_tick: Option<u32>,
    last_tick: Option<u32>,
    watch: Option<Watch>,
    /// Until when it has to be back.
    patience: Option<Instant>,
}

/// The states that one bot got since it was watched.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// In order.
    pub arrivals: Vec<Arrival>,
    /// Bytes of frames received.
    received: u64,
}

/// A state that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Instant,
    /// Of which tick.
    pub tick: u32,
    /// How old it was, microseconds; may be negative by clock error.
    pub age_us: i64,
    /// Bytes received since the watch began, including this one.
    pub end: u64,
}

/// Where a bot is in its life: see the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Not connected yet.
    Outside,
    /// Wants a seat.
    Joining,
    /// Has one.
    Playing,
    /// Was told to go and to come back.
    Away,
    /// Has given it back.
    Leaving,
    /// The connection is gone.
    Gone,
}

/// Most inputs that may wait for a state: a minute at 20 Hz. Beyond that the oldest counts as never answered.
const MAX_PENDING: usize = 1200;
/// How long a server may take to be there again.
const BACK: Duration = Duration::from_secs(60);

impl Bot {
    /// A bot that will play in a room.
    pub fn new(room: usize, behaviour: Behaviour) -> Self {
        Self {
            room,
            spectates: false,
            life: Life::Outside,
            core: None,
            behaviour,
            order: Order::default(),
            reads: true,
            sight: Sight::default(),
            moved: 0,
            behind: [false; 2],
            pending: VecDeque::new(),
            last_input: 0,
            applied_at: None,
            left: None,
            first_tick: None,
            last_tick: None,
            watch: None,
            patience: None,
        }
    }
    /// A bot that will watch a room.
    pub fn spectator(room: usize) -> Self {
        Self { spectates: true, ..Self::new(room, Behaviour::Idle) }
    }
    /// It only acknowledges the states that it gets.
    pub fn unreading(self) -> Self {
        Self { reads: false, ..self }
    }
    /// How it joins its room.
    pub fn options(&self, crowd: &Crowd) -> Options {
        let mut options = crowd.rooms[self.room].clone();
        options.session.applies_states = self.reads;
        options.spectate = self.spectates;
        options
    }
    /// Where it is in its life.
    pub fn life(&self) -> Life {
        self.life
    }
    /// Its client.
    pub fn core(&self) -> Option<&ClientCore> {
        self.core.as_deref()
    }
    /// Notes every state from now on. What was noted before is forgotten.
    pub fn watch(&mut self) {
        self.watch = Some(Watch::default());
    }
    /// What was noted.
    pub fn watched(&self) -> Option<&Watch> {
        self.watch.as_ref()
    }
    /// The newest tick that is due in its room.
    pub fn due_tick(&self, now: Instant) -> Option<u32> {
        let core = self.core.as_ref()?;
        let welcome = core.welcome()?;
        let since = core.clock().server_time_us(now)? as i64 - welcome.epoch_us;
        let tick = i128::from(since) * i128::from(welcome.tick_rate) / 1_000_000;
        Some(tick.clamp(0, i128::from(u32::MAX)) as u32)
    }
    /// The measured time begins.
    pub fn begin(&mut self, now: Instant) {
        if self.life == Life::Playing {
            self.first_tick = self.due_tick(now);
        }
    }
    /// The measured time ends.
    pub fn finish(&mut self, crowd: &mut Crowd, now: Instant) {
        if self.life == Life::Playing {
            self.close_books(crowd, now);
        }
    }
    /// The last states of the measured time have had their chance to arrive: inputs that none of them
    /// contained count with the time they have waited.
    pub fn give_up(&mut self, crowd: &mut Crowd, now: Instant) {
        while let Some((_, due)) = self.pending.pop_front() {
            if crowd.counts(due) {
                crowd.measure.input.record(now.saturating_duration_since(due));
            }
        }
    }
    /// Gives back the seat.
    pub fn leave(&mut self, crowd: &mut Crowd, now: Instant, out: &mut Frames) {
        let Some(core) = &mut self.core else { return };
        core.leave(now);
        out.push_all(|body, longest| core.poll_transmit_lane(now, body, || longest));
        self.enter(Life::Leaving, crowd);
    }

    /// Does not come back any more, if it is away.
    pub fn stay_away(&mut self, crowd: &mut Crowd) {
        if self.life == Life::Away {
            self.enter(Life::Gone, crowd);
        }
    }
    /// The server shuts down, or is not there again yet. Returns when to connect.
    fn come_back(&mut self, crowd: &mut Crowd, now: Instant, cause: Disconnect) -> Option<Instant> {
        let core = self.core.as_mut()?;
        match cause {
            Disconnect::Dial(error) => core.handle_dial_failed(now, error),
            cause => core.handle_disconnected(now, cause),
        }
        let until = match core.phase() {
            Phase::Waiting { until } => *until,
            Phase::Online | Phase::Ended(_) => return None,
        };
        if *self.patience.get_or_insert(now + BACK) < until {
            return None;
        }
        self.close_books(crowd, now);
        self.give_up(crowd, now);
        self.enter(Life::Away, crowd);
        Some(until)
    }
    /// It is back: measures from here on.
    fn is_back(&mut self, crowd: &mut Crowd, now: Instant, resumed: bool) {
        if !resumed {
            self.order = Order::of(self.order.delivery());
        }
        (self.patience, self.applied_at, self.sight) = (None, None, Sight::default());
        (self.behind, self.moved) = ([true; 2], 0);
        // A spectator has no seat to lose.
        *(if resumed || self.spectates { &mut crowd.resumed } else { &mut crowd.rejoined }) += 1;
        (self.first_tick, self.last_tick) = (None, None);
        if crowd.is_measuring() {
            self.first_tick = self.due_tick(now);
        }
    }

    /// Counts the ticks that were due for this bot, and the gap that is open.
    fn close_books(&mut self, crowd: &mut Crowd, now: Instant) {
        if let (Some(first), None) = (self.first_tick, self.last_tick) {
            let last = self.due_tick(now).unwrap_or(first).max(first);
            self.last_tick = Some(last);
            crowd.measure.counts.due += u64::from(last - first);
            crowd.due_by_room[self.room] += u64::from(last - first);
            if let Some(applied_at) = self.applied_at {
                crowd.measure.gap.record(now.saturating_duration_since(applied_at));
            }
        }
    }
    /// An input that was to be sent at `due` is answered by the first state that contains number `number`.
    fn wait_for(&mut self, crowd: &mut Crowd, number: u32, due: Instant, now: Instant) {
        if self.pending.len() == MAX_PENDING
            && let Some((_, oldest)) = self.pending.pop_front()
            && crowd.counts(oldest)
        {
            crowd.measure.input.record(now.saturating_duration_since(oldest));
        }
        self.pending.push_back((number, due));
    }
    fn enter(&mut self, life: Life, crowd: &mut Crowd) {
        crowd.playing -= u64::from(self.life == Life::Playing);
        crowd.playing += u64::from(life == Life::Playing);
        crowd.gone += u64::from(life == Life::Gone && self.life != Life::Gone);
        self.life = life;
    }
    /// Something went wrong: the bot hangs up. (A bot that is leaving and does not hear back, on a bad link,
    /// has lost nothing.)
    fn fail(&mut self, crowd: &mut Crowd, now: Instant, violation: &Violation) -> ControlFlow<End> {
        if self.life != Life::Leaving || !matches!(violation, Violation::Silent(_)) {
            crowd.violations.add(violation);
        }
        self.close_books(crowd, now);
        self.enter(Life::Gone, crowd);
        ControlFlow::Break(End::HungUp)
    }
    fn handle_event(&mut self, crowd: &mut Crowd, now: Instant, event: &Event) -> Result<(), Violation> {
        match *event {
            Event::Welcome(ref welcome) => {
                if welcome.spectating != self.spectates {
                    let what = if self.spectates { "a seat for a spectator" } else { "no seat for a player" };
                    return Err(Violation::Protocol(what.to_owned()));
                }
                if let Some(core) = &self.core {
                    self.behaviour.welcomed(core).map_err(Violation::Protocol)?;
                }
                let was_away = self.life == Life::Away;
                self.enter(Life::Playing, crowd);
                if was_away {
                    self.is_back(crowd, now, welcome.resumed);
                }
                let schema = self.core.as_ref().and_then(|core| core.schema());
                if let (None, Some(schema)) = (&crowd.motion, schema) {
                    crowd.motion = Some(MotionRules::new(&crowd.kind, schema));
                }
            }
            Event::State { tick, input, full, bytes } => {
                let is_newer = self.order.state(tick)?;
                if let Some(core) = self.core.as_ref().filter(|_| self.reads) {
                    self.sight.look(core.session())?;
                }
                if is_newer {
                    self.measure_state(crowd, now, tick, input);
                }
                self.compare(crowd, is_newer, full, bytes)?;
            }
            Event::Game(_)
            | Event::Presence(_)
            | Event::CommandRefused(_)
            | Event::ClockMoved
            | Event::TokenExpires { .. }
            | Event::Topic(_)
            | Event::Published { .. }
            | Event::RolledBack { .. }
            | Event::Disconnected { .. } => {}
        }
        Ok(())
    }
    fn measure_state(&mut self, crowd: &mut Crowd, now: Instant, tick: u32, input: u32) {
        crowd.states += 1;
        let age = self.core.as_ref().and_then(|core| core.age_us(now, tick));
        if let Some(watch) = &mut self.watch {
            watch.arrivals.push(Arrival { at: now, tick, age_us: age.unwrap_or(0), end: watch.received });
        }
        while let Some(&(_, due)) = self.pending.front().filter(|(number, _)| *number <= input) {
            self.pending.pop_front();
            if crowd.counts(due) {
                crowd.measure.input.record(now.saturating_duration_since(due));
            }
        }
        let last = self.applied_at.replace(now);
        if let Some((left_at, was_sent)) = self.left.take() {
            let measure = &mut crowd.measure;
            let gap = if was_sent { &mut measure.moved_gap } else { &mut measure.away };
            gap.record(now.saturating_duration_since(left_at));
        }
        if crowd.is_measuring() && self.first_tick.is_some() {
            let gap = last.map(|last| now.saturating_duration_since(last));
            gap.inspect(|&gap| crowd.measure.gap.record(gap));
            if let Some(interval) = crowd.measure.timeline.at(now) {
                interval.states += 1;
                gap.inspect(|&gap| interval.gap.record(gap));
            }
        }
        if self.is_counted(tick) {
            crowd.measure.counts.states += 1;
            if let Some(age) = age {
                crowd.measure.age.record_us(age);
                if let Some(interval) = crowd.measure.timeline.at(now) {
                    interval.age.record_us(age);
                }
            }
        }
    }
    /// Measures how old what it knows of each zone is, now that it acts on it.
    fn measure_zones(&self, crowd: &mut Crowd, now: Instant) {
        let Some(core) = &self.core else { return };
        let (Some(state), Some(welcome)) = (core.snapshot(), core.welcome()) else { return };
        let Measure { zone_age, near_zone_age, counts, .. } = &mut crowd.measure;
        for (_, content, until) in core.zones() {
            counts.zones += 1;
            counts.zones_behind += u64::from(until < state.tick());
            let Some(age) = core.age_us(now, until) else { continue };
            zone_age.record_us(age);
            if content.tables().first().is_some_and(|table| table.row(welcome.player).is_some()) {
                near_zone_age.record_us(age);
            }
        }
        counts.looks += 1;
    }
    /// Looks at what moved, and counts the bytes it took. `is_newer`: it is no further part of the state.
    fn compare(
        &mut self,
        crowd: &mut Crowd,
        is_newer: bool,
        full: bool,
        bytes: usize,
    ) -> Result<(), Violation> {
        let measuring = crowd.is_measuring();
        if !self.reads {
            return Ok(());
        }
        if measuring {
            crowd.measure.counts.state_messages += 1;
            crowd.measure.counts.state_bytes += bytes as u64;
        }
        let Some(session) = self.core.as_ref().map(|core| core.session()) else { return Ok(()) };
        let (Some(rules), Some(before), Some(after)) =
            (&crowd.motion, session.previous_snapshot(), session.snapshot())
        else {
            return Ok(());
        };
        let motion = rules.compare(before, after, crowd.tick_rate);
        let counted = if is_newer { 0 } else { self.moved };
        self.moved = motion.moved.max(counted);
        if measuring && !full {
            crowd.measure.counts.delta_bytes += bytes as u64;
            crowd.measure.counts.moved += self.moved - counted;
        }
        if is_newer {
            self.behind[0] = self.behind[1];
        }
        self.behind[1] = session.zones().any(|(.., until)| until < after.tick());
        // What was predicted may have been elsewhere.
        motion.jump.filter(|_| self.behind == [false; 2]).map_or(Ok(()), Err)
    }
    fn is_counted(&self, tick: u32) -> bool {
        self.first_tick.is_some_and(|first| tick > first) && self.last_tick.is_none_or(|last| tick <= last)
    }
}

impl Peer for Bot {
    type Shared = Crowd;

    fn opened(&mut self, crowd: &mut Crowd, now: Instant, token: String, out: &mut Frames) {
        let again = |core: &&mut Box<ClientCore>| matches!(core.phase(), Phase::Waiting { .. });
        if let Some(core) = self.core.as_mut().filter(again) {
            self.order.resumed(out.delivery());
            core.set_identity_token(token);
            if core.handle_connected(now, out.delivery()) {
                out.push_all(|body, longest| core.poll_transmit_lane(now, body, || longest));
            }
            return;
        }
        self.enter(Life::Joining, crowd);
        self.order = Order::of(out.delivery());
        let options = self.options(crowd);
        let core = self.core.insert(Box::new(ClientCore::over(now, &options, out.delivery())));
        core.set_identity_token(token);
        out.push_all(|body, longest| core.poll_transmit_lane(now, body, || longest));
    }
    fn message(
        &mut self,
        crowd: &mut Crowd,
        now: Instant,
        message: Bytes,
        frame: usize,
        out: &mut Frames,
    ) -> ControlFlow<End> {
        let Some(core) = &mut self.core else { return ControlFlow::Continue(()) };
        if let Some(watch) = &mut self.watch {
            watch.received += frame as u64;
        }
        if crowd.is_measuring() {
            crowd.measure.counts.messages_down += 1;
            crowd.measure.counts.bytes_down += frame as u64;
        }
        let taken = self.order.message(&message);
        // Before the welcome, no state is applied.
        let reads = self.reads && self.life != Life::Joining;
        let taken = taken.and_then(|()| if reads { self.sight.message(&message) } else { Ok(()) });
        let taken = taken.and_then(|()| Ok(core.handle_message(now, message)?));
        while let Some(event) = self.core.as_mut().and_then(|core| core.poll_event()) {
            if let Err(violation) = self.handle_event(crowd, now, &event) {
                return self.fail(crowd, now, &violation);
            }
        }
        if let Err(violation) = taken {
            return self.fail(crowd, now, &violation);
        }
        if let Some(core) = &mut self.core {
            out.push_all(|body, longest| core.poll_transmit_lane(now, body, || longest));
        }
        ControlFlow::Continue(())
    }
    fn due(&mut self, crowd: &mut Crowd, due: Instant, now: Instant, out: &mut Frames) -> ControlFlow<End> {
        if let Some(core) = &mut self.core
            && core.poll_timeout().is_some_and(|at| at <= now)
            && let Err(silence) = core.handle_timeout(now)
        {
            if crowd.outages && matches!(self.life, Life::Playing | Life::Away) {
                return ControlFlow::Break(End::Closed(1006)); // it may be frozen, or cut off
            }
            return self.fail(crowd, now, &silence.into());
        }
        if self.life == Life::Playing && self.spectates && crowd.counts(due) {
            self.measure_zones(crowd, now);
        } else if self.life == Life::Playing && !self.spectates {
            if crowd.counts(due) {
                crowd.measure.late.record(now.saturating_duration_since(due));
                self.measure_zones(crowd, now);
            }
            // A swarm short of CPU time must not neglect reading in favour of its inputs: an input that is a
            // tick late is skipped, and its latency counts up to the state that contains the next.
            if now.saturating_duration_since(due) * crowd.tick_rate > Duration::from_secs(1) {
                crowd.measure.counts.inputs_left_out += u64::from(crowd.counts(due));
                self.wait_for(crowd, self.last_input + 1, due, now);
                return ControlFlow::Continue(());
            }
            let Some(core) = &mut self.core else { return ControlFlow::Continue(()) };
            let payload = self.behaviour.act(core, &mut crowd.arena);
            if let Ok(number) = core.send_input(payload) {
                self.last_input = number;
                self.wait_for(crowd, number, due, now);
            }
        }
        let Some(core) = &mut self.core else { return ControlFlow::Continue(()) };
        out.push_all(|body, longest| core.poll_transmit_lane(now, body, || longest));
        ControlFlow::Continue(())
    }
    fn ended(&mut self, crowd: &mut Crowd, now: Instant, end: &End) -> Option<Instant> {
        // The goodbye says more than the close that follows it.
        let goodbye = self.core.as_ref().and_then(|core| core.session().closed()).map(|code| code.number());
        let expected = matches!(self.life, Life::Leaving | Life::Gone);
        let violation = match end {
            End::Refused(why) => Violation::Refused(why.clone()),
            End::Closed(code) => Violation::Disconnected(goodbye.unwrap_or(*code)),
            End::Silent => Violation::Disconnected(1006),
            End::Broken(error) => Violation::Protocol(error.to_string()),
            End::Violation(what) => Violation::Protocol(what.clone()),
            End::HungUp => return None,
        };
        let told = match violation {
            Violation::Disconnected(code) => CloseCode::from_number(code),
            _ => None,
        };
        // Whoever still looks for its room goes where it is sent.
        if self.life == Life::Joining && told == Some(CloseCode::Moved) {
            let core = self.core.as_mut()?;
            core.handle_disconnected(now, cause(end));
            if let Phase::Waiting { until } = core.phase() {
                crowd.moved += 1;
                return Some(*until);
            }
        }
        let was_sent = told == Some(CloseCode::Moved);
        let goes = was_sent || told == Some(CloseCode::Draining) || (crowd.outages && is_outage(end));
        if self.life == Life::Away || (self.life == Life::Playing && goes) {
            let was_playing = self.life == Life::Playing;
            if let Some(again) = self.come_back(crowd, now, cause(end)) {
                crowd.moved += u64::from(was_sent);
                if was_playing {
                    self.left = self.applied_at.map(|at| (at, was_sent));
                    if !was_sent {
                        *crowd.disconnects.entry(code_of(&violation)).or_default() += 1;
                    }
                }
                return Some(again);
            }
        }
        if !expected {
            if let Violation::Disconnected(code) = violation {
                *crowd.disconnects.entry(code).or_default() += 1;
            }
            // The connection is gone already: there is nothing to hang up.
            let _ = self.fail(crowd, now, &violation);
        }
        self.enter(Life::Gone, crowd);
        None
    }
    fn node(&self) -> Option<&wire::Moved> {
        self.core.as_ref()?.node()
    }
    fn doubt(&self, crowd: &Crowd) -> Option<Instant> {
        self.core.as_ref().filter(|_| crowd.outages && self.life == Life::Playing)?.poll_doubt()
    }
}

/// Whether the server or the network is at fault, and not what was said.
fn is_outage(end: &End) -> bool {
    matches!(end, End::Closed(_) | End::Silent | End::Refused(_))
}

/// The close code with which a connection has ended; 1006, as browsers say, if there was none.
fn code_of(violation: &Violation) -> u16 {
    if let Violation::Disconnected(code) = violation { *code } else { 1006 }
}

/// The end of a connection, as clients name it.
fn cause(end: &End) -> Disconnect {
    match end {
        End::Silent => ServerError::TimedOut(Duration::ZERO).into(),
        End::Closed(1006) | End::HungUp => Closed::Lost("closed".to_owned()).into(),
        End::Closed(code) => Closed::ByPeer { code: *code, reason: String::new() }.into(),
        End::Refused(why) => {
            DialError::Unreachable { address: "the server".to_owned(), reason: why.clone() }.into()
        }
        End::Broken(error) => Closed::Violation(error.to_string()).into(),
        End::Violation(what) => Closed::Violation(what.clone()).into(),
    }
}
