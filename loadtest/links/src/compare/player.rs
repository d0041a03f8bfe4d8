//! One player: acts, shows, and measures what it gets.
//!
//! It acts on a schedule, whatever comes back: an input's latency counts from when it should have been sent,
//! and an input that no state contains by the end counts with the time it has waited.

use super::{
    Player,
    measured::Measured,
    truth::{Error, Layout, Place, Told, Truth},
    window::Window,
};
use bytes::BytesMut;
use driftless_client::{
    ClientCore, Connection, Event, Interpolation, InterpolationConfig, Options, Phase, Step,
};
use driftless_proto::snapshot::Snapshot;
use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};

/// Between two pictures.
const FRAME: Duration = Duration::from_nanos(16_666_667);
/// After this many pictures, everything shown is compared with the truth.
const COMPARE_EVERY: u32 = 3;
/// Inputs that may wait for a state.
const MAX_PENDING: usize = 1200;
/// Pictures that may wait for their truth.
const MAX_PICTURES: usize = 64;
/// How long after its states were due the truth is known, microseconds: of many observers, each is told of a
/// tick at its own time.
const KNOWN_AFTER_US: i64 = 200_000;
/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(1);

/// A player's place, before the player has connected.
pub struct Seat {
    /// Where to.
    pub options: Options,
    /// Who plays there.
    pub player: Box<dyn Player>,
    /// Time between two inputs.
    pub tick: Duration,
    /// Of its room.
    pub truth: Rc<RefCell<Truth>>,
    /// It has a perfect link and is not measured: it tells the truth of itself.
    pub tells: bool,
    /// When to measure.
    pub window: Rc<Window>,
}

impl Seat {
    /// Connects at `start` and plays until the window is closed.
    pub async fn play(self, start: tokio::time::Instant) -> Measured {
        tokio::time::sleep_until(start).await;
        let window = self.window.clone();
        let measured = match Connection::open(&self.options).await {
            Ok(connection) => Play::new(self, connection).run().await,
            Err(error) => Measured { errors: vec![error.to_string()], ..Measured::default() },
        };
        window.gone.set(window.gone.get() + 1);
        measured
    }
}

/// A player at play.
struct Play {
    connection: Connection,
    player: Box<dyn Player>,
    tick: Duration,
    truth: Rc<RefCell<Truth>>,
    tells: bool,
    window: Rc<Window>,
    memory: BytesMut,
    shown: Option<Interpolation>,
    extrapolation_us: i64,
    frames: u32,
    /// Inputs that no state has contained yet: number, and when each should have been sent.
    pending: VecDeque<(u32, Instant)>,
    applied_at: Option<Instant>,
    /// When the newest state was due, microseconds of the server's clock.
    newest_us: i64,
    /// Since when the picture has been frozen.
    still_since: Option<Instant>,
    /// The blackout that `measured.after_black_out` is of, and whether its end has been seen.
    black_out: Option<(Instant, bool)>,
    pictures: VecDeque<Picture>,
    measured: Measured,
}

/// What was shown at one time.
struct Picture {
    /// When it was shown, and the moment it showed, microseconds of the server's clock.
    now_us: i64,
    shown_us: i64,
    places: Vec<(u32, Place)>,
}

impl Play {
    fn new(seat: Seat, connection: Connection) -> Self {
        Self {
            connection,
            player: seat.player,
            tick: seat.tick,
            truth: seat.truth,
            tells: seat.tells,
            window: seat.window,
            memory: BytesMut::new(),
            shown: None,
            extrapolation_us: 0,
            frames: 0,
            pending: VecDeque::new(),
            applied_at: None,
            newest_us: i64::MIN,
            still_since: None,
            black_out: None,
            pictures: VecDeque::new(),
            measured: Measured::default(),
        }
    }

    async fn run(mut self) -> Measured {
        // Players do not act all at once.
        let phase = self.tick.mul_f64(fastrand::f64());
        let mut next_input = Instant::now() + phase;
        let mut next_frame = next_input;
        while !self.window.is_closed() {
            let step = self.connection.next(Some(next_input.min(next_frame))).await;
            let now = Instant::now();
            match step {
                Step::Woken => {
                    while next_input <= now {
                        let late = now - next_input > self.tick;
                        self.act(next_input, late);
                        next_input += self.tick;
                    }
                    if next_frame <= now {
                        if !self.tells {
                            self.show(now);
                        }
                        // A picture that is late is left out, as on a screen.
                        while next_frame <= now {
                            next_frame += FRAME;
                        }
                    }
                }
                Step::Event(event) => {
                    if let Err(why) = self.handle_event(now, &event) {
                        self.measured.errors.push(why);
                        return self.finish(now, false);
                    }
                }
                Step::Closed => {
                    let why = match self.connection.core().phase() {
                        Phase::Ended(error) => error.to_string(),
                        _ => "the connection was lost".to_owned(),
                    };
                    self.measured.errors.push(why);
                    return self.finish(now, false);
                }
            }
        }
        let now = Instant::now();
        let measured = self.finish(now, true);
        self.connection.core_mut().leave(now);
        let gone = async { while self.connection.next(None).await != Step::Closed {} };
        let _ = tokio::time::timeout(LEAVE, gone).await;
        measured
    }

