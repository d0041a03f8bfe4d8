//! Files of a store.

use super::{Stored, folder::Reading, frames, row::Row};
use crate::{carry::LAYOUT, room::core::restore};
use driftless_sim::games;

/// A segment of the journal, behind its head; a row; the body of a row.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let row = match kind % 3 {
        0 => return drop(read(Vec::new(), bytes)),
        1 => Row::decode(bytes),
        _ => Row::decode(&[&[LAYOUT][..], &crc32c::crc32c(bytes).to_le_bytes(), bytes].concat()),
    };
    let Ok(row) = row else { return };
    let again = row.encode().ok().map(|bytes| Row::decode(&bytes).is_ok());
    assert_eq!(again, Some(true), "what is read can be written");
    for stored in read(vec![(row.name().to_owned(), Ok(row))], &[]) {
        let Stored::Room(room) = stored else { continue };
        let kinds = games::kinds();
        let kind = kinds.iter().find(|kind| kind.name() == room.row.room.carried.kind);
        if let Some(kind) = kind {
            let _ = restore::restore(room.into_failed(), kind);
        }
    }
}

/// What is there, with a segment of the journal.
fn read(rows: Vec<super::rooms::Entry>, segment: &[u8]) -> Vec<Stored> {
    let mut reading = Reading::of(rows, 0);
    let _ = reading.segment(1, &[&frames::HEAD, segment].concat());
    reading.end().1
}
