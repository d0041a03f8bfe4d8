//! Limits of the whole server: connections in all and from one address. A place is given back when its permit is dropped.

use crate::metrics::{Metrics, TransportKind};
use dashmap::DashMap;
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Counts connections.
#[derive(Debug)]
pub struct ConnectionLimits {
    max: usize,
    max_per_address: usize,
    open: AtomicUsize,
    by_address: DashMap<IpAddr, usize>,
    metrics: Arc<Metrics>,
}

/// Why a connection is refused before it is upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionRefused {
    /// There are as many as the server takes.
    #[error("all {0} connections are in use")]
    ServerFull(usize),
    /// There are as many as one address may have.
    #[error("{address} has {max} connections, as many as one address may have")]
    AddressFull {
        /// The address.
        address: IpAddr,
        /// As many as it may have.
        max: usize,
    },
}

impl ConnectionRefused {
    /// Name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            ConnectionRefused::ServerFull(_) => "server_full",
            ConnectionRefused::AddressFull { .. } => "address_full",
        }
    }
}

/// A place among the connections.
#[derive(Debug)]
pub struct ConnectionPermit {
    limits: Arc<ConnectionLimits>,
    address: Option<IpAddr>,
    transport: TransportKind,
}

impl ConnectionLimits {
    /// At most `max` connections, and `max_per_address` from one address that is not loopback.
    pub fn new(max: usize, max_per_address: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            max,
            max_per_address,
            open: AtomicUsize::new(0),
            by_address: DashMap::new(),
            metrics,
        })
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes a place.
    pub fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        transport: TransportKind,
    ) -> Result<ConnectionPermit, ConnectionRefused> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(ConnectionRefused::ServerFull(self.max));
        }
        // A proxy on this host has one address for all its clients.
        let address = (!address.is_loopback()).then_some(address);
        if let Some(address) = address {
            let mut of_address = self.by_address.entry(address).or_insert(0);
            if *of_address >= self.max_per_address {
                self.open.fetch_sub(1, Ordering::Relaxed);
                return Err(ConnectionRefused::AddressFull { address, max: self.max_per_address });
            }
            *of_address += 1;
        }
        let metrics = self.metrics.transport(transport);
        metrics.connections.inc();
        metrics.connections_total.inc();
        Ok(ConnectionPermit { limits: self.clone(), address, transport })
    }
}

impl ConnectionPermit {
    /// How the client is connected.
    pub fn transport(&self) -> TransportKind {
        self.transport
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        self.limits.metrics.transport(self.transport).connections.dec();
        if let Some(address) = self.address {
            self.limits.by_address.remove_if_mut(&address, |_, open| {
                *open -= 1;
                *open == 0
            });
        }
    }
}
