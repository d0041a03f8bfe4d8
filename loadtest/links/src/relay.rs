//! Sockets and a timer around the model.
//!
//! Nothing here grows without bound: a relay has at most [`MAX_CLIENTS`] clients, each with at most
//! [`MAX_WAITING`] datagrams or a TCP window of bytes in flight. A UDP client that is silent for [`IDLE`] is
//! forgotten.

mod counts;
mod flight;
mod tcp;
mod udp;

pub use counts::Counts;
pub use flight::Flight;

use crate::{
    model::{Datagrams, Path, Segments, Timeline, Way},
    scenario::Scenario,
};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Most clients of a relay. Further ones are not served, but counted.
const MAX_CLIENTS: usize = 4096;
/// Most datagrams in flight for a client, both ways together.
const MAX_WAITING: usize = 8192;
/// How long a UDP client may be silent before its link is forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// What all links of a run share: the scenario, its clock, its seed.
#[derive(Debug)]
pub struct Link {
    origin: Instant,
    timeline: Arc<Timeline>,
    seed: u64,
    clients: AtomicU64,
}

/// What is relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Streams.
    Tcp,
}

/// A port that forwards to a server until it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    counts: Arc<Counts>,
    task: tokio::task::JoinHandle<()>,
}

impl Link {
    /// A link under the conditions of the scenario's first phase until it [begins](Self::begin).
    pub fn new(scenario: &Scenario) -> Arc<Self> {
        Arc::new(Self {
            origin: Instant::now(),
            timeline: Arc::new(Timeline::new(scenario.phases.clone())),
            seed: scenario.seed,
            clients: AtomicU64::new(0),
        })
    }
    /// The first phase begins now.
    pub fn begin(&self) {
        self.timeline.begin(self.now());
    }
    /// Time since the link was made.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }
    fn instant(&self, at: Duration) -> tokio::time::Instant {
        (self.origin + at).into()
    }
    /// A new client's seed. The n-th client of a run always has the same.
    fn client_seed(&self) -> u64 {
        let client = self.clients.fetch_add(1, Ordering::Relaxed);
        self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(client << 1)
    }
    fn path(&self, way: Way) -> Path {
        Path::new(self.timeline.clone(), way)
    }
    fn datagrams(&self, way: Way, seed: u64) -> Datagrams {
        Datagrams::new(self.path(way), seed ^ way as u64)
    }
    fn segments(&self, way: Way, seed: u64) -> Segments {
        Segments::new(self.path(way), seed ^ way as u64)
    }
}

impl Relay {
    /// Listens at an address (port 0: any free one) and relays to a server. Needs a tokio runtime, which runs
    /// it.
    pub async fn bind(
        transport: Transport,
        listen: SocketAddr,
        to: SocketAddr,
        link: &Arc<Link>,
    ) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::other(format!("relay at {listen}: {error}"));
        let counts = Arc::new(Counts::default());
        let (address, task) = match transport {
            Transport::Udp => udp::bind(listen, to, link.clone(), counts.clone()).await.map_err(named)?,
            Transport::Tcp => tcp::bind(listen, to, link.clone(), counts.clone()).map_err(named)?,
        };
        Ok(Self { address, counts, task })
    }
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// What passed so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
    /// The same, for another thread.
    pub fn shared_counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
