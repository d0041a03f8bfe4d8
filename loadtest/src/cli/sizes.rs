//! `loadtest run --rooms-of`.

use crate::url::Url;
use clap::Args;

/// One run for each size of room, and another server to hold them against.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Many sizes of room")]
pub struct SizesArgs {
    /// Run once for each of these room sizes, for example 1,2,4,10,50, and print one table. --require applies
    /// to each run. Memory per client is counted from just before each run's own bots: exact only with
    /// --server-command, as a server that has served before has memory to reuse.
    #[arg(long, value_name = "SIZES", value_delimiter = ',', conflicts_with_all = ["room_size", "report"],
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rooms_of: Vec<u32>,
    /// How many times to go through all sizes. The table shows the median, the least and the most.
    #[arg(long, default_value_t = 1, requires = "rooms_of",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub passes: u32,
    /// Shell command that starts a fresh server for each run, which is stopped afterwards. It must listen
    /// where --url says, and gets the admin token in its environment.
    #[arg(long, value_name = "COMMAND", requires = "rooms_of", conflicts_with = "server_pid")]
    pub server_command: Option<String>,
    /// Another server to compare with, such as an older build. For each size it takes turns with the server
    /// of --url, right before the floor of both is measured, and the ratio of the two is taken within each
    /// pass. Who goes first alternates. It has the same admin token. Its errors fail the run; --require does
    /// not apply to it.
    #[arg(long, value_name = "URL", requires = "rooms_of")]
    pub against: Option<Url>,
    /// Process ID of that server.
    #[arg(long, value_name = "PID", requires = "against", conflicts_with = "against_command")]
    pub against_pid: Option<u32>,
    /// Shell command that starts that server afresh for each run. Without --against it listens where --url
    /// says, so that with --server-command both can use the same port, one after the other.
    #[arg(long, value_name = "COMMAND", requires = "rooms_of")]
    pub against_command: Option<String>,
}
