//! What lies in Redis for a node: words of others. They are hints, which may be lost with Redis or with the
//! node.

use super::{
    Left,
    ask::{Failure, Incarnation},
    overview::Errand,
    way::{Own, Way},
};
use crate::clock::millis;
use redis::{cmd, pipe};
use std::{sync::Arc, time::Duration};

/// How long a word lies there: as long as in `transfer.lua`.
const LIES: Duration = Duration::from_secs(10);
/// When a connection on which nothing came is taken for lost: Redis answers after a second.
const LISTEN: Duration = Duration::from_secs(3);

/// What one node has to say to another.
#[derive(Debug, PartialEq)]
pub(super) enum Word {
    /// It may have this room. (`transfer.lua` says so, and the next.)
    Offer(Arc<str>),
    /// What it has offered is taken, or cannot be.
    Over(Arc<str>),
    /// These have left a room that was on its way to it.
    Left(Arc<str>, Left),
    /// An operator asks it for something.
    Errand(Errand),
}

/// A connection that waits for what concerns a node.
pub(super) struct Inbox(Own);

impl Word {
    fn text(&self) -> String {
        match self {
            Word::Offer(room) => format!("offer {room}"),
            Word::Over(room) => format!("over {room}"),
            Word::Left(room, left) => {
                format!("left {room} {}", serde_json::to_string(left).unwrap_or_default())
            }
            Word::Errand(Errand::Drain) => "drain .".to_owned(),
            Word::Errand(Errand::Move { room, to: None }) => format!("move {room}"),
            Word::Errand(Errand::Move { room, to: Some(to) }) => format!("move {room} {to}"),
        }
    }

    /// None: it says nothing that this version knows.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ')?;
        let (room, more) = rest.split_once(' ').map_or((rest, None), |(room, more)| (room, Some(more)));
        Some(match word {
            "offer" => Word::Offer(rest.into()),
            "over" => Word::Over(rest.into()),
            "left" => Word::Left(room.into(), serde_json::from_str(more?).ok()?),
            "drain" => Word::Errand(Errand::Drain),
            "move" => Word::Errand(Errand::Move { room: room.into(), to: more.map(str::to_owned) }),
            _ => return None,
        })
    }
}

impl Inbox {
    /// Over a connection of its own.
    pub(super) async fn open(way: &Way, limit: Duration) -> Result<Self, Failure> {
        way.own(limit).await.map(Self)
    }

    /// Waits for what is said to this node, for a second at most.
    pub(super) async fn next(&mut self, way: &Way, me: &Incarnation) -> Result<Option<String>, Failure> {
        let pop = cmd("BLPOP").arg(key(way, me)).arg(1).to_owned();
        let popped: Option<(String, String)> =
            self.0.ask(LISTEN, async |redis| pop.query_async(redis).await).await?;
        Ok(popped.map(|(_, text)| text))
    }
}

/// Has a word for another node.
pub(super) async fn tell(way: &Way, limit: Duration, node: &Incarnation, word: &Word) -> Result<(), Failure> {
    let (inbox, mut tell) = (key(way, node), pipe());
    tell.cmd("RPUSH").arg(&inbox).arg(word.text()).ignore();
    tell.cmd("PEXPIRE").arg(&inbox).arg(millis(LIES)).ignore();
    way.ask(limit, async |redis| tell.query_async(redis).await).await
}

fn key(way: &Way, node: &Incarnation) -> String {
    way.key(&format!("inbox:{node}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::report::LeaveReason;

    #[test]
    fn what_is_said_to_a_node_is_what_it_reads() {
        let room = || Arc::<str>::from("lobby");
        let a_move =
            |to: Option<&str>| Word::Errand(Errand::Move { room: room(), to: to.map(str::to_owned) });
        for word in [
            Word::Offer(room()),
            Word::Over(room()),
            Word::Left(room(), vec![(3, LeaveReason::Left)]),
            Word::Errand(Errand::Drain),
            a_move(None),
            a_move(Some("127.0.0.1:7777")),
            a_move(Some("a b")),
        ] {
            assert_eq!(Word::read(&word.text()), Some(word));
        }
        for other in ["", "drain", "left lobby", "left lobby 7", "opens lobby"] {
            assert_eq!(Word::read(other), None, "{other:?}");
        }
    }
}
