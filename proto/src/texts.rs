//! The texts of a snapshot: what its rows refer to by number.

use crate::limits::{MAX_TEXT, MAX_TEXTS};
use std::sync::Arc;

/// Hashes are below this, so that a number in a row takes at most 3 bytes on the wire.
const HASHES: u32 = 1 << 20;

/// Texts by number. A number is a hash of the bytes, or the next one that is free, so it follows from what
/// was added in which order, and from nothing that was there before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts {
    /// Ascending by number.
    list: Vec<Text>,
    /// How many are in use.
    len: usize,
}

#[derive(Debug, Clone)]
struct Text {
    number: u32,
    bytes: Arc<[u8]>,
    /// False: it was there before the last `clear`, and is kept only so that its memory can be used again.
    used: bool,
}

impl Texts {
    /// Forgets all texts, but keeps the memory of those that were in use, until the next `clear`.
    pub(crate) fn clear(&mut self) {
        self.list.retain_mut(|text| std::mem::take(&mut text.used));
        self.len = 0;
    }

    /// The number of a text, which it adds if it is new. 0: it is empty, or there are too many. Longer ones
    /// than allowed are truncated.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> u32 {
        let bytes = &bytes[..bytes.len().min(MAX_TEXT)];
        if bytes.is_empty() {
            return 0;
        }
        let mut number = (crc32c::crc32c(bytes) % HASHES).max(1);
        let mut at = self.list.partition_point(|text| text.number < number);
        loop {
            match self.list.get_mut(at).filter(|text| text.number == number) {
                Some(text) if text.used && *text.bytes == *bytes => return number,
                Some(text) if text.used => {}
                _ if self.len == MAX_TEXTS => return 0,
                Some(text) => {
                    if *text.bytes != *bytes {
                        text.bytes = bytes.into();
                    }
                    text.used = true;
                    break;
                }
                None => {
                    self.list.insert(at, Text { number, bytes: bytes.into(), used: true });
                    break;
                }
            }
            number += 1;
            at += 1;
        }
        self.len += 1;
        number
    }

    /// A text.
    pub(crate) fn get(&self, number: u32) -> Option<&[u8]> {
        let at = self.list.binary_search_by_key(&number, |text| text.number).ok()?;
        Some(&self.list[at]).filter(|text| text.used).map(|text| &*text.bytes)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The texts, ascending by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Arc<[u8]>)> {
        self.list.iter().filter(|text| text.used).map(|text| (text.number, &text.bytes))
    }

    /// Makes these the same as `other`, reusing memory.
    pub(crate) fn copy_from(&mut self, other: &Texts) {
        self.begin();
        other.iter().for_each(|(number, bytes)| self.push(number, bytes.clone()));
    }

    /// Forgets all texts, to be filled with `push`.
    pub(crate) fn begin(&mut self) {
        self.list.clear();
        self.len = 0;
    }

    /// Appends one with a number above all that are there.
    pub(crate) fn push(&mut self, number: u32, bytes: Arc<[u8]>) {
        self.list.push(Text { number, bytes, used: true });
        self.len += 1;
    }
}

impl PartialEq for Texts {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Three texts with the same hash.
    fn colliding() -> [String; 3] {
        let mut found = HashMap::<u32, Vec<String>>::new();
        for text in (0..).map(|n: u32| n.to_string()) {
            let same = found.entry(crc32c::crc32c(text.as_bytes()) % HASHES).or_default();
            same.push(text);
            if let [a, b, c] = &same[..] {
                return [a.clone(), b.clone(), c.clone()];
            }
        }
        unreachable!("there are more texts than hashes")
    }

    #[test]
    fn texts_of_the_same_hash_have_numbers_in_the_order_in_which_they_come() {
        let [a, b, c] = colliding();
        let add = |texts: &mut Texts, order: [&String; 3]| order.map(|text| texts.add(text.as_bytes()));
        let mut texts = Texts::default();
        let [first, second, third] = add(&mut texts, [&a, &b, &c]);
        assert_eq!([second, third], [first + 1, first + 2]);
        assert_eq!(add(&mut texts, [&c, &a, &b]), [third, first, second], "they are there");
        // Whatever was there before.
        texts.clear();
        assert_eq!((texts.get(first), texts.iter().count()), (None, 0));
        assert_eq!(add(&mut texts, [&c, &b, &a]), [first, second, third]);
        assert_eq!(texts.get(first), Some(c.as_bytes()));
        let mut fresh = Texts::default();
        add(&mut fresh, [&c, &b, &a]);
        assert_eq!(texts, fresh);
    }

    #[test]
    fn an_empty_text_is_0_and_a_long_one_is_truncated() {
        let mut texts = Texts::default();
        assert_eq!((texts.add(&[]), texts.len()), (0, 0));
        let number = texts.add(&[7; MAX_TEXT + 1]);
        assert_eq!(texts.get(number), Some(&[7; MAX_TEXT][..]));
    }

    #[test]
    fn what_is_not_used_again_is_dropped() {
        let mut texts = Texts::default();
        texts.add(b"Ada");
        texts.clear();
        texts.add(b"Bob");
        texts.clear();
        assert_eq!(texts.list.len(), 1);
    }

    #[test]
    fn texts_above_the_limit_are_empty() {
        let mut texts = Texts::default();
        for n in 0..MAX_TEXTS as u32 {
            assert_ne!(texts.add(&n.to_le_bytes()), 0);
        }
        assert_eq!(texts.add(b"another"), 0);
        assert_ne!(texts.add(&7_u32.to_le_bytes()), 0, "it is there");
    }
}
