//! The seeded random numbers of simulations.
//!
//! PCG32 (XSH-RR 64/32): 16 bytes of state that serialise with the room, the same numbers on every machine.
//! Small and even enough for games; not for secrets: who sees a few outputs (where somebody appears, how a
//! bot turns) can compute its state, and with it all others, past and future. For those there is
//! [`SecretRng`](crate::SecretRng).
//!
//! Source: M. O'Neill, *PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random
//! Number Generation*, HMC-CS-2014-0905; ranges after D. Lemire, *Fast Random Integer Generation in an
//! Interval*, ACM TOMACS 29 (2019).

use serde::{Deserialize, Serialize};
use std::ops::Range;

const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
const STREAM: u64 = 0x000d_e1f7_1e55;

/// A deterministic generator. Keep it in the simulation's state. Players can compute its numbers from those
/// that they see: for what they may not know there is [`SecretRng`](crate::SecretRng).
///
/// ```
/// # use driftless_sim::Rng;
/// let mut rng = Rng::new(7);
/// let dice = rng.range(1..7);
/// assert!((1..7).contains(&dice));
/// assert_eq!(Rng::new(7).range(1..7), dice);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rng {
    state: u64,
    increment: u64,
}

impl Rng {
    /// The generator for a seed.
    pub fn new(seed: u64) -> Self {
        Self::with_stream(seed, STREAM)
    }

    /// The generator for a seed on one of 2⁶³ streams: numbers of different streams are independent.
    pub fn with_stream(seed: u64, stream: u64) -> Self {
        let mut rng = Self { state: 0, increment: (stream << 1) | 1 };
        rng.next_u32();
        rng.state = rng.state.wrapping_add(seed);
        rng.next_u32();
        rng
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        let old = self.state;
        self.state = old.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
        let xor_shifted = (((old >> 18) ^ old) >> 27) as u32;
        xor_shifted.rotate_right((old >> 59) as u32)
    }

    /// A number below `bound`, uniformly distributed. 0 if `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        below(bound, || self.next_u32())
    }

    /// A number in `range`, uniformly distributed. The start if the range is empty.
    pub fn range(&mut self, range: Range<i32>) -> i32 {
        self::range(range, || self.next_u32())
    }
}

/// A number below `bound`, uniformly distributed, from random bits. 0 if `bound` is 0.
pub(crate) fn below(bound: u32, mut next_u32: impl FnMut() -> u32) -> u32 {
    let mut product = u64::from(next_u32()) * u64::from(bound);
    // The low half says whether this draw falls into the part that would make some results more likely.
    if (product as u32) < bound {
        let threshold = bound.wrapping_neg() % bound;
        while (product as u32) < threshold {
            product = u64::from(next_u32()) * u64::from(bound);
        }
    }
    (product >> 32) as u32
}

/// A number in `range`, uniformly distributed, from random bits. The start if the range is empty.
pub(crate) fn range(range: Range<i32>, next_u32: impl FnMut() -> u32) -> i32 {
    let width = i64::from(range.end) - i64::from(range.start);
    // A width of 2³¹ and more still fits in 32 unsigned bits.
    let width = u32::try_from(width.max(0)).unwrap_or(u32::MAX);
    range.start.wrapping_add_unsigned(below(width, next_u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output of `pcg32-demo` of the reference implementation (imneme/pcg-c-basic), seed 42, stream 54.
    #[test]
    fn gives_the_numbers_of_the_reference() {
        let mut rng = Rng::with_stream(42, 54);
        let numbers: Vec<u32> = (0..6).map(|_| rng.next_u32()).collect();
        assert_eq!(numbers, [0xa15c_02b7, 0x7b47_f409, 0xba1d_3330, 0x83d2_f293, 0xbfa4_784b, 0xcbed_606e]);
    }

    #[test]
    fn ranges_are_even_and_within_their_bounds() {
        let mut rng = Rng::new(1);
        let mut count = [0u32; 6];
        for _ in 0..60_000 {
            count[(rng.range(-3..3) + 3) as usize] += 1;
        }
        assert!(count.iter().all(|&n| (9_600..10_400).contains(&n)), "{count:?}");
    }

    #[test]
    fn odd_ranges_do_not_panic() {
        let mut rng = Rng::new(1);
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        assert_eq!(rng.range(5..5), 5);
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 5..-5;
        assert_eq!(rng.range(reversed), 5);
        for _ in 0..100 {
            assert_ne!(rng.range(i32::MIN..i32::MAX), i32::MAX);
        }
    }
}
