//! The narrow place of a link: so many bytes a second, and a queue before it.

use std::time::Duration;

const NANOS: u128 = 1_000_000_000;

/// A queue that is served at a rate. It knows bytes, not packets.
#[derive(Debug, Clone, Default)]
pub struct Bottleneck {
    /// What has not left yet, in billionths of a byte: so that no rate and no time is rounded.
    backlog: u128,
    /// When `backlog` was that.
    at: Duration,
    /// The last departure, so that a rate that changes lets nobody overtake.
    last: Duration,
}

impl Bottleneck {
    /// So many bytes arrive: when the last of them has left. None: there is no room for them in the queue.
    pub fn admit(&mut self, now: Duration, rate: Option<u64>, queue: u64, bytes: usize) -> Option<Duration> {
        (bytes as u64 <= self.room(now, rate, queue)).then(|| self.force(now, rate, bytes))
    }

    /// As [`admit`](Self::admit), for what cannot be refused.
    pub fn force(&mut self, now: Duration, rate: Option<u64>, bytes: usize) -> Duration {
        self.serve(now, rate);
        let departure = match rate {
            None => now,
            Some(rate) => {
                self.backlog += bytes as u128 * NANOS;
                now + nanoseconds(self.backlog.div_ceil(u128::from(rate.max(1))))
            }
        };
        self.last = self.last.max(departure);
        self.last
    }

    /// Bytes that the queue has room for.
    pub fn room(&mut self, now: Duration, rate: Option<u64>, queue: u64) -> u64 {
        if rate.is_none() {
            return u64::MAX;
        }
        queue.saturating_sub(self.backlog(now, rate))
    }

    /// Bytes that have not left yet.
    pub fn backlog(&mut self, now: Duration, rate: Option<u64>) -> u64 {
        self.serve(now, rate);
        u64::try_from(self.backlog.div_ceil(NANOS)).unwrap_or(u64::MAX)
    }

    fn serve(&mut self, now: Duration, rate: Option<u64>) {
        let passed = now.saturating_sub(self.at).as_nanos();
        self.at = self.at.max(now);
        self.backlog = match rate {
            None => 0,
            Some(rate) => self.backlog.saturating_sub(passed.saturating_mul(u128::from(rate))),
        };
    }
}

fn nanoseconds(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
