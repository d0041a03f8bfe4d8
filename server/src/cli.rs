//! The command line of a server, whatever its games are.

mod attend;
mod dev;
mod manual;
mod move_room;
mod new;
mod replay;
mod serve;
mod store;
mod token;
mod types;
mod upgrade;

pub use move_room::MoveArgs;
pub use replay::{Replayed, replay};
pub use store::{Action as StoreAction, StoreArgs};
pub use token::TokenArgs;
pub use upgrade::UpgradeArgs;

use crate::{
    config::{self, ConfigError, Options, Resolved, check_environment, default_file, long, resolve},
    server::Server,
    telemetry::LogFormat,
};
use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use clap_complete::Shell;
use driftless_sim::GameKind;
use std::{
    ffi::{OsStr, OsString},
    fmt::Display,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};
use tracing::Level;

/// Exit code: what was asked for failed (the server could not go on, a replay diverged).
pub const EXIT_FAILED: u8 = 1;
/// Exit code: a replay is the same as far as it goes, but the recording is not complete.
pub const EXIT_CUT: u8 = 3;
/// Exit code: what was asked for makes no sense (arguments, configuration, a file that cannot be read).
pub const EXIT_USAGE: u8 = 2;

/// The authoritative multiplayer game-state server.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
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
    /// Run the server (this is what is done if no command is given).
    #[command(after_help = EXIT_CODES)]
    Serve(ServeArgs),
    /// Print the configuration that `serve` would use, with the source of each value, or what is wrong with
    /// it.
    #[command(after_help = EXIT_CODES)]
    CheckConfig(ServeArgs),
    /// Print a configuration file with every option, its meaning, values and default, all commented out.
    #[command(after_help = EXIT_CODES)]
    DefaultConfig,
    /// Simulate a recorded room again and compare every checksum.
    #[command(after_help = EXIT_CODES)]
    Replay {
        /// A recording, made with --record.
        file: PathBuf,
    },
    /// Write a project for a game of your own: rules, page, tests.
    #[command(after_help = EXIT_CODES)]
    New {
        /// The folder to make, such as ../tag. Its last part is the project's name: a-z, 0-9, - and _.
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Build the project in this folder, serve it, and do so again when a file changes. Ctrl-C ends it.
    #[command(after_help = EXIT_CODES)]
    Dev {
        /// Options of `serve` for the server, as --listen 127.0.0.1:8000.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
        serve: Vec<OsString>,
    },
    /// Print a token for a player, signed with a key of your own: for development, and to see what a login
    /// has to write.
    #[command(after_help = EXIT_CODES)]
    Token(Box<TokenArgs>),
    /// Write the types of a page: entities, messages and how they are encoded, for the web SDK.
    #[command(after_help = EXIT_CODES)]
    Types(TypesArgs),
    /// Look into a store whose server does not run, take rooms out of it, or remove them.
    #[command(after_help = EXIT_CODES)]
    Store(StoreArgs),
    /// Have a running server go on as another process, with the program that is in its file now. Its rooms
    /// and players go with it.
    #[command(after_help = EXIT_CODES)]
    Upgrade(UpgradeArgs),
    /// Have a room of a running server go on at another node, with all who are in it.
    #[command(after_help = EXIT_CODES)]
    Move(MoveArgs),
    /// Print what a shell needs to complete commands and options.
    #[command(after_help = EXIT_CODES)]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, for man(1), or that of a command.
    #[command(after_help = EXIT_CODES)]
    Man {
        /// The command, such as store, or store-ls.
        #[arg(value_name = "COMMAND")]
        of: Option<String>,
    },
}

/// Options of `types`.
#[derive(Debug, Clone, Args)]
pub struct TypesArgs {
    /// The TypeScript file to write; - for standard output. One that says the same already is not touched.
    #[arg(long, value_name = "FILE")]
    pub ts: PathBuf,
    /// Only this game. Default: all that the server has.
    #[arg(long, value_name = "NAME")]
    pub kind: Option<String>,
}

