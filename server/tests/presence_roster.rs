//! The rules of presence, in virtual time.
//!
//! Promise 5: "A player MUST be reported joined once, left once, with the true reason; no ghosts after the timeout."

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests, too, may fail loudly

use driftless_proto::{
    code::CloseCode,
    wire::{self, member::Change},
};
use driftless_server::{
    ground::{
        report::{Announce, LeaveReason, LostReason, ToRoom},
        vitals::Vitals,
    },
    presence::{
        Roster, RosterConfig,
        roster::{Ignored, SeatEvent},
        view::MemberState,
    },
};
use driftless_sim::simulation::Recipient;
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

const WINDOW: u64 = 15_000_000;
const SECOND: u64 = 1_000_000;

fn roster() -> Roster {
    Roster::new(RosterConfig { resume_window_us: WINDOW })
}

fn lobby() -> Arc<str> {
    "lobby".into()
}

fn join(user: &str) -> SeatEvent {
    SeatEvent::Joined {
        user: user.into(),
        name: user.to_uppercase().into(),
        vitals: Arc::new(Vitals::seen(0)),
    }
}

fn told(roster: &mut Roster) -> Vec<(Arc<str>, ToRoom)> {
    std::iter::from_fn(|| roster.poll()).collect()
}

/// The changes announced to all, as (user, change, players, connections).
fn changes(roster: &mut Roster) -> Vec<(String, Change, Vec<u32>, u32)> {
    let announced = told(roster).into_iter().filter_map(|(_, message)| match message {
        ToRoom::Announce(Announce { to: Recipient::All, presence, .. }) if !presence.full => Some(presence),
        _ => None,
    });
    announced
        .flat_map(|p| p.members)
        .map(|m| (m.user.clone(), m.change(), m.players, m.connections))
        .collect()
}

fn expired(roster: &mut Roster) -> Vec<(u32, LeaveReason)> {
    let asked = told(roster).into_iter().filter_map(|(_, message)| match message {
        ToRoom::SeatExpired { player, why } => Some((player, why)),
        ToRoom::Announce(_) => None,
    });
    asked.collect()
}

#[test]
fn who_joins_gets_the_full_list_and_others_the_change() {
    let mut r = roster();
    r.handle(&lobby(), 1, join("ann"), 5).unwrap();
    told(&mut r);
    r.handle(&lobby(), 2, join("bob"), 7).unwrap();
    let [(_, ToRoom::Announce(full)), (_, ToRoom::Announce(change))] = &told(&mut r)[..] else {
        panic!("not two announcements")
    };
    assert_eq!((full.to, full.presence.full), (Recipient::Player(2), true));
    let users: Vec<&str> = full.presence.members.iter().map(|m| &*m.user).collect();
    assert_eq!(users, ["ann", "bob"]);
    assert_eq!((change.to, change.except, change.presence.full), (Recipient::All, Some(2), false));
    let expected = wire::Member {
        user: "bob".into(),
        name: "BOB".into(),
        players: vec![2],
        connections: 1,
        change: Change::Joined.into(),
        at_us: 7,
        rtt_us: 0,
    };
    assert_eq!(change.presence.members, [expected]);
}

#[test]
fn several_seats_of_a_user_are_one_member() {
    let mut r = roster();
    r.handle(&lobby(), 1, join("ann"), 0).unwrap();
    r.handle(&lobby(), 2, join("ann"), 0).unwrap();
    r.handle(&lobby(), 1, SeatEvent::Lost(LostReason::Disconnected), 1).unwrap();
    r.handle(&lobby(), 1, SeatEvent::Left(LeaveReason::Disconnected), 2).unwrap();
    let ann = |change, players, connections| ("ann".to_owned(), change, players, connections);
    let expected = [
        ann(Change::Joined, vec![1], 1),
        ann(Change::Joined, vec![1, 2], 2),
        ann(Change::Away, vec![1, 2], 1),
        ann(Change::Disconnected, vec![2], 1),
    ];
    assert_eq!(changes(&mut r), expected);
    let view = r.view(None, 10, 3, UNIX_EPOCH);
    assert_eq!((view.member_count, view.players, view.connections), (1, 1, 1));
}

