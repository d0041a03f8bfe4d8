//! What a party in the queue is and wants.

use super::filter::{Fact, Facts, Filter};
use crate::ground::source::Source;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Most regions, and most attributes, of a ticket.
pub(crate) const MAX_KEYS: usize = 16;
/// Longest key, bytes.
pub(crate) const MAX_KEY: usize = 32;
/// Longest attribute, bytes.
pub(crate) const MAX_ATTRIBUTE: usize = 128;

/// A party that waits for a match. It is matched as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ticket {
    /// Names it. Nobody can guess it.
    pub id: TicketId,
    /// The kind of game.
    pub kind: String,
    /// Who has asked. None: a guest.
    pub user: Option<Arc<str>>,
    /// How many play.
    pub party: u32,
    /// How good they are, each, on average.
    pub skill: f64,
    /// Milliseconds to regions that can be played in. Empty: all.
    pub latencies: BTreeMap<String, u32>,
    /// What is known of them besides.
    pub attributes: BTreeMap<String, String>,
    /// What must be true of everybody they play with, or of a running room that they come to. Empty: nothing.
    pub filter: String,
    /// When they came, milliseconds since 1970.
    pub since_ms: u64,
    /// From where. None: nobody in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<Source>,
}

/// The name of a ticket: as hard to guess as a password.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TicketId(u128);

impl TicketId {
    /// A new one.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(u128::from_le_bytes(bytes)))
    }

    /// As a client has sent it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self)
    }

    /// One with this number, for tests of match functions.
    pub fn numbered(n: u128) -> Self {
        Self(n)
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A secret is never shown whole.
impl fmt::Debug for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketId({:04x}..)", self.0 & 0xffff)
    }
}

impl From<TicketId> for String {
    fn from(id: TicketId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for TicketId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a ticket has 32 hexadecimal digits")
    }
}

impl Ticket {
    /// A ticket of a party, of whom nothing else is known.
    pub fn new(id: TicketId, kind: &str, party: u32) -> Self {
        Self {
            id,
            kind: kind.to_owned(),
            user: None,
            party,
            skill: 0.0,
            latencies: BTreeMap::new(),
            attributes: BTreeMap::new(),
            filter: String::new(),
            since_ms: 0,
            source: None,
        }
    }

    /// How long they have waited, milliseconds.
    pub fn waited_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.since_ms)
    }

    /// What must be true of others. None: nothing. (It was checked when the ticket came.)
    pub(super) fn wants(&self) -> Option<Filter> {
        (!self.filter.is_empty()).then(|| Filter::parse(&self.filter).ok()).flatten()
    }
}

impl Facts for Ticket {
    fn fact(&self, name: &str) -> Option<Fact<'_>> {
        match name {
            "party" => Some(Fact::Number(self.party.into())),
            "skill" => Some(Fact::Number(self.skill)),
            _ => self.attributes.get(name).map(|value| Fact::Text(value)),
        }
    }
}
