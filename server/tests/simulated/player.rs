//! An honest player: the Rust client's core, unchanged, and what it must never be told.

use super::{
    game::{Count, Counted, KIND, REFUSED, Stand},
    network::{Conditions, Link, Parcel, Time},
    story::{Play, Setting},
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
/// How long a client waits for an answer to its dial.
const DIAL: Duration = Duration::from_secs(5);
/// Time between an attempt that brought no client and the next.
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes of a datagram: what QUIC guarantees.
pub const DATAGRAM: usize = 1162;
/// Longest wait between two attempts to connect.
const BACKOFF: Duration = Duration::from_secs(2);
/// How long clients take to come back.
const SLACK: Duration = Duration::from_secs(8);
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
    /// When the client learns that nobody is there any more.
    pub reset_at: Option<Time>,
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
    /// Until then its seat may be lost: the room was closed, the server died, an operator removed it.
    pub loss_until: Time,
    /// Until then the server may say that it stops.
    pub stop_until: Time,
    /// An operator has removed it.
    pub kicked: bool,
    /// When the server stood still or was not there.
    stops: Vec<(Time, Time)>,
    /// When the last state came, or a welcome.
    heard: Time,
    /// How long the server keeps its seat for it.
    patience: Duration,
    /// When its newest state came.
    state_at: Time,
    /// Since then nothing has happened to it.
    calm_since: Time,
    /// Its seat is gone, as it was told.
    rejoins: bool,
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
    /// Its commands under way: by the number that the core gave, what was counted to, and
    /// since when.
    waiting: BTreeMap<u64, (u64, Time)>,
    /// Commands that were carried out; the core need not know that yet.
    done: BTreeSet<u64>,
}

impl Player {
    pub fn new(number: usize, setting: &Setting) -> Self {
        // A seat for which too much waits ends earlier.
        let window = if setting.reliable_messages < 512 { 1_000 } else { setting.window - 500 };
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
            loss_until: Time::ZERO,
            stop_until: Time::ZERO,
            kicked: false,
            stops: Vec::new(),
            heard: Time::ZERO,
            patience: Duration::from_millis(window.into()),
            state_at: Time::ZERO,
            calm_since: Time::ZERO,
            rejoins: false,
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
        let mut options = Options::new("ws://nowhere", ROOM)
            .kind(setting.play.kind())
            .name(format!("player {}", self.number));
        options.seed = Some(self.number as u64);
        options.backoff = Backoff::new(Duration::from_millis(200), BACKOFF);
        options.session.timeout = Duration::from_millis(setting.timeout.into());
        options.session.ping_interval = Duration::from_millis(u64::from(setting.timeout) / 4);
        options
    }

    /// Its network has changed.
    pub fn moved(&mut self, now: Time, network: Conditions) {
        (self.network, self.calm_since) = (network, now);
    }

