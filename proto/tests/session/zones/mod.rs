//! Zones over a network that loses, delays and repeats: whatever happens, the client has what its player may
//! see, and nothing else.

mod acks;
mod budget;
mod moving;
mod play;
mod recorded;

use crate::util::{Conditions, ms};
use driftless_proto::session::Delivery;
use play::{ALL, Play, Published, Tick};
use proptest::prelude::*;
use std::sync::Arc;

#[test]
fn over_a_stream_the_client_has_exactly_what_its_player_sees() {
    for seed in 1..20 {
        let conditions = Conditions { delay: ms(20), ..Conditions::default() };
        let mut play = Play::new(Delivery::Ordered, conditions, ALL, seed);
        for tick in 1..200 {
            play.step();
            assert!(play.check() || tick < 3, "seed {seed}, tick {tick}");
        }
    }
}

#[test]
fn what_has_not_changed_costs_nothing() {
    let mut play = Play::new(Delivery::Ordered, Conditions::default(), ALL, 7);
    for _ in 0..20 {
        play.step();
    }
    // A state in which nothing moves, again and again.
    let Tick { snapshot, view, changed, .. } = &*play.history[19].0;
    let (snapshot, view, changed) = (snapshot.clone(), view.clone(), changed.clone());
    for tick in 21..=120 {
        let mut next = snapshot.clone();
        next.clear(tick);
        for (zone, content) in snapshot.zones().chain([(0, &snapshot)]) {
            for (kind, table) in content.tables().iter().enumerate() {
                for (_, text) in content.texts() {
                    next.zone(zone).bytes(text);
                }
                for (row, &id) in table.ids().iter().enumerate() {
                    let values: Vec<_> = (0..table.width()).map(|c| table.column(c)[row]).collect();
                    next.zone(zone).table_mut(kind).push(id, &values);
                }
            }
        }
        let state = Tick { snapshot: next, view: view.clone(), changed: changed.clone(), common: false };
        play.history.push(Published(Arc::new(state)));
        play.server.offer_state(play.history[tick as usize - 1].clone());
        for _ in 0..10 {
            play.now += ms(5);
            play.exchange();
        }
        assert!(play.check());
    }
    let head_and_checksum = 16;
    assert!(play.bytes <= head_and_checksum, "{} bytes", play.bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// "Whatever is lost, delayed or doubled, the client's union equals what its player may see at the
    /// applied tick."
    #[test]
    fn whatever_the_network_does_the_client_has_only_what_its_player_sees(
        seed: u64,
        ordered: bool,
        loss in 0..40_u32,
        delay in 1..150_u64,
        jitter in 0..60_u64,
        duplication in 0..20_u32,
        small: bool,
        budget in prop_oneof![Just(usize::MAX), 40..400_usize],
        common: bool,
        reconnects in proptest::collection::btree_set(1..160_u32, 0..3),
    ) {
        let delivery = if ordered { Delivery::Ordered } else { Delivery::Datagram };
        let conditions = Conditions {
            delay: ms(delay), jitter: ms(jitter), loss, duplication, ..Conditions::default()
        };
        let message_bytes = if small && !ordered { 240 } else { usize::MAX };
        let mut play = Play::new(delivery, conditions, (message_bytes, budget), seed);
        play.common = common;
        for tick in 1..160 {
            play.step();
            if reconnects.contains(&tick) {
                play.reconnect();
            }
        }
        // The network recovers: everything that may be seen is there.
        play.limits.state_bytes_per_second = 0;
        play.up.conditions = Conditions { delay: ms(5), ..Conditions::default() };
        play.down.conditions = play.up.conditions;
        if budget != usize::MAX {
            play.reconnect();
        }
        let mut complete = 0;
        for tick in 0..160 {
            play.step();
            complete += u32::from(play.check() && tick >= 120);
        }
        prop_assert!(complete >= 10, "{complete} of 40");
    }
}
