//! What reserves a seat in a room: a secret that whoever comes with it shows.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// The secret of a reservation: 16 bytes from the system's random source. (Not a signed token: a server that
/// checks players' tokens has no key to sign with, and only the room has to know it.)
///
/// It is serialised for files that are nobody else's to read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReservationToken([u8; 16]);

impl ReservationToken {
    /// A new token.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// A token as a peer has sent it. None: it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (length == bytes.len()).then_some(Self(bytes))
    }

    /// The text that travels.
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// A secret is never shown.
impl fmt::Debug for ReservationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReservationToken(..)")
    }
}

/// A seat that is kept for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// What its holder shows.
    pub token: ReservationToken,
    /// The only user who may take it. None: whoever has the token.
    pub user: Option<Arc<str>>,
}

impl Reservation {
    /// One for each of a party. The first is for the user who has asked; to whom the others are given is the
    /// party's affair.
    pub fn of_party(party: u32, user: Option<&Arc<str>>) -> Result<Vec<Self>, getrandom::Error> {
        let user = |n: u32| user.cloned().filter(|_| n == 0);
        (0..party).map(|n| Ok(Self { token: ReservationToken::random()?, user: user(n) })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let token = ReservationToken::random().unwrap();
        assert_eq!(ReservationToken::parse(&token.to_text()), Some(token));
        assert_eq!(token.to_text().len(), 22);
        for bad in ["", "x", &"A".repeat(21), &"A".repeat(23), &"A".repeat(400), "AAAAAAAAAAAAAAAAAAAAA!"] {
            assert_eq!(ReservationToken::parse(bad), None, "{bad}");
        }
        assert!(!format!("{token:?}").contains(&token.to_text()), "a secret is never shown");
    }
}