/// Options of `serve` and `check-config`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// TOML file with any of the options below; keys as the flags, with `_` for `-`.
    #[arg(long, env = "DRIFTLESS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The file that carries rooms and their seats over a restart: written when the server stops, read when
    /// it starts.
    #[arg(long, value_name = "FILE", hide = true)]
    pub carry: Option<PathBuf>,
    /// A room that is made when the server starts, as the room of a recording, or one that `store export` has
    /// written, was at a tick (the last one, if none is said). May be given several times. If there is a room
    /// of its name already, as in the store, that one goes on.
    #[arg(long, value_name = "[NAME=]FILE[@TICK]")]
    pub from: Vec<String>,
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
    /// Print a text: a configuration file, completions, a page of the manual.
    Print(String),
    /// Replay a recording.
    Replay(PathBuf),
    /// Write the types of a page.
    Types(TypesArgs),
    /// Print a token.
    Token(Box<TokenArgs>),
    /// Look into a store.
    Store(StoreArgs),
    /// Have a server followed by another process.
    Upgrade(UpgradeArgs),
    /// Have a room go on at another node.
    Move(MoveArgs),
    /// Write a project.
    New(PathBuf),
    /// Work on a project, with these arguments for its server.
    Dev(Vec<OsString>),
}

impl Server {
    /// The program: reads the command line and the environment, and does what they say. See `--help`.
    pub fn main(self) -> ExitCode {
        self.main_with(std::env::args_os())
    }

    /// The same with another command line, whose first word is the program.
    pub fn main_with(self, args: impl IntoIterator<Item = OsString>) -> ExitCode {
        main(self, args)
    }
}

/// Does what a command line says (its first word is the program), with these games.
fn main(server: Server, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let program = program(args.first());
    let fail = |code, reason: &dyn Display| fail(&program, code, reason);
    let print = |text: &dyn Display, code| print(&program, text.to_string().as_bytes(), code);
    match parse(args, server.games(), server.authenticates()) {
        Ok(Task::Serve(Ok(resolved))) => {
            let Resolved { config, carry, from, .. } = *resolved;
            let server = carry.into_iter().fold(server, Server::carry);
            let server = from.iter().fold(server, |server, from| server.room_from(from));
            serve::serve(&program, server, config)
        }
        Ok(Task::CheckConfig(Ok(resolved))) => match &*server.faults(&resolved.config) {
            [] => {
                for warning in server.unreachable(&resolved.config) {
                    let _ = writeln!(io::stderr(), "{program}: warning: {warning}");
                }
                print(&resolved, 0)
            }
            faults => {
                fail(EXIT_USAGE, &faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
            }
        },
        Ok(Task::Serve(Err(e))) => fail(EXIT_USAGE, &e),
        Ok(Task::CheckConfig(Err(e))) => match e.lacking_file() {
            Some(file) => fail(EXIT_USAGE, &format!("{e}\n{}", of_service(&program, file))),
            None => fail(EXIT_USAGE, &e),
        },
        Ok(Task::Print(text)) => print(&text, 0),
        Ok(Task::Replay(file)) => {
            let Replayed { line, exit_code } = replay(&file, server.games());
            if exit_code == EXIT_USAGE {
                fail(EXIT_USAGE, &line)
            } else {
                print(&format!("{line}\n"), exit_code)
            }
        }
        Ok(Task::Types(TypesArgs { ts, kind })) => match types::write(&ts, kind.as_deref(), server.games()) {
            Ok(notes) => {
                for note in notes {
                    let _ = writeln!(io::stderr(), "{program}: {note}");
                }
                ExitCode::SUCCESS
            }
            Err(reason) => fail(EXIT_USAGE, &reason),
        },
        Ok(Task::Token(args)) => match token::token(*args) {
            Ok(token) => print(&format!("{token}\n"), 0),
            Err(reason) => fail(EXIT_USAGE, &reason),
        },
        Ok(Task::Store(args)) => match store::store(args, server.games()) {
            Ok(text) => print(&text, 0),
            Err(reason) => fail(EXIT_USAGE, &reason),
        },
        Ok(Task::Upgrade(args)) => match upgrade::upgrade(&args) {
            Ok(line) => print(&format!("{line}\n"), 0),
            Err(reason) => fail(EXIT_FAILED, &reason),
        },
        Ok(Task::Move(args)) => match move_room::move_room(&args) {
            Ok(line) => print(&format!("{line}\n"), 0),
            Err(reason) => fail(EXIT_FAILED, &reason),
        },
        Ok(Task::New(folder)) => match new::new(&folder) {
            Ok(folder) => print(&format!("created {}: cd {0} && cargo run -- dev\n", folder.display()), 0),
            Err(e) => fail(if e.is_usage() { EXIT_USAGE } else { EXIT_FAILED }, &e),
        },
        Ok(Task::Dev(args)) => dev::dev(&program, args),
        Err(e) => match misspelt(&e) {
            Some(line) => fail(EXIT_USAGE, &line),
            None => match e.print() {
                Err(error) if !e.use_stderr() => unprinted(&program, &error, 0),
                _ => ExitCode::from(if e.use_stderr() { EXIT_USAGE } else { 0 }),
            },
        },
    }
}

/// Prints what was asked for. Returns this exit code, unless there is no room for it.
fn print(program: &str, text: &[u8], code: u8) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::from(code),
        Err(error) => unprinted(program, &error, code),
    }
}

