//! The relays of a comparison, on their own thread.

use crate::{
    model::{SEGMENT_HEADERS, UDP_HEADERS, Way},
    relay::{Counts, Link, Relay, Transport},
    scenario::Scenario,
};
use driftless_client::transport::TransportKind;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    thread::JoinHandle,
};
use tokio::sync::oneshot;

/// A relay for each transport, or none at all. They end when this is dropped.
#[derive(Debug, Default)]
pub struct Links {
    relays: Vec<Running>,
    /// Dropping it ends the thread.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A relay that runs on the thread.
#[derive(Debug)]
struct Running {
    address: SocketAddr,
    counts: Arc<Counts>,
    /// Each transport has its own with the same seed: the n-th player of each gets the same random numbers.
    link: Arc<Link>,
    headers: u64,
}

/// What passed through a relay, including IP, UDP and TCP headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes from the server.
    pub bytes_down: u64,
    /// Bytes to the server.
    pub bytes_up: u64,
    /// Packets from the server.
    pub packets_down: u64,
    /// Packets to the server.
    pub packets_up: u64,
    /// Packets lost on the wire, both ways; for TCP, segments retransmitted.
    pub lost: u64,
    /// Packets that found a full queue, both ways.
    pub overflowed: u64,
}

impl Links {
    /// Starts a relay for each transport, or none without a scenario. TCP goes to `server`, UDP to
    /// `quic_port` there.
    pub fn start(
        scenario: Option<&Scenario>,
        transports: &[TransportKind],
        server: SocketAddr,
        quic_port: u16,
    ) -> io::Result<Self> {
        let Some(scenario) = scenario.cloned() else { return Ok(Self::default()) };
        let transports = transports.to_vec();
        let (ready, started) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let run = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            runtime.block_on(async {
                let relays = bind(&scenario, &transports, server, quic_port).await;
                let (relays, running) = match relays {
                    Ok(relays) => relays.into_iter().unzip::<_, _, Vec<_>, Vec<_>>(),
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let _ = ready.send(Ok(running));
                let _ = ended.await;
                drop(relays);
            });
        };
        let thread = std::thread::Builder::new().name("links".to_owned()).spawn(run)?;
        let relays = started.recv().map_err(io::Error::other)??;
        Ok(Self { relays, end: Some(end), thread: Some(thread) })
    }
    /// Where a transport's players connect to. None: there are no relays.
    pub fn address(&self, index: usize) -> Option<SocketAddr> {
        self.relays.get(index).map(|relay| relay.address)
    }
    /// The scenario's first phase begins.
    pub fn begin(&self) {
        self.relays.iter().for_each(|relay| relay.link.begin());
    }
    /// What passed so far, by transport.
    pub(super) fn totals(&self) -> Vec<Traffic> {
        self.relays.iter().map(Running::total).collect()
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell.
            let _ = thread.join();
        }
    }
}

async fn bind(
    scenario: &Scenario,
    transports: &[TransportKind],
    server: SocketAddr,
    quic_port: u16,
) -> io::Result<Vec<(Relay, Running)>> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut relays = Vec::new();
    for transport in transports {
        let (transport, headers, port) = match transport {
            TransportKind::WebSocket => (Transport::Tcp, SEGMENT_HEADERS, server.port()),
            TransportKind::Quic | TransportKind::WebTransport => (Transport::Udp, UDP_HEADERS, quic_port),
        };
        let link = Link::new(scenario);
        let relay = Relay::bind(transport, any, SocketAddr::new(server.ip(), port), &link).await?;
        let counts = relay.shared_counts();
        let running = Running { address: relay.address(), counts, link, headers: headers as u64 };
        relays.push((relay, running));
    }
    Ok(relays)
}

impl Running {
    fn total(&self) -> Traffic {
        let way = |way| {
            let counts = self.counts.way(way);
            let packets = counts.packets.load(Relaxed);
            let lost = counts.lost.load(Relaxed);
            (
                packets,
                counts.bytes.load(Relaxed) + packets * self.headers,
                lost,
                counts.overflowed.load(Relaxed),
            )
        };
        let (up, down) = (way(Way::Up), way(Way::Down));
        Traffic {
            packets_up: up.0,
            packets_down: down.0,
            bytes_up: up.1,
            bytes_down: down.1,
            lost: up.2 + down.2,
            overflowed: up.3 + down.3,
        }
    }
}

impl Traffic {
    /// What passed since an earlier count.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            bytes_down: self.bytes_down - before.bytes_down,
            bytes_up: self.bytes_up - before.bytes_up,
            packets_down: self.packets_down - before.packets_down,
            packets_up: self.packets_up - before.packets_up,
            lost: self.lost - before.lost,
            overflowed: self.overflowed - before.overflowed,
        }
    }
}
