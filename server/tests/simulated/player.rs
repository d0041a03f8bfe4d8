//! An honest player: the Rust client's core, unchanged, and what it must never be told.

use super::{
    game::{Count, Counted, KIND, REFUSED, Stand},
    network::{Conditions, Link, Parcel, Time},
    story::Setting,
};
use bytes::BytesMut;
use driftless_client::{
    Backoff, ClientCore, Disconnect, Event, Options, Phase, ServerError,
    transport::{Closed, DialError},
};
use driftless_proto::{code::CloseCode, lane::Lane, session::Delivery};
use driftless_sim::prost::Message as _;
use fastrand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// The room that everybody plays in.
pub const ROOM: &str = "hall";
/// Time between two inputs.
const INPUT: Duration = Duration::from_millis(50);
/// How long a client waits for an answer to its dial.
const DIAL: Duration = Duration::from_secs(5);
/// Time between an attempt that brought no client and the next.
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes of a datagram: what QUIC guarantees.
pub const DATAGRAM: usize = 1162;
/// How long after its trouble a player may still lose the connection because of it, and come back.
const GRACE: Duration = Duration::from_secs(2);

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Number of the promise.
    pub promise: u32,
    pub what: String,
}

pub type Kept = Result<(), Broken>;

pub fn keep(promise: u32, kept: bool, what: impl FnOnce() -> String) -> Kept {
    if kept { Ok(()) } else { Err(Broken { promise, what: what() }) }
}

/// A connection between a player and the server.
#[derive(Debug)]
pub struct Line {
    pub player: usize,
    pub delivery: Delivery,
    pub up: Link,
    pub down: Link,
    /// When the client's first packet reaches the server.
    pub knocks_at: Time,
    /// When the client knows that it was accepted. None: it was not yet.
    pub answered_at: Option<Time>,
    /// When the client gives up.
    gives_up_at: Time,
    /// The client's end exists; the server's.
    pub at_client: bool,
    pub at_server: bool,
    is_open: bool,
}

/// A player, who may come and go.
pub struct Player {
    pub number: usize,
    pub network: Conditions,
    pub delivery: Delivery,
    pub core: Option<ClientCore>,
    /// The current connection.
    pub line: Option<u64>,
    /// It plays, or wants to.
    pub is_in: bool,
    pub dark_until: Time,
    pub frozen_until: Time,
    pub deaf_until: Time,
    /// How long its clock stood still.
    slept: Duration,
    /// It sleeps, or has slept since it last did something.
    nap: Option<(Time, Time)>,
    /// Until then it may lose its connection, its seat included.
    pub trouble_until: Time,
    /// Until then it may be a slow consumer.
    pub slow_until: Time,
    /// Until then the server may be silent.
    pub silence_until: Time,
    next_input: Time,
    next_command: Time,
    next_dial: Time,
    /// The deadline of the core that was handled last.
    handled: Option<Instant>,
    x: i32,
    n: u64,
    told: Told,
    /// Seats that its present core has had.
    seats: u32,
    out: BytesMut,
}

/// What a player was told in its present seat.
#[derive(Debug, Default)]
struct Told {
    player: u32,
    /// The newest state.
    tick: u32,
    /// Serial of the last private event, and of the last one for all.
    private: u64,
    all: Option<u64>,
    /// Its commands under way: by the number that the core gave, what was counted to.
    waiting: BTreeMap<u64, u64>,
    /// Commands that were carried out; the core need not know that yet.
    done: BTreeSet<u64>,
}

impl Player {
    pub fn new(number: usize) -> Self {
        Self {
            number,
            network: Conditions { delay: 1, jitter: 0, loss: 0, twice: 0 },
            delivery: Delivery::Ordered,
            core: None,
            line: None,
            is_in: false,
            dark_until: Time::ZERO,
            frozen_until: Time::ZERO,
            deaf_until: Time::ZERO,
            slept: Duration::ZERO,
            nap: None,
            trouble_until: Time::ZERO,
            slow_until: Time::ZERO,
            silence_until: Time::ZERO,
            next_input: Time::ZERO,
            next_command: Time::ZERO,
            next_dial: Time::ZERO,
            handled: None,
            x: 0,
            n: 0,
            told: Told::default(),
            seats: 0,
            out: BytesMut::new(),
        }
    }

