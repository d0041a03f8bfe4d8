//! Prediction of the player's own entity: a client applies its inputs at once, by the game's own rules, and
//! the server's states correct it.
//!
//! A game says in [`Predict`] how its player moves; [`Prediction`] does the rest. Every input is applied to
//! the predicted state when it is sent, and kept. A state from the server says which input it contains last:
//! the prediction goes back to that state, forgets the inputs that it contains, and applies the rest again.
//! Because client and server run the same rules on the same integers, the result is what was already shown,
//! and nothing is visible; if something else moved the player, the difference is hidden over a few frames.
//!
//! (Gabriel Gambetta, "Fast-Paced Multiplayer", part II; Yahn Bernier, "Latency Compensating Methods in
//! Client/Server In-game Protocol Design and Optimization", Valve, 2001.)

use crate::{PlayerId, Seen, Simulation, Snapshot};
use std::{collections::VecDeque, fmt};

/// Inputs kept if the server confirms none: at 60 Hz, four seconds' worth. Beyond that the oldest are
/// forgotten.
pub const MAX_PENDING: usize = 256;

/// A game that says how a player's own entity moves, so that clients can show it without waiting for the
/// server.
///
/// Integers, as in [`Simulation::step`], which best calls the same function: then what is predicted is the
/// server's own result.
///
/// ```
/// # use driftless_sim::{PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step};
/// # use serde::{Deserialize, Serialize};
/// # use std::collections::BTreeMap;
/// use driftless_sim::{Predict, Prediction, Seen};
///
/// # #[derive(Clone, Copy, PartialEq, prost::Message)]
/// # struct Push {
/// #     #[prost(sint32, tag = "1")]
/// #     by: i32,
/// # }
/// /// A cart on a rail.
/// #[derive(Clone, PartialEq, Serialize, Deserialize)]
/// struct Cart {
///     x: i32,
/// }
///
/// impl Cart {
///     fn roll(&mut self, push: &Push) {
///         self.x = (self.x + push.by.clamp(-5, 5)).clamp(0, 100);
///     }
/// }
/// # #[derive(Serialize, Deserialize)]
/// # struct Carts(BTreeMap<PlayerId, Cart>);
/// # impl Simulation for Carts {
/// #     const KIND: &'static str = "carts";
/// #     type Input = Push;
/// #     type Command = ();
/// #     type Event = ();
/// #     type Options = ();
/// #     fn schema() -> Schema {
/// #         Schema::new().kind("cart", |kind| kind.linear("position", &["x"], 1))
/// #     }
/// #     fn new(_setup: &Setup) -> Result<Self, String> {
/// #         Ok(Self(BTreeMap::new()))
/// #     }
/// #     fn join(&mut self, player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {
/// #         self.0.insert(player, Cart { x: 0 });
/// #     }
/// #     fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, ()>) {
/// #         self.0.remove(&player);
/// #     }
/// #     fn step(&mut self, inputs: &[PlayerInput<Push>], _step: &mut Step<'_, ()>) {
/// #         for PlayerInput { player, input, .. } in inputs {
/// #             self.0.entry(*player).and_modify(|cart| cart.roll(input));
/// #         }
/// #     }
/// #     fn snapshot(&self, out: &mut Snapshot) {
/// #         self.0.iter().for_each(|(&player, cart)| out.table_mut(0).push(player, &[cart.x]));
/// #     }
/// # }
///
/// // `step` has `cart.roll(input)`, too.
/// impl Predict for Carts {
///     type Own = Cart;
///
///     fn own(seen: &Seen<'_>, _predicted: Option<&Cart>) -> Option<Cart> {
///         let [x] = seen.row(0)?;
///         Some(Cart { x })
///     }
///     fn predict(cart: &mut Cart, push: &Push, _tick_rate: u32) {
///         cart.roll(push);
///     }
///     fn shown(cart: &Cart, row: &mut [i32]) {
///         row[0] = cart.x;
///     }
/// }
///
/// let mut carts = Prediction::<Carts>::new(7, 20);
/// let mut state = Snapshot::new(&Carts::schema());
/// state.table_mut(0).push(7, &[0]);
/// carts.reconcile(0, &state);
/// carts.push(1, Push { by: 5 });
/// carts.push(2, Push { by: 5 });
/// assert_eq!(carts.shown(), Some(&[10][..]));
/// // The server says: at input 1 the cart was at 3 (somebody stood in the way).
/// state.clear(1);
/// state.table_mut(0).push(7, &[3]);
/// carts.reconcile(1, &state);
/// assert_eq!(carts.shown(), Some(&[8][..]));
/// ```
pub trait Predict: Simulation {
    /// What a client keeps of its own player, and of the part of the world that the player can meet. It is
    /// cloned with every input: put large parts into an `Arc`.
    type Own: Clone + PartialEq;
    /// The schema's kind of the player's own entity. Its id there must be the player's.
    const OWN: usize = 0;

