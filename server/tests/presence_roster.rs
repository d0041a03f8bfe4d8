//! The rules of presence, in virtual time.
//!
//! Promise 5: "A player is reported joined once, left once, with the true reason; no ghosts after the
//! timeout."

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

use driftless_proto::{
    code::CloseCode,
    wire::{self, member::Change, server_message::Body},
};
use driftless_server::{
    ground::{
        members::{Members, Position},
        report::{LeaveReason, LostReason, SeatExpired},
        vitals::Vitals,
    },
    presence::{
        Query, Roster,
        roster::{Ignored, SeatEvent},
        view::MemberState,
    },
};
use proptest::prelude::*;
use prost::Message;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

const WINDOW: u64 = 15_000_000;
const SECOND: u64 = 1_000_000;

fn roster() -> Roster {
    Roster::default()
}

fn all(limit: usize) -> Query {
    Query { room: None, after: None, limit }
}

fn of(room: &str, limit: usize) -> Query {
    Query { room: Some(room.into()), ..all(limit) }
}

fn lobby() -> Arc<str> {
    "lobby".into()
}

fn join(user: &str) -> SeatEvent {
    join_to(&Arc::default(), user)
}

/// A join to a room with this list. (The list of the room's first join counts.)
fn join_to(members: &Arc<Members>, user: &str) -> SeatEvent {
    SeatEvent::Joined {
        members: members.clone(),
        resume_window_us: WINDOW,
        user: user.into(),
        name: user.to_uppercase().into(),
        vitals: Arc::new(Vitals::seen(0)),
        npc: false,
    }
}

/// A player of a room who reads after each change.
#[derive(Default)]
struct Reader {
    members: Arc<Members>,
    position: Position,
}

impl Reader {
    fn next(&mut self) -> Option<wire::Presence> {
        let message = self.members.read(&mut self.position)?;
        match wire::ServerMessage::decode(message).unwrap().body {
            Some(Body::Presence(presence)) => Some(presence),
            other => panic!("{other:?}"),
        }
    }

    /// What changed, as (user, change, players, connections).
    fn changes(&mut self) -> Vec<(String, Change, Vec<u32>, u32)> {
        let members = std::iter::from_fn(|| self.next()).flat_map(|presence| presence.members);
        members.map(|m| (m.user.clone(), m.change(), m.players, m.connections)).collect()
    }
}

fn expired(roster: &mut Roster) -> Vec<(u32, LeaveReason)> {
    std::iter::from_fn(|| roster.poll()).map(|(_, SeatExpired { player, why })| (player, why)).collect()
}

#[test]
fn who_joins_gets_everybody_and_others_the_change() {
    let (mut r, mut ann) = (roster(), Reader::default());
    r.handle(&lobby(), 1, join_to(&ann.members, "ann"), 5).unwrap();
    assert_eq!(ann.next().unwrap().since, 0);
    r.handle(&lobby(), 2, join_to(&ann.members, "bob"), 7).unwrap();
    let mut bob = Reader { members: ann.members.clone(), ..Reader::default() };
    let all = bob.next().unwrap();
    assert_eq!((all.since, all.more), (0, false));
    assert_eq!(all.members.iter().map(|m| &*m.user).collect::<Vec<_>>(), ["ann", "bob"]);
    let change = ann.next().unwrap();
    assert_eq!((change.since, change.version), (1, 2));
    let expected = wire::Member {
        user: "bob".into(),
        name: "BOB".into(),
        players: vec![2],
        connections: 1,
        npc: false,
        change: Change::Joined.into(),
        at_us: 7,
        rtt_us: 0,
    };
    assert_eq!(change.members, [expected]);
}

#[test]
fn several_seats_of_a_user_are_one_member() {
    let (mut r, mut reader) = (roster(), Reader::default());
    let ann = |change, players, connections| ("ann".to_owned(), change, players, connections);
    let steps = [
        (1, join_to(&reader.members, "ann"), ann(Change::Joined, vec![1], 1)),
        (2, join_to(&reader.members, "ann"), ann(Change::Joined, vec![1, 2], 2)),
        (1, SeatEvent::Lost(LostReason::Disconnected), ann(Change::Away, vec![1, 2], 1)),
        (1, SeatEvent::Left(LeaveReason::Disconnected), ann(Change::Disconnected, vec![2], 1)),
    ];
    for (player, event, told) in steps {
        r.handle(&lobby(), player, event, 0).unwrap();
        assert_eq!(reader.changes(), [told]);
    }
    let view = r.view(&all(10), 3, UNIX_EPOCH);
    assert_eq!((view.member_count, view.players, view.connections), (1, 1, 1));
}

