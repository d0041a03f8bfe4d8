//! A published tick: encoded late, and encoded once.

use super::{seat::Seat, sight::Sight, zones::Zones};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    delta::{Encoder, References},
    schema::Schema,
    session::server::{StateTick, ZoneContent},
    snapshot::Snapshot,
    view::InView,
    wire::ColumnCoding,
};
use driftless_sim::{PlayerId, ZoneId};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A room's state at one tick, shared by all connections that send it. Never changes once it is published.
///
/// The room hands out one `Arc` of it. The first connection that sends it against some baseline encodes the
/// delta; others with the same baseline share those bytes.
#[derive(Debug)]
pub struct Published {
    /// Unique among the ticks of all rooms.
    serial: u64,
    schema: Arc<Schema>,
    snapshot: Snapshot,
    /// For each seat index: its player, and the last of the player's inputs that this state contains.
    inputs: Vec<(PlayerId, u32)>,
    checksum: Option<u32>,
    encoded: Encodings,
    /// None: there is only zone 0.
    zones: Option<Box<Zones>>,
    prefers_common: bool,
}

/// The deltas of one zone that somebody has encoded.
#[derive(Debug, Default)]
pub(super) struct Encodings(Mutex<SmallVec<[(DeltaKey, Bytes); 1]>>);

impl Encodings {
    pub(super) fn find(&self, key: DeltaKey) -> Option<Bytes> {
        self.0.lock().iter().find(|(of, _)| *of == key).map(|(_, bytes)| bytes.clone())
    }

    /// Adds one, unless another thread was faster.
    pub(super) fn add(&self, key: DeltaKey, bytes: &Bytes) {
        let mut all = self.0.lock();
        if !all.iter().any(|(of, _)| *of == key) {
            all.push((key, bytes.clone()));
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.get_mut().clear();
    }

    /// Drops them, and returns how many there were.
    pub(super) fn retire(&self) -> usize {
        let mut all = self.0.lock();
        let count = all.len();
        all.clear();
        count
    }
}

/// What determines the bytes of a delta to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaKey {
    baseline: Option<u32>,
    prior: Option<u32>,
    coding: ColumnCoding,
}

impl DeltaKey {
    /// The key of the delta against these states.
    pub fn of(baseline: Option<&Published>, prior: Option<&Published>, coding: ColumnCoding) -> Self {
        Self { baseline: baseline.map(StateTick::tick), prior: prior.map(StateTick::tick), coding }
    }
}

/// By whom a state may be looked at, apart from players.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watched {
    /// By spectators.
    pub by_spectators: bool,
    /// By those who see everything.
    pub by_admins: bool,
}

/// The shared part of a state message, and what it took to encode it.
#[derive(Debug)]
pub struct SharedDelta {
    /// The encoded tables.
    pub bytes: Bytes,
    /// How long it took. None: another connection with the same baseline had encoded it.
    pub encoded_in: Option<Duration>,
}

impl Published {
    /// An empty one, for a room to `fill`. It shares the memory of whatever is then the same as in `like`.
    pub fn new(schema: Arc<Schema>, like: Option<&Published>) -> Self {
        Self {
            serial: 0,
            snapshot: like.map_or_else(|| Snapshot::new(&schema), |like| like.snapshot.clone()),
            schema,
            inputs: Vec::new(),
            checksum: None,
            encoded: Encodings::default(),
            zones: None,
            prefers_common: false,
        }
    }

