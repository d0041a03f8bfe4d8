//! `loadtest run --rooms-of`.

use crate::url::Url;
use clap::Args;

/// One run for each size of room, and another server to hold them against.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Many sizes of room")]
pub struct SizesArgs {
    /// One run for each of these sizes of room, one after the other, and one table: 1,2,4,10,50. What a client takes
    /// of the server's memory is counted from just before the bots of its own run: exact only with --server-command,
    /// as a server that has served before has memory to reuse. --require holds for each run.
    #[arg(long, value_name = "SIZES", value_delimiter = ',', conflicts_with_all = ["room_size", "report"],
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rooms_of: Vec<u32>,
    /// How often to go through all sizes. The table shows the median, the least and the most.
    #[arg(long, default_value_t = 1, requires = "rooms_of",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub passes: u32,
    /// Starts a fresh server for each run, with this command for the shell, and ends it after. It has to listen
    /// where --url says, and gets the admin token by the environment.
    #[arg(long, value_name = "COMMAND", requires = "rooms_of", conflicts_with = "server_pid")]
    pub server_command: Option<String>,
    /// Another server, such as an older build: it plays each size in turn with that of --url, before the floor of
    /// both, and their ratio is taken in each pass. Who begins changes from pass to pass. It has the same admin
    /// token. Requirements are not for it, errors are.
    #[arg(long, value_name = "URL", requires = "rooms_of")]
    pub against: Option<Url>,
    /// Its process.
    #[arg(long, value_name = "PID", requires = "against", conflicts_with = "against_command")]
    pub against_pid: Option<u32>,
    /// Starts it afresh for each run. Without --against it listens where --url says: with --server-command both can
    /// have the same port, one after the other.
    #[arg(long, value_name = "COMMAND", requires = "rooms_of")]
    pub against_command: Option<String>,
}
