//! Players, their connections, and the server, in one thread and in virtual time.
//!
//! The world's time moves from one event to the next, in steps of at least a millisecond. The runtime of the
//! server is paused and follows it: between two steps the server's actors do all that they can, and its
//! timers fire when their time comes. While the server stands still, or is not there, only the world's time
//! moves on.

use super::{
    disk::Death,
    game,
    liar::{self, Liar},
    line::Line,
    network::Time,
    player::{Player, ROOM},
    presence::Ledger,
    process::{self, Ended, Left},
    promise::{Broken, Kept, keep},
    server::Path,
    store::Store,
    story::{Act, Notice, Play, Story, What},
};
use driftless_proto::{limits::Limits, session::Delivery};
use driftless_server::{config::Config, server::Interior};
use driftless_sim::{GameKind, games};
use fastrand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The shortest step.
pub const STEP: Duration = Duration::from_millis(1);
/// How long after its last act a story goes on, besides what timeouts take.
const TAIL: Duration = Duration::from_secs(8);

/// How long nothing has happened before a story may be over.
const QUIET: Duration = Duration::from_secs(3);
/// How long after a command its player knows what became of it.
const ANSWERED: Duration = Duration::from_secs(3);

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

/// All but the server.
pub struct World<'a> {
    pub story: &'a Story,
    pub now: Time,
    /// When the clients' clocks began.
    origin: Instant,
    pub players: Vec<Player>,
    liars: BTreeMap<u64, Liar>,
    pub lines: BTreeMap<u64, Line>,
    next_line: u64,
    pub dice: Rng,
    acts: &'a [Act],
    /// What an operator or a fault does to the server, and is not done yet.
    pub orders: Vec<What>,
    /// Connections that broke, as the server learns.
    pub broken: BTreeSet<u64>,
    pub frozen_until: Time,
    /// There is no process.
    is_down: bool,
    /// The room was closed while the server stopped.
    pub closed: bool,
    /// What tells the rooms of one name apart, how many there have been, and when the newest was made.
    pub room: u64,
    pub rooms: u64,
    pub made_at: Time,
    /// The next server need not know it.
    pub room_may_be_lost: bool,
    pub ledger: Ledger,
    pub record: Option<TempDir>,
    pub store: Store,
    pub steps: u64,
}

/// Runs a story.
pub fn run(story: &Story) -> Result<Summary, Failure> {
    let mut world = World::new(story);
    let played = world.play();
    let at = world.now;
    played.map_err(|broken| Failure { at, broken })
}

/// The games that can be played.
pub fn kinds() -> Vec<GameKind> {
    [vec![game::kind()], games::kinds()].concat()
}

impl<'a> World<'a> {
    fn new(story: &'a Story) -> Self {
        let players = story.acts.iter().filter_map(|act| act.what.player()).max().map_or(0, |most| most + 1);
        Self {
            story,
            now: Time::ZERO,
            origin: Instant::now(),
            players: (0..players).map(|number| Player::new(number, &story.setting)).collect(),
            liars: BTreeMap::new(),
            lines: BTreeMap::new(),
            next_line: 0,
            dice: Rng::with_seed(story.seed ^ 0x5eed),
            acts: &story.acts,
            orders: Vec::new(),
            broken: BTreeSet::new(),
            frozen_until: Time::ZERO,
            is_down: false,
            closed: false,
            room: 0,
            rooms: 0,
            made_at: Time::ZERO,
            room_may_be_lost: true,
            ledger: Ledger::default(),
            record: story.setting.record.then(|| TempDir::new().ok()).flatten(),
            store: Store::new(story.seed, &story.setting),
            steps: 0,
        }
    }

    /// One process of the server after another.
    fn play(&mut self) -> Result<Summary, Broken> {
        let mut before = Left::Nothing;
        while let Ended::Down { until, left } = process::run(self, before)? {
            self.store.disk.revive();
            self.wait(until)?;
            before = left;
        }
        let mut summary = Summary { steps: self.steps, ..Summary::default() };
        for stats in self.players.iter().filter_map(|player| player.core.as_ref()).map(|core| core.stats()) {
            summary.states += stats.states;
            summary.events += stats.reliable;
            summary.resumes += stats.resumes;
        }
        Ok(summary)
    }

