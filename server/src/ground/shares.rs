//! Permits that are limited per source.

use super::source::Source;
use dashmap::DashMap;
use std::sync::Arc;

/// Counts what each source has: connections, handshakes, rooms. Loopback is not limited (see
/// [`Source::is_loopback`]).
#[derive(Debug)]
pub struct Shares {
    max: usize,
    taken: DashMap<Source, usize>,
}

/// One permit of a source. Given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    /// None: it is not counted.
    of: Option<(Arc<Shares>, Source)>,
}

impl Shares {
    /// At most `max` for each source.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, taken: DashMap::new() })
    }

    /// The limit of each source.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Takes one more. None: the source has as many as it may.
    pub fn take(self: &Arc<Self>, source: Source) -> Option<Share> {
        if source.is_loopback() {
            return Some(Share::uncounted());
        }
        if self.max == 0 {
            return None;
        }
        let mut taken = self.taken.entry(source).or_insert(0);
        if *taken >= self.max {
            return None;
        }
        *taken += 1;
        Some(Share { of: Some((self.clone(), source)) })
    }

    /// Takes one more of what exists already, however many the source has.
    pub fn go_on(self: &Arc<Self>, source: Source) -> Share {
        if source.is_loopback() {
            return Share::uncounted();
        }
        *self.taken.entry(source).or_insert(0) += 1;
        Share { of: Some((self.clone(), source)) }
    }
}

impl Share {
    /// A permit that is not counted.
    pub fn uncounted() -> Self {
        Self { of: None }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some((shares, source)) = &self.of {
            shares.taken.remove_if_mut(source, |_, taken| {
                *taken -= 1;
                *taken == 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again_and_nothing_is_left_behind() {
        let (shares, source) = (Shares::new(2), Source::of("192.0.2.1".parse().unwrap()));
        let first = shares.take(source).unwrap();
        let _second = shares.take(source).unwrap();
        assert!(shares.take(source).is_none());
        assert!(shares.take(Source::of("192.0.2.2".parse().unwrap())).is_some());
        drop(first);
        drop(shares.take(source).unwrap());
        drop(_second);
        assert!(shares.taken.is_empty());
    }

    #[test]
    fn who_has_none_to_give_leaves_nothing_behind() {
        let shares = Shares::new(0);
        assert!(shares.take(Source::of("192.0.2.1".parse().unwrap())).is_none());
        assert!(shares.taken.is_empty());
    }
}
