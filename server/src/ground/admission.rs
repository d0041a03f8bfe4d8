//! A connection that the door has let in.

use super::transport_kind::TransportKind;
use std::{any::Any, fmt};

/// That a connection was let in, and how. Its place among the connections is given back when this is dropped.
pub struct Admission {
    /// How the client is connected.
    pub transport: TransportKind,
    _place: Box<dyn Any>,
}

impl Admission {
    /// `place`: what gives the place back when it is dropped.
    pub fn new(transport: TransportKind, place: impl Any) -> Self {
        Self { transport, _place: Box::new(place) }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("transport", &self.transport).finish_non_exhaustive()
    }
}
