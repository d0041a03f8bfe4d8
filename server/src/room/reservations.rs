//! Seats that are reserved for players who have yet to come; and in a room for these alone, who may come.

use crate::ground::reservation::{Reservation, ReservationToken};
use driftless_sim::PlayerId;
use serde::{Deserialize, Serialize};

/// In a room that is for those alone who have reservations, so many times as many of them as there are seats
/// are kept in mind when they are over: a room that asks for players again and again has had many.
const REMEMBERED: usize = 4;

/// The reservations of a room. Few, and looked through rarely.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Reservations {
    /// In the order in which they were made.
    all: Vec<ReservedSeat>,
    /// Nobody else may come.
    alone: bool,
}

/// What happens to reservations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Change {
    /// Seats are reserved, up to this tick.
    Added(Vec<Reservation>, u32),
    /// From now on, nobody comes who has none.
    Alone,
    /// A player has come with the token, and has the seat.
    Taken(ReservationToken, PlayerId),
    /// The player has never learnt of the seat, and may come again with the token, if it had one.
    GivenBack(PlayerId),
    /// Those that nobody has taken are given up.
    Released(Vec<ReservationToken>),
}

/// A seat that is reserved.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ReservedSeat {
    reservation: Reservation,
    state: State,
    /// The first tick that no longer keeps it.
    until: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// A seat is kept free.
    Waiting,
    /// This player has the seat. It is kept in mind up to the end, because a welcome may be lost: then its
    /// player comes again.
    Taken(PlayerId),
    /// No seat is kept any more. In a room for these alone, its holder may come if there is one.
    Over,
}

/// What somebody may do who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Take the seat that is kept for this.
    Seat(ReservationToken),
    /// Take a free seat, if there is one, as the holder of this.
    Free(ReservationToken),
}

impl Reservations {
    /// How many seats are kept free.
    pub fn waiting(&self) -> usize {
        self.all.iter().filter(|reserved| reserved.state == State::Waiting).count()
    }

    /// Whether nobody comes who has none.
    pub fn are_alone(&self) -> bool {
        self.alone
    }

    /// Something happens to them.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Added(reservations, until) => {
                let reserved = |reservation: &Reservation| ReservedSeat {
                    reservation: reservation.clone(),
                    state: State::Waiting,
                    until: *until,
                };
                self.all.extend(reservations.iter().map(reserved));
            }
            Change::Alone => self.alone = true,
            Change::Taken(token, player) => {
                let of = self.all.iter_mut().find(|reserved| reserved.reservation.token == *token);
                of.into_iter().for_each(|reserved| reserved.state = State::Taken(*player));
            }
            Change::GivenBack(player) => {
                let of = self.all.iter_mut().find(|reserved| reserved.state == State::Taken(*player));
                of.into_iter().for_each(|reserved| reserved.state = State::Waiting);
            }
            Change::Released(tokens) => self.all.retain(|reserved| {
                matches!(reserved.state, State::Taken(_)) || !tokens.contains(&reserved.reservation.token)
            }),
        }
    }

    /// What this user may do who shows this. None: what anybody may. In a room for these alone the users
    /// themselves count, too: who comes back may have lost the token.
    pub fn pass(&self, token: Option<ReservationToken>, user: &str) -> Option<Pass> {
        let admits = |Reservation { token: own, user: of }: &Reservation| match of {
            Some(of) => **of == *user && (self.alone || token == Some(*own)),
            None => token == Some(*own),
        };
        let mut of = self.all.iter().filter(|reserved| admits(&reserved.reservation));
        let free = of.clone().find(|reserved| reserved.state == State::Over);
        let seat = of.find(|reserved| reserved.state == State::Waiting);
        let seat = seat.map(|reserved| Pass::Seat(reserved.reservation.token));
        seat.or(free.map(|reserved| Pass::Free(reserved.reservation.token)))
    }

    /// With which the player has come, if the seat was kept.
    pub fn of(&self, player: PlayerId) -> Option<ReservationToken> {
        let of = self.all.iter().find(|kept| kept.state == State::Taken(player));
        of.map(|kept| kept.reservation.token)
    }

    /// The player's seat has ended.
    pub fn ended(&mut self, player: PlayerId) {
        let Some(at) = self.all.iter().position(|reserved| reserved.state == State::Taken(player)) else {
            return;
        };
        if self.alone {
            self.all[at].state = State::Over;
        } else {
            self.all.remove(at);
        }
    }

    /// Those whose time is over keep no seat any more, of a room with so many. Returns whether any did.
    pub fn expire(&mut self, tick: u32, max_players: u32) -> bool {
        if self.all.is_empty() {
            return false;
        }
        let before = self.waiting();
        if self.alone {
            let over =
                |reserved: &&mut ReservedSeat| reserved.until <= tick && reserved.state == State::Waiting;
            self.all.iter_mut().filter(over).for_each(|reserved| reserved.state = State::Over);
            let over = self.all.iter().filter(|reserved| reserved.state == State::Over).count();
            let mut many = over.saturating_sub(REMEMBERED * max_players as usize);
            self.all.retain(|reserved| {
                let forgotten = many > 0 && reserved.state == State::Over;
                many -= usize::from(forgotten);
                !forgotten
            });
        } else {
            self.all.retain(|reserved| reserved.until > tick);
        }
        self.waiting() < before
    }
}
