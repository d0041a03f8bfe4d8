//! What players of the arena choose by commands: a colour, a match, a rematch.

mod common;

use common::arena::Room;
use driftless_sim::{
    game::CommandError,
    games::arena::{ArenaCommand, arena_command, arena_command::Body as Command, arena_event, rules},
};

const RATE: u32 = 20;

fn wanted(round_s: u32, bots: u32) -> Command {
    Command::Match(arena_command::Match { round_s, bots })
}

#[test]
fn a_colour_is_seen_by_all_and_others_are_refused_by_name() {
    let mut room = Room::new(1, RATE);
    room.join(1);
    assert_eq!(room.player(1).colour, 0);
    room.command(1, Command::Colour(7)).unwrap();
    room.idle(1);
    assert_eq!(room.player(1).colour, 7);
    for colour in [0, 13, u32::MAX] {
        let refused = CommandError::Refused(format!("colour is {colour}, outside 1..=12"));
        assert_eq!(room.command(1, Command::Colour(colour)), Err(refused));
    }
    assert!(room.command(9, Command::Colour(1)).is_err(), "has no seat");
}

// Promise 4
#[test]
fn colours_change_at_most_twice_a_second() {
    let mut room = Room::new(1, RATE);
    room.join(1);
    room.command(1, Command::Colour(1)).unwrap();
    room.command(1, Command::Colour(1)).unwrap();
    let refused = CommandError::Refused("too many colours; wait a moment".into());
    assert_eq!(room.command(1, Command::Colour(2)), Err(refused));
    room.idle(rules::COLOUR_INTERVAL_MS * RATE / 1_000);
    room.command(1, Command::Colour(2)).unwrap();
}

#[test]
fn the_first_who_asks_starts_a_match() {
    let mut room = Room::new(1, RATE);
    room.join(1);
    room.idle(5 * RATE);
    room.command(1, wanted(60, 0)).unwrap();
    let begins = arena_event::Round { number: 1, playing: true, seconds_left: 60, winner: 0, score: 0 };
    assert_eq!(room.rounds(), [begins]);
    room.join(2);
    room.rounds();
    room.command(2, wanted(30, 0)).unwrap();
    assert_eq!(room.rounds(), [], "it goes on");
}

#[test]
fn a_match_that_cannot_be_is_refused_and_may_be_asked_for_again() {
    let mut room = Room::new(1, RATE);
    room.join(1);
    for (round_s, bots, named) in [(9, 0, "round_s"), (3_601, 0, "round_s"), (60, 8, "bots")] {
        let Err(CommandError::Refused(why)) = room.command(1, wanted(round_s, bots)) else {
            panic!("{round_s}, {bots}")
        };
        assert!(why.starts_with(named), "{why}");
    }
    room.command(1, wanted(60, 7)).unwrap();
    assert_eq!(room.rounds().len(), 1);
}

#[test]
fn no_match_starts_where_the_maker_has_chosen() {
    for options in [r#"{"round_s": 0}"#, r#"{"bots": 0}"#] {
        let mut room = Room::with_options(1, RATE, options);
        room.join(1);
        room.command(1, wanted(60, 3)).unwrap();
        assert_eq!(room.rounds(), [], "{options}");
    }
}

#[test]
fn the_next_round_begins_when_all_people_want_it() {
    let mut room = Room::with_options(1, RATE, r#"{"round_s": 10}"#);
    room.join(1);
    room.join(2);
    room.command(1, Command::Again(true)).unwrap();
    room.idle(10 * RATE);
    room.rounds();
    room.idle(5);
    assert_eq!(room.rounds(), [], "what was wanted in the round before does not count");
    room.command(1, Command::Again(true)).unwrap();
    room.idle(5);
    assert_eq!(room.rounds(), [], "another has not said so");
    room.command(2, Command::Again(true)).unwrap();
    room.idle(1);
    let begun = room.rounds();
    assert!(matches!(begun[..], [arena_event::Round { number: 2, playing: true, .. }]), "{begun:?}");
}

#[test]
fn a_command_without_a_body_is_refused() {
    let empty = prost::Message::encode_to_vec(&ArenaCommand::default());
    let mut game = common::start("arena", 1, RATE);
    game.join(1, 1, "");
    assert!(matches!(game.command(1, 1, &empty), Err(CommandError::Refused(_))));
}
