//! Places for connections: so many in all, so many of one address. A place is given back when its permit is dropped.

use super::Refused;
use crate::{ground::transport_kind::TransportKind, metrics::Metrics};
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

/// A place among the connections.
#[derive(Debug)]
pub struct Permit {
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
    pub fn take(self: &Arc<Self>, address: IpAddr, transport: TransportKind) -> Result<Permit, Refused> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::ServerFull(self.max));
        }
        // A proxy on this host has one address for all its clients.
        let address = (!address.is_loopback()).then_some(address);
        if let Some(address) = address {
            let mut of_address = self.by_address.entry(address).or_insert(0);
            if *of_address >= self.max_per_address {
                self.open.fetch_sub(1, Ordering::Relaxed);
                return Err(Refused::AddressFull { address, max: self.max_per_address });
            }
            *of_address += 1;
        }
        let metrics = self.metrics.transport(transport);
        metrics.connections.inc();
        metrics.connections_total.inc();
        Ok(Permit { limits: self.clone(), address, transport })
    }
}

impl Drop for Permit {
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
