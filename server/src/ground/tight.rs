//! Small lists that exist by the thousand, stored without spare memory.

/// Appends to a list, which grows by a half, beginning with one. (`Vec` by itself would begin with four and
/// double.)
pub fn push<T>(list: &mut Vec<T>, item: T) {
    insert(list, list.len(), item);
}

/// Inserts into a list.
pub fn insert<T>(list: &mut Vec<T>, at: usize, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 2 + 1);
    }
    list.insert(at, item);
}

/// A map for a few entries, or for many whose keys arrive nearly in order: a list sorted by key.
#[derive(Debug)]
pub struct SortedMap<K, V>(Vec<(K, V)>);

impl<K: Ord + Copy, V> SortedMap<K, V> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: K) -> Option<&V> {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    /// Gives a key a value.
    pub fn insert(&mut self, key: K, value: V) {
        match self.find(key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => insert(&mut self.0, at, (key, value)),
        }
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let at = self.find(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// All entries, in order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All values, in order of the keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    fn find(&self, key: K) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |(key, _)| *key)
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sorted_map_keeps_one_value_a_key() {
        let mut map = SortedMap::default();
        for key in [5, 1, 9, 5] {
            map.insert(key, key * 10 + map.len());
        }
        assert_eq!(map.values().copied().collect::<Vec<_>>(), [11, 53, 92]);
        assert_eq!((map.remove(5), map.remove(5), map.get(5)), (Some(53), None, None));
        assert_eq!((map.get(9), map.len()), (Some(&92), 2));
    }

    #[test]
    fn a_list_of_one_has_room_for_one() {
        let mut list = Vec::new();
        let rooms = (0..8).map(|n| {
            push(&mut list, n);
            list.capacity()
        });
        assert_eq!(rooms.collect::<Vec<_>>(), [1, 2, 4, 4, 7, 7, 7, 11]);
    }
}
