//! What processes say to one another: JSON objects, one a line.

use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, BufRead, ErrorKind, Read as _, Write};

/// Says something.
pub(super) fn say(mut to: impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Hears what the other one says, which may have `most` bytes.
///
/// # Errors
/// It makes no sense; or the other one has ended ([`ErrorKind::UnexpectedEof`]).
pub(super) fn hear<T: DeserializeOwned>(from: &mut impl BufRead, most: u64) -> io::Result<T> {
    let mut line = String::new();
    from.take(most).read_line(&mut line)?;
    match line.is_empty() {
        true => Err(ErrorKind::UnexpectedEof.into()),
        false => Ok(serde_json::from_str(&line)?),
    }
}
