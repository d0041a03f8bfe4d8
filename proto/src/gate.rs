//! When the next state may be sent: at most K states are unacknowledged.
//!
//! K = ceil(min_rtt / tick) + 1, where min_rtt is the shortest time from sending a state to its
//! acknowledgement over a window of 5 to 10 s. (It includes the time that the acknowledgement waits for the
//! next input.) K is at most [`MAX_IN_FLIGHT`]; before the first measurement it is 2.
//!
//! A plain windowed minimum fails on a slow link: K states fill its queue, so all samples include the queue;
//! the low sample leaves the window, K grows, and so does the queue. Three measures prevent that:
//!
//! - Before K grows because a low sample left the window, the gate lets the link run empty and measures a
//!   single state. BBR's ProbeRTT is the same idea (Cardwell et al., "BBR: Congestion-Based Congestion
//!   Control", 2016). A link that needs s > 1 ticks per state shows a round trip of s·K ticks when K are
//!   queued, so K would become ceil(s·K) + 1 ≥ K + 2. A growth by one comes from the phase between states and
//!   inputs and is accepted without a probe.
//! - On a link that is clearly slower than the ticks (1.5 times), K is counted in the time between the states
//!   that do arrive, so that it covers what is on the way and not what queues. There, any growth is probed.
//! - A minimum that was measured in a queue from the start is wrong (a player who joins over a slow link is
//!   sent more than a state at once). So on a slow link a K above 4 is measured again every 10 s, as above.
//!
//! Measured on the virtual network of the tests, with a link that carries every fourth state: the median age
//! of the newest state is 73 ticks with the plain minimum, 31 with the probe, and 16 with both of the first
//! two measures.
//!
//! On transports that lose messages, there are four more rules:
//!
//! - On a link that is clearly slower than the ticks and lost nothing recently, K is one less: what is on its
//!   way, and nothing that waits behind it. (Measured with 2 kB/s down, 30 ms, 20 players: what is nearest to
//!   a player is 0.25 s old instead of 0.33 at the median, and 0.9 s instead of 1.1 to 2.4 at the 99th
//!   percentile. Over TCP it would be older: there, an acknowledgement of a state waits for the kernel's.)
//! - While states are being lost, one more than K may be in flight. Lost states count as in flight until a
//!   later one is acknowledged, so three losses in a row would close the gate until the first of them is
//!   given up. (Measured with 60 ms, 5 % loss, 50 players, 20 s: without this rule the longest gap is 320
//!   ms.)
//! - When all K are considered lost, only one state at a time is sent until something is acknowledged. So a
//!   blackout costs little, and the first state to arrive after it is new.
//! - Where everything waits for one state, because it is measured alone or all before it were lost, that one
//!   is given up sooner: after one and a half of the most recent round trips, like the probe timeout of QUIC
//!   (RFC 9002, 6.2). No later state can tell that it was lost. (Found by the simulated server with 300 ms,
//!   15 % loss, 60 Hz: two states in a row that were to measure the round trip were lost, and nothing came
//!   for 1.68 s.)
//!
//! Being late does not make a state lost: in a link's full queue all states are late, and sending more would
//! keep the queue full. So the time to wait follows the most recent round trips. (Measured with 2 kB/s and a
//! queue of 8 kB where the states need 4 kB/s: without this the median age is 3.6 s.)
//!
//! Nothing here allocates. Ticks only grow. Tick 0 cannot be acknowledged by name, because 0 means "none" on
//! the wire; an acknowledgement of a later tick covers it.

mod flight;
mod minimum;
mod spacing;

use crate::nanos::{MaybeNanos, Nanos, SECOND};
use flight::{Flight, Sent};
use minimum::WindowedMin;
use spacing::Spacing;

/// Most states in flight, whatever the round-trip time, because the peer chooses when to acknowledge.
pub const MAX_IN_FLIGHT: usize = 16;

/// States in flight before the first acknowledgement.
const INITIAL: usize = 2;
/// On transports that lose messages, a state is considered lost after this time, three times the minimum
/// round trip, and twice the last one, whichever is longest.
const MIN_LOSS_DELAY: Nanos = SECOND / 4;
/// Upper bound of that time.
const MAX_LOSS_DELAY: Nanos = 5 * SECOND;
/// On a slow link, a K above this is measured again, at this interval.
const DOUBTFUL: usize = 4;
const DOUBT_INTERVAL: Nanos = 10 * SECOND;
/// How long after a loss one more state may be in flight.
const LOSS_MEMORY: Nanos = 10 * SECOND;

