//! Departures from a room, for readers of its [member list](super::members) who may know the member.
//!
//! A departure concerns a reader only if the reader's version lies between the member's arrival and
//! departure. So members who stayed briefly are kept apart from those who stayed long and are known to many:
//! visitors, however many, do not make the room forget a resident. Of a departure that is no longer
//! remembered the interval is kept, so that only readers who may have missed something start over.

use super::members::Position;
use driftless_proto::wire::{self, member::Change};
use std::{
    collections::VecDeque,
    iter::{self, Peekable},
    sync::Arc,
};

/// Granularity of the forgotten intervals, in versions of the list.
const GRAIN: u64 = 256;
/// Forgotten intervals that are kept: two million versions, which is 12 minutes at 1,400 visits per second.
const INTERVALS: usize = 8_192;

/// A member who has left.
#[derive(Debug, Clone)]
pub(super) struct Tombstone {
    /// Version of the list at which the member came.
    pub joined: u64,
    /// Version at which the member left.
    pub left: u64,
    pub user: Arc<str>,
    pub name: Arc<str>,
    pub npc: bool,
    pub change: Change,
    pub at_us: u64,
}

/// The departures of a list.
#[derive(Debug)]
pub(super) struct Departed {
    /// Departures of members who stayed for fewer changes than the number of remembered departures.
    visitors: Departures,
    residents: Departures,
    /// How many of each are remembered.
    most: usize,
}

/// Some departures, in order of `left`, and the forgotten ones before them.
#[derive(Debug, Default)]
struct Departures {
    remembered: VecDeque<Tombstone>,
    forgotten: Intervals,
}

/// Intervals of versions, from a member's arrival to just before its departure. Both ends ascend: an interval
/// that lies within another is left out.
#[derive(Debug, Default)]
struct Intervals(VecDeque<(u64, u64)>);

impl Departed {
    pub(super) fn remembering(most: usize) -> Self {
        Self { visitors: Departures::default(), residents: Departures::default(), most }
    }

    /// Forgets all that was before this version.
    pub(super) fn forget_before(&mut self, version: u64) {
        self.residents.forgotten.add(1, version);
    }

    /// A member has left, later than all before it.
    pub(super) fn bury(&mut self, tombstone: Tombstone) {
        let is_visitor = tombstone.left - tombstone.joined <= self.most as u64;
        let departures = if is_visitor { &mut self.visitors } else { &mut self.residents };
        departures.bury(tombstone, self.most);
    }

    /// Whether all departures that concern this reader are remembered.
    pub(super) fn covers(&self, reader: &Position) -> bool {
        !self.visitors.forgotten.concern(reader) && !self.residents.forgotten.concern(reader)
    }

    /// By how many changes of the list the marks of a reader should be apart. Together the marks reach as far
    /// back as the remembered departures.
    pub(super) fn mark_distance(&self) -> u64 {
        (self.most as u64 / 2).max(1)
    }

    /// Members who left above this version and were present at it, in order of `left`.
    pub(super) fn above(&self, since: u64) -> impl Iterator<Item = &Tombstone> {
        let (mut one, mut other) = (self.visitors.above(since), self.residents.above(since));
        iter::from_fn(move || {
            let left = |next: Option<&&Tombstone>| next.map_or(u64::MAX, |tombstone| tombstone.left);
            if left(one.peek()) < left(other.peek()) { one.next() } else { other.next() }
        })
    }
}

impl Departures {
    fn bury(&mut self, tombstone: Tombstone, most: usize) {
        if self.remembered.len() >= most
            && let Some(oldest) = self.remembered.pop_front()
        {
            self.forgotten.add(oldest.joined, oldest.left);
        }
        self.remembered.push_back(tombstone);
    }

    fn above(&self, since: u64) -> Peekable<impl Iterator<Item = &Tombstone>> {
        let first = self.remembered.partition_point(|tombstone| tombstone.left <= since);
        self.remembered.range(first..).filter(move |tombstone| tombstone.joined <= since).peekable()
    }
}

impl Intervals {
    /// Adds an interval that ends after all others.
    fn add(&mut self, joined: u64, left: u64) {
        while self.0.pop_back_if(|(from, _)| *from >= joined).is_some() {}
        match self.0.back_mut() {
            Some((_, to)) if *to / GRAIN == left / GRAIN => *to = left,
            _ => self.0.push_back((joined, left)),
        }
        if self.0.len() > INTERVALS
            && let Some((from, _)) = self.0.pop_front()
            && let Some(first) = self.0.front_mut()
        {
            first.0 = from;
        }
    }

    /// Whether a reader may know a member of these intervals without knowing that it has left.
    fn concern(&self, reader: &Position) -> bool {
        let newest = self.0.back().map_or(0, |(_, left)| *left);
        // Nothing that was read since the mark mentions members who had left by then. For what was read
        // before, that is certain only for those who had left when the reader began.
        let mark = reader.marks.iter().rev().find(|mark| mark.list >= newest).unwrap_or(&reader.marks[0]);
        let version = reader.version();
        self.any(version, version.max(mark.list)) || self.any(mark.version, version.max(reader.began))
    }

    /// Whether there is an interval that begins by `joined` and ends after `left`.
    fn any(&self, joined: u64, left: u64) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= joined);
        after.checked_sub(1).is_some_and(|last| self.0[last].1 > left)
    }
}

impl Tombstone {
    pub(super) fn to_wire(&self) -> wire::Member {
        wire::Member {
            user: self.user.to_string(),
            name: self.name.to_string(),
            npc: self.npc,
            change: self.change.into(),
            at_us: self.at_us,
            ..wire::Member::default()
        }
    }
}
