//! Messages that must arrive exactly once and in order, kept until they are acknowledged.
//!
//! A queue belongs to a seat, not to a connection: it outlives the connection while the player is away.
//! Sequences are 64-bit and never wrap.

use crate::wire;
use bytes::{BufMut, Bytes};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use std::{collections::VecDeque, mem, time::Duration};

/// What a message costs in a queue beyond its bytes: a handle, and its share of an allocation.
pub const MESSAGE_OVERHEAD: usize = 64;
/// A queue never keeps more than this many times its `max_bytes`.
pub const HARD_BOUND: usize = 4;

/// What a message costs in a queue, bytes.
pub fn cost(body: &[u8]) -> usize {
    body.len() + MESSAGE_OVERHEAD
}

/// Reliable messages of one seat: numbered from 1, kept until acknowledged, bounded.
///
/// There are two bounds. Exceeding `max_messages` or `max_bytes` does not make a peer slow, because much may
/// be sent at once. A peer is slow if it then acknowledges nothing for some time ([`look`](Self::look)). And
/// the queue never exceeds [`HARD_BOUND`] times `max_bytes`: then it has overflowed.
#[derive(Debug)]
pub struct ReliableQueue {
    /// Unacknowledged messages, oldest first. The first has the sequence `acked + 1`.
    kept: VecDeque<Bytes>,
    /// The cost of the kept messages, bytes.
    kept_bytes: usize,
    acked: u64,
    /// Last sequence that was sent on this connection.
    sent: u64,
    /// Last sequence that was sent on any connection.
    ever_sent: u64,
    overflowed: bool,
    /// The last message that the peer can have, if what came after it was lost with another process.
    lost_after: Option<u64>,
    /// What was queued after that may have been sent by a process that has failed, too: under which numbers
    /// is unknown.
    unknowable: bool,
    /// The last message that the peer may have acknowledged to a process that has failed, which nobody knows.
    unheard: Option<u64>,
    /// The cost of the messages up to that one: they do not count.
    doubtful_bytes: usize,
    max_messages: usize,
    max_bytes: usize,
    /// How long the queue has been over its bound without progress, and what was acknowledged at the last
    /// look.
    stuck: Duration,
    looked_at: u64,
}

/// A queue as it is kept where there is none: on its way from one process to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedQueue {
    /// The last sequence that was acknowledged.
    pub acked: u64,
    /// The last sequence that was ever sent.
    pub sent: u64,
    /// The unacknowledged messages, oldest first.
    pub kept: Vec<Bytes>,
    /// The number after which a process that failed may have sent messages that are not known here: those
    /// are lost, and the peer may have them.
    pub lost_after: Option<u64>,
    /// The last number that the peer may have acknowledged to a process that failed, without a word of it
    /// here.
    pub unheard: Option<u64>,
}

/// Most messages that a peer may have beyond those that were saved.
const MOST_LOST: u64 = 1 << 32;

/// Why a message was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{messages} reliable messages ({bytes} bytes) are unacknowledged: the peer is too slow")]
pub struct QueueFull {
    /// Messages kept.
    pub messages: usize,
    /// Their cost, bytes.
    pub bytes: usize,
}

impl SavedQueue {
    /// The process that had it has failed. It may have sent all of this; and more, if something was `lost`.
    pub fn failed(&mut self, lost: bool) {
        let last = self.acked.saturating_add(self.kept.len() as u64);
        self.sent = last;
        self.unheard.get_or_insert(last);
        if lost {
            self.lost_after.get_or_insert(last);
        }
    }
}

