//! What all nodes know of users: which tokens were used that may be used once only, and whose access was
//! revoked. It is apart from leases and rooms: none of them waits for this.
//!
//! | key | what |
//! | --- | --- |
//! | `{PREFIX}:used:ID` | a token: `used` or `reserved` by a join; gone when it has expired |
//! | `{PREFIX}:revoked` | a stream: who was revoked when and for how long, or is let in again |
//!
//! A node reads the stream from its beginning when it starts, and what is added at once. How long ago
//! something was added is told by Redis's clock, so that no node's own counts.

use super::{
    ask::{Failure, Generation},
    memory::{self, Known},
    way::{Own, Way},
};
use crate::{
    clock::millis,
    ground::once::{Elsewhere, Id, Refused},
};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    runtime::Builder,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::sleep,
};
use tracing::warn;

/// What is known of a token.
const RESERVED: &str = "reserved";
pub(super) const USED: &str = "used";
/// The stream of revocations.
pub(super) const REVOKED: &str = "revoked";
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
pub(super) const LIMIT: Duration = Duration::from_secs(2);
/// Time until the next attempt when Redis is away.
const AGAIN: Duration = Duration::from_secs(1);
/// Wishes that may be unanswered at a time.
const UNANSWERED: usize = 4_096;

/// What a node says to others about users.
#[derive(Debug)]
pub(crate) struct Users {
    to: mpsc::UnboundedSender<(Wish, OwnedSemaphorePermit)>,
    places: Arc<Semaphore>,
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

impl Users {
    /// Starts the thread that asks Redis, and hears what others say.
    ///
    /// # Errors
    /// If the system gives no thread. (Redis may come later.)
    pub(crate) fn start(
        way: Way,
        hear: Hear,
        known: Known,
        generations: watch::Receiver<Option<Generation>>,
    ) -> io::Result<Arc<Self>> {
        let (to, wishes) = mpsc::unbounded_channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("users".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = answer(&way, wishes) => {}
                    () = listen(&way, &hear) => {}
                    () = memory::renew(&way, &known, generations) => {}
                }
            });
        })?;
        Ok(Arc::new(Self { to, places: Arc::new(Semaphore::new(UNANSWERED)) }))
    }

    /// If too many are unanswered, this one is dropped: it fails, as if Redis did not answer.
    fn wish(&self, wish: Wish) {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            let _ = self.to.send((wish, place));
        }
    }

    /// Tells all nodes that a user is revoked, or with zero, let in again. False: Redis does not answer.
    pub(crate) async fn revoke(&self, user: Arc<str>, span: Duration) -> bool {
        let (tell, told) = oneshot::channel();
        self.wish(Wish::Revoke { user, span, tell });
        told.await.unwrap_or(false)
    }
}

impl Elsewhere for Users {
    fn reserve(&self, id: Id, span: Duration) -> BoxFuture<'static, Result<(), Refused>> {
        let (tell, told) = oneshot::channel();
        self.wish(Wish::Reserve { id, span, tell });
        Box::pin(async move { told.await.unwrap_or(Err(Refused::Unknown)) })
    }

    fn use_up(&self, id: Id, span: Duration) {
        self.wish(Wish::UseUp { id, span });
    }

    fn give_back(&self, id: Id) -> BoxFuture<'static, ()> {
        let (tell, told) = oneshot::channel();
        self.wish(Wish::GiveBack { id, tell });
        Box::pin(async move { told.await.unwrap_or(()) })
    }
}

/// Carries out wishes until nobody has any more. None waits for another.
async fn answer(way: &Way, mut wishes: mpsc::UnboundedReceiver<(Wish, OwnedSemaphorePermit)>) {
    let mut asked = FuturesUnordered::new();
    loop {
        tokio::select! {
            wish = wishes.recv() => match wish {
                Some((wish, place)) => asked.push(async move {
                    // If Redis does not answer, whoever waits is told so by the end of the wish.
                    let _ = wish.carry_out(way).await;
                    drop(place);
                }),
                None => return,
            },
            Some(()) = asked.next() => {}
        }
    }
}

impl Wish {
    async fn carry_out(self, way: &Way) -> Result<(), Failure> {
        match self {
            Wish::Reserve { id, span, tell } => {
                let mut set = redis::cmd("SET");
                set.arg(used(way, id)).arg(RESERVED).arg("NX").arg("GET").arg("PX").arg(millis(span).max(1));
                let before: Option<String> =
                    way.ask(LIMIT, async |connection| set.query_async(connection).await).await?;
                let _ = tell.send(match before.as_deref() {
                    None => Ok(()),
                    Some(RESERVED) => Err(Refused::Meanwhile),
                    Some(_) => Err(Refused::Again),
                });
            }
            // If this fails, it stays reserved until it has expired: nobody else can use it either.
            Wish::UseUp { id, span } => {
                let mut set = redis::cmd("SET");
                set.arg(used(way, id)).arg(USED).arg("PX").arg(millis(span).max(1));
                way.ask(LIMIT, async |connection| set.query_async::<()>(connection).await).await?;
            }
            Wish::GiveBack { id, tell } => {
                let mut delete = redis::cmd("DEL");
                delete.arg(used(way, id));
                way.ask(LIMIT, async |connection| delete.query_async::<()>(connection).await).await?;
                let _ = tell.send(());
            }
            Wish::Revoke { user, span, tell } => {
                let (span, mut say) = (millis(span), redis::pipe());
                say.atomic().cmd("XADD").arg(way.key(REVOKED)).arg("MAXLEN").arg("~").arg(MOST).arg("*");
                say.arg("user").arg(&*user).arg("for_ms").arg(span).ignore();
                let known = span.max(SAID_MS);
                say.cmd("SET").arg(revoked_one(way, &user)).arg("").arg("PX").arg(known).ignore();
                way.ask(LIMIT, async |connection| say.query_async::<()>(connection).await).await?;
                let _ = tell.send(true);
            }
        }
        Ok(())
    }
}

