//! The bots of a soak: one thread, a task for each, on the client library's connections.

use super::{
    board::Board,
    life::{Life, Turn},
};
use crate::{
    behaviour::Behaviour,
    cast::Cast,
    check::{Order, Violation},
    cli::TransportChoice,
};
use bytes::BytesMut;
use driftless_client::{Connection, Disconnect, Endpoint, Event, Options, Phase, Step};
use driftless_links::Player;
use driftless_proto::session::Delivery;
use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::{
    task::LocalSet,
    time::{sleep, sleep_until, timeout},
};

/// Clients of one UDP socket.
const PER_SOCKET: usize = 32;
/// How long a bot waits after a refused connection.
const REFUSED: Duration = Duration::from_secs(1);
/// How long the server may take to let a bot in, or to say goodbye. A soak is not about latency: it may run
/// beside other work.
const PATIENCE: Duration = Duration::from_secs(30);

/// What all bots need to know.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How to join, but for the room.
    pub options: Options,
    /// Bots that play.
    pub players: usize,
    /// Bots that watch.
    pub spectators: usize,
    /// Who plays.
    pub cast: Cast,
    /// How long a bot plays between two turns of its life, on average.
    pub play: Duration,
    /// Time over which they come.
    pub ramp: Duration,
    /// What their lives follow from.
    pub seed: u64,
}

/// Starts the thread. It ends after the board says so, when all bots have left.
pub fn start(plan: Plan, board: Arc<Board>) -> io::Result<JoinHandle<io::Result<()>>> {
    std::thread::Builder::new().name("bots".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(LocalSet::new().run_until(play(plan, board)))
    })
}