    /// It may be lost from now on, for this long and until all has noticed.
    pub fn troubled(&mut self, now: Time, lasts: Duration, setting: &Setting) {
        let slack = 2 * Duration::from_millis(setting.timeout.into()) + GRACE;
        self.trouble_until = self.trouble_until.max(now + lasts + slack);
        if lasts >= self.patience {
            self.may_lose_its_seat(now, lasts);
        }
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

    /// Commands from before that time of which it does not know yet what became.
    pub fn waits_for(&self, before: Time) -> usize {
        self.told.waiting.values().filter(|(_, since)| *since < before).count()
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
        self.kicked = false;
        self.rejoins = false;
        (self.core, self.line, self.told, self.seats) = (None, None, Told::default(), 0);
        (self.delivery, self.network) = (delivery, network);
        (self.next_dial, self.next_input, self.next_command) = (now, now, now);
    }

    /// The server does not answer for this long.
    pub fn unanswered(&mut self, now: Time, lasts: Duration) {
        self.stops.push((now, now + lasts));
        let excuses = [
            &mut self.trouble_until,
            &mut self.slow_until,
            &mut self.silence_until,
            &mut self.loss_until,
            &mut self.stop_until,
        ];
        for until in excuses.into_iter().filter(|until| **until > now) {
            *until += lasts;
        }
        self.silence_until = self.silence_until.max(now + 2 * lasts + SLACK);
    }

    /// Its seat may be lost from now on.
    pub fn may_lose_its_seat(&mut self, now: Time, lasts: Duration) {
        self.loss_until = self.loss_until.max(now + 2 * lasts + SLACK);
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
            line.reset_at.into_iter().for_each(&mut at);
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
            self.act(now, setting, dice);
            self.transmit(at, now, line, dice);
            self.read(at, now, line, dice)?;
            self.look_at_clock(at, now, line, dice)?;
            self.transmit(at, now, line, dice);
            if !line.at_client {
                self.line = None;
            }
        }
        self.hear(at, now)?;
        self.is_served(now, setting)
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
            Some(line) if line.reset_at.is_some_and(|reset| reset <= now) => {
                line.at_client = false;
                if line.is_open {
                    self.lose(at, "reset");
                } else {
                    self.fail_to_dial(at, now);
                }
            }
            Some(line) if line.is_open => {}
            Some(line) if self.core.is_none() && !self.is_in => {
                // It has left before it was there.
                line.hang_up(now, self.network, self.dark_until, dice);
                self.line = None;
            }
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
                    let line = Line::knock(self.number, self.delivery, now, arrives);
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
    fn act(&mut self, now: Time, setting: &Setting, dice: &mut Rng) {
        let Some(core) = self.core.as_mut().filter(|core| core.session().is_active()) else { return };
        if self.next_input <= now {
            self.next_input = now + Duration::from_secs(1) / setting.tick_rate;
            self.x += 1;
            let _ = core.send_input(Stand { x: self.x }.encode_to_vec().into());
            if self.next_command <= now {
                self.next_command = now + Duration::from_millis(dice.u64(100..1_000));
                self.hurry(now, setting.play, 1);
            }
        }
    }

    /// Asks for so much at once.
    pub fn hurry(&mut self, now: Time, play: Play, commands: u32) {
        // What the arena is asked for is something else.
        if play == Play::Arena {
            return;
        }
        let Some(core) = self.core.as_mut().filter(|core| core.session().is_active()) else { return };
        for _ in 0..commands {
            self.n += 1;
            if let Ok(number) = core.send_command(Count { n: self.n }.encode_to_vec().into()) {
                self.told.waiting.insert(number, (self.n, now));
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

    fn read(&mut self, at: Instant, now: Time, line: &mut Line, dice: &mut Rng) -> Kept {
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
                    let heard = std::mem::replace(&mut self.heard, now);
                    let mine = self.told.player;
                    let told = std::mem::take(&mut self.rejoins) || self.seats == 0;
                    keep(9, welcome.resumed || told, || {
                        format!("player {} lost its seat {mine}, and nobody told it", self.number)
                    })?;
                    if welcome.resumed {
                        keep(5, mine == welcome.player, || {
                            format!("player {} resumed seat {mine} as {}", self.number, welcome.player)
                        })?;
                    } else {
                        let Told { mut waiting, mut done, .. } = std::mem::take(&mut self.told);
                        // A pong may have confirmed these, and what came of them was lost with the seat.
                        let round_trip = Duration::from_millis(2 * u64::from(self.network.delay));
                        let sure = |since: Time| since + round_trip > heard;
                        done.extend(
                            waiting.iter().filter(|(_, (_, at))| !sure(*at)).map(|(number, _)| *number),
                        );
                        waiting.retain(|_, (_, at)| sure(*at));
                        self.told = Told { player: welcome.player, waiting, done, ..Told::default() };
                        self.seats += 1;
                    }
                }
                Event::State { tick, .. } => self.saw(tick, now)?,
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
                Event::Presence(_)
                | Event::ClockMoved
                | Event::TokenExpires { .. }
                | Event::RolledBack { .. } => {}
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

    /// Promise 4: nobody else delays what it gets. (A while after anything has happened to it.)
    fn is_served(&mut self, now: Time, setting: &Setting) -> Kept {
        let quiet = [self.trouble_until, self.silence_until, self.loss_until, self.stop_until];
        if quiet.into_iter().any(|until| now <= until) || !self.is_online() {
            self.calm_since = now;
            return Ok(());
        }
        let travel = u64::from(self.network.delay + self.network.jitter);
        // Where states and acknowledgements are lost, one may wait for some of the next.
        let again = if self.network.loss > 0 { 3_000 } else { 0 };
        let most =
            Duration::from_millis(1_000 + again + 4 * travel) + Duration::from_secs(4) / setting.tick_rate;
        let waits = now - self.state_at.max(self.calm_since);
        keep(4, waits <= most, || format!("player {} has had no state for {waits:?}", self.number))
    }

    fn saw(&mut self, tick: u32, now: Time) -> Kept {
        (self.state_at, self.heard) = (now, now);
        let Some(core) = &self.core else { return Ok(()) };
        let before = std::mem::replace(&mut self.told.tick, tick);
        let again = tick == before && self.delivery == Delivery::Datagram;
        keep(2, tick > before || again, || format!("player {}: state {tick} after {before}", self.number))?;
        if core.welcome().is_none_or(|welcome| welcome.kind != KIND) {
            return Ok(());
        }
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
        if self.core.as_ref().and_then(|core| core.welcome()).is_none_or(|welcome| welcome.kind != KIND) {
            return Ok(());
        }
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
            let known =
                self.told.waiting.iter().find(|(_, (waits, _))| *waits == n).map(|(number, _)| *number);
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
        let heard = self.heard;
        let stood = |(from, until): &(Time, Time)| now.min(*until).saturating_sub(heard.max(*from));
        let silent = (now - heard).saturating_sub(self.stops.iter().map(stood).sum());
        if let Some(CloseCode::UnknownSession | CloseCode::RoomClosed) = cause.close_code() {
            self.rejoins = true;
        }
        let fair = match cause {
            Disconnect::Left => !self.is_in,
            Disconnect::Transport(Closed::Lost(_)) | Disconnect::Dial(_) => true,
            Disconnect::Server(ServerError::TimedOut(_)) => troubled || now <= self.silence_until,
            other => match other.close_code() {
                Some(CloseCode::Left) => !self.is_in,
                Some(CloseCode::TimedOut | CloseCode::HandshakeTimeout) => troubled,
                Some(CloseCode::UnknownSession) => {
                    // Clients wait longer between two attempts than the next server for them.
                    let late = self.patience < 2 * BACKOFF && now <= self.stop_until;
                    late || silent >= self.patience || now <= self.loss_until
                }
                Some(CloseCode::RoomClosed) => now <= self.loss_until,
                Some(CloseCode::Draining) => now <= self.stop_until,
                Some(CloseCode::Kicked) => self.kicked,
                Some(CloseCode::SlowConsumer) => now <= self.slow_until,
                _ => false,
            },
        };
        let number = self.number;
        keep(9, fair, || format!("player {number} lost its connection, unheard for {silent:?}: {cause}"))
    }
}

impl Line {
    /// A client knocks, and is heard at this time.
    pub fn knock(player: usize, delivery: Delivery, now: Time, knocks_at: Time) -> Self {
        Self {
            player,
            delivery,
            up: Link::default(),
            down: Link::default(),
            knocks_at,
            answered_at: None,
            gives_up_at: now + DIAL,
            at_client: true,
            at_server: false,
            is_open: false,
            reset_at: None,
        }
    }

    /// The client ends it.
    pub fn hang_up(&mut self, now: Time, on: Conditions, dark: Time, dice: &mut Rng) {
        self.at_client = false;
        self.up.send(now, on, dark, dice, Parcel::Close(None));
    }
}
