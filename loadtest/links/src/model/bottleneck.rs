//! The bottleneck of a link: a rate in bytes per second, and a queue in front of it.

use std::time::Duration;

const NANOS: u128 = 1_000_000_000;

/// A queue that is served at a rate. It knows bytes, not packets.
#[derive(Debug, Clone, Default)]
pub struct Bottleneck {
    /// What has not left yet, in billionths of a byte, so that neither rates nor times are rounded.
    backlog: u128,
    /// When `backlog` was that.
    at: Duration,
    /// The last departure, so that nothing overtakes when the rate changes.
    last: Duration,
}

impl Bottleneck {
    /// Takes in this many bytes and returns when the last of them will have left. None: the queue has no room
    /// for them.
    pub fn admit(&mut self, now: Duration, rate: Option<u64>, queue: u64, bytes: usize) -> Option<Duration> {
        (bytes as u64 <= self.room(now, rate, queue)).then(|| self.force(now, rate, bytes))
    }

    /// Like [`admit`](Self::admit), for what cannot be refused.
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