    fn options(&self, setting: &Setting) -> Options {
        let mut options =
            Options::new("ws://nowhere", ROOM).kind(KIND).name(format!("player {}", self.number));
        options.seed = Some(self.number as u64);
        options.backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
        options.session.timeout = Duration::from_millis(setting.timeout.into());
        options.session.ping_interval = Duration::from_millis(u64::from(setting.timeout) / 4);
        options
    }

    /// It may be lost from now on, for this long and until all has noticed.
    pub fn troubled(&mut self, now: Time, lasts: Duration, setting: &Setting) {
        let slack = 2 * Duration::from_millis(setting.timeout.into()) + GRACE;
        self.trouble_until = self.trouble_until.max(now + lasts + slack);
        if lasts >= Duration::from_millis(u64::from(setting.timeout) * 3 / 4) {
            self.slow_until = self.slow_until.max(now + lasts + slack);
        }
    }

    /// The number of the player's seat.
    pub fn seat(&self) -> Option<u32> {
        self.core.as_ref()?.welcome().map(|welcome| welcome.player)
    }

    /// Whether it is in the room, as far as it knows.
    pub fn is_online(&self) -> bool {
        self.core.as_ref().is_some_and(|core| *core.phase() == Phase::Online && core.snapshot().is_some())
    }

    /// Commands of which it does not know yet what became.
    pub fn waits_for(&self) -> usize {
        self.told.waiting.len()
    }

    /// The newest state's tick.
    pub fn tick(&self) -> u32 {
        self.told.tick
    }

    /// It plays from now on.
    pub fn come(&mut self, now: Time, delivery: Delivery, network: Conditions) {
        if self.is_in {
            return;
        }
        self.is_in = true;
        (self.core, self.line, self.told, self.seats) = (None, None, Told::default(), 0);
        (self.delivery, self.network) = (delivery, network);
        (self.next_dial, self.next_input, self.next_command) = (now, now, now);
    }

    /// It gives up its seat.
    pub fn leave(&mut self, now: Instant) {
        self.is_in = false;
        if let Some(core) = &mut self.core {
            core.leave(now);
        }
    }

    /// What its clock shows.
    pub fn at(&self, origin: Instant, now: Time) -> Instant {
        let napped = self.nap.map_or(Duration::ZERO, |(since, until)| now.min(until) - since);
        origin + now - self.slept - napped
    }

    /// Its process stands still; `asleep`: its clock too.
    pub fn freeze(&mut self, now: Time, until: Time, asleep: bool) {
        // A process that stands still already is not stopped again.
        if self.frozen_until <= now {
            self.frozen_until = until;
            self.wake();
            self.nap = asleep.then_some((now, until));
        }
    }

    fn wake(&mut self) {
        if let Some((since, until)) = self.nap.take() {
            self.slept += until - since;
        }
    }

    /// When it has something to do next.
    pub fn next(&self, origin: Instant, now: Time, lines: &BTreeMap<u64, Line>) -> Time {
        let soon = now + Duration::from_millis(100);
        if now < self.frozen_until {
            return self.frozen_until;
        }
        let mut next = soon;
        let mut at = |time: Time| next = next.min(time.max(now + Duration::from_millis(1)));
        if let Some(line) = self.line.and_then(|line| lines.get(&line)) {
            if !line.is_open {
                at(line.answered_at.unwrap_or(line.gives_up_at));
            } else if let Some(arrives) = line.down.next() {
                at(arrives.max(self.deaf_until));
            }
        } else if self.is_in && self.core.is_none() {
            at(self.next_dial);
        }
        if let Some(core) = &self.core {
            if let Some(due) = core.poll_timeout().filter(|due| self.handled != Some(*due)) {
                at(due.saturating_duration_since(origin) + self.slept);
            }
            if core.session().is_active() {
                at(self.next_input);
            }
        }
        next
    }

