//! The open connections, including those without a seat.

use crate::{
    ground::{shares::Share, transport_kind::TransportKind},
    metrics::Metrics,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts them.
#[derive(Debug)]
pub(super) struct OpenConnections {
    open: AtomicUsize,
    metrics: Arc<Metrics>,
}

/// An open connection. Counted until it is dropped.
#[derive(Debug)]
pub(super) struct Open {
    all: Arc<OpenConnections>,
    transport: TransportKind,
    _share: Share,
}

impl OpenConnections {
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), metrics })
    }

    pub(super) fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts one more. `share` is its source's permit.
    pub(super) fn open(self: &Arc<Self>, transport: TransportKind, share: Share) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        let metrics = self.metrics.transport(transport);
        metrics.connections.inc();
        metrics.connections_total.inc();
        Open { all: self.clone(), transport, _share: share }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.all.open.fetch_sub(1, Ordering::Relaxed);
        self.all.metrics.transport(self.transport).connections.dec();
    }
}
