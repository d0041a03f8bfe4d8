//! A connection that the door has admitted.

use super::{source::Source, transport_kind::TransportKind};
use std::{any::Any, fmt};

/// Proof that a connection was admitted, with its source and transport. Dropping it gives back the
/// connection's permit.
pub struct Admission {
    /// How the client is connected.
    pub transport: TransportKind,
    /// Where it comes from.
    pub source: Source,
    _place: Box<dyn Any + Send>,
}

impl Admission {
    /// `place` is the permit; it is given back when it is dropped.
    pub fn new(transport: TransportKind, source: Source, place: impl Any + Send) -> Self {
        Self { transport, source, _place: Box::new(place) }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transport, source, .. } = self;
        f.debug_struct("Admission")
            .field("transport", transport)
            .field("source", source)
            .finish_non_exhaustive()
    }
}
