//! Does what the command line asks.

use crate::{
    aim,
    cast::BotKind,
    cli::{Command, FloorArgs},
    compare,
    floor::{self, FloorSpec},
    link, netns,
    process::raise_open_files,
    report, run, sizes, slow, soak,
    stop::Stop,
    topic,
};
use std::process::ExitCode;

type Failure = Box<dyn std::error::Error>;

/// Runs a command with these bots, and says what went wrong. Exit codes are on the crate's page.
pub fn execute(command: Command, bots: &[BotKind]) -> ExitCode {
    let done = match command {
        Command::Run(args) if args.sizes.rooms_of.is_empty() => run::run(&args, bots),
        Command::Run(args) => sizes::run(&args, bots),
        Command::Floor(args) => measure_floor(&args),
        Command::Slow(args) => slow::run(&args, bots),
        Command::Topic(args) => topic::run(&args),
        Command::Soak(args) => soak::run(&args, bots),
        Command::Link(args) => link::run(&args),
        Command::Compare(args) => compare::run(&args, bots),
        Command::Aim(args) => aim::run(&args),
        Command::Netns(args) => netns::run(&args),
        Command::FloorServer(args) => {
            floor::server::serve(&args).map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
    };
    done.unwrap_or_else(|error: Failure| {
        eprintln!("loadtest: {error}");
        ExitCode::from(2)
    })
}

fn measure_floor(args: &FloorArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::on_signals()?;
    raise_open_files(args.clients as usize)?;
    let spec = FloorSpec {
        clients: args.clients as usize,
        tick_rate: args.tick_rate,
        frame_bytes: args.frame_bytes as usize,
        input_bytes: args.input_bytes as usize,
        rooms: args.rooms.unwrap_or(args.clients.div_ceil(50)).max(1) as usize,
        duration: args.duration,
    };
    let figures = floor::measure(&spec, &stop)?;
    report::print_table(&report::table::floor(&figures), args.json.as_deref());
    if let Some(path) = &args.json {
        report::write_json(path, &figures)?;
    }
    Ok(ExitCode::SUCCESS)
}
