//! One process of the server follows another while players play: the old one starts the new one, and hands
//! over its sockets and its rooms.
//!
//! ```text
//!  old: starts the program ─► sockets, by inherited descriptors
//!  new:                       reads its configuration, opens what it needs ─► "ready"
//!  old: stops accepting, says goodbye, stops its rooms ─► rooms (those with durability: in the store)
//!  new:                       has them go on, accepts who waits in the sockets ─► "serving"
//!  old: ends
//! ```
//!
//! Until the new process is ready, nothing has changed for anybody, and a new process that fails costs
//! nothing. If it fails later, the old program, which is still there as `/proc/self/exe`, is started in its
//! place, by the same steps.
//!
//! **Descriptors** are inherited, as with systemd's socket activation; but nobody knows the process's number
//! before it exists (`LISTEN_PID`), so the variable [`INHERITED`] names the parent, and the descriptors by
//! their numbers. Connections that nobody has accepted and datagrams that nobody has read wait in the
//! sockets.
//!
//! **The line** is a Unix socket between the two, with one JSON object a line, so that each may be of another
//! version ([`Said`], [`Left`]). The line that leaves everything only counts bytes, which follow it: of the
//! rooms, and of the users whose access is revoked.
//!
//! **In a container** nothing of this is possible: it ends with its main process ([`container`]), so that one
//! refuses.
//!
//! An upgrade is asked for by SIGUSR2 or by the [`control`] socket.

pub(crate) mod container;
pub(crate) mod control;
mod line;
mod predecessor;
mod successor;

pub(crate) use predecessor::{Predecessor, predecessor, tell_failed};
pub(crate) use successor::{Line, Program, Successor, UpgradeError};

use crate::{
    carry,
    ground::{inode::Inode, once::Id},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{TcpListener, UdpSocket},
};

/// The variable that tells a process what it has inherited: the number of its parent, then of the
/// descriptors of the line, of the listening TCP socket and of the UDP sockets.
const INHERITED: &str = "DRIFTLESS_INHERITED";
/// Longest line, bytes: whatever grows with what the server has is after the line.
const LONGEST: u64 = 1 << 20;

/// The sockets of a server.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// The one that listens.
    pub tcp: TcpListener,
    /// Those of QUIC, those of one address in the order in which they were bound.
    pub udp: Vec<UdpSocket>,
}

/// What the new process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// It can take the rooms.
    Ready(Abilities),
    /// It has them, and serves.
    Serving,
    /// It cannot start.
    Failed(String),
}

/// Which rooms a process can go on with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Abilities {
    /// The version of carried rooms.
    pub carried: u8,
    /// The version of a store's journal. None: unknown.
    #[serde(default)]
    pub journal: Option<u8>,
    /// Which store it has. None: none.
    #[serde(default)]
    pub store: Option<Inode>,
    /// Checksums of the schemas of its games, by kind.
    pub schemas: BTreeMap<String, u32>,
}

/// What the old process leaves to the new one, apart from what is in the store.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// Rooms.
    pub rooms: Vec<carry::Room>,
    /// Users who may not be here, and for how much longer, milliseconds.
    pub revoked: Vec<(String, u64)>,
    /// Tokens that were used, and when they expire, seconds since 1970.
    pub used: Vec<(Id, u64)>,
}

/// [`Left`] as a line, which says how many bytes follow it of what.
#[derive(Debug, Serialize, Deserialize)]
struct LeftLine {
    /// A file of carried rooms.
    rooms: u64,
    /// The revoked users, as JSON.
    revoked: u64,
    /// The used tokens, as JSON.
    used: u64,
}
