//! `loadtest soak`: for an hour, bots come and go in every way there is, and nothing of the server may grow.
//!
//! ```text
//!   life    what happens to one bot: leave, cut and resume, vanish, stall; follows from a seed
//!     │
//!   bots    a thread with a task for each bot, over all transports
//!     │ board
//!   soak    the leader: closes rooms and opens others, looks at the server every few seconds (watch)
//!     │
//!   trend   the line through each series, and how sure it is
//! ```
//!
//! At the end everybody leaves, and nothing may be left behind.

mod board;
mod bots;
mod figures;
mod life;
mod table;
mod trend;
mod watch;

use crate::{
    cast::{BotKind, Cast},
    cli::SoakArgs,
    process::{Process, raise_open_files},
    report, require,
    server::{Api, GameArgs},
    stop::Stop,
    tls::Authorities,
};
use board::Board;
use driftless_client::{Options, Trust};
pub use figures::SoakFigures;
use figures::{LeftBehind, TrendFigures};
use std::{
    fs::File,
    io::Write,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use trend::{Sample, Trend, Verdict};
use watch::{Look, SERIES};

/// How many times as many players a room takes as it has on average: bots choose at random, and those who
/// vanish keep their seats for a while.
const ROOM_FOR: u32 = 4;
/// How long the bots may take to leave.
const LEAVE_PATIENCE: Duration = Duration::from_secs(90);
/// How long the server may take to forget the last seats and rooms: its default resume window, and then the
/// time for which it keeps an empty room.
const FORGET_PATIENCE: Duration = Duration::from_secs(75);

type Failure = Box<dyn std::error::Error>;

/// Soaks, and tells how it went. The exit code is 1 if anything was wrong, or nothing was measured.
pub fn run(args: &SoakArgs, bots: &[BotKind]) -> Result<ExitCode, Failure> {
    require::check(&args.require, &SoakFigures::specimen())?;
    let stop = Stop::on_signals()?;
    let rate = args.tick_rates.iter().copied().max().unwrap_or(1);
    let cast = Cast::choose(bots, &args.kind, rate, None)?;
    eprintln!("{cast}");
    let figures = soak(args, cast, &stop)?;
    report::print_table(&table::soak(&figures), args.json.as_deref());
    if let Some(path) = &args.json {
        report::write_json(path, &figures)?;
    }
    let measured = !figures.trends.is_empty();
    if !measured {
        eprintln!("nothing was measured: {} samples are too few to say anything", figures.samples);
    }
    let well = measured && figures.errors == 0 && figures.grow == 0 && figures.left_behind.is_nothing();
    let well = require::all_hold(&args.require, &figures)? && well;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn soak(args: &SoakArgs, cast: Cast, stop: &Stop) -> Result<SoakFigures, Failure> {
    raise_open_files((args.clients + args.spectators) as usize)?;
    let (process, own) = (Process::find(args.server_pid)?, Process::own()?);
    let api = Api::new(args.url.plain()?, &args.operator, &Authorities::default());
    let quic = api.quic()?.ok_or("the server lists no certificates, so it has no QUIC")?;
    let before = Look::at(Duration::ZERO, process, &api)?;

    let mut rooms = Rooms::open(args, &api)?;
    let options = Options::new(args.url.to_string(), "").kind(args.kind.clone());
    let plan = bots::Plan {
        options: Options { trust: Trust::Sha256(quic.hashes), keep_members: false, ..options },
        players: args.clients as usize,
        spectators: args.spectators as usize,
        cast,
        play: args.play,
        ramp: args.ramp,
        seed: args.seed,
    };
    let board = rooms.board.clone();
    let thread = bots::start(plan, board.clone())?;

    let mut csv = args.samples.as_ref().map(File::create).transpose()?;
    if let Some(csv) = &mut csv {
        csv.write_all(watch::heading().as_bytes())?;
    }
    let (start, mut looks) = (Instant::now(), Vec::new());
    let settled = args.ramp + args.warm_up;
    let (mut next, mut cpu, mut missing) = (start, None, 0);
    while start.elapsed() < settled + args.duration && !stop.is_set() && !thread.is_finished() {
        rooms.replace_due();
        if Instant::now() >= next {
            next = (next + args.every).max(Instant::now());
            // Once more at once: the server may have closed the connection that was kept for it.
            let look = Look::at(start.elapsed(), process, &api);
            let look = match look.or_else(|_| Look::at(start.elapsed(), process, &api)) {
                Ok(look) => look,
                Err(error) => {
                    eprintln!("a sample is missing: {error}");
                    missing += 1;
                    continue;
                }
            };
            if let Some(csv) = &mut csv {
                look.write(csv)?;
            }
            if start.elapsed() >= settled {
                cpu.get_or_insert((Instant::now(), process.cpu()?, own.cpu()?));
                looks.push(look);
            }
        }
        std::thread::sleep(Duration::from_millis(100).min(args.every));
    }
    let (since, server, swarm) = cpu.unwrap_or((Instant::now(), process.cpu()?, own.cpu()?));
    let seconds = since.elapsed().as_secs_f64();
    let (server, swarm) = (process.cpu()? - server, own.cpu()? - swarm);

    board.end();
    wait(LEAVE_PATIENCE, || thread.is_finished());
    if !thread.is_finished() {
        return Err("the bots do not come to an end".into());
    }
    thread.join().map_err(|_| "the thread of the bots panicked: a fault in loadtest")??;
    rooms.close();
    let mut left_behind = LeftBehind::unknown();
    wait(FORGET_PATIENCE, || {
        let Ok(look) = Look::at(start.elapsed(), process, &api) else { return false };
        left_behind = left(&before, &look);
        left_behind.is_nothing()
    });

    let trends: Vec<_> =
        SERIES.iter().filter_map(|series| Some((series.name, fit(&looks, series)?))).collect();
    let trends = trends.iter().map(|(name, trend)| (*name, TrendFigures::new(trend, args.tolerance)));
    let trends: std::collections::BTreeMap<_, _> = trends.collect();
    board.violations(|violations| violations.examples().for_each(|example| eprintln!("error: {example}")));
    Ok(SoakFigures {
        clients: args.clients.into(),
        spectators: args.spectators.into(),
        rooms: args.rooms.into(),
        rooms_replaced: rooms.replaced,
        seconds,
        samples: looks.len() as u64,
        samples_missing: missing,
        bots: board.counts(),
        errors: board.violations(|violations| violations.total()),
        errors_by_kind: board.violations(|violations| violations.counts()),
        server_cpu: server.as_secs_f64() / seconds.max(1e-9),
        swarm_cpu: swarm.as_secs_f64() / seconds.max(1e-9),
        tolerance: args.tolerance,
        grow: trends.values().filter(|trend| trend.verdict == Some(Verdict::Grows)).count() as u64,
        trends,
        left_behind,
    })
}

fn fit(looks: &[Look], series: &watch::Series) -> Option<Trend> {
    let samples: Vec<_> =
        looks.iter().map(|look| Sample { hours: look.hours, value: (series.of)(look) }).collect();
    Trend::fit(&samples)
}

/// Looks until it is so, or the time is over.
fn wait(most: Duration, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + most;
    while !is_so() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn left(before: &Look, after: &Look) -> LeftBehind {
    let more = |of: fn(&Look) -> u64| of(after).saturating_sub(of(before));
    LeftBehind {
        connections: more(|look| look.has.connections),
        players: more(|look| look.has.players),
        spectators: more(|look| look.has.spectators),
        rooms: more(|look| look.has.rooms),
        threads: more(|look| look.holds.threads),
        descriptors: more(|look| look.holds.descriptors),
    }
}

/// The rooms, each of which is closed after a while and makes way for another.
struct Rooms<'a> {
    args: &'a SoakArgs,
    api: &'a Api,
    board: Arc<Board>,
    /// Names begin with this.
    run: u32,
    opened: u32,
    /// When the next one is replaced.
    next: Instant,
    replaced: u64,
    /// Those that were replaced. Each is closed when the next one is, so that those get there who were on
    /// their way.
    old: Vec<String>,
}

impl<'a> Rooms<'a> {
    fn open(args: &'a SoakArgs, api: &'a Api) -> Result<Self, Failure> {
        let (board, run) = (Arc::default(), fastrand::u32(..));
        let next = Instant::now() + args.room_life / args.rooms;
        let mut rooms = Self { args, api, board, run, opened: 0, next, replaced: 0, old: Vec::new() };
        let names = (0..args.rooms).map(|_| rooms.make()).collect::<Result<Vec<_>, _>>()?;
        rooms.board = Arc::new(Board::new(names));
        Ok(rooms)
    }
    fn make(&mut self) -> Result<String, Failure> {
        let Self { args, opened, run, .. } = self;
        let name = format!("soak-{run:08x}-{opened}");
        // After as many rooms as there are at a time, the same rate comes again.
        let place = (*opened % args.rooms) as usize;
        let game = GameArgs {
            kind: args.kind.clone(),
            tick_rate: args.tick_rates.get(place % args.tick_rates.len().max(1)).copied().unwrap_or(2),
            room_options: None,
        };
        let room_for = |bots: u32| bots.div_ceil(args.rooms).saturating_mul(ROOM_FOR).clamp(20, 10_000);
        let spectators = if args.spectators == 0 { 0 } else { room_for(args.spectators) };
        self.api.create_room(&name, &game, room_for(args.clients), spectators)?;
        *opened += 1;
        Ok(name)
    }
    /// Opens a room in the place of another, if it is time. What fails is tried again the next time.
    fn replace_due(&mut self) {
        if Instant::now() < self.next {
            return;
        }
        self.next += self.args.room_life / self.args.rooms;
        let place = (self.opened % self.args.rooms) as usize;
        let api = self.api;
        self.old.retain(|room| api.close_room(room).is_err());
        match self.make() {
            Ok(new) => {
                self.old.push(self.board.replace(place, new));
                self.replaced += 1;
            }
            Err(error) => eprintln!("a room is not replaced: {error}"),
        }
    }
    fn close(&self) {
        for room in self.board.rooms().iter().chain(&self.old) {
            if let Err(error) = self.api.close_room(room) {
                eprintln!("a room is not closed: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_before_is_left_behind() {
        let mut before = Look::default();
        (before.holds.descriptors, before.has.rooms) = (20, 3);
        let mut after = before;
        assert!(left(&before, &after).is_nothing());
        (after.holds.descriptors, after.has.rooms) = (22, 4);
        let behind = left(&before, &after);
        assert_eq!(behind, LeftBehind { descriptors: 2, rooms: 1, ..LeftBehind::default() });
        assert!(!behind.is_nothing());
    }
}