    /// Does what there is to do.
    pub fn play(
        &mut self,
        origin: Instant,
        now: Time,
        setting: &Setting,
        lines: &mut BTreeMap<u64, Line>,
        next_line: &mut u64,
        dice: &mut Rng,
    ) -> Kept {
        if now < self.frozen_until {
            return Ok(());
        }
        self.wake();
        let at = self.at(origin, now);
        self.dial(at, now, setting, lines, next_line, dice);
        if let Some(line) = self.line.and_then(|line| lines.get_mut(&line))
            && line.is_open
        {
            self.act(at, now, dice);
            self.transmit(at, now, line, dice);
            self.read(at, now, setting, line, dice)?;
            self.look_at_clock(at, now, line, dice)?;
            self.transmit(at, now, line, dice);
            if !line.at_client {
                self.line = None;
            }
        }
        self.hear(at, now)
    }

    fn dial(
        &mut self,
        at: Instant,
        now: Time,
        setting: &Setting,
        lines: &mut BTreeMap<u64, Line>,
        next_line: &mut u64,
        dice: &mut Rng,
    ) {
        match self.line.and_then(|line| lines.get_mut(&line)) {
            Some(line) if line.is_open => {}
            Some(line) if line.answered_at.is_some_and(|answered| answered <= now) => {
                line.is_open = true;
                match &mut self.core {
                    None => self.core = Some(ClientCore::over(at, &self.options(setting), line.delivery)),
                    Some(core) => {
                        if !core.handle_connected(at, line.delivery) {
                            line.hang_up(now, self.network, self.dark_until, dice);
                            self.line = None;
                        }
                    }
                }
            }
            Some(line) if line.gives_up_at <= now => {
                line.hang_up(now, self.network, self.dark_until, dice);
                self.fail_to_dial(at, now);
            }
            Some(_) => {}
            None => {
                let wants = match &self.core {
                    None => self.is_in && self.next_dial <= now,
                    Some(core) => matches!(core.phase(), Phase::Waiting { until } if *until <= at),
                };
                if wants {
                    let arrives = now.max(self.dark_until) + self.network.travel(dice);
                    let line = Line {
                        player: self.number,
                        delivery: self.delivery,
                        up: Link::default(),
                        down: Link::default(),
                        knocks_at: arrives,
                        answered_at: None,
                        gives_up_at: now + DIAL,
                        at_client: true,
                        at_server: false,
                        is_open: false,
                    };
                    *next_line += 1;
                    self.line = Some(*next_line);
                    lines.insert(*next_line, line);
                }
            }
        }
    }

    /// The dial of the current line has failed.
    pub fn fail_to_dial(&mut self, at: Instant, now: Time) {
        self.line = None;
        self.next_dial = now + AGAIN;
        if let Some(core) = &mut self.core {
            core.handle_dial_failed(at, DialError::TimedOut { address: "nowhere".into(), after: DIAL });
        }
    }

    /// The connection is lost, and the client knows it.
    pub fn lose(&mut self, at: Instant, why: &str) {
        self.line = None;
        if let Some(core) = &mut self.core {
            core.handle_disconnected(at, Closed::Lost(why.to_owned()).into());
        }
    }

    /// Its game: an input now and then, and commands.
    fn act(&mut self, at: Instant, now: Time, dice: &mut Rng) {
        let Some(core) = self.core.as_mut().filter(|core| core.session().is_active()) else { return };
        if self.next_input <= now {
            self.next_input = now + INPUT;
            self.x += 1;
            let _ = core.send_input(Stand { x: self.x }.encode_to_vec().into());
            if self.next_command <= now {
                self.next_command = now + Duration::from_millis(dice.u64(100..1_000));
                self.hurry(1);
            }
        }
        let _ = at;
    }

