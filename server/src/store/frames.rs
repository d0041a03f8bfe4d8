//! The frames of a journal: how they are in a file, and how a file is read that may have been cut off or
//! damaged anywhere.
//!
//! A file begins with the magic `DRIFTJNL` and a version: a byte, its complement, and both once more, so that
//! damage is not taken for another version. Then come frames until one has the length 0, or makes no sense
//! (numbers are little-endian):
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | length of what comes after the checksum |
//! | 4 | CRC-32C of that |
//! | 8 | number of the room |
//! | 8 | number of the frame, one more each in a room, from 1 |
//! | the rest | a [`Frame`](crate::room::journal::Frame), in postcard |
//!
//! Some numbers are special. A frame with the number [`BEGINNING`] has a room's first checkpoint, so that the
//! room exists before the database knows of it. One with the number [`END`] says that the room has ended. One
//! with the number [`REFUSED`] is of no room: from there on, frames of all rooms found no place, up to the
//! next file.
//!
//! Nothing is read beyond the first frame that is not intact. Of a room, nothing counts beyond the first
//! number that is missing.

/// The version of what is in frames. Raise it with every change.
pub(crate) const VERSION: u8 = 5;
/// The beginning of a file.
pub(crate) const HEAD: [u8; 12] =
    [b'D', b'R', b'I', b'F', b'T', b'J', b'N', b'L', VERSION, !VERSION, VERSION, !VERSION];
/// What of it is the same in all versions.
const MAGIC: usize = 8;
/// The last version whose byte was followed by zeroes.
const UNCHECKED: u8 = 3;
/// The number of a frame that has a room's first checkpoint.
pub(super) const BEGINNING: u64 = 0;
/// The number of a frame that says that a room has ended.
pub(super) const END: u64 = u64::MAX;
/// The number of a frame that says that others found no place after it.
pub(super) const REFUSED: u64 = u64::MAX - 1;
/// What comes before a frame's body.
pub(crate) const BEFORE: usize = 24;

/// A frame in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    /// Number of the room.
    pub room: u64,
    /// Number of the frame.
    pub number: u64,
    /// The frame.
    pub body: &'a [u8],
}

/// Bytes that a frame with such a body takes.
pub(crate) fn length(body: &[u8]) -> usize {
    BEFORE + body.len()
}

/// What stands before a frame's body.
pub(crate) fn before(room: u64, number: u64, body: &[u8]) -> [u8; BEFORE] {
    let mut before = [0; BEFORE];
    before[8..16].copy_from_slice(&room.to_le_bytes());
    before[16..24].copy_from_slice(&number.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&before[8..24]), body);
    before[4..8].copy_from_slice(&crc.to_le_bytes());
    // At most the length of a segment.
    before[..4].copy_from_slice(&((body.len() + 16) as u32).to_le_bytes());
    before
}

/// Writes a frame to the beginning of `to`, which has at least its [`length`].
pub(super) fn write(to: &mut [u8], before: &[u8; BEFORE], body: &[u8]) {
    to[BEFORE..][..body.len()].copy_from_slice(body);
    to[..BEFORE].copy_from_slice(before);
}

/// The version of a file that was written by another one. None: it was not, or is damaged.
pub(super) fn other_version(file: &[u8]) -> Option<u8> {
    let (head, _) = file.split_first_chunk::<{ HEAD.len() }>()?;
    let (magic, rest) = head.split_at(MAGIC);
    let version = rest[0];
    let is_one = match version {
        1..=UNCHECKED => rest[1..] == [0; 3],
        _ => *rest == [version, !version, version, !version],
    };
    (magic == &HEAD[..MAGIC] && is_one && version != VERSION).then_some(version)
}

/// The intact frames at the beginning of a file.
pub(crate) fn read(file: &[u8]) -> impl Iterator<Item = Found<'_>> {
    frames(file.strip_prefix(&HEAD).unwrap_or_default())
}

/// The same of what comes after its head.
pub(crate) fn frames(mut rest: &[u8]) -> impl Iterator<Item = Found<'_>> {
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (crc, after) = after.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let body = after.get(..length).filter(|body| crc32c::crc32c(body) == u32::from_le_bytes(*crc))?;
        let (room, body) = body.split_first_chunk()?;
        let (number, body) = body.split_first_chunk()?;
        rest = &after[length..];
        Some(Found { room: u64::from_le_bytes(*room), number: u64::from_le_bytes(*number), body })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(frames: &[(u64, u64, Vec<u8>)], spare: usize) -> Vec<u8> {
        let mut file = HEAD.to_vec();
        for (room, number, body) in frames {
            let at = file.len();
            file.resize(at + length(body), 0);
            write(&mut file[at..], &before(*room, *number, body), body);
        }
        file.resize(file.len() + spare, 0);
        file
    }

    fn any_frames() -> impl Strategy<Value = Vec<(u64, u64, Vec<u8>)>> {
        proptest::collection::vec(
            (0u64..3, any::<u64>(), proptest::collection::vec(any::<u8>(), 0..40)),
            0..20,
        )
    }

    fn read_all(file: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
        read(file).map(|found| (found.room, found.number, found.body.to_vec())).collect()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(frames in any_frames(), spare in 0usize..100) {
            prop_assert_eq!(read_all(&file(&frames, spare)), frames);
        }

        #[test]
        fn of_a_file_that_is_cut_off_the_whole_frames_are_read(frames in any_frames(), cut in any::<prop::sample::Index>()) {
            let whole = file(&frames, 0);
            let cut = cut.index(whole.len() + 1);
            let read = read_all(&whole[..cut]);
            prop_assert!(frames.starts_with(&read));
            let bytes = |frames: &[(u64, u64, Vec<u8>)]| HEAD.len() + frames.iter().map(|(.., body)| length(body)).sum::<usize>();
            prop_assert!(read.len() == frames.len() || cut < bytes(&frames[..=read.len()]), "no whole frame is left out");
        }

        #[test]
        fn of_a_damaged_file_what_is_before_the_damage_is_read(
            frames in any_frames(),
            at in any::<prop::sample::Index>(),
            by in 1u8..,
        ) {
            let mut damaged = file(&frames, 0);
            let at = at.index(damaged.len());
            damaged[at] ^= by;
            prop_assert!(frames.starts_with(&read_all(&damaged)));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes).count();
            let _ = read(&[&HEAD[..], &bytes].concat()).count();
        }
    }

    #[test]
    fn damage_is_not_another_version() {
        assert_eq!(other_version(&HEAD), None);
        let with = |version: [u8; 4]| other_version(&[&HEAD[..MAGIC], &version].concat());
        assert_eq!([with([99, !99, 99, !99]), with([3, 0, 0, 0])], [Some(99), Some(3)]);
        for bit in 0..HEAD.len() * 8 {
            let mut head = HEAD;
            head[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(other_version(&head), None, "bit {bit}");
        }
    }
}
