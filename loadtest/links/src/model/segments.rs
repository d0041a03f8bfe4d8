//! What a bad link does to a TCP stream.
//!
//! A relay between two TCP connections cannot lose a segment: the kernel at each side repairs its own half.
//! So this is a model of a sender and a receiver, with the bytes between them. The bytes are cut into
//! segments; each passes the link as a datagram does; a lost one is retransmitted after the time that TCP
//! needs to detect the loss, and all bytes behind it wait for it (head-of-line blocking). When it is
//! retransmitted:
//!
//! - **A later segment was acknowledged.** The acknowledgement comes one way back after that segment arrived;
//!   a quarter of a round trip more is allowed for reordering (RACK: RFC 8985, sections 6.2 and 7.2, which
//!   replaces the three duplicate acknowledgements of RFC 5681, section 3.2, in Linux). It detects lost
//!   retransmissions, too.
//! - **The tail.** The last segment sent is retransmitted after two round trips, if more than one is in
//!   flight (the tail loss probe: RFC 8985, section 7.3).
//! - **The timer.** The oldest segment is retransmitted after the retransmission timeout: the round trip plus
//!   four times its variation, at least 200 ms (RFC 6298, section 2, with Linux's minimum for the second
//!   part, where the RFC has 1 s for both), doubled each time (section 5.5). After that nothing new is sent
//!   until that segment is acknowledged.
//!
//! At most [`WINDOW`] bytes are in flight, and with a rate, at most what its queue takes: more is refused
//! ([`Segments::room`]), so that the sender's own buffers fill up, as they would.
//!
//! # What it leaves out
//! Congestion control: no slow start, no window that halves with a loss. Acknowledgements are never lost
//! outside a blackout and do not count toward the rate. A full queue holds the sender back instead of
//! dropping segments. The round trip is known, where a real sender must estimate it. Each of these makes the
//! model *kinder* than real TCP, so a comparison understates the cost of TCP rather than overstating it. For
//! the real thing, put the kernel's own stack at both ends of the link: `loadtest netns`.

use super::{Bottleneck, LossState, Path, datagrams::jittered};
use fastrand::Rng;
use std::{collections::VecDeque, time::Duration};

/// Most bytes of a segment: Ethernet's 1,500 minus headers with timestamps.
pub const MAX_SEGMENT: usize = 1448;
/// Bytes of IPv4 and TCP headers with timestamps.
pub const SEGMENT_HEADERS: usize = 20 + 32;
/// Most bytes in flight: the receive window of a stack without window scaling (RFC 9293, section 3.1).
pub const WINDOW: usize = 65_535;
/// Minimum of the second part of the retransmission timeout (Linux: TCP_RTO_MIN).
const MIN_VARIATION: Duration = Duration::from_millis(200);
/// Longest retransmission timeout (Linux: TCP_RTO_MAX).
const MAX_TIMEOUT: Duration = Duration::from_secs(120);

/// One way of one link, for a byte stream.
#[derive(Debug, Clone)]
pub struct Segments {
    path: Path,
    dice: Rng,
    loss: LossState,
    bottleneck: Bottleneck,
    /// Oldest first. The ones at the front that have arrived are delivered.
    flight: VecDeque<Segment>,
    in_flight: usize,
    /// Bytes that wait for the end of a timeout.
    held: usize,
    timeouts: Timeouts,
    /// When the newest acknowledgement of something new came: the timer counts from there (RFC 6298, section
    /// 5.3).
    progress: Duration,
    /// When the last one that was not held back arrives.
    last: Duration,
    sent: u64,
    sent_again: u64,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    bytes: usize,
    /// When it was last sent.
    sent: Duration,
    /// When it left the bottleneck.
    departure: Duration,
    /// When it arrives. None: that time it was lost.
    arrives: Option<Duration>,
    again: bool,
}

/// Where a sender is with its retransmission timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timeouts {
    /// It has not expired.
    None,
    /// It has expired this many times for the oldest segment; nothing new is sent.
    Waiting { count: u32 },
    /// The retransmitted oldest segment will arrive, and be acknowledged then.
    EndAt(Duration),
}