/// The in-flight gate of one connection. The field order puts what every state needs into two cache lines.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Gate {
    /// Time between states.
    tick: Nanos,
    /// K according to `minimum` and `spacing`.
    limit: u8,
    /// How many of `flight`, the oldest, are considered lost. They no longer count, but a late
    /// acknowledgement of one still measures the round trip.
    lost: u8,
    probe: Probe,
    /// Newest tick that is acknowledged or forgotten.
    settled: Option<u32>,
    spacing: Spacing,
    minimum: WindowedMin,
    /// The most recent round trip. Follows an increase at once and a decrease by half, because an
    /// acknowledgement from before a blackout may arrive after it.
    recent: Nanos,
    losses: Losses,
    /// States sent and not acknowledged.
    flight: Flight,
    /// When the last probe began.
    probed_at: MaybeNanos,
}

/// Whether states get lost on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Losses {
    /// The transport loses nothing; an unacknowledged state is late.
    Never,
    /// The transport may lose states; none was lost recently.
    None,
    /// When the last loss was noticed.
    SeenAt(Nanos),
}

/// Measurement of the round trip with nothing else in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// No probe: K is in force.
    Off,
    /// Nothing is sent until nothing is in flight.
    Draining,
    /// Only this tick is in flight.
    Measuring(u32),
}

impl Gate {
    /// A gate for states that are `tick` apart, on a transport that may lose them.
    pub(crate) fn lossy(tick: Nanos) -> Self {
        Self { losses: Losses::None, ..Self::new(tick) }
    }

    /// A gate for states that are `tick` apart.
    pub(crate) fn new(tick: Nanos) -> Self {
        Self {
            tick: tick.max(1),
            limit: INITIAL as u8,
            lost: 0,
            probe: Probe::Off,
            settled: None,
            spacing: Spacing::new(),
            minimum: WindowedMin::new(),
            recent: 0,
            losses: Losses::Never,
            probed_at: MaybeNanos::NONE,
            flight: Flight::default(),
        }
    }

    /// Whether a state may be sent now.
    pub(crate) fn is_open(&self) -> bool {
        self.in_flight() < if self.waits_for_one() { 1 } else { self.limit() }
    }

    /// A state was sent. Ticks must grow.
    pub(crate) fn sent(&mut self, now: Nanos, tick: u32) {
        if self.flight.len() == MAX_IN_FLIGHT {
            // All are lost, or the caller did not ask `is_open`. Memory stays bounded.
            self.settle_first(1);
        }
        if self.probe == Probe::Draining && self.in_flight() == 0 {
            self.probe = Probe::Measuring(tick);
        }
        self.flight.push(Sent { tick, at: now });
    }

    /// The peer acknowledged a state, and with it all earlier ones. False: that state was never sent. (An
    /// acknowledgement at or below a settled one is late or repeated, and changes nothing.)
    pub(crate) fn acked(&mut self, now: Nanos, tick: u32) -> bool {
        if self.settled.is_some_and(|settled| tick <= settled) {
            return true;
        }
        let Some((index, sent)) = self.flight.find(tick) else { return false };
        let sample = now.saturating_sub(sent.at);
        self.recent = sample.max((self.recent + sample) / 2);
        // A skipped state was lost, or two states arrived between two acknowledgements, which happens now and
        // then.
        if index > 0 && self.losses != Losses::Never {
            self.losses = Losses::SeenAt(now);
        }
        self.spacing.record(now, index + 1, self.tick);
        let mut minimum = self.minimum;
        match self.probe {
            Probe::Measuring(alone) if alone == tick => minimum.restart(now, sample),
            // Samples from a full queue are worthless: the minimum stays until the link has run empty.
            Probe::Draining | Probe::Measuring(_) => {}
            Probe::Off => minimum.record(now, sample),
        }
        let before = self.limit_for(self.minimum);
        let after = if minimum == self.minimum { before } else { self.limit_for(minimum) };
        // When counted in ticks, one more may come from the phase; when counted in a slow link's spacing, it
        // already is the queue.
        let tolerated = usize::from(!self.spacing.is_slow(self.tick));
        let grows = self.minimum.get().is_some() && after > before + tolerated;
        if self.probe == Probe::Off && (grows || self.is_doubtful(now, after)) {
            self.probe = Probe::Draining;
            self.probed_at = MaybeNanos::some(now);
            self.limit = before as u8;
        } else {
            (self.minimum, self.limit) = (minimum, after as u8);
            if self.probe == Probe::Measuring(tick) {
                self.probe = Probe::Off;
            }
        }
        self.settle_first(index + 1);
        true
    }

