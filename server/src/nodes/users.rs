//! What all nodes know of users: which tokens were used that may be used once only, and whose access was
//! revoked. It is apart from leases and rooms: none of them waits for this.
//!
//! | key | what |
//! | --- | --- |
//! | `{PREFIX}:used:ID` | a token: `used` or `reserved` by a join; gone when it has expired |
//! | `{PREFIX}:revoked` | a stream: who was revoked when and for how long, or is let in again |
//! | `{PREFIX}:revoked:USER` | that it says something of this user |
//!
//! A node reads the stream from its beginning when it starts, and what is added at once. How long ago
//! something was added is told by Redis's clock, so that no node's own counts.

use super::{
    ask::Generation,
    memory::{self, Known},
    way::connect,
};
use crate::{
    config::RedisUrl,
    ground::once::{Elsewhere, Id, Refused},
};
use futures_util::{
    StreamExt,
    future::{BoxFuture, LocalBoxFuture},
    stream::FuturesUnordered,
};
use redis::{AsyncConnectionConfig, RedisError, RedisResult, aio::MultiplexedConnection};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use tracing::warn;

/// What is known of a token.
const RESERVED: &str = "reserved";
pub(super) const USED: &str = "used";
/// How long it is known at least that something was said of a user, milliseconds: nodes that write again what
/// they know must not undo it.
const SAID_MS: u64 = 3_600_000;
/// Most revocations that are kept: as many as a node keeps.
pub(super) const MOST: usize = crate::ground::revocations::Revocations::MOST;
/// Revocations that are read at a time.
const PAGE: usize = 1_000;
/// How long the reader waits for news before it asks again.
const BLOCK: Duration = Duration::from_secs(2);
/// Longest time for an answer.
const LIMIT: Duration = Duration::from_secs(2);
/// Time until the next attempt when Redis is away.
const AGAIN: Duration = Duration::from_secs(1);

/// What a node says to others about users.
#[derive(Debug)]
pub(crate) struct Users {
    to: mpsc::UnboundedSender<Wish>,
}

/// Told that a user is revoked for so much longer. Zero: is let in again.
pub(crate) type Hear = Box<dyn Fn(Arc<str>, Duration) + Send>;

#[derive(Debug)]
enum Wish {
    Reserve { id: Id, span: Duration, tell: oneshot::Sender<Result<(), Refused>> },
    UseUp { id: Id, span: Duration },
    GiveBack { id: Id, tell: oneshot::Sender<()> },
    Revoke { user: Arc<str>, span: Duration, tell: oneshot::Sender<bool> },
}

/// The way to Redis.
pub(super) struct Link {
    url: RedisUrl,
    prefix: String,
}

impl Users {
    /// Starts the thread that asks Redis, and hears what others say.
    ///
    /// # Errors
    /// If the system gives no thread. (Redis may come later.)
    pub(crate) fn start(
        url: &RedisUrl,
        prefix: &str,
        hear: Hear,
        known: Known,
        generations: watch::Receiver<Option<Generation>>,
    ) -> io::Result<Arc<Self>> {
        let (to, wishes) = mpsc::unbounded_channel();
        let link = Link { url: url.clone(), prefix: format!("{{{prefix}}}") };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("users".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = answer(&link, wishes) => {}
                    () = listen(&link, &hear) => {}
                    () = memory::renew(&link, &known, generations) => {}
                }
            });
        })?;
        Ok(Arc::new(Self { to }))
    }

    /// Tells all nodes that a user is revoked, or with zero, let in again. False: Redis does not answer.
    pub(crate) async fn revoke(&self, user: Arc<str>, span: Duration) -> bool {
        let (tell, told) = oneshot::channel();
        let _ = self.to.send(Wish::Revoke { user, span, tell });
        told.await.unwrap_or(false)
    }
}

impl Elsewhere for Users {
    fn reserve(&self, id: Id, span: Duration) -> BoxFuture<'static, Result<(), Refused>> {
        let (tell, told) = oneshot::channel();
        let _ = self.to.send(Wish::Reserve { id, span, tell });
        Box::pin(async move { told.await.unwrap_or(Err(Refused::Unknown)) })
    }

    fn use_up(&self, id: Id, span: Duration) {
        let _ = self.to.send(Wish::UseUp { id, span });
    }

    fn give_back(&self, id: Id) -> BoxFuture<'static, ()> {
        let (tell, told) = oneshot::channel();
        let _ = self.to.send(Wish::GiveBack { id, tell });
        Box::pin(async move { told.await.unwrap_or(()) })
    }
}

/// Carries out wishes until nobody has any more.
async fn answer(link: &Link, mut wishes: mpsc::UnboundedReceiver<Wish>) {
    let mut asked = FuturesUnordered::<LocalBoxFuture<'_, bool>>::new();
    let mut connection = None;
    loop {
        let wish = tokio::select! {
            wish = wishes.recv() => wish,
            Some(well) = asked.next() => {
                if !well {
                    connection = None; // it may be of no use any more
                }
                continue;
            }
        };
        let Some(wish) = wish else { return };
        if connection.is_none() {
            connection = timeout(LIMIT, link.connect()).await.ok().and_then(Result::ok);
        }
        asked.push(Box::pin(wish.carry_out(link, connection.clone())));
    }
}

