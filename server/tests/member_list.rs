//! The member list with readers that read, fall behind, are disconnected and come back, without a socket.
//!
//! Presence is state: a reader says which version it has, and gets what changed since, or the whole list in
//! pages.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

use bytes::Bytes;
use driftless_proto::wire::{self, member::Change, server_message::Body};
use driftless_server::{
    connection::members::{BURST, MemberReader, RATE},
    ground::members::{Member, MemberList, Members, PAGE_BYTES, Position},
};
use proptest::prelude::*;
use prost::Message;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

fn member(user: &str, players: &[u32], change: Change) -> Member {
    Member {
        user: user.into(),
        name: "\u{1F600}".repeat(32).into(),
        players: players.into(),
        here: Default::default(),
        npc: false,
        change,
        at_us: 7,
    }
}

fn decode(message: &Bytes) -> wire::Presence {
    match wire::ServerMessage::decode(message.clone()).unwrap().body {
        Some(Body::Presence(presence)) => presence,
        other => panic!("{other:?}"),
    }
}

/// What a reader with this version lacks.
fn since(list: &mut MemberList, version: u64) -> Option<wire::Presence> {
    list.read(&mut Position::at(version)).map(|message| decode(&message))
}

/// A player's copy of the list, and how far its connection has read.
#[derive(Debug, Clone, Default, PartialEq)]
struct Client {
    position: Position,
    version: u64,
    /// User and last change.
    members: BTreeMap<String, i32>,
}

impl Client {
    fn apply(&mut self, presence: &wire::Presence) {
        assert!(
            presence.since == 0 || presence.since == self.version,
            "{presence:?} to one at {}",
            self.version
        );
        assert!(presence.version >= presence.since);
        if presence.since == 0 {
            self.members.clear();
        }
        for member in &presence.members {
            if member.players.is_empty() {
                self.members.remove(&member.user);
            } else {
                self.members.insert(member.user.clone(), member.change);
            }
        }
        self.version = presence.version;
    }

    /// Reads a page. False: there is none.
    fn read(&mut self, list: &mut MemberList) -> bool {
        let Some(message) = list.read(&mut self.position) else { return false };
        let presence = decode(&message);
        assert_eq!(presence.more, presence.version < list.version());
        assert_eq!(presence.version, self.position.version());
        assert!(message.len() <= PAGE_BYTES, "{} bytes", message.len());
        self.apply(&presence);
        true
    }

    /// Gets a new connection, and says which version it has.
    fn reconnect(&mut self) {
        self.position = Position::at(self.version);
    }
}

#[test]
fn who_has_nothing_gets_everybody_and_then_what_changes() {
    let mut list = MemberList::default();
    assert_eq!(since(&mut list, 0), None, "nobody is there");
    list.set(member("ann", &[1], Change::Joined));
    list.set(member("bob", &[2], Change::Joined));
    let presence = since(&mut list, 0).unwrap();
    assert_eq!((presence.since, presence.version, presence.more), (0, 2, false));
    assert_eq!(presence.members.iter().map(|m| &*m.user).collect::<Vec<_>>(), ["ann", "bob"]);
    assert_eq!(since(&mut list, 2), None);
    list.set(member("ann", &[1], Change::Away));
    let presence = since(&mut list, 2).unwrap();
    assert_eq!((presence.since, presence.version, presence.members.len()), (2, 3, 1));
    assert_eq!((&*presence.members[0].user, presence.members[0].change()), ("ann", Change::Away));
    list.set(member("ann", &[], Change::TimedOut));
    let presence = since(&mut list, 2).unwrap();
    let [ann] = &presence.members[..] else { panic!("away is superseded: {presence:?}") };
    assert_eq!((ann.change(), ann.players.len(), ann.connections), (Change::TimedOut, 0, 0));
}

