//! The thread that asks Redis, for the [core](super::core): it has the clock, the connection, and those who
//! wait for rooms. A Redis that does not answer makes nobody else wait.

use super::{
    Arrival, Given, Hold, Left, NotHere, OtherLease, Placement, Request, Unavailable,
    ask::{Answer, Ask, Failure, Generation, Incarnation, Said},
    core::{Claim, Claimed, Core, Lapsed, Question, is_silent},
    grant::Grant,
    inbox::{Inbox, Word},
    link::{self, Link},
    node::{Load, Node, choose},
    overview::Errand,
    transfer::{Progress, Query, Transfers},
    twin::Twin,
};
use crate::{health::Part, metrics::Metrics};
use futures_util::{
    StreamExt as _,
    future::{LocalBoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    select,
    sync::{mpsc, oneshot, watch},
    time::sleep_until,
};
use tracing::{error, info, warn};

/// How long clients wait that could not be told where their room is, if nothing better is known.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Clients that come back at the same time are few: others come one of these later.
const TURN: Duration = Duration::from_millis(25);
const TURNS: u32 = 20;
/// Time between two attempts to hear what concerns this node.
const LISTEN_AGAIN: Duration = Duration::from_millis(200);
/// A turn of those whose room is taken over: they have waited for it long enough.
const SHORT_TURN: Duration = Duration::from_millis(5);
/// When to look again, if nothing is due.
const IDLE: Duration = Duration::from_secs(60);

/// What the keeper needs of the server.
pub(crate) struct NodeHooks {
    pub metrics: Arc<Metrics>,
    /// Whether Redis does what it should.
    pub redis: Arc<Part>,
    /// Whether this node has a lease.
    pub lease: Arc<Part>,
    /// Whether its address and its name are its own.
    pub address: Arc<Part>,
    /// Which Redis it is: another one may have forgotten what was written before.
    pub generation: watch::Sender<Option<Generation>>,
    /// What this node has to do.
    pub load: Box<dyn Fn() -> Load + Send>,
    /// Ends a room that is another node's.
    pub end: Box<dyn Fn(&str) + Send>,
    /// Ends seats of players who have left a room while it was on its way here.
    pub left: EndSeats,
    /// Does what an operator has asked for at another node.
    pub asked: Box<dyn Fn(Errand) + Send>,
    /// Has rooms go on that this node has taken over.
    pub taken: mpsc::UnboundedSender<Vec<Hold>>,
}

/// Ends these seats of a room.
type EndSeats = Box<dyn Fn(&str, Left) + Send>;

/// The nodes, as they were seen last.
pub(super) type Table = Arc<Mutex<Vec<Seen>>>;

/// A node, as it was seen last.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub name: Incarnation,
    pub node: Node,
    pub at: Instant,
    /// How long its lease lasted then.
    pub left: Duration,
}

pub(super) struct Keeper {
    core: Core,
    link: Rc<Link>,
    around: NodeHooks,
    says: Node,
    nodes: HashMap<Incarnation, Node>,
    /// Those among them that should have renewed their lease.
    silent: HashSet<Incarnation>,
    table: Table,
    twin: Twin,
    /// Rooms that were given to others since they were seen.
    given: HashMap<Incarnation, u32>,
    requests: mpsc::UnboundedReceiver<Request>,
    sender: mpsc::UnboundedSender<Request>,
    waiting: HashMap<Arc<str>, Vec<Waiter>>,
    asked: FuturesUnordered<LocalBoxFuture<'static, Heard>>,
    left: Vec<oneshot::Sender<()>>,
    told_to_wait: u32,
    /// The rule by which Redis removes keys to save memory, if it does.
    removes: Option<Arc<str>>,
    transfers: Transfers,
    /// Those who give rooms to other nodes.
    giving: HashMap<Arc<str>, oneshot::Sender<Given>>,
    /// Those who have made rooms of other nodes ready.
    taking: HashMap<Arc<str>, oneshot::Sender<()>>,
    arrivals: mpsc::UnboundedSender<Arrival>,
    /// Whoever has started this node, until it is known whether it can be one.
    tell: Option<Agreed>,
    /// Where others of this process learn which incarnation it is.
    known_as: watch::Sender<Incarnation>,
}

/// Whether a node can be one among the others.
pub(super) type Agreed = std::sync::mpsc::Sender<Result<(), OtherLease>>;