    /// On transports that lose messages: considers states lost that should have been acknowledged long ago
    /// (three times the minimum round trip, twice the last one, at least 250 ms, at most 5 s), so that the
    /// loss of everything in flight does not close the gate forever.
    pub(crate) fn expire(&mut self, now: Nanos) {
        let delay = if self.waits_for_one() { self.probe_timeout() } else { self.loss_delay() };
        let late = self.flight.iter().take_while(|s| now.saturating_sub(s.at) > delay).count();
        self.lost = self.lost.max(late as u8);
        if matches!(self.losses, Losses::SeenAt(at) if now.saturating_sub(at) > LOSS_MEMORY) {
            self.losses = Losses::None;
        }
        if matches!(self.probe, Probe::Measuring(_)) && self.in_flight() == 0 {
            self.probe = Probe::Draining;
        }
    }

    /// Whether the path seems to carry less than is sent: states wait in its queue, or fewer arrive than
    /// ticks pass.
    pub(crate) fn is_congested(&self) -> bool {
        let waited = self.minimum.get().map_or(0, |least| self.recent.saturating_sub(least));
        // An acknowledgement may wait for an input for a tick.
        waited > self.tick + self.tick / 2 || self.spacing.is_slow(self.tick)
    }

    /// The current K.
    pub(crate) fn limit(&self) -> usize {
        // On a slow link, one more would only wait in its queue.
        let more = matches!(self.losses, Losses::SeenAt(_)) && !self.spacing.is_slow(self.tick);
        (usize::from(self.limit) + usize::from(more)).min(MAX_IN_FLIGHT)
    }

    /// States sent and neither acknowledged nor considered lost.
    pub(crate) fn in_flight(&self) -> usize {
        self.flight.len() - usize::from(self.lost)
    }

    fn limit_for(&self, minimum: WindowedMin) -> usize {
        let Some(rtt) = minimum.get() else { return INITIAL };
        let on_the_way = rtt.div_ceil(self.spacing.get(self.tick)).min(MAX_IN_FLIGHT as u64) as usize;
        let runs_empty = self.losses == Losses::None && self.spacing.is_slow(self.tick);
        let waits = usize::from(!runs_empty);
        (on_the_way + waits).clamp(1, MAX_IN_FLIGHT)
    }

    /// Whether a K this high may come from a queue that was there from the start.
    fn is_doubtful(&self, now: Nanos, limit: usize) -> bool {
        let rested = |at| now.saturating_sub(at) >= DOUBT_INTERVAL;
        limit > DOUBTFUL && self.spacing.is_slow(self.tick) && self.probed_at.get().is_none_or(rested)
    }

    fn loss_delay(&self) -> Nanos {
        let least = self.minimum.get().unwrap_or_default().saturating_mul(3);
        least.max(self.recent.saturating_mul(2)).clamp(MIN_LOSS_DELAY, MAX_LOSS_DELAY)
    }

    /// Whether at most one state may be in flight.
    fn waits_for_one(&self) -> bool {
        self.probe != Probe::Off || usize::from(self.lost) >= self.limit()
    }

    /// An acknowledgement may wait for an input, and that for the next.
    fn probe_timeout(&self) -> Nanos {
        let late = self.recent.saturating_add(self.recent / 2).saturating_add(2 * self.tick);
        late.max(MIN_LOSS_DELAY).min(self.loss_delay())
    }

