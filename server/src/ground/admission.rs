//! A connection that the door has admitted.

use super::{source::Source, tenure::Tenure, trace::TraceParent, transport_kind::TransportKind};
use std::{any::Any, fmt};

/// Proof that a connection was admitted, with what is known of it. Dropping it gives back the
/// connection's permit.
pub struct Admission {
    /// How the client is connected.
    pub transport: TransportKind,
    /// Where it comes from.
    pub source: Source,
    /// Who its client is, and for how long. None: the client says so with its join or resume.
    pub tenure: Option<Box<Tenure>>,
    /// Of which trace it is a part. None: of none, or the client says so with its join.
    pub trace: Option<TraceParent>,
    _place: Box<dyn Any + Send>,
}

impl Admission {
    /// Of a client that has yet to say who it is. `place` is the permit; it is given back when it is dropped.
    pub fn new(transport: TransportKind, source: Source, place: impl Any + Send) -> Self {
        Self { transport, source, tenure: None, trace: None, _place: Box::new(place) }
    }

    /// Of this client.
    #[must_use]
    pub fn of(self, tenure: Tenure) -> Self {
        Self { tenure: Some(Box::new(tenure)), ..self }
    }

    /// Of this trace.
    #[must_use]
    pub fn in_trace(self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transport, source, tenure, .. } = self;
        f.debug_struct("Admission")
            .field("transport", transport)
            .field("source", source)
            .field("tenure", tenure)
            .finish_non_exhaustive()
    }
}
