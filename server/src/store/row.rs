//! A checkpoint as it is stored.

use crate::{
    carry::{self, LAYOUT},
    clock::{self, boot},
    ground::durability::Durability,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A checkpoint of a room. Its layout is part of [`LAYOUT`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Which boot of which machine: see [`clock::boot`].
    pub boot: String,
    /// When it was taken, milliseconds since 1970, by the system's clock.
    pub at_ms: u64,
    /// The number of the last frame before it.
    pub frame: u64,
    /// The first segment of the journal that may have frames after it.
    pub segment: u64,
    /// The room has stopped in order: nothing comes after it.
    pub stopped: bool,
    /// The room.
    pub room: carry::Room,
}

/// The body of a room's first frame. Its name is outside, so that it is known of a row that cannot be read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Beginning {
    /// The room's name.
    pub room: String,
    /// An encoded [`Row`].
    pub row: Vec<u8>,
}

impl Row {
    /// A checkpoint taken now.
    pub(crate) fn now(room: carry::Room, stopped: bool) -> Self {
        Self { boot: boot().to_string(), at_ms: now_ms(), frame: 0, segment: 0, stopped, room }
    }

    /// The room's name.
    pub(crate) fn name(&self) -> &str {
        &self.room.carried.name
    }

    /// The room's number.
    pub(super) fn id(&self) -> u64 {
        self.room.carried.id.0
    }

    /// Whether the room's journal says everything since.
    pub(crate) fn is_journaled(&self) -> bool {
        self.room.durability == Durability::Journal
    }

    /// How long ago it was taken, by the system's clock.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.at_ms))
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.encode().map_or(0, |row| row.len())
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let body = postcard::to_stdvec(self)?;
        Ok([&[LAYOUT][..], &crc32c::crc32c(&body).to_le_bytes(), &body].concat())
    }

    /// The body of a room's first frame.
    pub(super) fn to_beginning(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&Beginning { room: self.name().to_owned(), row: self.encode()? })
    }

    /// A row as it was encoded, or why it is none.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (version, rest) = bytes.split_first().ok_or("its checkpoint is empty")?;
        if *version != LAYOUT {
            return Err(format!("its checkpoint has version {version}, and this server reads {LAYOUT}"));
        }
        let (crc, body) = rest.split_first_chunk().ok_or("its checkpoint is cut off")?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err("its checkpoint is damaged".into());
        }
        postcard::from_bytes(body).map_err(|e| format!("its checkpoint cannot be read: {e}"))
    }

    /// The last tick that anybody may have seen, if the frames that were found go up to tick `newest`.
    ///
    /// While the machine runs, no frame is lost, unless some were `refused` since the newest of them. After
    /// that, the time until now tells.
    pub(super) fn until(&self, newest: u32, refused: bool) -> u32 {
        if *self.boot == *boot() && !self.boot.is_empty() && !refused {
            return newest;
        }
        let passed_ms = now_ms().saturating_sub(self.at_ms);
        let ticks = u64::from(self.room.setup.tick_rate).saturating_mul(passed_ms) / 1_000 + 1;
        let until = u64::from(self.room.carried.last_tick()).saturating_add(ticks);
        newest.max(u32::try_from(until).unwrap_or(u32::MAX / 2))
    }
}

fn now_ms() -> u64 {
    u64::try_from(clock::time_of_day().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        ground::{id::RoomId, shared::RoomShared},
        registry::Maker,
        room::{core::RoomCore, schedule::Schedule},
    };
    use driftless_proto::limits::Limits;
    use driftless_sim::{GameKind, Setup, games::cursors::Cursors};
    use std::{sync::Arc, time::Instant};

    /// A checkpoint of a room with this number and this name.
    pub(in crate::store) fn row(room: u64, name: &str) -> Row {
        let (kind, setup) = (GameKind::of::<Cursors>(), Setup::new(1, 20));
        let shared = Arc::new(RoomShared::new(RoomId(room), name.into(), kind.name(), 20, 4));
        let (game, schedule) = (kind.start(&setup).unwrap(), Schedule::new(Instant::now(), 20));
        let core = RoomCore::new(shared, game, kind.schema(), schedule, Limits::default(), false);
        let (maker, durability, carried) = (Maker::Operator, Durability::Journal, core.checkpoint().unwrap());
        Row::now(carry::Room { setup, maker, durability, carried }, false)
    }
}
