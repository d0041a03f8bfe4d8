//! One process of the server, from its start to its end: a thread, because a server has what belongs to a
//! thread, with a runtime whose time stands still unless the world moves it.

use super::{
    disk::Death,
    game,
    network::Time,
    player::{Player, ROOM, user},
    promise::{Broken, Kept, keep},
    server::{Path, Turn, Wire},
    store::Loss,
    story::What,
    world::{STEP, World, kinds, up_to_a_step},
};
use driftless_proto::reliable::HARD_BOUND;
use driftless_server::{Denied, Identity, Knock, User, ground::durability::Durability, server::Interior};
use driftless_sim::{
    Setup,
    replay::{Verdict, replay},
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader},
    panic,
    rc::Rc,
    sync::Once,
    thread,
    time::Duration,
};
use tokio::{runtime::Builder, task::JoinHandle, time};

/// Time over which clients are told to come back when the server stops.
const SPREAD: Duration = Duration::from_millis(200);
/// How long they may take to go.
const GOODBYES: Duration = Duration::from_millis(600);
/// How long rooms may take to stop.
const CARRY: Duration = Duration::from_millis(1_500);
/// Inputs and commands, refused ones included, of a seat that may wait for a tick.
const INPUTS: usize = 64;
const COMMANDS: usize = 64 + 1024;
/// Seats that may just have ended.
const SEATS: usize = 8;
/// How long a revoked user may still be here.
const GONE: Duration = Duration::from_secs(1);
/// Time until the next attempt to start a server that could not.
const AGAIN: Duration = Duration::from_secs(1);
/// Until when after it was made the next server need not know a room.
const YOUNG: Duration = Duration::from_secs(2);
/// How long a stop takes at most.
pub const STOP: Duration = Duration::from_millis(2_500);

/// How a process ended.
pub enum Ended {
    /// The story is over.
    Over,
    /// The next one starts at that time, with what this one has left.
    Down { until: Time, left: Left },
}

/// What a process leaves to the next one.
pub enum Left {
    Nothing,
    /// The file of one that has stopped in order.
    File(Vec<u8>),
}

impl Left {
    fn file(&self) -> Option<&[u8]> {
        match self {
            Self::Nothing => None,
            Self::File(file) => Some(file),
        }
    }
}

thread_local! {
    /// The first panic of a simulation on this thread. None: there is no simulation on it.
    static PANIC: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

/// Runs a process. `left`: what the one before has left.
pub fn run(world: &mut World<'_>, left: Left) -> Result<Ended, Broken> {
    hear_panics();
    thread::scope(|scope| {
        let run = || {
            PANIC.set(Some(None));
            let runtime = || {
                let mut runtime = Builder::new_current_thread();
                runtime.enable_time().start_paused(true).max_blocking_threads(1);
                runtime.build().unwrap_or_else(|error| panic!("no runtime: {error}"))
            };
            let ended = actix_rt::System::with_tokio_rt(runtime).block_on(live(world, left));
            // The simulation's own panic is told in its place.
            (ended, PANIC.take().flatten())
        };
        match scope.spawn(run).join() {
            // That a server panics that is dropped in the middle is no fault of it.
            Ok((Err(broken), _)) => Err(broken),
            Ok((ended, None)) => ended,
            Ok((Ok(_), Some(panic))) => Err(Broken { promise: 6, what: panic }),
            Err(_) => Err(Broken { promise: 0, what: "the simulation itself panicked".to_owned() }),
        }
    })
}

/// Keeps the panics of simulations, which actors would otherwise swallow.
fn hear_panics() {
    static HEARD: Once = Once::new();
    HEARD.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let simulated = PANIC.try_with(|panic| {
                let mut panic = panic.borrow_mut();
                panic.as_mut().map(|first| first.get_or_insert_with(|| info.to_string()).len()).is_some()
            });
            if !simulated.unwrap_or(false) {
                others(info);
            }
        }));
    });
}

/// Who somebody is who shows this token.
fn by_name(knock: Knock) -> Result<Identity, Denied> {
    let token = knock.token.unwrap_or_else(|| "guest-of-no-name".to_owned());
    let (user, expires) = token.split_once(' ').map_or((&*token, None), |(user, at)| (user, at.parse().ok()));
    let identity = Identity::of(User::with_id(user.into()));
    Ok(Identity { expires: expires.map(Duration::from_millis), ..identity })
}

/// What is left in the store, and in a file.
type Carried = (io::Result<()>, io::Result<Vec<u8>>);

