//! A prediction is not corrected by a state in which its player is late.
#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use driftless_client::{
    ClientCore, Options,
    proto::{
        delta::{Encoder, References},
        snapshot::Snapshot,
        wire::{self, server_message::Body},
    },
};
use driftless_sim::{
    Prediction, Simulation,
    games::arena::{Arena, ArenaInput, PLAYERS},
};
use prost::Message;
use std::time::Instant;

const PLAYER: u32 = 1;

fn message(body: Body) -> Bytes {
    wire::ServerMessage { body: Some(body) }.encode_to_vec().into()
}

/// A state in which the player is in zone 4, at `x`; None: that zone is deferred.
fn state(tick: u32, input: u32, x: Option<i32>) -> Bytes {
    let schema = Arena::schema();
    let zones = x.map(|x| {
        let mut content = Snapshot::new(&schema);
        content.clear(tick);
        content.table_mut(PLAYERS).push(PLAYER, &[x, 5_000, 0, 100, 0, 1, 1]);
        let (mut body, coding) = (Vec::new(), wire::ColumnCoding::Packed);
        Encoder::default().encode(&schema, References::default(), &content, coding, None, &mut body);
        wire::ZoneDelta { zone: 3, references: 1, ..wire::ZoneDelta::decode(&body[..]).unwrap() }
    });
    let deferred = if x.is_none() { vec![3] } else { vec![] };
    let zones = zones.into_iter().collect();
    message(Body::State(wire::State { tick, full: true, input, deferred, zones, ..wire::State::default() }))
}

#[test]
fn a_state_in_which_the_players_own_zone_is_late_corrects_nothing() {
    let now = Instant::now();
    let mut core = ClientCore::new(now, &Options::new("ws://localhost", "lobby"));
    assert!(core.poll_transmit(now, &mut BytesMut::new()));
    let welcome = wire::Welcome {
        protocol: 1,
        player: PLAYER,
        resume_token: vec![1; 16].into(),
        tick_rate: 20,
        kind: Arena::KIND.into(),
        schema: Some(Arena::schema().to_wire()),
        ..wire::Welcome::default()
    };
    core.handle_message(now, message(Body::Welcome(welcome))).unwrap();
    core.handle_message(now, state(1, 0, Some(5_000))).unwrap();
    let mut prediction = Prediction::<Arena>::new(PLAYER, 20);
    assert!(core.reconcile(&mut prediction, 0));
    for number in 1..=10 {
        prediction.push(number, ArenaInput { move_x: 127, ..ArenaInput::default() });
    }
    let shown = prediction.shown().unwrap().to_vec();
    assert!(shown[0] > 5_000, "it runs: {shown:?}");

    // The server has all inputs, but what came of them is not here yet.
    core.handle_message(now, state(11, 10, None)).unwrap();
    assert_eq!(core.snapshot().unwrap().tables()[PLAYERS].value(PLAYER, 0), Some(5_000));
    assert!(core.session().is_late(PLAYERS, PLAYER));
    assert!(!core.reconcile(&mut prediction, 10));
    assert_eq!(prediction.shown().unwrap(), shown);

    core.handle_message(now, state(12, 10, Some(shown[0]))).unwrap();
    assert!(core.reconcile(&mut prediction, 10));
    assert_eq!((prediction.shown().unwrap()[0], prediction.error()), (shown[0], 0));
}
