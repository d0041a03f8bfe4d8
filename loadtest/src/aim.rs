//! `loadtest aim`: whether shots hit that hit on their shooter's screen, over a bad link, with and without
//! lag compensation.
//!
//! In each room one shooter stands among runners. It shows others as a page does (interpolated, a render
//! delay late), aims at where somebody will be by what is shown, and fires when that would
//! be a hit. Then its shot flies on the screen, picture by picture, until it meets somebody there or does
//! not: runners change direction meanwhile. Whom it hits in the room, the states tell: nobody else shoots.
//! Runners have perfect links, which change nothing for the shooter; what one of them gets says where the
//! others really were, and so why a shot missed.
//!
//! It is a subcommand of its own because it knows the arena's rules: `compare` plays any game, and measures
//! what is shown and not what comes of it.

mod figures;
mod marksman;
mod player;
#[cfg(test)]
mod range;
mod runner;
mod screen;
mod shooter;
mod table;
mod verdict;
mod witness;

use crate::{
    cli::AimArgs,
    report, require,
    server::{Api, GameArgs},
    stop::Stop,
    tls::Authorities,
};
use driftless_client::{Options, TransportKind, Trust};
use driftless_links::Links;
use driftless_sim::{Simulation, games::arena::Arena};
use figures::{AimFigures, ShotFigures, TransportFigures};
use marksman::Tally;
use player::{Run, Seat};
use std::{
    cell::RefCell,
    net::SocketAddr,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use witness::Witness;

/// How long joining may take.
const JOIN_PATIENCE: Duration = Duration::from_secs(20);
/// How long all play before measuring begins: render delays settle.
const WARM_UP: Duration = Duration::from_secs(4);
/// How long it takes until everything is known of the last shot.
const LAST_SHOTS: Duration = Duration::from_secs(3);

type Failure = Box<dyn std::error::Error>;

/// Plays on all transports, and tells how it went. The exit code is 1 if anything was wrong or a requirement
/// does not hold.
pub fn run(args: &AimArgs) -> Result<ExitCode, Failure> {
    require::check(&args.require, &AimFigures::specimen())?;
    let bench = Bench {
        args,
        api: Api::new(args.url.plain()?, &args.operator, &Authorities::default()),
        stop: Stop::on_signals()?,
    };
    let figures = bench.play()?;
    report::print_table(&table::aim(&figures), args.json.as_deref());
    if let Some(path) = &args.json {
        report::write_json(path, &figures)?;
    }
    let well = require::all_hold(&args.require, &figures)? && figures.errors == 0;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The server, and what is played on it.
struct Bench<'a> {
    args: &'a AimArgs,
    api: Api,
    stop: Stop,
}

/// The shooters of a transport, in rooms with and without lag compensation.
struct Team {
    kind: TransportKind,
    on: Vec<JoinHandle<Tally>>,
    off: Vec<JoinHandle<Tally>>,
}

impl Bench<'_> {
    fn play(&self) -> Result<AimFigures, Failure> {
        let args = self.args;
        let server = args.url.resolve()?;
        let quic = self.api.quic()?;
        let quic_port = quic.as_ref().map_or(server.port(), |quic| quic.port);
        let trust = Trust::Sha256(quic.map(|quic| quic.hashes).unwrap_or_default());
        let links = Links::start(Some(&args.scenario), &args.transports, server, quic_port)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, self.play_on(&links, server, &trust))
    }

    async fn play_on(&self, links: &Links, server: SocketAddr, trust: &Trust) -> Result<AimFigures, Failure> {
        let args = self.args;
        let run = Rc::new(Run::default());
        let name = format!("aim-{:08x}", fastrand::u32(..));
        let mut seed = 0;
        let mut teams = Vec::new();
        for (index, &kind) in args.transports.iter().enumerate() {
            let far = (links.address(index).unwrap_or(server), kind);
            let near = (server, TransportKind::WebSocket);
            let mut team = Team { kind, on: Vec::new(), off: Vec::new() };
            for room in 0..args.shooters * 2 {
                seed += 1;
                let is_on = room % 2 == 0;
                let name = format!("{name}-{kind}-{room}");
                self.make_room(&name, if is_on { args.rewind_ms } else { 0 })?;
                let witness = Rc::new(RefCell::new(Witness::new(args.tick_rate)));
                let seat = |seed, (address, kind): (SocketAddr, TransportKind)| Seat {
                    options: Options {
                        transports: vec![kind],
                        trust: trust.clone(),
                        connect_timeout: JOIN_PATIENCE,
                        keep_members: false,
                        kind: Arena::KIND.to_owned(),
                        ..Options::new(format!("ws://{address}{}", args.url.path()), &name)
                    },
                    tick_rate: args.tick_rate,
                    seed,
                    run: run.clone(),
                    witness: witness.clone(),
                };
                for runner in 1..=u64::from(args.runners) {
                    spawn_local(seat(seed << 16 | runner, near).runs(runner == 1));
                }
                let shooter = spawn_local(seat(seed << 16, far).shoots());
                if is_on { team.on.push(shooter) } else { team.off.push(shooter) }
            }
            teams.push(team);
        }
        let wanted = teams.len() * 2 * args.shooters as usize * (args.runners as usize + 1);
        self.wait(JOIN_PATIENCE, || run.playing.get() + run.errors.borrow().len() >= wanted).await;
        links.begin();
        self.wait(WARM_UP, || false).await;
        run.counts.set(true);
        let began = Instant::now();
        self.wait(args.duration, || false).await;
        let seconds = began.elapsed().as_secs_f64();
        run.counts.set(false);
        self.wait(LAST_SHOTS, || false).await;
        run.ended.set(true);

        let mut figures = AimFigures {
            scenario: args.scenario.to_string(),
            tick_rate: args.tick_rate,
            rewind_ms: args.rewind_ms,
            shooters: args.shooters,
            runners: args.runners,
            seconds,
            ..AimFigures::default()
        };
        for Team { kind, on, off } in teams {
            let shots = TransportFigures { on: sum(on).await?, off: sum(off).await? };
            *figures.of(kind) = Some(shots);
        }
        let errors = run.errors.borrow();
        errors.iter().take(3).for_each(|error| eprintln!("error: {error}"));
        figures.errors = errors.len() as u64;
        Ok(figures)
    }

    fn make_room(&self, name: &str, rewind_ms: u32) -> Result<(), Failure> {
        let options = serde_json::json!({ "rewind_ms": rewind_ms, "respawn_s": 1, "round_s": 0, "bots": 0 });
        let game = GameArgs {
            kind: Arena::KIND.to_owned(),
            tick_rate: self.args.tick_rate,
            room_options: options.as_object().cloned(),
        };
        Ok(self.api.create_room(name, &game, self.args.runners + 1, 0)?)
    }

    async fn wait(&self, most: Duration, done: impl Fn() -> bool) {
        let until = Instant::now() + most;
        while Instant::now() < until && !done() && !self.stop.is_set() {
            let left = until.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.min(Duration::from_millis(20))).await;
        }
    }
}

async fn sum(shooters: Vec<JoinHandle<Tally>>) -> Result<ShotFigures, Failure> {
    let mut sum = Tally::default();
    for shooter in shooters {
        sum.add(&shooter.await?);
    }
    Ok(ShotFigures::from(&sum))
}
