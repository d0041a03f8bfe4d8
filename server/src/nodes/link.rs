//! Questions to Redis about leases and rooms: one round trip each.

use super::{
    ask::{Answer, Ask, Failure, Incarnation},
    node::Node,
    script::{Call, SCRIPT, answer, is_agreed, parcel},
    way::{Own, Way},
};
use redis::{Script, Value};
use std::time::Duration;
use tracing::warn;

/// When a connection on which nothing came is taken for lost: Redis answers after a second.
const LISTEN: Duration = Duration::from_secs(3);

/// How long something lies there for a node, milliseconds: as long as in the script.
const TOLD_MS: u64 = 10_000;

/// A connection that waits for what concerns this node.
pub(super) struct Inbox(Own);

/// The connection, and what has come.
pub(super) type Heard = (Inbox, Option<String>);

/// The way to Redis, and what is asked there.
pub(super) struct Link {
    way: Way,
    call: Call,
    script: Script,
    /// Replicas that must have a lease or a claim.
    replicas: u32,
    /// Longest time for an answer; for a player's question, half of it.
    limit: Duration,
}

impl Link {
    pub(super) fn new(way: Way, call: Call, replicas: u32, limit: Duration) -> Self {
        Self { way, call, script: Script::new(SCRIPT), replicas, limit }
    }

    /// Asks. One round trip, once there is a connection.
    pub(super) async fn ask(&self, me: &Incarnation, says: &Node, ask: &Ask) -> Result<Answer, Failure> {
        // A player who waits is better told soon to come again; a lease is better renewed late than not.
        let limit = if let Ask::Claim { .. } | Ask::Where { .. } = ask { self.limit / 2 } else { self.limit };
        let mut call = self.script.prepare_invoke();
        call.key(self.call.key());
        for argument in self.call.arguments(me, says, ask) {
            call.arg(argument);
        }
        if let Some(parcel) = parcel(ask) {
            call.arg(parcel);
        }
        let wanted = u64::from(self.replicas);
        let asked = self.way.ask(limit, async |connection| {
            let said: Value = call.invoke_async(connection).await?;
            if wanted == 0 || !is_agreed(ask) {
                return Ok((said, wanted));
            }
            let limit = self.limit.as_millis() as u64 / 4;
            let wait = redis::cmd("WAIT").arg(wanted).arg(limit).to_owned();
            Ok((said, wait.query_async(connection).await?))
        });
        let (said, confirmed): (_, u64) = asked.await?;
        if confirmed < wanted {
            return Err(Failure::Unconfirmed { confirmed, wanted });
        }
        answer(&said)
    }

    /// Tells another node something that concerns it, which may be lost.
    pub(super) async fn tell(&self, node: &Incarnation, text: &str) {
        let inbox = self.call.inbox(node);
        let mut tell = redis::pipe();
        tell.cmd("RPUSH").arg(&inbox).arg(text).ignore();
        tell.cmd("PEXPIRE").arg(&inbox).arg(TOLD_MS).ignore();
        let told = self.way.ask(self.limit, async |connection| tell.query_async::<()>(connection).await);
        if let Err(failure) = told.await {
            warn!(%node, %failure, "another node is not told who has left a room on its way there");
        }
    }

    /// Waits for what concerns this node, for a second at most, over a connection of its own.
    pub(super) async fn listen(&self, inbox: Option<Inbox>, me: &Incarnation) -> Result<Heard, Failure> {
        let mut inbox = match inbox {
            Some(inbox) => inbox,
            None => Inbox(self.way.own(self.limit).await?),
        };
        let pop = redis::cmd("BLPOP").arg(self.call.inbox(me)).arg(1).to_owned();
        let popped: Option<(String, String)> =
            inbox.0.ask(LISTEN, async |connection| pop.query_async(connection).await).await?;
        Ok((inbox, popped.map(|(_, text)| text)))
    }
}
