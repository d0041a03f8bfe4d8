//! How a bot points: at one place after the other, and slowly enough to be seen on its way there.

use super::cursors::{Cursors, Pointer};
use crate::{Bot, Rng, Seen};

/// Where bots point, pixels: less than a small window.
const WIDTH: i32 = 640;
/// See above.
const HEIGHT: i32 = 480;
/// Pixels a second.
const SPEED: i32 = 400;

impl Bot for Cursors {
    /// Where it is going.
    type Memory = Option<Pointer>;

    fn act(goal: &mut Option<Pointer>, seen: &Seen<'_>, rng: &mut Rng) -> Pointer {
        let [x, y] = seen.row(0).unwrap_or_default();
        let anywhere = |rng: &mut Rng| Pointer { x: rng.range(0..WIDTH), y: rng.range(0..HEIGHT) };
        if goal.is_none_or(|goal| goal == Pointer { x, y }) {
            *goal = Some(anywhere(rng));
        }
        let Pointer { x: to_x, y: to_y } = goal.unwrap_or_default();
        let stride = SPEED / seen.tick_rate as i32 + 1;
        let toward = |from: i32, to: i32| from.saturating_add(to.saturating_sub(from).clamp(-stride, stride));
        Pointer { x: toward(x, to_x), y: toward(y, to_y) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Simulation, Snapshot};

    #[test]
    fn a_bot_goes_from_place_to_place_without_a_jump() {
        let (mut goal, mut rng) = (None, Rng::new(3));
        let (mut at, mut goals) = (Pointer::default(), Vec::new());
        let mut state = Snapshot::new(&Cursors::schema());
        for tick in 0..400 {
            state.clear(tick);
            state.table_mut(0).push(7, &[at.x, at.y]);
            let next = Cursors::act(&mut goal, &Seen { state: &state, player: 7, tick_rate: 20 }, &mut rng);
            assert!(at.x.abs_diff(next.x) <= 21 && at.y.abs_diff(next.y) <= 21, "{at:?} to {next:?}");
            at = next;
            goals.extend(goal.filter(|goal| goals.last() != Some(goal)));
        }
        assert!(goals.len() > 5, "{goals:?}");
    }
}
