//! The members of a room as its players are told: state with a version, not a queue of announcements.
//!
//! Each change gives the list the next version, which the changed member takes too. A reader that has version
//! `v` lacks what is above `v`; it gets that in order of version, a page at a time. So a reader needs no
//! queue: one number says what it has, however long it was away, and a member that changed twice in between
//! is told once. A list that continues in further pages is no special case: its reader has some version `v`
//! too.
//!
//! Departed members are remembered for readers who know them: the last departures of visitors and of
//! residents. A reader that missed a departure which is no longer remembered starts over from version 0.
//!
//! A page is built from a copy of its contents, so that no reader keeps the list locked while encoding.

use super::{
    departed::{Departed, Tombstone},
    vitals::Vitals,
};
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

/// Most bytes of a page, unless a single member needs more (a user with hundreds of seats).
pub const PAGE_BYTES: usize = 4 * 1024;
/// Departures that are remembered, of residents and of visitors each, at some 200 bytes each. A list of 5,000
/// members takes more than a minute to read at a connection's rate; this many may leave meanwhile before the
/// reader has to start over.
const TOMBSTONES: usize = 8_192;
/// Bytes of pages kept for other readers that need the same ones: more than a list of 5,000 members with long
/// names takes.
const CACHED_BYTES: usize = 2 * 1024 * 1024;
/// Earlier positions that a reader remembers.
const MARKS: usize = 4;
/// Most bytes of a message besides its members: three keys with the two versions and `more`, and the key and
/// length of the whole.
const HEAD_BYTES: usize = 32;

/// The member list of a room. Presence writes it; connections read it.
#[derive(Debug, Default)]
pub struct Members {
    version: AtomicU64,
    list: Mutex<MemberList>,
}

impl Members {
    /// An empty list whose readers have had another one, up to this version: they begin anew.
    pub(crate) fn after(version: u64) -> Self {
        let mut list = MemberList { version: version.saturating_add(1), ..MemberList::default() };
        list.departed.forget_before(list.version);
        Self { version: AtomicU64::new(list.version), list: Mutex::new(list) }
    }
    /// Version of the list. Takes no lock: a reader that has this version has nothing to read.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
    /// A member came, changed or, without players, left.
    pub fn set(&self, member: Member) {
        let mut list = self.list.lock();
        list.set(member);
        self.version.store(list.version(), Ordering::Release);
    }
    /// See [`MemberList::read`]. The list is not locked while a page is encoded.
    pub fn read(&self, position: &mut Position) -> Option<Bytes> {
        let next = self.list.lock().next(position)?;
        Some(position.take(next, |page, of| self.list.lock().keep(page, of)))
    }
}

/// How far a reader has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    version: u64,
    /// Version of the list when the reader began: members who had left by then are unknown to it.
    pub(super) began: u64,
    /// Later positions, newest first.
    pub(super) marks: [Mark; MARKS],
}

/// An earlier position of a reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The version that the reader had.
    pub version: u64,
    /// The list's version at that time: nothing read since mentions members who had left by then.
    pub list: u64,
}

impl Position {
    /// For a reader that has this version. 0: nothing.
    pub fn at(version: u64) -> Self {
        Self::began(version, version)
    }
    /// For a reader that begins with `version` when the list has version `list`.
    fn began(version: u64, list: u64) -> Self {
        Self { version, began: list, marks: [Mark { version, list }; MARKS] }
    }
    /// The version that the reader has.
    pub fn version(&self) -> u64 {
        self.version
    }
    /// Whether the reader may know this departed member at its version. (It does not if the member had left
    /// when the reader began, or before the reader came to where it would have read about it.)
    fn may_know(&self, gone: &Tombstone) -> bool {
        let passed = |mark: &Mark| mark.version < gone.joined && gone.left <= mark.list;
        self.began < gone.left && !self.marks.iter().any(passed)
    }
    /// The reader has this page from now on. `keep` is called with a page that had to be made.
    fn take(&mut self, next: Next, keep: impl FnOnce(&Page, u64)) -> Bytes {
        let page = match next {
            Next::Page(page) => page,
            Next::Draft(draft) => {
                let (of, for_all) = (draft.of, draft.for_all);
                let page = draft.encode();
                if for_all {
                    keep(&page, of);
                }
                page
            }
        };
        self.version = page.version;
        page.message
    }
}

/// A user in the room.
#[derive(Debug, Clone)]
pub struct Member {
    /// User id.
    pub user: Arc<str>,
    /// Display name.
    pub name: Arc<str>,
    /// The user's seats. None: the member has left.
    pub players: SmallVec<[PlayerId; 2]>,
    /// Measurements of the seats that have a connection.
    pub here: SmallVec<[Arc<Vitals>; 1]>,
    /// Whether the game controls it (an NPC).
    pub npc: bool,
    /// The last change.
    pub change: Change,
    /// When it happened, microseconds of the server clock.
    pub at_us: u64,
}

