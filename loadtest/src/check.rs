//! What a bot does not take on trust. Each violation is a fault of the server (or of the decoding library),
//! and fails the run.
//!
//! These checks are independent of the session's own: both ends share the session's code, so a fault in it
//! could hide itself.

mod motion;
mod zones;

pub use motion::MotionRules;
pub use zones::Sight;

use driftless_client::ServerError;
use driftless_proto::{code::CloseCode, delta::DeltaError, session::Delivery, wire};
use prost::Message;
use std::{collections::BTreeMap, fmt};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// A state that is not newer than one already applied.
    Stale {
        /// Its tick.
        got: u32,
        /// The tick applied.
        applied: u32,
    },
    /// A reliable message is not the one after the last.
    Gap {
        /// Its sequence.
        got: u64,
        /// The one before.
        last: u64,
    },
    /// An entity moved farther than the rules allow.
    Jump {
        /// Its kind.
        kind: String,
        /// Its id.
        id: u32,
        /// How far it went, quanta.
        distance: i64,
        /// How far it may go in that time, quanta.
        allowed: i64,
    },
    /// A zone, or an entity of one, that the player does not see.
    Unseen(String),
    /// The decoded state is not the one the server has.
    Checksum(String),
    /// Anything else that the server should not have sent.
    Protocol(String),
    /// The server was silent for the session's timeout.
    Silent(String),
    /// The connection could not be made.
    Refused(String),
    /// The connection ended before the bot left.
    Disconnected(u16),
}

/// What was seen so far on one connection.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// A state may come in several messages.
    in_parts: bool,
    applied: Option<u32>,
    reliable: u64,
}

/// How often each thing went wrong, with an example.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    kinds: BTreeMap<&'static str, (u64, String)>,
}

impl Order {
    /// Of a connection that delivers like this.
    pub fn of(delivery: Delivery) -> Self {
        Self { in_parts: delivery == Delivery::Datagram, ..Self::default() }
    }
    /// How the connection delivers.
    pub fn delivery(&self) -> Delivery {
        if self.in_parts { Delivery::Datagram } else { Delivery::Ordered }
    }
    /// The same seat goes on over a new connection.
    pub fn resumed(&mut self, delivery: Delivery) {
        self.in_parts = delivery == Delivery::Datagram;
    }
    /// A state is applied: it must be newer than all before (Promise 2), or more of the newest one. Returns
    /// whether it is newer.
    pub fn state(&mut self, tick: u32) -> Result<bool, Violation> {
        match self.applied {
            Some(applied) if tick == applied && self.in_parts => Ok(false),
            Some(applied) if tick <= applied => Err(Violation::Stale { got: tick, applied }),
            _ => {
                self.applied = Some(tick);
                Ok(true)
            }
        }
    }
    /// A message arrived: if it is a reliable one, it must be the next (Promise 3). Malformed ones are left
    /// to the session.
    pub fn message(&mut self, message: &[u8]) -> Result<(), Violation> {
        /// Tag of `ServerMessage.reliable`: field 2, length-delimited. Saves decoding states, which are most
        /// of the messages.
        const RELIABLE: u8 = 0x12;
        if message.first() != Some(&RELIABLE) {
            return Ok(());
        }
        let Ok(wire::ServerMessage { body: Some(wire::server_message::Body::Reliable(reliable)) }) =
            wire::ServerMessage::decode(message)
        else {
            return Ok(());
        };
        let last = std::mem::replace(&mut self.reliable, reliable.sequence);
        if reliable.sequence == last + 1 {
            Ok(())
        } else {
            Err(Violation::Gap { got: reliable.sequence, last })
        }
    }
}

impl Violation {
    /// Its name in the figures.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Stale { .. } => "stale",
            Self::Gap { .. } => "gap",
            Self::Jump { .. } => "jump",
            Self::Unseen(_) => "unseen",
            Self::Checksum(_) => "checksum",
            Self::Protocol(_) => "protocol",
            Self::Silent(_) => "silent",
            Self::Refused(_) => "refused",
            Self::Disconnected(_) => "disconnected",
        }
    }
}

impl From<ServerError> for Violation {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Stale { got, applied } => Self::Stale { got, applied },
            ServerError::Gap { got, last } => Self::Gap { got, last },
            ServerError::Delta(DeltaError::Checksum { .. }) => Self::Checksum(error.to_string()),
            ServerError::TimedOut(_) => Self::Silent(error.to_string()),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { got, applied } => write!(f, "state of tick {got} after tick {applied}"),
            Self::Gap { got, last } => write!(f, "reliable message {got} after {last}"),
            Self::Jump { kind, id, distance, allowed } => {
                write!(f, "{kind} {id} went {distance} quanta where {allowed} are possible")
            }
            Self::Unseen(what) => write!(f, "{what}, and is not in view"),
            Self::Checksum(text) | Self::Protocol(text) | Self::Silent(text) | Self::Refused(text) => {
                f.write_str(text)
            }
            Self::Disconnected(code) => match CloseCode::from_number(*code) {
                Some(named) => write!(f, "closed with code {code} ({})", named.name()),
                None => write!(f, "closed with code {code}"),
            },
        }
    }
}

