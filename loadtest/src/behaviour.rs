//! What bots do in their game.

use crate::trace::Trace;
use bytes::{Bytes, BytesMut};
use driftless_client::ClientCore;
use driftless_links::Player;
use driftless_sim::games::arena::{ArenaInput, rules};
use prost::Message;
use std::sync::Arc;

/// How one bot plays.
pub enum Behaviour {
    /// Runs about in the arena, and shoots now and then.
    Wander(Wander),
    /// Follows a recording in the arena.
    Follow(Follow),
    /// As the game's own bot says.
    Own(Box<dyn Player + Send>),
    /// Sends empty inputs: for games that this program does not know.
    Idle,
}

/// Runs straight for a while, then another way; shoots in one of eight stretches.
#[derive(Debug, Clone)]
pub struct Wander {
    random: fastrand::Rng,
    input: ArenaInput,
    /// Inputs until the next change.
    left: u32,
    tick_rate: u32,
}

/// Goes where the recording says.
#[derive(Debug, Clone)]
pub struct Follow {
    trace: Arc<Trace>,
    path: usize,
    tick: usize,
}

/// Bots on the same path follow each other at this distance, ticks.
const FOLLOW_TICKS: usize = 37;

impl Behaviour {
    /// Bot number `index` of those that run about.
    pub fn wander(index: usize, tick_rate: u32) -> Self {
        Self::Wander(Wander {
            random: fastrand::Rng::with_seed(index as u64),
            input: ArenaInput::default(),
            left: 0,
            tick_rate,
        })
    }
    /// Bot number `index` of those that follow a recording.
    pub fn follow(trace: &Arc<Trace>, index: usize) -> Self {
        let (path, behind) = (index % trace.paths(), index / trace.paths());
        Self::Follow(Follow { trace: trace.clone(), path, tick: behind * FOLLOW_TICKS })
    }
}

impl Player for Behaviour {
    fn welcomed(&mut self, client: &ClientCore) -> Result<(), String> {
        match self {
            Self::Own(own) => own.welcomed(client),
            Self::Wander(_) | Self::Follow(_) | Self::Idle => Ok(()),
        }
    }
    fn act(&mut self, client: &ClientCore, memory: &mut BytesMut) -> Bytes {
        match self {
            Self::Wander(wander) => encode(&wander.act(), memory),
            Self::Follow(follow) => encode(&follow.act(), memory),
            Self::Own(own) => own.act(client, memory),
            Self::Idle => Bytes::new(),
        }
    }
}

/// The bytes of an input, in borrowed memory.
pub fn encode(input: &impl Message, memory: &mut BytesMut) -> Bytes {
    memory.reserve(input.encoded_len());
    // There is room for it: the only thing that can fail.
    let _ = input.encode(memory);
    memory.split().freeze()
}

impl Wander {
    fn act(&mut self) -> ArenaInput {
        if self.left == 0 {
            self.left = self.random.u32(self.tick_rate / 2..=self.tick_rate * 2);
            let mut direction = |length: f64| {
                let (sin, cos) = (self.random.f64() * std::f64::consts::TAU).sin_cos();
                ((cos * length).round() as i32, (sin * length).round() as i32)
            };
            let (move_x, move_y) = direction(f64::from(rules::FULL_STICK));
            let (aim_x, aim_y) = direction(100.0);
            let buttons = if self.random.u8(..8) == 0 { rules::BUTTON_FIRE } else { 0 };
            self.input = ArenaInput { move_x, move_y, aim_x, aim_y, buttons, goto_x: None, goto_y: None };
        }
        self.left = self.left.saturating_sub(1);
        self.input
    }
}

impl Follow {
    fn act(&mut self) -> ArenaInput {
        let (x, y) = self.trace.place(self.path, self.tick);
        self.tick += 1;
        ArenaInput { goto_x: Some(x), goto_y: Some(y), ..ArenaInput::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wanderer_keeps_its_way_for_a_while_and_then_takes_another() {
        let Behaviour::Wander(mut bot) = Behaviour::wander(3, 20) else { panic!("a wanderer") };
        let ways: Vec<_> = (0..400).map(|_| bot.act()).map(|input| (input.move_x, input.move_y)).collect();
        let turns = ways.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!((9..=40).contains(&turns), "{turns} turns");
        assert!(ways.iter().all(|(x, y)| (x * x + y * y - 127 * 127).abs() < 400));
    }

    #[test]
    fn followers_of_one_path_are_behind_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.csv");
        let lines: String = (0..100).map(|tick| format!("{tick},1,{tick},0\n{tick},2,0,{tick}\n")).collect();
        std::fs::write(&file, lines).unwrap();
        let trace = Arc::new(Trace::read(&file).unwrap());
        let first = |index| {
            let Behaviour::Follow(mut bot) = Behaviour::follow(&trace, index) else { panic!("a follower") };
            let input = bot.act();
            (input.goto_x.unwrap(), input.goto_y.unwrap())
        };
        assert_eq!(first(0), trace.place(0, 0));
        assert_eq!(first(1), trace.place(1, 0));
        assert_eq!(first(2), trace.place(0, FOLLOW_TICKS));
        assert_ne!(first(0), first(2));
    }
}
