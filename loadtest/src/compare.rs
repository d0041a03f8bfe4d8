//! `loadtest compare`: the same game over each transport, side by side on links that are equally bad.
//! [`driftless_links::Comparison`] plays and measures; here are its rooms, its players and its report.

use crate::{
    cast::{BotKind, Cast},
    cli::CompareArgs,
    report, require,
    server::Api,
    stop::Stop,
    tls::Authorities,
};
use driftless_client::Trust;
use driftless_links::{CompareFigures, Comparison, Player, Rig, table};
use std::process::ExitCode;

type Failure = Box<dyn std::error::Error>;

/// Plays on all transports, and tells how it went. The exit code is 1 if anything was wrong or a requirement
/// does not hold.
pub fn run(args: &CompareArgs, bots: &[BotKind]) -> Result<ExitCode, Failure> {
    require::check(&args.require, &CompareFigures::specimen())?;
    let cast = Cast::choose(bots, &args.game.kind, args.game.tick_rate, args.trace.as_deref())?;
    eprintln!("{cast}");
    let bench = Bench {
        args,
        cast,
        api: Api::new(args.url.plain()?, &args.operator, &Authorities::default()),
        stop: Stop::on_signals()?,
    };
    let figures = bench.comparison()?.play(&bench)?;
    report::print_table(&table(&figures), args.json.as_deref());
    for (transport, example) in figures.examples() {
        eprintln!("error: {transport}: {example}");
    }
    if let Some(path) = &args.json {
        report::write_json(path, &figures)?;
    }
    let well = require::all_hold(&args.require, &figures)? && figures.errors == 0;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The server, and who plays on it.
struct Bench<'a> {
    args: &'a CompareArgs,
    cast: Cast,
    api: Api,
    stop: Stop,
}

impl Bench<'_> {
    fn comparison(&self) -> Result<Comparison, Failure> {
        let args = self.args;
        let server = args.url.resolve()?;
        let quic = self.api.quic()?;
        Ok(Comparison {
            server,
            path: args.url.path().to_owned(),
            quic_port: quic.as_ref().map_or(server.port(), |quic| quic.port),
            trust: Trust::Sha256(quic.map(|quic| quic.hashes).unwrap_or_default()),
            scenario: args.scenario.clone().filter(|_| !args.direct),
            transports: args.transports.clone(),
            clients: args.clients,
            crowd: args.crowd,
            tick_rate: args.game.tick_rate,
            kind: args.game.kind.clone(),
            duration: args.duration,
            ramp: args.ramp,
            warm_up: args.warm_up,
        })
    }
}

impl Rig for Bench<'_> {
    fn make_room(&self, name: &str, seats: u32) -> Result<(), Failure> {
        Ok(self.api.create_room(name, &self.args.game, seats, 0)?)
    }
    fn player(&self, index: usize) -> Box<dyn Player> {
        Box::new(self.cast.player(index))
    }
    fn stale_dropped(&self) -> Option<u64> {
        self.api.scrape().ok().and_then(|scrape| scrape.stale_dropped)
    }
    fn is_stopped(&self) -> bool {
        self.stop.is_set()
    }
}