#[test]
fn who_came_and_went_between_two_looks_is_not_mentioned() {
    let mut list = MemberList::default();
    list.set(member("ann", &[1], Change::Joined));
    for n in 0..100 {
        list.set(member(&format!("eve{n}"), &[n + 2], Change::Joined));
        list.set(member(&format!("eve{n}"), &[], Change::Left));
    }
    let presence = since(&mut list, 1).unwrap();
    assert_eq!((presence.members.len(), presence.version, presence.more), (0, 201, false));
    assert!(list.read(&mut Position::at(1)).unwrap().len() < 16);
}

#[test]
fn who_never_was_there_cannot_leave() {
    let mut list = MemberList::default();
    list.set(member("ann", &[], Change::Left));
    assert_eq!((list.version(), since(&mut list, 0)), (0, None));
}

#[test]
fn a_reader_that_missed_more_than_is_remembered_begins_anew() {
    let mut list = MemberList::remembering(3);
    for n in 0..4 {
        list.set(member(&format!("u{n}"), &[n + 1], Change::Joined));
    }
    list.set(member("ann", &[9], Change::Joined));
    for n in 0..4 {
        list.set(member(&format!("u{n}"), &[], Change::Left)); // versions 6 to 9
    }
    // Version 6, the first departure, is forgotten. A reader that has version 6 knows of it.
    assert_eq!(since(&mut list, 6).unwrap().since, 6);
    for behind in [1, 5, 10, u64::MAX] {
        let presence = since(&mut list, behind).unwrap();
        assert_eq!((presence.since, presence.version), (0, 9), "from {behind}");
        assert_eq!(presence.members.iter().map(|m| &*m.user).collect::<Vec<_>>(), ["ann"]);
    }
}

/// A list of 5,000 members with long names comes in pages, and each page is made once.
#[test]
fn a_large_list_comes_in_pages_that_readers_share() {
    let mut list = MemberList::default();
    for n in 0..5_000 {
        list.set(member(&format!("{n:064}"), &[n + 1], Change::Joined));
    }
    let (mut one, mut other) = (Client::default(), Client::default());
    let mut pages = 0;
    while let Some(message) = list.read(&mut one.position) {
        let presence = decode(&message);
        assert!(message.len() > PAGE_BYTES * 9 / 10 || !presence.more, "{} bytes", message.len());
        one.apply(&presence);
        // Others come meanwhile, which changes only the last page.
        if presence.more {
            list.set(member(&format!("late{pages:060}"), &[9_000 + pages], Change::Joined));
        }
        let again = list.read(&mut other.position).unwrap();
        assert_eq!(message.as_ptr(), again.as_ptr(), "encoded once");
        other.apply(&presence);
        pages += 1;
    }
    assert_eq!(one.members.len() as u32, 5_000 + pages - 1);
    assert_eq!(one.members, other.members);
}

/// Readers come one after another, each with the whole list to read: no page is made twice, although there
/// are more than 200.
#[test]
fn the_pages_of_the_largest_list_are_kept_for_the_next_reader() {
    let mut list = MemberList::default();
    for n in 0..5_000 {
        list.set(member(&format!("{n:064}"), &[n + 1], Change::Joined));
    }
    let mut read = || {
        let mut position = Position::default();
        std::iter::from_fn(|| list.read(&mut position)).collect::<Vec<_>>()
    };
    let (one, other) = (read(), read());
    assert!(one.len() > 200, "{} pages", one.len());
    assert!(one.iter().zip(&other).all(|(one, other)| one.as_ptr() == other.as_ptr()), "encoded once");
}

