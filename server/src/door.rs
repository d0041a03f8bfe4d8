//! The door: the one place where a connection of any transport is let in or refused.

mod limits;
pub mod origin;

pub use limits::ConnectionLimits;

use crate::{
    connection::{Connection, LocalConnections, PeerRef, Rooms},
    ground::{admission::Admission, refusal::Refusal, transport_kind::TransportKind},
    metrics::Metrics,
    registry::Registry,
};
use driftless_proto::{code::CloseCode, limits::Limits, session::Delivery};
use origin::Origins;
use std::{net::IpAddr, rc::Rc, sync::Arc};

/// Who may come in, and what those who may are given.
pub struct Door {
    registry: Arc<Registry>,
    rooms: Arc<dyn Rooms>,
    places: Arc<ConnectionLimits>,
    origins: Arc<Origins>,
    limits: Limits,
    metrics: Arc<Metrics>,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The server is going down.
    #[error("the server is going down")]
    Draining,
    /// There are as many connections as the server takes.
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

impl Refused {
    /// Name in metrics and in answers of HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Refused::Draining => "draining",
            Refused::ServerFull(_) => "server_full",
            Refused::AddressFull { .. } => "address_full",
        }
    }

    /// The close code.
    pub fn code(self) -> CloseCode {
        match self {
            Refused::Draining => CloseCode::Draining,
            Refused::ServerFull(_) | Refused::AddressFull { .. } => CloseCode::ServerFull,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::new(refused.code(), &refused)
    }
}

impl Door {
    /// To these rooms. `limits`: what a connection is allowed.
    pub fn new(
        registry: Arc<Registry>,
        rooms: Arc<dyn Rooms>,
        places: Arc<ConnectionLimits>,
        origins: Arc<Origins>,
        limits: Limits,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self { registry, rooms, places, origins, limits, metrics })
    }

    /// What a connection is allowed.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Which pages may come in.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Lets a connection in, or counts the refusal.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, address: IpAddr, transport: TransportKind) -> Result<Admission, Refused> {
        let admitted = if self.registry.is_draining() {
            Err(Refused::Draining)
        } else {
            self.places.take(address, transport)
        };
        admitted
            .map(|permit| Admission::new(transport, permit))
            .inspect_err(|refused| self.metrics.refused.inc(refused.name()))
    }

    /// Opens a connection that was let in, on the thread that serves it: what its transport needs.
    pub fn open(
        &self,
        admission: Admission,
        delivery: Delivery,
        connections: Rc<LocalConnections>,
    ) -> PeerRef {
        Connection::open(admission, delivery, self.limits.clone(), connections, self.rooms.clone())
    }
}
