//! The ids of events: like those of Redis streams, of which they are.

use std::{fmt, str::FromStr};

/// `MS-SEQ`: when an event was published, milliseconds since 1970, and its number within that millisecond.
/// Ids of a topic rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct EventId {
    pub(super) ms: u64,
    pub(super) seq: u64,
}

/// The text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadId;

/// What a reader has read before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Since {
    /// Nothing: what is yet to come.
    Now,
    /// Everything up to this id.
    After(EventId),
    /// Something of another server, or of an earlier version: what it has missed cannot be known. (It is no
    /// error: whoever has got such an id from a server, as pages do, can do nothing about it.)
    Foreign(Box<str>),
}

impl Since {
    /// As a reader says it; empty says nothing.
    pub(crate) fn of(id: &str) -> Self {
        match id.parse() {
            _ if id.is_empty() => Self::Now,
            Ok(id) => Self::After(id),
            Err(BadId) => Self::Foreign(id.into()),
        }
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => Ok(()),
            Self::After(id) => id.fmt(f),
            Self::Foreign(id) => id.fmt(f),
        }
    }
}

impl EventId {
    /// Before all events.
    pub(crate) const ZERO: Self = Self { ms: 0, seq: 0 };

    /// The first id of a millisecond.
    pub(super) fn at(ms: u64) -> Self {
        Self { ms, seq: 0 }
    }

    /// The id of an event that is published now, after the one with this id. If the clock was set back, it
    /// stands still until the time has come again.
    pub(super) fn next(self, now_ms: u64) -> Self {
        if now_ms > self.ms { Self::at(now_ms) } else { self.successor() }
    }

    fn successor(self) -> Self {
        match self.seq.checked_add(1) {
            Some(seq) => Self { seq, ..self },
            None => Self::at(self.ms.saturating_add(1)),
        }
    }

    /// The highest id before this one.
    pub(super) fn predecessor(self) -> Self {
        match self.seq.checked_sub(1) {
            Some(seq) => Self { seq, ..self },
            None => Self { ms: self.ms.saturating_sub(1), seq: if self.ms > 0 { u64::MAX } else { 0 } },
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromStr for EventId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        // `parse` would take a sign.
        let number = |text: &str| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten().ok_or(BadId)
        };
        let (ms, seq) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Self { ms: number(ms)?, seq: number(seq)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_rise_whatever_the_clock_does(clock in proptest::collection::vec(0u64..20, 1..50)) {
            let mut last = EventId::ZERO;
            for now in clock {
                let next = last.next(now);
                prop_assert!(next > last && next.predecessor() >= last, "{last} {next}");
                last = next;
            }
        }

        #[test]
        fn what_is_written_can_be_read(ms: u64, seq: u64) {
            let id = EventId { ms, seq };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn nothing_lies_between_an_id_and_the_one_before(ms: u64, seq: u64) {
            let id = EventId { ms, seq };
            prop_assert!(id == EventId::ZERO || id.predecessor() < id);
            prop_assert!(id == EventId::ZERO || seq == 0 || id.predecessor().successor() == id);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<EventId>();
        }
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        assert_eq!("0".parse(), Ok(EventId::ZERO));
        for text in ["", "-", "5-", "-5", "+5-0", "5-+1", "5-1-1", "$", "99999999999999999999-0"] {
            assert_eq!(text.parse::<EventId>(), Err(BadId), "{text:?}");
        }
    }
}
