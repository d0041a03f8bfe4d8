//! Checkpoints as Redis has them: a byte that says whether what follows is compressed, and the row.

use super::Unread;
use crate::store::Row;
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use std::io::{Read as _, Write as _};

/// Checkpoints of more bytes than these are compressed.
const SMALL: usize = 4 << 10;

/// Takes as long as it takes to encode all of a room: not for a thread for which others wait.
pub(super) fn pack(row: &Row) -> Result<Vec<u8>, String> {
    let row = row.encode().map_err(|error| error.to_string())?;
    if row.len() > SMALL {
        let mut packed = DeflateEncoder::new(vec![1], Compression::fast());
        let done = packed.write_all(&row).and_then(|()| packed.finish());
        if let Ok(packed) = done
            && packed.len() < row.len() * 3 / 4
        {
            return Ok(packed);
        }
    }
    Ok([&[0], &row[..]].concat())
}

/// The same.
pub(super) fn unpack(packed: &[u8]) -> Result<Row, Unread> {
    let mut unpacked = Vec::new();
    let row = match packed.split_first() {
        Some((0, row)) => row,
        Some((1, packed)) => {
            let read = DeflateDecoder::new(packed).read_to_end(&mut unpacked);
            read.map_err(|error| Unread::Damaged(format!("its checkpoint is damaged: {error}")))?;
            &unpacked[..]
        }
        Some((packing, _)) => {
            let why = format!("its checkpoint is packed in a way that this server does not know: {packing}");
            return Err(Unread::OtherVersion(why));
        }
        None => return Err(Unread::Damaged("its checkpoint is damaged".to_owned())),
    };
    let of_whom = if Row::is_of_this_version(row) { Unread::Damaged } else { Unread::OtherVersion };
    Row::decode(row).map_err(of_whom)
}