/// A list of 5,000 in which 1,400 visitors per second come and stay for a tenth of a second, also before the
/// reader begins, so that residents are in between; meanwhile residents change and leave.
#[test]
fn a_reader_with_the_budget_of_a_connection_finishes_while_visitors_come_and_go() {
    const TICK: Duration = Duration::from_millis(50);
    const VISITS: u32 = 70;
    const RESIDENTS: u32 = 5_000;
    let members = Members::default();
    let resident =
        |n: u32, players: &[u32], change| members.set(member(&format!("{n:064}"), players, change));
    let visit = |tick: u32| {
        for n in 0..VISITS {
            members.set(member(&format!("visitor{}", tick * VISITS + n), &[9], Change::Joined));
            if let Some(before) = tick.checked_sub(2) {
                members.set(member(&format!("visitor{}", before * VISITS + n), &[], Change::Left));
            }
        }
    };
    for tick in 0..100 {
        visit(tick);
        (0..50).for_each(|n| resident(tick * 50 + n, &[n + 1], Change::Joined));
    }
    let mut now = Instant::now();
    let mut reader = MemberReader::new(0, now);
    let mut client = Client::default();
    let (mut begun, mut finished, mut gone) = (0, None, 0);
    for tick in 100..100 + 20 * 90 {
        visit(tick);
        resident(2_500 + tick, &[1], Change::Back);
        if tick % 20 == 0 {
            resident(gone, &[], Change::Left);
            gone += 1;
        }
        reader.tick();
        if let Some(message) = reader.next(&members, now) {
            let presence = decode(&message);
            begun += u32::from(presence.since == 0);
            client.apply(&presence);
            // There are always visitors that it has not read about yet: it has everything but the last
            // second.
            if members.version() - client.version < u64::from(20 * 2 * VISITS) {
                finished.get_or_insert(tick);
            }
        }
        now += TICK;
    }
    assert_eq!(begun, 1, "the reader began anew");
    assert!(finished.is_some(), "the reader has read up to now within 90 s");
    while client.version != members.version() {
        reader.tick();
        if let Some(message) = reader.next(&members, now) {
            client.apply(&decode(&message));
        }
        now += TICK;
    }
    let here = client.members.keys().filter(|user| !user.starts_with("visitor")).count();
    assert_eq!((here as u32, client.members.len() - here), (RESIDENTS - gone, 2 * VISITS as usize));
}

/// Many members have left before a reader begins, and some leave while it reads: it need not be told about
/// those it never knew.
#[test]
fn a_reader_of_a_large_list_is_not_sent_back_by_departures_before_it_began() {
    let mut list = MemberList::remembering(3);
    for n in 0..200 {
        list.set(member(&format!("{n:064}"), &[n + 1], Change::Joined));
    }
    for n in 0..20 {
        list.set(member(&format!("{:064}", n * 2), &[], Change::Left));
    }
    let mut reader = Client::default();
    let mut pages = 0;
    while reader.read(&mut list) {
        pages += 1;
        if pages <= 3 {
            list.set(member(&format!("{:064}", 100 + pages), &[], Change::Left));
        }
        assert!(pages < 30, "the pages come to an end");
    }
    assert_eq!(reader.members.len(), 177);
}

#[test]
fn a_member_with_more_seats_than_fit_a_page_has_one_of_its_own() {
    let mut list = MemberList::default();
    list.set(member("ann", &[1], Change::Joined));
    list.set(member("crowd", &(1_000..9_000).collect::<Vec<_>>(), Change::Joined));
    list.set(member("bob", &[2], Change::Joined));
    let mut reader = Client::default();
    let mut pages = Vec::new();
    while let Some(message) = list.read(&mut reader.position) {
        reader.apply(&decode(&message));
        pages.push(message.len() > PAGE_BYTES);
    }
    assert_eq!((pages, reader.members.len()), (vec![false, true, false], 3));
}

