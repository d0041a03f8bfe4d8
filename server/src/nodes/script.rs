//! The script that does everything in Redis, and the translation of questions and answers.

use super::{
    ask::{Answer, Ask, Failure, Generation, Incarnation, Owned, Said},
    node::Node,
    way::hash_tag,
};
use bytes::Bytes;
use redis::Value;
use std::{sync::Arc, time::Duration};

/// The script. It is loaded once and called by its hash, which changes with it: nodes of different versions
/// each call their own.
pub(super) const SCRIPT: &str = concat!(include_str!("script.lua"), include_str!("transfer.lua"));

/// What belongs to a call of the script.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Keys begin with it.
    pub prefix: String,
    pub ttl: Duration,
}

impl Call {
    pub(super) fn new(prefix: &str, ttl: Duration) -> Self {
        Self { prefix: hash_tag(prefix), ttl }
    }

    /// The key that the script declares.
    pub(super) fn key(&self) -> String {
        format!("{}:generation", self.prefix)
    }

    /// The arguments of a question. `says`: what the node says of itself.
    pub(super) fn arguments(&self, me: &Incarnation, says: &Node, ask: &Ask) -> Vec<String> {
        let ttl = self.ttl.as_millis().to_string();
        let mut arguments = vec![self.prefix.clone(), ttl, operation(ask).to_owned(), me.to_string()];
        match ask {
            Ask::Renew { had } => {
                arguments.push(serde_json::to_string(says).unwrap_or_default());
                arguments.push(if *had { "had" } else { "new" }.to_owned());
            }
            Ask::Nodes => {}
            Ask::Restore(rooms) => {
                for Owned { room, epoch } in rooms {
                    arguments.extend([room.to_string(), epoch.to_string()]);
                }
            }
            Ask::Claim { room, to, make } => {
                let make = if *make { "make" } else { "" };
                arguments.extend([room.to_string(), to.to_string(), make.to_owned()]);
                arguments.extend(says.goes_on_with().iter().cloned());
            }
            Ask::Release { room, epoch, stored } => {
                let stored = if *stored { "stored" } else { "" };
                arguments.extend([room.to_string(), epoch.to_string(), stored.to_owned()]);
            }
            Ask::Inherit { from, most, again } => {
                let most = if says.takes_more() { *most } else { 0 };
                let again = if *again { "again" } else { "" };
                arguments.extend([from.to_string(), most.to_string(), again.to_owned()]);
                arguments.extend(says.kinds.iter().cloned());
            }
            Ask::Rooms { known } => arguments.push(known.to_string()),
            Ask::Leave => {}
            // The parcel, which is no text, follows.
            Ask::Offer { room, epoch, to, .. } => {
                arguments.extend([room.to_string(), epoch.to_string(), to.to_string()]);
            }
            Ask::Look { room } | Ask::Where { room } => arguments.push(room.to_string()),
            Ask::Take { room, offered } | Ask::Conclude { room, offered } => {
                arguments.extend([room.to_string(), offered.to_string()])
            }
            Ask::Decline { room, offered, why } => {
                arguments.extend([room.to_string(), offered.to_string(), why.clone()]);
            }
        }
        arguments
    }
}

fn operation(ask: &Ask) -> &'static str {
    match ask {
        Ask::Renew { .. } => "renew",
        Ask::Nodes => "nodes",
        Ask::Restore(_) => "restore",
        Ask::Claim { .. } => "claim",
        Ask::Where { .. } => "where",
        Ask::Release { .. } => "release",
        Ask::Take { .. } => "take",
        Ask::Inherit { .. } => "inherit",
        Ask::Rooms { .. } => "rooms",
        Ask::Leave => "leave",
        Ask::Offer { .. } => "offer",
        Ask::Look { .. } => "look",
        Ask::Decline { .. } => "decline",
        Ask::Conclude { .. } => "conclude",
    }
}

/// What a question brings besides its arguments.
pub(super) fn parcel(ask: &Ask) -> Option<&[u8]> {
    match ask {
        Ask::Offer { parcel, .. } => Some(parcel),
        _ => None,
    }
}

