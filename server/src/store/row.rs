//! A checkpoint as it is stored.

use super::machine::Moment;
use crate::{
    carry::{self, LAYOUT},
    clock::millis,
    ground::durability::Durability,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the kernel may have kept in memory that was to be written some time.
const KERNEL: Duration = Duration::from_secs(30);
/// However far ahead the clock seems to be: numbers of ticks are not for nothing.
const MOST_PASSED: Duration = Duration::from_secs(24 * 3600);
/// What counts as the time since a checkpoint if the clock is behind that: longer than a disk fails unseen.
const UNKNOWN: Duration = Duration::from_secs(3600);

/// A checkpoint of a room. Its layout is part of [`LAYOUT`].
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Row {
    /// When it was taken.
    pub at: Moment,
    /// How much time of what came after it may be lost if the machine dies, milliseconds: what was not yet on
    /// the disk.
    pub losable_ms: u64,
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
    /// A checkpoint taken now. `sync`: the time between two synchronisations of the journal, zero for never.
    pub(crate) fn now(room: carry::Room, stopped: bool, sync: Duration) -> Self {
        let losable_ms = losable(sync).as_millis() as u64;
        Self { at: Moment::now(), losable_ms, frame: 0, segment: 0, stopped, room }
    }

    /// The room's name.
    pub(crate) fn name(&self) -> &str {
        &self.room.carried.name
    }

    /// The room's number.
    pub(crate) fn id(&self) -> u64 {
        self.room.carried.id.0
    }

    /// Whether the room's journal says everything since.
    pub(crate) fn is_journaled(&self) -> bool {
        self.room.made_with.durability == Durability::Journal
    }

    /// How long ago it was taken.
    pub(crate) fn age(&self) -> Duration {
        Moment::now().since(&self.at).unwrap_or_default()
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.encode().map_or(0, |row| row.len())
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let body = postcard::to_stdvec(self)?;
        Ok([&[LAYOUT][..], &crc32c::crc32c(&body).to_le_bytes(), &body].concat())
    }

    /// The body of a room's first frame.
    pub(super) fn to_beginning(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&Beginning { room: self.name().to_owned(), row: self.encode()? })
    }

    /// Whether a row was encoded by a server of this version, as far as it says.
    pub(crate) fn is_of_this_version(bytes: &[u8]) -> bool {
        bytes.first() == Some(&LAYOUT)
    }

    /// A row as it was encoded, or why it is none.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
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
    pub(super) fn until(&self, newest: u32, refused: bool) -> u32 {
        self.until_at(newest, refused, &Moment::now())
    }

    /// While the machine runs, no frame is lost, unless some were `refused` since the newest of them. After
    /// that, at least what may not have been on the disk is; and if that fails, more is: then the time until
    /// now tells, if the machine was started again by a clock that may have been set meanwhile.
    fn until_at(&self, newest: u32, refused: bool, now: &Moment) -> u32 {
        if now.is_of_the_boot_of(&self.at) && !refused {
            return newest;
        }
        let ticks =
            |ms: u64| u64::from(self.room.made_with.setup.tick_rate).saturating_mul(ms).div_ceil(1_000);
        let least = u64::from(newest) + ticks(self.losable_ms);
        let passed = now.since(&self.at).unwrap_or(UNKNOWN);
        let by_clock = u64::from(self.room.carried.last_tick()) + ticks(millis(passed)) + 1;
        let until = by_clock.clamp(least, least + ticks(MOST_PASSED.as_millis() as u64));
        u32::try_from(until).unwrap_or(u32::MAX)
    }

    /// The same, if so much time has passed.
    pub(super) fn until_after(&self, passed: Duration, newest: u32) -> u32 {
        let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let ticks = u64::from(self.room.made_with.setup.tick_rate).saturating_mul(passed_ms) / 1_000 + 1;
        let until = u64::from(self.room.carried.last_tick()).saturating_add(ticks);
        newest.max(u32::try_from(until).unwrap_or(u32::MAX / 2))
    }
}

/// How much time a machine that dies may lose. Synchronising takes a while itself, and what is written
/// meanwhile waits for the next time.
fn losable(sync: Duration) -> Duration {
    let interval = if sync.is_zero() { KERNEL } else { sync };
    2 * interval + Duration::from_secs(1)
}

