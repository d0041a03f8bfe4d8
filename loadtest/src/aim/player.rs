//! Players with a connection: a runner, and a shooter that shows and predicts as a page does.

use super::{
    marksman::{Marksman, Tally},
    runner::Runner,
    screen::{Picture, Target, Vector},
};
use driftless_client::{
    Connection, Event, Interpolation, InterpolationConfig, Options, Payloads, Phase, Step,
};
use driftless_sim::{
    Prediction, Seen,
    games::arena::{Arena, ArenaEvent, ArenaInput, PLAYERS, arena_event::Body, rules},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

/// Between two pictures.
const FRAME: Duration = Duration::from_nanos(16_666_667);
/// A place that changes by more, centimetres, is another life's.
const JUMP: u32 = 200;
/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(1);

/// What all players of a run share.
#[derive(Debug, Default)]
pub struct Run {
    /// Whether shots that are fired now are measured.
    pub counts: Cell<bool>,
    /// Whether it is over.
    pub ended: Cell<bool>,
    /// Players in their rooms.
    pub playing: Cell<usize>,
    /// Players who could not connect, or lost their connection.
    pub errors: RefCell<Vec<String>>,
}

/// A player's place, before the player has connected.
pub struct Seat {
    pub options: Options,
    pub tick_rate: u32,
    pub seed: u64,
    pub run: Rc<Run>,
}

impl Seat {
    /// Runs until the end.
    pub async fn runs(self) {
        let mut payloads = Payloads::default();
        let mut runner = Runner::new(self.seed, self.tick_rate);
        self.play(&mut |connection, _, turn| {
            if let Turn::Act = turn {
                let seen = own(connection).map_or((0, 0), |row| (row[0], row[1]));
                // Refused before the welcome.
                let _ = connection.core_mut().send_input(payloads.encode(&runner.run(seen)));
            }
        })
        .await;
    }

    /// Shoots until the end.
    pub async fn shoots(self) -> Tally {
        let mut shooter = None;
        let (tick_rate, seed, run) = (self.tick_rate, self.seed, self.run.clone());
        self.play(&mut |connection, now, turn| match turn {
            Turn::Event(Event::Welcome(_)) => shooter = Shooter::new(connection, tick_rate, seed),
            Turn::Event(event) => {
                if let Some(shooter) = &mut shooter {
                    shooter.handle_event(connection, now, event);
                }
            }
            Turn::Show => {
                if let Some(shooter) = &mut shooter {
                    shooter.show(connection, now);
                }
            }
            Turn::Act => {
                if let Some(shooter) = &mut shooter {
                    shooter.act(connection, now, run.counts.get());
                }
            }
        })
        .await;
        shooter.map(|shooter| shooter.marksman.tally).unwrap_or_default()
    }

    async fn play(self, turn: &mut impl FnMut(&mut Connection, Instant, Turn<'_>)) {
        if let Err(error) = self.connected(turn).await {
            self.run.errors.borrow_mut().push(error);
        }
    }

    async fn connected(
        &self,
        turn: &mut impl FnMut(&mut Connection, Instant, Turn<'_>),
    ) -> Result<(), String> {
        let mut connection = Connection::open(&self.options).await.map_err(|error| error.to_string())?;
        let tick = Duration::from_secs(1) / self.tick_rate;
        let mut next_input = Instant::now() + tick.mul_f64(fastrand::f64());
        let mut next_frame = next_input;
        while !self.run.ended.get() {
            let step = connection.next(Some(next_input.min(next_frame))).await;
            let now = Instant::now();
            match step {
                Step::Event(event) => {
                    let joined = matches!(event, Event::Welcome(_));
                    self.run.playing.set(self.run.playing.get() + usize::from(joined));
                    turn(&mut connection, now, Turn::Event(&event));
                }
                Step::Woken => {
                    if next_frame <= now {
                        turn(&mut connection, now, Turn::Show);
                        // A picture that is late is left out, as on a screen.
                        while next_frame <= now {
                            next_frame += FRAME;
                        }
                    }
                    if next_input <= now {
                        turn(&mut connection, now, Turn::Act);
                        // As a page: a late input is sent late, one that is a tick late is left out.
                        while next_input <= now {
                            next_input += tick;
                        }
                    }
                }
                Step::Closed => {
                    return Err(match connection.core().phase() {
                        Phase::Ended(error) => error.to_string(),
                        _ => "the connection was lost".to_owned(),
                    });
                }
            }
        }
        connection.core_mut().leave(Instant::now());
        let gone = async { while connection.next(None).await != Step::Closed {} };
        let _ = tokio::time::timeout(LEAVE, gone).await;
        Ok(())
    }
}

/// What a player does next.
enum Turn<'a> {
    /// Hears of something.
    Event(&'a Event),
    /// Draws a picture.
    Show,
    /// Sends an input.
    Act,
}

/// The newest state's row of this player: x and y, centimetres, aim and health.
fn own(connection: &Connection) -> Option<[i32; 4]> {
    let core = connection.core();
    let (state, welcome) = (core.snapshot()?, core.welcome()?);
    Seen { state, player: welcome.player, tick_rate: welcome.tick_rate }.row(PLAYERS)
}

/// A shooter: stands, and sees as shown.
struct Shooter {
    screen: Interpolation,
    own: Prediction<Arena>,
    marksman: Marksman,
    payloads: Payloads,
}

impl Shooter {
    fn new(connection: &Connection, tick_rate: u32, seed: u64) -> Option<Self> {
        let core = connection.core();
        let welcome = core.welcome()?;
        let config = InterpolationConfig { jump: Some(JUMP), ..InterpolationConfig::default() };
        Some(Self {
            screen: Interpolation::new(core.schema()?, welcome, config),
            own: Prediction::new(welcome.player, tick_rate),
            marksman: Marksman::new(welcome.player, tick_rate, seed),
            payloads: Payloads::default(),
        })
    }

    fn handle_event(&mut self, connection: &Connection, now: Instant, event: &Event) {
        let core = connection.core();
        match event {
            Event::State { input, .. } => {
                let Some(state) = core.snapshot() else { return };
                self.own.reconcile(*input, state);
                self.marksman.learn(state);
                if let Some(arrived_us) = core.clock().server_time_us(now) {
                    self.screen.push(arrived_us, state);
                }
            }
            Event::ClockMoved => self.screen.restart(),
            Event::Game(event) => {
                let event = driftless_client::decode_event::<ArenaEvent>(event);
                if let Some(Body::Kill(kill)) = event.ok().and_then(|event| event.body) {
                    self.marksman.tally.rewound.record_us(i64::from(kill.rewound_ms) * 1_000);
                }
            }
            _ => {}
        }
    }

    fn show(&mut self, connection: &Connection, now: Instant) {
        let core = connection.core();
        let (Some(now_us), Some(welcome)) = (core.clock().server_time_us(now), core.welcome()) else {
            return;
        };
        let view = self.screen.advance(now_us);
        let Some(targets) = view.map(|view| Target::in_view(&view, welcome.player)) else { return };
        if let Some(moment) = self.screen.shown() {
            self.marksman.look(Picture::at(moment, welcome.tick_rate, targets));
        }
    }

    fn act(&mut self, connection: &mut Connection, now: Instant, counts: bool) {
        // What is shown when the player acts.
        self.show(connection, now);
        let place = self.own.shown().map(|row| (row[0], row[1]));
        let mut input = ArenaInput::default();
        let from = place.map(|(x, y)| Vector { x: f64::from(x) / 100.0, y: f64::from(y) / 100.0 });
        if let Some(aim) = from.and_then(|from| self.marksman.shoot(from, counts)) {
            // As precise as the message can be.
            let long = aim * (32_000.0 / aim.length());
            (input.aim_x, input.aim_y) = (long.x.round() as i32, long.y.round() as i32);
            input.buttons = rules::BUTTON_FIRE;
            self.note_age(connection, now);
        }
        self.send(connection, &input);
    }

    fn send(&mut self, connection: &mut Connection, input: &ArenaInput) {
        let payload = self.payloads.encode(input);
        if let Ok(number) = connection.core_mut().send_input_seen(payload, self.marksman.moment()) {
            self.own.push(number, *input);
        }
    }

    fn note_age(&mut self, connection: &Connection, now: Instant) {
        let now_us = connection.core().clock().server_time_us(now).and_then(|us| i64::try_from(us).ok());
        if let Some((now_us, shown_us)) = now_us.zip(self.screen.shown_us()) {
            self.marksman.tally.picture_age.record_us(now_us - shown_us);
        }
    }
}
