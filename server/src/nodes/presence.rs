//! Where users are, over all nodes: each says who is in its rooms, and any may ask.
//!
//! | part | what |
//! | --- | --- |
//! | [`ledger`] | what Redis was told of this node's users, and what it is to be told next: pure |
//! | `presence.lua` | what is done in Redis |
//!
//! A node has one hash, under its incarnation. Nobody counts whose node has no lease, whatever is in the
//! hash: so the users of a dead node are gone when its lease is, and nothing has to be tidied up. A question
//! is one call, which looks at the hashes of all nodes that live.
//!
//! Whoever watches users is told by a stream which ones have changed, and asks. So what it knows is never
//! older than what it was told, and nothing is lost if it was not told something: then it asks of all.
//!
//! It is apart from leases and rooms: none of them waits for this.

mod ledger;

use super::{
    Unavailable,
    ask::{Failure, Incarnation},
    node::Node,
    way::Way,
};
use crate::{clock::millis, health::Part, metrics::Metrics, presence::whereabouts::Visit, thread};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use ledger::{Batch, Do, Ledger, Said};
use redis::{Script, Value, cmd};
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    select,
    sync::{mpsc, oneshot, watch},
    time::{sleep, sleep_until},
};

/// Longest time for an answer.
const LIMIT: Duration = Duration::from_secs(1);
/// How often Redis hears of a node at which nothing happens, at least.
const EVERY: Duration = Duration::from_secs(1);
/// How long what a node has written is there when it has ended, at least.
const KEPT: Duration = Duration::from_secs(10);
/// How often it is looked which nodes live, at least.
const LOOK: Duration = Duration::from_millis(500);
/// Batches of changes that are read at a time.
const PAGE: usize = 100;
/// Whoever does not read for so long may have missed some: Redis keeps few.
const LATE: Duration = Duration::from_millis(500);
/// Time between two attempts to hear what has changed.
const AGAIN: Duration = Duration::from_millis(500);
/// When whoever could not be told is to ask again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What presence says of this node's users: each with its visits, as [`Visit::write`] has them. Empty: none.
#[derive(Debug)]
pub(crate) enum Told {
    /// They have changed.
    Changed(Vec<(Arc<str>, String)>),
    /// They are all there are.
    All(Vec<(Arc<str>, String)>),
}

/// Whose whereabouts may have changed.
#[derive(Debug)]
pub(crate) enum Hint {
    Users(Vec<Arc<str>>),
    /// Anybody's.
    All,
}

/// What the thread needs of the server.
pub(crate) struct AbroadParts {
    pub way: Way,
    pub lease: Duration,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Part>,
    /// Has presence say everything.
    pub ask_for_all: Box<dyn Fn() + Send>,
    pub told: mpsc::UnboundedReceiver<Told>,
    /// Is told what may have changed at other nodes, while there are `watchers`.
    pub hear: Box<dyn Fn(Hint) + Send>,
    pub watchers: watch::Receiver<bool>,
}

/// The users at other nodes.
#[derive(Debug)]
pub(crate) struct Abroad {
    to: mpsc::UnboundedSender<Question>,
}

/// What one node knows of a user: which of those who were asked of, the node's name, and the visits.
pub(crate) type Found = (usize, Arc<str>, Vec<Visit>);

#[derive(Debug)]
struct Question {
    users: Vec<Arc<str>>,
    tell: oneshot::Sender<Result<Vec<Found>, Unavailable>>,
}

struct Thread {
    script: Script,
    way: Way,
    limit: Duration,
    me: watch::Receiver<Incarnation>,
}

/// What Redis knows of some users.
#[derive(Debug, PartialEq)]
enum Answer {
    /// It may have forgotten who is where, for so long.
    Settling(Duration),
    Known {
        /// Another one whenever another node lives, or Redis may have forgotten something.
        among: String,
        found: Vec<Found>,
    },
}

impl Abroad {
    /// Starts the thread that tells and asks Redis, for the node that is now `me`.
    ///
    /// # Errors
    /// If the system gives no thread. (Redis may come later.)
    pub(crate) fn start(around: AbroadParts, me: watch::Receiver<Incarnation>) -> io::Result<Arc<Self>> {
        let (to, questions) = mpsc::unbounded_channel();
        thread::runs("presence", async move || {
            let AbroadParts { way, lease, metrics, health, ask_for_all, told, hear, watchers } = around;
            let script = Script::new(include_str!("presence.lua"));
            let thread = Thread { script, way, limit: LIMIT.min(lease / 2), me };
            select! {
                () = thread.answer(questions, &metrics) => {}
                () = thread.tell(told, &*ask_for_all, lease, &metrics, &health) => {}
                () = thread.listen(watchers, &*hear, LOOK.min(lease / 4)) => {}
            }
        })?;
        Ok(Arc::new(Self { to }))
    }

    /// Where these users are at other nodes.
    pub(crate) async fn ask(&self, users: Vec<Arc<str>>) -> Result<Vec<Found>, Unavailable> {
        let (tell, told) = oneshot::channel();
        let _ = self.to.send(Question { users, tell });
        told.await.unwrap_or_else(|_| Err(Unavailable::gone()))
    }
}

