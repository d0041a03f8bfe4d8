//! Reliable messages.
//!
//! Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window."

use crate::util::{Conditions, Pair, event, ms, server};
use bytes::Bytes;
use driftless_proto::{
    code::CloseCode,
    limits::Limits,
    session::{Delivery, client::ClientEvent, client::ServerError},
    wire::{self, server_message::Body},
};

fn reliable(sequence: u64) -> bytes::Bytes {
    let body = Some(wire::reliable::Body::Event(event(sequence as u32)));
    server(Body::Reliable(wire::Reliable { sequence, body }))
}

// Promise 3
#[test]
fn events_arrive_once_in_order_across_resumes() {
    for delivery in [Delivery::Ordered, Delivery::Datagram] {
        for seed in 0..10 {
            let link = Conditions { delay: ms(20), jitter: ms(20), loss: 3, ..Conditions::default() };
            let mut pair = Pair::new(delivery, link, seed);
            pair.run(ms(500));
            let mut pushed = 0;
            for _ in 0..60 {
                for _ in 0..3 {
                    pushed += 1;
                    assert!(pair.push_event(pushed));
                }
                pair.run(ms(40));
                if pair.dice.percent(20) {
                    pair.reconnect(false);
                }
            }
            pair.run(ms(1_500));
            pair.assert_healthy();
            let expected: Vec<u32> = (1..=pushed).collect();
            assert_eq!(pair.event_numbers(), expected, "{delivery:?}, seed {seed}");
            assert!(pair.served.as_ref().unwrap().queue.is_empty(), "all acknowledged");
        }
    }
}

#[test]
fn acknowledgements_go_at_tick_rate_however_much_comes() {
    for delivery in [Delivery::Ordered, Delivery::Datagram] {
        for every in [None, Some(ms(50))] {
            let mut pair = Pair::joined(delivery);
            pair.input_every = every;
            let before = pair.messages_up;
            for n in 0..1_250 {
                assert!(pair.push_event(n)); // 250 a second
                pair.run(ms(4));
            }
            // One input or acknowledgement per tick, one ping every two seconds, and answers to the server's
            // pings.
            let sent = pair.messages_up - before;
            pair.run(ms(100));
            pair.assert_healthy();
            assert_eq!(pair.event_numbers().len(), 1_250);
            assert!((80..=105).contains(&sent), "{delivery:?}, inputs every {every:?}: {sent} in 100 ticks");
        }
    }
}

// Promise 3
#[test]
fn events_that_came_while_away_arrive_after_the_resume() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.push_event(1);
    pair.run(ms(100));
    pair.lose();
    pair.push_event(2);
    pair.push_event(3);
    pair.run(ms(1_000));
    assert_eq!(pair.event_numbers(), [1]);
    pair.reconnect(false);
    pair.run(ms(200));
    pair.assert_healthy();
    assert_eq!(pair.event_numbers(), [1, 2, 3]);
}

#[test]
fn acks_go_alone_when_there_is_no_input() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.input_every = None;
    pair.push_event(1);
    pair.run(ms(100));
    assert!(pair.served.as_ref().unwrap().queue.is_empty());
    let sent = pair.states_sent.len();
    pair.run(ms(1_000));
    assert!(pair.states_sent.len() >= sent + 19, "states flow to a player who does nothing");
}

// Promise 4: "One client, however slow or hostile, does not … grow memory without bound."
#[test]
fn slow_consumer_is_closed_with_bounded_memory() {
    let limits = Limits { reliable_messages: 16, reliable_bytes: 4096, ..Limits::default() };
    let mut pair = Pair::with_limits(Delivery::Ordered, Conditions::default(), 1, limits);
    pair.run(ms(200));
    pair.down.stalled = true;
    let refused = (0..10_000u32).find(|&n| !pair.push_event(n)).expect("the queue is bounded");
    // Each of these events costs 74 to 78 bytes, and four times the configured bytes are kept.
    assert!((4 * 4096 / 78..=4 * 4096 / 74).contains(&refused), "{refused}");
    assert_eq!(pair.most_reliable, refused as usize);
    pair.run(ms(10));
    assert_eq!(pair.server.closing(), Some(CloseCode::SlowConsumer));
    pair.down.stalled = false;
    pair.run(ms(10));
    assert_eq!(pair.client.closed(), Some(CloseCode::SlowConsumer));
    pair.reconnect(false);
    pair.run(ms(50));
    assert_eq!(pair.client.closed(), Some(CloseCode::UnknownSession), "no resume without a gap");
}

#[test]
fn repeated_reliable_message_is_ignored() {
    let mut pair = Pair::joined(Delivery::Ordered);
    for sequence in [1, 2, 1, 2, 2, 3] {
        pair.deliver_to_client(reliable(sequence));
    }
    assert_eq!(pair.client_error, None);
    assert_eq!(pair.event_numbers(), [1, 2, 3]);
}

#[test]
fn skipped_reliable_message_is_the_servers_fault() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.deliver_to_client(reliable(1));
    pair.deliver_to_client(reliable(3));
    assert_eq!(pair.client_error, Some(ServerError::Gap { got: 3, last: 1 }));
    assert_eq!(pair.event_numbers(), [1]);
}

#[test]
fn reliable_message_of_an_unknown_kind_keeps_its_number() {
    let mut pair = Pair::joined(Delivery::Ordered);
    let unknown = wire::Reliable { sequence: 1, body: None };
    pair.deliver_to_client(server(Body::Reliable(unknown)));
    pair.deliver_to_client(reliable(2));
    assert_eq!(pair.client_error, None);
    assert_eq!(pair.event_numbers(), [2]);
}

#[test]
fn refusals_are_events() {
    let mut pair = Pair::joined(Delivery::Ordered);
    (1..=4).for_each(|n| assert_eq!(pair.client.send_command(Bytes::new()), Ok(n)));
    pair.run(ms(100));
    let refused = wire::CommandRefused { command: 4, reason: "no".into() };
    let body = Some(wire::reliable::Body::CommandRefused(refused));
    pair.deliver_to_client(server(Body::Reliable(wire::Reliable { sequence: 1, body })));
    assert!(matches!(pair.events.last(), Some(ClientEvent::CommandRefused(_))), "{:?}", pair.events.last());
}
