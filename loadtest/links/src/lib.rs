//! Bad links that anyone can reproduce, and the same game over each transport on equally bad links.
//!
//! A link is what a [`Scenario`] says: latency, jitter, loss, reordering, duplicates, a bottleneck with its
//! queue, blackouts; in phases, and seeded. The same traffic meets the same fate every time. There are two
//! ways to put one between a server and its clients:
//!
//! - A [`Relay`] on a port, UDP or TCP, without root. Each client (an address for UDP, a connection for TCP)
//!   gets its own link with its own queue and random numbers, as players at home do: fifty players on a link
//!   of 12 kB/s have 12 kB/s each. Datagrams lost here are lost to the application. TCP cannot be treated
//!   that way from user space: the module `model::segments` describes what is done instead, and what that
//!   leaves out.
//! - A [`Wire`] between two network [`Namespace`]s, with the kernel's own TCP and UDP at both ends. Needs
//!   root. All clients share one link.
//!
//! [`Comparison`] plays over relays, or directly, and measures what players get.
//!
//! ```text
//!   scenario (TOML) ─► model: what becomes of each packet; no sockets, no clock
//!                        ▲                     ▲
//!   relay: sockets and a timer ─┘              └─ wire: two TUN devices
//!     ▲
//!   compare: players on relays, an observer without one, figures
//! ```
//!
//! This crate has no command line, no HTTP and no notion of requirements: `loadtest link`, `compare` and
//! `netns` are its users.
//!
//! ```
//! use driftless_links::{Link, Relay, Scenario, Transport};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let scenario: Scenario = "rtt60-loss5".parse()?;
//! let link = Link::new(&scenario);
//! let relay = Relay::bind(Transport::Udp, "127.0.0.1:0".parse()?, "127.0.0.1:7777".parse()?, &link).await?;
//! link.begin();
//! println!("clients connect to {}", relay.address());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compare;
mod histogram;
mod model;
mod namespace;
mod relay;
mod scenario;
mod schedule;
mod wire;

pub use compare::{
    AfterBlackOutFigures, CompareFigures, Comparison, Links, Player, Rig, TransportFigures, table,
};
pub use histogram::{Micros, Quantiles};
pub use namespace::{Namespace, NamespaceError};
pub use relay::{Counts, Link, Relay, Transport};
pub use scenario::{Scenario, ScenarioError};
pub use wire::Wire;
