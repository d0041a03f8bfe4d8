//! Seats that are reserved for players who have yet to come.

use crate::ground::reservation::{Reservation, ReservationToken};
use driftless_sim::PlayerId;
use serde::{Deserialize, Serialize};

/// The reservations of a room. Few, and looked through rarely.
#[derive(Debug, Default)]
pub struct Reservations(Vec<ReservedSeat>);

/// What happens to reservations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Change {
    /// Seats are reserved, up to this tick.
    Added(Vec<Reservation>, u32),
    /// A player has come with the token, and has the seat.
    Taken(ReservationToken, PlayerId),
    /// The player has never learnt of the seat, and may come again with the token, if it had one.
    GivenBack(PlayerId),
    /// Those that nobody has taken are given up.
    Released(Vec<ReservationToken>),
}

/// A seat that is reserved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReservedSeat {
    reservation: Reservation,
    /// The first tick that no longer keeps it.
    until: u32,
    /// Who has the seat. It is remembered up to the end, because a welcome may be lost: then its player
    /// comes again.
    taken: Option<PlayerId>,
}

impl Reservations {
    /// How many seats nobody has taken yet.
    pub fn waiting(&self) -> usize {
        self.0.iter().filter(|reserved| reserved.taken.is_none()).count()
    }

    /// Something happens to them.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Added(reservations, until) => {
                let reserved = |reservation: &Reservation| ReservedSeat {
                    reservation: reservation.clone(),
                    until: *until,
                    taken: None,
                };
                self.0.extend(reservations.iter().map(reserved));
            }
            Change::Taken(token, player) => {
                let of = self.0.iter_mut().find(|reserved| reserved.reservation.token == *token);
                of.into_iter().for_each(|reserved| reserved.taken = Some(*player));
            }
            Change::GivenBack(player) => {
                let of = self.0.iter_mut().find(|reserved| reserved.taken == Some(*player));
                of.into_iter().for_each(|reserved| reserved.taken = None);
            }
            Change::Released(tokens) => {
                self.0.retain(|reserved| {
                    reserved.taken.is_some() || !tokens.contains(&reserved.reservation.token)
                });
            }
        }
    }

    /// Whether a seat is reserved for this user with this token.
    pub fn is_for(&self, token: ReservationToken, user: &str) -> bool {
        self.0.iter().any(|reserved| reserved.is_for(token, user))
    }

    /// The player's seat has ended.
    pub fn ended(&mut self, player: PlayerId) {
        self.0.retain(|reserved| reserved.taken != Some(player));
    }

    /// Forgets those that are over. Returns whether any were.
    pub fn pass(&mut self, tick: u32) -> bool {
        let before = self.0.len();
        self.0.retain(|reserved| reserved.until > tick);
        self.0.len() < before
    }

    /// All, for another process.
    pub fn save(&self) -> Vec<ReservedSeat> {
        self.0.clone()
    }

    /// Those of another process.
    pub fn restored(reserved: Vec<ReservedSeat>) -> Self {
        Self(reserved)
    }
}

impl ReservedSeat {
    fn is_for(&self, token: ReservationToken, user: &str) -> bool {
        let Reservation { token: own, user: of } = &self.reservation;
        self.taken.is_none() && *own == token && of.as_ref().is_none_or(|of| **of == *user)
    }
}