#[test]
fn a_seat_is_asked_for_when_its_window_ends_and_again_until_it_is_ended() {
    let (mut r, mut reader) = (roster(), Reader::default());
    r.handle(&lobby(), 1, join_to(&reader.members, "ann"), 0).unwrap();
    r.handle(&lobby(), 2, join("bob"), 0).unwrap();
    r.handle(&lobby(), 2, SeatEvent::Lost(LostReason::TimedOut), SECOND).unwrap();
    reader.changes();
    assert_eq!(r.poll_timeout(), Some(SECOND + WINDOW));
    r.handle_timeout(SECOND + WINDOW - 1);
    assert_eq!(expired(&mut r), []);
    r.handle_timeout(SECOND + WINDOW);
    assert_eq!(expired(&mut r), [(2, LeaveReason::TimedOut)]);
    r.handle_timeout(SECOND + WINDOW + 1);
    assert_eq!(expired(&mut r), [], "asked again only after a second");
    r.handle_timeout(3 * SECOND + WINDOW);
    assert_eq!(expired(&mut r), [(2, LeaveReason::TimedOut)]);
    r.handle(&lobby(), 2, SeatEvent::Left(LeaveReason::TimedOut), 3 * SECOND + WINDOW).unwrap();
    assert_eq!(reader.changes(), [("bob".to_owned(), Change::TimedOut, vec![], 0)]);
    assert_eq!(r.poll_timeout(), None);
}

#[test]
fn a_seat_that_came_back_is_not_asked_for() {
    let (mut r, mut reader) = (roster(), Reader::default());
    let steps = [
        (join_to(&reader.members, "ann"), Change::Joined),
        (SeatEvent::Lost(LostReason::Disconnected), Change::Away),
        (SeatEvent::Back, Change::Back),
    ];
    for (event, told) in steps {
        r.handle(&lobby(), 1, event, 10).unwrap();
        assert_eq!(reader.changes().into_iter().map(|(_, change, ..)| change).collect::<Vec<_>>(), [told]);
    }
    r.handle_timeout(u64::MAX);
    assert_eq!((expired(&mut r), r.poll_timeout()), (vec![], None));
}

/// The process was stopped for longer than the window, so nobody could have come back.
#[test]
fn a_seat_is_kept_for_as_much_longer_as_the_server_stood_still() {
    let mut r = roster();
    r.handle(&lobby(), 1, join("ann"), 0).unwrap();
    r.handle(&lobby(), 2, join("bob"), 0).unwrap();
    r.handle(&lobby(), 1, SeatEvent::Lost(LostReason::Disconnected), SECOND).unwrap();
    let woken = 3 * SECOND + 2 * WINDOW;
    r.handle_stall(2 * WINDOW);
    r.handle_timeout(woken);
    assert_eq!((expired(&mut r), r.poll_timeout()), (vec![], Some(SECOND + 3 * WINDOW)));
    // A connection lost from now on has the window, and no more.
    r.handle(&lobby(), 2, SeatEvent::Lost(LostReason::TimedOut), woken).unwrap();
    r.handle_timeout(SECOND + 3 * WINDOW);
    assert_eq!(expired(&mut r), [(1, LeaveReason::Disconnected)]);
    r.handle(&lobby(), 1, SeatEvent::Left(LeaveReason::Disconnected), woken).unwrap();
    assert_eq!(r.poll_timeout(), Some(woken + WINDOW));
}

#[test]
fn a_seat_of_another_process_is_kept_for_what_is_left_of_its_window() {
    let (mut r, mut reader) = (roster(), Reader::default());
    r.handle(&lobby(), 1, join_to(&reader.members, "ann"), 5).unwrap();
    r.handle(&lobby(), 1, SeatEvent::Waits { left_us: SECOND }, 5).unwrap();
    assert_eq!(reader.changes().last().map(|(_, change, ..)| *change), Some(Change::Away));
    assert_eq!(r.poll_timeout(), Some(SECOND + 5));
    r.handle_timeout(SECOND + 5);
    assert_eq!(expired(&mut r), [(1, LeaveReason::Disconnected)]);
    // Once back, it has all of it.
    r.handle(&lobby(), 1, SeatEvent::Back, 2 * SECOND).unwrap();
    r.handle(&lobby(), 1, SeatEvent::Lost(LostReason::TimedOut), 2 * SECOND).unwrap();
    assert_eq!(r.poll_timeout(), Some(2 * SECOND + WINDOW));
}