/// Somebody who wants a room.
struct Waiter {
    kind: Arc<str>,
    placement: Placement,
    tell: oneshot::Sender<Result<Hold, NotHere>>,
}

/// The answer to something that somebody waits for.
enum Heard {
    Claimed { id: u64, room: Arc<str>, to: Incarnation, answer: Result<Answer, Failure> },
    Found { tell: oneshot::Sender<Result<Option<Node>, Unavailable>>, answer: Result<Answer, Failure> },
    Moving { query: Query, answer: Result<Answer, Failure> },
    Nothing,
}

/// What has come over a connection that waits for it.
type Listening = LocalBoxFuture<'static, Option<link::Heard>>;

type Upkeep = LocalBoxFuture<'static, (Question, Result<Answer, Failure>)>;

impl Keeper {
    pub(super) fn new(
        core: Core,
        link: Link,
        around: NodeHooks,
        says: Node,
        table: Table,
        (sender, requests): (mpsc::UnboundedSender<Request>, mpsc::UnboundedReceiver<Request>),
        (arrivals, known_as): (mpsc::UnboundedSender<Arrival>, watch::Sender<Incarnation>),
    ) -> Self {
        Self {
            core,
            link: Rc::new(link),
            around,
            says,
            nodes: HashMap::new(),
            silent: HashSet::new(),
            table,
            twin: Twin::default(),
            given: HashMap::new(),
            requests,
            sender,
            waiting: HashMap::new(),
            asked: FuturesUnordered::new(),
            left: Vec::new(),
            told_to_wait: 0,
            removes: None,
            transfers: Transfers::default(),
            giving: HashMap::new(),
            taking: HashMap::new(),
            arrivals,
            tell: None,
            known_as,
        }
    }

    /// Has somebody told, once, whether this node can be one among the others.
    pub(super) fn telling(self, tell: Agreed) -> Self {
        Self { tell: Some(tell), ..self }
    }

    /// Runs until the node has left.
    pub(super) async fn run(mut self) {
        let mut upkeep: OptionFuture<Upkeep> = None.into();
        let mut inbox = self.listen(None);
        loop {
            let now = Instant::now();
            if let Some(lapsed) = self.core.lapse(now) {
                self.lapsed(&lapsed);
            }
            if let Some(question) = self.core.poll(now) {
                upkeep = Some(self.upkeep(question)).into();
            }
            while let Some(query) = self.transfers.poll(now, &self.core) {
                let asked = self.ask(query.me.clone(), query.ask.clone());
                self.asked.push(Box::pin(async move { Heard::Moving { query, answer: asked.await } }));
            }
            if self.core.has_left() {
                info!("left the other nodes");
                for done in self.left {
                    let _ = done.send(());
                }
                return;
            }
            let wake = self.core.poll_timeout().into_iter().chain(self.transfers.poll_timeout()).min();
            let wake = wake.unwrap_or(now + IDLE);
            select! {
                Some((question, answer)) = &mut upkeep => {
                    upkeep = None.into();
                    self.answered(question, answer);
                }
                Some(heard) = self.asked.next() => self.heard(heard),
                heard = &mut inbox => {
                    let (connection, text) = heard.unzip();
                    text.flatten().iter().for_each(|text| self.told(text));
                    inbox = self.listen(connection);
                }
                request = self.requests.recv() => match request {
                    Some(request) => self.requested(request),
                    None => return,
                },
                () = sleep_until(wake.into()) => {}
            }
        }
    }

    fn ask(&self, me: Incarnation, ask: Ask) -> impl Future<Output = Result<Answer, Failure>> + use<> {
        let (link, says, metrics) = (self.link.clone(), self.says.clone(), self.around.metrics.clone());
        async move {
            let sent = Instant::now();
            let answer = link.ask(&me, &says, &ask).await;
            metrics.nodes.redis_duration.observe(sent.elapsed());
            answer
        }
    }

    fn upkeep(&mut self, question: Question) -> Upkeep {
        if let Ask::Renew { .. } = question.ask {
            self.says.load = (self.around.load)();
        }
        let asked = self.ask(question.me.clone(), question.ask.clone());
        Box::pin(async move { (question, asked.await) })
    }

