//! A session that only watches.

use crate::util::{Conditions, Pair, client, join, ms};
use bytes::Bytes;
use driftless_proto::{
    code::CloseCode,
    session::{
        Delivery, client::ClientConfig, client::ClientEvent, client::ClientSession, client::SendError,
    },
    wire::{self, client_message::Body},
};

fn watching(delivery: Delivery) -> Pair {
    let mut pair = Pair::new(delivery, Conditions { delay: ms(5), ..Conditions::default() }, 1);
    let config = ClientConfig { delivery, ..ClientConfig::default() };
    pair.client = ClientSession::join(pair.now, config, wire::Join { spectate: true, ..join() });
    pair.run(ms(200));
    assert!(pair.client.is_active());
    pair
}

#[test]
fn states_and_events_come_though_nothing_is_sent() {
    for delivery in [Delivery::Ordered, Delivery::Datagram] {
        let mut pair = watching(delivery);
        assert_eq!(pair.client.send_input("x".into()), Err(SendError::Spectating));
        assert_eq!(pair.client.send_command("x".into()), Err(SendError::Spectating));
        pair.push_event(1);
        pair.run(ms(1_000));
        pair.assert_healthy();
        assert!(pair.ticks().len() > 18, "{:?}", pair.ticks());
        assert_eq!(pair.event_numbers(), [1]);
        assert!(
            pair.server.in_flight_limit() <= 2,
            "acknowledged at once, not after an input that never comes"
        );
        assert!(pair.served.as_ref().unwrap().queue.is_empty(), "and so are events");
    }
}

// Promise 6
#[test]
fn whatever_would_play_is_answered_by_its_own_code() {
    let input = wire::Input { sequence: 1, payload: Bytes::from_static(b"go"), ..wire::Input::default() };
    let command = wire::Command { sequence: 1, ..wire::Command::default() };
    for body in [Body::Input(input), Body::Command(command)] {
        let mut pair = watching(Delivery::Ordered);
        pair.deliver_to_server(client(body));
        assert_eq!(pair.server.closing(), Some(CloseCode::Spectating));
        assert_eq!(pair.server_error.as_ref().map(|error| error.code), pair.server.closing());
        pair.run(ms(50));
        assert_eq!(pair.client.closed(), Some(CloseCode::Spectating));
    }
}

#[test]
fn whoever_was_cut_off_joins_again() {
    let mut pair = watching(Delivery::Ordered);
    pair.reconnect(false);
    pair.run(ms(200));
    pair.assert_healthy();
    let welcomes = pair.events.iter().filter_map(|event| match event {
        ClientEvent::Welcome(welcome) => Some((welcome.spectating, welcome.resumed)),
        _ => None,
    });
    assert_eq!(welcomes.collect::<Vec<_>>(), [(true, false); 2]);
}
