//! Counts and measurements of a connection.

use std::time::Duration;

/// Figures of one player's connection, across reconnects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Bytes of messages received, without the transport's framing.
    pub bytes_down: u64,
    /// Bytes of messages sent, without the transport's framing.
    pub bytes_up: u64,
    /// Messages received.
    pub messages_down: u64,
    /// Messages sent.
    pub messages_up: u64,
    /// States applied. One that comes in several messages counts once.
    pub states: u64,
    /// Of these, states sent without a baseline.
    pub full_states: u64,
    /// Ticks between applied states for which no state came.
    pub ticks_missed: u64,
    /// States that arrived after a newer one had been applied.
    pub stale: u64,
    /// Events and refusals received.
    pub reliable: u64,
    /// Presence messages received.
    pub presence: u64,
    /// Bytes of presence messages received.
    pub presence_bytes: u64,
    /// Connections made after the first one.
    pub reconnects: u64,
    /// Of these, connections that resumed the seat.
    pub resumes: u64,
    /// Round-trip time of the last ping.
    pub rtt: Option<Duration>,
    /// Round-trip time, smoothed with weight 1/8 (RFC 6298).
    pub smoothed_rtt: Option<Duration>,
    /// The shortest round-trip time so far.
    pub min_rtt: Option<Duration>,
    /// Jitter of the states' arrival, smoothed with weight 1/16 (RFC 3550 section 6.4.1).
    pub jitter: Duration,
    /// Age of the last state when it arrived, since its tick was due. None until the clock is known.
    pub age: Option<Duration>,
    last_tick: Option<u32>,
    last_age_us: Option<i64>,
}

impl Stats {
    pub(crate) fn pong(&mut self, rtt: Duration) {
        self.rtt = Some(rtt);
        self.min_rtt = Some(self.min_rtt.map_or(rtt, |m| m.min(rtt)));
        self.smoothed_rtt = Some(self.smoothed_rtt.map_or(rtt, |s| (s * 7 + rtt) / 8));
    }

    pub(crate) fn welcome(&mut self, resumed: bool, first: bool) {
        self.reconnects += u64::from(!first);
        self.resumes += u64::from(resumed);
        self.last_age_us = None;
        if !resumed {
            self.last_tick = None; // it may be another room, with its own ticks
        }
    }

    /// A state of `tick` was applied, `age_us` after its tick was due (negative if the clock is wrong).
    pub(crate) fn state(&mut self, tick: u32, full: bool, age_us: Option<i64>) {
        if self.last_tick == Some(tick) {
            return; // more of a state that has been counted
        }
        self.states += 1;
        self.full_states += u64::from(full);
        if let Some(last) = self.last_tick {
            self.ticks_missed += u64::from(tick.saturating_sub(last).saturating_sub(1));
        }
        self.last_tick = Some(tick);
        if let Some(age) = age_us {
            if let Some(last) = self.last_age_us {
                let change = Duration::from_micros(age.abs_diff(last));
                self.jitter = (self.jitter * 15 + change) / 16;
            }
            self.last_age_us = Some(age);
            self.age = Some(Duration::from_micros(age.max(0) as u64));
        }
    }
}