impl ReliableQueue {
    /// An empty queue. With more than this many messages or bytes waiting, the peer has to make progress.
    pub fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            kept_bytes: 0,
            acked: 0,
            sent: 0,
            ever_sent: 0,
            overflowed: false,
            lost_after: None,
            unknowable: false,
            unheard: None,
            doubtful_bytes: 0,
            max_messages,
            max_bytes,
            stuck: Duration::ZERO,
            looked_at: 0,
        }
    }

    /// A queue that goes on where a saved one stopped.
    pub fn restored(max_messages: usize, max_bytes: usize, saved: SavedQueue) -> Self {
        let SavedQueue { acked, sent, kept, lost_after, unheard } = saved;
        let kept_bytes = kept.iter().map(|body| cost(body)).sum();
        let last = acked.saturating_add(kept.len() as u64);
        let ever_sent = sent.clamp(acked, last);
        let doubtful = unheard.map_or(0, |unheard| unheard.saturating_sub(acked));
        let doubtful = kept.iter().take(usize::try_from(doubtful).unwrap_or(usize::MAX));
        let doubtful_bytes = doubtful.map(|body| cost(body)).sum();
        let kept = VecDeque::from(kept);
        let unknowable = lost_after.is_some_and(|lost_after| ever_sent > lost_after);
        let new = Self::new(max_messages, max_bytes);
        Self {
            kept,
            kept_bytes,
            acked,
            sent: acked,
            ever_sent,
            lost_after,
            unknowable,
            unheard,
            doubtful_bytes,
            ..new
        }
    }

    /// What it takes to go on with it elsewhere. (One that has overflowed cannot be gone on with.)
    pub fn save(&self) -> SavedQueue {
        let kept = self.kept.iter().cloned().collect();
        let Self { acked, ever_sent: sent, lost_after, unheard, .. } = *self;
        SavedQueue { acked, sent, kept, lost_after, unheard }
    }

    /// Queues a message and returns its sequence. `body` is the encoded `Reliable` without its sequence, so
    /// the same bytes can be queued for many peers. An overflowed queue stays so: the connection has to be
    /// closed as a slow consumer, and the seat cannot be resumed without a gap.
    ///
    /// After a process that failed, it is not known what the peer has acknowledged of what was saved: until
    /// it is back, only what was pushed since counts.
    pub fn push(&mut self, body: Bytes) -> Result<u64, QueueFull> {
        let bytes = self.kept_bytes.saturating_add(cost(&body));
        let counted = bytes.saturating_sub(self.doubtful_bytes);
        if self.overflowed || counted > self.max_bytes.saturating_mul(HARD_BOUND) {
            self.overflowed = true;
            return Err(QueueFull { messages: self.kept.len(), bytes: self.kept_bytes });
        }
        self.kept_bytes = bytes;
        self.kept.push_back(body);
        Ok(self.last())
    }

    /// Tells the queue that `passed` has elapsed since the last look. Returns how long the queue has been
    /// over its bound while nothing was acknowledged.
    pub fn look(&mut self, passed: Duration) -> Duration {
        let over = self.kept.len() > self.max_messages || self.kept_bytes > self.max_bytes;
        let progress = mem::replace(&mut self.looked_at, self.acked) != self.acked;
        self.stuck = if over && !progress { self.stuck + passed } else { Duration::ZERO };
        self.stuck
    }

    /// The next message to send on this connection, if any, with its sequence.
    pub fn pop_unsent(&mut self) -> Option<(u64, Bytes)> {
        let index = usize::try_from(self.sent - self.acked).ok()?;
        let body = self.kept.get(index)?.clone();
        self.sent += 1;
        self.ever_sent = self.ever_sent.max(self.sent);
        Some((self.sent, body))
    }

    /// All that is queued counts as sent on this connection: where nobody knows what was.
    pub fn send_all(&mut self) {
        self.sent = self.last();
        self.ever_sent = self.ever_sent.max(self.sent);
    }

    /// The last sequence that was acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acked
    }

    /// Whether `pop_unsent` would give one.
    pub fn has_unsent(&self) -> bool {
        self.sent < self.last()
    }

    /// Whether it is unknown what the peer has: messages were lost with a process that failed, and the peer
    /// has not been back since.
    pub fn is_unsure(&self) -> bool {
        self.lost_after.is_some()
    }

    /// Whether a push has failed.
    pub fn is_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Their cost, bytes.
    pub fn bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Messages kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether nothing waits for an acknowledgement.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The peer has everything up to `sequence`. False: that was never sent on this connection (the peer's
    /// fault; nothing changes). An older acknowledgement changes nothing.
    pub fn acked(&mut self, sequence: u64) -> bool {
        if sequence > self.sent {
            return false;
        }
        self.release(sequence);
        true
    }

    /// A new connection, whose peer has everything up to `received`: later messages will be sent again.
    /// False: `received` was never sent, or a later message is no longer kept (nothing changes).
    ///
    /// After a process that failed, a peer may have more than is known here. What was queued since takes the
    /// numbers after those. But if a process in which that was so has failed as well, nobody knows whether
    /// the peer has been back there, and what the numbers stand for: then it is false, too.
    pub fn resume(&mut self, received: u64) -> bool {
        if let Some(last) = self.lost_after
            && received > last
            && !self.overflowed
        {
            if self.unknowable || received - last > MOST_LOST {
                return false;
            }
            self.release(last);
            (self.acked, self.ever_sent) = (received, received);
        }
        if received < self.acked || received > self.ever_sent || self.overflowed {
            return false;
        }
        self.release(received);
        self.sent = received;
        // From now on, what the peer can have is known again.
        (self.lost_after, self.unknowable) = (None, false);
        (self.unheard, self.doubtful_bytes) = (None, 0);
        self.stuck = Duration::ZERO;
        true
    }

    fn last(&self) -> u64 {
        self.acked + self.kept.len() as u64
    }

    fn release(&mut self, sequence: u64) {
        while self.acked < sequence {
            let Some(body) = self.kept.pop_front() else { return };
            self.kept_bytes -= cost(&body);
            self.acked += 1;
        }
    }
}