/// A process that runs.
struct Process<'w, 'a> {
    world: &'w mut World<'a>,
    server: Rc<Interior>,
    wires: BTreeMap<u64, Wire>,
    /// When it began, on its own clock and on the world's.
    begin: (time::Instant, Time),
    /// It stops: when it asks its rooms to, and when the next process starts.
    stops: Option<(Time, Time)>,
    carrying: Option<JoinHandle<Carried>>,
    /// The newest ticks, by room, that the servers before have shown.
    floors: BTreeMap<u64, u32>,
}

async fn live(world: &mut World<'_>, left: Left) -> Result<Ended, Broken> {
    let begin = (time::Instant::now(), world.now);
    world.store.disk.pass(world.now);
    world.store.machine(world.now, begin.0.into_std()).enter();
    let scheme = world.story.setting.tokens.then_some(by_name as fn(Knock) -> _);
    let (config, footing) = (world.config(), world.store.footing());
    let server = match Interior::start(&config, &kinds(), world.ledger.clone(), scheme, footing) {
        Ok(server) => server,
        Err(error) => return begin_later(world, left, &error.to_string()),
    };
    world.ledger.begin();
    (world.frozen_until, world.broken) = (Time::ZERO, Default::default());
    let (wires, server, floors) = (BTreeMap::new(), Rc::new(server), world.store.shown.clone());
    let mut process = Process { world, server, wires, begin, stops: None, carrying: None, floors };
    if let Err(error) = process.server.go_on(left.file()) {
        process.step().await;
        return begin_later(&mut *process.world, left, &error);
    }
    process.begin().await?;
    process.live().await
}

/// A server cannot start: something that watches it tries again.
fn begin_later(world: &mut World<'_>, left: Left, error: &str) -> Result<Ended, Broken> {
    keep(10, world.store.is_failing(world.now), || format!("the server cannot start: {error}"))?;
    world.players.iter_mut().for_each(|player| player.excuses.stopped(world.now, AGAIN));
    Ok(Ended::Down { until: world.now + AGAIN, left })
}

impl Process<'_, '_> {
    /// Has a room.
    async fn begin(&mut self) -> Kept {
        let revoked = self.world.players.iter().filter(|player| player.revoked_at.is_some());
        revoked.for_each(|player| self.server.revoke(&user(player.number)));
        keep(10, !self.world.store.disk.is_damaged(), || "its store is damaged".to_owned())?;
        let goes_on = self.server.rooms() == 1;
        self.step().await;
        let was_closed = std::mem::take(&mut self.world.closed);
        keep(10, goes_on || was_closed || self.world.room_may_be_lost, || {
            "the room did not go on".to_owned()
        })?;
        if !goes_on {
            self.make_room().await;
        }
        Ok(())
    }

    async fn live(&mut self) -> Result<Ended, Broken> {
        let end = self.world.end();
        while self.world.now < end {
            self.world.steps += 1;
            self.catch_up().await;
            self.world.act();
            if let Some(ended) = self.obey().await {
                return Ok(ended);
            }
            if self.world.frozen_until == Time::ZERO {
                self.serve();
                let World { store, now, dice, .. } = &mut *self.world;
                store.work(*now, &self.server, dice);
                self.step().await;
                self.send()?;
            } else {
                self.world.now += STEP;
            }
            self.world.play_clients()?;
            self.world.ledger.check()?;
            self.check_backlog()?;
            if let Some(panic) = PANIC.with_borrow(|panic| panic.clone().flatten()) {
                return Err(Broken { promise: 6, what: panic });
            }
            self.world.now = self.next().max(self.world.now);
            if self.may_end() && self.world.check_end(&self.server).await.is_ok() {
                break;
            }
        }
        self.world.check_end(&self.server).await?;
        self.check_recordings()?;
        Ok(Ended::Over)
    }

    /// Whether to look if all is as it should be at the end.
    fn may_end(&self) -> bool {
        let is_up = self.world.frozen_until == Time::ZERO && self.stops.is_none();
        is_up && self.world.now >= self.world.may_end() && self.world.steps.is_multiple_of(64)
    }

    /// The runtime's time follows the world's.
    async fn catch_up(&mut self) {
        let (now, to) = (self.world.now, self.clock());
        if self.world.frozen_until == Time::ZERO {
            time::sleep_until(to).await;
        } else if self.world.frozen_until <= now {
            // All that is overdue comes at once.
            self.world.frozen_until = Time::ZERO;
            time::advance(to.saturating_duration_since(time::Instant::now())).await;
            if self.world.dice.bool() {
                self.step().await; // timers before messages
            }
        }
    }