fn unprinted(program: &str, error: &io::Error, code: u8) -> ExitCode {
    match error.kind() {
        // Whoever reads it has seen enough.
        io::ErrorKind::BrokenPipe => ExitCode::from(code),
        _ => fail(program, EXIT_FAILED, &format!("cannot write to standard output: {error}")),
    }
}

fn fail(program: &str, code: u8, reason: &dyn Display) -> ExitCode {
    fail_in(LogFormat::Human, program, code, reason)
}

fn fail_in(format: LogFormat, program: &str, code: u8, reason: &dyn Display) -> ExitCode {
    crate::upgrade::tell_failed(reason);
    for line in reason.to_string().lines() {
        let _ = writeln!(io::stderr(), "{}", format.line(Level::ERROR, &format!("{program}: {line}")));
    }
    ExitCode::from(code)
}

/// How to see what the service sees, whose environment has what is not in its file.
fn of_service(program: &str, file: &Path) -> String {
    format!(
        "this is what is seen without the service's environment. With that of the guide's service, as root: \
         (set -a; . /etc/driftless/secrets; DRIFTLESS_TOKEN_KEYS=secret:/etc/driftless/token.key {program} \
         check-config --config {})",
        file.display()
    )
}

/// What the program is called.
fn program(first: Option<&OsString>) -> String {
    let name = first.and_then(|path| Path::new(path).file_name()).and_then(OsStr::to_str);
    name.unwrap_or("driftless").trim_end_matches(".exe").to_owned()
}

/// A line that names an option or a command that does not exist, and the one that was probably meant.
fn misspelt(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let (what, suggested) = match error.kind() {
        ErrorKind::UnknownArgument => (text(ContextKind::InvalidArg)?, text(ContextKind::SuggestedArg)),
        ErrorKind::InvalidSubcommand => (text(ContextKind::InvalidSubcommand)?, None),
        _ => return None,
    };
    // What clap suggests may share some letters and mean something else.
    let suggested = suggested.filter(|there| strsim::osa_distance(&what, there) * 3 <= what.len());
    let (kind, meant) = match what.strip_prefix("--") {
        Some(name) => {
            let meant = || config::meant(&name.replace('-', "_")).map(|key| format!("--{}", long(key)));
            ("option", suggested.or_else(meant))
        }
        None if what.starts_with('-') => ("option", suggested),
        None => ("command", closest_command(&what)),
    };
    let hint = meant.map_or_else(|| "see --help".to_owned(), |meant| format!("did you mean {meant}?"));
    Some(format!("unknown {kind} {what}: {hint}"))
}