/// Encodes what `push` takes: the body of an event or refusal, without the sequence.
pub fn encode_body(body: &wire::reliable::Body) -> Bytes {
    let mut out = bytes::BytesMut::with_capacity(body.encoded_len());
    body.encode(&mut out);
    out.freeze()
}

/// Field of `ServerMessage` that holds a `Reliable`, and field of `Reliable` that holds the sequence.
const RELIABLE: u32 = 2;
const SEQUENCE: u32 = 1;

/// Writes a `ServerMessage` with a reliable message. Sequence and body are concatenated; the body is not
/// encoded again.
pub fn write_message(sequence: u64, body: &[u8], out: &mut impl BufMut) {
    let len = key_len(SEQUENCE) + encoded_len_varint(sequence) + body.len();
    encode_key(RELIABLE, WireType::LengthDelimited, out);
    encode_varint(len as u64, out);
    encode_key(SEQUENCE, WireType::Varint, out);
    encode_varint(sequence, out);
    out.put_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    fn queue() -> ReliableQueue {
        let mut queue = ReliableQueue::new(4, 100);
        for body in ["a", "b", "c"] {
            queue.push(Bytes::from_static(body.as_bytes())).unwrap();
        }
        queue
    }

    /// The same queue in the next process, after this one has failed.
    fn failed(queue: &ReliableQueue, lost: bool) -> ReliableQueue {
        let mut saved = queue.save();
        saved.failed(lost);
        ReliableQueue::restored(4, 1000, saved)
    }

    fn drain(queue: &mut ReliableQueue) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop_unsent()).map(|(sequence, _)| sequence).collect()
    }

    // Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window."
    #[test]
    fn after_two_failures_nothing_is_given_twice() {
        let mut second = failed(&queue(), true);
        second.push(Bytes::from_static(b"d")).unwrap();
        // It has been back since this was saved, with a fourth message that was lost, and got d as the fifth.
        let mut third = failed(&second, true);
        assert!(!third.resume(5), "d is not the sixth");
        assert!(!third.resume(4), "it may have had d, or what was lost");
        let mut third = failed(&second, true);
        assert!(third.resume(3), "it has had nothing that was lost");
        assert_eq!(third.pop_unsent(), Some((4, Bytes::from_static(b"d"))));
    }

    // Promise 9: "Honest clients are not punished for what the server did."
    #[test]
    fn a_failure_that_lost_nothing_leaves_no_number_in_doubt() {
        let d = Bytes::from_static(b"d");
        // Nothing was lost with the first: d is the fourth, and what was lost with the second is the fifth.
        let mut second = failed(&queue(), false);
        second.push(d.clone()).unwrap();
        let mut third = failed(&second, true);
        assert!(third.resume(5));
        assert!(failed(&second, false).resume(4) && !failed(&second, false).resume(5));
        // Something was lost with the first. That the peer was back in the second, and got d, need not be in
        // a journal yet.
        let mut second = failed(&queue(), true);
        second.push(d).unwrap();
        assert!(!failed(&second, false).resume(5));
    }

    #[test]
    fn a_queue_goes_on_elsewhere_with_the_same_numbers() {
        let mut before = queue();
        before.pop_unsent();
        before.pop_unsent();
        assert!(before.acked(1));
        let mut after = ReliableQueue::restored(4, 100, before.save());
        assert_eq!(after.save(), before.save());
        assert!(!after.resume(3), "that was never sent");
        assert!(after.resume(1));
        assert_eq!(drain(&mut after), [2, 3]);
        assert_eq!(after.push(Bytes::from_static(b"d")), Ok(4));
        assert!(after.resume(3), "now it was");
        assert_eq!(drain(&mut after), [4]);
    }

    // Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window."
    #[test]
    fn a_peer_that_has_more_than_a_failed_process_saved_misses_nothing_that_comes_after() {
        let saved = || {
            let mut before = queue(); // a, b and c, of which two were sent
            before.pop_unsent();
            before.pop_unsent();
            let mut saved = before.save();
            saved.failed(true);
            saved
        };
        // It got d and e, too, which nobody knows of; f is queued before it is back.
        let mut after = ReliableQueue::restored(4, 1000, saved());
        after.push(Bytes::from_static(b"f")).unwrap();
        assert!(!after.resume(3 + MOST_LOST + 1), "nobody has so many");
        assert!(after.resume(5));
        assert_eq!(after.pop_unsent(), Some((6, Bytes::from_static(b"f"))));
        assert!(after.resume(5) && after.resume(6) && !after.resume(7), "as in any other queue");
        assert_eq!(after.push(Bytes::from_static(b"g")), Ok(7));

        // It got less than what was saved: it gets the rest.
        let mut after = ReliableQueue::restored(4, 1000, saved());
        after.push(Bytes::from_static(b"f")).unwrap();
        assert!(after.resume(1));
        assert_eq!(drain(&mut after), [2, 3, 4]);

        // Saved again before it is back: the same.
        let mut after = ReliableQueue::restored(4, 1000, saved());
        after.push(Bytes::from_static(b"f")).unwrap();
        let mut again = ReliableQueue::restored(4, 1000, after.save());
        assert!(again.resume(5));
        assert_eq!(again.pop_unsent(), Some((6, Bytes::from_static(b"f"))));
    }

    // Promise 9: "Honest clients are not punished for what the server did."
    #[test]
    fn what_a_peer_may_have_acknowledged_does_not_count_until_it_is_back() {
        let body = || Bytes::from(vec![0; 36]); // costs 100
        let kept = vec![body(); 9];
        let saved = SavedQueue { acked: 5, sent: 14, kept, lost_after: None, unheard: Some(14) };
        let restored = || ReliableQueue::restored(4, 100, saved.clone());
        let pushed = |queue: &mut ReliableQueue| (0..10).take_while(|_| queue.push(body()).is_ok()).count();
        let mut after = restored();
        assert_eq!(pushed(&mut after), HARD_BOUND, "what is new is bounded as ever");
        let mut after = restored();
        after.push(body()).unwrap();
        assert!(after.resume(13), "it has nearly all");
        assert_eq!(pushed(&mut after), HARD_BOUND - 2);
        let mut after = restored();
        assert!(after.resume(5) && after.push(body()).is_err(), "it is known now that it has none");
    }

    #[test]
    fn each_is_given_once_a_connection() {
        let mut queue = queue();
        assert_eq!(drain(&mut queue), [1, 2, 3]);
        assert!(!queue.has_unsent());
        assert_eq!(queue.len(), 3, "kept until acknowledged");
    }

    // Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window."
    #[test]
    fn resume_gives_again_what_was_not_received() {
        let mut queue = queue();
        drain(&mut queue);
        assert!(queue.acked(1));
        assert!(queue.resume(2));
        assert_eq!(drain(&mut queue), [3]);
        assert!(queue.resume(2));
        assert_eq!(drain(&mut queue), [3]);
    }

    #[test]
    fn resume_from_what_is_gone_or_was_never_sent_is_refused() {
        let mut queue = queue();
        queue.pop_unsent();
        assert!(!queue.resume(2), "never sent");
        queue.pop_unsent();
        assert!(queue.acked(2));
        assert!(!queue.resume(1), "2 is no longer kept");
        assert!(queue.resume(2));
    }

    #[test]
    fn ack_of_what_was_never_sent_is_refused() {
        let mut queue = queue();
        assert!(!queue.acked(1));
        queue.pop_unsent();
        assert!(queue.acked(1));
        assert!(!queue.acked(2));
        assert!(queue.acked(0));
        assert_eq!(queue.len(), 2);
    }

    // Promise 4: "One client, however slow or hostile, does not … grow memory without bound."
    #[test]
    fn queue_that_has_overflowed_stays_so() {
        let mut queue = ReliableQueue::new(1, 100);
        let body = Bytes::from_static(&[7; 36]);
        for sequence in 1..=4 {
            assert_eq!(queue.push(body.clone()), Ok(sequence));
        }
        assert_eq!(queue.push(Bytes::new()), Err(QueueFull { messages: 4, bytes: 400 }));
        drain(&mut queue);
        assert!(queue.acked(4));
        assert!(queue.is_overflowed());
        assert!(queue.push(body).is_err());
    }

    // Promise 9: "Honest clients are not punished for what the server, a proxy or the network did".
    #[test]
    fn only_a_peer_that_acknowledges_nothing_while_much_waits_is_stuck() {
        let second = Duration::from_secs(1);
        let mut queue = ReliableQueue::new(2, 1000);
        for _ in 0..8 {
            queue.push(Bytes::new()).unwrap();
        }
        drain(&mut queue);
        assert_eq!(queue.look(second), second);
        assert_eq!(queue.look(second), second * 2);
        assert!(queue.acked(1));
        assert_eq!(queue.look(second), Duration::ZERO, "the peer makes progress");
        assert_eq!(queue.look(second), second);
        assert!(queue.resume(1));
        assert_eq!(queue.look(second), second, "a new connection starts over");
        drain(&mut queue);
        assert!(queue.acked(6));
        assert_eq!(queue.look(second), Duration::ZERO);
        assert_eq!(queue.look(second), Duration::ZERO, "messages within the bound may wait");
    }

    #[test]
    fn joined_message_is_what_prost_writes() {
        let body = wire::reliable::Body::Event(wire::Event { tick: 9, payload: Bytes::from_static(b"boom") });
        for sequence in [1, 127, 128, u64::MAX] {
            let mut joined = Vec::new();
            write_message(sequence, &encode_body(&body), &mut joined);
            let reliable = wire::Reliable { sequence, body: Some(body.clone()) };
            let whole = wire::ServerMessage { body: Some(wire::server_message::Body::Reliable(reliable)) };
            assert_eq!(joined, whole.encode_to_vec());
        }
    }
}