#[test]
fn a_room_keeps_seats_as_long_as_it_says() {
    let mut r = roster();
    r.handle(&lobby(), 1, join("ann"), 0).unwrap();
    let SeatEvent::Joined { members, user, name, vitals, npc, .. } = join("ann") else { panic!("a join") };
    let short = SeatEvent::Joined { members, resume_window_us: SECOND, user, name, vitals, npc };
    r.handle(&"short".into(), 1, short, 0).unwrap();
    for room in [lobby(), "short".into()] {
        r.handle(&room, 1, SeatEvent::Lost(LostReason::Disconnected), 0).unwrap();
    }
    r.handle_timeout(SECOND);
    assert_eq!(r.poll().map(|(room, _)| room), Some("short".into()));
    assert_eq!(r.poll(), None);
}

#[test]
fn what_is_unknown_or_told_before_changes_nothing() {
    let (mut r, mut reader) = (roster(), Reader::default());
    let lost = SeatEvent::Lost(LostReason::TimedOut);
    let left = SeatEvent::Left(LeaveReason::Left);
    assert_eq!(r.handle(&lobby(), 1, left.clone(), 0), Err(Ignored::UnknownRoom));
    r.handle(&lobby(), 1, join_to(&reader.members, "ann"), 0).unwrap();
    r.handle(&lobby(), 2, join("bob"), 0).unwrap();
    r.handle(&lobby(), 3, join("cat"), 0).unwrap();
    r.handle(&lobby(), 1, left.clone(), 1).unwrap();
    r.handle(&lobby(), 2, lost.clone(), 1).unwrap();
    reader.changes();
    let before = r.view(&all(10), 5, UNIX_EPOCH);
    let wrong = [
        (1, left, Ignored::UnknownPlayer),
        (1, join("ann"), Ignored::JoinedBefore),
        (2, join("eve"), Ignored::JoinedBefore),
        (2, lost, Ignored::LostBefore),
        (9, SeatEvent::Back, Ignored::UnknownPlayer),
        (3, SeatEvent::Back, Ignored::BackBefore),
    ];
    for (player, event, ignored) in wrong {
        assert_eq!(r.handle(&lobby(), player, event, 4), Err(ignored));
    }
    assert_eq!((reader.next(), r.poll()), (None, None));
    assert_eq!(r.view(&all(10), 5, UNIX_EPOCH), before);
}

#[test]
fn a_room_that_ends_leaves_nothing_behind() {
    let mut r = roster();
    r.handle(&lobby(), 1, join("ann"), 0).unwrap();
    r.handle(&lobby(), 2, join("bob"), 0).unwrap();
    r.handle(&lobby(), 2, SeatEvent::Lost(LostReason::Removed(CloseCode::SlowConsumer)), 0).unwrap();
    r.room_ended(&lobby(), 9).unwrap();
    assert!(r.is_empty());
    let view = r.view(&all(10), 10, UNIX_EPOCH);
    assert_eq!((view.totals.joined, view.totals.removed, view.players), (2, 2, 0));
    assert_eq!(view.departures.iter().map(|d| d.why).collect::<Vec<_>>(), [LeaveReason::Removed; 2]);
    // The name is free: a new room counts its players from the start.
    r.handle(&lobby(), 1, join("eve"), 11).unwrap();
}

#[test]
fn a_picture_is_of_one_room_and_limited() {
    let mut r = roster();
    for player in 1..=5 {
        r.handle(&lobby(), player, join(&format!("u{player}")), 0).unwrap();
    }
    r.handle(&"other".into(), 1, join("u1"), 0).unwrap();
    r.handle(&"other".into(), 1, SeatEvent::Lost(LostReason::Disconnected), 0).unwrap();
    let some = r.view(&all(3), 0, UNIX_EPOCH);
    assert_eq!((some.member_count, some.members.len(), some.players, some.connections), (6, 3, 6, 5));
    let other = r.view(&of("other", 3), 0, UNIX_EPOCH);
    assert_eq!((other.members.len(), other.members[0].state), (1, MemberState::Away));
    assert_eq!((other.member_count, other.players, other.connections), (1, 1, 0));
    assert_eq!(r.view(&of("nowhere", 3), 0, UNIX_EPOCH), Default::default());
}

