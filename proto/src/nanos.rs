//! Time as a session stores it: half the size of an `Instant`, and quick to compare and add.

use std::time::{Duration, Instant};

/// Nanoseconds since the session began, or a time span in nanoseconds. Lasts for 584 years.
pub(crate) type Nanos = u64;

pub(crate) const SECOND: Nanos = 1_000_000_000;

/// A time span.
pub(crate) const fn nanos(span: Duration) -> Nanos {
    span.as_secs().saturating_mul(SECOND).saturating_add(span.subsec_nanos() as u64)
}

/// When a session began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch(pub(crate) Instant);

impl Epoch {
    /// The time of an instant. An instant before the session began counts as its beginning.
    pub(crate) fn at(self, instant: Instant) -> Nanos {
        nanos(instant.saturating_duration_since(self.0))
    }

    pub(crate) fn instant(self, at: Nanos) -> Instant {
        self.0 + Duration::from_nanos(at)
    }
}

/// A time or a span, if there is one: an `Option` of half the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MaybeNanos(Nanos);

impl MaybeNanos {
    pub(crate) const NONE: Self = Self(Nanos::MAX);

    pub(crate) const fn some(nanos: Nanos) -> Self {
        Self(nanos)
    }

    pub(crate) fn get(self) -> Option<Nanos> {
        (self != Self::NONE).then_some(self.0)
    }

    /// The lesser of both, of those that are there.
    pub(crate) fn least(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_and_its_instant_agree() {
        let now = Instant::now();
        let epoch = Epoch(now);
        for span in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(380 * 24 * 60 * 60)] {
            assert_eq!(u128::from(epoch.at(now + span)), span.as_nanos());
            assert_eq!(epoch.instant(epoch.at(now + span)), now + span);
        }
        assert_eq!(Epoch(now + Duration::from_secs(1)).at(now), 0);
        assert_eq!(nanos(Duration::MAX), Nanos::MAX);
    }
}
