//! Players, their connections, and the server, in one thread and in virtual time.
//!
//! The world's time moves from one event to the next, in steps of at least a millisecond. The runtime of the
//! server is paused and follows it: between two steps the server's actors do all that they can, and its
//! timers fire when their time comes. While the server stands still, only the world's time moves on.

use super::{
    game,
    network::Time,
    player::{Broken, Kept, Line, Player, ROOM, keep},
    presence::Ledger,
    server::{Path, Turn, Wire},
    story::{Act, Notice, Story, What},
};
use driftless_proto::{limits::Limits, session::Delivery};
use driftless_server::{config::Config, server::Interior};
use driftless_sim::Setup;
use fastrand::Rng;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt, panic,
    sync::Once,
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime::Builder, time};

/// The shortest step.
const STEP: Duration = Duration::from_millis(1);
/// How long after its last act a story goes on, besides what timeouts take.
const TAIL: Duration = Duration::from_secs(8);

/// Where a story went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub at: Time,
    pub broken: Broken,
}

/// What happened in a story that went well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub steps: u64,
    pub states: u64,
    pub events: u64,
    pub resumes: u64,
}

struct World<'a> {
    story: &'a Story,
    now: Time,
    /// When the clients' clocks began.
    origin: Instant,
    players: Vec<Player>,
    lines: BTreeMap<u64, Line>,
    next_line: u64,
    dice: Rng,
    acts: &'a [Act],
    frozen_until: Time,
    /// What tells the rooms of one name apart.
    room: u64,
    ledger: Ledger,
}