#[test]
fn members_come_in_pages_by_room_and_user() {
    let mut r = roster();
    let mut names = Vec::new();
    for room in ["north", "east", "south"] {
        for player in 1..=5 {
            r.handle(&room.into(), player, join(&format!("u{player}")), 0).unwrap();
            names.push(format!("{room}/u{player}"));
        }
    }
    for player in 1..=5 {
        r.handle(&"empty".into(), player, join("ann"), 0).unwrap();
        r.handle(&"empty".into(), player, SeatEvent::Left(LeaveReason::Left), 0).unwrap();
    }
    names.sort_unstable();
    let read = |mut query: Query| {
        let mut seen = Vec::new();
        loop {
            let view = r.view(&query, 0, UNIX_EPOCH);
            assert!(view.members.len() <= query.limit);
            seen.extend(view.members.iter().map(|m| format!("{}/{}", m.room, m.user)));
            let Some(next) = view.next else { return seen };
            query.after = Some((&*next).into());
        }
    };
    for limit in [1, 2, 5, 14, 15, 16] {
        assert_eq!(read(all(limit)), names, "{limit} at a time");
        assert_eq!(read(of("north", limit)), names[5..10], "{limit} at a time");
    }
    // After a member that does not exist (any more), and after a room before or after it.
    let after = |place: &str, query| Query { after: Some(place.into()), ..query };
    assert_eq!(read(after("north/u3a", all(9))), names[8..]);
    assert_eq!(read(after("nowhere/u1", all(9))), names[10..]);
    assert_eq!(read(after("north", all(9))), names[5..]);
    assert_eq!(read(after("east/u1", of("north", 9))), names[5..10]);
    assert_eq!(read(after("south/u1", of("north", 9))).len(), 0);
}

#[test]
fn a_server_that_ran_for_years_asks_for_seats_in_time() {
    for days in [30, 380, 36_500] {
        let now = days * 24 * 60 * 60 * SECOND;
        let mut r = roster();
        r.handle(&lobby(), 1, join("ann"), now).unwrap();
        r.handle(&lobby(), 1, SeatEvent::Lost(LostReason::TimedOut), now + 1).unwrap();
        assert_eq!(r.poll_timeout(), Some(now + 1 + WINDOW));
        r.handle_timeout(now + WINDOW);
        assert_eq!(expired(&mut r), []);
        r.handle_timeout(now + 1 + WINDOW);
        assert_eq!(expired(&mut r), [(1, LeaveReason::TimedOut)]);
        // The connection was last heard from at its first moment: no longer silence is possible.
        let view = r.view(&all(10), now, UNIX_EPOCH);
        assert_eq!(view.members[0].last_seen_ms_ago, days * 24 * 60 * 60 * 1_000);
    }
}

#[test]
fn times_of_day_are_by_the_clock_that_hangs_there_when_they_are_shown() {
    const HOUR_MS: u64 = 60 * 60 * 1_000;
    let mut r = roster();
    r.handle(&lobby(), 1, join("ann"), 0).unwrap();
    r.handle(&lobby(), 2, join("bob"), 0).unwrap();
    r.handle(&lobby(), 2, SeatEvent::Left(LeaveReason::Left), SECOND).unwrap();
    // Three hours after the start; then the system's clock is set an hour forward.
    let now = 3 * HOUR_MS * 1_000;
    for (wall_ms, started_ms) in [(10 * HOUR_MS, 7 * HOUR_MS), (11 * HOUR_MS, 8 * HOUR_MS)] {
        let view = r.view(&of("lobby", 10), now, UNIX_EPOCH + Duration::from_millis(wall_ms));
        assert_eq!(view.members[0].since_unix_ms, started_ms);
        assert_eq!(view.departures[0].at_unix_ms, started_ms + 1_000);
    }
}

/// A thousand joins and leaves: what is kept does not grow.
#[test]
fn departures_are_bounded() {
    let mut r = roster();
    for player in 1..=1_000 {
        r.handle(&lobby(), player, join("ann"), 0).unwrap();
        r.handle(&lobby(), player, SeatEvent::Left(LeaveReason::Left), 0).unwrap();
    }
    let view = r.view(&all(10), 0, UNIX_EPOCH);
    assert_eq!((view.departures.len(), view.players, view.totals.left), (64, 0, 1_000));
    assert_eq!(view.departures[0].player, 1_000, "newest first");
}

