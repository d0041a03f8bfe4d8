//! How often an address may do something.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// Addresses that are remembered. Beyond them the others share one account.
const ADDRESSES: usize = 4096;

/// A rate for each source, with some at once: the generic cell rate algorithm (ITU-T I.371). A source that keeps to it, or has
/// paused, takes no memory after the next sweep.
#[derive(Debug)]
pub(super) struct Pace {
    /// From one to the next.
    interval: Duration,
    /// How far ahead of its rate a source may be.
    burst: Duration,
    /// When all that a source has done would be done, had it kept its rate.
    busy_until: HashMap<IpAddr, Instant>,
}

impl Pace {
    pub(super) fn new(interval: Duration, at_once: u32) -> Self {
        Self { interval, burst: interval * at_once.saturating_sub(1), busy_until: HashMap::new() }
    }

    /// Does it once more.
    ///
    /// # Errors
    /// How long to wait, if that would be too often.
    pub(super) fn take(&mut self, now: Instant, source: IpAddr) -> Result<(), Duration> {
        let (interval, burst) = (self.interval, self.burst);
        let until = self.of(now, source);
        let ahead = until.saturating_duration_since(now);
        if ahead > burst {
            return Err(ahead - burst);
        }
        *until = now + ahead + interval;
        Ok(())
    }

    /// Does it once more in any case. How long the source is to be kept waiting for it, at most `longest`.
    pub(super) fn hold(&mut self, now: Instant, source: IpAddr, longest: Duration) -> Duration {
        let (interval, burst) = (self.interval, self.burst);
        let until = self.of(now, source);
        let ahead = until.saturating_duration_since(now);
        let held = ahead.saturating_sub(burst).min(longest);
        *until = now + (ahead + interval).min(burst + longest);
        held
    }

    fn of(&mut self, now: Instant, source: IpAddr) -> &mut Instant {
        let mut key = network(source);
        if self.busy_until.len() >= ADDRESSES && !self.busy_until.contains_key(&key) {
            self.busy_until.retain(|_, until| *until > now);
            if self.busy_until.len() >= ADDRESSES {
                key = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        self.busy_until.entry(key).or_insert(now)
    }
}

/// What one source has: an IPv4 address, or a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn so_many_at_once_and_then_at_the_rate() {
        let (mut pace, start) = (Pace::new(SECOND, 3), Instant::now());
        let ann = ip("192.0.2.1");
        (0..3).for_each(|_| assert_eq!(pace.take(start, ann), Ok(())));
        assert_eq!(pace.take(start, ann), Err(SECOND));
        assert_eq!(pace.take(start, ann), Err(SECOND), "a refusal costs nothing");
        assert_eq!(pace.take(start, ip("192.0.2.2")), Ok(()), "others have their own");
        assert_eq!(pace.take(start + SECOND, ann), Ok(()));
        assert!(pace.take(start + SECOND, ann).is_err());
        (0..3).for_each(|_| assert_eq!(pace.take(start + 60 * SECOND, ann), Ok(())));
        assert!(pace.take(start + 60 * SECOND, ann).is_err(), "a pause does not save up more");
    }

    #[test]
    fn who_goes_on_is_held_longer_and_longer_up_to_a_limit() {
        let (mut pace, start) = (Pace::new(SECOND, 2), Instant::now());
        let held: Vec<_> = (0..6).map(|_| pace.hold(start, ip("192.0.2.1"), 3 * SECOND).as_secs()).collect();
        assert_eq!(held, [0, 0, 1, 2, 3, 3]);
        assert_eq!(pace.hold(start, ip("192.0.2.2"), 3 * SECOND), Duration::ZERO);
        assert_eq!(pace.hold(start + 10 * SECOND, ip("192.0.2.1"), 3 * SECOND), Duration::ZERO);
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_a_64_of_ipv6() {
        let (mut pace, now) = (Pace::new(SECOND, 1), Instant::now());
        assert!(pace.take(now, ip("2001:db8::1")).is_ok());
        assert!(pace.take(now, ip("2001:db8::ffff:1")).is_err());
        assert!(pace.take(now, ip("2001:db8:0:1::1")).is_ok());
        assert!(pace.take(now, ip("192.0.2.1")).is_ok());
        assert!(pace.take(now, ip("::ffff:192.0.2.1")).is_err());
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory() {
        let (mut pace, now) = (Pace::new(SECOND, 1), Instant::now());
        let sources = |from: u32| (from..from + 10_000).map(|n| IpAddr::V4(n.into()));
        let taken = sources(0).filter(|source| pace.take(now, *source).is_ok()).count();
        assert_eq!(taken, ADDRESSES + 1, "the rest has one account together");
        assert!(pace.busy_until.len() <= ADDRESSES + 1);
        assert!(pace.take(now + 2 * SECOND, ip("192.0.2.1")).is_ok());
        assert!(pace.busy_until.len() < 10, "those who have paused are forgotten");
    }
}