    fn answered(&mut self, question: Question, answer: Result<Answer, Failure>) {
        let now = Instant::now();
        let means = self.core.answered(now, question.id, answer.as_ref());
        means.lapsed.iter().for_each(|lapsed| self.lapsed(lapsed));
        for room in &means.not_ours {
            error!(%room, "the room is another node's: ending it here");
            (self.around.end)(room);
        }
        for stray in means.strays {
            if !self.transfers.may_have(&stray.room) {
                info!(room = %stray.room, "nobody here knows the room, which is this node's: giving it back");
                self.core.give_back(stray);
            }
        }
        if !means.taken.is_empty() {
            let hold = |(room, grant)| Hold { room, grant, to: self.sender.clone() };
            // If nobody has them go on, the holds are dropped, which gives them back.
            let _ = self.around.taken.send(means.taken.into_iter().map(hold).collect());
        }
        if let Ok(Answer { generation, .. }) = &answer {
            let is_new = |was: &mut Option<_>| was.replace(generation.clone()).as_ref() != Some(generation);
            self.around.generation.send_if_modified(is_new);
        }
        if let (Ask::Renew { .. }, Ok(answer)) = (&question.ask, &answer) {
            self.removes.clone_from(&answer.removes);
        }
        match &answer {
            Ok(answer) if answer.settling > Duration::ZERO => self.around.redis.fails(format!(
                "Redis was started, emptied or replaced: for {} ms, rooms that are not here cannot be found or made; \
                 that passes by itself",
                answer.settling.as_millis()
            )),
            Ok(_) => match &self.removes {
                Some(policy) => self.around.redis.fails(format!(
                    "Redis removes keys when it is full (maxmemory-policy {policy}), and with them leases and \
                     rooms, which then end: set maxmemory-policy noeviction"
                )),
                None => self.around.redis.is_well(),
            },
            Err(failure) => self.around.redis.fails(format!("{failure}: {}", failure.remedy())),
        }
        match &question.ask {
            Ask::Renew { .. } => {
                self.renewed(now, answer.is_ok());
                self.agreed(&answer);
            }
            // Whoever wants the next one of its name has waited for that.
            Ask::Release { room, .. } if answer.is_ok() => {
                let waiting = self.waiting.remove(room).unwrap_or_default();
                waiting.into_iter().for_each(|waiter| self.claim(room, waiter));
            }
            _ => {}
        }
        if let Ok(Answer { said: Said::Nodes(nodes), settling, .. }) = answer {
            self.seen(now, nodes, settling.is_zero());
            self.judge_address(now);
        }
    }

    fn judge_address(&mut self, now: Instant) {
        let this = (self.core.me(), &self.says);
        match self.twin.among(now, self.core.ttl(), this, self.nodes.iter()) {
            Some(node) if node.has_address_of(&self.says) => self.around.address.fails(format!(
                "another node, {:?} at {}, has this one's address, so clients get to one of them only: give \
                 each node its own --public-url and --public-quic",
                node.name, node.url
            )),
            Some(Node { name, url, .. }) => self.around.address.fails(format!(
                "another node, at {url}, is called {name:?}, too: a room that is to move there goes to either, \
                 and either drains: give each node its own --node"
            )),
            None => self.around.address.is_well(),
        }
    }

    fn renewed(&mut self, now: Instant, answered: bool) {
        let metrics = &self.around.metrics;
        metrics.nodes.lease_renewals.inc(if answered { "renewed" } else { "failed" });
        if answered {
            metrics.nodes.lease_lateness.observe(self.core.lateness());
        }
        self.judge(now);
    }

    /// Tells whoever has started this node whether it can be one among the others.
    fn agreed(&mut self, answer: &Result<Answer, Failure>) {
        let ours = self.core.ttl();
        let other = match answer {
            Ok(Answer { said: Said::OtherLease(theirs), .. }) => Some(OtherLease { ours, theirs: *theirs }),
            _ => None,
        };
        if let Some(other) = &other {
            self.around.lease.fails(other.to_string());
        }
        if let Some(tell) = self.tell.take() {
            let _ = tell.send(other.map_or(Ok(()), Err));
        }
    }

    fn judge(&self, now: Instant) {
        match self.core.is_member(now) {
            true => self.around.lease.is_well(),
            false => self.around.lease.fails(
                "this node has no lease in Redis, and can have no rooms: bring Redis back, or the network between \
                 them; it takes rooms again by itself",
            ),
        }
    }

