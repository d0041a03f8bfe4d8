//! What the connections of one thread share: clock, counters, buffers, and deltas that are encoded once and
//! sent by all.

use super::{
    calls::Calls,
    coalesce::Coalesce,
    interlude::{Interlude, Interludes},
    load::Load,
};
use crate::{
    clock::{self, Clock},
    ground::{
        published::{DeltaKey, Published, SharedDelta},
        transport_kind::TransportKind,
    },
    metrics::{LocalCounters, Metrics},
};
use bytes::{Bytes, BytesMut};
use driftless_proto::{delta::Encoder, session::server::ZoneWriter, wire::ColumnCoding};
use driftless_sim::ZoneId;
use std::{
    cell::{RefCell, RefMut},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

/// Memory for the deltas of a few ticks, after which it is reused.
const DELTA_BUFFER: usize = 64 * 1024;
/// Most bytes of one read.
const READ_BUFFER: usize = 16 * 1024;

/// What the connections of one thread share. Never leaves its thread.
pub struct Worker {
    clock: Clock,
    metrics: Arc<Metrics>,
    pause: Duration,
    /// Message rate of WebSocket.
    load: Load,
    /// Pauses for QUIC.
    coalesce: Rc<Coalesce>,
    calls: Rc<Calls>,
    interludes: Rc<Interludes>,
    deltas: RefCell<Deltas>,
    zone_writer: RefCell<ZoneWriter>,
    /// One per transport kind.
    counters: RefCell<[LocalCounters; TransportKind::ALL.len()]>,
    /// Buffer in which transports assemble one message.
    scratch: RefCell<BytesMut>,
    /// Buffer in which transports assemble what one write sends.
    write_buffer: RefCell<BytesMut>,
    /// Buffer into which transports read.
    read_buffer: RefCell<Box<[u8]>>,
}

struct Deltas {
    encoder: Encoder,
    buffer: BytesMut,
    /// The delta that was sent last, and the serial of its state: usually the room's next connection needs
    /// the same one.
    last: Option<((u64, DeltaKey), Bytes)>,
}

impl Worker {
    /// For the calling thread. `pause`: see `Config::coalesce`.
    pub fn start(clock: Clock, metrics: Arc<Metrics>, pause: Duration) -> Rc<Self> {
        let interludes = Rc::<Interludes>::default();
        Rc::new(Self {
            clock,
            metrics,
            pause,
            load: Load::default(),
            coalesce: Coalesce::start(pause, interludes.clone()),
            calls: Calls::here(),
            interludes,
            deltas: RefCell::new(Deltas {
                encoder: Encoder::default(),
                buffer: BytesMut::with_capacity(DELTA_BUFFER),
                last: None,
            }),
            zone_writer: RefCell::default(),
            counters: RefCell::default(),
            scratch: RefCell::default(),
            write_buffer: RefCell::default(),
            read_buffer: RefCell::new(vec![0; READ_BUFFER].into()),
        })
    }

    /// The server's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }
    /// This thread's counts for one transport. They are added to the metrics a few times per second.
    pub fn counters(&self, transport: TransportKind) -> RefMut<'_, LocalCounters> {
        RefMut::map(self.counters.borrow_mut(), |all| &mut all[transport as usize])
    }
    /// A message with this many inputs has arrived. `excess` is the number of those dropped.
    pub fn arrived(&self, transport: TransportKind, bytes: usize, inputs: u64, excess: u64) {
        let mut counters = self.counters(transport);
        counters.messages_in += 1;
        counters.bytes_in += bytes as u64;
        counters.inputs += inputs;
        counters.excess_dropped += excess;
        match transport {
            TransportKind::WebSocket => self.load.arrived(),
            TransportKind::Quic | TransportKind::WebTransport => self.coalesce.arrived(),
        }
    }
    /// While messages come fast: how long the thread's hub may leave its WebSockets unread.
    pub fn pause(&self) -> Option<Duration> {
        (self.load.is_busy() && !self.pause.is_zero()).then_some(self.pause)
    }
    /// The WebSockets that may have something to send.
    pub fn calls(&self) -> &Rc<Calls> {
        &self.calls
    }
    /// A buffer in which to assemble messages.
    pub fn scratch(&self) -> RefMut<'_, BytesMut> {
        self.scratch.borrow_mut()
    }
    /// A buffer in which to assemble what one write sends.
    pub fn write_buffer(&self) -> RefMut<'_, BytesMut> {
        self.write_buffer.borrow_mut()
    }
    /// A buffer to read into.
    pub fn read_buffer(&self) -> RefMut<'_, Box<[u8]>> {
        self.read_buffer.borrow_mut()
    }
    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Gets the shared part of a state message, for a connection of this transport. Encodes it if necessary.
    pub fn delta(
        &self,
        transport: TransportKind,
        current: &Published,
        baseline: Option<&Published>,
        prior: Option<&Published>,
        coding: ColumnCoding,
        write: impl FnOnce(&[u8]),
    ) {
        let key = (current.serial(), DeltaKey::of(baseline, prior, coding));
        let last = self.deltas.borrow_mut().last.take_if(|(of, _)| *of == key);
        let bytes = match last {
            Some((_, bytes)) => {
                self.counters(transport).deltas_shared += 1;
                bytes
            }
            None => self.zone_delta(transport, 0, current, baseline, prior, coding),
        };
        self.counters(transport).states_sent += 1;
        write(&bytes);
        self.deltas.borrow_mut().last = Some((key, bytes));
    }

    /// Gets the shared fields of one zone.
    pub fn zone_delta(
        &self,
        transport: TransportKind,
        zone: ZoneId,
        current: &Published,
        baseline: Option<&Published>,
        prior: Option<&Published>,
        coding: ColumnCoding,
    ) -> Bytes {
        let Deltas { encoder, buffer, last, .. } = &mut *self.deltas.borrow_mut();
        *last = None; // it may be the only reference that keeps the buffer's memory from being reused
        let SharedDelta { bytes, encoded_in } = current.delta(zone, encoder, buffer, baseline, prior, coding);
        let mut counters = self.counters(transport);
        match encoded_in {
            Some(time) => {
                self.metrics.rooms.encode.observe(time);
                counters.deltas_encoded += 1;
            }
            None => counters.deltas_shared += 1,
        }
        bytes
    }

    /// Memory in which the messages of a state with zones are put together.
    pub fn zone_writer(&self) -> RefMut<'_, ZoneWriter> {
        self.zone_writer.borrow_mut()
    }

    /// Forgets the last delta: the next one is looked up in its state, and encoded if it is not there.
    pub fn forget_delta(&self) {
        self.deltas.borrow_mut().last = None;
    }

    /// Runs `interlude` between two pieces of work when it is due; first at once.
    pub fn set_interlude(&self, interlude: Rc<dyn Interlude>) {
        self.interludes.set(interlude);
        self.calls.wake();
    }
    /// Makes the interlude due now, whatever it said before.
    pub fn hasten_interlude(&self) {
        self.interludes.hasten();
        self.calls.wake();
    }
    /// Runs the interlude, if it is due. Call it between two pieces of work, when no connection is borrowed.
    /// Returns the current time, which is later than `now` if something ran.
    pub fn interlude(&self, now: Instant) -> Instant {
        if self.interludes.run(now) { clock::now() } else { now }
    }
    /// When the interlude is due next. None: it is not scheduled.
    pub fn next_interlude(&self) -> Option<Instant> {
        self.interludes.due()
    }

    /// Time has passed: adds the counts to the metrics, and measures how busy the thread is.
    pub(super) fn sweep(&self, passed: Duration) {
        self.load.measure(passed);
        self.coalesce.measure(passed);
        for transport in TransportKind::ALL {
            let counted = self.counters(transport).take();
            self.metrics.add(transport, &counted);
        }
    }
}
