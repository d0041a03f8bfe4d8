//! `loadtest run`: leads the bots through ramp-up, warm-up, measured time and end, and asks the server for
//! its figures.

mod control;
mod progress;
mod tally;
mod team;

pub use tally::Tally;

use crate::{
    cast::{BotKind, Cast},
    cli::{RunArgs, TransportChoice},
    figures::Figures,
    floor::{self, FloorFigures, FloorSpec},
    process::{Process, ProcessError, raise_open_files},
    report, require,
    server::{Api, Scrape},
    stop::Stop,
    swarm::Target,
    tls::Authorities,
    ws,
};
use control::{Control, Step};
use driftless_client::{Options, Trust};
use progress::Progress;
use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tally::Edge;
use team::{Team, TeamPlan};

/// How long to wait after the ramp for bots that have not been welcomed.
const JOIN_PATIENCE: Duration = Duration::from_secs(10);
/// How long the last states of the measured time may take to arrive.
const LAST_STATES: Duration = Duration::from_millis(500);
/// How long the server may take to let all bots go.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

type Failure = Box<dyn std::error::Error>;

/// Plays, and tells how it went. The exit code is 1 if anything was wrong.
pub fn run(args: &RunArgs, bots: &[BotKind]) -> Result<ExitCode, Failure> {
    require::check(&args.require, &Figures::specimen())?;
    let stop = Stop::on_signals()?;
    let cast = Cast::of_run(args, bots)?;
    let tally = play(args, &cast, &stop)?;
    let mut figures = tally.figures();
    if args.floor && !stop.is_set() {
        eprintln!("measuring the floor of the same traffic");
        figures.set_floor(measure_floor(args, &tally, &stop)?);
    }
    report::print_table(&report::table::run(&figures), args.json.as_deref());
    let doubt = tally.doubt();
    if let Some(doubt) = &doubt {
        eprintln!("warning: {doubt}");
    }
    for example in tally.violations() {
        eprintln!("error: {example}");
    }
    for advice in tally.advice() {
        eprintln!("what to do: {advice}");
    }
    if let Some(path) = &args.json {
        report::write_json(path, &figures)?;
    }
    if let Some(folder) = &args.report {
        let page = report::html::page(&figures, &tally.measure, &command_line(), doubt.as_deref());
        eprintln!("report: {}", report::write_page(folder, &page)?.display());
    }
    let well = require::all_hold(&args.require, &figures)? && figures.errors == 0;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

impl Cast {
    /// The cast of a run; prints what it does.
    pub fn of_run(args: &RunArgs, bots: &[BotKind]) -> Result<Self, Failure> {
        let cast = Self::choose(bots, &args.game.kind, args.game.tick_rate, args.trace.as_deref())?;
        eprintln!("{cast}");
        Ok(cast)
    }
}

/// Plays in new rooms, which it leaves to the server.
pub fn play(args: &RunArgs, cast: &Cast, stop: &Stop) -> Result<Tally, Failure> {
    let clients = args.bots();
    raise_open_files(clients)?;
    let process = args.server_pid.map(Process::find).transpose()?;
    let own = Process::own()?;
    let address = args.url.resolve()?;
    let empty = Edge::memory(process, own)?;

    let authorities = Authorities::read(args.ca.as_deref())?;
    let api = Api::new(&args.url, &args.operator, &authorities);
    let run = format!("load-{:08x}", fastrand::u32(..));
    let tokens = args.tokens.read(&run, args.ramp + args.warm_up + args.duration)?;
    let rooms = make_rooms(args, &run, &api, &authorities)?;
    let names: Vec<String> = rooms.iter().map(|room| room.room.clone()).collect();

    let control = Arc::new(Control::default());
    let target = Target {
        address,
        request: ws::request(&args.url.authority(), args.url.path(), driftless_proto::limits::SUBPROTOCOL),
        tokens,
        receive_buffer: None,
    };
    let plan = TeamPlan {
        target,
        rooms,
        room_size: args.room_size as usize,
        cast: cast.clone(),
        args: args.clone(),
    };
    let teams = Team::start_all(&plan, &control)?;
    let progress = Progress::new(&control, clients);
    let wait = |what: &str, most: Duration, done: &dyn Fn() -> bool| {
        let until = Instant::now() + most;
        while Instant::now() < until && !done() {
            progress.show(what);
            std::thread::sleep(
                Duration::from_millis(20).min(until.saturating_duration_since(Instant::now())),
            );
        }
    };

    let all_in = || stop.is_set() || control.failed() || control.playing() + control.gone() >= clients as u64;
    wait("joining", args.ramp + JOIN_PATIENCE, &all_in);
    wait("warming up", args.warm_up, &|| stop.is_set() || control.failed());

    let before = Edge::before(&api, process, own)?;
    let connected = control.playing();
    control.set(Step::Measure);
    let skipped_before = skipped(&api, &names);
    let started = Instant::now();
    wait("measuring", args.duration, &|| stop.is_set() || control.failed());
    control.set(Step::Finish);
    let seconds = started.elapsed().as_secs_f64();
    let after = Edge::after(&api, process, own)?;
    let skipped_after = skipped(&api, &names);
    wait("waiting for the last states", LAST_STATES, &|| false);
    control.set(if stop.is_set() { Step::Stopped } else { Step::Leave });
    wait("leaving", LEAVE_PATIENCE, &|| control.playing() == 0 && control.gone() >= clients as u64);
    control.set(Step::End);
    progress.end();

    let outcomes = teams.into_iter().map(Team::join).collect::<Result<Vec<_>, _>>()?;
    let skipped = match (skipped_before, skipped_after) {
        (Some(before), Some(after)) => {
            Some(names.iter().map(|name| difference(&before, &after, name)).collect())
        }
        _ => None,
    };
    Ok(Tally::new(args, names, connected, seconds, empty, before, after, skipped, outcomes))
}

/// One room for each `room_size` bots, with names that no earlier run has used.
fn make_rooms(
    args: &RunArgs,
    run: &str,
    api: &Api,
    authorities: &Authorities,
) -> Result<Vec<Options>, Failure> {
    // Asked for once instead of by each bot. The port is that of the address, so that a relay in between is
    // not bypassed.
    let trust = match args.transport {
        TransportChoice::Websocket => authorities.trust(&args.url),
        _ => match api.quic()? {
            None => {
                return Err(
                    "the server tells its clients of no QUIC: set quic (and public_quic) there".into()
                );
            }
            // Who answers there may be one of several, each with a certificate of its own.
            Some(_) if args.url.is_secure() => authorities.trust(&args.url),
            Some(quic) => Trust::Sha256(quic.hashes),
        },
    };
    (0..args.rooms())
        .map(|room| {
            let name = format!("{run}-{room}");
            api.create_room(&name, &args.game, args.room_size, args.spectators.div_ceil(args.rooms()))?;
            let options = Options::new(args.url.to_string(), name).kind(args.game.kind.clone());
            Ok(Options { trust: trust.clone(), keep_members: false, ..options })
        })
        .collect()
}

/// A server without this part of the API is still measured.
fn skipped(api: &Api, names: &[String]) -> Option<BTreeMap<String, u64>> {
    let all =
        api.ticks_skipped().inspect_err(|error| eprintln!("no count of skipped ticks: {error}")).ok()?;
    Some(all.into_iter().filter(|(name, _)| names.contains(name)).collect())
}

fn difference(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>, name: &str) -> u64 {
    let at = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or(0);
    at(after).saturating_sub(at(before))
}

/// The same number of clients, rooms, ticks and bytes, without a game. The bots have left the server by now.
pub fn measure_floor(args: &RunArgs, tally: &Tally, stop: &Stop) -> Result<FloorFigures, Failure> {
    let spec = FloorSpec {
        clients: args.bots(),
        tick_rate: args.game.tick_rate,
        frame_bytes: tally.down_bytes_per_state().unwrap_or(120.0).round().max(1.0) as usize,
        input_bytes: tally.up_bytes_per_message().unwrap_or(24.0).round().max(1.0) as usize,
        rooms: tally.rooms.len(),
        duration: args.duration.min(Duration::from_secs(15)),
    };
    Ok(floor::measure(&spec, stop)?)
}

fn command_line() -> String {
    let mut secret = false;
    std::env::args().skip(1).fold("loadtest".to_owned(), |line, arg| {
        let shown = match arg.split_once('=') {
            _ if secret => "…",
            Some(("--admin-token", _)) => "--admin-token=…",
            _ => arg.as_str(),
        };
        secret = arg == "--admin-token";
        line + " " + shown
    })
}

impl Edge {
    /// Memory only: before there is anything to play with.
    fn memory(process: Option<Process>, own: Process) -> Result<Self, Failure> {
        let server_rss = process.and_then(|process| unless_ended(process.rss()));
        Ok(Self { server_rss, swarm_rss: own.rss()?, ..Self::default() })
    }
    /// Scrapes the metrics first, so that the scrape does not count.
    fn before(api: &Api, process: Option<Process>, own: Process) -> Result<Self, Failure> {
        let scrape = scrape(api);
        Ok(Self { scrape, ..Self::kernel(process, own)? })
    }
    /// Scrapes the metrics last.
    fn after(api: &Api, process: Option<Process>, own: Process) -> Result<Self, Failure> {
        let kernel = Self::kernel(process, own)?;
        Ok(Self { scrape: scrape(api), ..kernel })
    }
    fn kernel(process: Option<Process>, own: Process) -> Result<Self, Failure> {
        let server_cpu = process.and_then(|process| unless_ended(process.cpu()));
        let swarm_cpu = own.cpu()?;
        Ok(Self { server_cpu, swarm_cpu, ..Self::memory(process, own)? })
    }
}

/// A process that was there at the beginning may have ended, as in an upgrade: then there are figures without
/// it.
fn unless_ended<T>(figure: Result<T, ProcessError>) -> Option<T> {
    figure.inspect_err(|error| eprintln!("no figures of --server-pid, which has ended: {error}")).ok()
}

fn scrape(api: &Api) -> Scrape {
    api.scrape().inspect_err(|error| eprintln!("no metrics: {error}")).unwrap_or_default()
}