#[derive(Debug, Clone)]
enum Op {
    Report { room: u8, player: u32, event: u8, reason: u8 },
    RoomEnded(u8),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (0u8..3, 1u32..8, 0u8..4, 0u8..4)
            .prop_map(|(room, player, event, reason)| Op::Report { room, player, event, reason }),
        1 => (0u8..3).prop_map(Op::RoomEnded),
        4 => (0u64..2 * WINDOW).prop_map(Op::Pass),
    ]
}

/// What a room's members were told about a seat.
#[derive(Debug, Default, Clone, PartialEq)]
struct Told {
    joined: u32,
    ended: Vec<LeaveReason>,
}

const REASONS: [LeaveReason; 4] =
    [LeaveReason::Left, LeaveReason::TimedOut, LeaveReason::Disconnected, LeaveReason::Removed];

proptest! {
    /// Whatever rooms report, in whatever order: each seat is reported joined once and left once with the
    /// right reason, the totals add up, only seats that are away are asked for, and in the end nothing is
    /// left.
    #[test]
    fn joined_once_left_once_no_ghosts(ops in proptest::collection::vec(op(), 1..200)) {
        let rooms: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
        let mut r = roster();
        let mut readers: [Reader; 3] = Default::default();
        let mut now = 0;
        // The model: seats by room, with whether they are away; and the highest player of each room.
        let mut seats: BTreeMap<(u8, u32), bool> = BTreeMap::new();
        let mut last: BTreeMap<u8, u32> = BTreeMap::new();
        let mut joins = 0u64;
        for op in ops {
            match op {
                Op::Report { room, player, event, reason } => {
                    let key = (room, player);
                    let why = REASONS[reason as usize];
                    let (event, valid) = match event {
                        0 => (join_to(&readers[room as usize].members, &format!("user{}", player % 3)), last.get(&room).is_none_or(|l| player > *l)),
                        1 => (SeatEvent::Lost(LostReason::TimedOut), seats.get(&key) == Some(&false)),
                        2 => (SeatEvent::Back, seats.get(&key) == Some(&true)),
                        _ => (SeatEvent::Left(why), seats.contains_key(&key)),
                    };
                    let result = r.handle(&rooms[room as usize], player, event.clone(), now);
                    prop_assert_eq!(result.is_ok(), valid, "{:?} {:?}", &event, result);
                    let mut here = Told::default();
                    for (_, change, ..) in readers[room as usize].changes() {
                        match change {
                            Change::Joined => here.joined += 1,
                            Change::Away | Change::Back => {}
                            change => here.ended.extend(REASONS.iter().filter(|r| r.change() == change)),
                        }
                    }
                    let mut expected = Told::default();
                    if valid {
                        match event {
                            SeatEvent::Joined { .. } => {
                                joins += 1;
                                expected.joined = 1;
                                seats.insert(key, false);
                                last.insert(room, player);
                            }
                            SeatEvent::Lost(_) | SeatEvent::Waits { .. } => { seats.insert(key, true); }
                            SeatEvent::Back => { seats.insert(key, false); }
                            SeatEvent::Left(why) => {
                                seats.remove(&key);
                                expected.ended.push(why);
                            }
                        }
                    }
                    prop_assert_eq!(here, expected);
                }
                Op::RoomEnded(room) => {
                    let known = last.remove(&room).is_some();
                    prop_assert_eq!(r.room_ended(&rooms[room as usize], now).is_ok(), known);
                    seats.retain(|(other, _), _| *other != room);
                    // A new room of the same name has a list of its own.
                    readers[room as usize] = Reader::default();
                }
                Op::Pass(us) => {
                    now += us;
                    r.handle_timeout(now);
                    prop_assert!(readers.iter_mut().all(|reader| reader.next().is_none()), "time alone tells nothing");
                    while let Some((room, SeatExpired { player, why })) = r.poll() {
                        let room = rooms.iter().position(|name| *name == room).unwrap() as u8;
                        prop_assert_eq!(seats.get(&(room, player)), Some(&true));
                        prop_assert_eq!(why, LeaveReason::TimedOut);
                    }
                }
            }
            let view = r.view(&all(1_000), now, UNIX_EPOCH);
            let members: BTreeSet<_> = seats.keys().map(|(room, player)| (room, player % 3)).collect();
            prop_assert_eq!((view.member_count, view.members.len()), (members.len(), members.len()));
            prop_assert_eq!(view.players, seats.len());
            prop_assert_eq!(view.connections, seats.values().filter(|away| !**away).count());
            prop_assert_eq!(view.totals.joined, joins);
            prop_assert_eq!(view.totals.ended() as usize + seats.len(), joins as usize);
        }
        for room in last.keys() {
            r.room_ended(&rooms[*room as usize], now).unwrap();
        }
        prop_assert!(r.is_empty());
    }
}

