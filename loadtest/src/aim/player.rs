//! Players with a connection: a runner, and a shooter that shows and predicts as a page does.

use super::{marksman::Tally, runner::Runner, shooter::Shooter, witness::Witness};
use driftless_client::{Connection, Event, Options, Payloads, Phase, Step};
use driftless_sim::{
    Seen,
    games::arena::{ArenaEvent, PLAYERS, arena_event::Body},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

/// Between two pictures.
const FRAME: Duration = Duration::from_nanos(16_666_667);
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
    /// Of its room.
    pub witness: Rc<RefCell<Witness>>,
}

impl Seat {
    /// Runs until the end, and is the witness, if it is the first of its room's runners.
    pub async fn runs(self, is_first: bool) {
        let mut payloads = Payloads::default();
        let mut runner = Runner::new(self.seed, self.tick_rate);
        let witness = self.witness.clone();
        self.play(&mut |connection, _, turn| {
            if let Turn::Event(Event::State { .. }) = turn
                && let Some(state) = connection.core().snapshot().filter(|_| is_first)
            {
                witness.borrow_mut().push(state);
            }
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
        let mut payloads = Payloads::default();
        let (seed, run, witness) = (self.seed, self.run.clone(), self.witness.clone());
        self.play(&mut |connection, now, turn| {
            if let Turn::Event(Event::Welcome(welcome)) = turn {
                let schema = connection.core().schema();
                shooter = schema.map(|schema| Shooter::new(schema, welcome, seed));
            }
            let Some(shooter) = &mut shooter else { return };
            let core = connection.core();
            let now_us = core.clock().server_time_us(now);
            match turn {
                Turn::Event(Event::State { input, .. }) => {
                    if let Some(state) = core.snapshot() {
                        shooter.learn(now_us, *input, state, &witness.borrow());
                    }
                }
                Turn::Event(Event::ClockMoved) => shooter.restart(),
                Turn::Event(Event::Game(event)) => {
                    let event = driftless_client::decode_event::<ArenaEvent>(event);
                    if let Some(Body::Kill(kill)) = event.ok().and_then(|event| event.body) {
                        shooter.tally().rewound.record_us(i64::from(kill.rewound_ms) * 1_000);
                    }
                }
                Turn::Event(_) => {}
                Turn::Show => {
                    if let Some(now_us) = now_us {
                        shooter.show(now_us);
                    }
                }
                Turn::Act => {
                    let Some(now_us) = now_us else { return };
                    let (input, moment) = shooter.act(now_us, run.counts.get());
                    let payload = payloads.encode(&input);
                    if let Ok(number) = connection.core_mut().send_input_seen(payload, moment) {
                        shooter.sent(number, input);
                    }
                }
            }
        })
        .await;
        shooter.map(|mut shooter| std::mem::take(shooter.tally())).unwrap_or_default()
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