async fn play(plan: Plan, board: Arc<Board>) -> io::Result<()> {
    let (start, bots) = (Instant::now(), plan.players + plan.spectators);
    let mut endpoint = Endpoint::new()?;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..bots {
        if index % PER_SOCKET == 0 {
            endpoint = Endpoint::new()?;
        }
        let options = Options {
            transports: vec![TransportChoice::Mix.of(index)],
            endpoint: Some(endpoint.clone()),
            spectate: index >= plan.players,
            connect_timeout: PATIENCE,
            ..plan.options.clone()
        };
        let bot = Bot {
            options,
            life: Life::new(plan.seed.wrapping_add(index as u64), plan.play),
            behaviour: plan.cast.player(index),
            board: board.clone(),
            memory: BytesMut::new(),
        };
        let at = start + plan.ramp.mul_f64(index as f64 / bots as f64);
        tasks.spawn_local(async move {
            sleep_until(at.into()).await;
            bot.live().await;
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(io::Error::other)?;
    }
    Ok(())
}

/// One bot.
struct Bot {
    options: Options,
    life: Life,
    behaviour: Behaviour,
    board: Arc<Board>,
    /// For inputs.
    memory: BytesMut,
}

/// How a stretch of play came to its end.
enum Stretch {
    /// Its time is over.
    Over,
    /// There is no connection any more.
    Closed(Disconnect),
    /// The server or the library is at fault.
    Broken(Violation),
}

impl Bot {
    async fn live(mut self) {
        while !self.board.is_over() {
            self.options.room = self.board.room(|count| self.life.choose(count));
            match Connection::open(&self.options).await {
                Ok(connection) => {
                    if let Err(violation) = self.take_part(connection).await {
                        self.board.report(&violation);
                    }
                }
                Err(error) => {
                    self.board.report(&Violation::Refused(error.to_string()));
                    sleep(REFUSED).await;
                }
            }
            if !self.board.is_over() {
                sleep(self.life.pause()).await;
            }
        }
    }
    /// From one join to the end of the seat.
    async fn take_part(&mut self, mut connection: Connection) -> Result<(), Violation> {
        let mut order = self.order(&connection);
        let mut must_resume = false;
        loop {
            let until = Instant::now() + self.life.stretch();
            match self.play(&mut connection, until, &mut order, &mut must_resume).await {
                // A room that is not open any more is one that late joins have made again.
                Stretch::Over if self.board.is_over() || !self.board.has(&self.options.room) => {
                    return self.leave(connection).await;
                }
                Stretch::Over => {}
                // Whatever it is told, or if it asks for its seat only then, that the seat is not there.
                Stretch::Closed(_) if !self.board.has(&self.options.room) => {
                    self.board.count(|counts| counts.rooms_closed += 1);
                    return Ok(());
                }
                Stretch::Closed(Disconnect::Dial(error)) => {
                    return Err(Violation::Refused(error.to_string()));
                }
                Stretch::Closed(cause) => return Err(Violation::Disconnected(cause.code())),
                Stretch::Broken(violation) => return Err(violation),
            }
            let window = connection.core().welcome().map_or(0, |welcome| welcome.resume_window_ms);
            let window = Duration::from_millis(window.into());
            match self.life.turn(window) {
                Turn::Leave => return self.leave(connection).await,
                Turn::Vanish => {
                    self.board.count(|counts| counts.vanished += u64::from(!self.options.spectate));
                    return Ok(());
                }
                Turn::Stall(time) => {
                    self.board.count(|counts| counts.stalled += 1);
                    sleep(time).await;
                }
                Turn::Cut(time) => {
                    connection.abort();
                    sleep(time).await;
                    connection.redial(&self.options).await;
                    must_resume = !self.options.spectate;
                }
            }
        }
    }
    async fn play(
        &mut self,
        connection: &mut Connection,
        until: Instant,
        order: &mut Order,
        must_resume: &mut bool,
    ) -> Stretch {
        let mut due = Instant::now();
        let mut lost = None;
        let begun = due;
        loop {
            match connection.next(Some(due)).await {
                // Whoever has just come waits for the welcome first.
                Step::Woken
                    if (*must_resume || connection.core().welcome().is_none())
                        && begun.elapsed() < PATIENCE =>
                {
                    due += Duration::from_millis(100);
                }
                Step::Woken if *must_resume || connection.core().welcome().is_none() => {
                    return Stretch::Broken(Violation::Silent("no welcome".into()));
                }
                Step::Woken if Instant::now() >= until || self.board.is_over() => return Stretch::Over,
                Step::Woken => due = self.act(connection, due),
                Step::Event(Event::Welcome(welcome)) => {
                    if std::mem::take(must_resume) {
                        if !welcome.resumed {
                            return Stretch::Broken(Violation::Protocol(
                                "a seat was not kept for its window".into(),
                            ));
                        }
                        self.board.count(|counts| counts.resumed += 1);
                    } else if self.options.spectate {
                        *order = self.order(connection);
                        self.board.count(|counts| counts.watched += 1);
                    } else {
                        self.board.count(|counts| counts.joined += 1);
                    }
                }
                Step::Event(Event::State { tick, .. }) => match order.state(tick) {
                    Ok(is_newer) => self.board.count(|counts| counts.states += u64::from(is_newer)),
                    Err(violation) => return Stretch::Broken(violation),
                },
                Step::Event(Event::Disconnected { cause, .. }) => lost = Some(cause),
                Step::Event(_) => {}
                Step::Closed => return Stretch::Closed(cause(connection, lost)),
            }
        }
    }
    /// Sends an input, and says when the next one is due.
    fn act(&mut self, connection: &mut Connection, due: Instant) -> Instant {
        let core = connection.core_mut();
        if core.welcome().is_some() && !self.options.spectate {
            let payload = self.behaviour.act(core, &mut self.memory);
            // Refused only before the welcome.
            let _ = core.send_input(payload);
        }
        let interval = core.tick_interval().unwrap_or(Duration::from_millis(100));
        // Inputs that it was too late for are left out.
        (due + interval).max(Instant::now())
    }
    async fn leave(&self, mut connection: Connection) -> Result<(), Violation> {
        connection.core_mut().leave(Instant::now());
        let goodbye = async { while connection.next(None).await != Step::Closed {} };
        let in_time = timeout(PATIENCE, goodbye).await.is_ok();
        self.board.count(|counts| counts.left += u64::from(!self.options.spectate));
        if in_time { Ok(()) } else { Err(Violation::Silent("no goodbye".into())) }
    }
    fn order(&self, connection: &Connection) -> Order {
        Order::of(connection.carrier().map_or(Delivery::Ordered, |carrier| carrier.delivery()))
    }
}

/// Why there is no connection any more.
fn cause(connection: &Connection, lost: Option<Disconnect>) -> Disconnect {
    match connection.core().phase() {
        Phase::Ended(driftless_client::Error::Ended(cause)) => cause.clone(),
        Phase::Ended(driftless_client::Error::GaveUp { last, .. }) => last.clone(),
        _ => lost.unwrap_or(Disconnect::Left),
    }
}