impl Violations {
    /// Takes one.
    pub fn add(&mut self, violation: &Violation) {
        let entry = self.kinds.entry(violation.kind()).or_insert_with(|| (0, violation.to_string()));
        entry.0 += 1;
    }
    /// Takes those of another thread.
    pub fn merge(&mut self, other: Violations) {
        for (kind, (count, example)) in other.kinds {
            self.kinds.entry(kind).or_insert((0, example)).0 += count;
        }
    }
    /// How many there are.
    pub fn total(&self) -> u64 {
        self.kinds.values().map(|(count, _)| count).sum()
    }
    /// How many of each kind.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.kinds.iter().map(|(&kind, (count, _))| (kind.to_owned(), *count)).collect()
    }
    /// One line for each kind, with its first example.
    pub fn examples(&self) -> impl Iterator<Item = String> {
        self.kinds.iter().map(|(kind, (count, example))| format!("{kind}: {count}, the first: {example}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reliable(sequence: u64) -> Vec<u8> {
        let body = wire::server_message::Body::Reliable(wire::Reliable { sequence, body: None });
        wire::ServerMessage { body: Some(body) }.encode_to_vec()
    }

    // Promise 2: "A client never applies a state older than one it has applied."
    #[test]
    fn a_state_that_is_not_newer_is_caught() {
        let mut order = Order::of(Delivery::Ordered);
        assert_eq!(order.state(7), Ok(true));
        assert_eq!(order.state(9), Ok(true));
        assert_eq!(order.state(9), Err(Violation::Stale { got: 9, applied: 9 }));
        assert_eq!(order.state(8), Err(Violation::Stale { got: 8, applied: 9 }));
        assert_eq!(order.state(10), Ok(true));
    }

    #[test]
    fn a_state_may_come_in_several_datagrams() {
        let mut order = Order::of(Delivery::Datagram);
        assert_eq!(order.state(7), Ok(true));
        assert_eq!(order.state(7), Ok(false));
        assert_eq!(order.state(8), Ok(true));
        assert_eq!(order.state(7), Err(Violation::Stale { got: 7, applied: 8 }));
    }

    // Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window."
    #[test]
    fn a_reliable_message_that_is_missing_or_there_twice_is_caught() {
        let mut order = Order::default();
        assert_eq!(order.message(&reliable(1)), Ok(()));
        assert_eq!(order.message(&reliable(2)), Ok(()));
        assert_eq!(order.message(&reliable(2)), Err(Violation::Gap { got: 2, last: 2 }));
        assert_eq!(order.message(&reliable(4)), Err(Violation::Gap { got: 4, last: 2 }));
        assert_eq!(Order::default().message(&reliable(2)), Err(Violation::Gap { got: 2, last: 0 }));
        assert_eq!(order.message(b"\x0a\x00"), Ok(()), "a state is none of this check's business");
        assert_eq!(order.message(b"\x12\xff"), Ok(()), "malformed ones are the session's");
    }

    #[test]
    fn what_the_session_refuses_gets_its_name() {
        let kind = |error: ServerError| Violation::from(error).kind();
        assert_eq!(kind(ServerError::Stale { got: 1, applied: 2 }), "stale");
        assert_eq!(kind(ServerError::Gap { got: 1, last: 2 }), "gap");
        assert_eq!(kind(DeltaError::Checksum { expected: 1, actual: 2 }.into()), "checksum");
        assert_eq!(kind(DeltaError::Truncated.into()), "protocol");
        assert_eq!(kind(ServerError::TimedOut(std::time::Duration::ZERO)), "silent");
    }

    #[test]
    fn violations_add_up_over_threads_and_keep_an_example() {
        let (mut one, mut two) = (Violations::default(), Violations::default());
        one.add(&Violation::Disconnected(4002));
        two.add(&Violation::Disconnected(4003));
        two.add(&Violation::Gap { got: 3, last: 1 });
        one.merge(two);
        assert_eq!(one.total(), 3);
        assert_eq!(
            one.examples().collect::<Vec<_>>(),
            [
                "disconnected: 2, the first: closed with code 4002 (slow_consumer)",
                "gap: 1, the first: reliable message 3 after 1"
            ]
        );
    }
}
