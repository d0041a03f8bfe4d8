//! A tick as it is published: encoded late, encoded once.

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

/// A room's state at one tick, shared by all who send it. Never changes once published.
///
/// The room hands out one `Arc` of it. Whoever sends it first against some baseline encodes the delta; the others with
/// the same baseline share those bytes.
#[derive(Debug)]
pub struct Published {
    /// No two ticks of any rooms have the same.
    serial: u64,
    schema: Arc<Schema>,
    snapshot: Snapshot,
    /// For each seat index: who sits there and the last of their inputs that this state contains.
    inputs: Vec<(PlayerId, u32)>,
    checksum: Option<u32>,
    encoded: Mutex<SmallVec<[Encoded; 1]>>,
}

#[derive(Debug)]
struct Encoded {
    key: DeltaKey,
    bytes: Bytes,
}

/// What makes two clients' deltas to one state the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaKey {
    baseline: Option<u32>,
    prior: Option<u32>,
    coding: ColumnCoding,
}

impl DeltaKey {
    /// Of the delta against these.
    pub fn of(baseline: Option<&Published>, prior: Option<&Published>, coding: ColumnCoding) -> Self {
        Self { baseline: baseline.map(StateTick::tick), prior: prior.map(StateTick::tick), coding }
    }
}

/// The shared part of a state message, and whether this call made it.
#[derive(Debug)]
pub struct SharedDelta {
    /// The encoded tables.
    pub bytes: Bytes,
    /// False: somebody else with the same baseline had encoded it.
    pub encoded_now: bool,
}

impl Published {
    /// One for a room to fill with `fill`. What then is as in `like`, it shares with that.
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

    /// Makes this the state of a new tick, reusing the memory of the old one. `with_checksum`: clients are to check it.
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

    /// Drops the encoded deltas: nobody will ask for them once a newer state is out.
    pub fn retire(&self) {
        self.encoded.lock().clear();
    }

    /// Names this state among all of this process, once it is filled.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Sequence of the last input of `player`, who sits at `index`, that this state contains.
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
    /// No lock is held while encoding: two threads may encode the same delta at the same moment, which costs a few
    /// microseconds once, where waiting would cost them at every tick.
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
