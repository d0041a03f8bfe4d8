//! A published tick: encoded late, and encoded once.

use bytes::{Bytes, BytesMut};
use driftless_proto::{
    delta::{Encoder, References},
    schema::Schema,
    session::server::StateTick,
    snapshot::Snapshot,
    wire::ColumnCoding,
};
use driftless_sim::PlayerId;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
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
    encoded: Mutex<SmallVec<[Encoded; 1]>>,
}

#[derive(Debug)]
struct Encoded {
    key: DeltaKey,
    bytes: Bytes,
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

/// The shared part of a state message, and whether this call encoded it.
#[derive(Debug)]
pub struct SharedDelta {
    /// The encoded tables.
    pub bytes: Bytes,
    /// False: another connection with the same baseline had encoded it.
    pub encoded_now: bool,
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
            encoded: Mutex::default(),
        }
    }

    /// Makes this the state of a new tick, reusing the memory of the old one. `with_checksum`: clients should
    /// verify it.
    pub fn fill(
        &mut self,
        inputs: impl Iterator<Item = (PlayerId, u32)>,
        with_checksum: bool,
        snapshot: impl FnOnce(&mut Snapshot),
    ) {
        static LAST: AtomicU64 = AtomicU64::new(0);
        self.serial = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        self.encoded.get_mut().clear();
        self.inputs.clear();
        self.inputs.extend(inputs);
        snapshot(&mut self.snapshot);
        self.checksum = with_checksum.then(|| self.snapshot.checksum());
    }

    /// Drops the encoded deltas: nobody needs them once a newer state is published.
    pub fn retire(&self) {
        self.encoded.lock().clear();
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

    /// The shared part of the message that takes a peer from `baseline` (and `prior`) to this state.
    ///
    /// No lock is held while encoding: two threads may encode the same delta at the same moment, which
    /// occasionally costs a few microseconds; waiting would cost them at every tick.
    pub fn delta(
        &self,
        encoder: &mut Encoder,
        buffer: &mut BytesMut,
        baseline: Option<&Published>,
        prior: Option<&Published>,
        coding: ColumnCoding,
    ) -> SharedDelta {
        let key = DeltaKey::of(baseline, prior, coding);
        if let Some(bytes) = self.encoded(key) {
            return SharedDelta { bytes, encoded_now: false };
        }
        let references =
            References { baseline: baseline.map(Published::snapshot), prior: prior.map(Published::snapshot) };
        encoder.encode(&self.schema, references, &self.snapshot, coding, self.checksum, buffer);
        let bytes = buffer.split().freeze();
        let mut encoded = self.encoded.lock();
        if !encoded.iter().any(|e| e.key == key) {
            encoded.push(Encoded { key, bytes: bytes.clone() });
        }
        SharedDelta { bytes, encoded_now: true }
    }

    fn encoded(&self, key: DeltaKey) -> Option<Bytes> {
        self.encoded.lock().iter().find(|e| e.key == key).map(|e| e.bytes.clone())
    }
}

impl StateTick for Published {
    fn tick(&self) -> u32 {
        self.snapshot.tick()
    }
}