    fn settle_first(&mut self, count: usize) {
        self.settled = self.flight.remove(count).or(self.settled);
        self.lost = self.lost.saturating_sub(count as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Nanos = 50_000_000;
    const START: Nanos = 7 * SECOND;

    fn ms(n: u64) -> Nanos {
        n * 1_000_000
    }

    #[test]
    fn two_states_pass_before_the_first_ack() {
        let now = START;
        let mut gate = Gate::new(TICK);
        gate.sent(now, 1);
        assert!(gate.is_open());
        gate.sent(now + TICK, 2);
        assert!(!gate.is_open());
    }

    #[test]
    fn limit_follows_the_least_round_trip() {
        for (rtt, limit) in [(1, 2), (50, 2), (51, 3), (120, 4), (5000, MAX_IN_FLIGHT)] {
            let now = START;
            let mut gate = Gate::new(TICK);
            gate.sent(now, 7);
            assert!(gate.acked(now + ms(rtt), 7));
            assert_eq!(gate.limit(), limit, "rtt {rtt} ms");
        }
    }

    #[test]
    fn a_gate_that_is_a_year_old_measures_as_a_new_one() {
        let start = START;
        let mut gate = Gate::new(TICK);
        for (days, tick) in [(0, 1), (30, 50_000_000), (380, u32::MAX - 10)] {
            let now = start + days * 24 * 60 * 60 * SECOND;
            for n in 0..8 {
                let now = now + TICK * u64::from(n);
                gate.sent(now, tick + n);
                assert!(gate.acked(now + ms(40), tick + n));
            }
            assert_eq!((gate.minimum.get(), gate.limit()), (Some(ms(40)), 2), "{days} days");
        }
    }

    #[test]
    fn ack_covers_all_before_it() {
        let now = START;
        let mut gate = Gate::new(TICK);
        gate.sent(now, 1);
        gate.sent(now, 3);
        assert!(gate.acked(now, 3));
        assert_eq!(gate.in_flight(), 0);
    }

    #[test]
    fn ack_of_a_state_never_sent_is_refused() {
        let now = START;
        let mut gate = Gate::new(TICK);
        assert!(!gate.acked(now, 1));
        gate.sent(now, 2);
        gate.sent(now, 4);
        assert!(!gate.acked(now, 1), "before the first");
        assert!(!gate.acked(now, 3), "between two");
        assert!(!gate.acked(now, 5), "after the last");
        assert_eq!(gate.in_flight(), 2);
        assert!(gate.acked(now, 4));
        assert!(gate.acked(now, 4), "a repeat changes nothing");
        assert!(gate.acked(now, 2), "a late one changes nothing");
    }

    /// A link that carries one state every two ticks: without the probe K climbs to the maximum.
    /// Sends over a link that carries a state in two ticks. Returns the highest limit, and the median time
    /// that a state waits for those before it.
    fn over_a_slow_link(mut gate: Gate) -> (usize, Nanos) {
        let (service, start) = (2 * TICK, START);
        let (mut free_at, mut highest, mut waits) = (start, 0, Vec::new());
        let mut arriving = std::collections::VecDeque::new();
        for tick in 1..4000u32 {
            let now = start + TICK * u64::from(tick);
            while arriving.front().is_some_and(|(at, _)| *at <= now) {
                let (at, acked) = arriving.pop_front().unwrap();
                assert!(gate.acked(at, acked));
            }
            gate.expire(now);
            if gate.is_open() {
                gate.sent(now, tick);
                waits.push(free_at.saturating_sub(now));
                free_at = free_at.max(now) + service;
                arriving.push_back((free_at + ms(20), tick));
            }
            highest = highest.max(gate.limit());
        }
        waits.sort_unstable();
        (highest, waits[waits.len() / 2])
    }

    #[test]
    fn limit_does_not_climb_on_a_slow_link() {
        let (highest, _) = over_a_slow_link(Gate::new(TICK));
        assert!(highest <= 4, "{highest}");
    }

    #[test]
    fn where_states_may_be_lost_fewer_wait_in_a_slow_link() {
        let (_, ordered) = over_a_slow_link(Gate::new(TICK));
        let (_, lossy) = over_a_slow_link(Gate::lossy(TICK));
        assert!(lossy + TICK <= ordered, "{} and {} ms", lossy / 1_000_000, ordered / 1_000_000);
    }

    #[test]
    fn longer_route_is_believed_after_one_probe() {
        let start = START;
        let mut gate = Gate::new(TICK);
        let mut arriving = std::collections::VecDeque::new();
        for tick in 1..1000u32 {
            let now = start + TICK * u64::from(tick);
            while arriving.front().is_some_and(|(at, _)| *at <= now) {
                let (at, acked) = arriving.pop_front().unwrap();
                assert!(gate.acked(at, acked));
            }
            if gate.is_open() {
                gate.sent(now, tick);
                arriving.push_back((now + if tick < 200 { ms(20) } else { ms(220) }, tick));
            }
        }
        assert_eq!(gate.limit(), 6);
    }

    #[test]
    fn while_states_are_lost_one_more_may_be_in_flight() {
        let now = START;
        let mut gate = Gate::lossy(TICK);
        gate.sent(now, 1);
        assert!(gate.acked(now + ms(40), 1));
        assert_eq!(gate.limit(), 2);
        gate.sent(now + ms(50), 2);
        gate.sent(now + ms(100), 3);
        assert!(gate.acked(now + ms(140), 3), "2 is passed over");
        assert_eq!(gate.limit(), 3);
        gate.expire(now + ms(140) + LOSS_MEMORY);
        assert_eq!(gate.limit(), 3);
        gate.expire(now + ms(141) + LOSS_MEMORY);
        assert_eq!(gate.limit(), 2);
    }

    #[test]
    fn what_is_passed_over_on_an_ordered_transport_was_not_lost() {
        let now = START;
        let mut gate = Gate::new(TICK);
        gate.sent(now, 1);
        gate.sent(now + ms(50), 2);
        assert!(gate.acked(now + ms(90), 2));
        assert_eq!(gate.limit(), 2);
    }

    /// A link that carries one state every two ticks, and whose queue other traffic fills for a moment: at
    /// the start, or later.
    #[test]
    fn a_queue_is_no_loss_and_runs_empty() {
        assert!(age_after_a_burst(1) <= ms(500));
        assert!(age_after_a_burst(100) <= ms(500));
    }

    /// The age of the states at the end, if 4 s of other traffic arrive at tick `burst`.
    fn age_after_a_burst(burst: u32) -> Nanos {
        let (service, start) = (ms(100), START);
        let mut gate = Gate::lossy(TICK);
        let mut free_at = start;
        let mut arriving = std::collections::VecDeque::new();
        let mut last_age = 0;
        for tick in 1..1000u32 {
            let now = start + TICK * u64::from(tick);
            if tick == burst {
                free_at = now + ms(4000);
            }
            while arriving.front().is_some_and(|(at, _)| *at <= now) {
                let (at, acked) = arriving.pop_front().unwrap();
                assert!(gate.acked(at, acked));
                last_age = at - (start + TICK * u64::from(acked));
            }
            gate.expire(now);
            if gate.is_open() {
                gate.sent(now, tick);
                free_at = free_at.max(now) + service;
                arriving.push_back((free_at + ms(20), tick));
            }
        }
        last_age
    }

    #[test]
    fn in_a_black_out_one_state_at_a_time_is_sent() {
        let start = START;
        let mut gate = Gate::lossy(TICK);
        gate.sent(start, 1);
        assert!(gate.acked(start + ms(40), 1));
        let mut sent = 0;
        for tick in 2..102u32 {
            let now = start + TICK * u64::from(tick);
            gate.expire(now);
            if gate.is_open() {
                gate.sent(now, tick);
                sent += 1;
            }
        }
        // Two at first; then one every 300 ms, as 250 ms are not over at the fifth tick.
        assert!((17..=19).contains(&sent), "{sent} in 5 s");
        let now = start + TICK * 102;
        gate.expire(now);
        let last = (2..102).rev().find(|&tick| gate.clone().acked(now, tick)).unwrap();
        assert!(gate.acked(now, last));
        gate.sent(now, 102);
        assert!(gate.is_open(), "what is acknowledged ends it");
    }

    #[test]
    fn a_state_that_was_sent_alone_and_lost_is_given_up_after_a_probe_timeout() {
        let mut gate = Gate::lossy(TICK);
        gate.sent(START, 1);
        assert!(gate.acked(START + ms(300), 1));
        gate.probe = Probe::Draining;
        let now = START + ms(300);
        gate.sent(now, 2);
        assert_eq!(gate.probe, Probe::Measuring(2));
        gate.expire(now + ms(550));
        assert!(!gate.is_open());
        gate.expire(now + ms(551));
        assert!(gate.is_open());
        gate.sent(now + ms(551), 3);
        assert!(gate.acked(now + ms(851), 3));
        assert_eq!((gate.probe, gate.minimum.get()), (Probe::Off, Some(ms(300))));
    }

    #[test]
    fn lost_states_do_not_close_the_gate_for_ever() {
        let now = START;
        let mut gate = Gate::new(TICK);
        gate.sent(now, 1);
        gate.sent(now, 2);
        gate.expire(now + ms(250));
        assert!(!gate.is_open());
        gate.expire(now + ms(251));
        assert!(gate.is_open());
        gate.sent(now + ms(260), 3);
        assert!(gate.acked(now + ms(300), 2), "it was only late");
        assert_eq!(gate.minimum.get(), Some(ms(300)), "and measures");
        assert_eq!(gate.in_flight(), 1);
        assert!(gate.acked(now + ms(560), 3));
    }
}
