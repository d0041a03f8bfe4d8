//! Sessions of both ends, over a virtual network.
//!
//! `util::Pair` is a server's shell, a client's shell and the links between them, in memory and in virtual
//! time. Each of the other files tests one behaviour.

// The network's helpers belong to the tests, although they are not `#[test]` functions.
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
mod spectators;
mod states;
mod timeouts;
mod transports;
mod undone;
mod util;
mod zones;
