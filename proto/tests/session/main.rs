//! Sessions of both ends, over a virtual network.
//!
//! `util::Pair` is a server's shell, a client's shell and the links between them, in memory and in virtual
//! time. Each other file is one behaviour.

// The network's helpers are tests too, though no `#[test]` functions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod ages;
mod backlog;
mod codes;
mod commands;
mod handshake;
mod hostile;
mod inputs;
mod lanes;
mod presence;
mod reliable;
mod schedules;
mod states;
mod timeouts;
mod transports;
mod util;
