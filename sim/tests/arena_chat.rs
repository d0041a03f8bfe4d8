//! Chat in the arena: what a command does, what everybody is told, what is refused. `chat.rs` tests the
//! limits themselves.

mod common;

use common::arena::Room;
use driftless_sim::{
    PlayerInput, chat,
    game::CommandError,
    games::arena::{
        arena_command::Body as Command,
        arena_event::{Body as Event, Chat, Typing},
    },
};

fn room() -> Room {
    let mut room = Room::new(1, 20);
    room.join(1);
    room.join(2);
    room
}

fn typing(player: u32, on: bool) -> Event {
    Event::Typing(Typing { player, on })
}

fn say(room: &mut Room, text: &str) -> Result<(), CommandError> {
    room.command(1, Command::Chat(text.into()))
}

#[test]
fn a_message_is_told_to_everybody() {
    let mut room = room();
    say(&mut room, " hello ").unwrap();
    assert_eq!(room.events(), [Event::Chat(Chat { player: 1, text: "hello".into() })]);
}

#[test]
fn a_message_ends_the_typing_indicator_first() {
    let mut room = room();
    room.command(1, Command::Typing(true)).unwrap();
    say(&mut room, "hello").unwrap();
    let chat = Event::Chat(Chat { player: 1, text: "hello".into() });
    assert_eq!(room.events(), [typing(1, true), typing(1, false), chat]);
}

#[test]
fn the_typing_indicator_ends_by_itself() {
    let mut room = room();
    room.command(2, Command::Typing(true)).unwrap();
    room.events();
    room.idle(20 * chat::TYPING_SECONDS - 1);
    assert_eq!(room.events(), []);
    room.idle(1);
    assert_eq!(room.events(), [typing(2, false)]);
}

#[test]
fn leaving_ends_the_typing_indicator() {
    let mut room = room();
    room.command(2, Command::Typing(true)).unwrap();
    room.events();
    room.leave(2);
    assert_eq!(room.events(), [typing(2, false)]);
}

#[test]
fn refusals_say_why_and_tell_nobody() {
    let mut room = room();
    for text in ["", "a\u{7}b", &"x".repeat(201)] {
        assert!(matches!(say(&mut room, text), Err(CommandError::Refused(_))));
    }
    (0..chat::BURST).for_each(|_| say(&mut room, "x").unwrap());
    room.events();
    let refused = CommandError::Refused("too many messages; wait a second".into());
    assert_eq!(say(&mut room, "x"), Err(refused));
    assert_eq!(room.events(), []);
}

#[test]
fn bytes_that_are_no_command_are_malformed() {
    let mut game = common::start("arena", 1, 20);
    game.join(1, 1, "");
    assert!(matches!(game.command(1, 1, &[0xff]), Err(CommandError::Malformed(_))));
    assert!(matches!(game.command(1, 1, &[]), Err(CommandError::Refused(_))));
    assert!(game.input(PlayerInput::new(1, &[0x08])).is_err());
}
