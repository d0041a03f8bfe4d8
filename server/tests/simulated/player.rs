//! An honest player: the Rust client's core, unchanged.

use super::{
    excuses::{BACKOFF, Excuses},
    game::{Count, KIND, Stand},
    line::{DIAL, Line},
    network::{Conditions, Parcel, Time},
    promise::{Broken, Kept, keep},
    store::Loss,
    story::{Play, Setting},
    told::Told,
};
use bytes::BytesMut;
use driftless_client::{
    Backoff, ClientCore, Disconnect, Event, Options, Phase, ServerError,
    transport::{Closed, DialError},
};
use driftless_proto::{code::CloseCode, lane::Lane, session::Delivery, wire};
use driftless_sim::prost::Message as _;
use fastrand::Rng;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Who a player is.
pub fn user(number: usize) -> String {
    format!("user-{number}")
}

/// A token of this time: who shows it, and until when it is valid, if not for ever.
fn token(number: usize, setting: &Setting, today: Duration) -> String {
    match setting {
        Setting { tokens: false, .. } => String::new(),
        Setting { token_lifetime: 0, .. } => user(number),
        Setting { token_lifetime, .. } => {
            format!("{} {}", user(number), today.as_millis() + u128::from(*token_lifetime))
        }
    }
}

/// The room that everybody plays in.
pub const ROOM: &str = "hall";
/// Why a command is refused when all have too much to hear.
const TOO_MUCH: &str = "the room already has too much to send";
/// How long after it was told of a loss the next server knows what it has.
const SETTLED: Duration = Duration::from_secs(2);
/// Time between an attempt that brought no client and the next.
const AGAIN: Duration = Duration::from_secs(1);
/// Shortest time after which a state is given up that nothing else is sent after.
const PROBE: Duration = Duration::from_millis(250);
/// How late something is that had to be sent again where nothing is lost, both ways.
const ONE_LATE: Duration = Duration::from_millis(500);
/// Bytes of a datagram: what QUIC guarantees.
pub const DATAGRAM: usize = 1162;
/// A player, who may come and go.
pub struct Player {
    pub number: usize,
    pub network: Conditions,
    pub delivery: Delivery,
    pub core: Option<ClientCore>,
    /// The current connection.
    pub line: Option<u64>,
    /// It plays or watches, or wants to.
    pub is_in: bool,
    /// It only watches.
    pub spectates: bool,
    /// How many addresses it has had before.
    pub moves: u8,
    /// When its access was revoked.
    pub revoked_at: Option<Time>,
    /// What the clock shows of whoever makes its tokens.
    pub today: Duration,
    /// Until when the newest token is valid that it has shown.
    pub valid_until: Option<Time>,
    pub dark_until: Time,
    pub frozen_until: Time,
    pub deaf_until: Time,
    /// How long its clock stood still.
    slept: Duration,
    /// It sleeps, or has slept since it last did something.
    nap: Option<(Time, Time)>,
    pub excuses: Excuses,
    /// When the last state came, or a welcome.
    heard: Time,
    /// When the last message came.
    received: Time,
    /// When its newest state came, and how many datagrams were lost up to then, up and down.
    state_at: Time,
    lost_before: (u32, u32),
    /// When it came to know of its seat.
    pub seated_at: Time,
    /// When the server knows again what it has.
    settled_at: Time,
    /// Since then nothing has happened to it.
    calm_since: Time,
    /// Its seat is gone, as it was told.
    rejoins: bool,
    /// It was asked for a fresh token.
    wants_token: bool,
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

impl Player {
    pub fn new(number: usize, setting: &Setting) -> Self {
        Self {
            number,
            network: Conditions { delay: 1, jitter: 0, loss: 0, twice: 0 },
            delivery: Delivery::Ordered,
            core: None,
            line: None,
            is_in: false,
            spectates: false,
            moves: 0,
            revoked_at: None,
            today: Duration::ZERO,
            valid_until: None,
            dark_until: Time::ZERO,
            frozen_until: Time::ZERO,
            deaf_until: Time::ZERO,
            slept: Duration::ZERO,
            nap: None,
            excuses: Excuses::new(setting, number % 4 == 3),
            heard: Time::ZERO,
            received: Time::ZERO,
            state_at: Time::ZERO,
            lost_before: (0, 0),
            seated_at: Time::ZERO,
            settled_at: Time::ZERO,
            calm_since: Time::ZERO,
            rejoins: false,
            wants_token: false,
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
        options.spectate = self.spectates;
        options.backoff = Backoff::new(Duration::from_millis(200), BACKOFF);
        options.session.timeout = Duration::from_millis(setting.client_timeout.into());
        options.session.ping_interval = Duration::from_millis(u64::from(setting.timeout) / 4);
        options
    }

    /// It has another address, and perhaps another transport.
    pub fn move_to(&mut self, delivery: Delivery, network: Conditions) {
        (self.delivery, self.network) = (delivery, network);
        self.moves = self.moves.wrapping_add(1);
    }

    /// Its network has changed.
    pub fn moved(&mut self, now: Time, network: Conditions) {
        (self.network, self.calm_since) = (network, now);
    }

    /// The number of the player's seat, if it knows which it has.
    pub fn seat(&self) -> Option<u32> {
        let welcome = self.core.as_ref()?.welcome().filter(|_| !self.rejoins)?;
        Some(welcome.player)
    }

    /// Whether it is in the room, as far as it knows.
    pub fn is_online(&self) -> bool {
        self.core.as_ref().is_some_and(|core| *core.phase() == Phase::Online && core.snapshot().is_some())
    }

    /// Commands from before that time of which it does not know yet what became.
    pub fn waits_for(&self, before: Time) -> usize {
        self.told.waits_for(before)
    }

    /// The newest state's tick.
    pub fn tick(&self) -> u32 {
        self.told.tick
    }

    /// It plays from now on, or watches.
    pub fn come(&mut self, now: Time, delivery: Delivery, network: Conditions, spectates: bool) {
        if self.is_in || self.revoked_at.is_some() {
            return;
        }
        (self.is_in, self.spectates) = (true, spectates);
        self.excuses.kicked = false;
        self.rejoins = false;
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
            if core.session().is_active() && !self.spectates {
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
            if std::mem::take(&mut self.wants_token)
                && let Some(token) = self.fresh_token(now, setting)
                && let Some(core) = &mut self.core
            {
                core.renew(token);
            }
            self.look_at_clock(at, now, line, dice)?;
            self.transmit(at, now, line, dice);
            if !line.at_client {
                self.line = None;
            }
        }
        self.hear(now)?;
        self.is_served(now, setting, lines)
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
        let connects = |line: &Line| !line.is_open && line.answered_at.is_some_and(|at| at <= now);
        let token = self.line.and_then(|line| lines.get(&line)).filter(|line| connects(line));
        let token = token.and_then(|_| self.fresh_token(now, setting));
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
                    None => {
                        let mut core = ClientCore::over(at, &self.options(setting), line.delivery);
                        core.set_identity_token(token.unwrap_or_default());
                        self.core = Some(core);
                    }
                    Some(core) => {
                        core.set_identity_token(token.unwrap_or_default());
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
                    let line =
                        Line { moves: self.moves, ..Line::knock(self.number, self.delivery, now, arrives) };
                    *next_line += 1;
                    self.line = Some(*next_line);
                    lines.insert(*next_line, line);
                }
            }
        }
    }

