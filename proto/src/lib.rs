//! Wire format of Driftless: messages, quantised snapshots, deltas, and the session both ends run.
//!
//! Sans-IO: nothing here knows a socket, a clock or a runtime. Time is an argument.

pub mod code;
pub mod delta;
pub mod gate;
pub mod limits;
pub mod reliable;
pub mod schema;
pub mod session;
pub mod snapshot;
pub mod state;

/// The messages, generated from `schema/driftless/v1`.
#[allow(missing_docs, clippy::all)]
pub mod wire {
    include!(concat!(env!("OUT_DIR"), "/driftless.v1.rs"));
}
