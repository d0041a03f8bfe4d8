//! A moment in a room's time, finer than a tick: what a client shows lies between two states.

/// Parts of a tick that a moment tells apart. (At 20 ticks a second, one is 0.4 ms.)
pub const PARTS: u8 = 128;

/// A tick, and how much of the way to the next has passed. Moments are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    tick: u32,
    part: u8,
}

impl Moment {
    /// The moment of a state.
    pub fn at(tick: u32) -> Self {
        Self { tick, part: 0 }
    }

    /// So many [`PARTS`] of a tick after tick 0. Moments past the last tick are the last tick's.
    pub fn of_parts(parts: u64) -> Self {
        match u32::try_from(parts / u64::from(PARTS)) {
            Ok(tick) => Self { tick, part: (parts % u64::from(PARTS)) as u8 },
            Err(_) => Self::at(u32::MAX),
        }
    }

    /// The newest tick that is not after it.
    pub fn tick(self) -> u32 {
        self.tick
    }

    /// How many [`PARTS`] of a tick it is after that tick, 0 to 127.
    pub fn part(self) -> u8 {
        self.part
    }

    /// How many [`PARTS`] of a tick it is after tick 0.
    pub fn parts(self) -> u64 {
        u64::from(self.tick) * u64::from(PARTS) + u64::from(self.part)
    }

    /// How many [`PARTS`] of a tick it is after `earlier`; 0 if it is not after it.
    pub fn since(self, earlier: Self) -> u64 {
        self.parts().saturating_sub(earlier.parts())
    }

    /// The moment so many [`PARTS`] of a tick before it, not before tick 0.
    pub fn before(self, parts: u64) -> Self {
        Self::of_parts(self.parts().saturating_sub(parts))
    }

    /// As messages have it. None: 0, which is unknown.
    pub(crate) fn from_wire(moment: u64) -> Option<Self> {
        (moment != 0).then(|| Self::of_parts(moment))
    }

    /// For a message.
    pub(crate) fn to_wire(moment: Option<Self>) -> u64 {
        moment.map_or(0, Self::parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_the_order_of_its_parts() {
        let moments = [0, 1, 127, 128, 129, 1 << 20, u64::from(u32::MAX) * 128 - 1];
        for (n, parts) in moments.into_iter().enumerate() {
            assert_eq!(Moment::of_parts(parts).parts(), parts);
            for earlier in &moments[..n] {
                assert!(Moment::of_parts(*earlier) < Moment::of_parts(parts));
                assert_eq!(Moment::of_parts(parts).since(Moment::of_parts(*earlier)), parts - earlier);
                assert_eq!(Moment::of_parts(*earlier).since(Moment::of_parts(parts)), 0);
            }
        }
        assert_eq!(Moment::of_parts(u64::MAX), Moment::at(u32::MAX));
        assert_eq!(Moment::at(3).before(130).parts(), 254);
        assert_eq!(Moment::at(3).before(u64::MAX), Moment::at(0));
    }
}