#[cfg(test)]
pub(super) mod tests {
    use super::{super::machine::tests::moment, *};
    use crate::{
        ground::{
            id::RoomId,
            made_with::{MadeWith, Maker},
            shared::RoomShared,
            sight::Spectating,
        },
        room::{
            core::{Carried, RoomCore},
            schedule::Schedule,
        },
    };
    use driftless_proto::limits::Limits;
    use driftless_sim::{
        GameKind, Setup,
        games::cursors::Cursors,
        replay::{RoomState, Start},
    };
    use std::{sync::Arc, time::Instant};

    /// A checkpoint of a room with this number and this name.
    pub(crate) fn row(room: u64, name: &str) -> Row {
        let (kind, setup) = (GameKind::of::<Cursors>(), Setup::new(1, 20));
        let shared = Arc::new(RoomShared::new(RoomId(room), name.into(), kind.name(), 20, 4));
        let (game, schedule) = (kind.start(&setup).unwrap(), Schedule::new(Instant::now(), 20));
        let core = RoomCore::new(shared, game, kind.schema(), schedule, Limits::default(), false);
        let (maker, durability, carried) = (Maker::Operator, Durability::Journal, core.checkpoint().unwrap());
        Row::now(carry::Room { made_with: MadeWith { setup, maker, durability }, carried }, false, SECOND)
    }

    const SECOND: Duration = Duration::from_secs(1);
    const RATE: u32 = 20;

    /// A checkpoint of tick 1,000, taken at second 5,000, when the machine had been running for 200.
    fn before(sync: Duration) -> Row {
        let start = Start { tick: 1_000, schema: 0, state: Vec::new(), room: RoomState::default() };
        let spectating = Spectating { max: 0, delay_ms: 0 };
        let carried = Carried::recorded("den".into(), "cursors".into(), start, spectating).unwrap();
        let (setup, maker, durability) = (Setup::new(7, RATE), Maker::Operator, Durability::Journal);
        let row =
            Row::now(carry::Room { made_with: MadeWith { setup, maker, durability }, carried }, false, sync);
        Row { at: moment("before", 200, 5_000), ..row }
    }

    // Promise 2: "A client never applies a state older than one it has applied."
    #[test]
    fn ticks_go_on_above_all_that_anybody_has_seen_whatever_the_clock_says() {
        let row = before(SECOND);
        let until = |newest, boot, now_s| row.until_at(newest, false, &moment(boot, 203, now_s));
        // The process was killed, 3 s after the checkpoint: everything is there.
        for now_s in [0, 4_000, 5_003, 900_000] {
            assert_eq!(until(1_060, "before", now_s), 1_060);
        }
        // Then, frames found no place for 100 s.
        for now_s in [0, 5_103, 900_000] {
            let now = moment("before", 303, now_s);
            assert_eq!(
                row.until_at(1_060, true, &now),
                1_000 + 103 * RATE + 1,
                "by a clock that nobody sets"
            );
        }
        // The machine died then, and its clock is right: its journal has ticks up to 1,045, and those of up
        // to three seconds more may be lost.
        for now_s in [5_000, 5_003] {
            assert_eq!(until(1_045, "after", now_s), 1_045 + 3 * RATE);
        }
        assert_eq!(until(1_045, "after", 5_103), 1_000 + 103 * RATE + 1, "the disk may have failed");
        for now_s in [1 << 32, u64::MAX / 1_000] {
            assert_eq!(until(1_045, "after", now_s), 1_045 + (3 + 24 * 3_600) * RATE, "not the year 2106");
        }
        assert_eq!(until(1_045, "", 5_000), 1_045 + 3 * RATE, "unknown");
        for now_s in [0, 4_999] {
            assert_eq!(until(1_045, "after", now_s), 1_000 + 3_600 * RATE + 1, "a clock that is behind");
        }
        assert_eq!(until(u32::MAX - 1, "after", 0), u32::MAX);
    }

    #[test]
    fn what_the_kernel_writes_when_it_likes_may_be_lost_for_longer() {
        let now = moment("after", 0, 5_000);
        assert_eq!(before(Duration::ZERO).until_at(1_000, false, &now), 1_000 + 61 * RATE);
        assert_eq!(before(SECOND / 10).until_at(1_000, false, &now), 1_000 + 24);
    }
}
