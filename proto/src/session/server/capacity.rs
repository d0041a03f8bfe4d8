//! How many bytes of states a second a peer's path carries, for rooms where less can be sent.
//!
//! A path that carries less than is sent shows it: round trips grow beyond their minimum by what waits in its
//! queue, or fewer states arrive than ticks pass; and states are replaced by newer ones before they can be
//! sent. (If they are not, it is the server that is late.) Then no more is sent than has just arrived, a
//! little less, so that the queue runs empty; after that, more and more, until it shows again or everything
//! fits.
//! (Additive increase and multiplicative decrease by the delay, as in LEDBAT, RFC 6817, but here nothing has
//! to be fair: what is not sent is replaced by something newer.)

use crate::nanos::{Nanos, SECOND};
use std::collections::VecDeque;

/// States of which the bytes are remembered.
const REMEMBERED: usize = 32;
/// Time over which arriving bytes are counted.
const WINDOW: Nanos = SECOND / 2;
/// For so long the path has to show it without a break, at first and before each further decrease: longer
/// than the pause after a loss.
const PATIENCE: Nanos = SECOND / 2;
/// After a state was replaced unsent, so many ticks count as those of a path that is too narrow.
const CROWDED: u32 = 8;
/// Never less than this, bytes a second.
const LEAST: u32 = 200;
/// When the rate is so many times what is sent, the path has room for everything.
const AMPLE: u32 = 8;

#[derive(Debug, Default)]
pub(super) struct Capacity {
    /// Bytes a second that may be sent. 0: the path carries whatever there is.
    rate: u32,
    /// Ticks and bytes of states that are under way, oldest first.
    sent: VecDeque<(u32, u32)>,
    window_began: Nanos,
    window_bytes: u32,
    /// Bytes a second that have arrived.
    arriving: u32,
    /// Tick of the last state that replaced one before that could be sent.
    replaced: Option<u32>,
    /// Since when the path has shown that it is full, or when the rate was decreased last.
    congested_since: Option<Nanos>,
}

impl Capacity {
    /// A state was sent.
    pub(super) fn sent(&mut self, tick: u32, bytes: usize) {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back((tick, u32::try_from(bytes).unwrap_or(u32::MAX)));
    }

    /// The state of this tick took the place of one that could not be sent.
    pub(super) fn replaced(&mut self, tick: u32) {
        self.replaced = Some(tick);
    }

    /// The state of this tick has arrived, as an acknowledgement says now. `congested`: the path shows that
    /// it carries less than is sent.
    pub(super) fn acked(&mut self, now: Nanos, tick: u32, congested: bool) {
        while let Some(&(of, bytes)) = self.sent.front().filter(|(of, _)| *of <= tick) {
            self.sent.pop_front();
            if of == tick {
                self.window_bytes = self.window_bytes.saturating_add(bytes);
            }
        }
        let passed = now.saturating_sub(self.window_began);
        if passed >= WINDOW {
            // A pause, or the beginning, tells nothing.
            if passed < 4 * WINDOW {
                let arriving = u64::from(self.window_bytes) * SECOND / passed;
                self.arriving = u32::try_from(arriving).unwrap_or(u32::MAX);
            }
            (self.window_began, self.window_bytes) = (now, 0);
        }
        let waits = self.replaced.is_some_and(|replaced| tick.saturating_sub(replaced) <= CROWDED);
        if !(congested && waits) {
            self.congested_since = None;
            if self.rate != 0 {
                self.increase();
            }
            return;
        }
        match self.congested_since {
            None => self.congested_since = Some(now),
            Some(since) if now.saturating_sub(since) >= PATIENCE => self.decrease(now),
            Some(_) => {}
        }
    }

    /// Bytes of states a second that may be sent. 0: no limit.
    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    fn decrease(&mut self, now: Nanos) {
        if self.arriving == 0 {
            return;
        }
        self.congested_since = Some(now);
        let now_sent = if self.rate == 0 { self.arriving } else { self.rate.min(self.arriving) };
        self.rate = (now_sent - now_sent / 5).max(LEAST);
    }

    fn increase(&mut self) {
        self.rate = self.rate.saturating_add(self.rate / 32 + 1);
        if self.rate / AMPLE > self.arriving {
            self.rate = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends what it may over a path that carries so many bytes a second, for 60 s. Returns the share of the
    /// path that is used in the last half, and the median time that a state waits in its queue.
    fn over(path: u64, wants: u64) -> (f64, Nanos) {
        let (tick, delay) = (SECOND / 20, SECOND / 20);
        let mut capacity = Capacity::default();
        let mut arriving: VecDeque<(Nanos, u32, Nanos)> = VecDeque::new();
        let (mut free_at, mut waits, mut sent) = (0, Vec::new(), 0);
        for n in 1..=1_200_u32 {
            let now = u64::from(n) * tick;
            while let Some(&(at, of, wait)) = arriving.front().filter(|(at, ..)| *at <= now) {
                arriving.pop_front();
                capacity.acked(at, of, wait > tick + tick / 2);
            }
            if arriving.len() >= 3 {
                capacity.replaced(n); // as with a closed gate
                continue;
            }
            let rate = u64::from(capacity.rate());
            let bytes = if rate == 0 { wants } else { wants.min(rate / 20).max(12) };
            free_at = now.max(free_at) + bytes * SECOND / path;
            arriving.push_back((free_at + delay, n, free_at - now));
            capacity.sent(n, bytes as usize);
            if n > 600 {
                waits.push(free_at - now);
                sent += bytes;
            }
        }
        waits.sort_unstable();
        (sent as f64 / 30.0 / path as f64, waits[waits.len() / 2])
    }

    #[test]
    fn a_narrow_path_is_used_and_its_queue_stays_short() {
        for (path, wants) in [(2_000, 300), (2_000, 2_000), (600, 150), (20_000, 5_000)] {
            let (used, wait) = over(path, wants);
            assert!(used > 0.6, "{path}: {used}");
            assert!(wait <= SECOND / 8, "{path}: {} ms", wait / 1_000_000);
        }
    }

    #[test]
    fn a_server_that_is_late_does_not_take_its_paths_for_narrow() {
        let mut capacity = Capacity::default();
        for n in 1..1_000 {
            capacity.sent(2 * n, 500);
            capacity.acked(u64::from(n) * SECOND / 10, 2 * n, true);
        }
        assert_eq!(capacity.rate(), 0);
    }

    #[test]
    fn a_wide_path_is_not_limited() {
        let mut capacity = Capacity::default();
        for n in 1..1_000 {
            capacity.sent(n, 500);
            capacity.acked(u64::from(n) * SECOND / 20, n, n == 100);
        }
        assert_eq!(capacity.rate(), 0, "one late acknowledgement is forgotten");
    }
}