impl Thread {
    /// Answers questions, until nobody has any more.
    async fn answer(&self, mut questions: mpsc::UnboundedReceiver<Question>, metrics: &Metrics) {
        let mut asked = FuturesUnordered::new();
        loop {
            let question = select! {
                question = questions.recv() => question,
                Some(()) = asked.next() => continue,
            };
            let Some(Question { users, tell }) = question else { return };
            asked.push(async move {
                let sent = Instant::now();
                let answer = self.ask(&users).await;
                metrics.nodes.redis_duration.observe(sent.elapsed());
                let unavailable = |why: String, wait| Unavailable { why, wait };
                let _ = tell.send(match answer {
                    Ok(Answer::Known { found, .. }) => Ok(found),
                    Ok(Answer::Settling(left)) => {
                        let why =
                            "Redis was started, emptied or replaced, and may have forgotten who is where";
                        Err(unavailable(why.to_owned(), left.max(ASK_AGAIN)))
                    }
                    Err(failure) => Err(unavailable(failure.to_string(), ASK_AGAIN)),
                });
            });
        }
    }

    /// Tells Redis of this node's users, until there is nobody who could say more.
    async fn tell(
        &self,
        mut told: mpsc::UnboundedReceiver<Told>,
        ask_for_all: &dyn Fn(),
        lease: Duration,
        metrics: &Metrics,
        health: &Part,
    ) {
        let mut me = self.me.clone();
        let first = me.borrow_and_update().clone();
        let mut ledger = Ledger::new(first, EVERY.min(lease / 5), Instant::now());
        let life = (4 * lease).max(KEPT);
        loop {
            match ledger.poll(Instant::now()) {
                Some(Do::AskForAll) => ask_for_all(),
                Some(Do::Tell(batch)) => {
                    let sent = Instant::now();
                    let said = self.tell_batch(&batch, life).await;
                    metrics.nodes.redis_duration.observe(sent.elapsed());
                    match &said {
                        Ok(_) => health.is_well(),
                        Err(failure) => {
                            health.fails(format!("other nodes do not learn who is here: {failure}"))
                        }
                    }
                    if let Ok(Said::Done) = said {
                        metrics.nodes.presence_batches.inc();
                        metrics.nodes.presence_changes.inc_by(batch.users.len() as u64);
                    }
                    ledger.answered(Instant::now(), batch.number, said.ok());
                    continue;
                }
                None => {}
            }
            let wake = ledger.poll_timeout().unwrap_or_else(|| Instant::now() + EVERY);
            select! {
                said = told.recv() => match said {
                    Some(said) => ledger.told(said),
                    None => return,
                },
                Ok(()) = me.changed() => {
                    let now = me.borrow_and_update().clone();
                    ledger.begin(Instant::now(), &now);
                }
                () = sleep_until(wake.into()) => {}
            }
        }
    }

    async fn tell_batch(&self, batch: &Batch, life: Duration) -> Result<Said, Failure> {
        let Batch { me, after, number, users } = batch;
        let (least, greatest) =
            after.map_or((-1, -1), |(least, most)| (least.cast_signed(), most.cast_signed()));
        let mut call = self.script.prepare_invoke();
        call.key(self.way.key("generation")).arg(self.way.prefix()).arg("tell").arg(me.to_string());
        call.arg(millis(life)).arg(least).arg(greatest).arg(*number);
        for (user, visits) in users {
            call.arg(&**user).arg(visits);
        }
        let said: String = self.way.call(self.limit, &call).await?;
        match &*said {
            "done" => Ok(Said::Done),
            "lost" => Ok(Said::Lost),
            _ => Err(Failure::Refused(format!("the script has returned {said:?}"))),
        }
    }

    async fn ask(&self, users: &[Arc<str>]) -> Result<Answer, Failure> {
        let me = self.me.borrow().to_string();
        let mut call = self.script.prepare_invoke();
        call.key(self.way.key("generation")).arg(self.way.prefix()).arg("ask").arg(me);
        for user in users {
            call.arg(&**user);
        }
        let value: Value = self.way.call(self.limit, &call).await?;
        answer(&value).ok_or_else(|| Failure::Refused(format!("the script has returned {value:?}")))
    }

    /// Hears what changes at other nodes, as long as somebody watches.
    async fn listen(&self, mut watchers: watch::Receiver<bool>, hear: &dyn Fn(Hint), look: Duration) {
        loop {
            if watchers.wait_for(|any| *any).await.is_err() {
                return;
            }
            if self.listen_once(&watchers, hear, look).await.is_err() {
                sleep(AGAIN).await;
            }
        }
    }