/// What a reader lacks, or the first part of it.
#[derive(Debug, Clone)]
struct Page {
    /// The version that the reader must have before it.
    since: u64,
    /// The version that it has afterwards.
    version: u64,
    /// Whether there is more.
    more: bool,
    /// The message, encoded: the same for all readers at the same version.
    message: Bytes,
}

/// What is to be read next.
enum Next {
    /// A page made before.
    Page(Page),
    /// A page yet to be made.
    Draft(Draft),
}

/// Contents of a page: enough to fill it.
struct Draft {
    since: u64,
    /// Version of the list.
    of: u64,
    changes: Vec<(u64, Told)>,
    /// Whether there is more than this.
    more: bool,
    /// Whether it contains everything that any reader with this version has to know.
    for_all: bool,
}

enum Told {
    Here(Member),
    Gone(Tombstone),
}

/// What is told, by reference to the list.
enum Entry<'a> {
    Here(&'a Member),
    Gone(&'a Tombstone),
}

/// The list itself.
#[derive(Debug)]
pub struct MemberList {
    version: u64,
    /// Keyed by the version of their last change. Boxed, because a node of the tree has room for eleven, and
    /// most rooms are small.
    members: BTreeMap<u64, Box<Listed>>,
    version_of: HashMap<Arc<str>, u64>,
    departed: Departed,
    /// Oldest first.
    pages: VecDeque<Page>,
    /// Total length of their messages.
    page_bytes: usize,
}

#[derive(Debug)]
struct Listed {
    /// Version at which the member came.
    joined: u64,
    member: Member,
}

impl Default for MemberList {
    fn default() -> Self {
        Self::remembering(TOMBSTONES)
    }
}

impl MemberList {
    /// An empty list that remembers this many departures, of visitors and of residents each.
    pub fn remembering(tombstones: usize) -> Self {
        Self {
            version: 0,
            members: BTreeMap::new(),
            version_of: HashMap::new(),
            departed: Departed::remembering(tombstones),
            pages: VecDeque::new(),
            page_bytes: 0,
        }
    }

    /// The list's version, which is the number of changes so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A member came, changed or, without players, left. (The departure of an unknown member changes
    /// nothing.)
    pub fn set(&mut self, member: Member) {
        let before = self.version_of.remove(&member.user);
        let listed = before.and_then(|version| self.members.remove(&version));
        let joined = listed.map(|listed| listed.joined);
        if member.players.is_empty() && joined.is_none() {
            return;
        }
        self.version += 1;
        // Kept pages stay valid if they said that more follows and did not contain this member.
        let contains = |page: &Page, version| page.since < version && version <= page.version;
        let Self { pages, page_bytes, .. } = self;
        pages.retain(|page| {
            let keep = page.more && !before.is_some_and(|before| contains(page, before));
            *page_bytes -= if keep { 0 } else { page.message.len() };
            keep
        });
        match joined {
            Some(joined) if member.players.is_empty() => {
                let Member { user, name, npc, change, at_us, .. } = member;
                self.departed.bury(Tombstone { joined, left: self.version, user, name, npc, change, at_us });
            }
            joined => {
                self.version_of.insert(member.user.clone(), self.version);
                let joined = joined.unwrap_or(self.version);
                self.members.insert(self.version, Box::new(Listed { joined, member }));
            }
        }
    }

    /// The next message for a reader, which then has what is in it. None: it lacks nothing. A reader that
    /// missed something no longer remembered starts over.
    pub fn read(&mut self, position: &mut Position) -> Option<Bytes> {
        let next = self.next(position)?;
        Some(position.take(next, |page, of| self.keep(page, of)))
    }

    fn next(&self, position: &mut Position) -> Option<Next> {
        let known = position.version <= self.version && self.departed.covers(position);
        let since = if known { position.version } else { 0 };
        if since == self.version {
            return None;
        }
        if since == 0 {
            *position = Position::began(0, self.version);
        } else if self.version >= position.marks[0].list.saturating_add(self.departed.mark_distance()) {
            position.marks.rotate_right(1);
            position.marks[0] = Mark { version: since, list: self.version };
        }
        let made = self.pages.iter().find(|page| page.since == since);
        Some(made.map_or_else(|| Next::Draft(self.draft(position)), |page| Next::Page(page.clone())))
    }

    /// Keeps a page for other readers, unless the list has changed since version `of`.
    fn keep(&mut self, page: &Page, of: u64) {
        if self.members.len() < 2
            || of != self.version
            || self.pages.iter().any(|kept| kept.since == page.since)
        {
            return;
        }
        self.page_bytes += page.message.len();
        self.pages.push_back(page.clone());
        while self.page_bytes > CACHED_BYTES
            && let Some(oldest) = self.pages.pop_front()
        {
            self.page_bytes -= oldest.message.len();
        }
    }

    fn draft(&self, reader: &Position) -> Draft {
        let (since, of) = (reader.version, self.version);
        let mut draft = Draft { since, of, changes: Vec::new(), more: false, for_all: true };
        let mut bytes = 0;
        for (version, told) in self.above(since) {
            if bytes > PAGE_BYTES {
                draft.more = true;
                break;
            }
            let told = match told {
                Entry::Here(member) => Told::Here(member.clone()),
                Entry::Gone(tombstone) if reader.may_know(tombstone) => Told::Gone(tombstone.clone()),
                Entry::Gone(_) => {
                    draft.for_all = false;
                    continue;
                }
            };
            bytes += told.least_len();
            draft.changes.push((version, told));
        }
        draft
    }

    /// Changes above a version that a reader at it has to know, in order.
    fn above(&self, since: u64) -> impl Iterator<Item = (u64, Entry<'_>)> {
        let mut here = self.members.range(since + 1..).peekable();
        let mut gone = self.departed.above(since).peekable();
        std::iter::from_fn(move || {
            let next_here = here.peek().map_or(u64::MAX, |(version, _)| **version);
            match gone.next_if(|tombstone| tombstone.left < next_here) {
                Some(tombstone) => Some((tombstone.left, Entry::Gone(tombstone))),
                None => here.next().map(|(version, listed)| (*version, Entry::Here(&listed.member))),
            }
        })
    }
}

impl Draft {
    fn encode(self) -> Page {
        let Self { since, of, changes, more, .. } = self;
        let mut presence = wire::Presence { since, version: of, ..wire::Presence::default() };
        let mut bytes = HEAD_BYTES;
        let mut last = since;
        presence.more = more;
        for (version, told) in changes {
            let member = told.to_wire();
            let length = member.encoded_len();
            bytes += 1 + length_delimiter_len(length) + length;
            if bytes > PAGE_BYTES && !presence.members.is_empty() {
                presence.more = true;
                break;
            }
            presence.members.push(member);
            last = version;
        }
        if presence.more {
            presence.version = last;
        }
        let (version, more) = (presence.version, presence.more);
        let message = wire::ServerMessage { body: Some(Body::Presence(presence)) }.encode_to_vec().into();
        Page { since, version, more, message }
    }
}

impl Told {
    /// Lower bound of its encoded length, bytes.
    fn least_len(&self) -> usize {
        match self {
            Told::Here(member) => member.user.len() + member.name.len() + member.players.len(),
            Told::Gone(tombstone) => tombstone.user.len() + tombstone.name.len(),
        }
    }

    fn to_wire(&self) -> wire::Member {
        match self {
            Told::Here(member) => member.to_wire(),
            Told::Gone(tombstone) => tombstone.to_wire(),
        }
    }
}

impl Member {
    fn to_wire(&self) -> wire::Member {
        wire::Member {
            user: self.user.to_string(),
            name: self.name.to_string(),
            players: self.players.to_vec(),
            connections: self.here.len() as u32,
            npc: self.npc,
            change: self.change.into(),
            at_us: self.at_us,
            rtt_us: self.here.iter().filter_map(|vitals| vitals.rtt()).min().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(user: &str) -> Member {
        Member {
            user: user.into(),
            name: user.into(),
            players: [1].into_iter().collect(),
            here: SmallVec::new(),
            npc: false,
            change: Change::Joined,
            at_us: 1,
        }
    }

    #[test]
    fn a_page_that_changed_while_it_was_encoded_is_not_kept() {
        let mut list = MemberList::default();
        list.set(member("ann"));
        let mut reader = Position::default();
        let next = list.next(&mut reader).unwrap();
        let message = reader.take(next, |page, of| {
            list.set(member("bob"));
            list.keep(page, of);
        });
        assert_eq!((list.pages.len(), reader.version(), message.len() < 64), (0, 1, true));
        assert!(list.read(&mut Position::default()).is_some_and(|both| both.len() > message.len()));
        assert_eq!(list.page_bytes, list.pages.iter().map(|page| page.message.len()).sum::<usize>());
    }

    #[test]
    fn who_had_another_list_begins_anew_whatever_its_version() {
        let members = Members::after(5);
        ["ann", "bob", "cid"].into_iter().for_each(|user| members.set(member(user)));
        for version in 0..=5 {
            let message = members.read(&mut Position::at(version)).unwrap();
            let Some(Body::Presence(presence)) = wire::ServerMessage::decode(message).unwrap().body else {
                panic!("no presence")
            };
            assert_eq!((presence.since, presence.members.len()), (0, 3), "from {version}");
        }
    }
}
