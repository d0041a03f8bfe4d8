//! Which texts come and go: `TextDelta`.

use super::{
    DeltaError,
    protobuf::{Fields, bytes_field_len, once, put_bytes, put_bytes_head, put_varint, take_varint},
    row_set,
};
use crate::{
    limits::{MAX_TEXT, MAX_TEXTS},
    texts::Texts,
};
use bytes::BufMut;
use std::sync::Arc;

/// Writes text deltas.
#[derive(Debug, Default)]
pub(super) struct TextEncoder {
    /// Texts of the baseline that are gone, counted in it.
    gone: Vec<u32>,
    /// The numbers of the new ones as they are written, and the new ones with their tags.
    numbers: Vec<u8>,
    new: Vec<u8>,
    head: Vec<u8>,
}

impl TextEncoder {
    /// Writes field 14 of a `State`, unless both have the same texts.
    pub(super) fn write(&mut self, baseline: Option<&Texts>, current: &Texts, out: &mut impl BufMut) {
        if current.len() == 0 && baseline.is_none_or(|baseline| baseline.len() == 0) {
            return;
        }
        let Self { gone, numbers, new, head } = self;
        gone.clear();
        numbers.clear();
        new.clear();
        let mut had = (0..).zip(baseline.into_iter().flat_map(Texts::iter)).peekable();
        let mut next = 1;
        for (number, bytes) in current.iter() {
            while let Some((row, _)) = had.next_if(|(_, (had, _))| *had < number) {
                gone.push(row);
            }
            if let Some((row, (_, before))) = had.next_if(|(_, (had, _))| *had == number) {
                if Arc::ptr_eq(before, bytes) || before == bytes {
                    continue;
                }
                gone.push(row);
            }
            put_varint(numbers, u64::from(number - next));
            next = number + 1;
            put_bytes(new, 3, bytes);
        }
        gone.extend(had.map(|(row, _)| row));
        if gone.is_empty() && new.is_empty() {
            return;
        }
        head.clear();
        let gaps = row_set::gaps_len(gone);
        let len = |len: usize| if len == 0 { 0 } else { bytes_field_len(len) };
        put_bytes_head(head, 14, len(gaps) + len(numbers.len()) + new.len());
        if !gone.is_empty() {
            put_bytes_head(head, 1, gaps);
            row_set::put_gaps(head, gone);
        }
        put_bytes(head, 2, numbers);
        out.put_slice(head);
        out.put_slice(new);
    }
}

/// Reads text deltas.
#[derive(Debug, Default)]
pub(super) struct TextDecoder {
    gone: Vec<u32>,
}

impl TextDecoder {
    /// Makes `out` the texts of the baseline with the changes of a `TextDelta`. Returns whether some are
    /// gone.
    pub(super) fn apply(
        &mut self,
        baseline: Option<&Texts>,
        delta: &[u8],
        out: &mut Texts,
    ) -> Result<bool, DeltaError> {
        out.begin();
        let (mut gone, mut numbers) = (None, None);
        let mut fields = Fields::new("TextDelta", delta);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => once(&mut gone, "gone", field.bytes()?)?,
                2 => once(&mut numbers, "numbers", field.bytes()?)?,
                _ => {}
            }
        }
        self.gone.clear();
        let had = baseline.map_or(0, Texts::len);
        row_set::take_gaps(gone.unwrap_or_default(), had, "gone", |row| self.gone.push(row))?;
        let mut gone = self.gone.iter().copied().peekable();
        let mut kept = (0..)
            .zip(baseline.into_iter().flat_map(Texts::iter))
            .filter(|(row, _)| gone.next_if_eq(row).is_none())
            .map(|(_, text)| text)
            .peekable();
        let mut numbers = numbers.unwrap_or_default();
        let mut next = 1_u64;
        let mut fields = Fields::new("TextDelta", delta);
        while let Some(field) = fields.next()? {
            if field.number != 3 {
                continue;
            }
            let bytes = field.bytes()?;
            if bytes.is_empty() || bytes.len() > MAX_TEXT {
                return Err(DeltaError::TextLength(bytes.len()));
            }
            if numbers.is_empty() {
                return Err(DeltaError::TextCount);
            }
            let number = take_varint(&mut numbers)?.saturating_add(next);
            next = number.saturating_add(1);
            // A row refers to it as an `i32`.
            let number = u32::try_from(number)
                .ok()
                .filter(|number| i32::try_from(*number).is_ok())
                .ok_or(DeltaError::TooLarge { field: "numbers", value: number })?;
            while let Some((number, bytes)) = kept.next_if(|(kept, _)| *kept < number) {
                out.push(number, bytes.clone());
            }
            if kept.peek().is_some_and(|(kept, _)| *kept == number) {
                return Err(DeltaError::TextTwice(number));
            }
            out.push(number, bytes.into());
        }
        kept.for_each(|(number, bytes)| out.push(number, bytes.clone()));
        if numbers.is_empty() && out.len() <= MAX_TEXTS {
            Ok(!self.gone.is_empty())
        } else {
            Err(DeltaError::TextCount)
        }
    }
}
