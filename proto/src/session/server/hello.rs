//! Checks of the first message: protocol version and names.

use super::PeerError;
use crate::{
    code::CloseCode,
    limits::{MAX_NAME, MAX_ROOM_NAME, MAX_USER, PROTOCOL},
    wire::{ColumnCoding, Join, Resume},
};

pub(super) fn check_join(join: &Join) -> Result<(), PeerError> {
    check_protocol(join.protocol)?;
    check_room(&join.room)?;
    if !join.kind.is_empty() && !is_plain(&join.kind, MAX_ROOM_NAME) {
        return Err(PeerError::new(CloseCode::UnknownKind, "the kind is no name of a game"));
    }
    if join.user.len() > MAX_USER || join.user.chars().any(char::is_control) {
        let reason = format!("the user is not at most {MAX_USER} bytes without control characters");
        return Err(PeerError::new(CloseCode::BadName, reason));
    }
    if join.name.chars().count() > MAX_NAME || join.name.chars().any(char::is_control) {
        let reason = format!("the name is not at most {MAX_NAME} characters without control characters");
        return Err(PeerError::new(CloseCode::BadName, reason));
    }
    Ok(())
}

pub(super) fn check_resume(resume: &Resume) -> Result<(), PeerError> {
    check_protocol(resume.protocol)?;
    check_room(&resume.room)
}

/// The densest coding of those offered. PACKED is always; one that this version does not know is passed over.
pub(super) fn densest(codings: &[i32]) -> ColumnCoding {
    if codings.contains(&(ColumnCoding::Rice as i32)) { ColumnCoding::Rice } else { ColumnCoding::Packed }
}

/// Whether `name` is a room's name: 1 to 64 characters of `[A-Za-z0-9._-]`.
pub fn is_room_name(name: &str) -> bool {
    is_plain(name, MAX_ROOM_NAME)
}

fn check_protocol(protocol: u32) -> Result<(), PeerError> {
    if protocol == PROTOCOL {
        return Ok(());
    }
    let reason = format!("protocol {protocol}; this server speaks {PROTOCOL}");
    Err(PeerError::new(CloseCode::UnsupportedVersion, reason))
}

fn check_room(room: &str) -> Result<(), PeerError> {
    if is_room_name(room) {
        return Ok(());
    }
    let reason = format!("the room is not 1 to {MAX_ROOM_NAME} characters of A-Z a-z 0-9 . _ -");
    Err(PeerError::new(CloseCode::BadName, reason))
}

fn is_plain(name: &str, longest: usize) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= longest && name.bytes().all(plain)
}
