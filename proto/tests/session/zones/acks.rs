//! Acknowledgements of zones, and what a server makes of them.

use super::play::{ALL, Play, Published, Tick};
use crate::util::{Conditions, client, ms};
use bytes::BytesMut;
use driftless_proto::{
    code::CloseCode,
    session::Delivery,
    view::InView,
    wire::{self, client_message::Body},
};
use std::{collections::BTreeMap, sync::Arc};

#[test]
fn acknowledgements_of_zones_that_were_left_count_for_nothing() {
    // Without input there are no acknowledgements on inputs: all of them come late, in ack messages.
    let conditions = Conditions { delay: ms(120), jitter: ms(80), ..Conditions::default() };
    let mut play = Play::new(Delivery::Datagram, conditions, ALL, 11);
    for _ in 0..400 {
        play.step();
    }
    assert_eq!(play.server.closing(), None);
}

#[test]
fn an_acknowledgement_of_a_message_never_sent_is_refused() {
    let mut play = Play::new(Delivery::Datagram, Conditions::default(), ALL, 2);
    (0..5).for_each(|_| play.step());
    let ack = wire::Ack { state_ack: 1_000, ..wire::Ack::default() };
    assert!(play.server.handle_message(play.now, client(Body::Ack(ack))).is_err());
}

#[test]
fn in_a_crowd_few_references_are_used() {
    let conditions = Conditions { delay: ms(20), loss: 10, jitter: ms(9), ..Conditions::default() };
    let mut play = Play::new(Delivery::Datagram, conditions, (300, usize::MAX), 5);
    play.common = true;
    for _ in 0..300 {
        play.step();
    }
    assert!(play.client.snapshot().unwrap().tick() > 290);
    let used = play.room.used.iter().flat_map(|(baseline, prior)| [baseline, prior]).flatten();
    let (common, others): (Vec<u32>, Vec<u32>) = used.partition(|tick| tick.is_multiple_of(4));
    assert!(common.len() > 6 * others.len(), "{} and {}", common.len(), others.len());
}

// Promise 4
#[test]
fn a_peer_that_sees_zone_after_zone_and_acknowledges_nothing_is_told_to_go() {
    let mut play = Play::new(Delivery::Datagram, Conditions::default(), ALL, 4);
    let mut view = 1_000;
    for _ in 0..400 {
        if play.server.closing().is_some() {
            break;
        }
        let tick = play.tick() + 1;
        let mut snapshot = play.world(tick);
        let mut changed = BTreeMap::new();
        for zone in view..view + 40 {
            snapshot.zone(zone).table_mut(0).push(zone, &[1, 1, 0]);
            changed.insert(zone, tick);
        }
        let seen = (view..view + 40).map(|zone| InView { zone, priority: 1 }).collect();
        let state = Published(Arc::new(Tick { snapshot, view: seen, changed, common: false }));
        play.history.push(state.clone());
        play.server.offer_state(state);
        play.now += ms(300);
        let Play { server, room, writer, now, .. } = &mut play;
        server.poll_zones(*now, 0, room, 1_200, writer, &mut BytesMut::new(), |out| out.clear());
        view += 40;
    }
    assert_eq!(play.server.closing(), Some(CloseCode::SlowConsumer));
}