/// Whether an answer counts only once replicas have what was written.
pub(super) fn is_agreed(ask: &Ask) -> bool {
    matches!(
        ask,
        Ask::Renew { .. }
            | Ask::Claim { .. }
            | Ask::Restore(_)
            | Ask::Inherit { .. }
            | Ask::Take { .. }
            | Ask::Conclude { .. }
    )
}

/// What the script has returned.
pub(super) fn answer(value: &Value) -> Result<Answer, Failure> {
    let nonsense = || Failure::Refused(format!("the script has returned {value:?}"));
    let Value::Array(values) = value else { return Err(nonsense()) };
    let (parcel, values) = match &**values {
        [first @ .., Value::BulkString(parcel)] if is_word(values, b"offered") => {
            (Bytes::copy_from_slice(parcel), first)
        }
        values => (Bytes::new(), values),
    };
    let texts: Option<Vec<_>> = values.iter().map(text).collect();
    let texts = texts.ok_or_else(nonsense)?;
    let [generation, settling, word, rest @ ..] = &*texts else { return Err(nonsense()) };
    let settling = Duration::from_millis(settling.parse().map_err(|_| nonsense())?);
    let node = |text: &String| serde_json::from_str::<Node>(text).ok();
    let mut removes = None;
    let said = match (word.as_str(), rest) {
        ("done", [policy]) => {
            removes = Some(policy.as_str().into()).filter(|policy: &Arc<str>| !policy.is_empty());
            Said::Done
        }
        ("done", _) => Said::Done,
        ("lease", [theirs]) => Said::OtherLease(millis(theirs)),
        ("lost", _) => Said::Lost,
        ("settling", _) => Said::Settling,
        ("nowhere", _) => Said::Nowhere,
        ("restored", rooms) => {
            Said::Restored { refused: rooms.iter().map(|room| room.as_str().into()).collect() }
        }
        ("ours", [epoch, stored @ ..]) => {
            let stored = stored.first().is_some_and(|stored| stored == "stored");
            Said::Ours { epoch: epoch.parse().map_err(|_| nonsense())?, stored }
        }
        ("foreign", [kind]) => Said::Foreign { kind: kind.as_str().into() },
        ("at", [says, left @ ..]) => Said::At(
            node(says).ok_or_else(nonsense)?,
            left.first().map_or(Duration::ZERO, |left| millis(left)),
        ),
        ("offered", [epoch]) => Said::Offered { epoch: epoch.parse().map_err(|_| nonsense())?, parcel },
        ("stayed", [epoch, why]) => Said::Stayed {
            epoch: epoch.parse().map_err(|_| nonsense())?,
            why: Some(why.clone()).filter(|why| !why.is_empty()),
        },
        ("nodes", nodes) => {
            let all = nodes.as_chunks::<3>().0.iter();
            let one = |[name, says, left]: &[String; 3]| {
                (Incarnation(name.as_str().into()), node(says).map(|node| (node, millis(left))))
            };
            Said::Nodes(all.map(one).collect())
        }
        ("taken", rooms) => {
            let owned = |[room, epoch]: &[String; 2]| {
                Some(Owned { room: room.as_str().into(), epoch: epoch.parse().ok()? })
            };
            let rooms: Option<_> = rooms.as_chunks::<2>().0.iter().map(owned).collect();
            Said::Taken(rooms.ok_or_else(nonsense)?)
        }
        _ => return Err(nonsense()),
    };
    Ok(Answer { generation: Generation(generation.as_str().into()), settling, removes, said })
}

/// What a Redis has sent, as an answer.
#[cfg(any(test, fuzzed))]
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Ok(value) = redis::parse_redis_value(bytes) {
        let _ = answer(&value);
    }
}

fn is_word(values: &[Value], word: &[u8]) -> bool {
    matches!(values.get(2), Some(Value::BulkString(is)) if is == word)
}

/// Milliseconds as Redis counts what is left of a key: negative if it is gone.
fn millis(text: &str) -> Duration {
    Duration::from_millis(text.parse().unwrap_or(0))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}
