//! Commands: each exactly once, in order, across resumes.

use crate::util::{Conditions, Pair, client, ms, server};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
    limits::{MAX_COMMAND, PROTOCOL},
    session::{
        Delivery,
        client::{ClientEvent, SendError, ServerError},
    },
    wire::{
        Command, CommandRefused, Reliable, ServerPong, Welcome, client_message::Body, reliable,
        server_message,
    },
};

fn command(sequence: u64) -> Bytes {
    client(Body::Command(Command { sequence, payload: Bytes::from_static(b"say") }))
}

#[test]
fn commands_arrive_once_in_order_across_resumes() {
    for seed in 0..10 {
        let link = Conditions { delay: ms(20), jitter: ms(20), loss: 3, ..Conditions::default() };
        let mut pair = Pair::new(Delivery::Ordered, link, seed);
        pair.run(ms(500));
        let mut sent: Vec<Bytes> = Vec::new();
        for n in 0..400u32 {
            let payload = Bytes::from(n.to_le_bytes().to_vec());
            if let Ok(sequence) = pair.client.send_command(payload.clone()) {
                sent.push(payload);
                assert_eq!(sequence, sent.len() as u64);
            }
            pair.run(ms(10));
            if pair.dice.percent(3) {
                pair.reconnect(false);
            }
        }
        pair.run(ms(3_000));
        pair.assert_healthy();
        assert!(sent.len() > 100);
        assert_eq!(pair.served.as_ref().unwrap().commands, sent, "seed {seed}");
    }
}

#[test]
fn repeated_command_is_ignored() {
    let mut pair = Pair::joined(Delivery::Ordered);
    for sequence in [1, 1, 2, 1, 2, 3] {
        pair.deliver_to_server(command(sequence));
    }
    pair.assert_healthy();
    assert_eq!(pair.served.as_ref().unwrap().commands.len(), 3);
}

#[test]
fn skipped_command_is_unexpected() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.deliver_to_server(command(1));
    pair.deliver_to_server(command(3));
    assert_eq!(pair.server.closing(), Some(CloseCode::Unexpected));
}

// Promise 9: an earlier connection may have brought a command that is carried out after the resume.
#[test]
fn command_that_is_done_need_not_come_by_this_connection() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.server.done_commands(1);
    pair.deliver_to_server(command(2));
    pair.assert_healthy();
    pair.deliver_to_server(command(4));
    assert_eq!(pair.server.closing(), Some(CloseCode::Unexpected));
}

#[test]
fn command_longer_than_allowed_is_refused() {
    let mut pair = Pair::joined(Delivery::Ordered);
    let long = Bytes::from(vec![0; MAX_COMMAND + 1]);
    assert_eq!(pair.client.send_command(long.clone()), Err(SendError::TooLarge(MAX_COMMAND + 1)));
    pair.deliver_to_server(client(Body::Command(Command { sequence: 1, payload: long })));
    assert_eq!(pair.server.closing(), Some(CloseCode::TooLarge));
}

// Promise 3
#[test]
fn command_that_was_refused_is_not_refused_again_when_its_seat_is_lost() {
    let mut pair = Pair::joined(Delivery::Ordered);
    [1, 2].into_iter().for_each(|n| assert_eq!(pair.client.send_command(Bytes::new()), Ok(n)));
    pair.run(ms(100));
    let refused = CommandRefused { command: 2, reason: "no".into() };
    let body = Some(reliable::Body::CommandRefused(refused));
    pair.deliver_to_client(server(server_message::Body::Reliable(Reliable { sequence: 1, body })));
    pair.reconnect(true);
    pair.run(ms(200));
    let refusals = pair.events.iter().filter(|event| matches!(event, ClientEvent::CommandRefused(_)));
    assert_eq!(refusals.count(), 1);
}

#[test]
fn waiting_commands_are_bounded() {
    let mut pair = Pair::joined(Delivery::Ordered);
    for n in 1..=64 {
        assert_eq!(pair.client.send_command(Bytes::new()), Ok(n));
    }
    assert_eq!(pair.client.send_command(Bytes::new()), Err(SendError::TooManyCommands(64)));
    pair.run(ms(100));
    assert_eq!(pair.client.send_command(Bytes::new()), Ok(65), "a crowded queue asks what has arrived");
}

#[test]
fn nothing_is_queued_outside_the_room() {
    let mut pair = Pair::new(Delivery::Ordered, Conditions::default(), 1);
    assert_eq!(pair.client.send_command(Bytes::new()), Err(SendError::NotActive));
    assert_eq!(pair.client.send_input(Bytes::new()), Err(SendError::NotActive));
    pair.run(ms(100));
    pair.client.leave();
    assert_eq!(pair.client.send_command(Bytes::new()), Err(SendError::NotActive));
    assert_eq!(pair.client.send_input(Bytes::new()), Err(SendError::NotActive));
}

#[test]
fn confirmation_of_a_command_that_was_never_sent_is_the_servers_fault() {
    for command_received in [2, u64::MAX] {
        let mut pair = Pair::joined(Delivery::Ordered);
        assert_eq!(pair.client.send_command(Bytes::new()), Ok(1));
        pair.run(ms(100));
        let pong = ServerPong { command_received, ..ServerPong::default() };
        pair.deliver_to_client(server(server_message::Body::Pong(pong)));
        assert!(matches!(pair.client_error, Some(ServerError::Unexpected(_))), "{:?}", pair.client_error);
        assert_eq!(pair.client.send_command(Bytes::new()), Err(SendError::NotActive));
    }
}

#[test]
fn welcome_to_a_new_seat_that_confirms_a_command_is_the_servers_fault() {
    let mut pair = Pair::new(Delivery::Ordered, Conditions::default(), 1);
    assert!(pair.client.poll_transmit(pair.now, &mut BytesMut::new()));
    let schema = Some(pair.room.schema.to_wire());
    let welcome = Welcome { protocol: PROTOCOL, schema, command_received: 1, ..Welcome::default() };
    pair.deliver_to_client(server(server_message::Body::Welcome(welcome)));
    assert!(matches!(pair.client_error, Some(ServerError::Unexpected(_))), "{:?}", pair.client_error);
    assert!(!pair.client.is_active() && pair.events.is_empty());
}