    /// What the process's clock shows, now that the world's shows `now`.
    fn clock(&self) -> time::Instant {
        self.begin.0 + (self.world.now - self.begin.1)
    }

    /// A step of time, in which the server's actors do what they can.
    async fn step(&mut self) {
        self.world.now += STEP;
        time::sleep_until(self.clock()).await;
    }

    async fn make_room(&mut self) {
        let setting = self.world.story.setting;
        self.world.rooms += 1;
        (self.world.room, self.world.made_at) =
            (self.world.story.seed * 1_000 + self.world.rooms, self.world.now);
        let setup = Setup::new(self.world.room, setting.tick_rate);
        // If a player's join was faster, that room is as good.
        let _ = self.server.make_room(ROOM, setting.play.kind(), &setup).await;
    }

    /// What operators do, and what is done to the process.
    async fn obey(&mut self) -> Option<Ended> {
        let now = self.world.now;
        for order in std::mem::take(&mut self.world.orders) {
            match order {
                What::Kick { player } => {
                    if let Some(seat) = self.seat_of(player) {
                        self.server.kick(ROOM, seat, "kicked");
                    }
                }
                What::Revoke { player } => self.server.revoke(&user(player)),
                What::CloseRoom => {
                    self.world.ledger.begin_room();
                    self.world.closed = self.stops.is_some();
                    self.server.close_room(ROOM);
                    self.step().await;
                    self.make_room().await;
                }
                What::Restart { lasts } if self.stops.is_none() => {
                    self.server.drain(SPREAD);
                    let stops = now + GOODBYES;
                    self.stops = Some((stops, stops + CARRY + Duration::from_millis(lasts.into())));
                }
                What::Kill { lasts } => return Some(self.die(Death::Process, lasts)),
                What::PowerCut { lasts, ahead } => {
                    self.world.set_clock(ahead);
                    self.world.store.correct_clock(now);
                    return Some(self.die(Death::Machine, lasts));
                }
                What::ClockIsSet { .. } => {
                    let at = time::Instant::now().into_std();
                    self.world.store.machine(now, at).enter();
                }
                _ => {}
            }
        }
        if let Some((stops, until)) = self.stops
            && stops <= now
        {
            let server = self.server.clone();
            let carry = || actix_rt::spawn(async move { server.carry(CARRY).await });
            if self.carrying.get_or_insert_with(carry).is_finished()
                && let Some(carrying) = self.carrying.take()
                && let Ok((kept, Ok(file))) = carrying.await
            {
                self.world.room_may_be_lost = false;
                if kept.is_err() {
                    // It goes on from what the store has of it.
                    self.world.room_may_be_lost = self.world.store.loss(Death::Process, now) == Loss::All;
                    self.world.lose(Death::Process, until - now);
                }
                return Some(Ended::Down { until, left: Left::File(file) });
            }
        }
        None
    }

    /// The seat of a player. None: it has none; or another player has that number since, in a room that was
    /// made anew or went back to before the seat was taken, of which this one has yet to hear.
    fn seat_of(&self, player: usize) -> Option<u32> {
        let seat = self.world.players[player].seat()?;
        let has_it = |other: &Player| other.number != player && other.seat() == Some(seat);
        let is_given_it = |(id, wire): (&u64, &Wire)| {
            let line = self.world.lines.get(id);
            wire.seat() == Some(seat) && line.is_some_and(|line| line.player != player)
        };
        let is_anothers = self.world.players.iter().any(has_it) || self.wires.iter().any(is_given_it);
        (!is_anothers).then_some(seat)
    }

    /// The process dies, with its machine or not, for so long.
    fn die(&mut self, death: Death, lasts: u32) -> Ended {
        let lasts = Duration::from_millis(lasts.into());
        let World { now, store, made_at, room_may_be_lost, .. } = &mut *self.world;
        let loss = store.loss(death, *now);
        let is_young = store.durability() == Durability::Checkpoint && *now < *made_at + YOUNG;
        *room_may_be_lost =
            loss == Loss::All || is_young || (loss > Loss::NOTHING && loss.covers(*now - *made_at));
        self.world.lose(death, lasts);
        self.world.store.die(death, &self.server, self.world.now);
        Ended::Down { until: self.world.now + lasts, left: Left::Nothing }
    }

