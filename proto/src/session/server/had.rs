//! The ticks at which a peer has a zone's content.

use crate::session::Delivery;

/// A set of ticks: the newest, and which of the 63 before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Had {
    newest: u32,
    /// Bit n: `newest` - n. 0: none at all.
    bits: u64,
}

/// Ticks divisible by this are preferred as references when peers have many different ones.
const COMMON: u32 = 4;

impl Had {
    /// The newest tick.
    pub(super) fn newest(self) -> Option<u32> {
        (self.bits != 0).then_some(self.newest)
    }

    /// Adds a tick. On ordered transports, a peer keeps the last two.
    pub(super) fn add(&mut self, tick: u32, delivery: Delivery) {
        if self.bits == 0 || tick > self.newest {
            let ahead = if self.bits == 0 { 0 } else { tick - self.newest };
            self.bits = self.bits.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = tick;
        } else if let Some(bit) = 1_u64.checked_shl(self.newest - tick) {
            self.bits |= bit;
        }
        if delivery == Delivery::Ordered {
            let older = self.bits & !1;
            self.bits = 1 | (older & older.wrapping_neg());
        }
    }

    /// Whether the peer has the content of this tick.
    pub(super) fn has(self, tick: u32) -> bool {
        let bit = self.newest.checked_sub(tick).and_then(|behind| self.bits.checked_shr(behind));
        bit.is_some_and(|bits| bits & 1 != 0)
    }

    /// No reference will be before this tick. `common`: references may be common ones.
    pub(super) fn oldest_needed(self, common: bool) -> u32 {
        let second = |bits: u64| {
            let behind = (bits & (bits - u64::from(bits != 0))).trailing_zeros();
            if behind < u64::BITS { Some(self.newest.saturating_sub(behind)) } else { None }
        };
        let exact = second(self.bits).unwrap_or(self.newest);
        if !common {
            return exact;
        }
        // Every fourth bit, from the newest tick that is common.
        let first = self.newest % COMMON;
        let every = 0x1111_1111_1111_1111_u64.checked_shl(first).unwrap_or(0);
        second(self.bits & every).unwrap_or(exact).min(exact)
    }

    /// Whether a tick is one of those that are preferred when peers have many different ones.
    pub(super) fn is_common(tick: u32) -> bool {
        tick.is_multiple_of(COMMON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_the_set_of_the_last_64_ticks(ticks in proptest::collection::vec(1..200_u32, 0..40)) {
            let (mut had, mut model) = (Had::default(), BTreeSet::new());
            for tick in ticks {
                had.add(tick, Delivery::Datagram);
                model.insert(tick);
                let newest = *model.last().unwrap();
                prop_assert_eq!(had.newest(), Some(newest));
                model.retain(|tick| newest - tick < 64);
                for tick in 0..=newest + 1 {
                    prop_assert_eq!(had.has(tick), model.contains(&tick), "{}", tick);
                }
                let mut last = model.iter().rev();
                last.next();
                prop_assert_eq!(had.oldest_needed(false), *last.next().unwrap_or(&newest));
                let mut common = model.iter().rev().filter(|tick| Had::is_common(**tick)).skip(1);
                let exact = had.oldest_needed(false);
                prop_assert_eq!(had.oldest_needed(true), exact.min(*common.next().unwrap_or(&exact)));
            }
        }
    }

    #[test]
    fn on_a_stream_only_the_last_two_are_kept() {
        let mut had = Had::default();
        assert_eq!(had.newest(), None);
        for tick in [3, 5, 6, 9] {
            had.add(tick, Delivery::Ordered);
        }
        let all: Vec<_> = (0..12).filter(|tick| had.has(*tick)).collect();
        assert_eq!((all, had.oldest_needed(true)), (vec![6, 9], 6));
    }
}
