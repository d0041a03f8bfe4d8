//! Questions to Redis about leases and rooms: one round trip each.

use super::{
    ask::{Answer, Ask, Failure, Incarnation},
    inbox::{self, Inbox, Word},
    node::Node,
    script::{Call, SCRIPT, answer, is_agreed, parcel},
    way::Way,
};
use redis::{Script, Value};
use std::time::Duration;

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

    /// Tells another node something that concerns it.
    pub(super) async fn tell(&self, node: &Incarnation, word: &Word) -> Result<(), Failure> {
        inbox::tell(&self.way, self.limit, node, word).await
    }

    /// Waits for what concerns this node, for a second at most.
    pub(super) async fn listen(&self, inbox: Option<Inbox>, me: &Incarnation) -> Result<Heard, Failure> {
        let mut inbox = match inbox {
            Some(inbox) => inbox,
            None => Inbox::open(&self.way, self.limit).await?,
        };
        let text = inbox.next(&self.way, me).await?;
        Ok((inbox, text))
    }
}
