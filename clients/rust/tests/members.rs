//! The members of a room, as an application sees them.
#![allow(clippy::unwrap_used)]

mod support;

use driftless_client::{
    Event, Options,
    proto::wire::{self, Member, Presence, member::Change},
};
use prost::Message;
use std::time::Duration;
use support::pair::{Pair, options};

/// A member with this many seats.
fn member(user: &str, seats: u32, change: Change) -> Member {
    Member { user: user.into(), players: (0..seats).collect(), change: change.into(), ..Member::default() }
}

fn tell(pair: &mut Pair, since: u64, version: u64, members: Vec<Member>) {
    let presence = Presence { members, version, since, more: false };
    let body = Some(wire::server_message::Body::Presence(presence));
    let message = wire::ServerMessage { body }.encode_to_vec();
    pair.core.handle_message(pair.now, message.into()).unwrap();
    pair.step();
}

fn users(pair: &Pair) -> Vec<&str> {
    pair.core.members().unwrap().iter().map(|member| &*member.user).collect()
}

/// The users that the application was last told of.
fn told(pair: &Pair) -> Vec<&str> {
    let last = pair.events.iter().rev().find_map(|event| match event {
        Event::Presence(presence) => Some(presence),
        _ => None,
    });
    last.unwrap().members.iter().map(|member| &*member.user).collect()
}

#[test]
fn members_are_kept_over_a_resume_and_only_changes_follow() {
    let mut pair = Pair::joined();
    assert!(!pair.core.members().unwrap().is_complete());
    tell(&mut pair, 0, 2, vec![member("ann", 1, Change::Joined), member("bob", 1, Change::Joined)]);
    assert_eq!((users(&pair), told(&pair)), (vec!["ann", "bob"], vec!["ann", "bob"]));
    pair.cut(&mut fastrand::Rng::with_seed(1));
    pair.settle();
    assert_eq!((pair.room.resumes, pair.room.presence_version), (1, 2));
    assert_eq!(users(&pair), ["ann", "bob"]);
    tell(&mut pair, 2, 5, vec![member("ann", 0, Change::Left), member("eve", 1, Change::Joined)]);
    assert_eq!((users(&pair), told(&pair)), (vec!["bob", "eve"], vec!["ann", "eve"]));
    assert!(pair.core.members().unwrap().is_complete());
    assert_eq!(pair.core.stats().presence, 2);
}

#[test]
fn a_list_that_begins_anew_voids_what_was_told() {
    let mut pair = Pair::joined();
    tell(&mut pair, 0, 2, vec![member("ann", 1, Change::Joined), member("bob", 1, Change::Joined)]);
    tell(&mut pair, 0, 9, vec![member("bob", 1, Change::Back)]);
    assert_eq!(users(&pair), ["bob"]);
}

// Promise 5: "A player is reported joined once, left once, with the true reason"
#[test]
fn who_was_never_told_of_is_not_told_to_have_left() {
    let mut pair = Pair::joined();
    tell(&mut pair, 0, 1, vec![member("ann", 1, Change::Joined)]);
    tell(&mut pair, 1, 3, vec![member("eve", 0, Change::Left), member("ann", 0, Change::TimedOut)]);
    assert_eq!((users(&pair), told(&pair)), (vec![], vec!["ann"]));
}

#[test]
fn a_new_seat_begins_with_an_empty_list() {
    let mut pair = Pair::joined();
    tell(&mut pair, 0, 1, vec![member("ann", 1, Change::Joined)]);
    pair.room.forget_seat();
    pair.cut(&mut fastrand::Rng::with_seed(1));
    pair.settle();
    assert_eq!(pair.room.joins, 2);
    assert_eq!(users(&pair), Vec::<&str>::new());
}

#[test]
fn who_wants_no_members_kept_is_told_all_the_same() {
    let mut pair = Pair::new(Options { keep_members: false, ..options() });
    pair.run(Duration::from_millis(500));
    tell(&mut pair, 0, 1, vec![member("ann", 1, Change::Joined)]);
    assert_eq!((pair.core.members(), told(&pair)), (None, vec!["ann"]));
}