    fn lapsed(&mut self, lapsed: &Lapsed) {
        let Lapsed { rooms, lost } = *lapsed;
        error!(rooms, lost, "the lease could not be renewed in time: this node's rooms end");
        self.around.metrics.nodes.leases_lost.inc();
        self.known_as.send_replace(self.core.me().clone());
        self.around.metrics.nodes.alive.set(0);
        self.judge(Instant::now());
        // Those who wait have asked for a node that is no more.
        let waiting: Vec<_> = self.waiting.drain().flat_map(|(_, waiters)| waiters).collect();
        for Waiter { tell, .. } in waiting {
            let unknown = NotHere::Unknown(self.unavailable("this node has just lost its lease", TRY_AGAIN));
            let _ = tell.send(Err(unknown));
        }
        self.transfers.lapse().into_iter().for_each(|progress| self.moved(progress));
    }

    /// `settled`: Redis has forgotten none of them.
    fn seen(&mut self, now: Instant, nodes: Vec<(Incarnation, Option<(Node, Duration)>)>, settled: bool) {
        self.given.clear();
        let nodes: Vec<_> = nodes.into_iter().filter_map(|(name, node)| Some((name, node?))).collect();
        let known: HashSet<_> = nodes.iter().map(|(name, _)| name).collect();
        // Who says goodbye gives back a lease that was renewed just before.
        let lost = self.silent.drain().filter(|name| settled && !known.contains(name));
        for node in lost.filter_map(|name| self.nodes.get(&name)) {
            warn!(
                node = node.name,
                url = node.url,
                "a node is gone without having said goodbye: it is dead, frozen or cut off from Redis, and its rooms \
                 that are stored go on at the others"
            );
        }
        let (me, ttl) = (self.core.me(), self.core.ttl());
        let silent = nodes.iter().filter(|(name, (_, left))| name != me && is_silent(ttl, *left));
        self.silent = silent.map(|(name, _)| name.clone()).collect();
        self.nodes = nodes.iter().map(|(name, (node, _))| (name.clone(), node.clone())).collect();
        self.around.metrics.nodes.alive.set(i64::try_from(self.nodes.len()).unwrap_or(i64::MAX));
        let seen = |(name, (node, left)): (Incarnation, (Node, Duration))| Seen { name, node, at: now, left };
        let mut table: Vec<_> = nodes.into_iter().map(seen).collect();
        table.sort_by(|a, b| a.name.cmp(&b.name));
        *self.table.lock() = table;
    }

    fn requested(&mut self, request: Request) {
        match request {
            Request::Claim { room, kind, placement, tell } => {
                self.claim(&room, Waiter { kind, placement, tell })
            }
            Request::LetGo { room, grant } => {
                self.core.let_go(&room, &grant);
                self.transfers.abandon(Instant::now(), &room, &grant);
            }
            Request::Give { room, grant, to, parcel, tell } => {
                if self.transfers.give(Instant::now(), &mut self.core, (&room, &grant), to, parcel) {
                    self.giving.insert(room, tell);
                } else {
                    let _ = tell.send(Given::Lost);
                }
            }
            Request::Find { room, tell } => {
                let asked = self.ask(self.core.me().clone(), Ask::Where { room });
                self.asked.push(Box::pin(async move { Heard::Found { tell, answer: asked.await } }));
            }
            Request::Made { room, offered, made: Ok(taken) } => {
                if self.transfers.is_ready(Instant::now(), &self.core, &room, offered) {
                    self.taking.insert(room, taken);
                }
            }
            Request::Made { room, offered, made: Err(why) } => {
                self.transfers.is_unfit(Instant::now(), &room, offered, why);
            }
            Request::TellLeft { room, to, left } => {
                let link = self.link.clone();
                self.asked.push(Box::pin(async move {
                    if let Err(failure) = link.tell(&to, &Word::Left(room, left)).await {
                        warn!(%to, %failure, "another node is not told who has left a room on its way there");
                    }
                    Heard::Nothing
                }));
            }
            Request::Leave { done } => {
                self.left.push(done);
                self.core.leave(Instant::now());
            }
        }
    }

