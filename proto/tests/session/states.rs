//! States: only the newest, against what the peer has, gated by acknowledgements.
//!
//! Promise 2: "A client never applies a state older than one it has applied. State it misses is superseded,
//! never replayed late." `Pair` checks the first sentence, and the content, at every state.

use crate::util::{Conditions, Pair, Published, ms, world};
use bytes::BytesMut;
use driftless_proto::{
    gate::MAX_IN_FLIGHT,
    session::{
        Delivery,
        client::{ClientEvent, ServerError},
        server::StateSend,
    },
};

fn fulls(pair: &Pair) -> usize {
    pair.events.iter().filter(|event| matches!(event, ClientEvent::State { full: true, .. })).count()
}

#[test]
fn each_tick_arrives_on_a_good_link() {
    for delivery in [Delivery::Ordered, Delivery::Datagram] {
        let mut pair = Pair::joined(delivery);
        pair.run(ms(10_000));
        pair.assert_healthy();
        let ticks = pair.ticks();
        assert!(ticks.windows(2).all(|w| w[1] == w[0] + 1), "{delivery:?}: {ticks:?}");
        assert!(ticks.len() >= 200);
        assert_eq!(pair.server.stats().stale_dropped, 0);
        assert!(fulls(&pair) <= 3, "{delivery:?}: {} full states", fulls(&pair));
    }
}

#[test]
fn each_tick_arrives_on_a_long_link() {
    for delivery in [Delivery::Ordered, Delivery::Datagram] {
        let mut pair = Pair::new(delivery, Conditions { delay: ms(150), ..Conditions::default() }, 1);
        pair.run(ms(3_000));
        let from = pair.ticks().len();
        pair.run(ms(10_000));
        pair.assert_healthy();
        let ticks = &pair.ticks()[from..];
        assert!(ticks.windows(2).all(|w| w[1] == w[0] + 1), "{delivery:?}: {ticks:?}");
    }
}

// Promise 2
#[test]
fn stale_state_is_dropped_under_loss_reordering_and_duplication() {
    let bad = Conditions { delay: ms(30), jitter: ms(120), loss: 20, duplication: 20, rate: 0 };
    for seed in 0..8 {
        let mut pair = Pair::new(Delivery::Datagram, bad, seed);
        if seed % 4 == 3 {
            pair = pair.unreading();
        }
        pair.run(ms(15_000));
        pair.assert_healthy();
        let ticks = pair.ticks();
        assert!(ticks.len() > 40, "seed {seed}: {} states", ticks.len());
        let last = *ticks.last().unwrap();
        assert!(pair.room.tick - last < 20, "seed {seed}: {last} of {}", pair.room.tick);
    }
}

// Promise 2, and the gate: at most K states are in flight unacknowledged; past that the connection waits, and
// then sends the newest.
#[test]
fn stalled_reader_gets_at_most_k_more_states_and_then_the_newest() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.run(ms(1_000));
    let limit = pair.server.in_flight_limit();
    let (sent, applied) = (pair.states_sent.len(), pair.ticks().len());
    pair.down.stalled = true;
    pair.run(ms(5_000));
    let more = pair.states_sent.len() - sent;
    assert!(more <= limit, "{more} states to a stalled reader, K is {limit}");
    let dropped = pair.server.stats().stale_dropped;
    assert!((95..=100).contains(&dropped), "{dropped} superseded in 100 ticks");

    pair.down.stalled = false;
    let tick = pair.room.tick;
    pair.run(ms(200));
    pair.assert_healthy();
    let after = &pair.ticks()[applied..];
    let stale = after.iter().filter(|&&t| t < tick).count();
    assert!(stale <= limit, "{stale} stale states applied after the stall: {after:?}");
    let fresh = after[stale];
    assert!(fresh >= tick, "then the newest: {after:?} at {tick}");
}

#[test]
fn age_stays_low_on_a_slow_link() {
    // A state has 30 to 100 bytes, at 20 per second: the first link carries nearly all of them, the second
    // every fourth.
    for (rate, oldest) in [(600, 8), (300, 32)] {
        let mut pair = Pair::new(Delivery::Ordered, Conditions { delay: ms(20), ..Conditions::default() }, 3);
        pair.run(ms(500));
        pair.down.conditions.rate = rate;
        pair.run(ms(5_000));
        let mut worst = 0;
        for _ in 0..1_000 {
            pair.run(ms(50));
            worst = worst.max(pair.room.tick - pair.ticks().last().unwrap());
        }
        pair.assert_healthy();
        assert!(worst <= oldest, "{rate} bytes a second: a state is up to {worst} ticks old");
    }
}

