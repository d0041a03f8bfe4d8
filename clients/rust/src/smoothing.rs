//! Hides corrections of predictions.
//!
//! (Glenn Fiedler, "State Synchronization", 2015.)

use std::time::{Duration, Instant};

/// Hides corrections: what is shown glides to the right values. `N` numbers (such as x and y) are smoothed
/// together.
#[derive(Debug, Clone)]
pub struct Smoothing<const N: usize> {
    offset: [f32; N],
    at: Option<Instant>,
    half_life: Duration,
    snap: f32,
}

impl<const N: usize> Smoothing<N> {
    /// An error halves every `half_life`; one longer than `snap` is not hidden at all (the player was moved
    /// far away).
    pub fn new(half_life: Duration, snap: f32) -> Self {
        Self { offset: [0.0; N], at: None, half_life, snap }
    }

    /// A correction moved the state from `before` to `after`.
    pub fn correct(&mut self, now: Instant, before: [f32; N], after: [f32; N]) {
        let mut offset = self.offset(now);
        for (o, (b, a)) in offset.iter_mut().zip(before.iter().zip(after)) {
            *o += b - a;
        }
        let length = offset.iter().map(|o| o * o).sum::<f32>().sqrt();
        // NaN counts as infinitely far away.
        self.offset = if length <= self.snap { offset } else { [0.0; N] };
        self.at = Some(now);
    }

    /// What to add to the state to get what should be shown.
    pub fn offset(&self, now: Instant) -> [f32; N] {
        let Some(at) = self.at else { return [0.0; N] };
        if self.half_life.is_zero() {
            return [0.0; N];
        }
        let halvings = now.saturating_duration_since(at).as_secs_f32() / self.half_life.as_secs_f32();
        self.offset.map(|o| o * (-halvings).exp2())
    }
}