#[test]
fn a_seat_is_asked_for_when_its_window_ends_and_again_until_it_is_ended() {
    let mut r = roster();
    r.handle(&lobby(), 1, join("ann"), 0).unwrap();
    r.handle(&lobby(), 2, join("bob"), 0).unwrap();
    r.handle(&lobby(), 2, SeatEvent::Lost(LostReason::TimedOut), SECOND).unwrap();
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
    assert_eq!(changes(&mut r), [("bob".to_owned(), Change::TimedOut, vec![], 0)]);
    assert_eq!(r.poll_timeout(), None);
}

#[test]
fn a_seat_that_came_back_is_not_asked_for() {
    let mut r = roster();
    r.handle(&lobby(), 1, join("ann"), 0).unwrap();
    r.handle(&lobby(), 1, SeatEvent::Lost(LostReason::Disconnected), 10).unwrap();
    r.handle(&lobby(), 1, SeatEvent::Back(Arc::default()), 20).unwrap();
    r.handle_timeout(u64::MAX);
    let changes: Vec<Change> = changes(&mut r).into_iter().map(|(_, change, ..)| change).collect();
    assert_eq!(changes, [Change::Joined, Change::Away, Change::Back]);
    assert_eq!(r.poll_timeout(), None);
}

#[test]
fn a_replaced_connection_is_told_to_nobody() {
    let mut r = roster();
    r.handle(&lobby(), 1, join("ann"), 0).unwrap();
    told(&mut r);
    let vitals = Arc::new(Vitals::seen(70_000));
    vitals.set_rtt(12_500);
    r.handle(&lobby(), 1, SeatEvent::Back(vitals), 20).unwrap();
    assert_eq!(told(&mut r), []);
    let view = r.view(Some("lobby"), 10, 100_000, UNIX_EPOCH);
    assert_eq!((view.members[0].rtt_ms, view.members[0].last_seen_ms_ago), (Some(12.5), 30));
}

#[test]
fn what_is_unknown_or_told_before_changes_nothing() {
    let mut r = roster();
    let lost = SeatEvent::Lost(LostReason::TimedOut);
    let left = SeatEvent::Left(LeaveReason::Left);
    assert_eq!(r.handle(&lobby(), 1, left.clone(), 0), Err(Ignored::UnknownRoom));
    r.handle(&lobby(), 1, join("ann"), 0).unwrap();
    r.handle(&lobby(), 2, join("bob"), 0).unwrap();
    r.handle(&lobby(), 1, left.clone(), 1).unwrap();
    r.handle(&lobby(), 2, lost.clone(), 1).unwrap();
    told(&mut r);
    let before = r.view(None, 10, 5, UNIX_EPOCH);
    let wrong = [
        (1, left, Ignored::UnknownPlayer),
        (1, join("ann"), Ignored::JoinedBefore),
        (2, join("eve"), Ignored::JoinedBefore),
        (2, lost, Ignored::LostBefore),
        (9, SeatEvent::Back(Arc::default()), Ignored::UnknownPlayer),
    ];
    for (player, event, ignored) in wrong {
        assert_eq!(r.handle(&lobby(), player, event, 4), Err(ignored));
    }
    assert_eq!(told(&mut r), []);
    assert_eq!(r.view(None, 10, 5, UNIX_EPOCH), before);
}

