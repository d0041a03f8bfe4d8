//! What a bad link does, without sockets and without a clock. Time is an argument (since some common zero)
//! and random numbers are seeded, so the same traffic meets the same fate every time.
//!
//! Both ways of a link are separate: each has its own [`Conditions`], random numbers and queue.
//!
//! - [`Datagrams`] is one way for UDP. Each datagram passes the bottleneck ([`Bottleneck`]: it waits its
//!   turn, or finds the queue full), may be lost on the wire ([`LossState`]), and takes its time (latency,
//!   jitter, reordering, duplication).
//! - [`Segments`] is one way for a byte stream: the same link, plus what TCP does about losses.
//!
//! The order of a link's parts is that of an access line: the bottleneck first, then the wire. So a lost
//! datagram has used its share of the rate, as on a radio link.

mod bottleneck;
mod conditions;
mod datagrams;
mod loss;
mod path;
mod segments;

pub use bottleneck::Bottleneck;
pub use conditions::Conditions;
pub use datagrams::{Datagrams, Dropped, Fate, UDP_HEADERS};
pub use loss::{Loss, LossState};
pub use path::{Path, Phase, Timeline, Way};
pub use segments::{MAX_SEGMENT, SEGMENT_HEADERS, Segments};

#[cfg(test)]
mod tests;
