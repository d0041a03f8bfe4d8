//! The player's own entity, shown as it will be: inputs take effect here at once, and the server's word corrects
//! them when it comes.
//!
//! Every input is applied to the predicted state when it is sent, and kept. A state from the server says which input
//! it contains last: the prediction goes back to that state, forgets the inputs that are in it, and applies the rest
//! again. If client and server run the same rules on the same integers, the result is what was shown already, and
//! nobody sees it; if not, [`Smoothing`] hides the difference over a few frames.
//!
//! (Gabriel Gambetta, "Fast-Paced Multiplayer", part II; Yahn Bernier, "Latency Compensating Methods in Client/Server
//! In-game Protocol Design and Optimization", Valve, 2001. The smoothing: Glenn Fiedler, "State Synchronization", 2015.)
//!
//! ```
//! use driftless_client::Prediction;
//!
//! // A cart on a rail; an input pushes it.
//! let mut cart = Prediction::new(0, |x: &mut i32, push: &i32| *x += push);
//! cart.push(1, 5);
//! cart.push(2, 5);
//! assert_eq!(*cart.state(), 10);
//! // The server says: at input 1 the cart was at 3 (somebody stood in the way).
//! let shown = cart.reconcile(1, 3);
//! assert_eq!((shown, *cart.state()), (Some(10), 8));
//! ```

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Inputs kept if the server confirms none. At 60 Hz that is four seconds: past that the oldest are forgotten.
pub const MAX_PENDING: usize = 256;

/// A predicted state of type `S`, moved on by inputs of type `I` with the function `F`.
#[derive(Debug, Clone)]
pub struct Prediction<S, I, F> {
    apply: F,
    /// The state with the confirmed inputs.
    confirmed: S,
    /// Number of the last confirmed input.
    sequence: u32,
    /// The inputs after it, each with the state that was predicted after it.
    pending: VecDeque<(u32, I, S)>,
}

impl<S: Clone, I, F: FnMut(&mut S, &I)> Prediction<S, I, F> {
    /// Starts from a state of the server. `apply` is one step of the game's rules with one input: the same as the
    /// server's, without what only the server knows.
    pub fn new(state: S, apply: F) -> Self {
        Self { apply, confirmed: state, sequence: 0, pending: VecDeque::new() }
    }

    /// Applies the input that was sent with this number.
    pub fn push(&mut self, sequence: u32, input: I) -> &S {
        let mut state = self.state().clone();
        (self.apply)(&mut state, &input);
        if self.pending.len() == MAX_PENDING
            && let Some((forgotten, _, state)) = self.pending.pop_front()
        {
            (self.sequence, self.confirmed) = (forgotten, state);
        }
        self.pending.push_back((sequence, input, state));
        self.state()
    }

    /// The server's state, which contains the inputs up to `input` and none after. Returns what was predicted until
    /// now, to smooth the difference; None: this is older than what the server has confirmed, and nothing changes.
    pub fn reconcile(&mut self, input: u32, state: S) -> Option<S> {
        self.reconcile_with(input, |_| state)
    }

    /// As [`reconcile`](Self::reconcile), for states that do not tell everything: `correct` gets what was predicted for this very
    /// input and returns what it should have been. (A snapshot with places but no speeds: where the place is as predicted,
    /// so was the speed.)
    pub fn reconcile_with(&mut self, input: u32, correct: impl FnOnce(&S) -> S) -> Option<S> {
        if input < self.sequence {
            return None;
        }
        let shown = self.state().clone();
        self.sequence = input;
        while self.pending.front().is_some_and(|(sequence, ..)| *sequence <= input) {
            if let Some((_, _, state)) = self.pending.pop_front() {
                self.confirmed = state;
            }
        }
        self.confirmed = correct(&self.confirmed);
        let mut state = self.confirmed.clone();
        for (_, input, predicted) in &mut self.pending {
            (self.apply)(&mut state, input);
            predicted.clone_from(&state);
        }
        Some(shown)
    }

    /// Starts anew, for a new seat: numbers count from 1 again.
    pub fn reset(&mut self, state: S) {
        self.pending.clear();
        (self.sequence, self.confirmed) = (0, state);
    }

    /// The state with all inputs sent so far.
    pub fn state(&self) -> &S {
        self.pending.back().map_or(&self.confirmed, |(_, _, state)| state)
    }

    /// Inputs that no state has confirmed.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }
}

/// Hides corrections: what is shown glides to what is right. `N` numbers (x and y, say) are smoothed together.
#[derive(Debug, Clone)]
pub struct Smoothing<const N: usize> {
    offset: [f32; N],
    at: Option<Instant>,
    half_life: Duration,
    snap: f32,
}

impl<const N: usize> Smoothing<N> {
    /// An error halves in `half_life`; one longer than `snap` is not hidden at all (the player was moved far away).
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
        // Not a number is as far away as can be.
        self.offset = if length <= self.snap { offset } else { [0.0; N] };
        self.at = Some(now);
    }

    /// What to add to the state to get what to show.
    pub fn offset(&self, now: Instant) -> [f32; N] {
        let Some(at) = self.at else { return [0.0; N] };
        if self.half_life.is_zero() {
            return [0.0; N];
        }
        let halvings = now.saturating_duration_since(at).as_secs_f32() / self.half_life.as_secs_f32();
        self.offset.map(|o| o * (-halvings).exp2())
    }
}
