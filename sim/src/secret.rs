//! Random numbers that players cannot compute: hands of cards, what lies behind a door.

use crate::{Rng, rng};
use chacha20::{
    ChaCha12Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Fills a key that begins with the seed.
const KEY: [u8; 24] = *b"driftless secret numbers";

/// A deterministic generator like [`Rng`], for what players may not know: whatever they see of its numbers,
/// it does not tell them the others. A number takes some 100 ns, a hundred times as long as one of [`Rng`].
///
/// It is as secret as the room's seed, which clients never get, unless the game itself tells it: an
/// [`Rng`] with the seed of the setup does, to who computes. So a game that needs both takes the one from the
/// other, with [`rng`](Self::rng).
///
/// ```
/// # use driftless_sim::SecretRng;
/// let mut deck = SecretRng::new(7);
/// let mut bots = deck.rng(); // nobody who watches them learns the next card
/// let (card, pause) = (deck.below(52), bots.range(10..20));
/// # assert!(card < 52 && (10..20).contains(&pause));
/// ```
///
/// ChaCha with 12 rounds (D. J. Bernstein, *ChaCha, a variant of Salsa20*, 2008), whose key is the seed of 64
/// bits. Keep it in the simulation's state, of which it takes 16 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRng {
    seed: u64,
    /// How many numbers of 32 bits were taken.
    taken: u64,
}

impl SecretRng {
    /// The generator for a room's seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, taken: 0 }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..].copy_from_slice(&KEY);
        let mut stream = ChaCha12Rng::from_seed(key);
        stream.set_word_pos(self.taken.into());
        self.taken += 1;
        stream.next_u32()
    }

    /// A number below `bound`, uniformly distributed. 0 if `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        rng::below(bound, || self.next_u32())
    }

    /// A number in `range`, uniformly distributed. The start if the range is empty.
    pub fn range(&mut self, range: Range<i32>) -> i32 {
        rng::range(range, || self.next_u32())
    }

    /// A fast generator, whose numbers tell nothing of this one's.
    pub fn rng(&mut self) -> Rng {
        Rng::new(u64::from(self.next_u32()) << 32 | u64::from(self.next_u32()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise 1: "A replay gives the same checksums", also of a later version.
    #[test]
    fn the_numbers_of_a_seed_stay_what_they_are() {
        let mut rng = SecretRng::new(42);
        let numbers: Vec<u32> = (0..40).map(|_| rng.next_u32()).collect();
        assert_eq!(numbers[..3], [3_685_676_152, 2_096_104_889, 4_189_309_486]);
        let mut restored: SecretRng = postcard::from_bytes(&postcard::to_allocvec(&rng).unwrap()).unwrap();
        assert_eq!(restored.next_u32(), rng.next_u32());
    }

    #[test]
    fn seeds_and_places_in_the_stream_have_different_numbers() {
        let mut all = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let mut rng = SecretRng::new(seed);
            all.extend((0..100).map(|_| rng.next_u32()));
        }
        assert!(all.len() > 1_995, "{}", all.len());
    }
}
