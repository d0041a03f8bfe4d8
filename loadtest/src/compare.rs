//! `loadtest compare`: the same game over each transport, side by side on links that are equally bad.
//!
//! Each transport has a room of its own, full of players, and a relay ([`crate::link`]) that follows the scenario; the n-th player of
//! each meets the same dice. One more player in each room, the observer, has a perfect way to the server: what it sees is the [`truth`],
//! and its clock is the server's for all that is measured.
//!
//! - [`player`] plays, draws what it would show sixty times a second, and measures.
//! - [`links`] runs the relays, on a thread of their own so that busy players make no link slower.
//! - [`figures`] is what comes out, as JSON and as a table ([`table`]).
//!
//! With `--direct` there is no relay: the way to the server is what it is (as between the namespaces of `loadtest netns`),
//! and what the observer sees is no truth.

mod figures;
mod links;
mod measured;
mod player;
mod table;
mod truth;
mod window;

use crate::{behaviour::Behaviour, cli::CompareArgs, report, require::all_hold, server::Api, stop::Stop};
use driftless_client::{
    Connection, Options,
    transport::{TransportKind, Trust},
};
use figures::{CompareFigures, TransportFigures};
use links::Links;
use measured::Measured;
use player::Player;
use std::{
    cell::RefCell,
    net::SocketAddr,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use truth::Truth;
use window::Window;

/// How long a player may take to be in the room.
const JOIN_PATIENCE: Duration = Duration::from_secs(20);
/// How long the last states of the measured time may take.
const LAST_STATES: Duration = Duration::from_millis(500);

type Failure = Box<dyn std::error::Error>;

/// Plays on all transports, and tells how it went. The exit code is 1 if anything was wrong or a requirement does not hold.
pub fn run(args: &CompareArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::on_signals()?;
    let figures = Comparison::prepare(args)?.play(&stop)?;
    report::print_table(&table::compare(&figures), args.json.as_deref());
    for (transport, example) in figures.examples() {
        eprintln!("error: {transport}: {example}");
    }
    if let Some(path) = &args.json {
        report::write_json(path, &figures)?;
    }
    let well = all_hold(&args.require, &figures)? && figures.errors == 0;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Everything that a comparison needs before the first player connects.
struct Comparison<'a> {
    args: &'a CompareArgs,
    api: Api,
    server: SocketAddr,
    trust: Trust,
    links: Links,
}

/// One transport's room.
struct Room {
    kind: TransportKind,
    players: Vec<JoinHandle<Measured>>,
    observer: JoinHandle<()>,
}

impl<'a> Comparison<'a> {
    fn prepare(args: &'a CompareArgs) -> Result<Self, Failure> {
        let server = args.url.resolve()?;
        let api = Api::new(&args.url, &args.operator);
        let quic = api.quic()?;
        // With the hashes at hand no player asks for the port, and none goes around its relay.
        let quic_port = quic.as_ref().map_or(server.port(), |quic| quic.port);
        let trust = Trust::Sha256(quic.map(|quic| quic.hashes).unwrap_or_default());
        let scenario = if args.direct { None } else { args.scenario.as_ref() };
        let links = Links::start(scenario, &args.transports, server, quic_port)?;
        Ok(Self { args, api, server, trust, links })
    }

    fn play(self, stop: &Stop) -> Result<CompareFigures, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, self.play_all(stop))
    }

    async fn play_all(self, stop: &Stop) -> Result<CompareFigures, Failure> {
        let args = self.args;
        let window = Rc::new(Window::new(args.scenario.as_ref().filter(|_| !args.direct)));
        let run = fastrand::u32(..);
        let mut rooms = Vec::new();
        for (index, &kind) in args.transports.iter().enumerate() {
            rooms.push(self.open_room(index, kind, run, &window).await?);
        }
        let wanted = args.clients as usize * rooms.len();
        let playing = || window.playing.get() + window.gone.get();
        wait(args.ramp + JOIN_PATIENCE, || stop.is_set() || playing() >= wanted).await;
        wait(args.warm_up, || stop.is_set()).await;

        let connected = window.playing.get();
        let stale_before = self.api.scrape().ok().and_then(|scrape| scrape.stale_dropped);
        let before = self.links.totals();
        window.begin(Instant::now());
        self.links.begin();
        let duration = args.duration.unwrap_or_else(|| window.whole());
        wait(duration, || stop.is_set()).await;
        window.end(Instant::now());
        let after = self.links.totals();
        let stale_after = self.api.scrape().ok().and_then(|scrape| scrape.stale_dropped);
        wait(LAST_STATES, || stop.is_set()).await;
        window.close();

        let seconds = window.seconds();
        let mut figures = CompareFigures::new(args, connected as u64, seconds);
        figures.stale_dropped =
            stale_before.zip(stale_after).map(|(before, after)| after.saturating_sub(before));
        for (index, room) in rooms.into_iter().enumerate() {
            let mut sum = Measured::default();
            for player in room.players {
                sum.add(&player.await?);
            }
            room.observer.abort();
            let traffic = before.get(index).zip(after.get(index)).map(|(before, after)| after.since(before));
            let tick = Duration::from_secs(1) / args.tick_rate;
            let transport = TransportFigures::new(sum, traffic, args.clients, seconds, tick, !args.direct);
            figures.add(room.kind, transport);
        }
        Ok(figures)
    }

    async fn open_room(
        &self,
        index: usize,
        kind: TransportKind,
        run: u32,
        window: &Rc<Window>,
    ) -> Result<Room, Failure> {
        let args = self.args;
        let name = format!("compare-{run:08x}-{kind}");
        self.api.create_room(&name, &args.kind, args.tick_rate, args.clients + 1)?;
        let options = |address: SocketAddr, kind| Options {
            transports: vec![kind],
            trust: self.trust.clone(),
            kind: args.kind.clone(),
            connect_timeout: JOIN_PATIENCE,
            keep_members: false,
            ..Options::new(format!("ws://{address}{}", args.url.path()), name.clone())
        };
        let truth = Rc::new(RefCell::new(Truth::default()));
        let observer = Connection::open(&options(self.server, TransportKind::WebSocket)).await?;
        let observer = spawn_local(truth::observe(observer, truth.clone()));
        let address = self.links.address(index).unwrap_or(self.server);
        let start = Instant::now();
        let players = (0..args.clients).map(|client| {
            let player = Player {
                options: options(address, kind),
                behaviour: Behaviour::new(&args.kind, client as usize, args.tick_rate, None),
                tick: Duration::from_secs(1) / args.tick_rate,
                truth: truth.clone(),
                window: window.clone(),
            };
            spawn_local(player.play((start + args.ramp * client / args.clients).into()))
        });
        Ok(Room { kind, players: players.collect(), observer })
    }
}

async fn wait(most: Duration, done: impl Fn() -> bool) {
    let until = Instant::now() + most;
    while Instant::now() < until && !done() {
        let left = until.saturating_duration_since(Instant::now());
        tokio::time::sleep(left.min(Duration::from_millis(20))).await;
    }
}