#[test]
fn gate_opens_again_after_all_in_flight_is_lost() {
    let mut pair = Pair::joined(Delivery::Datagram);
    pair.run(ms(1_000));
    let good = pair.down_datagrams.conditions;
    pair.down_datagrams.conditions = Conditions { loss: 100, ..good };
    let sent = pair.states_sent.len();
    pair.run(ms(4_000));
    let sent = pair.states_sent.len() - sent;
    assert!(sent <= 40, "{sent} of 80: the gate held");
    pair.down_datagrams.conditions = good;
    let applied = pair.ticks().len();
    pair.run(ms(1_000));
    pair.assert_healthy();
    assert!(pair.ticks().len() > applied + 10);
}

#[test]
fn state_is_full_when_the_baseline_is_too_old() {
    for delivery in [Delivery::Ordered, Delivery::Datagram] {
        let mut pair = Pair::joined(delivery);
        pair.run(ms(500));
        let before = fulls(&pair);
        // 65 ticks pass in which nothing may be sent.
        pair.down.stalled = true;
        pair.down_datagrams.stalled = true;
        pair.up.stalled = true;
        pair.up_datagrams.stalled = true;
        pair.run(ms(66 * 50));
        for link in [&mut pair.down, &mut pair.down_datagrams, &mut pair.up, &mut pair.up_datagrams] {
            link.stalled = false;
        }
        pair.run(ms(500));
        pair.assert_healthy();
        assert!(pair.ticks().last() >= Some(&(pair.room.tick - 2)));
        assert!(
            delivery == Delivery::Datagram || fulls(&pair) == before + 1,
            "{} fulls",
            fulls(&pair) - before
        );
    }
}

#[test]
fn forgotten_baseline_gives_a_full_state() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.run(ms(500));
    let before = fulls(&pair);
    pair.server.forget_baseline();
    pair.run(ms(200));
    pair.assert_healthy();
    assert_eq!(fulls(&pair), before + 1);
}

#[test]
fn older_state_is_never_offered_back() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.run_until(ms(200), |pair| pair.states_sent.last() == Some(&pair.room.tick));
    let tick = pair.room.tick;
    for old in [tick, tick - 1] {
        pair.server.offer_state(Published(world(&pair.room.schema, old).into()));
        assert!(pair.server.poll_state(pair.now, |_| ()).is_none());
    }
    assert_eq!(pair.server.stats().stale_dropped, 0, "what is not newer replaces nothing");
}

/// A state of `tick` against `baseline`, as a server without memory would send it.
fn forge(pair: &mut Pair, tick: u32, baseline: Option<u32>) -> bytes::Bytes {
    let state = |tick| Published(world(&pair.room.schema, tick).into());
    let (current, baseline) = (state(tick), baseline.map(state));
    let number = current.0.tick();
    let send = StateSend { current: &current, baseline: baseline.as_ref(), prior: None, number };
    let mut out = BytesMut::new();
    pair.room.encode(&send, 0, pair.server.coding(), &mut out);
    out.freeze()
}

// Promise 2
#[test]
fn stale_state_on_a_stream_is_the_servers_fault() {
    let mut pair = Pair::joined(Delivery::Ordered);
    let applied = *pair.ticks().last().unwrap();
    let old = forge(&mut pair, applied - 1, None);
    pair.deliver_to_client(old);
    assert_eq!(pair.client_error, Some(ServerError::Stale { got: applied - 1, applied }));
    assert!(!pair.client.is_active());
}

#[test]
fn unknown_baseline_is_the_servers_fault() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.run(ms(500));
    let applied = *pair.ticks().last().unwrap();
    let reference = applied - 5;
    let state = forge(&mut pair, applied + 1, Some(reference));
    pair.deliver_to_client(state);
    assert_eq!(pair.client_error, Some(ServerError::UnknownBaseline { tick: applied + 1, reference }));
}

#[test]
fn state_before_the_welcome_is_the_servers_fault() {
    let mut pair = Pair::new(Delivery::Ordered, Conditions::default(), 1);
    let state = forge(&mut pair, 1, None);
    pair.deliver_to_client(state);
    assert_eq!(pair.client_error, Some(ServerError::Unexpected("state before the welcome")));
}

// Promise 4: "One client, however slow or hostile, does not delay another's tick or grow memory without
// bound."
#[test]
fn client_that_delays_its_acks_gets_a_bounded_flight() {
    let mut pair = Pair::joined(Delivery::Ordered);
    pair.up.conditions.delay = ms(3_000);
    pair.run(ms(30_000));
    pair.assert_healthy();
    assert_eq!(pair.server.in_flight_limit(), MAX_IN_FLIGHT);
}
