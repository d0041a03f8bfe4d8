//! Gives back the memory of maps that were large once.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
};

/// A map with a capacity up to this is not worth shrinking.
pub const SMALL: usize = 256;

/// Call it after a removal: a map that is nearly empty gives back the memory that it took when it was full.
/// (It shrinks at an eighth of its capacity, to twice its length, so that it neither shrinks nor grows again
/// soon.)
pub fn give_back<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if is_nearly_empty(map.len(), map.capacity()) {
        map.shrink_to(map.len() * 2);
    }
}

/// Whether shrinking is worth it.
pub fn is_nearly_empty(len: usize, capacity: usize) -> bool {
    capacity > SMALL && len < capacity / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_was_large_is_small_when_it_is_empty_again() {
        let mut map: HashMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
        for n in 0..99_990 {
            map.remove(&n);
            give_back(&mut map);
        }
        assert!(map.capacity() <= SMALL, "room for {}", map.capacity());
        assert_eq!(map.len(), 10);
    }
}
