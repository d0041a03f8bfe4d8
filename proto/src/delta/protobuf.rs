//! The parts of protobuf's wire format that a delta needs: varints, and the fields of a message.
//!
//! Hand-written, because the messages of the hot path are read and written without building them. The format
//! is described at <https://protobuf.dev/programming-guides/encoding/>.

use super::DeltaError;
use bytes::BufMut;

/// Longest varint of 64 bits, bytes.
const MAX_VARINT: usize = 10;

/// Length of a varint, bytes.
pub(crate) const fn varint_len(value: u64) -> usize {
    // 0 also takes one byte.
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Length of a bytes field with its tag (of a field number below 16) and length prefix.
pub(crate) const fn bytes_field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// Length of a number's field with its tag (of a field number below 16). 0 is not written.
pub(crate) const fn number_field_len(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + varint_len(value) }
}

/// Writes a varint.
#[inline]
pub(crate) fn put_varint(out: &mut impl BufMut, value: u64) {
    if value < 0x80 {
        out.put_u8(value as u8);
    } else {
        put_long_varint(out, value);
    }
}

#[inline]
fn put_long_varint(out: &mut impl BufMut, mut value: u64) {
    let mut bytes = [0; MAX_VARINT];
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    out.put_slice(&bytes[..=len]);
}

/// Writes the tag of a field whose number is below 16.
pub(crate) fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: WireType) {
    out.push((field << 3) as u8 | wire_type as u8);
}

/// Writes a number's field, unless it is 0.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_tag(out, field, WireType::Varint);
        put_varint(out, value);
    }
}

/// Writes a bytes field, unless it is empty.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_bytes_head(out, field, bytes.len());
        out.extend_from_slice(bytes);
    }
}

/// Writes the tag and length of a field whose bytes follow.
pub(crate) fn put_bytes_head(out: &mut Vec<u8>, field: u32, len: usize) {
    put_tag(out, field, WireType::Bytes);
    put_varint(out, len as u64);
}

/// Reads a varint off the front of `input`.
#[inline]
pub(crate) fn take_varint(input: &mut &[u8]) -> Result<u64, DeltaError> {
    match **input {
        [] => Err(DeltaError::Truncated),
        [first, ref rest @ ..] if first < 0x80 => {
            *input = rest;
            Ok(first.into())
        }
        _ => take_long_varint(input),
    }
}

#[inline]
fn take_long_varint(input: &mut &[u8]) -> Result<u64, DeltaError> {
    let mut value = 0;
    for (n, &byte) in input.iter().take(MAX_VARINT).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte < 0x80 {
            // The tenth byte holds only the 64th bit.
            if n == MAX_VARINT - 1 && byte > 1 {
                return Err(DeltaError::Varint);
            }
            *input = &input[n + 1..];
            return Ok(value);
        }
    }
    Err(if input.len() < MAX_VARINT { DeltaError::Truncated } else { DeltaError::Varint })
}

/// The wire types that protobuf still uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// A field's value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed32(u32),
    Fixed64,
    Bytes(&'a [u8]),
}

/// The fields of a message, one after the other.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    message: &'static str,
    rest: &'a [u8],
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    message: &'static str,
    value: Value<'a>,
}

impl<'a> Fields<'a> {
    /// The fields of `bytes`; errors name the message as `message`.
    pub(crate) fn new(message: &'static str, bytes: &'a [u8]) -> Self {
        Self { message, rest: bytes }
    }

    /// The bytes that have not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field, or none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, DeltaError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = take_varint(&mut self.rest)?;
        let number = match tag >> 3 {
            n @ 1..=0x1fff_ffff => n as u32,
            _ => return Err(DeltaError::FieldNumber),
        };
        let value = match tag & 7 {
            0 => Value::Varint(take_varint(&mut self.rest)?),
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let len = take_varint(&mut self.rest)?;
                Value::Bytes(self.take(usize::try_from(len).map_err(|_| DeltaError::Truncated)?)?)
            }
            5 => {
                let bytes = self.take(4)?;
                Value::Fixed32(bytes.iter().rev().fold(0, |v, &b| v << 8 | u32::from(b)))
            }
            wire_type => {
                let wire_type = wire_type as u8;
                return Err(DeltaError::WireType { message: self.message, field: number, wire_type });
            }
        };
        Ok(Some(Field { number, message: self.message, value }))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DeltaError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DeltaError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

impl<'a> Field<'a> {
    /// The value as a number.
    pub(crate) fn number(self) -> Result<u64, DeltaError> {
        if let Value::Varint(value) = self.value { Ok(value) } else { Err(self.wrong_type()) }
    }

    /// The value as a 32-bit number.
    pub(crate) fn number32(self, field: &'static str) -> Result<u32, DeltaError> {
        let value = self.number()?;
        u32::try_from(value).map_err(|_| DeltaError::TooLarge { field, value })
    }

    /// The value as a fixed32.
    pub(crate) fn fixed32(self) -> Result<u32, DeltaError> {
        if let Value::Fixed32(value) = self.value { Ok(value) } else { Err(self.wrong_type()) }
    }

    /// The value as bytes.
    pub(crate) fn bytes(self) -> Result<&'a [u8], DeltaError> {
        if let Value::Bytes(bytes) = self.value { Ok(bytes) } else { Err(self.wrong_type()) }
    }

    fn wrong_type(self) -> DeltaError {
        let wire_type = match self.value {
            Value::Varint(_) => WireType::Varint,
            Value::Fixed64 => WireType::Fixed64,
            Value::Bytes(_) => WireType::Bytes,
            Value::Fixed32(_) => WireType::Fixed32,
        };
        DeltaError::WireType { message: self.message, field: self.number, wire_type: wire_type as u8 }
    }
}

/// Stores a field that may occur only once.
pub(crate) fn once<T>(slot: &mut Option<T>, field: &'static str, value: T) -> Result<(), DeltaError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(DeltaError::Repeated(field)),
    }
}