    /// Makes this the state of a new tick, reusing the memory of the old one. `before` is the tick before.
    /// `with_checksum`: clients should verify it. `prefers_common`: see [`StateTick::prefers_common`].
    ///
    /// Returns a kind and a column in which there was a number of no text, if any: it is 0 now, because
    /// clients would have refused the state.
    pub fn fill(
        &mut self,
        inputs: impl Iterator<Item = (PlayerId, u32)>,
        before: Option<&Published>,
        with_checksum: bool,
        prefers_common: bool,
        snapshot: impl FnOnce(&mut Snapshot),
    ) -> Option<(usize, usize)> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        self.serial = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        self.encoded.clear();
        self.prefers_common = prefers_common;
        self.inputs.clear();
        self.inputs.extend(inputs);
        snapshot(&mut self.snapshot);
        let unknown_text = self.snapshot.clear_unknown_texts(&self.schema);
        self.checksum = with_checksum.then(|| self.snapshot.checksum());
        let before = before.and_then(|before| Some((&before.snapshot, before.zones.as_deref()?)));
        if self.snapshot.zones().next().is_none() && before.is_none() {
            self.zones = None;
            return unknown_text;
        }
        let zones = self.zones.get_or_insert_with(|| Box::new(Zones::new(&self.schema)));
        zones.fill(&self.snapshot, before, with_checksum);
        unknown_text
    }

    /// Asks what the players in these seats see (none: the seat is free, or its player away), if there are
    /// zones. `see` is given what the player saw the tick `before`.
    pub fn look(
        &mut self,
        seats: impl Iterator<Item = Option<PlayerId>>,
        before: Option<&Published>,
        see: impl FnMut(PlayerId, &[InView], &mut Vec<InView>),
    ) {
        if let Some(zones) = &mut self.zones {
            zones.look(seats, before.and_then(Published::zones), see);
        }
    }

    /// Asks what spectators see, if there are zones and there may be spectators. `see` is given what they saw
    /// the tick `before`.
    pub fn look_on(
        &mut self,
        watched: Watched,
        before: Option<&Published>,
        see: impl FnOnce(&[InView], &mut Vec<InView>),
    ) {
        if let Some(zones) = &mut self.zones {
            zones.look_on(watched, before.and_then(Published::zones), see);
        }
    }

    /// The zones that the connection of this seat is shown, besides zone 0.
    pub fn seen_from(&self, seat: &Seat) -> &[InView] {
        match seat.sight {
            Sight::Player => self.view(seat.index, seat.player),
            watching => self.zones().map_or(&[], |zones| zones.shown(watching)),
        }
    }

    /// Drops the encoded deltas: nobody needs them once a newer state is published. Returns how many there
    /// were of the zone with the most.
    pub fn retire(&self) -> usize {
        self.encoded.retire().max(self.zones.as_ref().map_or(0, |zones| zones.retire()))
    }

    /// The zones that a player sees, besides zone 0; `index` is that of its seat.
    pub fn view(&self, index: usize, player: PlayerId) -> &[InView] {
        self.zones().map_or(&[], |zones| zones.view(index, player))
    }

    /// What became of a zone's content.
    pub fn zone_content(&self, zone: ZoneId) -> ZoneContent {
        self.zones().map_or(ZoneContent { changed: 0, is_empty: true }, |zones| zones.content(zone))
    }

    /// The zones other than zone 0. None: there are none.
    pub fn zones(&self) -> Option<&Zones> {
        self.zones.as_deref()
    }

    /// Unique number of this state within the process, once it is filled.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Sequence of the last input that this state contains from `player`, whose seat has this index.
    pub fn input_of(&self, index: usize, player: PlayerId) -> u32 {
        match self.inputs.get(index) {
            Some(&(at, sequence)) if at == player => sequence,
            _ => 0,
        }
    }

    /// The state.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The shared fields of a zone in the message that takes a peer from `baseline` (and `prior`) to this
    /// state.
    ///
    /// No lock is held while encoding: two threads may encode the same delta at the same moment, which
    /// occasionally costs a few microseconds; waiting would cost them at every tick.
    pub fn delta(
        &self,
        zone: ZoneId,
        encoder: &mut Encoder,
        buffer: &mut BytesMut,
        baseline: Option<&Published>,
        prior: Option<&Published>,
        coding: ColumnCoding,
    ) -> SharedDelta {
        let key = DeltaKey::of(baseline, prior, coding);
        let (encodings, checksum) = match (zone, self.zones.as_ref().and_then(|zones| zones.find(zone))) {
            (0, _) => (Some(&self.encoded), self.checksum),
            (_, Some(zone)) => (Some(&zone.encoded), zone.checksum),
            (_, None) => (None, None),
        };
        if let Some(bytes) = encodings.and_then(|encodings| encodings.find(key)) {
            return SharedDelta { bytes, encoded_in: None };
        }
        let start = Instant::now();
        let current = self.content(zone);
        let references = References {
            baseline: baseline.map(|state| state.content(zone)),
            prior: prior.map(|state| state.content(zone)),
        };
        encoder.encode(&self.schema, references, current, coding, checksum, buffer);
        let bytes = buffer.split().freeze();
        if let Some(encodings) = encodings {
            encodings.add(key, &bytes);
        }
        SharedDelta { bytes, encoded_in: Some(start.elapsed()) }
    }

    /// The content of a zone.
    fn content(&self, zone: ZoneId) -> &Snapshot {
        let nothing = || self.zones.as_ref().map(|zones| zones.nothing());
        // Only a state with zones is asked for another zone than 0.
        self.snapshot.content(zone).or_else(nothing).unwrap_or(&self.snapshot)
    }
}

impl StateTick for Published {
    fn tick(&self) -> u32 {
        self.snapshot.tick()
    }
    fn prefers_common(&self) -> bool {
        self.prefers_common
    }
}