    pub fn config(&self) -> Config {
        let setting = &self.story.setting;
        let ms = |ms: u32| Duration::from_millis(ms.into());
        Config {
            quic: driftless_server::config::QuicListen::Off,
            resume_window: ms(setting.window),
            linger: Duration::from_secs(3_600),
            spectate_delay: ms(setting.spectate_delay),
            record: self.record.as_ref().map(|folder| folder.path().to_owned()),
            store: self.store.is_there().then(|| self.store.disk.path()),
            durability: setting.durability.into(),
            checkpoint_every: self.store.every(),
            journal_sync: self.store.synchronised_every(),
            limits: Limits {
                timeout: ms(setting.timeout),
                heartbeat: ms(setting.timeout / 3),
                reliable_messages: setting.reliable_messages,
                reliable_bytes: setting.reliable_bytes,
                ..Limits::default()
            },
            ..Config::default()
        }
    }

    /// From when on the story may be over.
    pub fn may_end(&self) -> Time {
        Duration::from_millis(self.story.ends().into()) + QUIET
    }

    /// When the story is over: all who want to are back by then, and no ghost is left.
    pub fn end(&self) -> Time {
        let setting = &self.story.setting;
        let ms = |ms: u32| Duration::from_millis(ms.into());
        ms(self.story.ends()) + 2 * ms(setting.client_timeout) + ms(setting.window) + TAIL
    }

    /// The server loses so much.
    pub fn lose(&mut self, death: Death, lasts: Duration) {
        let (now, loss) = (self.now, self.store.loss(death, self.now));
        for player in &mut self.players {
            // What nobody has accepted yet may reach the next server.
            let line = player.line.unwrap_or(self.next_line);
            let is_new = self.lines.get(&line).is_some_and(|line| line.answered_at.is_none());
            player.may_lose(loss, now, lasts, line - u64::from(is_new));
        }
    }

    /// There is no server until then.
    fn wait(&mut self, until: Time) -> Kept {
        self.is_down = true;
        for line in self.lines.values_mut() {
            line.at_server = false;
        }
        while self.now < until {
            self.act();
            self.orders.clear();
            let (now, dice) = (self.now, &mut self.dice);
            for line in self.lines.values_mut().filter(|line| line.at_client && line.reset_at.is_none()) {
                let is_known = line.answered_at.is_some() || line.knocks_at <= now;
                // A kernel answers for a process that is gone, but not to datagrams.
                if is_known && line.delivery == Delivery::Ordered {
                    let path = Path::of(&self.players, line.player);
                    line.reset_at = Some(now.max(path.dark) + path.on.travel(dice));
                }
            }
            self.now += STEP;
            self.play_clients()?;
            self.lines.retain(|_, line| line.at_client);
            self.now = self.next_of_clients().min(until).max(self.now);
        }
        self.is_down = false;
        Ok(())
    }

    /// When something happens next, apart from the server.
    pub fn next_of_clients(&self) -> Time {
        let mut next = self.now + Duration::from_millis(100);
        if let Some(act) = self.acts.first() {
            next = next.min(Duration::from_millis(act.at.into()));
        }
        for player in &self.players {
            next = next.min(player.next(self.origin, self.now, &self.lines));
        }
        for liar in self.liars.values() {
            next = liar.next().into_iter().fold(next, Time::min);
        }
        up_to_a_step(next)
    }

    /// What the story says.
    pub fn act(&mut self) {
        while let Some((act, rest)) = self.acts.split_first()
            && Duration::from_millis(act.at.into()) <= self.now
        {
            self.acts = rest;
            self.happen(act.what);
        }
    }

