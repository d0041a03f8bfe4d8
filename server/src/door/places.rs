//! Places for connections: so many in all, so many of one source.

use super::Refused;
use crate::{
    ground::{
        shares::{Share, Shares},
        source::Source,
        transport_kind::TransportKind,
    },
    metrics::Metrics,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts connections.
#[derive(Debug)]
pub struct ConnectionLimits {
    max: usize,
    open: AtomicUsize,
    shares: Arc<Shares>,
    metrics: Arc<Metrics>,
}

/// A place among the connections.
#[derive(Debug)]
pub struct Permit {
    limits: Arc<ConnectionLimits>,
    transport: TransportKind,
    _share: Share,
}

impl ConnectionLimits {
    /// At most `max` connections, and `max_per_source` of one source that is not loopback.
    pub fn new(max: usize, max_per_source: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { max, open: AtomicUsize::new(0), shares: Shares::new(max_per_source), metrics })
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes a place.
    pub fn take(self: &Arc<Self>, source: Source, transport: TransportKind) -> Result<Permit, Refused> {
        let max = self.shares.max();
        let share = self.shares.take(source).ok_or(Refused::AddressFull { of: source, max })?;
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::ServerFull(self.max));
        }
        let metrics = self.metrics.transport(transport);
        metrics.connections.inc();
        metrics.connections_total.inc();
        Ok(Permit { limits: self.clone(), transport, _share: share })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        self.limits.metrics.transport(self.transport).connections.dec();
    }
}
