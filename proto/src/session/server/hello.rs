//! Checks of the first message: protocol version and names.

use super::PeerError;
use crate::{
    code::CloseCode,
    limits::{MAX_IDENTITY_TOKEN, MAX_OPTIONS, PROTOCOL},
    names::{self, PRESENCE, is_room_name, is_user_id},
    wire::{ColumnCoding, Join, Resume},
};

/// Checks a join and returns the display name, empty for none.
pub(super) fn check_join(join: &Join) -> Result<String, PeerError> {
    check_protocol(join.protocol)?;
    check_room(&join.room)?;
    if !join.kind.is_empty() && !names::is_plain(&join.kind) {
        return Err(PeerError::new(CloseCode::UnknownKind, "the kind is not a valid name of a game"));
    }
    if join.options.len() > MAX_OPTIONS {
        let reason = format!("options of {} bytes; at most {MAX_OPTIONS} are allowed", join.options.len());
        return Err(PeerError::new(CloseCode::BadOptions, reason));
    }
    check_token(&join.identity_token)?;
    if join.name.is_empty() {
        return Ok(String::new());
    }
    names::display_name(&join.name)
        .map_err(|error| PeerError::new(CloseCode::BadName, format!("bad display name: {error}")))
}

pub(super) fn check_resume(resume: &Resume) -> Result<(), PeerError> {
    check_protocol(resume.protocol)?;
    check_token(&resume.identity_token)?;
    check_room(&resume.room)
}

/// Only how long it is. Whose it is, is not for the session to know.
pub(super) fn check_token(token: &str) -> Result<(), PeerError> {
    if token.len() <= MAX_IDENTITY_TOKEN {
        return Ok(());
    }
    let reason =
        format!("an identity token of {} bytes; at most {MAX_IDENTITY_TOKEN} are allowed", token.len());
    Err(PeerError::new(CloseCode::Unauthenticated, reason))
}

pub(super) fn check_topic(name: &str) -> Result<(), PeerError> {
    let is_topic = match name.strip_prefix(PRESENCE) {
        Some(user) => is_user_id(user),
        None => is_room_name(name),
    };
    if is_topic {
        return Ok(());
    }
    let reason = "no topic can be called so: a name is like that of a room, or presence:USER";
    Err(PeerError::new(CloseCode::BadName, reason))
}

/// The densest of the codings offered. PACKED is always available; codings that this version does not know
/// are skipped.
pub(super) fn densest(codings: &[i32]) -> ColumnCoding {
    let offered = |coding: &ColumnCoding| codings.contains(&(*coding as i32));
    [ColumnCoding::Dense, ColumnCoding::Rice].into_iter().find(offered).unwrap_or(ColumnCoding::Packed)
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
    Err(PeerError::new(CloseCode::BadName, format!("the room's name is not {}", names::ROOM_NAME)))
}
