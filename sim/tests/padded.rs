//! Messages with fields that the game does not know: nobody's record is filled with those.
#![allow(clippy::unwrap_used)] // in tests

mod common;

use common::{play, start};
use driftless_sim::{
    PlayerInput,
    game::Taken,
    games::arena::{ArenaCommand, ArenaInput, arena_command::Body},
    replay::{Action, TickRecord},
};
use prost::Message;

/// The same message with a field that the game does not know.
fn padded(message: &impl Message) -> Vec<u8> {
    let mut bytes = message.encode_to_vec();
    bytes.extend([0x82, 0x7d, 0x90, 0x03]); // field 2000, 400 bytes
    bytes.extend([b'x'; 400]);
    bytes
}

// Promise 1
#[test]
fn what_is_recorded_of_a_padded_message_is_the_game_s_own_and_does_the_same() {
    let command = ArenaCommand { body: Some(Body::Chat("hello".into())) };
    let input = ArenaInput { move_x: 100, aim_y: -7, buttons: 1, ..ArenaInput::default() };
    let (mut game, mut replayed) = (start("arena", 5, 20), start("arena", 5, 20));
    let join = Action::Join { player: 1, name: "ann".into() };
    for game in [&mut game, &mut replayed] {
        play(&mut **game, &TickRecord { tick: 1, actions: vec![join.clone()], ..TickRecord::default() });
    }
    assert_eq!(
        game.own_command(&command.encode_to_vec()),
        None,
        "nothing is copied of what is as it should be"
    );
    assert_eq!(game.own_command(&[0xff]), None, "whoever takes it says that it is none");
    let own = game.own_command(&padded(&command)).unwrap();
    assert_eq!(own, command.encode_to_vec());
    game.command(1, 1, &own).unwrap();
    let sent = padded(&input);
    let taken = game.take_input(PlayerInput::new(1, &sent[..])).unwrap();
    assert_eq!(taken, Taken::Other(input.encode_to_vec().into()));
    game.step(2);
    replayed.command(1, 1, &own).unwrap();
    replayed.input(PlayerInput::new(1, &input.encode_to_vec()[..])).unwrap();
    replayed.step(2);
    assert_eq!(game.checksum(), replayed.checksum());
}
