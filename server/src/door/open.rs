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
    turned_away: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

/// An open connection. Counted until it is dropped.
#[derive(Debug)]
pub(super) struct Open {
    all: Arc<OpenConnections>,
    transport: TransportKind,
    _share: Share,
}

/// A connection that is refused. Counted until it is dropped.
#[derive(Debug)]
pub(super) struct TurnedAway(Arc<AtomicUsize>);

impl Drop for TurnedAway {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl OpenConnections {
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), turned_away: Arc::default(), metrics })
    }

    pub(super) fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Those that are open only until they have been told why they are refused.
    pub(super) fn turned_away(&self) -> usize {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Counts one more of those.
    pub(super) fn turn_away(&self) -> TurnedAway {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
        TurnedAway(self.turned_away.clone())
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
