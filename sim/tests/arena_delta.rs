//! The size of the arena's states on the wire, as deltas for a client that has the last two.

mod common;

use common::arena::Room;
use driftless_proto::{
    delta::{Encoder, References},
    wire::ColumnCoding,
};
use driftless_sim::{
    Rng, Snapshot,
    games::arena::{Arena, ArenaInput, PLAYERS, PROJECTILES},
};

const PLAYERS_IN_ROOM: u32 = 50;

/// Bytes per moving entity, over 30 s with 50 players who turn once per second; some of them shoot.
fn bytes_per_moving_entity(coding: ColumnCoding, shooters: u32) -> f64 {
    let mut room = Room::new(1, 20);
    (1..=PLAYERS_IN_ROOM).for_each(|player| room.join(player));
    let schema = <Arena as driftless_sim::Simulation>::schema();
    let (mut encoder, mut rng) = (Encoder::default(), Rng::new(1));
    let mut wander = vec![ArenaInput::default(); PLAYERS_IN_ROOM as usize];
    let (mut bytes, mut moved) = (0, 0);
    let (mut baseline, mut prior) = (room.seen.clone(), None::<Snapshot>);
    for _ in 0..600 {
        for (input, player) in wander.iter_mut().zip(0..) {
            if rng.below(20) == 0 {
                (input.move_x, input.move_y) = (rng.range(-127..128), rng.range(-127..128));
                (input.aim_x, input.aim_y) = (input.move_x, input.move_y);
                input.buttons = u32::from(player < shooters);
            }
        }
        let inputs: Vec<_> = (1..).zip(wander.iter().copied()).collect();
        room.step(&inputs);
        let mut out = Vec::new();
        let references = References { baseline: Some(&baseline), prior: prior.as_ref() };
        encoder.encode(&schema, references, &room.seen, coding, None, &mut out);
        bytes += out.len();
        moved += moving(&baseline, &room.seen);
        prior = Some(std::mem::replace(&mut baseline, room.seen.clone()));
    }
    bytes as f64 / moved as f64
}

fn moving(before: &Snapshot, now: &Snapshot) -> usize {
    let moved = |kind: usize| {
        let (before, now) = (&before.tables()[kind], &now.tables()[kind]);
        let place = |at: &driftless_proto::snapshot::Table, id| (at.value(id, 0), at.value(id, 1));
        now.ids().iter().filter(|&&id| place(before, id) != place(now, id)).count()
    };
    moved(PLAYERS) + moved(PROJECTILES)
}

#[test]
fn a_moving_entity_costs_few_bytes() {
    for (coding, shooters, most) in [
        (ColumnCoding::Packed, 0, 2.0),
        (ColumnCoding::Packed, 10, 2.5),
        (ColumnCoding::Rice, 0, 1.7),
        (ColumnCoding::Rice, 10, 2.5),
    ] {
        let bytes = bytes_per_moving_entity(coding, shooters);
        println!("{coding:?}, {shooters} of {PLAYERS_IN_ROOM} shoot: {bytes:.2} bytes");
        assert!(bytes <= most, "{coding:?}, {shooters} shoot: {bytes:.2} bytes");
    }
}
