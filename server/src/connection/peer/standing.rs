//! Who a peer's client is, how it has come, and whether it may stay.

use super::Peer;
use crate::{
    clock,
    connection::actor::SeatRequest,
    ground::{
        identity::Identity,
        source::Source,
        tenure::{Tenancy, Tenure},
        trace::TraceParent,
        transport_kind::TransportKind,
    },
    spans::Span,
    topics::Topics,
};
use driftless_proto::code::CloseCode;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

impl Peer {
    /// Where the connection comes from.
    pub(in crate::connection) fn source(&self) -> Source {
        self.admission.source
    }

    /// Of which trace it is a part.
    pub(in crate::connection) fn trace(&self) -> Option<TraceParent> {
        self.admission.trace
    }

    /// The same, said by its first request.
    pub(in crate::connection) fn set_trace(&mut self, trace: TraceParent) {
        self.admission.trace = Some(trace);
    }

    /// It begins to wait for a room. From here on, the request says of which span it is a part.
    pub(in crate::connection) fn asks(&mut self, wanted: &mut SeatRequest) {
        let (name, room) = match wanted {
            SeatRequest::Join(join) => ("join", &join.room),
            SeatRequest::Resume(resume) => ("resume", &resume.room),
        };
        let mut span = Span::within(name, self.trace());
        span.set("room", room);
        if let SeatRequest::Join(join) = wanted {
            join.traceparent = span.here().map_or_else(String::new, |here| here.to_string());
        }
        self.joining = Some(Box::new(span));
    }

    /// It waits no longer: it has a seat, or gets none.
    pub(in crate::connection) fn answered(&mut self, answer: Result<(), CloseCode>) {
        if let (Some(mut span), Err(code)) = (self.joining.take(), answer) {
            span.fails(code.name());
        }
    }

    /// How it comes, and from where.
    pub(in crate::connection) fn origin(&self) -> (TransportKind, Source) {
        (self.transport, self.admission.source)
    }

    /// Who its client is, once that is known.
    pub(in crate::connection) fn identity(&self) -> Option<&Arc<Identity>> {
        self.admission.tenure.as_ref().map(|tenure| tenure.identity())
    }

    /// The client has said who it is.
    pub(in crate::connection) fn set_tenure(&mut self, tenure: Tenure) {
        self.admission.tenure = Some(Box::new(tenure));
    }

    /// The client has shown a fresh token, which may allow it to read other topics than before.
    pub(in crate::connection) fn renew(&mut self, tenure: Tenure, topics: &Topics) {
        let identity = tenure.identity().clone();
        self.set_tenure(tenure);
        if let Some(reads) = &mut self.topics {
            reads.have_rights(topics, &identity);
            self.call();
        }
    }

    /// Has the client asked for a token once more before the one that it has expires.
    pub(in crate::connection) fn ask_again(&mut self) {
        if let Some(tenure) = &mut self.admission.tenure {
            tenure.ask_again(clock::now());
        }
    }

    /// Whether the client may stay. If not, the connection ends.
    pub(super) fn check_tenure(&mut self, now: Instant) {
        let Some(tenure) = &mut self.admission.tenure else { return };
        match tenure.poll(now) {
            Tenancy::Goes => {}
            Tenancy::Ask(within) => {
                self.session.ask_for_token(within);
                self.call();
            }
            Tenancy::Over(code, reason) => self.close(code, reason, Duration::ZERO),
        }
    }
}