    /// Asks for so much at once.
    pub fn hurry(&mut self, commands: u32) {
        let Some(core) = self.core.as_mut().filter(|core| core.session().is_active()) else { return };
        for _ in 0..commands {
            self.n += 1;
            if let Ok(number) = core.send_command(Count { n: self.n }.encode_to_vec().into()) {
                self.told.waiting.insert(number, self.n);
            }
        }
    }

    fn transmit(&mut self, at: Instant, now: Time, line: &mut Line, dice: &mut Rng) {
        let Some(core) = &mut self.core else { return };
        while line.at_client && line.up.has_room() {
            let datagram = || if line.delivery == Delivery::Ordered { usize::MAX } else { DATAGRAM };
            let Some(lane) = core.poll_transmit_lane(at, &mut self.out, datagram) else { break };
            let message = self.out.split().freeze();
            if !line.at_server {
                continue; // nobody is there any more
            }
            match (line.delivery, lane) {
                (Delivery::Datagram, Lane::Unreliable) => {
                    line.up.throw(now, self.network, self.dark_until, dice, message);
                }
                _ => line.up.send(now, self.network, self.dark_until, dice, Parcel::Message(message)),
            }
        }
    }

    fn read(&mut self, at: Instant, now: Time, setting: &Setting, line: &mut Line, dice: &mut Rng) -> Kept {
        if now < self.deaf_until {
            return Ok(());
        }
        while line.at_client
            && let Some(parcel) = line.down.receive(now)
        {
            let Some(core) = &mut self.core else { return Ok(()) };
            match parcel {
                Parcel::Message(message) => {
                    if let Err(error) = core.handle_message(at, message) {
                        // Nobody lies to this client: whatever it finds wrong is the server's fault.
                        return Err(Broken { promise: 2, what: format!("player {}: {error}", self.number) });
                    }
                    self.hear(at, now)?;
                }
                Parcel::Close(why) => {
                    let (code, reason) = why.unwrap_or((1005, String::new()));
                    core.handle_disconnected(at, Closed::ByPeer { code, reason }.into());
                    line.hang_up(now, self.network, self.dark_until, dice);
                }
            }
        }
        let _ = setting;
        Ok(())
    }

    fn look_at_clock(&mut self, at: Instant, now: Time, line: &mut Line, dice: &mut Rng) -> Kept {
        let Some(core) = &mut self.core else { return Ok(()) };
        let due = core.poll_timeout();
        if *core.phase() != Phase::Online || due.is_none_or(|due| due > at) || self.handled == due {
            return Ok(());
        }
        self.handled = due;
        match core.handle_timeout(at) {
            Ok(()) => Ok(()),
            Err(error @ ServerError::TimedOut(_)) => {
                core.handle_disconnected(at, error.into());
                line.hang_up(now, self.network, self.dark_until, dice);
                Ok(())
            }
            Err(error) => Err(Broken { promise: 2, what: format!("player {}: {error}", self.number) }),
        }
    }

    /// Takes in what the core reports.
    pub fn hear(&mut self, _at: Instant, now: Time) -> Kept {
        while let Some(event) = self.core.as_mut().and_then(ClientCore::poll_event) {
            match event {
                Event::Welcome(welcome) => {
                    let mine = self.told.player;
                    if welcome.resumed {
                        keep(5, mine == welcome.player, || {
                            format!("player {} resumed seat {mine} as {}", self.number, welcome.player)
                        })?;
                    } else {
                        let Told { waiting, done, .. } = std::mem::take(&mut self.told);
                        self.told = Told { player: welcome.player, waiting, done, ..Told::default() };
                        self.seats += 1;
                    }
                }
                Event::State { tick, .. } => self.saw(tick)?,
                Event::Game(event) => self.counted(&event.payload)?,
                Event::CommandRefused(refused) => {
                    let known = self.told.waiting.remove(&refused.command).is_some();
                    // Carried out, but the seat was lost before the client knew.
                    let unsure = self.seats > 1 && self.told.done.remove(&refused.command);
                    keep(3, known || unsure, || {
                        format!(
                            "player {}: command {} was refused, but not under way",
                            self.number, refused.command
                        )
                    })?;
                }
                Event::Disconnected { cause, .. } => self.lost(&cause, now)?,
                Event::Presence(_) | Event::ClockMoved | Event::TokenExpires { .. } => {}
            }
        }
        if let Some(core) = &self.core
            && let Phase::Ended(error) = core.phase()
        {
            let driftless_client::Error::Ended(cause) = error.clone() else {
                return keep(9, false, || format!("player {}: {error}", self.number));
            };
            if self.is_in {
                self.lost(&cause, now)?;
                // Its first connection was lost before the welcome: a game tries that again.
                self.is_in = self.seats == 0 && cause.may_reconnect();
            }
            (self.core, self.line, self.next_dial) = (None, None, now + AGAIN);
        }
        Ok(())
    }