/// What happens next at the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// This segment is considered lost.
    Repair(usize),
    /// The timer of the oldest expires.
    Timeout,
    /// The oldest was acknowledged after a timeout.
    Resume,
}

impl Segments {
    /// A stream with the random numbers of this seed.
    pub fn new(path: Path, seed: u64) -> Self {
        Self {
            path,
            dice: Rng::with_seed(seed),
            loss: LossState::default(),
            bottleneck: Bottleneck::default(),
            flight: VecDeque::new(),
            in_flight: 0,
            held: 0,
            timeouts: Timeouts::None,
            progress: Duration::ZERO,
            last: Duration::ZERO,
            sent: 0,
            sent_again: 0,
        }
    }

    /// Bytes that the sender would take now.
    pub fn room(&mut self, now: Duration) -> usize {
        let here = self.path.at(now);
        let window = WINDOW.saturating_sub(self.in_flight + self.held);
        match here.rate {
            None => window,
            Some(rate) => {
                let free = self.bottleneck.room(now, Some(rate), here.queue);
                // Whole segments only: a sender does not fill every small gap with a segment of its own.
                let segments = usize::try_from(free).unwrap_or(usize::MAX) / (MAX_SEGMENT + SEGMENT_HEADERS);
                window.min(segments.saturating_mul(MAX_SEGMENT).saturating_sub(self.held))
            }
        }
    }

    /// The sender sends this many bytes, at most [`room`](Self::room). Call [`poll`](Self::poll) before it,
    /// with the same time.
    pub fn offer(&mut self, now: Duration, bytes: usize) {
        if self.timeouts == Timeouts::None {
            self.send_new(now, bytes);
        } else {
            self.held += bytes;
        }
    }

    /// Bytes that have arrived in order by now and were not returned before.
    pub fn poll(&mut self, now: Duration) -> usize {
        while let Some((at, event)) = self.next_event().filter(|&(at, _)| at <= now) {
            self.handle(at, event);
        }
        let mut bytes = 0;
        while let Some(first) = self.flight.front()
            && let Some(arrived) = first.arrives.filter(|&at| at <= now)
        {
            bytes += first.bytes;
            self.flight.pop_front();
            let acknowledged = self.acknowledged(arrived);
            self.progress = acknowledged.unwrap_or_default().max(self.progress);
            // Something new has arrived, however it was repaired: that ends the waiting, at the latest with
            // the next timer.
            if let Timeouts::Waiting { count } = self.timeouts {
                let timer = (self.round_trip(arrived) + MIN_VARIATION) * (1 << count.min(8));
                self.timeouts = Timeouts::EndAt(acknowledged.unwrap_or(arrived + timer));
            }
        }
        self.in_flight -= bytes;
        bytes
    }

