//! The game `hands`: a hand is a zone that its player alone sees.
#![allow(clippy::unwrap_used)] // in helpers of tests

mod common;

use common::{play, record_ticks, start, union};
use driftless_sim::{
    Rng, Simulation, Snapshot,
    games::{
        self,
        hands::{Hands, Move},
    },
    replay::{Action, TickRecord, Verdict, replay},
};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// What players of a game do, and who has a seat.
struct Script {
    rng: Rng,
    seated: Vec<u32>,
    next: u32,
}

impl Script {
    fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), seated: vec![], next: 1 }
    }

    fn tick(&mut self, tick: u32) -> TickRecord {
        let mut actions = vec![];
        if self.seated.len() < 6 && self.rng.below(4) == 0 {
            self.seated.push(self.next);
            actions.push(Action::Join { player: self.next, name: "somebody".into() });
            self.next += 1;
        }
        if self.seated.len() > 2 && self.rng.below(20) == 0 {
            let at = self.rng.below(self.seated.len() as u32) as usize;
            actions.push(Action::Leave { player: self.seated.remove(at) });
        }
        for &player in &self.seated {
            // Often somebody else's card.
            let play = (self.rng.below(2) == 0).then(|| self.rng.below(60));
            actions.push(Action::Command { player, payload: Move { play }.encode_to_vec().into() });
        }
        TickRecord { tick, actions, inputs: vec![], checksum: None }
    }
}

fn ids(state: &Snapshot) -> BTreeSet<u32> {
    state.tables()[0].ids().iter().copied().collect()
}

// Promise 8
#[test]
fn in_a_thousand_games_nobody_is_shown_a_card_of_another_hand() {
    let mut hidden = 0;
    for seed in 0..1_000 {
        let mut game = start("hands", seed, 20);
        let (mut script, mut state) = (Script::new(seed), Snapshot::new(&Hands::schema()));
        // Who drew which, by what has changed.
        let mut hands: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for tick in 1..16 {
            play(&mut *game, &script.tick(tick));
            game.snapshot(tick, &mut state);
            let table = ids(&state);
            hands.retain(|player, _| script.seated.contains(player));
            let mut all = table.clone();
            for &player in &script.seated {
                let mut view = vec![];
                game.view(player, &[], &mut view);
                let shown = ids(&union(&state, [0].into_iter().chain(view.iter().map(|seen| seen.zone))));
                let hand: BTreeSet<_> = shown.difference(&table).copied().collect();
                for (other, cards) in hands.iter().filter(|(other, _)| **other != player) {
                    assert!(
                        cards.is_disjoint(&hand),
                        "seed {seed}, tick {tick}: {player} sees cards of {other}"
                    );
                    hidden += cards.len();
                }
                all.extend(&hand);
                hands.insert(player, hand);
            }
            let everything = union(&state, [0].into_iter().chain(state.zones().map(|(zone, _)| zone)));
            assert_eq!(
                ids(&everything),
                all,
                "seed {seed}, tick {tick}: what nobody holds is shown to nobody"
            );
        }
    }
    assert!(hidden > 20_000, "{hidden}");
}

#[test]
fn the_checksums_of_a_replay_are_those_of_the_game() {
    let mut script = Script::new(9);
    let recording = record_ticks("hands", |tick| Some(script.tick(tick)), 20, 200);
    assert_eq!(replay(&recording[..], &games::kinds()).unwrap().1, Verdict::Same { ticks: 200 });
}

#[test]
fn who_has_left_does_not_know_what_the_next_draws() {
    let command = |player| Action::Command { player, payload: Move { play: None }.encode_to_vec().into() };
    let join = |player| Action::Join { player, name: "somebody".into() };
    let same = (0..100).filter(|&seed| {
        let mut game = start("hands", seed, 20);
        let mut state = Snapshot::new(&Hands::schema());
        let mut drawn = |tick, actions| {
            play(&mut *game, &TickRecord { tick, actions, inputs: vec![], checksum: None });
            game.snapshot(tick, &mut state);
            ids(&union(&state, [tick].into_iter()))
        };
        let first = drawn(1, vec![join(1), command(1)]);
        assert_eq!(first.len(), 1);
        first == drawn(2, vec![Action::Leave { player: 1 }, join(2), command(2)])
    });
    assert!((0..10).contains(&same.count()));
}
