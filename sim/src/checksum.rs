//! CRC-32C of a state, computed while it is serialized.
//!
//! The bytes that `postcard` would write go into the checksum in small pieces, so a state of any size is
//! checked without a copy and without an allocation. CRC-32C (Castagnoli, RFC 3720 appendix B.4), because
//! processors compute it in hardware. `checksum(&state)` equals the CRC-32C of `postcard::to_stdvec(&state)`.

use driftless_proto::schema::Schema;
use postcard::ser_flavors::Flavor;
use prost::Message;
use serde::Serialize;

/// Bytes collected before each update: enough for the hardware's fast path.
const PIECE: usize = 1024;
/// Longest integer of up to 64 bits in postcard's format, bytes.
const MAX_VARINT: usize = 10;

/// CRC-32C of `state` in postcard's format.
///
/// # Panics
/// If the state cannot be serialized (a map of unknown length): a fault of the game, which its first test
/// reveals.
pub fn checksum(state: &impl Serialize) -> u32 {
    match postcard::serialize_with_flavor(state, Crc { crc: 0, piece: [0; PIECE], used: 0 }) {
        Ok(crc) => crc,
        Err(error) => panic!("a simulation's state must be serialisable: {error}"),
    }
}

/// CRC-32C of a schema in protobuf: two versions of a game whose states mean the same have the same.
pub fn schema_checksum(schema: &Schema) -> u32 {
    crc32c::crc32c(&schema.to_wire().encode_to_vec())
}

struct Crc {
    crc: u32,
    piece: [u8; PIECE],
    used: usize,
}

impl Crc {
    fn update(&mut self) {
        self.crc = crc32c::crc32c_append(self.crc, &self.piece[..self.used]);
        self.used = 0;
    }
}

impl Flavor for Crc {
    type Output = u32;

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.used == PIECE {
            self.update();
        }
        self.piece[self.used] = byte;
        self.used += 1;
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() <= MAX_VARINT {
            // Nearly every call: for a few bytes, a loop is faster than calling memcpy.
            return bytes.iter().try_for_each(|&byte| self.try_push(byte));
        }
        self.update();
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        Ok(())
    }

    fn finalize(mut self) -> postcard::Result<u32> {
        self.update();
        Ok(self.crc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_crc_of_the_serialised_bytes() {
        for length in [0, 1, 100, PIECE - 3, PIECE, PIECE + 1, 5 * PIECE] {
            let state = (vec![7u32; length], "x".repeat(length), 1u8, vec![300u16; length]);
            let bytes = postcard::to_stdvec(&state).unwrap();
            assert_eq!(checksum(&state), crc32c::crc32c(&bytes), "length {length}");
        }
    }

    /// RFC 3720, appendix B.4: 32 bytes of zeros.
    #[test]
    fn is_the_castagnoli_polynomial() {
        assert_eq!(checksum(&[0u8; 32]), 0x8a91_36aa);
    }
}
