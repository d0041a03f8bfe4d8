//! A connection that the door has let in.

use super::{source::Source, transport_kind::TransportKind};
use std::{any::Any, fmt};

/// That a connection was let in, from where and how. Its place among the connections is given back when this is dropped.
pub struct Admission {
    /// How the client is connected.
    pub transport: TransportKind,
    /// Where it comes from.
    pub source: Source,
    _place: Box<dyn Any + Send>,
}

impl Admission {
    /// `place`: what gives the place back when it is dropped.
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