    /// When to call [`poll`](Self::poll) next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let event = self.next_event().map(|(at, _)| at);
        let arrival = self.flight.front().and_then(|first| first.arrives);
        event.into_iter().chain(arrival).min()
    }

    /// Nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.flight.is_empty() && self.held == 0
    }

    /// Segments sent, and how many of these were retransmissions.
    pub fn counts(&self) -> (u64, u64) {
        (self.sent, self.sent_again)
    }

    fn send_new(&mut self, now: Duration, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            let bytes = left.min(MAX_SEGMENT);
            left -= bytes;
            self.in_flight += bytes;
            let segment = self.send(now, bytes, false);
            self.flight.push_back(segment);
        }
    }

    fn send(&mut self, now: Duration, bytes: usize, again: bool) -> Segment {
        let here = self.path.at(now);
        let lost = self.loss.draw(&here.loss, &mut self.dice);
        let [jitter, reorder] = std::array::from_fn(|_| self.dice.f64());
        let departure = self.bottleneck.force(now, here.rate, bytes + SEGMENT_HEADERS);
        let black_out = here.black_out || self.path.at(departure).black_out;
        let arrives = (!lost && !black_out).then(|| {
            self.last = (departure + jittered(here.latency, here.jitter, jitter)).max(self.last);
            self.last + if reorder < here.reorder { here.reorder_by } else { Duration::ZERO }
        });
        self.sent += 1;
        self.sent_again += u64::from(again);
        Segment { bytes, sent: now, departure, arrives, again }
    }

    fn handle(&mut self, at: Duration, event: Event) {
        match event {
            Event::Repair(index) => {
                if let Some(segment) = self.flight.get(index).copied() {
                    self.flight[index] = self.send(at, segment.bytes, true);
                }
            }
            Event::Timeout => {
                let count = match self.timeouts {
                    Timeouts::Waiting { count } => count + 1,
                    _ => 1,
                };
                let Some(first) = self.flight.front().copied() else { return };
                let segment = self.send(at, first.bytes, true);
                self.timeouts = match segment.arrives.and_then(|arrives| self.acknowledged(arrives)) {
                    Some(end) => Timeouts::EndAt(end),
                    None => Timeouts::Waiting { count },
                };
                self.flight[0] = segment;
            }
            Event::Resume => {
                self.timeouts = Timeouts::None;
                let held = std::mem::take(&mut self.held);
                self.send_new(at, held);
            }
        }
    }

    fn next_event(&self) -> Option<(Duration, Event)> {
        let resume = match self.timeouts {
            Timeouts::EndAt(at) => Some((at, Event::Resume)),
            _ => None,
        };
        let timeout = self.timeout().map(|at| (at, Event::Timeout));
        let repair = self.repair().map(|(at, index)| (at, Event::Repair(index)));
        resume.into_iter().chain(repair).chain(timeout).min_by_key(|&(at, _)| at)
    }

    /// When the timer of the oldest segment expires.
    fn timeout(&self) -> Option<Duration> {
        let first = self.flight.front().filter(|first| first.arrives.is_none())?;
        let doublings = match self.timeouts {
            Timeouts::Waiting { count } => count.min(20),
            _ => 0,
        };
        let here = self.path.at(first.sent);
        let variation = (here.jitter * 4).max(MIN_VARIATION);
        let once = first.departure.saturating_sub(first.sent) + self.round_trip(first.sent) + variation;
        Some(first.sent.max(self.progress) + (once * (1 << doublings)).min(MAX_TIMEOUT))
    }

    /// The next lost segment to be detected, other than by the timer.
    fn repair(&self) -> Option<(Duration, usize)> {
        let lost = |segment: &&Segment| segment.arrives.is_none();
        if !self.flight.iter().any(|segment| lost(&segment)) {
            return None;
        }
        let repairs =
            self.flight.iter().enumerate().filter(|(_, s)| lost(s)).filter_map(|(index, segment)| {
                let later = |(other, s): &(usize, &Segment)| (s.sent, *other) > (segment.sent, index);
                let acknowledged = self.flight.iter().enumerate().filter(later);
                let acknowledged = acknowledged.filter_map(|(_, s)| self.acknowledged(s.arrives?)).min();
                let at = acknowledged
                    .map(|at| at + self.round_trip(at) / 4)
                    .or_else(|| self.probe(index, segment));
                at.map(|at| (at, index))
            });
        repairs.min()
    }

    /// When the tail loss probe repeats this segment, if it is the last.
    fn probe(&self, index: usize, segment: &Segment) -> Option<Duration> {
        let is_tail = index > 0 && index + 1 == self.flight.len() && !segment.again;
        (is_tail && self.timeouts == Timeouts::None)
            .then(|| segment.departure + self.round_trip(segment.sent) * 2)
    }

    /// When the sender hears of an arrival at this time. None: it does not.
    fn acknowledged(&self, arrival: Duration) -> Option<Duration> {
        let back = self.path.back(arrival);
        (!back.black_out).then(|| arrival + back.latency)
    }

    fn round_trip(&self, at: Duration) -> Duration {
        self.path.at(at).latency + self.path.back(at).latency
    }
}