/// The bytes of presence per client and second are bounded whatever others do: the burst once, then the rate.
#[test]
fn bytes_are_bounded_whatever_others_do() {
    const TICK: Duration = Duration::from_millis(50);
    const SECONDS: u32 = 60;
    let members = Members::default();
    for n in 0..5_000 {
        members.set(member(&format!("{n:064}"), &[n + 1], Change::Joined));
    }
    let mut now = Instant::now();
    let mut reader = MemberReader::new(0, now);
    let (mut client, mut bytes, mut messages) = (Client::default(), 0, 0);
    for tick in 0..SECONDS * 20 {
        // All members change their state within four seconds, repeatedly.
        for n in 0..63 {
            members.set(member(&format!("{:064}", (tick * 63 + n) % 5_000), &[n + 1], Change::Back));
        }
        reader.tick();
        while let Some(message) = reader.next(&members, now) {
            client.apply(&decode(&message));
            bytes += message.len() as u32;
            messages += 1;
        }
        now += TICK;
    }
    assert!(bytes <= BURST + RATE * SECONDS, "{bytes} bytes");
    assert!(bytes > RATE * SECONDS, "the rate is used: {bytes} bytes");
    assert!(messages <= SECONDS * 20, "one a tick at most");
    // Once it is quiet, the reader catches up.
    for _ in 0..20 * 120 {
        now += TICK;
        reader.tick();
        if let Some(message) = reader.next(&members, now) {
            client.apply(&decode(&message));
        }
    }
    assert_eq!((client.members.len(), client.version), (5_000, members.version()));
}

#[test]
fn one_message_a_tick_and_none_before_the_first() {
    let members = Members::default();
    let now = Instant::now();
    let mut reader = MemberReader::new(0, now);
    members.set(member("ann", &[1], Change::Joined));
    assert_eq!((reader.is_due(), reader.next(&members, now)), (false, None));
    reader.tick();
    assert!(reader.next(&members, now).is_some());
    members.set(member("bob", &[2], Change::Joined));
    assert_eq!((reader.is_due(), reader.next(&members, now)), (false, None));
    reader.tick();
    assert!(reader.next(&members, now).is_some());
    reader.tick();
    assert_eq!(reader.next(&members, now), None, "nothing new");
}

#[derive(Debug, Clone)]
enum Op {
    /// A user comes, changes, or leaves.
    Set {
        user: u8,
        change: u8,
    },
    Leave {
        user: u8,
    },
    /// A reader reads a page.
    Read {
        reader: usize,
    },
    /// It reads one that is lost in transit, and comes back with what it had.
    Cut {
        reader: usize,
    },
    /// It comes back with nothing.
    Reset {
        reader: usize,
    },
}

const READERS: usize = 3;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u8..60, 0u8..4).prop_map(|(user, change)| Op::Set { user, change }),
        5 => (0u8..60).prop_map(|user| Op::Leave { user }),
        4 => (0..READERS).prop_map(|reader| Op::Read { reader }),
        1 => (0..READERS).prop_map(|reader| Op::Cut { reader }),
        1 => (0..READERS).prop_map(|reader| Op::Reset { reader }),
    ]
}

fn user(n: u8) -> String {
    format!("{n:0>64}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, and however a reader falls behind, is disconnected, resumes or is
    /// paged: it ends with exactly the existing members.
    #[test]
    fn every_reader_ends_with_exactly_the_members(
        ops in proptest::collection::vec(op(), 1..400),
        remembered in 1usize..40,
    ) {
        let mut list = MemberList::remembering(remembered);
        let mut truth = BTreeMap::new();
        let mut readers: [Client; READERS] = Default::default();
        for op in ops {
            match op {
                Op::Set { user: n, change } => {
                    let change = Change::try_from(i32::from(change)).unwrap();
                    list.set(member(&user(n), &[u32::from(n) + 1], change));
                    truth.insert(user(n), i32::from(change));
                }
                Op::Leave { user: n } => {
                    list.set(member(&user(n), &[], Change::Left));
                    truth.remove(&user(n));
                }
                Op::Read { reader } => {
                    // A reader at the newest version has the exact list.
                    if !readers[reader].read(&mut list) {
                        prop_assert_eq!(&readers[reader].members, &truth);
                    }
                }
                Op::Cut { reader } => {
                    readers[reader].clone().read(&mut list);
                    readers[reader].reconnect();
                }
                Op::Reset { reader } => readers[reader] = Client::default(),
            }
        }
        for reader in &mut readers {
            let mut pages = 0;
            while reader.read(&mut list) {
                pages += 1;
                prop_assert!(pages < 100, "pages come to an end");
            }
            prop_assert_eq!(&reader.members, &truth);
            prop_assert_eq!(reader.version, list.version());
        }
    }
}
