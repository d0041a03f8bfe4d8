//! Seats that are kept for players who have yet to come.

use crate::ground::reservation::{Reservation, ReservationToken};
use driftless_sim::PlayerId;
use serde::{Deserialize, Serialize};

/// The reservations of a room. Few, and looked through rarely.
#[derive(Debug, Default)]
pub struct Reservations(Vec<Kept>);

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    reservation: Reservation,
    /// The first tick that no longer keeps it.
    until: u32,
    /// Who has the seat. It is kept in mind up to the end, because a welcome may be lost: then its player
    /// comes again.
    taken: Option<PlayerId>,
}

impl Reservations {
    /// How many seats are kept free.
    pub fn waiting(&self) -> usize {
        self.0.iter().filter(|kept| kept.taken.is_none()).count()
    }

    /// Keeps a seat up to this tick.
    pub fn keep(&mut self, reservation: Reservation, until: u32) {
        self.0.push(Kept { reservation, until, taken: None });
    }

    /// Whether a seat is kept for this user with this token.
    pub fn is_for(&self, token: ReservationToken, user: &str) -> bool {
        self.0.iter().any(|kept| kept.is_for(token, user))
    }

    /// Its player has the seat.
    pub fn taken(&mut self, token: ReservationToken, player: PlayerId) {
        if let Some(kept) = self.0.iter_mut().find(|kept| kept.reservation.token == token) {
            kept.taken = Some(player);
        }
    }

    /// The player has never learnt of the seat, and may come again with the token. False: without one.
    pub fn give_back(&mut self, player: PlayerId) -> bool {
        let kept = self.0.iter_mut().find(|kept| kept.taken == Some(player));
        kept.map(|kept| kept.taken = None).is_some()
    }

    /// The player's seat has ended.
    pub fn ended(&mut self, player: PlayerId) {
        self.0.retain(|kept| kept.taken != Some(player));
    }

    /// Gives up those that nobody has taken.
    pub fn release(&mut self, tokens: &[ReservationToken]) {
        self.0.retain(|kept| kept.taken.is_some() || !tokens.contains(&kept.reservation.token));
    }

    /// Forgets those that are over. Returns whether any were.
    pub fn pass(&mut self, tick: u32) -> bool {
        let before = self.0.len();
        self.0.retain(|kept| kept.until > tick);
        self.0.len() < before
    }

    /// All, for another process.
    pub fn save(&self) -> Vec<Kept> {
        self.0.clone()
    }

    /// Those of another process.
    pub fn restored(kept: Vec<Kept>) -> Self {
        Self(kept)
    }
}

impl Kept {
    fn is_for(&self, token: ReservationToken, user: &str) -> bool {
        let Reservation { token: own, user: of } = &self.reservation;
        self.taken.is_none() && *own == token && of.as_ref().is_none_or(|of| **of == *user)
    }
}