    fn saw(&mut self, tick: u32) -> Kept {
        let Some(core) = &self.core else { return Ok(()) };
        let before = std::mem::replace(&mut self.told.tick, tick);
        let again = tick == before && self.delivery == Delivery::Datagram;
        keep(2, tick > before || again, || format!("player {}: state {tick} after {before}", self.number))?;
        for (zone, content, tick) in core.zones() {
            let rows = content.tables().get(1);
            let clocks = rows.map(|rows| rows.column(0)).unwrap_or_default();
            keep(2, clocks.iter().all(|clock| *clock == tick as i32), || {
                format!("player {}: zone {zone} of tick {tick} shows {clocks:?}", self.number)
            })?;
        }
        let Some(all) = core.session().content(0) else { return Ok(()) };
        let clocks = all.tables().first().map(|rows| rows.column(0)).unwrap_or_default();
        keep(2, clocks.iter().all(|clock| *clock == tick as i32), || {
            format!("player {}: the state of tick {tick} shows {clocks:?}", self.number)
        })
    }

    fn counted(&mut self, payload: &[u8]) -> Kept {
        let number = self.number;
        let Ok(counted) = Counted::decode(payload) else {
            return Err(Broken { promise: 3, what: format!("player {number}: an event that nobody sent") });
        };
        let Counted { serial, private, player, n } = counted;
        let before = if private { Some(self.told.private) } else { self.told.all };
        keep(3, before.is_none_or(|before| serial == before + 1), || {
            format!("player {number}: event {serial} after {before:?} (private: {private})")
        })?;
        if private {
            self.told.private = serial;
        } else {
            self.told.all = Some(serial);
        }
        if private {
            let known = self.told.waiting.iter().find(|(_, waits)| **waits == n).map(|(number, _)| *number);
            keep(3, player == self.told.player && known.is_some(), || {
                format!("player {number}: counted to {n}, which is not under way")
            })?;
            keep(3, !n.is_multiple_of(REFUSED), || format!("player {number}: {n} was not refused"))?;
            self.told.waiting.remove(&known.unwrap_or_default());
            self.told.done.extend(known);
        }
        Ok(())
    }

    /// The connection is lost: was that anybody's fault but the network's?
    fn lost(&mut self, cause: &Disconnect, now: Time) -> Kept {
        let troubled = now <= self.trouble_until;
        let fair = match cause {
            Disconnect::Left => !self.is_in,
            Disconnect::Transport(Closed::Lost(_)) | Disconnect::Dial(_) => true,
            Disconnect::Server(ServerError::TimedOut(_)) => troubled || now <= self.silence_until,
            other => match other.close_code() {
                Some(CloseCode::Left) => !self.is_in,
                Some(CloseCode::TimedOut | CloseCode::UnknownSession | CloseCode::HandshakeTimeout) => {
                    troubled
                }
                Some(CloseCode::SlowConsumer) => now <= self.slow_until,
                _ => false,
            },
        };
        keep(9, fair, || format!("player {} lost its connection: {cause}", self.number))
    }
}

impl Line {
    /// The client ends it.
    pub fn hang_up(&mut self, now: Time, on: Conditions, dark: Time, dice: &mut Rng) {
        self.at_client = false;
        self.up.send(now, on, dark, dice, Parcel::Close(None));
    }
}
