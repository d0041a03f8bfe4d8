//! Messages that come late and all at once, and messages that are too many.
//!
//! Promise 9: "Honest clients are not punished for what the server, a proxy or the network did: a backlog
//! after a freeze or a blackout is taken, a seat survives it."

use crate::util::{Conditions, Pair, Published, client, event, join, ms};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
    limits::{Limits, READ_FIRST},
    reliable::encode_body,
    session::{Delivery, server::ServerSession},
    wire::{self, client_message::Body},
};
use std::time::{Duration, Instant};

const BOTH: [Delivery; 2] = [Delivery::Ordered, Delivery::Datagram];

fn ping(time_us: u64) -> Bytes {
    client(Body::Ping(wire::Ping { time_us }))
}

fn command(sequence: u64) -> Bytes {
    client(Body::Command(wire::Command { sequence, payload: Bytes::new() }))
}

fn input(sequence: u32) -> wire::Input {
    wire::Input { sequence, ..wire::Input::default() }
}

/// Sends pings until the credit is used up.
fn spend(pair: &mut Pair) {
    for time_us in 0.. {
        let before = pair.server.stats().excess_dropped;
        pair.deliver_to_server(ping(time_us));
        pair.assert_healthy();
        if pair.server.stats().excess_dropped > before {
            return;
        }
    }
}

// Promise 9
#[test]
fn all_of_a_black_out_of_nearly_a_timeout_is_taken() {
    for delivery in BOTH {
        let mut pair = Pair::joined(delivery);
        pair.tick = Duration::from_secs(1) / 128;
        pair.input_every = Some(pair.tick);
        pair.run(ms(1000));
        pair.up.stalled = true;
        pair.up_datagrams.stalled = true;
        pair.run(ms(9_800));
        let before = pair.served.as_ref().unwrap().inputs.len();
        pair.up.stalled = false;
        pair.up_datagrams.stalled = false;
        pair.run(ms(100));
        pair.assert_healthy();
        assert!(pair.client.is_active());
        let taken = pair.served.as_ref().unwrap().inputs.len() - before;
        assert!(taken > 1200, "{taken} inputs of 9.8 s at 128 Hz, {delivery:?}");
        assert_eq!(pair.server.stats().excess_dropped, 0);
    }
}

// Promise 9
#[test]
fn who_acknowledges_faster_than_the_rate_stays() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.input_every = None;
    for n in 0..60_000u32 {
        if n.is_multiple_of(2) {
            pair.deliver_to_server(client(Body::Ack(wire::Ack::default())));
        }
        pair.now += ms(1);
        if n.is_multiple_of(100) {
            pair.run(ms(1));
        }
    }
    pair.assert_healthy();
    assert_eq!(pair.server.stats().excess_dropped, 0, "an acknowledgement is never dropped");
}

#[test]
fn what_is_too_much_is_dropped_but_for_its_acknowledgements() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.input_every = None;
    pair.run(ms(100));
    spend(&mut pair);
    let (received, taken) = (pair.server.input_received(), pair.served.as_ref().unwrap().inputs.len());

    assert!(pair.push_event(1));
    let mut out = BytesMut::new();
    assert!(pair.server.poll_reliable(&mut pair.served.as_mut().unwrap().queue, &mut out));
    let acks = wire::Input { reliable_ack: 1, ..input(received + 1) };
    pair.deliver_to_server(client(Body::Input(acks)));
    pair.assert_healthy();
    assert!(pair.served.as_ref().unwrap().queue.is_empty(), "the acknowledgement is taken");
    assert_eq!(pair.served.as_ref().unwrap().inputs.len(), taken, "the input is as if lost");
    assert_eq!(pair.server.input_received(), received);

    pair.now += ms(1000);
    pair.deliver_to_server(client(Body::Input(input(received + 2))));
    assert_eq!(pair.server.input_received(), received + 2, "credit has grown");
    pair.assert_healthy();
}

#[test]
fn a_command_too_much_is_refused_by_its_number_and_the_next_is_in_order() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.deliver_to_server(command(1));
    spend(&mut pair);
    pair.deliver_to_server(command(2));
    pair.now += ms(1000);
    pair.deliver_to_server(command(3));
    pair.assert_healthy();
    let served = pair.served.as_ref().unwrap();
    assert_eq!((served.commands.len(), &served.refused[..]), (2, &[2][..]));
}

#[test]
fn a_leave_is_taken_within_any_flood() {
    let mut pair = Pair::joined(Delivery::Ordered);
    spend(&mut pair);
    pair.deliver_to_server(client(Body::Leave(wire::Leave {})));
    assert_eq!(pair.server.closing(), Some(CloseCode::Left));
}

/// How many messages are taken or dropped before the peer is disconnected.
fn until_cut_off(mut message: impl FnMut(u32) -> Bytes) -> usize {
    let mut pair = Pair::joined(Delivery::Ordered);
    let cut = (0..100_000).position(|n| {
        pair.deliver_to_server(message(n));
        pair.server.closing().is_some()
    });
    assert_eq!(pair.server.closing(), Some(CloseCode::RateLimited));
    cut.unwrap()
}

