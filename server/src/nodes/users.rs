//! What all nodes know of users: which tokens were used that may be used once only, and whose access was
//! revoked. It is apart from leases and rooms: none of them waits for this.
//!
//! | key | what |
//! | --- | --- |
//! | `{PREFIX}:used:ID` | a token: `used`, gone when it has expired; or `reserved NODE NUMBER` by a join, gone when that takes too long |
//! | `{PREFIX}:revoked` | a stream: who was revoked when and for how long, or is let in again |
//! | `{PREFIX}:revoked:USER` | the id of the entry in which that was said last of a user |
//!
//! A node reads the stream from its beginning when it starts, and what is added at once. How long ago
//! something was added is told by Redis's clock, so that no node's own counts.

use super::{
    ask::{Failure, Generation},
    memory::{self, Known},
    way::{Own, Way},
    words::{KNOWN, MOST, Said, Words},
};
use crate::{
    clock::millis,
    ground::once::{Id, SharedTokens, TokenRefused},
    thread,
};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use parking_lot::Mutex;
use redis::Script;
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::sleep,
};
use tracing::warn;

/// How long a join may take: then others may use its token. So a node that dies meanwhile, or an answer that
/// comes when nobody waits for it any more, makes no token useless.
const RESERVED: Duration = Duration::from_secs(30);
/// Reserves a token. KEYS: its key. ARGV: who, the number of his reservation, milliseconds. What he has
/// reserved before is his again, unless this is the earlier one, which comes late.
const RESERVE: &str = "#!lua flags=allow-oom
local is = redis.call('GET', KEYS[1])
if is == 'used' then return is end
local who, number = string.match(is or '', '^reserved (%x+) (%d+)$')
if is and (who ~= ARGV[1] or tonumber(number) > tonumber(ARGV[2])) then return 'reserved' end
redis.call('SET', KEYS[1], 'reserved ' .. ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
return 'done'
";
/// Gives it back. KEYS and ARGV: the same.
const GIVE_BACK: &str = "#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) == 'reserved ' .. ARGV[1] .. ' ' .. ARGV[2] then redis.call('DEL', KEYS[1]) end
";
/// What is known of a token.
pub(super) const USED: &str = "used";
/// The stream of revocations.
pub(super) const REVOKED: &str = "revoked";
/// Says something of a user. KEYS: the stream, and the user's key. ARGV: most entries of the stream, the
/// user, milliseconds, and how long it is known that something was said.
const SAY: &str = "#!lua flags=allow-oom
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'user', ARGV[2], 'for_ms', ARGV[3])
redis.call('SET', KEYS[2], id, 'PX', ARGV[4])
return id
";
/// Says that a token is used. KEYS: its key. ARGV: milliseconds.
const USE_UP: &str = "#!lua flags=allow-oom
redis.call('SET', KEYS[1], 'used', 'PX', ARGV[1])
";
/// Revocations that are read at a time.
const PAGE: usize = 1_000;
/// How long the reader waits for news before it asks again.
const BLOCK: Duration = Duration::from_secs(2);
/// Longest time for an answer.
pub(super) const LIMIT: Duration = Duration::from_secs(2);
/// Time until the next attempt when Redis is away.
const AGAIN: Duration = Duration::from_secs(1);
/// Longer than any process runs.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);
/// Requests that may be unanswered at a time.
const UNANSWERED: usize = 4_096;

/// What a node says to others about users.
#[derive(Debug)]
pub(crate) struct Users {
    to: mpsc::UnboundedSender<(Request, Option<OwnedSemaphorePermit>)>,
    places: Arc<Semaphore>,
}

/// Told that a user is revoked for so much longer. Zero: is let in again.
pub(crate) type Hear = Box<dyn Fn(Arc<str>, Duration) + Send>;

