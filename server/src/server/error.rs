//! Why a server does not start.

use crate::{systemd::SocketError, tls::TlsError};
use std::{error::Error, io, net::SocketAddr, path::PathBuf};

/// Why a server does not start. The text is one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The program offers no game.
    #[error("this server has no game: give `Server::new` one at least")]
    NoGame,
    /// The program offers two games of one name.
    #[error("two games are named {0:?}: give each a `Simulation::KIND` of its own")]
    SameKind(String),
    /// The configured kind is not one of the program's games.
    #[error("default_kind is {asked:?}, but must be one of {}", offered.join(", "))]
    NoSuchKind {
        /// The configured kind.
        asked: String,
        /// The program's kinds.
        offered: Vec<&'static str>,
    },
    /// The policy of the pages cannot be sent in a header.
    #[error("the pages' policy {0:?} cannot be sent: it may have visible ASCII characters and spaces only")]
    BadPolicy(String),
    /// The process may not open enough files.
    #[error(
        "this process may open {limit} files (ulimit -n), and the server needs {needed} before its first player: \
         allow more, as with `ulimit -n 4096`, or set fewer --threads"
    )]
    TooFewFiles {
        /// How many it may open.
        limit: u64,
        /// How many the server needs.
        needed: u64,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address} ({option}): {error}{}", advice(error))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The option that sets it.
        option: &'static str,
        /// The system's error.
        error: io::Error,
    },
    /// The socket that systemd hands over cannot be used.
    #[error("{0}")]
    Socket(#[from] SocketError),
    /// The sockets of the server before are not those that are configured.
    #[error("{0} has changed, and the sockets of the server before cannot: restart it instead")]
    Inherited(&'static str),
    /// A room cannot be made of a recording.
    #[error("--from: {0}")]
    From(String),
    /// The server before has not left its rooms.
    #[error("this server cannot follow the one before: {0}")]
    Upgrade(io::Error),
    /// The certificate cannot be served.
    #[error("{0}")]
    Certificate(#[from] TlsError),
    /// The nodes that there are have leases of another length.
    #[error("{0}")]
    Lease(String),
    /// Nobody can be sent to the address of this node.
    #[error(
        "with --redis, the other nodes send clients to this one, and {0} is no address to go to: set --public-url, \
         as http://10.0.0.7:7777, or listen on one address"
    )]
    NoAddress(SocketAddr),
    /// The recording folder cannot be used.
    #[error("{0}: choose a folder that this user may write to, or leave --record out")]
    Record(io::Error),
    /// Rooms cannot be carried in the file.
    #[error("{0}: choose another file, or leave --carry out")]
    Carry(io::Error),
    /// The keys that tokens are checked with cannot be used.
    #[error("token_keys: {0}")]
    Keys(String),
    /// The store cannot be used.
    #[error("cannot keep rooms in {}: {error}", folder.display())]
    Store {
        /// Its folder.
        folder: PathBuf,
        /// What is wrong.
        error: Box<dyn Error + Send + Sync>,
    },
    /// The handlers of jobs lack something that they need.
    #[error("{0}")]
    Jobs(String),
    /// The system lacks something that the server needs: a thread, random bytes.
    #[error("the system does not let the server start: {0}")]
    System(#[from] io::Error),
}

impl StartError {
    /// Whether other settings would help, and nothing else.
    pub(crate) fn is_usage(&self) -> bool {
        !matches!(self, Self::TooFewFiles { .. } | Self::Listen { .. } | Self::System(_))
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ": end the program that listens there, or choose another port (0 takes any that is free)"
        }
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address",
        io::ErrorKind::PermissionDenied => ": ports below 1024 need a privilege: choose another",
        _ => "",
    }
}