    fn happen(&mut self, what: What) {
        let (now, setting) = (self.now, self.story.setting);
        let lasts = Duration::from_millis(what.lasts().into());
        // What is done to a server that stands still comes later.
        let later = self.frozen_until.saturating_sub(now);
        match what {
            What::ServerFreezes { .. } if self.is_down => return,
            What::ServerFreezes { .. } => {
                self.store.stood += lasts;
                self.frozen_until = self.frozen_until.max(now + lasts);
                self.players.iter_mut().for_each(|player| player.excuses.unanswered(now, lasts));
                return;
            }
            What::Storm { notice } => {
                return (0..self.players.len()).for_each(|player| self.happen(What::Cut { player, notice }));
            }
            What::CloseRoom => {
                self.players.iter_mut().for_each(|player| player.excuses.may_lose_its_seat(now, later));
                return self.orders.push(what);
            }
            What::Restart { .. } | What::Kill { .. } | What::PowerCut { .. } => {
                let stop = if let What::Restart { .. } = what { process::STOP } else { Time::ZERO };
                self.players.iter_mut().for_each(|player| player.excuses.stopped(now, later + lasts + stop));
                return self.orders.push(what);
            }
            What::ClockIsSet { ahead } => {
                self.set_clock(ahead);
                return self.orders.push(what);
            }
            What::DiskIsFull { .. } | What::DiskFails { .. } | What::DiskIsSlow { .. } => {
                return self.store.happen(what, now);
            }
            What::Lie { lie, datagrams } => {
                let delivery = delivery(datagrams);
                self.next_line += 1;
                let number = self.players.len() + self.next_line as usize % 200;
                self.lines.insert(self.next_line, Line::knock(number, delivery, now, now));
                self.liars.insert(self.next_line, Liar::new(lie));
                return;
            }
            _ => {}
        }
        let Some(player) = what.player().and_then(|player| self.players.get_mut(player)) else { return };
        let at = player.at(self.origin, now);
        let seat = player.seat();
        match what {
            What::Join { datagrams, network, .. } | What::Watch { datagrams, network, .. } => {
                player.come(now, delivery(datagrams), network, matches!(what, What::Watch { .. }));
                return;
            }
            What::Move { datagrams, network, .. } => {
                player.excuses.troubled(now, Duration::ZERO);
                if let Some(line) = player.line.and_then(|id| self.lines.get_mut(&id)) {
                    line.at_client = false;
                    player.lose(at, "moved");
                }
                player.move_to(delivery(datagrams), network);
            }
            What::Revoke { .. } => {
                if !setting.tokens || player.revoked_at.is_some() {
                    return;
                }
                (player.revoked_at, player.excuses.revoked) = (Some(now + later), true);
                player.excuses.may_lose_its_seat(now, later);
                self.orders.push(what);
                self.ledger.any_may_be_removed(); // its user may have another one, of which it has yet to hear
            }
            What::Leave { .. } => {
                player.leave(at);
                self.ledger.leaves(seat);
                return;
            }
            What::Kick { .. } => {
                player.excuses.kicked = true;
                player.excuses.may_lose_its_seat(now, later);
                self.orders.push(what);
            }
            What::Cut { notice, .. } => {
                player.excuses.troubled(now, Duration::ZERO);
                if let Some(id) = player.line
                    && let Some(line) = self.lines.get_mut(&id)
                {
                    if notice != Notice::Client {
                        line.at_server = false;
                        self.broken.insert(id);
                    }
                    if notice != Notice::Server {
                        line.at_client = false;
                        player.lose(at, "cut");
                    }
                }
            }
            What::Dark { .. } => {
                player.dark_until = player.dark_until.max(now + lasts);
                player.excuses.troubled(now, lasts);
            }
            What::Freeze { asleep, .. } => {
                player.freeze(now, now + lasts, asleep);
                player.excuses.troubled(now, lasts);
            }
            What::Deaf { .. } => {
                player.deaf_until = player.deaf_until.max(now + lasts);
                player.excuses.troubled(now, lasts);
            }
            What::Network { network, .. } => return player.moved(now, network),
            What::Hurry { commands, .. } => {
                // Whoever is away while so much happens is told too much to be waited for.
                if setting.reliable_messages < 512 || setting.is_tight() {
                    self.ledger.any_may_be_removed();
                }
                if setting.is_tight() {
                    self.players.iter_mut().for_each(|player| player.excuses.may_be_told_too_much(now));
                }
                let Some(player) = what.player().and_then(|player| self.players.get_mut(player)) else {
                    return;
                };
                return player.hurry(now, setting.play, commands);
            }
            _ => return,
        }
        seat.into_iter().for_each(|seat| self.ledger.may_be_removed(seat));
    }

    /// The clock of the server's machine is set, by which tokens are made, too.
    pub fn set_clock(&mut self, ahead: i32) {
        self.store.set_clock(ahead);
        let back = Duration::from_millis(ahead.min(0).unsigned_abs().into());
        // Those that are under way are valid for longer.
        let until = self.players.iter_mut().filter_map(|player| player.valid_until.as_mut());
        until.for_each(|until| *until += back);
        if ahead > 0 {
            self.players.iter_mut().for_each(|player| player.excuses.tokens_may_expire(self.now));
        }
    }