// Promise 4: "One client, however slow or hostile, does not delay another's tick or grow memory without
// bound."
#[test]
fn a_flood_that_goes_on_is_cut_off() {
    // Credit: the rate for 12 s. Then three times the rate for 10 s.
    let pings = until_cut_off(|n| ping(n.into()));
    assert!((12_500..=12_600).contains(&pings), "{pings} pings at once");
    let inputs = until_cut_off(|n| client(Body::Input(input(n + 100))));
    assert!((12_500..=12_600).contains(&inputs), "{inputs} inputs at once");
    let repeated = until_cut_off(|n| {
        let previous = vec![Bytes::new(); 8];
        client(Body::Input(wire::Input { previous, ..input(1000 + n * 9) }))
    });
    assert!((690..=700).contains(&repeated), "{repeated} messages with nine inputs each");
    // A message of 16 KiB counts five times: a flood of them is no more than 41 MB.
    let mut large = vec![0; Limits::default().message_bytes];
    // An unknown field that fills the rest.
    large[..4].copy_from_slice(&[0xa2, 0x06, 0xfc, 0x7f]);
    let large = Bytes::from(large);
    let large = until_cut_off(|_| large.clone());
    assert!((2_500..=2_520).contains(&large), "{large} messages of 16 KiB");
}

#[test]
fn a_flood_slower_than_four_times_the_rate_costs_its_sender_alone() {
    let limits = Limits { messages_per_second: 100, ..Limits::default() };
    let mut pair = Pair::with_limits(Delivery::Ordered, Conditions::default(), 1, limits);
    pair.run(ms(200));
    for n in 0..60_000u64 {
        pair.now += ms(1);
        if n % 3 == 0 {
            pair.deliver_to_server(ping(n));
        }
    }
    assert_eq!(pair.server_error, None);
    let dropped = pair.server.stats().excess_dropped;
    assert!((12_000..=13_500).contains(&dropped), "{dropped}");
}

// Promise 9
#[test]
fn nobody_is_silent_while_the_server_does_not_read() {
    let mut pair = Pair::joined(Delivery::Ordered);
    let stall = Duration::from_secs(12);
    pair.now += stall;
    pair.server.handle_stall(pair.now, stall);
    pair.server.handle_timeout(pair.now, 0);
    assert_eq!(pair.server.closing(), None, "what it sent is still to be read");
    pair.now += ms(9_000);
    pair.server.handle_timeout(pair.now, 0);
    assert_eq!(pair.server.closing(), None);
    pair.now += ms(1_100);
    pair.server.handle_timeout(pair.now, 0);
    assert_eq!(pair.server.closing(), Some(CloseCode::TimedOut), "and then there was nothing");
}

// Promise 5: "[…] no ghosts after the timeout." (What waited in the kernel while the server stood still may
// be read before it knows that it did.)
#[test]
fn who_is_silent_after_a_stall_is_noticed_as_soon_as_ever() {
    let mut pair = Pair::joined(Delivery::Ordered);
    let stall = Duration::from_secs(12);
    pair.now += stall;
    pair.deliver_to_server(ping(1));
    pair.now += ms(1);
    pair.server.handle_stall(pair.now, stall);
    pair.now += Limits::default().timeout;
    pair.server.handle_timeout(pair.now, 0);
    assert_eq!(pair.server.closing(), Some(CloseCode::TimedOut));
}

#[test]
fn there_is_time_to_read_after_a_stall_however_late_it_came() {
    let now = Instant::now();
    let limits = Limits::default();
    let mut waiting = ServerSession::<Published>::new(now, limits.clone(), Delivery::Ordered);
    let late = now + limits.handshake + ms(200);
    waiting.handle_stall(late, ms(250));
    waiting.handle_timeout(late, 0);
    assert_eq!(waiting.closing(), None, "the join may wait to be read");
    waiting.handle_message(late + ms(500), client(Body::Join(join()))).unwrap();
    assert_eq!(waiting.closing(), None);

    let mut never = ServerSession::<Published>::new(now, limits, Delivery::Ordered);
    never.handle_stall(late, ms(250));
    never.handle_timeout(late + READ_FIRST, 0);
    assert_eq!(never.closing(), Some(CloseCode::HandshakeTimeout));
}

// Promise 5: "[…] no ghosts after the timeout."
#[test]
fn a_server_that_is_always_late_still_notices_who_is_gone() {
    let mut pair = Pair::joined(Delivery::Ordered);
    let gone = pair.now;
    while pair.server.closing().is_none() {
        assert!(pair.now < gone + Duration::from_secs(30));
        pair.now += ms(250);
        pair.server.handle_stall(pair.now, ms(150));
        pair.server.handle_timeout(pair.now, 0);
    }
    assert_eq!(pair.server.closing(), Some(CloseCode::TimedOut));
}

#[test]
fn many_events_at_once_are_no_slowness() {
    let limits = Limits { reliable_messages: 16, ..Limits::default() };
    for delivery in BOTH {
        let link = Conditions { delay: ms(100), ..Conditions::default() };
        let mut pair = Pair::with_limits(delivery, link, 1, limits.clone());
        pair.run(ms(500));
        for n in 1..=330 {
            let body = encode_body(&wire::reliable::Body::Event(wire::Event {
                payload: Bytes::from(vec![7; 800]),
                ..event(n)
            }));
            pair.served.as_mut().unwrap().queue.push(body).unwrap();
        }
        for _ in 0..100 {
            pair.run(ms(100));
            let stuck = pair.served.as_mut().unwrap().queue.look(ms(100));
            assert!(stuck < ms(1000), "{stuck:?}");
        }
        pair.assert_healthy();
        assert_eq!(pair.event_numbers(), (1..=330).collect::<Vec<_>>());
    }
}
