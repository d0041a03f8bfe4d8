//! `driftless move`: has a room of a running server go on at another node.

use super::upgrade;
use crate::upgrade::control::{self, Asked};
use clap::Args;

/// Options of `move`.
#[derive(Debug, Clone, Args)]
pub struct MoveArgs {
    /// The room.
    #[arg(value_name = "ROOM")]
    room: String,
    /// The name of the node to which it is to go.
    #[arg(value_name = "NODE", required_unless_present = "any", conflicts_with = "any")]
    node: Option<String>,
    /// To the node that has least to do.
    #[arg(long)]
    any: bool,
    /// The server that has the room is this process. Default: the only server there is.
    #[arg(long, value_name = "NUMBER")]
    pid: Option<u32>,
}

/// Says how long the room stood still, or why it is where it was.
pub(super) fn move_room(args: &MoveArgs) -> Result<String, String> {
    let MoveArgs { room, node, pid, .. } = args;
    let server = match pid {
        Some(pid) => *pid,
        None => upgrade::only(&control::servers(), "--pid")?,
    };
    match control::ask(server, &Asked::Move(room.clone(), node.clone())) {
        Ok(Ok(stood_ms)) => {
            let to = node.as_ref().map_or_else(|| "another node".to_owned(), |node| format!("node {node}"));
            Ok(format!("room {room} goes on at {to}: it stood still for {stood_ms} ms"))
        }
        Ok(Err(why)) => Err(format!("{why} (process {server})")),
        Err(error) => Err(format!("process {server} cannot be asked: {error}")),
    }
}