    /// When something happens next.
    fn next(&self) -> Time {
        let next = self.world.next_of_clients();
        if self.world.frozen_until > self.world.now {
            return next.min(self.world.frozen_until);
        }
        let up = self.world.lines.values().filter_map(|line| {
            if line.at_server { line.up.next() } else { line.at_client.then_some(line.knocks_at) }
        });
        let tick = self
            .server
            .next_tick()
            .map(|tick| self.begin.1 + tick.saturating_duration_since(self.begin.0.into_std()));
        let tick = tick.into_iter().chain(self.world.store.next());
        up.chain(tick).chain(self.stops.map(|(stops, _)| stops)).map(up_to_a_step).fold(next, Time::min)
    }

    /// Accepts, reads, and runs rooms.
    fn serve(&mut self) {
        let (now, at) = (self.world.now, time::Instant::now().into_std());
        for id in std::mem::take(&mut self.world.broken) {
            if let Some(wire) = self.wires.remove(&id) {
                wire.end("cut");
            }
        }
        let World { lines, players, dice, .. } = &mut *self.world;
        for (id, line) in &mut *lines {
            let path = Path::of(players, line.player);
            if line.answered_at.is_none() && line.at_client && line.knocks_at <= now {
                self.wires.insert(*id, Wire::accept(&self.server, line, now, path, dice));
            }
            if let Some(wire) = self.wires.get_mut(id)
                && !wire.read(self.server.worker(), line, now, at)
            {
                line.at_server = false;
                self.wires.remove(id);
            }
        }
        lines.retain(|_, line| line.at_client || line.at_server);
        self.server.run_rooms();
    }

    /// Writes.
    fn send(&mut self) -> Kept {
        let (now, at) = (self.world.now, time::Instant::now().into_std());
        let World { story, lines, players, dice, room, ledger, store, .. } = &mut *self.world;
        *room = game::current().unwrap_or(*room);
        let (floor, shown) = (*self.floors.get(room).unwrap_or(&0), store.shown.entry(*room).or_default());
        let spectate_delay = story.setting.spectate_delay;
        let most_waiting = story.setting.reliable_bytes * HARD_BOUND;
        for (id, wire) in &mut self.wires {
            let Some(line) = lines.get_mut(id) else { continue };
            let path = Path::of(players, line.player);
            let is_liar = line.player >= players.len();
            // "A revoked user is gone within a second." (A sweep notices, and may have missed one.)
            let revoked = players.get(line.player).and_then(|player| player.revoked_at);
            let is_here = wire.seat().is_some() && wire.is_served();
            keep(6, revoked.is_none_or(|at| now < at + GONE) || !is_here, || {
                format!("player {} is here, though revoked at {revoked:?}", line.player)
            })?;
            // "Who lets a token expire is gone within a second."
            let valid = players.get(line.player).and_then(|player| player.valid_until);
            keep(6, valid.is_none_or(|until| now < until + GONE) || !is_here, || {
                format!("player {} is here, with a token that was valid until {valid:?}", line.player)
            })?;
            let room = *room;
            let mut turn = Turn { now, at, path, dice, room, spectate_delay, floor, most_waiting, shown };
            wire.write(self.server.worker(), line, &mut turn)?;
            if is_liar && let Some(seat) = wire.seat() {
                ledger.may_be_removed(seat);
            }
        }
        Ok(())
    }

    /// Promise 4: what waits for a tick is bounded for each seat.
    fn check_backlog(&self) -> Kept {
        let ((inputs, commands), seats) = (self.server.backlog(ROOM), self.server.tokens() + SEATS);
        keep(4, inputs <= INPUTS * seats && commands <= COMMANDS * seats, || {
            format!("{inputs} inputs and {commands} commands wait for {seats} seats")
        })
    }

    /// Promise 1: "Replaying a recording MUST give the same checksums."
    fn check_recordings(&self) -> Kept {
        let Some(folder) = &self.world.record else { return Ok(()) };
        self.server.finish_recordings();
        for entry in folder.path().read_dir().into_iter().flatten().flatten() {
            let Ok(file) = File::open(entry.path()) else { continue };
            let replayed = replay(BufReader::new(file), &kinds());
            let same = matches!(replayed, Ok((_, Verdict::Same { .. } | Verdict::Cut { .. })));
            keep(1, same, || format!("the replay of a recording: {replayed:?}"))?;
        }
        Ok(())
    }
}

/// Forgets what the games of this thread were asked.
impl Drop for Process<'_, '_> {
    fn drop(&mut self) {
        game::forget();
    }
}
