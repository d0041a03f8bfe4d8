//! Who is in a room, as its players are told: state with a version, not a queue of announcements.
//!
//! Each change gives the list the next version, and the member changed takes it. What a reader that has version `v` lacks is
//! what lies above `v`, in order of version, as much of it as fits a page. So a reader needs no queue: a number says what it
//! has, however long it was away, and what happened in between twice is told once. One for whom the list goes on in further pages
//! is no special case: it has version `v`, too.
//!
//! Who has left is remembered for those who know him: by the last `TOMBSTONES` departures. A reader that missed more begins
//! anew, from version 0.

use super::vitals::Vitals;
use bytes::Bytes;
use driftless_proto::wire::{self, member::Change, server_message::Body};
use driftless_sim::PlayerId;
use parking_lot::Mutex;
use prost::{Message as _, length_delimiter_len};
use smallvec::SmallVec;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Most bytes of a page, unless one member alone has more (a user with hundreds of seats).
pub const PAGE_BYTES: usize = 4 * 1024;
/// Departures that are remembered, at some 200 bytes each. A list of 5,000 members takes more than a minute to read at the rate
/// of a connection; as many may go meanwhile, and more, before the reader has to begin anew.
const TOMBSTONES: usize = 8_192;
/// Pages kept for the next reader who asks for the same.
const CACHED: usize = 32;
/// Most bytes of a message besides its members: three keys with the two versions and `more`, and the key and length of all.
const HEAD_BYTES: usize = 32;

/// The list of a room. Presence writes it, connections read it.
#[derive(Debug, Default)]
pub struct Members {
    version: AtomicU64,
    list: Mutex<MemberList>,
}

impl Members {
    /// Version of the list. No lock: whoever has it has nothing to read.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
    /// A member came, changed or, without players, left.
    pub fn set(&self, member: Member) {
        let mut list = self.list.lock();
        list.set(member);
        self.version.store(list.version(), Ordering::Release);
    }
    /// See [`MemberList::read`].
    pub fn read(&self, position: &mut Position) -> Option<Bytes> {
        self.list.lock().read(position)
    }
}

/// How far a reader has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    version: u64,
    /// Version of the list when the reader began with it: it never knew who had left by then.
    began: u64,
}

impl Position {
    /// Of a reader that has this version. 0: nothing.
    pub fn at(version: u64) -> Self {
        Self { version, began: version }
    }
    /// What the reader has.
    pub fn version(&self) -> u64 {
        self.version
    }
}

/// A user in the room.
#[derive(Debug, Clone)]
pub struct Member {
    /// Who.
    pub user: Arc<str>,
    /// Name to show.
    pub name: Arc<str>,
    /// The user's seats. None: the member has left.
    pub players: SmallVec<[PlayerId; 2]>,
    /// Of those that have a connection: what it measures.
    pub here: SmallVec<[Arc<Vitals>; 1]>,
    /// What happened last.
    pub change: Change,
    /// When, microseconds of the server clock.
    pub at_us: u64,
}

/// What a reader lacks, or the beginning of it.
#[derive(Debug, Clone)]
struct Page {
    /// What the reader had before this.
    since: u64,
    /// What it has after this.
    version: u64,
    /// Whether there is more.
    more: bool,
    /// The message, encoded: the same for all who had the same.
    message: Bytes,
}

/// The list itself.
#[derive(Debug)]
pub struct MemberList {
    version: u64,
    /// By the version of their last change.
    members: BTreeMap<u64, Listed>,
    version_of: HashMap<Arc<str>, u64>,
    /// In order of `left`.
    departed: VecDeque<Tombstone>,
    tombstones: usize,
    /// The newest departure that is not remembered.
    forgotten: u64,
    /// Oldest first.
    pages: VecDeque<Page>,
}

#[derive(Debug)]
struct Listed {
    /// Version at which the member came.
    joined: u64,
    member: Member,
}

#[derive(Debug)]
struct Tombstone {
    joined: u64,
    left: u64,
    user: Arc<str>,
    name: Arc<str>,
    change: Change,
    at_us: u64,
}

impl Default for MemberList {
    fn default() -> Self {
        Self::remembering(TOMBSTONES)
    }
}

impl MemberList {
    /// An empty one that remembers so many departures.
    pub fn remembering(tombstones: usize) -> Self {
        Self {
            version: 0,
            members: BTreeMap::new(),
            version_of: HashMap::new(),
            departed: VecDeque::new(),
            tombstones,
            forgotten: 0,
            pages: VecDeque::new(),
        }
    }

