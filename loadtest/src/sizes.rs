//! `loadtest run --rooms-of`: a run for each room size, pass after pass, and one table.
//!
//! With `--against` a second server takes turns with the first at each size, and the floor is measured right
//! after both, so that what slows this machine down for a minute slows all three. Ratios are taken within a
//! pass.

mod figures;
mod subject;
mod table;

use crate::{
    cast::{BotKind, Cast},
    cli::RunArgs,
    figures::Figures,
    report, require,
    run::{self, Tally},
    stop::Stop,
};
use figures::{Pass, SizeFigures, SizesFigures};
use std::process::ExitCode;
use subject::Subject;

type Failure = Box<dyn std::error::Error>;

/// Plays all, and tells how it went. The exit code is 1 if anything was wrong in any run.
pub fn run(args: &RunArgs, bots: &[BotKind]) -> Result<ExitCode, Failure> {
    require::check(&args.require, &Figures::specimen())?;
    let stop = Stop::on_signals()?;
    let mut series = Series::new(args, Cast::of_run(args, bots)?, &stop);
    let ended = series.play();
    let figures = series.figures();
    let any = !figures.sizes.is_empty();
    if any {
        report::print_table(&table::sizes(&figures), args.json.as_deref());
        if let Some(path) = &args.json {
            report::write_json(path, &figures)?;
        }
    }
    match ended {
        // The user wants no more than this.
        Err(_) if any && stop.is_set() => {}
        ended => ended?,
    }
    Ok(if series.well { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// All runs.
struct Series<'a> {
    args: &'a RunArgs,
    cast: Cast,
    stop: &'a Stop,
    server: Subject,
    against: Option<Subject>,
    /// By size, as in the arguments.
    passes: Vec<Vec<Pass>>,
    /// No errors, and all requirements hold.
    well: bool,
}

impl<'a> Series<'a> {
    fn new(args: &'a RunArgs, cast: Cast, stop: &'a Stop) -> Self {
        let passes = args.sizes.rooms_of.iter().map(|_| Vec::new()).collect();
        let (server, against) = Subject::all(args);
        Self { args, cast, stop, server, against, passes, well: true }
    }
    fn play(&mut self) -> Result<(), Failure> {
        let sizes = &self.args.sizes;
        for number in 0..sizes.passes {
            for (size, &rooms_of) in sizes.rooms_of.iter().enumerate() {
                let pass = self.pass(number, rooms_of)?;
                self.passes[size].push(pass);
            }
        }
        Ok(())
    }
    fn pass(&mut self, number: u32, rooms_of: u32) -> Result<Pass, Failure> {
        eprintln!("pass {} of {}, rooms of {rooms_of}", number + 1, self.args.sizes.passes);
        let play = |subject: &Subject| subject.play(rooms_of, &self.cast, self.stop);
        let play_against = || self.against.as_ref().map(play).transpose();
        let (server, against) = if number.is_multiple_of(2) {
            let against = play_against()?;
            (play(&self.server)?, against)
        } else {
            (play(&self.server)?, play_against()?)
        };
        let mut pass = Pass { server: server.figures(), against: against.as_ref().map(Tally::figures) };
        if self.args.floor {
            pass.set_floor(&run::measure_floor(self.args, &server, self.stop)?);
        }
        if self.stop.is_set() {
            return Err("stopped before there was anything to measure".into());
        }
        self.judge("server", &server, &pass.server);
        if let (Some(tally), Some(figures)) = (&against, &pass.against) {
            self.judge("against", tally, figures);
        }
        self.well &= require::all_hold(&self.args.require, &pass.server)?;
        Ok(pass)
    }
    fn judge(&mut self, name: &str, tally: &Tally, figures: &Figures) {
        if let Some(doubt) = tally.doubt() {
            eprintln!("warning: {name}: {doubt}");
        }
        for example in tally.violations() {
            eprintln!("error: {name}: {example}");
        }
        self.well &= figures.errors == 0;
    }
    fn figures(&mut self) -> SizesFigures {
        let sizes = self.args.sizes.rooms_of.iter().zip(&mut self.passes);
        let played = sizes.filter(|(_, passes)| !passes.is_empty());
        SizesFigures {
            transport: self.args.transport.name(),
            tick_rate: self.args.game.tick_rate,
            sizes: played.map(|(&size, passes)| SizeFigures::new(size, std::mem::take(passes))).collect(),
        }
    }
}