    fn handle_event(&mut self, now: Instant, event: &Event) -> Result<(), String> {
        match event {
            Event::Welcome(welcome) => {
                self.player.welcomed(self.connection.core())?;
                if let Some(schema) = self.connection.core().schema() {
                    let config = InterpolationConfig::default();
                    self.extrapolation_us = config.extrapolation.as_micros() as i64;
                    self.shown = Some(Interpolation::new(schema, welcome, config));
                }
                self.window.playing.set(self.window.playing.get() + 1);
                if self.tells {
                    self.truth.borrow_mut().welcome(welcome, self.connection.core().schema());
                }
            }
            Event::State { .. } if self.tells => {
                let core = self.connection.core();
                if let (Some(state), Some(welcome)) = (core.snapshot(), core.welcome()) {
                    let mut truth = self.truth.borrow_mut();
                    truth.set_clock(core.clock());
                    truth.push(state, Told::Oneself(welcome.player));
                }
            }
            Event::State { tick, input, .. } => self.apply(now, *tick, *input),
            Event::ClockMoved => {
                if let Some(shown) = &mut self.shown {
                    shown.restart();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn act(&mut self, due: Instant, is_late: bool) {
        if is_late || self.connection.core().welcome().is_none() {
            return;
        }
        let payload = self.player.act(self.connection.core(), &mut self.memory);
        if let Ok(number) = self.connection.core_mut().send_input(payload) {
            if self.pending.len() == MAX_PENDING {
                self.pending.pop_front();
            }
            self.pending.push_back((number, due));
        }
    }

    fn apply(&mut self, now: Instant, tick: u32, input: u32) {
        if self.truth.borrow().due_us(tick) == self.newest_us {
            return self.keep(now); // more of a state that has been measured
        }
        let counts = self.window.contains(now);
        while let Some(&(_, due)) = self.pending.front().filter(|(number, _)| *number <= input) {
            self.pending.pop_front();
            if self.window.contains(due) {
                self.measured.input.record(now.saturating_duration_since(due));
            }
        }
        let before = self.applied_at.replace(now);
        let truth = self.truth.clone();
        let truth = truth.borrow();
        self.newest_us = truth.due_us(tick);
        if let (true, Some(before)) = (counts, before) {
            let gap = now.saturating_duration_since(before);
            self.measured.longest_gap = self.measured.longest_gap.max(gap);
            self.measured.states += 1;
        }
        let age_us = truth.now_us(now).map(|now_us| now_us - truth.due_us(tick));
        if let (true, Some(age_us)) = (counts, age_us) {
            self.measured.age.record_us(age_us);
            if let Some(end) = self.window.last_black_out(now) {
                let due_at_end = now.checked_duration_since(end).map_or(0, |since| since.as_micros() as i64);
                let end_tick = truth.now_us(now).map_or(0, |now_us| truth.due_tick(now_us - due_at_end));
                self.after_black_out(now, end, age_us, tick < end_tick);
            }
        }
        drop(truth);
        self.keep(now);
    }

    /// Keeps the newest state, to be shown.
    fn keep(&mut self, now: Instant) {
        let core = self.connection.core();
        if let (Some(shown), Some(arrived), Some(state)) =
            (&mut self.shown, core.clock().server_time_us(now), core.snapshot())
        {
            shown.push(arrived, state);
        }
    }

    /// A state was applied after a blackout that ended at `end`.
    fn after_black_out(&mut self, now: Instant, end: Instant, age_us: i64, is_stale: bool) {
        let is_first = self.black_out.is_none_or(|(of, _)| of != end);
        let after = self.measured.after_black_out.get_or_insert_default();
        if is_first {
            self.black_out = Some((end, false));
            after.players = 1;
            after.first_age_us = after.first_age_us.max(age_us);
        }
        let Some((_, seen)) = self.black_out.as_mut().filter(|(_, seen)| !seen) else { return };
        if is_stale {
            after.stale += 1;
        } else {
            *seen = true;
            after.fresh_after = after.fresh_after.max(now - end);
        }
    }

    fn show(&mut self, now: Instant) {
        let counts = self.window.contains(now);
        let core = self.connection.core();
        let (Some(shown), Some(server_us)) = (&mut self.shown, core.clock().server_time_us(now)) else {
            return;
        };
        let truth = self.truth.borrow();
        let (Some(layout), Some(now_us)) = (truth.layout(), truth.now_us(now)) else { return };
        let Some(view) = shown.advance(server_us) else { return };
        self.frames += 1;
        let places = (counts && self.frames.is_multiple_of(COMPARE_EVERY)).then(|| places(&view, layout));
        let meant_us = shown.shown_us().unwrap_or(now_us);
        // Past this the picture is frozen, whatever moment was meant to be shown.
        let last_us = self.newest_us.saturating_add(self.extrapolation_us);
        if meant_us > last_us {
            let since = *self.still_since.get_or_insert(now);
            // Counted from the start of the window, if that is later.
            let since = self.window.began().map_or(now, |began| began.max(since));
            if counts {
                self.measured.longest_standstill =
                    self.measured.longest_standstill.max(now.saturating_duration_since(since));
            }
        } else {
            self.still_since = None;
        }
        let shown_us = meant_us.min(last_us);
        if counts {
            self.measured.shown_age.record_us(now_us - shown_us);
            if let Some(tick) = own_zone_tick(core, layout) {
                self.measured.own_zone_age.record_us(now_us - truth.due_us(tick));
            }
        }
        if let Some(places) = places {
            if self.pictures.len() == MAX_PICTURES {
                self.pictures.pop_front();
            }
            self.pictures.push_back(Picture { now_us, shown_us, places });
        }
        while let Some(picture) =
            self.pictures.pop_front_if(|picture| truth.covers(picture.now_us + KNOWN_AFTER_US))
        {
            compare(&picture, &truth, layout, &mut self.measured);
        }
    }

    fn finish(&mut self, now: Instant, stayed: bool) -> Measured {
        let end = self.window.ended().unwrap_or(now);
        for (_, due) in self.pending.drain(..).filter(|&(_, due)| self.window.contains(due)) {
            self.measured.input.record(now.saturating_duration_since(due));
        }
        let truth = self.truth.borrow();
        let tick_at = |at: Instant| truth.now_us(at).map(|us| truth.due_tick(us));
        if let Some((first, last)) = self.window.began().and_then(tick_at).zip(tick_at(end)) {
            self.measured.due = u64::from(last.saturating_sub(first));
        }
        if let Some(applied_at) = self.applied_at {
            let open = end.saturating_duration_since(applied_at);
            self.measured.longest_gap = self.measured.longest_gap.max(open);
        }
        let stats = self.connection.core().stats();
        self.measured.late = stats.stale;
        // As in the server's gate: ceil(min_rtt / tick) + 1, except that its round trip may include up to a
        // tick of waiting for the next input.
        self.measured.gate = stats
            .min_rtt
            .map(|rtt| (rtt + self.tick).as_nanos().div_ceil(self.tick.as_nanos().max(1)) as u64 + 1);
        self.measured.stayed = u64::from(stayed);
        std::mem::take(&mut self.measured)
    }
}

/// The last tick of which the player knows what was around it: in the zone that its own entity is in.
fn own_zone_tick(core: &ClientCore, layout: Layout) -> Option<u32> {
    let own = core.welcome()?.player;
    let is_near =
        |content: &Snapshot| content.tables().get(layout.kind).is_some_and(|all| all.row(own).is_some());
    core.zones().find(|(_, content, _)| is_near(content)).map(|(_, _, known_until)| known_until)
}

fn places(view: &driftless_client::interpolation::View<'_>, layout: Layout) -> Vec<(u32, Place)> {
    let place = |entity: driftless_client::interpolation::Entity<'_>| {
        let life = layout.life.map_or(0, |life| entity.quanta(life));
        (entity.id(), Place { at: layout.columns.map(|column| entity.quanta(column)), life })
    };
    view.entities(layout.kind).map(place).collect()
}

fn compare(picture: &Picture, truth: &Truth, layout: Layout, measured: &mut Measured) {
    let errors = |at_us| {
        let moment = truth.at(at_us);
        let places = picture.places.iter();
        places.filter_map(move |&(id, place)| moment.as_ref()?.error(id, place))
    };
    let units = |quanta: f64| quanta / f64::from(layout.per_unit);
    for error in errors(picture.now_us) {
        if let Error::Distance(quanta) = error {
            measured.error_now.record(units(quanta));
        }
    }
    for error in errors(picture.shown_us) {
        match error {
            Error::Distance(quanta) => measured.error_shown.record(units(quanta)),
            Error::Late(us) => measured.life_late.record_us(us),
        }
    }
}
