//! Strings of bits, filled from the lowest bit of each byte.

/// Appends bits to bytes.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    /// Number of pending bits, at most 7 between calls.
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// Most bits that one `put` takes.
    pub(super) const MOST: u32 = 56;

    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, count: 0 }
    }

    /// Writes the `len` low bits; those above must be 0.
    #[inline]
    pub(super) fn put(&mut self, bits: u64, len: u32) {
        self.pending |= bits << self.count;
        self.count += len;
        let whole = self.count / 8;
        self.out.extend_from_slice(&self.pending.to_le_bytes()[..whole as usize]);
        // At most 63 bits are pending, so at most 7 bytes are written.
        self.pending >>= 8 * whole;
        self.count %= 8;
    }

    /// Pads the last byte with zeros.
    pub(super) fn finish(self) {
        if self.count > 0 {
            self.out.push(self.pending as u8);
        }
    }
}

/// Reads bits. Reading past the end gives zeros: `is_used_up` checks once, at the end.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The bit to read next.
    at: usize,
}

impl<'a> BitReader<'a> {
    /// Fewest bits that `peek` returns.
    pub(super) const LEAST: u32 = 57;

    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bits there are, read or not.
    pub(super) fn len(&self) -> usize {
        8 * self.bytes.len()
    }

    /// At least the next 57 bits, lowest first.
    #[inline]
    pub(super) fn peek(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        word >> (self.at % 8)
    }

    /// Skips `len` bits.
    #[inline]
    pub(super) fn skip(&mut self, len: u32) {
        self.at += len as usize;
    }

    /// Reads up to 57 bits.
    #[inline]
    pub(super) fn take(&mut self, len: u32) -> u64 {
        let bits = self.peek() & ((1 << len) - 1);
        self.skip(len);
        bits
    }

    /// Whether all bytes have been read, none was missing, and the unused bits of the last one are 0.
    pub(super) fn is_used_up(&self) -> bool {
        self.at.div_ceil(8) == self.bytes.len() && (self.at.is_multiple_of(8) || self.peek() == 0)
    }
}