    fn claim(&mut self, room: &Arc<str>, waiter: Waiter) {
        let claim = match self.transfers.may_have(room) {
            true => Claim::Unknown("the room is on its way, and it is not known yet whose it is"),
            false => self.core.claim(Instant::now(), room),
        };
        match claim {
            Claim::Ours(grant) => self.give(room, grant, waiter),
            Claim::Wait => self.waiting.entry(room.clone()).or_default().push(waiter),
            Claim::Ask(me, id) => {
                let (room, kind, make) =
                    (room.clone(), waiter.kind.clone(), waiter.placement != Placement::IfStored);
                let to = if waiter.placement == Placement::Anywhere {
                    self.choose(&me, &kind)
                } else {
                    me.clone()
                };
                let ask = Ask::Claim { room: room.clone(), to: to.clone(), make };
                let asked = self.ask(me, ask);
                self.waiting.entry(room.clone()).or_default().push(waiter);
                self.asked
                    .push(Box::pin(async move { Heard::Claimed { id, room, to, answer: asked.await } }));
            }
            Claim::Unknown(why) => {
                self.around.metrics.nodes.claims.inc("unknown");
                let unknown = NotHere::Unknown(self.unavailable(why, TRY_AGAIN));
                let _ = waiter.tell.send(Err(unknown));
            }
        }
    }

    fn choose(&mut self, me: &Incarnation, kind: &str) -> Incarnation {
        self.says.load = (self.around.load)();
        let given = |name: &Incarnation| self.given.get(name).copied().unwrap_or(0);
        choose((me, &self.says), self.nodes.iter(), given, kind).clone()
    }

    /// Redis has answered what somebody waits for.
    fn heard(&mut self, heard: Heard) {
        let now = Instant::now();
        let (id, room, to, answer) = match heard {
            Heard::Claimed { id, room, to, answer } => (id, room, to, answer),
            Heard::Found { tell, answer } => return self.found(tell, answer),
            Heard::Moving { query, answer } => {
                let progress = self.transfers.answered(now, &mut self.core, &query, answer.as_ref());
                return progress.into_iter().for_each(|progress| self.moved(progress));
            }
            Heard::Nothing => return,
        };
        let why = answer.as_ref().err().map(ToString::to_string);
        let settling = answer.as_ref().map_or(Duration::ZERO, |answer| answer.settling);
        let Some(claimed) = self.core.claimed(now, id, &room, answer.as_ref()) else { return };
        let mut waiters = self.waiting.remove(&room).unwrap_or_default().into_iter();
        let not_here = match claimed {
            Claimed::Ours(grant) => {
                self.around.metrics.nodes.claims.inc("ours");
                let Some(first) = waiters.next() else { return self.core.let_go(&room, &grant) };
                self.give(&room, grant, first);
                return waiters.for_each(|waiter| self.claim(&room, waiter));
            }
            Claimed::Said(Said::At(node, left)) if node.has_address_of(&self.says) => {
                let why = "this node had the room before it has lost its lease: it is free soon";
                return self.tell(waiters, why, left.min(TRY_AGAIN) + SHORT_TURN, SHORT_TURN);
            }
            Claimed::Said(Said::At(node, left)) if is_silent(self.core.ttl(), left) => {
                let why =
                    format!("node {}, which has the room, is silent: others may have it soon", node.name);
                return self.tell(waiters, &why, left + SHORT_TURN, SHORT_TURN);
            }
            Claimed::Said(Said::At(node, _)) => {
                self.around.metrics.nodes.claims.inc("elsewhere");
                *self.given.entry(to).or_default() += 1;
                NotHere::At(Box::new(node))
            }
            Claimed::Said(Said::Nowhere) => NotHere::Nowhere,
            Claimed::Said(Said::Foreign { kind }) => match self.who_takes(&kind) {
                Some(node) => NotHere::At(Box::new(node)),
                None => {
                    let why =
                        format!("the room goes on where there is a game {kind:?}: no node takes it now");
                    return self.tell(waiters, &why, TRY_AGAIN, TURN);
                }
            },
            Claimed::Said(Said::Settling) => return self.tell(waiters, SETTLING, settling + TURN, TURN),
            Claimed::Said(said) => {
                return self.tell(waiters, &format!("Redis says {said:?}"), TRY_AGAIN, TURN);
            }
            Claimed::Unknown(what) => {
                return self.tell(waiters, why.as_deref().unwrap_or(what), TRY_AGAIN, TURN);
            }
        };
        for waiter in waiters {
            if matches!(not_here, NotHere::Nowhere) && waiter.placement != Placement::IfStored {
                // Whoever asked first wanted none to be made.
                self.claim(&room, waiter);
            } else {
                let _ = waiter.tell.send(Err(not_here.clone()));
            }
        }
    }

