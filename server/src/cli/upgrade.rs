//! `driftless upgrade`: has a running server go on as another process.

use crate::{
    store,
    upgrade::control::{self, Asked},
};
use clap::Args;
use std::path::PathBuf;

/// Options of `upgrade`.
#[derive(Debug, Clone, Args)]
pub struct UpgradeArgs {
    /// The server that has this store. Without it and --pid: the only server there is.
    #[arg(long, value_name = "FOLDER", conflicts_with = "pid")]
    store: Option<PathBuf>,
    /// The server that is this process.
    #[arg(long, value_name = "NUMBER")]
    pid: Option<u32>,
    /// The program. Default: the file from which the server was started, with what is in it now. The
    /// arguments stay.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Says which process goes on, or why the server has not been followed by another.
pub(super) fn upgrade(args: &UpgradeArgs) -> Result<String, String> {
    let server = match (&args.pid, &args.store) {
        (Some(pid), _) => *pid,
        (None, Some(folder)) => store::server_of(folder)
            .ok_or_else(|| format!("no server has the store in {}, as far as is known", folder.display()))?,
        (None, None) => only(&control::servers(), "--pid or --store")?,
    };
    let binary = args.binary.as_ref().map(std::path::absolute).transpose().map_err(|e| e.to_string())?;
    match control::ask(server, &Asked::Upgrade(binary)) {
        Ok(Ok(process)) => Ok(format!("process {process} goes on with the rooms of {server}")),
        Ok(Err(why)) => Err(format!("{why} (process {server})")),
        Err(error) => Err(format!("process {server} cannot be asked: {error}")),
    }
}

/// The only server that runs here. `options`: those that say which one is meant.
pub(super) fn only(servers: &[u32], options: &str) -> Result<u32, String> {
    match servers {
        [] => Err(format!("no server runs here: give its {options} if it is elsewhere")),
        [server] => Ok(*server),
        several => {
            let several: Vec<_> = several.iter().map(ToString::to_string).collect();
            Err(format!("there are several servers ({}): say which, by {options}", several.join(", ")))
        }
    }
}