/// The command that a word with a few wrong letters probably means.
fn closest_command(word: &str) -> Option<String> {
    let command = Cli::command();
    let distances = command.get_subcommands().map(|command| {
        let name = command.get_name();
        (strsim::osa_distance(word, name), name)
    });
    let (_, name) = distances.filter(|(distance, _)| distance * 3 <= word.len()).min()?;
    Some(name.to_owned())
}

/// Reads a command line (its first word is the program) of a server with these games, and the environment.
/// `authenticates`: it has a way of its own to find out who players are.
///
/// # Errors
/// What clap has to say, which may also be the help that was asked for.
pub fn parse<I: IntoIterator<Item = T>, T: Into<OsString> + Clone>(
    args: I,
    games: &[GameKind],
    authenticates: bool,
) -> Result<Task, clap::Error> {
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let kinds: Vec<&str> = games.iter().map(GameKind::name).collect();
    let program = program(args.first());
    let command = command(&program, &kinds);
    let matches = command.clone().try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let load = |args| load(args, &kinds, authenticates);
    Ok(match cli.command {
        None => Task::Serve(load(cli.serve)),
        Some(Command::Serve(args)) => Task::Serve(load(args)),
        Some(Command::CheckConfig(args)) => Task::CheckConfig(load(args)),
        Some(Command::DefaultConfig) => Task::Print(default_file()),
        Some(Command::Completions { shell }) => Task::Print(manual::completions(shell, &command, &program)),
        Some(Command::Man { of }) => Task::Print(manual::page(command, of.as_deref())?),
        Some(Command::Replay { file }) => Task::Replay(file),
        Some(Command::Types(args)) => Task::Types(args),
        Some(Command::Token(args)) => Task::Token(args),
        Some(Command::Store(args)) => Task::Store(args),
        Some(Command::Upgrade(args)) => Task::Upgrade(args),
        Some(Command::Move(args)) => Task::Move(args),
        Some(Command::New { folder }) => Task::New(folder),
        Some(Command::Dev { serve }) => Task::Dev(serve),
    })
}

/// The command line. The help names the environment variables but not their values, which may be secret.
fn command(program: &str, kinds: &[&str]) -> clap::Command {
    let kind = format!(
        "Kind of game of a room whose creator names none [{}] [default: {}]",
        kinds.join(" or "),
        kinds.first().unwrap_or(&"none")
    );
    let plain = |command: clap::Command| {
        command.mut_args(|argument| {
            let argument = argument.hide_env_values(true);
            if argument.get_id() == "default_kind" { argument.help(kind.clone()) } else { argument }
        })
    };
    let command = plain(Cli::command()).mut_subcommands(plain).name(program.to_owned());
    let version = concat!("(Driftless ", env!("CARGO_PKG_VERSION"), ")");
    if program == "driftless" { command } else { command.version(version) }
}

fn load(
    ServeArgs { config, carry, from, mut options }: ServeArgs,
    kinds: &[&str],
    authenticates: bool,
) -> Result<Box<Resolved>, ConfigError> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut wrong: Vec<_> = check_environment(names).err().into_iter().collect();
    if let Some(file) = config {
        match options.read_file(&file) {
            Err(bad @ ConfigError::BadFile { .. }) => return Err(bad),
            read => wrong.extend(read.err()),
        }
    }
    let resolved = resolve(options, kinds, authenticates);
    wrong.extend(resolved.as_ref().err().cloned());
    ConfigError::all(wrong)?;
    resolved.map(|resolved| Box::new(Resolved { carry, from, ..resolved }))
}