    /// Another node that can go on with a stored room of this kind.
    fn who_takes(&self, kind: &str) -> Option<Node> {
        let others = self.nodes.iter().filter(|(name, node)| *name != self.core.me() && node.takes(kind));
        others.map(|(_, node)| node).min_by_key(|node| node.load.used).cloned()
    }

    /// Where somebody's room is.
    fn found(
        &mut self,
        tell: oneshot::Sender<Result<Option<Node>, Unavailable>>,
        answer: Result<Answer, Failure>,
    ) {
        let found = match answer {
            Ok(Answer { said: Said::At(node, _), .. }) => Ok(Some(node)),
            Ok(Answer { settling, .. }) if settling.is_zero() => Ok(None),
            Ok(Answer { settling, .. }) => Err(self.unavailable(SETTLING, settling)),
            Err(failure) => Err(self.unavailable(&failure.to_string(), TRY_AGAIN)),
        };
        let _ = tell.send(found);
    }

    /// Waits for what concerns this node.
    fn listen(&self, connection: Option<Inbox>) -> Listening {
        let (link, me) = (self.link.clone(), self.core.me().clone());
        Box::pin(async move {
            let heard = link.listen(connection, &me).await;
            if heard.is_err() {
                sleep_until((Instant::now() + LISTEN_AGAIN).into()).await;
            }
            heard.ok()
        })
    }

    /// Another node has a word with this one.
    fn told(&mut self, text: &str) {
        let now = Instant::now();
        match Word::read(text) {
            Some(Word::Offer(room)) => self.transfers.offered(now, &room),
            Some(Word::Over(room)) => self.transfers.is_over(now, &room),
            Some(Word::Left(room, left)) => (self.around.left)(&room, left),
            Some(Word::Errand(errand)) => (self.around.asked)(errand),
            None => warn!(text, "another node says what this one does not understand"),
        }
    }

    /// What has become of a room on its way.
    fn moved(&mut self, progress: Progress) {
        let (room, given) = match progress {
            Progress::Offered { room, offered, parcel, grant } => {
                let hold = Hold { room: room.clone(), grant, to: self.sender.clone() };
                return drop(self.arrivals.send(Arrival { room, offered, parcel, hold }));
            }
            Progress::Taken { room } => {
                if let Some(taken) = self.taking.remove(&room) {
                    let _ = taken.send(());
                }
                return;
            }
            Progress::NotTaken { room } => return drop(self.taking.remove(&room)),
            Progress::Stayed { room, why } => (room, Given::Stayed(why)),
            Progress::Gone { room, node } => (room, Given::Gone(node)),
            Progress::Lost { room } => (room, Given::Lost),
        };
        if let Some(tell) = self.giving.remove(&room) {
            let _ = tell.send(given);
        }
    }

    /// Tells them to come again.
    fn tell(&mut self, waiters: impl Iterator<Item = Waiter>, why: &str, wait: Duration, turn: Duration) {
        for Waiter { tell, .. } in waiters {
            self.around.metrics.nodes.claims.inc("unknown");
            let _ = tell.send(Err(NotHere::Unknown(self.unavailable_for(why, wait, turn))));
        }
    }

    fn give(&self, room: &Arc<str>, grant: Grant, waiter: Waiter) {
        let hold = Hold { room: room.clone(), grant, to: self.sender.clone() };
        // If nobody waits any more, the hold is dropped, which gives the room back.
        let _ = waiter.tell.send(Ok(hold));
    }

    fn unavailable(&mut self, why: &str, wait: Duration) -> Unavailable {
        self.unavailable_for(why, wait, TURN)
    }

    fn unavailable_for(&mut self, why: &str, wait: Duration, turn: Duration) -> Unavailable {
        self.told_to_wait = self.told_to_wait.wrapping_add(1);
        Unavailable { why: why.to_owned(), wait: wait + turn * (self.told_to_wait % TURNS) }
    }
}

const SETTLING: &str =
    "Redis was started, emptied or replaced, and may have forgotten which node has the room";
