//! Those who are shot at, and how shooters themselves move: straight on for a while, then another way.

use driftless_sim::games::arena::{ArenaInput, rules};

/// They stay about this far from the middle of the world, centimetres.
const AT_HOME: i32 = 900;

/// Somebody who runs about near the middle of the world.
#[derive(Debug)]
pub struct Runner {
    random: fastrand::Rng,
    way: (i32, i32),
    /// Inputs until it takes another way.
    left: u32,
    tick_rate: u32,
    place: (i32, i32),
}

impl Runner {
    /// One of many, which run differently.
    pub fn new(seed: u64, tick_rate: u32) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { random, way: (0, 0), left: 0, tick_rate, place: (0, 0) }
    }

    /// What it does at this place, centimetres.
    pub fn run(&mut self, place: (i32, i32)) -> ArenaInput {
        let stands = std::mem::replace(&mut self.place, place) == place;
        if self.left == 0 || stands {
            self.left = self.random.u32(self.tick_rate / 2..=self.tick_rate * 2);
            let home = rules::WORLD_SIZE / 2;
            let (x, y) = (home - place.0, home - place.1);
            let is_away = x.abs().max(y.abs()) > AT_HOME;
            // To anywhere there: not all run at whoever stands in the middle.
            let mut around = || self.random.i32(-AT_HOME..=AT_HOME);
            let back = f64::from(y + around()).atan2(f64::from(x + around()));
            let anywhere = std::f64::consts::TAU * (self.random.f64() - 0.5);
            let angle = if is_away && !stands { back } else { anywhere };
            let (sin, cos) = angle.sin_cos();
            let full = f64::from(rules::FULL_STICK);
            self.way = ((cos * full).round() as i32, (sin * full).round() as i32);
        }
        self.left = self.left.saturating_sub(1);
        ArenaInput { move_x: self.way.0, move_y: self.way.1, ..ArenaInput::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_turns_now_and_then_and_comes_back() {
        let mut runner = Runner::new(1, 20);
        let (mut place, mut turns, mut last) = ((5_000, 5_000), 0, (0, 0));
        for _ in 0..2_000 {
            let input = runner.run(place);
            let way = (input.move_x, input.move_y);
            turns += u32::from(std::mem::replace(&mut last, way) != way);
            place = (place.0 + way.0 * 35 / 127, place.1 + way.1 * 35 / 127);
            let far = (place.0 - 5_000).abs().max((place.1 - 5_000).abs());
            assert!(far <= AT_HOME + 1_400, "{place:?}");
        }
        assert!((50..=200).contains(&turns), "{turns}");
    }
}