    /// A token to show now.
    fn fresh_token(&mut self, now: Time, setting: &Setting) -> Option<String> {
        if setting.tokens && setting.token_lifetime > 0 {
            self.valid_until = Some(now + Duration::from_millis(setting.token_lifetime.into()));
        }
        Some(token(self.number, setting, self.today))
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
        let plays = !self.spectates;
        let Some(core) = self.core.as_mut().filter(|core| plays && core.session().is_active()) else {
            return;
        };
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
        if play == Play::Arena || self.spectates {
            return;
        }
        let Some(core) = self.core.as_mut().filter(|core| core.session().is_active()) else { return };
        for _ in 0..commands {
            self.n += 1;
            if let Ok(number) = core.send_command(Count { n: self.n }.encode_to_vec().into()) {
                self.told.ask(number, self.n, now);
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
                        return Err(Broken { promise: 2, what: error.to_string() });
                    }
                    self.hear(now)?;
                    self.received = now;
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
            Err(error) => Err(Broken { promise: 2, what: error.to_string() }),
        }
    }

    /// Takes in what the core reports.
    fn hear(&mut self, now: Time) -> Kept {
        while let Some(event) = self.core.as_mut().and_then(ClientCore::poll_event) {
            match event {
                Event::Welcome(welcome) => self.welcomed(&welcome, now)?,
                Event::State { tick, .. } => self.saw(tick, now)?,
                Event::Game(event) if self.plays_tally() => self.told.counted(event.tick, &event.payload)?,
                Event::CommandRefused(refused) => {
                    let told = refused.reason.starts_with(TOO_MUCH) && self.excuses.tight;
                    self.told.refused(&refused, self.plays_tally() && !told)?
                }
                Event::Disconnected { cause, .. } => self.lost(&cause, now)?,
                Event::RolledBack { after, until } => {
                    self.settled_at = now + SETTLED;
                    let may = self.excuses.told_of_undone(self.line.unwrap_or(0));
                    let ticks = self.told.rolled_back(after, until)?;
                    let lost = Duration::from_secs(ticks.into()) / self.tick_rate();
                    keep(10, lost.is_zero() || may.covers(lost), || {
                        format!("of what it had seen, {lost:?} were undone ({after} to {until}), not {may:?}")
                    })?;
                }
                Event::TokenExpires { .. } => self.wants_token = !self.excuses.keeps_its_token,
                Event::Game(_) | Event::Presence(_) | Event::ClockMoved => {}
                Event::Topic(_) | Event::Published { .. } => {}
            }
        }
        if let Some(core) = &self.core
            && let Phase::Ended(error) = core.phase()
        {
            let driftless_client::Error::Ended(cause) = error.clone() else {
                return keep(9, false, || error.to_string());
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

    fn welcomed(&mut self, welcome: &wire::Welcome, now: Time) -> Kept {
        self.heard = now;
        let (received, mine) = (self.received, self.told.player);
        let told = std::mem::take(&mut self.rejoins) || self.seats == 0 || self.spectates;
        keep(9, welcome.resumed || told, || format!("lost its seat {mine}, and nobody told it"))?;
        if welcome.resumed {
            return keep(5, mine == welcome.player, || format!("resumed seat {mine} as {}", welcome.player));
        }
        let round_trip = Duration::from_millis(2 * u64::from(self.network.delay));
        self.told.seated(welcome.player, self.seats > 0, |since| since + round_trip > received);
        self.seats += 1;
        self.excuses.told_of_undone(self.line.unwrap_or(0));
        self.seated_at = now;
        Ok(())
    }

    /// The server dies, and so much is lost with it.
    pub fn may_lose(&mut self, loss: Loss, now: Time, lasts: Duration, line: u64) {
        // What it has heard of two servers that went back is not known to the third.
        if loss > Loss::NOTHING && (self.excuses.may_be_undone() || now < self.settled_at) {
            self.excuses.may_lose_its_seat(now, lasts);
        }
        self.excuses.may_lose(line, loss);
        // Of a seat that it does not know of yet it may hear after the server's death.
        let is_new = self.line.is_some() && self.seat().is_none();
        if loss > Loss::NOTHING && (is_new || loss.covers(now.saturating_sub(self.seated_at))) {
            self.excuses.may_lose_its_seat(now, lasts);
        }
    }

    fn tick_rate(&self) -> u32 {
        self.core.as_ref().and_then(|core| core.welcome()).map_or(1, |welcome| welcome.tick_rate.max(1))
    }

    /// Whether the game is the one that shows what is lost, repeated or leaked.
    fn plays_tally(&self) -> bool {
        self.core.as_ref().and_then(|core| core.welcome()).is_some_and(|welcome| welcome.kind == KIND)
    }

    /// Promise 4: nobody else delays what it gets. (A while after anything has happened to it.)
    fn is_served(&mut self, now: Time, setting: &Setting, lines: &BTreeMap<u64, Line>) -> Kept {
        if !self.excuses.are_none(now) || !self.is_online() {
            self.calm_since = now;
            return Ok(());
        }
        let line = self.line.and_then(|line| lines.get(&line));
        let lost = line.map_or((0, 0), |line| (line.up.lost, line.down.lost));
        if self.state_at == now {
            self.lost_before = lost;
        }
        let round_trip = 2 * Duration::from_millis(u64::from(self.network.delay + self.network.jitter));
        let tick = Duration::from_secs(1) / setting.tick_rate;
        let probe = PROBE.max(round_trip * 3 / 2 + 2 * tick);
        // A state that is lost costs a probe timeout at most; an acknowledgement, the time until the next
        // input, which repeats it. Spectators have no inputs.
        let up = if self.spectates { lost.0.saturating_sub(self.lost_before.0) } else { 0 };
        let again = (probe + 2 * tick) * (up + lost.1.saturating_sub(self.lost_before.1));
        let most = ONE_LATE + 2 * round_trip + 8 * tick + again;
        let waits = now - self.state_at.max(self.calm_since);
        keep(4, waits <= most, || format!("has had no state for {waits:?}"))
    }

    fn saw(&mut self, tick: u32, now: Time) -> Kept {
        (self.state_at, self.heard) = (now, now);
        self.excuses.told_of_undone(self.line.unwrap_or(0)); // it would have been
        self.told.state(tick, self.delivery == Delivery::Datagram)?;
        match &self.core {
            Some(core) if self.plays_tally() => self.told.shows(core, tick),
            _ => Ok(()),
        }
    }

    /// The connection is lost: was that anybody's fault but the network's?
    fn lost(&mut self, cause: &Disconnect, now: Time) -> Kept {
        if let Some(CloseCode::UnknownSession | CloseCode::RoomClosed) = cause.close_code() {
            self.rejoins = true;
        }
        self.excuses.allow(cause, now, self.excuses.silence(self.heard, now), self.is_in)
    }
}