#[derive(Debug)]
enum Request {
    Reserve { id: Id, number: u64, span: Duration, tell: oneshot::Sender<Result<(), TokenRefused>> },
    UseUp { id: Id, until: Instant },
    GiveBack { id: Id, number: u64, tell: oneshot::Sender<()> },
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
        let (to, requests) = mpsc::unbounded_channel();
        let who = format!("{:016x}", getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?);
        let words = Mutex::<Words>::default();
        thread::runs("users", async move || {
            tokio::select! {
                () = answer(&way, &who, &words, requests) => {}
                () = listen(&way, &words, &hear) => {}
                () = memory::renew(&way, &known, &words, generations) => {}
            }
        })?;
        Ok(Arc::new(Self { to, places: Arc::new(Semaphore::new(UNANSWERED)) }))
    }

    /// If too many are unanswered, one that somebody waits for is dropped: it fails, as if Redis did not
    /// answer. Of a token that was used nobody would learn: there are no more of those than are
    /// [remembered](crate::ground::once::MOST).
    fn request(&self, request: Request) {
        let place = match request {
            Request::UseUp { .. } => None,
            _ => match self.places.clone().try_acquire_owned() {
                Ok(place) => Some(place),
                Err(_) => return,
            },
        };
        let _ = self.to.send((request, place));
    }

    /// Tells all nodes that a user is revoked, or with zero, let in again. False: Redis does not answer.
    pub(crate) async fn revoke(&self, user: Arc<str>, span: Duration) -> bool {
        let (tell, told) = oneshot::channel();
        self.request(Request::Revoke { user, span, tell });
        told.await.unwrap_or(false)
    }
}

impl SharedTokens for Users {
    fn reserve(&self, id: Id, number: u64, span: Duration) -> BoxFuture<'static, Result<(), TokenRefused>> {
        let (tell, told) = oneshot::channel();
        self.request(Request::Reserve { id, number, span, tell });
        Box::pin(async move { told.await.unwrap_or(Err(TokenRefused::Unknown)) })
    }

    fn use_up(&self, id: Id, span: Duration) {
        let until = Instant::now().checked_add(span).unwrap_or_else(|| Instant::now() + FOR_EVER);
        self.request(Request::UseUp { id, until });
    }

    fn give_back(&self, id: Id, number: u64) -> BoxFuture<'static, ()> {
        let (tell, told) = oneshot::channel();
        self.request(Request::GiveBack { id, number, tell });
        Box::pin(async move { told.await.unwrap_or(()) })
    }
}

/// Carries out requests until nobody has any more. None waits for another.
async fn answer(
    way: &Way,
    who: &str,
    words: &Mutex<Words>,
    mut requests: mpsc::UnboundedReceiver<(Request, Option<OwnedSemaphorePermit>)>,
) {
    let mut asked = FuturesUnordered::new();
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                Some((request, place)) => asked.push(async move {
                    // If Redis does not answer, dropping the request tells whoever waits.
                    let _ = request.carry_out(way, who, words).await;
                    drop(place);
                }),
                None => return,
            },
            Some(()) = asked.next() => {}
        }
    }
}

impl Request {
    async fn carry_out(self, way: &Way, who: &str, words: &Mutex<Words>) -> Result<(), Failure> {
        match self {
            Request::Reserve { id, number, span, tell } => {
                let reserve = Script::new(RESERVE);
                let mut call = reserve.key(used(way, id));
                call.arg(who).arg(number).arg(millis(span.min(RESERVED)).max(1));
                let said: String = way.call(LIMIT, &call).await?;
                let told = tell.send(match &*said {
                    "done" => Ok(()),
                    USED => Err(TokenRefused::Again),
                    _ => Err(TokenRefused::Meanwhile),
                });
                if told == Err(Ok(())) {
                    give_back(way, who, id, number).await?; // nobody waits for it any more
                }
            }
            // Its reservation does not last.
            Request::UseUp { id, until } => loop {
                let left = until.saturating_duration_since(Instant::now());
                let use_up = Script::new(USE_UP);
                let mut call = use_up.key(used(way, id));
                call.arg(millis(left).max(1));
                let used = way.call(LIMIT, &call).await;
                if used.is_ok() || left.is_zero() {
                    return used;
                }
                sleep(AGAIN).await;
            },
            Request::GiveBack { id, number, tell } => {
                give_back(way, who, id, number).await?;
                let _ = tell.send(());
            }
            Request::Revoke { user, span, tell } => {
                let say = Script::new(SAY);
                let mut call = say.key(way.key(REVOKED));
                call.key(revoked_one(way, &user)).arg(MOST).arg(&*user);
                call.arg(millis(span)).arg(millis(span.max(KNOWN)));
                let said: String = way.call(LIMIT, &call).await?;
                // Redis may forget it before this node hears it.
                if let Ok(said) = said.parse() {
                    words.lock().hear(&user, said, span, Instant::now());
                }
                let _ = tell.send(true);
            }
        }
        Ok(())
    }
}