    /// Its version: how many changes there were.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A member came, changed or, without players, left. (Who left and was not there changes nothing.)
    pub fn set(&mut self, member: Member) {
        let before = self.version_of.remove(&member.user);
        let listed = before.and_then(|version| self.members.remove(&version));
        let joined = listed.map(|listed| listed.joined);
        if member.players.is_empty() && joined.is_none() {
            return;
        }
        self.version += 1;
        // Of the pages kept those are right that went on after themselves, and did not contain this member.
        let contains = |page: &Page, version| page.since < version && version <= page.version;
        self.pages.retain(|page| page.more && !before.is_some_and(|before| contains(page, before)));
        match joined {
            Some(joined) if member.players.is_empty() => self.bury(joined, member),
            joined => {
                self.version_of.insert(member.user.clone(), self.version);
                self.members.insert(self.version, Listed { joined: joined.unwrap_or(self.version), member });
            }
        }
    }

    /// The next message for a reader, who has what is in it from now on. None: it lacks nothing. One that missed what is not
    /// remembered begins anew.
    pub fn read(&mut self, position: &mut Position) -> Option<Bytes> {
        let Position { version, began } = *position;
        let known = version <= self.version && self.forgotten <= version.max(began);
        let since = if known { version } else { 0 };
        if since == self.version {
            return None;
        }
        if since == 0 {
            position.began = self.version;
        }
        let page = match self.pages.iter().find(|page| page.since == since) {
            Some(page) => page.clone(),
            None => {
                let page = self.page(since);
                if self.pages.len() == CACHED {
                    self.pages.pop_front();
                }
                self.pages.push_back(page.clone());
                page
            }
        };
        position.version = page.version;
        Some(page.message)
    }

    fn bury(&mut self, joined: u64, member: Member) {
        if self.departed.len() == self.tombstones
            && let Some(oldest) = self.departed.pop_front()
        {
            self.forgotten = oldest.left;
        }
        let Member { user, name, change, at_us, .. } = member;
        self.departed.push_back(Tombstone { joined, left: self.version, user, name, change, at_us });
    }

    fn page(&self, since: u64) -> Page {
        let mut presence = wire::Presence { since, version: self.version, ..wire::Presence::default() };
        let mut bytes = HEAD_BYTES;
        let mut last = since;
        for (version, member) in self.above(since) {
            let length = member.encoded_len();
            bytes += 1 + length_delimiter_len(length) + length;
            if bytes > PAGE_BYTES && !presence.members.is_empty() {
                (presence.version, presence.more) = (last, true);
                break;
            }
            presence.members.push(member);
            last = version;
        }
        let (version, more) = (presence.version, presence.more);
        let message = wire::ServerMessage { body: Some(Body::Presence(presence)) }.encode_to_vec().into();
        Page { since, version, more, message }
    }

    /// The changes above a version that a reader who has it has to know, in order.
    fn above(&self, since: u64) -> impl Iterator<Item = (u64, wire::Member)> {
        let mut here = self.members.range(since + 1..).peekable();
        let first = self.departed.partition_point(|tombstone| tombstone.left <= since);
        // Nobody who has nothing knows anybody.
        let first = if since == 0 { self.departed.len() } else { first };
        let mut gone =
            self.departed.range(first..).filter(move |tombstone| tombstone.joined <= since).peekable();
        std::iter::from_fn(move || {
            let next_here = here.peek().map_or(u64::MAX, |(version, _)| **version);
            match gone.next_if(|tombstone| tombstone.left < next_here) {
                Some(tombstone) => Some((tombstone.left, tombstone.to_wire())),
                None => here.next().map(|(version, listed)| (*version, listed.member.to_wire())),
            }
        })
    }
}

impl Member {
    fn to_wire(&self) -> wire::Member {
        wire::Member {
            user: self.user.to_string(),
            name: self.name.to_string(),
            players: self.players.to_vec(),
            connections: self.here.len() as u32,
            change: self.change.into(),
            at_us: self.at_us,
            rtt_us: self.here.iter().filter_map(|vitals| vitals.rtt()).min().unwrap_or(0),
        }
    }
}

impl Tombstone {
    fn to_wire(&self) -> wire::Member {
        wire::Member {
            user: self.user.to_string(),
            name: self.name.to_string(),
            change: self.change.into(),
            at_us: self.at_us,
            ..wire::Member::default()
        }
    }
}