    pub fn play_clients(&mut self) -> Kept {
        let Self { players, origin, now, story, lines, next_line, dice, liars, store, .. } = self;
        let today = store.time_of_day(*now);
        for player in players {
            player.today = today;
            let played = player.play(*origin, *now, &story.setting, lines, next_line, dice);
            played.map_err(|Broken { promise, what }| Broken {
                promise,
                what: format!("player {}: {what}", player.number),
            })?;
        }
        let kind = story.setting.play.kind();
        liars.retain(|id, _| lines.get(id).is_some_and(|line| line.at_client));
        liars.iter_mut().try_for_each(|(id, liar)| {
            let Some(line) = lines.get_mut(id) else { return Ok(()) };
            if line.reset_at.is_some_and(|at| at <= *now) {
                line.at_client = false;
            }
            liar.play(line, kind, *now, dice)
        })
    }

    /// After a quiet time, everybody is where they want to be, and nobody else is there.
    pub async fn check_end(&self, server: &Interior) -> Kept {
        let mut seats = Vec::new();
        for player in self.players.iter().filter(|player| player.is_in) {
            let number = player.number;
            let phase = player.core.as_ref().map(|core| core.phase().clone());
            keep(9, player.is_online(), || format!("player {number} is not back: {phase:?}"))?;
            let unheard = player.waits_for(self.now.saturating_sub(ANSWERED));
            keep(3, unheard == 0 || self.story.setting.play != Play::Tally, || {
                format!("player {number} never heard of {unheard} commands")
            })?;
            seats.extend(player.seat().filter(|_| !player.spectates));
        }
        let Some(room) = server.inspect(ROOM).await else {
            return keep(10, false, || "the room is gone".to_owned());
        };
        let mut taken: Vec<_> = room.seats.iter().filter(|seat| !seat.npc).map(|seat| seat.player).collect();
        seats.sort();
        taken.sort();
        // Promise 4: nothing is kept of those who are gone.
        let lines = self.lines.values().filter(|line| line.at_server).count();
        let sizes = (server.open_connections(), server.tokens());
        keep(4, sizes == (lines, taken.len()), || {
            format!("{sizes:?} connections and tokens for {lines} lines and {} seats", taken.len())
        })?;
        keep(5, seats == taken, || format!("the players have the seats {seats:?}, but {taken:?} are taken"))?;
        let npcs = room.seats.iter().filter(|seat| seat.npc).count();
        let newest = room.state.as_ref().map_or(0, |state| state.snapshot().tick());
        for player in self.players.iter().filter(|player| player.is_in) {
            let (number, tick) = (player.number, player.tick());
            let rate = self.story.setting.tick_rate;
            let delay =
                if player.spectates { self.story.setting.spectate_delay * rate / 1_000 + 1 } else { 0 };
            let most = u32::max(3, rate) + delay;
            keep(4, tick + most >= newest, || format!("player {number} has tick {tick} of {newest}"))?;
            let members = player.core.as_ref().and_then(|core| core.members());
            let known: Vec<_> =
                members.iter().flat_map(|m| m.iter()).flat_map(|m| m.players.clone()).collect();
            keep(5, known.len() == seats.len() + npcs, || {
                format!("player {number} knows of {known:?}, but {seats:?} are there")
            })?;
        }
        Ok(())
    }
}

fn delivery(datagrams: bool) -> Delivery {
    if datagrams { Delivery::Datagram } else { Delivery::Ordered }
}

/// The timers of the runtime know nothing shorter.
pub fn up_to_a_step(time: Time) -> Time {
    Duration::from_millis(time.as_nanos().div_ceil(STEP.as_nanos()) as u64)
}

impl Path {
    /// Of this player; or of a liar.
    pub fn of(players: &[Player], number: usize) -> Self {
        match players.get(number) {
            Some(player) => Self { on: player.network, dark: player.dark_until },
            None => Self { on: liar::NETWORK, dark: Time::ZERO },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Broken { promise, what } = &self.broken;
        write!(f, "promise {promise} was broken after {:?}: {what}", self.at)
    }
}
