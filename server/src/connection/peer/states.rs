//! The states that a peer is sent.

use super::Peer;
use crate::{
    connection::worker::Worker,
    ground::{published::Published, seat::Seat, transport_kind::TransportKind},
};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    session::server::{ZoneContent, Zoned},
    view::{InView, ZoneId},
    wire::ColumnCoding,
};
use std::{sync::Arc, time::Instant};

impl Peer {
    pub(super) fn write_state(&mut self, worker: &Worker, now: Instant, out: &mut BytesMut) -> bool {
        let Some(seat) = &self.seat else { return false };
        let (transport, coding) = (self.transport, self.session.coding());
        let sent = self.session.poll_state(now, |send| {
            let (current, baseline, prior) =
                (send.current, send.baseline.map(|state| &**state), send.prior.map(|state| &**state));
            let head = send.head(current.input_of(seat.index, seat.player));
            worker.delta(transport, current, baseline, prior, coding, |shared| {
                head.write(shared.len(), out);
                out.extend_from_slice(shared);
            });
        });
        sent.is_some()
    }

    /// Whether the next state consists of zones.
    pub(super) fn sends_zones(&self) -> bool {
        self.session.has_zones() || self.session.offered().is_some_and(|state| state.zones().is_some())
    }

    pub(super) fn write_zones(
        &mut self,
        worker: &Worker,
        now: Instant,
        message_bytes: usize,
        out: &mut BytesMut,
        mut each: impl FnMut(&mut BytesMut),
    ) -> bool {
        let Some(seat) = self.seat.clone() else { return false };
        let input = self.session.offered().map_or(0, |state| state.input_of(seat.index, seat.player));
        let mut room =
            SeenZones { worker, seat: &seat, transport: self.transport, coding: self.session.coding() };
        let (mut messages, mut bytes, mut before) = (0, 0, out.len());
        let wrote = self.session.poll_zones(
            now,
            input,
            &mut room,
            message_bytes,
            &mut worker.zone_writer(),
            out,
            |out| {
                messages += 1;
                bytes += out.len() - before;
                each(out);
                before = out.len();
            },
        );
        worker.counters(self.transport).states_sent += u64::from(wrote);
        self.sent(worker, messages, bytes);
        wrote
    }
}

/// A room's zones, as one player sees them.
struct SeenZones<'a> {
    worker: &'a Worker,
    seat: &'a Seat,
    transport: TransportKind,
    coding: ColumnCoding,
}

impl Zoned<Arc<Published>> for SeenZones<'_> {
    fn view<'a>(&'a self, state: &'a Arc<Published>) -> &'a [InView] {
        state.seen_from(self.seat)
    }

    fn content(&self, state: &Arc<Published>, zone: ZoneId) -> ZoneContent {
        state.zone_content(zone)
    }

    fn delta(
        &mut self,
        zone: ZoneId,
        current: &Arc<Published>,
        baseline: Option<&Arc<Published>>,
        prior: Option<&Arc<Published>>,
    ) -> Bytes {
        let (baseline, prior) = (baseline.map(|state| &**state), prior.map(|state| &**state));
        self.worker.zone_delta(self.transport, zone, current, baseline, prior, self.coding)
    }
}