async fn give_back(way: &Way, who: &str, id: Id, number: u64) -> Result<(), Failure> {
    let give_back = Script::new(GIVE_BACK);
    let mut call = give_back.key(used(way, id));
    call.arg(who).arg(number);
    way.call(LIMIT, &call).await
}

/// Tells what others say, for ever.
async fn listen(way: &Way, words: &Mutex<Words>, hear: &Hear) {
    let (mut last, mut failing) = ("0".to_owned(), false);
    loop {
        if let Err(error) = listen_over(way, words, hear, &mut last, &mut failing).await {
            // `/healthz` says so, too.
            if !std::mem::replace(&mut failing, true) {
                warn!(%error, "this node does not hear whose access others revoke: Redis does not answer");
            }
            sleep(AGAIN).await;
        }
    }
}

/// The same over one connection. `last`: the entry that was told last.
async fn listen_over(
    way: &Way,
    words: &Mutex<Words>,
    hear: &Hear,
    last: &mut String,
    failing: &mut bool,
) -> Result<(), Failure> {
    let mut connection = way.own(LIMIT).await?;
    loop {
        listen_once(&mut connection, &way.key(REVOKED), words, hear, last).await?;
        *failing = false;
    }
}

/// Tells what has come since the `last` entry, or comes soon.
async fn listen_once(
    connection: &mut Own,
    stream: &str,
    words: &Mutex<Words>,
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
        if let Some((user, said, left)) = revocation(&id, &fields, now_ms)
            && words.lock().hear(&user, said, left, Instant::now())
        {
            hear(user, left);
        }
        *last = id;
    }
    Ok(())
}

