//! How long to wait before the next attempt to connect.
//!
//! Exponential with full jitter: each wait is drawn evenly from zero to a ceiling that doubles with every
//! failure. So clients that were disconnected together come back spread out. (Marc Brooker, "Exponential
//! Backoff And Jitter", AWS Architecture Blog, 2015.) A server that says when to come back has spread its
//! clients itself: the first waits are what it says, so that nobody is away for longer than that.

use std::time::Duration;

/// Longest wait that a server may request in a goodbye; longer ones are cut to this.
pub const MAX_SERVER_DELAY: Duration = Duration::from_secs(300);

/// So often in a row, a server is believed that says when to come back, whatever has failed before: of a node
/// that has died, nobody can say so at first, and then somebody can say when its rooms go on.
const BELIEVED: u32 = 3;

/// Waits between attempts to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
    /// How often in a row a server has said when to come back.
    told: u32,
}

impl Default for Backoff {
    /// From 1 s to 30 s.
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(30))
    }
}

impl Backoff {
    /// The first wait is at most `base`, and none is longer than `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap: cap.max(base), failures: 0, told: 0 }
    }

    /// The wait after one more failure. `server` is the wait that the goodbye requested, if there was one (up
    /// to [`MAX_SERVER_DELAY`]): the first such waits are that, and no later one is shorter.
    pub fn next(&mut self, rng: &mut fastrand::Rng, server: Option<Duration>) -> Duration {
        self.next_within(Duration::MAX, rng, server)
    }

    /// The same, drawn from no more than `most`.
    pub(crate) fn next_within(
        &mut self,
        most: Duration,
        rng: &mut fastrand::Rng,
        server: Option<Duration>,
    ) -> Duration {
        let jittered = self.ceiling().min(most).mul_f64(rng.f64());
        self.failures = self.failures.saturating_add(1);
        let Some(wait) = server.map(|wait| wait.min(MAX_SERVER_DELAY)).filter(|wait| !wait.is_zero()) else {
            return jittered;
        };
        self.told = self.told.saturating_add(1);
        if self.told <= BELIEVED { wait } else { jittered.max(wait) }
    }

    /// A wait that follows no failure: like the first one, and not counted.
    pub fn uncounted(&self, rng: &mut fastrand::Rng, server: Option<Duration>) -> Duration {
        Self::new(self.base, self.cap).next(rng, server)
    }

    /// The longest that the next wait can be, if the server requests nothing.
    pub fn ceiling(&self) -> Duration {
        let doubled = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.base.saturating_mul(doubled).min(self.cap)
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A connection has worked: the next wait starts from the beginning.
    pub fn reset(&mut self) {
        (self.failures, self.told) = (0, 0);
    }
}