    /// The player in a state of the server. None: it cannot be predicted now (it is dead, or not there).
    ///
    /// `predicted` is what was predicted for this very input, if anything was. It provides what a state does
    /// not contain: if the position is as predicted, so is the speed.
    fn own(seen: &Seen<'_>, predicted: Option<&Self::Own>) -> Option<Self::Own>;
    /// Advances by one tick with this input, as `step` does. Numbers in inputs have not been clamped yet.
    fn predict(own: &mut Self::Own, input: &Self::Input, tick_rate: u32);
    /// Writes the prediction into the player's row of a snapshot. The other columns keep the values of the
    /// newest state.
    ///
    /// `row` has as many columns as the schema's kind [`OWN`](Self::OWN).
    fn shown(own: &Self::Own, row: &mut [i32]);
}

/// A client's prediction of its own player.
pub struct Prediction<P: Predict> {
    player: PlayerId,
    tick_rate: u32,
    /// The state with the confirmed inputs.
    confirmed: Option<P::Own>,
    /// Number of the last confirmed input.
    sequence: u32,
    /// The inputs after it.
    pending: VecDeque<Pending<P>>,
    /// The player's row in the newest state; empty if there is none.
    row: Vec<i32>,
    /// The row that was returned last.
    shown: Vec<i32>,
    error: u32,
}

/// An input that no state has confirmed, and the player after it.
struct Pending<P: Predict> {
    sequence: u32,
    input: P::Input,
    own: Option<P::Own>,
}

impl<P: Predict> Prediction<P> {
    /// For a player with a new seat, whose inputs count from 1, in a room with this many ticks per second.
    /// Nothing is predicted before the first state.
    pub fn new(player: PlayerId, tick_rate: u32) -> Self {
        Self {
            player,
            tick_rate: tick_rate.clamp(*crate::TICK_RATES.start(), *crate::TICK_RATES.end()),
            confirmed: None,
            sequence: 0,
            pending: VecDeque::new(),
            row: Vec::new(),
            shown: Vec::new(),
            error: 0,
        }
    }

    /// Applies the input that was sent with this number.
    pub fn push(&mut self, sequence: u32, input: P::Input) {
        if self.pending.len() == MAX_PENDING
            && let Some(forgotten) = self.pending.pop_front()
        {
            (self.sequence, self.confirmed) = (forgotten.sequence, forgotten.own);
        }
        let own = self.after(&input);
        self.pending.push_back(Pending { sequence, input, own });
    }

    /// Takes the server's state, which contains the inputs up to `input` and no later ones. False: it is
    /// older than what the server has confirmed, and nothing changes.
    pub fn reconcile(&mut self, input: u32, state: &Snapshot) -> bool {
        if input < self.sequence {
            return false;
        }
        self.sequence = input;
        while self.pending.front().is_some_and(|pending| pending.sequence <= input) {
            self.confirmed = self.pending.pop_front().and_then(|pending| pending.own);
        }
        let table = &state.tables()[P::OWN];
        let own_row = table.row(self.player);
        self.row.clear();
        self.row
            .extend(own_row.iter().flat_map(|&row| (0..table.width()).map(move |n| table.column(n)[row])));

        let seen = Seen { state, player: self.player, tick_rate: self.tick_rate };
        let own = P::own(&seen, self.confirmed.as_ref()).filter(|_| own_row.is_some());
        let predicted = self.confirmed.clone().filter(|_| own.is_some());
        self.error = match self.show(predicted) {
            Some(_) => distance(&self.shown, &self.row),
            None => 0,
        };
        if own != self.confirmed {
            let mut after = own.clone();
            for pending in &mut self.pending {
                if let Some(own) = &mut after {
                    P::predict(own, &pending.input, self.tick_rate);
                }
                pending.own.clone_from(&after);
            }
            self.confirmed = own;
        }
        true
    }

    /// The player with all inputs sent so far. None: it is not predicted now.
    pub fn own(&self) -> Option<&P::Own> {
        self.pending.back().map_or(self.confirmed.as_ref(), |last| last.own.as_ref())
    }

    /// The player's row with all inputs sent so far; if it is not predicted, as in the newest state. None:
    /// there is no such row.
    pub fn shown(&mut self) -> Option<&[i32]> {
        let own = self.own().cloned();
        self.show(own)
    }

    /// Like [`shown`](Self::shown), as if this were the next input: what is shown between two inputs moves
    /// towards it.
    pub fn shown_after(&mut self, input: &P::Input) -> Option<&[i32]> {
        let own = self.after(input);
        self.show(own)
    }

    /// The error of the prediction for the newest state: the length of the difference over all columns,
    /// quanta. 0: it was right, or there was none.
    pub fn error(&self) -> u32 {
        self.error
    }

    /// Inputs that no state has confirmed.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    fn after(&self, input: &P::Input) -> Option<P::Own> {
        let mut own = self.own()?.clone();
        P::predict(&mut own, input, self.tick_rate);
        Some(own)
    }

    fn show(&mut self, own: Option<P::Own>) -> Option<&[i32]> {
        self.shown.clone_from(&self.row);
        if self.row.is_empty() {
            return None;
        }
        if let Some(own) = own {
            P::shown(&own, &mut self.shown);
        }
        Some(&self.shown)
    }
}

impl<P: Predict> fmt::Debug for Prediction<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prediction")
            .field("player", &self.player)
            .field("sequence", &self.sequence)
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

fn distance(a: &[i32], b: &[i32]) -> u32 {
    let squares = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2));
    squares.fold(0_u64, u64::saturating_add).isqrt().try_into().unwrap_or(u32::MAX)
}
