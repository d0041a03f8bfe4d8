//! The command line.

mod replay;

pub use replay::{Replayed, replay};

use crate::config::{ConfigError, Options, Resolved, check_environment, resolve};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::{ffi::OsString, path::PathBuf};

/// Exit code: what was asked for failed (the server could not go on, a replay diverged).
pub const EXIT_FAILED: u8 = 1;
/// Exit code: a replay is the same as far as it goes, but the recording is not complete.
pub const EXIT_CUT: u8 = 3;
/// Exit code: what was asked for makes no sense (arguments, configuration, a file that cannot be read).
pub const EXIT_USAGE: u8 = 2;

/// The authoritative multiplayer game-state server.
#[derive(Debug, Parser)]
#[command(name = "driftless", version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do. Nothing said: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of `serve`.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server (this is what `driftless` alone does).
    #[command(after_help = EXIT_CODES)]
    Serve(ServeArgs),
    /// Print the configuration as `serve` would use it, with the source of each value, or what is wrong with it.
    #[command(after_help = EXIT_CODES)]
    CheckConfig(ServeArgs),
    /// Simulate a recorded room again and compare every checksum.
    #[command(after_help = EXIT_CODES)]
    Replay {
        /// A recording, made with --record.
        file: PathBuf,
    },
}

/// Options of `serve` and `check-config`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// TOML file with any of the options below; keys as the flags, with `_` for `-`.
    #[arg(long, env = "DRIFTLESS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The options.
    #[command(flatten)]
    pub options: Options,
}

const EXIT_CODES: &str = "Exit codes: 0 done (also after SIGTERM); 1 it failed, or a replay diverged; \
                          2 bad arguments, configuration or file; 3 a recording that is not complete is the same as \
                          far as it goes.";

/// A command line, read.
#[derive(Debug)]
pub enum Task {
    /// Run the server.
    Serve(Result<Box<Resolved>, ConfigError>),
    /// Print the configuration.
    CheckConfig(Result<Box<Resolved>, ConfigError>),
    /// Replay a recording.
    Replay(PathBuf),
}

/// Reads a command line (its first word is the program) and the environment.
///
/// # Errors
/// What clap has to say, which may also be the help that was asked for.
pub fn parse<I: IntoIterator<Item = T>, T: Into<OsString> + Clone>(args: I) -> Result<Task, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok(match cli.command {
        None => Task::Serve(load(cli.serve)),
        Some(Command::Serve(args)) => Task::Serve(load(args)),
        Some(Command::CheckConfig(args)) => Task::CheckConfig(load(args)),
        Some(Command::Replay { file }) => Task::Replay(file),
    })
}

/// The command line. The help names the variables of the environment but not their values, which are nobody's business.
fn command() -> clap::Command {
    let plain = |command: clap::Command| command.mut_args(|argument| argument.hide_env_values(true));
    plain(Cli::command()).mut_subcommands(plain)
}

fn load(ServeArgs { config, mut options }: ServeArgs) -> Result<Box<Resolved>, ConfigError> {
    check_environment(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
    if let Some(file) = config {
        options.read_file(&file)?;
    }
    let kinds = driftless_sim::games::kinds();
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    resolve(options, &kinds).map(Box::new)
}