thread_local! {
    /// The first panic of a simulation on this thread. None: there is no simulation on it.
    static PANIC: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

/// Runs a story, on a thread of its own, because the server has what belongs to a thread.
pub fn run(story: &Story) -> Result<Summary, Failure> {
    hear_panics();
    thread::scope(|scope| {
        let run = || {
            PANIC.set(Some(None));
            let runtime = || {
                let mut runtime = Builder::new_current_thread();
                runtime.enable_time().start_paused(true).max_blocking_threads(1);
                runtime.build().unwrap_or_else(|error| panic!("no runtime: {error}"))
            };
            actix_rt::System::with_tokio_rt(runtime).block_on(World::new(story).play())
        };
        scope.spawn(run).join().unwrap_or_else(|_| {
            let broken = Broken { promise: 6, what: "the simulation itself panicked".to_owned() };
            Err(Failure { at: Time::ZERO, broken })
        })
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

impl<'a> World<'a> {
    fn new(story: &'a Story) -> Self {
        let players = story.acts.iter().filter_map(|act| act.what.player()).max().map_or(0, |most| most + 1);
        Self {
            story,
            now: Time::ZERO,
            origin: Instant::now(),
            players: (0..players).map(Player::new).collect(),
            lines: BTreeMap::new(),
            next_line: 0,
            dice: Rng::with_seed(story.seed ^ 0x5eed),
            acts: &story.acts,
            frozen_until: Time::ZERO,
            room: story.seed,
            ledger: Ledger::default(),
        }
    }

    fn config(&self) -> Config {
        let setting = &self.story.setting;
        let ms = |ms: u32| Duration::from_millis(ms.into());
        Config {
            quic: driftless_server::config::QuicListen::Off,
            resume_window: ms(setting.window),
            linger: Duration::from_secs(3_600),
            limits: Limits {
                timeout: ms(setting.timeout),
                heartbeat: ms(setting.timeout / 3),
                reliable_messages: setting.reliable_messages,
                ..Limits::default()
            },
            ..Config::default()
        }
    }

    /// When the story is over: all who want to are back by then, and no ghost is left.
    fn end(&self) -> Time {
        let setting = &self.story.setting;
        let ms = |ms: u32| Duration::from_millis(ms.into());
        ms(self.story.ends()) + 2 * ms(setting.timeout) + ms(setting.window) + TAIL
    }

    async fn play(mut self) -> Result<Summary, Failure> {
        let played = self.try_play().await;
        let at = self.now;
        played.map_err(|broken| Failure { at, broken })
    }

    async fn try_play(&mut self) -> Result<Summary, Broken> {
        let server = Interior::start(&self.config(), &[game::kind()], self.ledger.clone())
            .map_err(|error| Broken { promise: 0, what: error.to_string() })?;
        let setting = self.story.setting;
        let setup = Setup { tick_rate: setting.tick_rate, ..Setup::new(self.room, setting.tick_rate) };
        server.make_room(ROOM, game::KIND, &setup).await.map_err(|what| Broken { promise: 0, what })?;
        let (begin, end) = (time::Instant::now(), self.end());
        let mut wires = BTreeMap::new();
        let mut summary = Summary::default();
        while self.now < end {
            summary.steps += 1;
            let stood_still = self.frozen_until > Time::ZERO && self.frozen_until <= self.now;
            if stood_still {
                self.frozen_until = Time::ZERO;
                time::advance((begin + self.now).saturating_duration_since(time::Instant::now())).await;
            }
            if self.frozen_until == Time::ZERO {
                time::sleep_until(begin + self.now).await;
            }
            self.act(&mut wires);
            if self.frozen_until == Time::ZERO {
                self.serve(&server, &mut wires);
                self.now += STEP;
                time::sleep_until(begin + self.now).await;
                self.send(&server, &mut wires)?;
            } else {
                self.now += STEP;
            }
            self.play_clients()?;
            self.ledger.check()?;
            if let Some(panic) = PANIC.with_borrow(|panic| panic.clone().flatten()) {
                return Err(Broken { promise: 6, what: panic });
            }
            self.now = up_to_a_step(self.next(&server, begin)).max(self.now);
        }
        self.check_end(&server).await?;
        for stats in self.players.iter().filter_map(|player| player.core.as_ref()).map(|core| core.stats()) {
            summary.states += stats.states;
            summary.events += stats.reliable;
            summary.resumes += stats.resumes;
        }
        Ok(summary)
    }

    /// When something happens next.
    fn next(&self, server: &Interior, begin: time::Instant) -> Time {
        let mut next = self.now + Duration::from_millis(100);
        if let Some(act) = self.acts.first() {
            next = next.min(Duration::from_millis(act.at.into()));
        }
        for player in &self.players {
            next = next.min(player.next(self.origin, self.now, &self.lines));
        }
        if self.frozen_until > self.now {
            return next.min(self.frozen_until);
        }
        for line in self.lines.values() {
            let up = if line.at_server { line.up.next() } else { line.at_client.then_some(line.knocks_at) };
            // What never arrives any more is not waited for.
            next = up.into_iter().fold(next, Time::min);
        }
        if let Some(tick) = server.next_tick() {
            next = next.min(tick.saturating_duration_since(begin.into_std()));
        }
        next
    }

    /// What the story says.
    fn act(&mut self, wires: &mut BTreeMap<u64, Wire>) {
        while let Some((act, rest)) = self.acts.split_first()
            && Duration::from_millis(act.at.into()) <= self.now
        {
            self.acts = rest;
            self.happen(act.what, wires);
        }
    }

    fn happen(&mut self, what: What, wires: &mut BTreeMap<u64, Wire>) {
        let (now, setting) = (self.now, self.story.setting);
        let lasts = Duration::from_millis(what.lasts().into());
        if let What::ServerFreezes { .. } = what {
            self.frozen_until = self.frozen_until.max(now + lasts);
            for player in &mut self.players {
                player.silence_until = player.silence_until.max(now + 2 * lasts + Duration::from_secs(6));
            }
            return;
        }
        let Some(player) = what.player().and_then(|player| self.players.get_mut(player)) else { return };
        let at = player.at(self.origin, now);
        match what {
            What::Join { datagrams, network, .. } => {
                let delivery = if datagrams { Delivery::Datagram } else { Delivery::Ordered };
                player.come(now, delivery, network);
            }
            What::Leave { .. } => player.leave(at),
            What::Cut { notice, .. } => {
                player.troubled(now, Duration::ZERO, &setting);
                let Some(id) = player.line else { return };
                let Some(line) = self.lines.get_mut(&id) else { return };
                if notice != Notice::Client {
                    line.at_server = false;
                    if let Some(wire) = wires.remove(&id) {
                        wire.end("cut");
                    }
                }
                if notice != Notice::Server {
                    line.at_client = false;
                    player.lose(at, "cut");
                }
            }
            What::Dark { .. } => {
                player.dark_until = player.dark_until.max(now + lasts);
                player.troubled(now, lasts, &setting);
            }
            What::Freeze { asleep, .. } => {
                player.freeze(now, now + lasts, asleep);
                player.troubled(now, lasts, &setting);
            }
            What::Deaf { .. } => {
                player.deaf_until = player.deaf_until.max(now + lasts);
                player.troubled(now, lasts, &setting);
            }
            What::Network { network, .. } => player.network = network,
            What::Hurry { commands, .. } => player.hurry(commands),
            What::ServerFreezes { .. } => {}
        }
    }

    /// The server accepts, reads, and runs its rooms.
    fn serve(&mut self, server: &Interior, wires: &mut BTreeMap<u64, Wire>) {
        let (now, at) = (self.now, time::Instant::now().into_std());
        for (id, line) in &mut self.lines {
            let player = &self.players[line.player];
            let path = Path { on: player.network, dark: player.dark_until };
            if line.answered_at.is_none() && line.at_client && line.knocks_at <= now {
                wires.insert(*id, Wire::accept(server, line, now, path, &mut self.dice));
            }
            if let Some(wire) = wires.get_mut(id)
                && !wire.read(server.worker(), line, now, at)
            {
                line.at_server = false;
                wires.remove(id);
            }
        }
        self.lines.retain(|_, line| line.at_client || line.at_server);
        server.run_rooms();
    }

    /// The server writes.
    fn send(&mut self, server: &Interior, wires: &mut BTreeMap<u64, Wire>) -> Kept {
        let (now, at) = (self.now, time::Instant::now().into_std());
        for (id, wire) in wires {
            let Some(line) = self.lines.get_mut(id) else { continue };
            let player = &self.players[line.player];
            let path = Path { on: player.network, dark: player.dark_until };
            let mut turn = Turn { now, at, path, dice: &mut self.dice, room: self.room };
            wire.write(server.worker(), line, &mut turn)?;
        }
        Ok(())
    }

    fn play_clients(&mut self) -> Kept {
        let Self { players, origin, now, story, lines, next_line, dice, .. } = self;
        players
            .iter_mut()
            .try_for_each(|player| player.play(*origin, *now, &story.setting, lines, next_line, dice))
    }

    /// After a quiet time, everybody is where they want to be, and nobody else is there.
    async fn check_end(&self, server: &Interior) -> Kept {
        let mut seats = Vec::new();
        for player in self.players.iter().filter(|player| player.is_in) {
            let number = player.number;
            let phase = player.core.as_ref().map(|core| core.phase().clone());
            keep(9, player.is_online(), || format!("player {number} is not back: {phase:?}"))?;
            keep(3, player.waits_for() <= 2, || {
                format!("player {number} never heard of {} commands", player.waits_for())
            })?;
            seats.extend(player.seat());
        }
        let Some(room) = server.inspect(ROOM).await else {
            return keep(10, false, || "the room is gone".to_owned());
        };
        let mut taken: Vec<_> = room.seats.iter().map(|seat| seat.player).collect();
        seats.sort();
        taken.sort();
        keep(5, seats == taken, || format!("the players have the seats {seats:?}, but {taken:?} are taken"))?;
        let newest = room.state.as_ref().map_or(0, |state| state.snapshot().tick());
        for player in self.players.iter().filter(|player| player.is_in) {
            let (number, tick) = (player.number, player.tick());
            let most = u32::max(3, self.story.setting.tick_rate);
            keep(4, tick + most >= newest, || format!("player {number} has tick {tick} of {newest}"))?;
            let members = player.core.as_ref().and_then(|core| core.members());
            let known: Vec<_> =
                members.iter().flat_map(|m| m.iter()).flat_map(|m| m.players.clone()).collect();
            keep(5, known.len() == seats.len(), || {
                format!("player {number} knows of {known:?}, but {seats:?} are there")
            })?;
        }
        Ok(())
    }
}

/// The timers of the runtime know nothing shorter.
fn up_to_a_step(time: Time) -> Time {
    Duration::from_millis(time.as_nanos().div_ceil(STEP.as_nanos()) as u64)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Broken { promise, what } = &self.broken;
        write!(f, "promise {promise} was broken after {:?}: {what}", self.at)
    }
}
