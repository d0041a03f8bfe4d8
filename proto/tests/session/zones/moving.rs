//! Entities that go from zone to zone, in hand-made states.

use super::play::{ALL, Play};
use crate::util::Conditions;
use driftless_proto::{
    delta::{Encoder, References},
    session::Delivery,
    snapshot::Snapshot,
    view::ZoneId,
    wire,
};

/// A client that applies hand-made states over datagrams, in a room with one kind.
struct Viewer {
    play: Play,
    number: u32,
    /// Of all boats that come next.
    health: i32,
}

impl Viewer {
    fn new() -> Self {
        let mut play = Play::new(Delivery::Datagram, Conditions::default(), ALL, 1);
        play.check();
        Self { play, number: 0, health: 1 }
    }

    /// A state in which each zone has these boats, in full.
    fn state(
        &mut self,
        tick: u32,
        zones: &[(ZoneId, &[u32])],
        deferred: &[ZoneId],
        left: &[ZoneId],
    ) -> Vec<u32> {
        use prost::Message as _;
        let (schema, health) = (&self.play.room.schema, self.health);
        let content = |boats: &[u32]| {
            let mut state = Snapshot::new(schema);
            state.clear(tick);
            boats.iter().for_each(|&id| state.table_mut(0).push(id, &[id as i32, health, 0]));
            let mut body = Vec::new();
            let coding = wire::ColumnCoding::Packed;
            Encoder::default().encode(schema, References::default(), &state, coding, None, &mut body);
            wire::ZoneDelta::decode(&body[..]).unwrap()
        };
        let gaps = |zones: &[ZoneId]| -> Vec<u32> {
            let mut last = 0;
            zones.iter().map(|&zone| zone - std::mem::replace(&mut last, zone) - 1).collect()
        };
        self.number += 1;
        let mut state = wire::State {
            tick,
            full: true,
            number: self.number + 1_000,
            apart: true,
            left: gaps(left),
            deferred: gaps(deferred),
            ..wire::State::default()
        };
        let mut last = 0;
        for &(zone, boats) in zones {
            let delta = content(boats);
            if zone == 0 {
                (state.apart, state.tables) = (false, delta.tables);
                continue;
            }
            state.zones.push(wire::ZoneDelta { zone: zone - last - 1, references: 1, ..delta });
            last = zone;
        }
        let body = Some(wire::server_message::Body::State(state));
        let message = wire::ServerMessage { body }.encode_to_vec();
        self.play.client.handle_message(self.play.now, message.into()).unwrap();
        self.play.client.snapshot().unwrap().tables()[0].ids().to_vec()
    }
}

#[test]
fn an_entity_that_may_have_moved_to_a_zone_that_is_late_is_still_shown() {
    let mut viewer = Viewer::new();
    assert_eq!(viewer.state(1, &[(0, &[5]), (1, &[6]), (2, &[7])], &[], &[]), [5, 6, 7]);
    // Both have gone from where they were; zone 2 is not known yet.
    assert_eq!(viewer.state(2, &[(0, &[]), (1, &[])], &[2], &[]), [5, 6, 7]);
    assert_eq!(viewer.state(3, &[(2, &[5, 7])], &[], &[]), [5, 7]);
}

#[test]
fn an_entity_of_a_zone_that_is_left_is_gone_even_if_another_is_late() {
    let mut viewer = Viewer::new();
    viewer.state(1, &[(0, &[]), (1, &[6]), (2, &[7])], &[], &[]);
    assert_eq!(viewer.state(2, &[(1, &[])], &[2], &[]), [6, 7]);
    assert_eq!(viewer.state(3, &[], &[2], &[1]), [7]);
}

#[test]
fn an_entity_that_goes_to_a_zone_of_which_nothing_has_come_yet_stays_in_view() {
    let mut viewer = Viewer::new();
    viewer.state(1, &[(0, &[]), (1, &[7])], &[], &[]);
    assert_eq!(viewer.state(2, &[(1, &[])], &[2], &[]), [7]);
    assert_eq!(viewer.state(3, &[], &[2], &[]), [7]);
    assert_eq!(viewer.state(4, &[(2, &[7])], &[], &[]), [7]);
    assert!(viewer.state(5, &[(0, &[]), (2, &[])], &[], &[]).is_empty());
}

#[test]
fn an_entity_is_as_it_was_seen_last_and_not_as_in_an_older_content_that_has_it_too() {
    let mut viewer = Viewer::new();
    let health = |viewer: &Viewer| viewer.play.client.snapshot().unwrap().tables()[0].value(7, 1);
    viewer.state(1, &[(0, &[]), (1, &[8]), (3, &[7])], &[], &[]);
    viewer.health = 2;
    assert_eq!(viewer.state(2, &[(1, &[7, 8])], &[3], &[]), [7, 8]);
    assert_eq!(viewer.state(3, &[(1, &[8])], &[3], &[]), [7, 8]);
    assert_eq!(health(&viewer), Some(2));
    viewer.health = 3;
    viewer.state(4, &[(3, &[7])], &[], &[]);
    assert_eq!(health(&viewer), Some(3));
}