/// Who is revoked by an entry of the stream, when that was said first, and for how much longer it counts.
/// Zero: is let in again. None: it is over, or says nothing that this version knows.
fn revocation(id: &str, fields: &[Vec<u8>], now_ms: u64) -> Option<(Arc<str>, Said, Duration)> {
    let field =
        |name: &[u8]| fields.as_chunks::<2>().0.iter().find(|[is, _]| is == name).map(|[_, value]| value);
    let text = |name: &[u8]| str::from_utf8(field(name)?).ok();
    let at_ms: u64 = id.split('-').next()?.parse().ok()?;
    let (user, for_ms) = (text(b"user")?.into(), text(b"for_ms")?.parse::<u64>().ok()?);
    let left = for_ms.saturating_sub(now_ms.saturating_sub(at_ms));
    let said = text(b"said").and_then(|said| said.parse().ok()).filter(|said| *said != Said::default());
    let said = said.or_else(|| id.parse().ok())?;
    (left > 0 || for_ms == 0).then(|| (user, said, Duration::from_millis(left)))
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
        let (_same, generations) = watch::channel(None);
        let users = Users::start(
            Way::new(&url, "test"),
            Box::new(|_, _| {}),
            Known { revoked: Box::new(Vec::new), used: Box::new(Vec::new) },
            generations,
        )
        .unwrap();
        let start = std::time::Instant::now();
        let reserved = (0..100).map(|n| users.reserve([n; 16], 0, Duration::from_secs(60)));
        let reserved = futures_util::future::join_all(reserved).await;
        assert_eq!(reserved, [Err(TokenRefused::Unknown); 100]);
        assert!(start.elapsed() < 5 * LIMIT, "one after another, it would take 100 times as long");
        // There is a bound.
        let waiting: Vec<_> = (0..=UNANSWERED).map(|_| users.reserve([0; 16], 0, LIMIT)).collect();
        let last = futures_util::FutureExt::now_or_never(waiting.into_iter().next_back().unwrap());
        assert_eq!(last, Some(Err(TokenRefused::Unknown)), "at once");
    }

    #[tokio::test]
    async fn however_many_wait_all_learn_that_a_token_is_used() {
        let (server, (_same, generations)) = (crate::redis_server::Redis::start(), watch::channel(None));
        let known = Known { revoked: Box::new(Vec::new), used: Box::new(Vec::new) };
        let way = Way::new(&server.default_url().parse().unwrap(), "test");
        let users = Users::start(way, Box::new(|_, _| {}), known, generations).unwrap();
        let (id, hour) = ([7; 16], Duration::from_secs(3_600));
        assert_eq!(users.reserve(id, 0, hour).await, Ok(()));
        server.signal(libc::SIGSTOP);
        let waiting: Vec<_> = (0..UNANSWERED).map(|_| users.reserve([0; 16], 0, hour)).collect();
        users.use_up(id, hour);
        server.signal(libc::SIGCONT);
        drop(waiting);
        let mut client = server.client();
        let mut is = || -> String {
            redis::cmd("GET").arg("{test}:used:07070707070707070707070707070707").query(&mut client).unwrap()
        };
        while is() != USED {
            sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_reservation_is_its_nodes_for_as_long_as_a_join_takes_and_a_late_word_changes_nothing() {
        let (server, (_same, generations)) = (crate::redis_server::Redis::start(), watch::channel(None));
        let node = || {
            let known = Known { revoked: Box::new(Vec::new), used: Box::new(Vec::new) };
            let way = Way::new(&server.default_url().parse().unwrap(), "test");
            Users::start(way, Box::new(|_, _| {}), known, generations.clone()).unwrap()
        };
        let (a, b, hour) = (node(), node(), Duration::from_secs(3_600));
        let (id, mut client) = ([7; 16], server.client());
        let mut lasts = || -> i64 {
            redis::cmd("PTTL").arg("{test}:used:07070707070707070707070707070707").query(&mut client).unwrap()
        };
        assert_eq!(a.reserve(id, 2, hour).await, Ok(()));
        assert!((1..=30_000).contains(&lasts()), "a node that is killed now makes it useless for no longer");
        assert_eq!(b.reserve(id, 1, hour).await, Err(TokenRefused::Meanwhile));
        assert_eq!(a.reserve(id, 3, hour).await, Ok(()), "its own, of which nobody has heard");
        assert_eq!(a.reserve(id, 2, hour).await, Err(TokenRefused::Meanwhile), "this one comes late");
        a.give_back(id, 2).await;
        assert_eq!(b.reserve(id, 2, hour).await, Err(TokenRefused::Meanwhile), "and this");
        a.give_back(id, 3).await;
        assert_eq!(b.reserve(id, 3, hour).await, Ok(()));
        // Also while it is full.
        server.memory(1);
        b.use_up(id, hour);
        while lasts() <= 30_000 {
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(a.reserve(id, 4, hour).await, Err(TokenRefused::Again));
        assert_eq!(b.reserve(id, 4, hour).await, Err(TokenRefused::Again));
    }

    #[test]
    fn what_is_left_of_a_revocation_is_told_by_one_clock() {
        let fields = |span: &str| ["user", "ann", "for_ms", span].map(Vec::from);
        let left = |span, now_ms| Some(revocation("5000-3", &fields(span), now_ms)?.2.as_millis());
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
