//! Whether a bot has only what its player sees.

use super::Violation;
use driftless_proto::{session::client::ClientSession, snapshot::Snapshot, view::ZoneId};

/// One state in this many is looked at entity by entity: in each, that would cost more than all else that a
/// bot does.
const LOOK_EVERY: u32 = 16;

/// Tag of `ServerMessage.state`.
const STATE: u64 = 1 << 3 | 2;
/// Tags of `State`.
const TICK: u64 = 1 << 3;
const FULL: u64 = 2 << 3;
const LEFT: u64 = 11 << 3 | 2;
const ZONES: u64 = 13 << 3 | 2;
/// Tags of `ZoneDelta`.
const ZONE: u64 = 1 << 3;
const REFERENCES: u64 = 2 << 3;

/// The zones that the messages of one connection have brought into view and not taken out of it.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    tick: u64,
    /// Ascending.
    zones: Vec<ZoneId>,
}

impl Sight {
    /// A message arrived: a zone that it changes must be in view. Malformed ones are left to the session.
    pub fn message(&mut self, message: &[u8]) -> Result<(), Violation> {
        let mut message = Reader(message);
        match (message.number(), message.bytes()) {
            (Some(STATE), Some(state)) => self.state(state).unwrap_or(Ok(())),
            _ => Ok(()),
        }
    }

    /// None: malformed.
    fn state(&mut self, mut state: Reader<'_>) -> Option<Result<(), Violation>> {
        let (mut full, mut last) = (false, 0);
        while let Some(tag) = state.number() {
            match tag {
                TICK => {
                    let tick = state.number()?;
                    if tick < self.tick {
                        return None; // it is too late, and not applied
                    }
                    self.tick = tick;
                }
                FULL => full = state.number()? != 0,
                LEFT => {
                    let (mut list, mut left) = (state.bytes()?, 0);
                    while let Some(gap) = list.number() {
                        left += gap as ZoneId + 1;
                        self.zones.retain(|zone| *zone != left);
                    }
                }
                ZONES => {
                    let (zone, is_full) = state.bytes()?.zone(last, full)?;
                    last = zone;
                    match self.zones.binary_search(&zone) {
                        Err(at) if is_full => self.zones.insert(at, zone),
                        Err(_) => return Some(Err(Violation::Unseen(format!("zone {zone} has changed")))),
                        Ok(_) => {}
                    }
                }
                tag => state.skip(tag)?,
            }
        }
        Some(Ok(()))
    }

    /// A state was applied: the client must have no other zones, and in its state no entity that is in none
    /// of them (unless it may have moved to one of which there is no news yet).
    pub fn look(&self, session: &ClientSession) -> Result<(), Violation> {
        let strange = session.zones().find(|(zone, ..)| self.zones.binary_search(zone).is_err());
        if let Some((zone, ..)) = strange {
            return Err(Violation::Unseen(format!("zone {zone} is kept")));
        }
        match session.snapshot() {
            Some(state) if state.tick().is_multiple_of(LOOK_EVERY) => self.look_at_entities(session, state),
            _ => Ok(()),
        }
    }

    fn look_at_entities(&self, session: &ClientSession, state: &Snapshot) -> Result<(), Violation> {
        let is_behind = |until: u32| until < state.tick();
        if self.zones.is_empty()
            || session.content(0).is_none_or(|content| is_behind(content.tick()))
            || session.zones().any(|(.., until)| is_behind(until))
        {
            return Ok(());
        }
        for (kind, table) in state.tables().iter().enumerate() {
            let has = |content: &Snapshot, id| content.tables()[kind].row(id).is_some();
            let is_seen = |id| {
                session.zones().any(|(_, content, _)| has(content, id))
                    || session.content(0).is_some_and(|content| has(content, id))
            };
            if let Some(id) = table.ids().iter().find(|id| !is_seen(**id)) {
                return Err(Violation::Unseen(format!("entity {id} of kind {kind} is in none")));
            }
        }
        Ok(())
    }
}

/// Protobuf's wire format, read without the code under test.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        prost::encoding::decode_varint(&mut self.0).ok()
    }
    fn bytes(&mut self) -> Option<Reader<'a>> {
        let (bytes, rest) = self.number().and_then(|len| self.0.split_at_checked(len as usize))?;
        self.0 = rest;
        Some(Reader(bytes))
    }
    fn skip(&mut self, tag: u64) -> Option<()> {
        match tag & 7 {
            0 => self.number().map(drop),
            2 => self.bytes().map(drop),
            5 => self.0.split_at_checked(4).map(|(_, rest)| self.0 = rest),
            _ => None,
        }
    }
    /// Of a `ZoneDelta`: the zone, and whether it comes without a baseline. `last` is the zone before it,
    /// `full` whether the message has no baseline.
    fn zone(mut self, last: ZoneId, full: bool) -> Option<(ZoneId, bool)> {
        let (mut gap, mut references) = (0, 0);
        while let Some(tag) = self.number() {
            match tag {
                ZONE => gap = self.number()?,
                REFERENCES => references = self.number()?,
                tag => self.skip(tag)?,
            }
        }
        let is_full = references == 1 || (references == 0 && full);
        Some((last.checked_add(gap as ZoneId)?.checked_add(1)?, is_full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_proto::wire::{ServerMessage, State, ZoneDelta, server_message::Body};
    use prost::Message as _;

    fn take(sight: &mut Sight, state: State) -> Result<(), Violation> {
        sight.message(&ServerMessage { body: Some(Body::State(state)) }.encode_to_vec())
    }
    /// The zone after `gap` others.
    fn zone(gap: u32, references: u32) -> ZoneDelta {
        ZoneDelta { zone: gap, references, checksum: Some(7), ..ZoneDelta::default() }
    }
    fn unseen(zone: u32) -> Result<(), Violation> {
        Err(Violation::Unseen(format!("zone {zone} has changed")))
    }

    #[test]
    fn a_zone_that_was_never_entered_is_caught() {
        let mut sight = Sight::default();
        let enters = State { tick: 1, zones: vec![zone(4, 1), zone(1, 1)], ..State::default() };
        assert_eq!(take(&mut sight, enters), Ok(()));
        assert_eq!(sight.zones, [5, 7]);
        let changes = State { tick: 2, zones: vec![zone(4, 0), zone(1, 66)], ..State::default() };
        assert_eq!(take(&mut sight, changes), Ok(()));
        let other = State { tick: 3, zones: vec![zone(5, 2)], ..State::default() };
        assert_eq!(take(&mut sight, other), unseen(6));
    }

    #[test]
    fn a_zone_that_was_left_must_be_entered_again() {
        let mut sight = Sight::default();
        let all = State { tick: 1, full: true, zones: vec![zone(0, 0), zone(0, 0)], ..State::default() };
        assert_eq!(take(&mut sight, all), Ok(()));
        let leaves = State { tick: 2, left: vec![1], ..State::default() };
        assert_eq!(take(&mut sight, leaves), Ok(()));
        assert_eq!(sight.zones, [1]);
        let late = State { tick: 1, zones: vec![zone(1, 1)], ..State::default() };
        assert_eq!(take(&mut sight, late), Ok(()), "it came too late, and says nothing");
        let changes = State { tick: 3, zones: vec![zone(1, 0)], ..State::default() };
        assert_eq!(take(&mut sight, changes), unseen(2));
    }
}