impl Wish {
    /// False: Redis has not answered.
    async fn carry_out(self, link: &Link, connection: Option<MultiplexedConnection>) -> bool {
        let Some(mut connection) = connection else {
            self.fails();
            return false;
        };
        match self {
            Wish::Reserve { id, span, tell } => {
                let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
                let mut set = redis::cmd("SET");
                set.arg(link.used(id)).arg(RESERVED).arg("NX").arg("GET").arg("PX").arg(span);
                let before = limited(set.query_async::<Option<String>>(&mut connection)).await;
                let well = before.is_ok();
                let _ = tell.send(match before.as_ref().map(Option::as_deref) {
                    Ok(None) => Ok(()),
                    Ok(Some(RESERVED)) => Err(Refused::Meanwhile),
                    Ok(Some(_)) => Err(Refused::Again),
                    Err(_) => Err(Refused::Unknown),
                });
                well
            }
            // If this fails, it stays reserved until it has expired: nobody else can use it either.
            Wish::UseUp { id, span } => {
                let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
                let mut set = redis::cmd("SET");
                set.arg(link.used(id)).arg(USED).arg("PX").arg(span);
                limited(set.query_async::<()>(&mut connection)).await.is_ok()
            }
            Wish::GiveBack { id, tell } => {
                let mut delete = redis::cmd("DEL");
                let well =
                    limited(delete.arg(link.used(id)).query_async::<()>(&mut connection)).await.is_ok();
                let _ = tell.send(());
                well
            }
            Wish::Revoke { user, span, tell } => {
                let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
                let mut say = redis::pipe();
                say.atomic().cmd("XADD").arg(link.revoked()).arg("MAXLEN").arg("~").arg(MOST).arg("*");
                say.arg("user").arg(&*user).arg("for_ms").arg(span).ignore();
                let known = span.max(SAID_MS);
                say.cmd("SET").arg(link.revoked_one(&user)).arg("").arg("PX").arg(known).ignore();
                let well = limited(say.query_async::<()>(&mut connection)).await.is_ok();
                let _ = tell.send(well);
                well
            }
        }
    }

    fn fails(self) {
        match self {
            Wish::Reserve { tell, .. } => drop(tell.send(Err(Refused::Unknown))),
            Wish::Revoke { tell, .. } => drop(tell.send(false)),
            Wish::UseUp { .. } | Wish::GiveBack { .. } => {}
        }
    }
}

/// Tells what others say, for ever.
async fn listen(link: &Link, hear: &Hear) {
    let (mut last, mut failing) = ("0".to_owned(), false);
    loop {
        if let Err(error) = listen_once(link, hear, &mut last, &mut failing).await {
            // `/healthz` says so, too.
            if !std::mem::replace(&mut failing, true) {
                warn!(%error, "this node does not hear whose access others revoke: Redis does not answer");
            }
            sleep(AGAIN).await;
        }
    }
}

/// The same over one connection. `last`: the entry that was told last.
async fn listen_once(
    link: &Link,
    hear: &Hear,
    last: &mut String,
    failing: &mut bool,
) -> Result<(), RedisError> {
    type Entries = Vec<(String, Vec<String>)>;
    let mut connection = limited(link.connect()).await?;
    loop {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(PAGE).arg("BLOCK").arg(BLOCK.as_millis() as u64);
        read.arg("STREAMS").arg(link.revoked()).arg(&*last);
        let read = read.query_async::<Option<Vec<(String, Entries)>>>(&mut connection);
        let read = timeout(BLOCK + LIMIT, read).await.unwrap_or_else(|_| Err(slow()))?;
        *failing = false;
        let Some((_, entries)) = read.unwrap_or_default().pop() else { continue };
        let time = redis::cmd("TIME");
        let (seconds, micros) = limited(time.query_async::<(u64, u64)>(&mut connection)).await?;
        let now_ms = seconds * 1_000 + micros / 1_000;
        for (id, fields) in entries {
            if let Some((user, left)) = revocation(&id, &fields, now_ms) {
                hear(user, left);
            }
            *last = id;
        }
    }
}

/// Who is revoked by an entry of the stream, and for how much longer. Zero: is let in again. None: it is
/// over, or says nothing that this version knows.
fn revocation(id: &str, fields: &[String], now_ms: u64) -> Option<(Arc<str>, Duration)> {
    let field = |name: &str| fields.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| &*pair[1]);
    let at_ms: u64 = id.split('-').next()?.parse().ok()?;
    let (user, for_ms) = (field("user")?.into(), field("for_ms")?.parse::<u64>().ok()?);
    let left = for_ms.saturating_sub(now_ms.saturating_sub(at_ms));
    (left > 0 || for_ms == 0).then(|| (user, Duration::from_millis(left)))
}

pub(super) async fn limited<T>(asked: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(LIMIT, asked).await.unwrap_or_else(|_| Err(slow()))
}

fn slow() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

impl Link {
    pub(super) async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        // The callers' limits count.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(LIMIT)).set_response_timeout(None);
        connect(&self.url, &self.prefix, &config).await
    }

    pub(super) fn used(&self, id: Id) -> String {
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}:used:{id}", self.prefix)
    }

    pub(super) fn revoked(&self) -> String {
        format!("{}:revoked", self.prefix)
    }

    pub(super) fn revoked_one(&self, user: &str) -> String {
        format!("{}:revoked:{user}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_revocation_is_told_by_one_clock() {
        let fields = |span: &str| ["user", "ann", "for_ms", span].map(str::to_owned);
        let left = |span, now_ms| Some(revocation("5000-3", &fields(span), now_ms)?.1.as_millis());
        assert_eq!(left("900", 5_100), Some(800));
        assert_eq!(left("900", 4_000), Some(900), "a Redis whose clock was set back");
        assert_eq!(left("900", 5_900), None, "over");
        assert_eq!(left("0", 9_000), Some(0), "let in again");
        assert_eq!(revocation("5000-3", &["user".to_owned()], 5_000), None);
        assert_eq!(revocation("x", &fields("900"), 5_000), None);
    }
}
