//! Questions to Redis about leases and rooms: one round trip each.

use super::{
    ask::{Answer, Ask, Failure, Incarnation},
    node::Node,
    script::{Call, SCRIPT, answer, is_agreed, parcel},
    way::{Way, failure},
};
use crate::config::RedisUrl;
use redis::{Script, aio::MultiplexedConnection};
use std::time::Duration;
use tokio::time::timeout;
use tracing::warn;

/// When a connection on which nothing came is taken for lost: Redis answers after a second.
const LISTEN: Duration = Duration::from_secs(3);

/// How long something lies there for a node, milliseconds: as long as in the script.
const TOLD_MS: u64 = 10_000;

/// A connection that waits for what concerns this node.
pub(super) struct Inbox(MultiplexedConnection);

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
    pub(super) fn new(url: RedisUrl, call: Call, replicas: u32, limit: Duration) -> Self {
        let way = Way::new(url, &call.prefix, limit);
        Self { way, call, script: Script::new(SCRIPT), replicas, limit }
    }

    /// Asks. One round trip, once there is a connection.
    pub(super) async fn ask(&self, me: &Incarnation, says: &Node, ask: &Ask) -> Result<Answer, Failure> {
        let mut used = None;
        // A player who waits is better told soon to come again; a lease is better renewed late than not.
        let limit = if let Ask::Claim { .. } = ask { self.limit / 2 } else { self.limit };
        let asked = timeout(limit, self.try_ask(&mut used, me, says, ask)).await;
        let asked = asked.unwrap_or(Err(Failure::Slow(limit)));
        if let Err(Failure::Away(_) | Failure::Slow(_) | Failure::ReadOnly(_)) = &asked {
            self.way.forget(used);
        }
        asked
    }

    async fn try_ask(
        &self,
        used: &mut Option<u64>,
        me: &Incarnation,
        says: &Node,
        ask: &Ask,
    ) -> Result<Answer, Failure> {
        let (number, mut connection) = self.way.connection().await?;
        *used = Some(number);
        let mut call = self.script.prepare_invoke();
        call.key(self.call.key());
        for argument in self.call.arguments(me, says, ask) {
            call.arg(argument);
        }
        if let Some(parcel) = parcel(ask) {
            call.arg(parcel);
        }
        let value = call.invoke_async(&mut connection).await.map_err(failure)?;
        if self.replicas > 0 && is_agreed(ask) {
            let limit = self.limit.as_millis() as u64 / 4;
            let wait = redis::cmd("WAIT").arg(self.replicas).arg(limit).to_owned();
            let confirmed: u64 = wait.query_async(&mut connection).await.map_err(failure)?;
            let wanted = u64::from(self.replicas);
            if confirmed < wanted {
                return Err(Failure::Unconfirmed { confirmed, wanted });
            }
        }
        answer(&value)
    }

    /// Tells another node something that concerns it, which may be lost.
    pub(super) async fn tell(&self, node: &Incarnation, text: &str) {
        let inbox = self.call.inbox(node);
        let told = async {
            let (_, mut connection) = self.way.connection().await?;
            let mut tell = redis::pipe();
            tell.cmd("RPUSH").arg(&inbox).arg(text).ignore();
            tell.cmd("PEXPIRE").arg(&inbox).arg(TOLD_MS).ignore();
            tell.query_async::<()>(&mut connection).await.map_err(failure)
        };
        let told = timeout(self.limit, told).await.unwrap_or(Err(Failure::Slow(self.limit)));
        if let Err(failure) = told {
            warn!(%node, %failure, "another node is not told who has left a room on its way there");
        }
    }

    /// Waits for what concerns this node, for a second at most, over a connection of its own.
    pub(super) async fn listen(&self, inbox: Option<Inbox>, me: &Incarnation) -> Result<Heard, Failure> {
        let mut inbox = match inbox {
            Some(inbox) => inbox,
            None => Inbox(self.way.fresh().await?),
        };
        let pop = redis::cmd("BLPOP").arg(self.call.inbox(me)).arg(1).to_owned();
        let popped = timeout(LISTEN, pop.query_async(&mut inbox.0)).await;
        let popped: Option<(String, String)> = popped.map_err(|_| Failure::Slow(LISTEN))?.map_err(failure)?;
        Ok((inbox, popped.map(|(_, text)| text)))
    }
}