    /// The same over one connection.
    async fn listen_once(
        &self,
        watchers: &watch::Receiver<bool>,
        hear: &dyn Fn(Hint),
        look: Duration,
    ) -> Result<(), Failure> {
        type Entries = Vec<(String, Vec<String>)>;
        let mut redis = self.way.own(self.limit).await?;
        let stream = self.way.key("changed");
        let newest = cmd("XREVRANGE").arg(&stream).arg("+").arg("-").arg("COUNT").arg(1).to_owned();
        let newest: Entries = redis.ask(self.limit, async |redis| newest.query_async(redis).await).await?;
        let mut last = newest.into_iter().next().map_or("0".to_owned(), |(id, _)| id);
        let (mut among, mut looked, mut read_at) = (None, Instant::now(), Instant::now());
        hear(Hint::All);
        while *watchers.borrow() {
            if read_at.elapsed() > LATE {
                hear(Hint::All);
            }
            let mut read = cmd("XREAD");
            read.arg("COUNT").arg(PAGE).arg("BLOCK").arg(millis(look)).arg("STREAMS").arg(&stream).arg(&last);
            let read: Option<Vec<(String, Entries)>> =
                redis.ask(look + self.limit, async |redis| read.query_async(redis).await).await?;
            read_at = Instant::now();
            if let Some((_, entries)) = read.unwrap_or_default().pop() {
                last = entries.last().map_or(last, |(id, _)| id.clone());
                hear(changes(&entries));
            }
            if among.is_some() && looked.elapsed() < look {
                continue;
            }
            looked = Instant::now();
            if let Answer::Known { among: now, .. } = self.ask(&[]).await?
                && among.as_ref() != Some(&now)
                && among.replace(now).is_some()
            {
                hear(Hint::All);
            }
        }
        Ok(())
    }
}

/// Whom entries of the stream of changes name.
fn changes(entries: &[(String, Vec<String>)]) -> Hint {
    if entries.len() >= PAGE {
        return Hint::All; // it may have dropped some already
    }
    let names = entries.iter().flat_map(|(_, fields)| fields.as_chunks::<2>().0);
    let names = names.filter(|[field, _]| field == "users").flat_map(|[_, names]| names.split(' '));
    Hint::Users(names.map(Arc::from).collect())
}

/// What the script has returned. None: nonsense.
fn answer(value: &Value) -> Option<Answer> {
    let Value::Array(parts) = value else { return None };
    match (text(parts.first()?)?, &parts[1..]) {
        ("settling", [Value::Int(left)]) => {
            Some(Answer::Settling(Duration::from_millis(u64::try_from(*left).ok()?)))
        }
        ("known", [among, Value::Array(nodes)]) => {
            let found: Option<Vec<Vec<Found>>> = nodes.iter().map(found_at).collect();
            let found = found?.into_iter().flatten().collect();
            Some(Answer::Known { among: text(among)?.to_owned(), found })
        }
        _ => None,
    }
}

/// Those that one node knows.
fn found_at(node: &Value) -> Option<Vec<Found>> {
    let Value::Array(parts) = node else { return None };
    let [says, found @ ..] = &**parts else { return None };
    // One of another version says nothing that counts.
    let Ok(Node { name, .. }) = serde_json::from_str(text(says)?) else { return Some(Vec::new()) };
    let name: Arc<str> = name.into();
    let one = |[index, visits]: &[Value; 2]| {
        let Value::Int(index) = index else { return None };
        let index = usize::try_from(*index).ok()?.checked_sub(1)?;
        Some((index, name.clone(), Visit::read(text(visits)?).collect()))
    };
    found.as_chunks::<2>().0.iter().map(one).collect()
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::SimpleString(text) => Some(text),
        Value::BulkString(bytes) => str::from_utf8(bytes).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn an_answer_names_users_by_their_place_and_nonsense_is_none() {
        let says = r#"{"name":"a","version":"1","url":"ws://a","kinds":[]}"#;
        let here = Value::Array(vec![bulk(says), Value::Int(2), bulk("lobby online 7")]);
        let other = Value::Array(vec![bulk("{}"), Value::Int(1), bulk("x online 7")]);
        let known = Value::Array(vec![bulk("known"), bulk("r 5 a-1"), Value::Array(vec![here, other])]);
        let Some(Answer::Known { among, found }) = answer(&known) else { panic!("it is known") };
        assert_eq!((&*among, found.len(), found[0].0, &*found[0].1), ("r 5 a-1", 1, 1, "a"));
        assert_eq!(&*found[0].2[0].room, "lobby");
        let settling = Value::Array(vec![bulk("settling"), Value::Int(70)]);
        assert_eq!(answer(&settling), Some(Answer::Settling(Duration::from_millis(70))));
        for nonsense in [
            Value::Nil,
            Value::Array(Vec::new()),
            Value::Array(vec![bulk("known")]),
            Value::Array(vec![bulk("settling"), Value::Int(-1)]),
            Value::Array(vec![bulk("known"), bulk(""), Value::Array(vec![Value::Int(1)])]),
        ] {
            assert_eq!(answer(&nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn whoever_reads_as_much_as_may_be_may_have_missed_something() {
        let entry = |users: &str| ("1-0".to_owned(), ["users", users].map(str::to_owned).to_vec());
        let Hint::Users(names) = changes(&[entry("ann bob"), entry("cat")]) else { panic!("they are few") };
        assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["ann", "bob", "cat"]);
        assert!(matches!(changes(&vec![entry("ann"); PAGE]), Hint::All));
    }
}