/// Tells what others say, for ever.
async fn listen(way: &Way, hear: &Hear) {
    let (mut last, mut failing) = ("0".to_owned(), false);
    loop {
        if let Err(error) = listen_over(way, hear, &mut last, &mut failing).await {
            // `/healthz` says so, too.
            if !std::mem::replace(&mut failing, true) {
                warn!(%error, "this node does not hear whose access others revoke: Redis does not answer");
            }
            sleep(AGAIN).await;
        }
    }
}

/// The same over one connection. `last`: the entry that was told last.
async fn listen_over(way: &Way, hear: &Hear, last: &mut String, failing: &mut bool) -> Result<(), Failure> {
    let mut connection = way.own(LIMIT).await?;
    loop {
        listen_once(&mut connection, &way.key(REVOKED), hear, last).await?;
        *failing = false;
    }
}

/// Tells what has come since the `last` entry, or comes soon.
async fn listen_once(
    connection: &mut Own,
    stream: &str,
    hear: &Hear,
    last: &mut String,
) -> Result<(), Failure> {
    type Entries = Vec<(String, Vec<Vec<u8>>)>;
    let mut read = redis::cmd("XREAD");
    read.arg("COUNT").arg(PAGE).arg("BLOCK").arg(millis(BLOCK)).arg("STREAMS").arg(stream).arg(&*last);
    let read: Option<Vec<(String, Entries)>> =
        connection.ask(BLOCK + LIMIT, async |redis| read.query_async(redis).await).await?;
    let Some((_, entries)) = read.unwrap_or_default().pop() else { return Ok(()) };
    let time = redis::cmd("TIME");
    let (seconds, micros): (u64, u64) =
        connection.ask(LIMIT, async |redis| time.query_async(redis).await).await?;
    let now_ms = seconds * 1_000 + micros / 1_000;
    for (id, fields) in entries {
        if let Some((user, left)) = revocation(&id, &fields, now_ms) {
            hear(user, left);
        }
        *last = id;
    }
    Ok(())
}

/// Who is revoked by an entry of the stream, and for how much longer. Zero: is let in again. None: it is
/// over, or says nothing that this version knows.
fn revocation(id: &str, fields: &[Vec<u8>], now_ms: u64) -> Option<(Arc<str>, Duration)> {
    let field =
        |name: &[u8]| fields.as_chunks::<2>().0.iter().find(|[is, _]| is == name).map(|[_, value]| value);
    let text = |name: &[u8]| str::from_utf8(field(name)?).ok();
    let at_ms: u64 = id.split('-').next()?.parse().ok()?;
    let (user, for_ms) = (text(b"user")?.into(), text(b"for_ms")?.parse::<u64>().ok()?);
    let left = for_ms.saturating_sub(now_ms.saturating_sub(at_ms));
    (left > 0 || for_ms == 0).then(|| (user, Duration::from_millis(left)))
}

/// Where it is known that something was said of a user.
pub(super) fn revoked_one(way: &Way, user: &str) -> String {
    way.key(&format!("{REVOKED}:{user}"))
}

pub(super) fn used(way: &Way, id: Id) -> String {
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    way.key(&format!("used:{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn however_many_wait_for_a_redis_that_says_nothing_none_waits_for_another() {
        // It takes connections, and is silent.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", silent.local_addr().unwrap()).parse().unwrap();
        let users = Users::start(
            Way::new(&url, "test"),
            Box::new(|_, _| {}),
            Known { revoked: Box::new(Vec::new), used: Box::new(Vec::new) },
            watch::channel(None).1,
        )
        .unwrap();
        let start = std::time::Instant::now();
        let reserved = (0..100).map(|n| users.reserve([n; 16], Duration::from_secs(60)));
        let reserved = futures_util::future::join_all(reserved).await;
        assert_eq!(reserved, [Err(Refused::Unknown); 100]);
        assert!(start.elapsed() < 5 * LIMIT, "one after another, it would take 100 times as long");
        // There is a bound.
        let waiting: Vec<_> = (0..=UNANSWERED).map(|_| users.reserve([0; 16], LIMIT)).collect();
        let last = futures_util::FutureExt::now_or_never(waiting.into_iter().next_back().unwrap());
        assert_eq!(last, Some(Err(Refused::Unknown)), "at once");
    }

    #[test]
    fn what_is_left_of_a_revocation_is_told_by_one_clock() {
        let fields = |span: &str| ["user", "ann", "for_ms", span].map(Vec::from);
        let left = |span, now_ms| Some(revocation("5000-3", &fields(span), now_ms)?.1.as_millis());
        assert_eq!(left("900", 5_100), Some(800));
        assert_eq!(left("900", 4_000), Some(900), "a Redis whose clock was set back");
        assert_eq!(left("900", 5_900), None, "over");
        assert_eq!(left("0", 9_000), Some(0), "let in again");
        assert_eq!(revocation("5000-3", &[b"user".to_vec()], 5_000), None);
        let nonsense = [&b"user"[..], b"\xff", b"for_ms", b"900"].map(Vec::from);
        assert_eq!(revocation("5000-3", &nonsense, 5_000), None, "it stops nothing");
        assert_eq!(revocation("x", &fields("900"), 5_000), None);
    }
}