#[test]
fn a_room_that_ends_leaves_nothing_behind() {
    let mut r = roster();
    r.handle(&lobby(), 1, join("ann"), 0).unwrap();
    r.handle(&lobby(), 2, join("bob"), 0).unwrap();
    r.handle(&lobby(), 2, SeatEvent::Lost(LostReason::Removed(CloseCode::SlowConsumer)), 0).unwrap();
    r.room_ended(&lobby(), 9).unwrap();
    assert!(r.is_empty());
    let view = r.view(None, 10, 10, UNIX_EPOCH);
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
    let all = r.view(None, 3, 0, UNIX_EPOCH);
    assert_eq!((all.member_count, all.members.len(), all.players, all.connections), (6, 3, 6, 5));
    let other = r.view(Some("other"), 3, 0, UNIX_EPOCH);
    assert_eq!((other.members.len(), other.members[0].state), (1, MemberState::Away));
    assert_eq!(r.view(Some("nowhere"), 3, 0, UNIX_EPOCH), Default::default());
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
        // The vitals are of its first moment: nobody is heard of for longer than that.
        let view = r.view(None, 10, now, UNIX_EPOCH);
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
        let view = r.view(Some("lobby"), 10, now, UNIX_EPOCH + Duration::from_millis(wall_ms));
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
        told(&mut r);
    }
    let view = r.view(None, 10, 0, UNIX_EPOCH);
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

/// What a room's members were told of a seat.
#[derive(Debug, Default, Clone, PartialEq)]
struct Told {
    joined: u32,
    ended: Vec<LeaveReason>,
}

const REASONS: [LeaveReason; 4] =
    [LeaveReason::Left, LeaveReason::TimedOut, LeaveReason::Disconnected, LeaveReason::Removed];

proptest! {
    /// Whatever rooms report, in whatever order: each seat is told joined once and left once with the reason given,
    /// the totals add up, only seats that are away are asked for, and in the end nothing is left.
    #[test]
    fn joined_once_left_once_no_ghosts(ops in proptest::collection::vec(op(), 1..200)) {
        let rooms: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
        let mut r = roster();
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
                        0 => (join(&format!("user{}", player % 3)), last.get(&room).is_none_or(|l| player > *l)),
                        1 => (SeatEvent::Lost(LostReason::TimedOut), seats.get(&key) == Some(&false)),
                        2 => (SeatEvent::Back(Arc::default()), seats.contains_key(&key)),
                        _ => (SeatEvent::Left(why), seats.contains_key(&key)),
                    };
                    let result = r.handle(&rooms[room as usize], player, event.clone(), now);
                    prop_assert_eq!(result.is_ok(), valid, "{:?} {:?}", &event, result);
                    let mut here = Told::default();
                    for (_, message) in told(&mut r) {
                        let ToRoom::Announce(Announce { to: Recipient::All, presence, .. }) = message else { continue };
                        for member in presence.members {
                            match member.change() {
                                Change::Joined => here.joined += 1,
                                Change::Away | Change::Back => {}
                                change => here.ended.extend(REASONS.iter().filter(|r| r.change() == change)),
                            }
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
                            SeatEvent::Lost(_) => { seats.insert(key, true); }
                            SeatEvent::Back(_) => { seats.insert(key, false); }
                            SeatEvent::Left(why) => {
                                seats.remove(&key);
                                // The last one out has nobody to tell.
                                if seats.keys().any(|(other, _)| *other == room) {
                                    expected.ended.push(why);
                                }
                            }
                        }
                    }
                    prop_assert_eq!(here, expected);
                }
                Op::RoomEnded(room) => {
                    let known = last.remove(&room).is_some();
                    prop_assert_eq!(r.room_ended(&rooms[room as usize], now).is_ok(), known);
                    seats.retain(|(other, _), _| *other != room);
                }
                Op::Pass(us) => {
                    now += us;
                    r.handle_timeout(now);
                    for (room, message) in told(&mut r) {
                        let ToRoom::SeatExpired { player, why } = message else {
                            return Err(TestCaseError::fail("time alone tells members nothing"));
                        };
                        let room = rooms.iter().position(|name| *name == room).unwrap() as u8;
                        prop_assert_eq!(seats.get(&(room, player)), Some(&true));
                        prop_assert_eq!(why, LeaveReason::TimedOut);
                    }
                }
            }
            let view = r.view(None, usize::MAX, now, UNIX_EPOCH);
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