/// A user's rooms: which, whether online, and whether they have moved.
fn visits(roster: &Roster, user: &str) -> Vec<(String, bool, bool)> {
    let visits = roster.visits(user, |us| us).into_iter();
    visits.map(|visit| (visit.room.to_string(), visit.state == MemberState::Online, visit.moved)).collect()
}

fn changed(roster: &mut Roster) -> BTreeSet<String> {
    roster.take_changed().iter().map(ToString::to_string).collect()
}

#[test]
fn a_user_is_in_rooms_for_as_long_as_a_seat_is_there() {
    let (mut roster, other) = (roster(), Arc::from("other"));
    roster.note_changes();
    roster.handle(&lobby(), 1, join("ann"), 5).unwrap();
    roster.handle(&lobby(), 2, join("ann"), 6).unwrap();
    roster.handle(&other, 1, join("ann"), 7).unwrap();
    assert_eq!(changed(&mut roster), BTreeSet::from(["ann".to_owned()]));
    assert_eq!(visits(&roster, "ann"), [("lobby".into(), true, false), ("other".into(), true, false)]);
    assert_eq!(roster.visits("ann", |us| us)[0].since_unix_ms, 5, "since the first of them");
    roster.handle(&lobby(), 1, SeatEvent::Left(LeaveReason::Left), 8).unwrap();
    roster.handle(&lobby(), 2, SeatEvent::Lost(LostReason::TimedOut), 9).unwrap();
    assert_eq!(visits(&roster, "ann")[0], ("lobby".into(), false, false), "away, as the room has it");
    roster.handle(&lobby(), 2, SeatEvent::Back, 10).unwrap();
    assert!(visits(&roster, "ann")[0].1);
    roster.room_ended(&lobby(), 11).unwrap();
    assert_eq!(visits(&roster, "ann"), [("other".into(), true, false)]);
    roster.handle(&other, 1, SeatEvent::Left(LeaveReason::Left), 12).unwrap();
    assert_eq!((visits(&roster, "ann"), changed(&mut roster).len()), (vec![], 1));
    assert_eq!(roster.users().count(), 0);
    let npc = SeatEvent::Joined {
        members: Arc::default(),
        resume_window_us: WINDOW,
        user: "npc-1".into(),
        name: "NPC".into(),
        vitals: Arc::new(Vitals::seen(0)),
        npc: true,
    };
    roster.handle(&lobby(), 1, npc, 13).unwrap();
    assert_eq!((changed(&mut roster).len(), visits(&roster, "npc-1")), (0, vec![]), "an NPC is nobody");
}

#[test]
fn who_goes_with_a_room_to_another_node_is_there_until_that_has_said_so() {
    let mut roster = roster();
    roster.note_changes();
    roster.handle(&lobby(), 1, join("ann"), 0).unwrap();
    roster.handle(&lobby(), 2, join("bob"), 0).unwrap();
    roster.handle(&lobby(), 2, SeatEvent::Lost(LostReason::TimedOut), 1).unwrap();
    roster.room_moved(&lobby(), 5 * SECOND).unwrap();
    changed(&mut roster);
    let there = |online| vec![("lobby".to_owned(), online, true)];
    assert_eq!((visits(&roster, "ann"), visits(&roster, "bob")), (there(true), there(false)));
    roster.handle_timeout(6 * SECOND - 1);
    assert_eq!(changed(&mut roster).len(), 0);
    assert_eq!(roster.poll_timeout(), Some(6 * SECOND));
    // It has come back.
    roster.handle(&lobby(), 3, join("ann"), 6 * SECOND - 1).unwrap();
    roster.handle_timeout(6 * SECOND);
    assert_eq!(visits(&roster, "ann"), [("lobby".into(), true, false)]);
    assert_eq!(
        (visits(&roster, "bob"), changed(&mut roster)),
        (vec![], ["ann", "bob"].map(String::from).into())
    );
}

#[test]
fn where_nobody_listens_a_room_that_moves_leaves_nothing() {
    let mut roster = roster();
    roster.handle(&lobby(), 1, join("ann"), 0).unwrap();
    roster.room_moved(&lobby(), 1).unwrap();
    assert!(roster.is_empty() && roster.take_changed().is_empty());
}
