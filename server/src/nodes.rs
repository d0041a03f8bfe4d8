//! Many nodes: which node a room is on, agreed on through Redis.
//!
//! | part | what |
//! | --- | --- |
//! | [`core`] | a node's lease and rooms: what to ask next, what is owned until when: pure |
//! | [`grant`] | by which a node has a room |
//! | [`ask`] | questions and answers |
//! | [`script`], `script.lua` | what they do in Redis, each in one atomic call |
//! | [`inbox`] | what lies there for a node: words of others |
//! | [`link`], [`way`], [`sentinel`] | the connection |
//! | [`keeper`] | the thread that asks, and who waits for it |
//! | [`node`] | what a node says of itself; which one is to have a new room |
//! | [`transfer`], `transfer.lua` | rooms that go on at another node: pure, and in Redis |
//! | [`overview`] | what operators see of other nodes, and ask of them |
//! | [`presence`], `presence.lua` | where users are: who is in the rooms of which node |
//! | [`twin`] | another node with this one's address or name: pure |
//! | [`users`], [`words`], [`memory`] | tokens that were used, and users who are revoked, on whichever node |
//! | [`depot`], `depot.lua` | what is stored of rooms: checkpoints and journals |
//! | `model`, `simulated` | the scripts in Rust, and nodes and a Redis that fails, in virtual time: tests |
//! | `real`, `same` | the script in a real Redis, and that it does what the model does: tests |
//!
//! **Leases are nodes', not rooms'.** A node renews one lease, five times in its length, and says with it
//! what it has to do. A room's record names the node that has it, by its *incarnation*, and is good for as
//! long as that has its lease. So a hundred thousand rooms cost Redis what their nodes cost.
//!
//! **Who owns what when.** A node counts its lease from when it *sent* the renewal that succeeded, less an
//! eighth, by its monotonic clock; Redis counts from when the renewal came. So the node stops first. Rooms
//! look at that deadline before each tick and before they publish it ([`Ownership`]): a process that was
//! stopped and goes on finds them over. It goes on as another incarnation, which owns nothing yet.
//!
//! **A Redis that forgets.** Redis copies to its replicas after it has answered, so a failover may lose the
//! last claims and renewals, and an emptied Redis knows nothing. The script notices by itself that it runs in
//! another process than before, or that its notes are gone: then it lets nobody claim anything for the length
//! of a lease. Meanwhile each node registers its rooms again, and its lease is not extended before it has.
//! Whoever does not come in time has stopped by its own clock when claims begin again.
//!
//! **What is stored.** Of a room with `checkpoint` or `journal`, Redis has the newest checkpoint and the
//! frames since, under the node and the epoch that its record says; what anybody else writes is refused. When
//! a lease is over, the living look at that moment and take the rooms of which something is stored, a few at
//! a time: who is done with some takes more, so that those take most that have least to do. If a client asks
//! for such a room before a node has taken it, the node it asked takes it, provided it has the game. So a
//! lapsed node takes its own rooms, too, if it comes first. Those that cannot go on where they were taken,
//! and those of games that the living have not, are `nobody`'s: to the script that is a node that is always
//! dead, so they are tried again, each time later, for an hour. The other rooms of a dead node are forgotten,
//! and made anew when somebody joins them.
//!
//! **Grants.** Whoever is told that a room is this node's has a [`Hold`], under a [`Grant`]: one for each
//! time that the room becomes this node's. What is let go, given away or abandoned names its grant, so that a
//! late word about one room changes nothing for the next room of its name.
//!
//! **What nobody knows.** An answer that is lost may have given a room to this node, and a Redis that fails
//! over may have forgotten that one was given back. So each node looks now and then whether Redis counts more
//! rooms as its own than it knows, and gives those back: what is stored of them goes on, and of the others
//! nothing is left.
//!
//! **What can happen twice.** Two nodes own a room at the same time only if
//! - Redis's clock is set forward by more than an eighth of a lease (keys expire by the time of day), or a
//!   node's clock goes slower than Redis's by as much, or a node's machine is suspended in a way in which its
//!   monotonic clock stands still (a virtual machine that is paused);
//! - Redis is cut off from its replicas, goes on answering some nodes, and a replica takes its place for
//!   others. `redis_replicas` = 1 or more prevents it: then a lease counts only if so many replicas have it;
//! - Redis removes keys to save memory (`maxmemory-policy` other than
//!   `noeviction`, without which a node's health is red).
//!
//! A state that was published in time may still be sent after the end, if the process is stopped in between.
//!
//! All keys begin with one hash tag, so they share a slot: what nodes agree on is never spread over several
//! masters, and of a Redis Cluster one master has them all. The guide's chapter on many machines has the
//! rights that a node needs; the tests of nodes have no others.

mod ask;
mod core;
mod depot;
mod grant;
mod inbox;
mod keeper;
mod link;
mod memory;
mod node;
mod overview;
mod presence;
mod script;
mod sentinel;
mod transfer;
mod twin;
mod users;
mod way;
mod words;

#[cfg(test)]
mod model;
#[cfg(test)]
mod real;
#[cfg(test)]
mod same;
#[cfg(test)]
mod simulated;

pub(crate) use ask::{Epoch, Failure, Generation, Incarnation};
pub(crate) use depot::{Depot, Unread};
pub(crate) use grant::Grant;
pub(crate) use keeper::NodeHooks;
pub(crate) use memory::Known;

pub(crate) use node::{Load, Node};
pub(crate) use overview::{BUSIEST, Busiest, BusyRoom, Errand, Overview};
pub(crate) use presence::{Abroad, AbroadParts, Hint, Told};
#[cfg(any(test, fuzzed))]
pub(crate) use script::fuzz;
pub(crate) use users::Users;
pub(crate) use way::{Own, Way};

use self::core::Core;
use crate::{
    config::Config,
    ground::{ownership::Ownership, report::LeaveReason},
    thread,
};
use bytes::Bytes;
use driftless_sim::PlayerId;
use keeper::{Keeper, Seen, Table};
use link::Link;
use parking_lot::Mutex;
use script::Call;
use std::{
    collections::HashMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use tracing::error;

/// Longest wait for the farewell to Redis.
pub(crate) const LEAVE_LIMIT: Duration = Duration::from_secs(1);
/// What operators are told to do about a Redis that does not do its part.
const REMEDY: &str = "see that it runs, that its master and replicas are those that are configured \
                                 (redis, redis_replicas), and that this node reaches it; all goes on by itself then";

/// Who has left a room, and why.
type Left = Vec<(PlayerId, LeaveReason)>;

/// Longest wait for what Redis says when this node joins the others. If it comes later, it is looked at then.
const JOIN_LIMIT: Duration = Duration::from_secs(1);

/// This node among the others.
pub(crate) struct Nodes {
    to: mpsc::UnboundedSender<Request>,
    table: Table,
    /// What its incarnations' names begin with.
    origin: String,
    name: Arc<str>,
    /// Its incarnation.
    me: watch::Receiver<Incarnation>,
    /// Rooms that other nodes give to this one, for whoever takes them.
    arrivals: Mutex<Option<mpsc::UnboundedReceiver<Arrival>>>,
    /// Rooms given to a node since it was seen.
    given: Mutex<HashMap<Incarnation, (Instant, u32)>>,
}

/// A room that another node gives to this one. The answer is [`Nodes::take`] or [`Nodes::decline`].
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Its name.
    pub room: Arc<str>,
    /// In which epoch it was offered.
    pub offered: Epoch,
    /// What it goes on from.
    pub parcel: Bytes,
    /// It will be this node's, if it is taken.
    pub hold: Hold,
}

/// What has become of a room that another node was to have.
#[derive(Debug)]
pub(crate) enum Given {
    /// It is there.
    Gone(Box<Node>),
    /// It is still here: the other node could not have it, or has not taken it in time.
    Stayed(Option<String>),
    /// It is nobody's.
    Lost,
}

/// Why a node cannot be one among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "--lease is {ours:?} here and {theirs:?} on the nodes that there are: set what they have, or stop all of them first"
)]
pub(crate) struct OtherLease {
    ours: Duration,
    theirs: Duration,
}

/// Why a room cannot go to another node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoTarget {
    /// There is none with this name.
    #[error("there is no node {0:?}: GET /v1/nodes lists them")]
    Unknown(String),
    /// It is this one.
    #[error("the room is on node {0:?} already")]
    Itself(String),
    /// It takes no rooms of this kind now.
    #[error("node {0:?} cannot take it: it drains, is full, or lacks its game")]
    Unable(String),
    /// No other node takes it.
    #[error("no other node can take it: there is none that does not drain, is not full, and has its game")]
    Nowhere,
}

/// A room is this node's, until this is dropped or the lease is over.
#[derive(Debug)]
pub(crate) struct Hold {
    room: Arc<str>,
    grant: Grant,
    to: mpsc::UnboundedSender<Request>,
}

/// Where a room is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// If it is nobody's, and nothing of it is stored: where there is least to do.
    Anywhere,
    /// In that case: here.
    Here,
    /// Nowhere, unless it is somebody's or something is stored.
    IfStored,
}

/// Why a room cannot be here.
#[derive(Debug, Clone)]
pub(crate) enum NotHere {
    /// It is there.
    At(Box<Node>),
    /// It is nobody's.
    Nowhere,
    /// Nobody knows.
    Unknown(Unavailable),
}

/// It cannot be found out where a room is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// Why.
    pub why: String,
    /// When to ask again.
    pub wait: Duration,
}

/// What is wanted of the keeper.
#[derive(Debug)]
enum Request {
    Claim {
        room: Arc<str>,
        kind: Arc<str>,
        placement: Placement,
        tell: oneshot::Sender<Result<Hold, NotHere>>,
    },
    Find {
        room: Arc<str>,
        tell: oneshot::Sender<Result<Option<Node>, Unavailable>>,
    },
    LetGo {
        room: Arc<str>,
        grant: Grant,
    },
    Leave {
        done: oneshot::Sender<()>,
    },
    Give {
        room: Arc<str>,
        grant: Grant,
        to: Incarnation,
        parcel: Bytes,
        tell: oneshot::Sender<Given>,
    },
    TellLeft {
        room: Arc<str>,
        to: Incarnation,
        left: Left,
    },
    Made {
        room: Arc<str>,
        offered: Epoch,
        made: Result<oneshot::Sender<()>, String>,
    },
}

impl Nodes {
    /// Joins the other nodes. `says`: what this one says of itself.
    ///
    /// # Errors
    /// If the system gives no thread or no random bytes; or the nodes have another lease. (Redis may come
    /// later.)
    pub(crate) fn start(
        config: &Config,
        way: Way,
        says: Node,
        around: NodeHooks,
    ) -> io::Result<Result<Arc<Self>, OtherLease>> {
        let (ttl, replicas) = (config.lease, config.redis_replicas);
        let origin =
            format!("{}-{:08x}", says.name, getrandom::u32().map_err(|e| io::Error::other(e.to_string()))?);
        let (to, requests) = mpsc::unbounded_channel();
        let (table, call) = (Table::default(), Call::new(&config.redis_prefix, ttl));
        let (arrive, arrivals) = mpsc::unbounded_channel();
        let (tell, agreed) = std::sync::mpsc::channel();
        let core = Core::new(&origin, ttl, Instant::now());
        let (known_as, me) = watch::channel(core.me().clone());
        let nodes = Arc::new(Self {
            to: to.clone(),
            table: table.clone(),
            name: says.name.as_str().into(),
            origin,
            me,
            arrivals: Mutex::new(Some(arrivals)),
            given: Mutex::default(),
        });
        thread::runs("nodes", async move || {
            thread::prefer_latency();
            let link = Link::new(way, call, replicas, ttl / 2);
            let keeper = Keeper::new(core, link, around, says, table, (to, requests), (arrive, known_as));
            keeper.telling(tell).run().await;
        })?;
        Ok(agreed.recv_timeout(JOIN_LIMIT).unwrap_or(Ok(())).map(|()| nodes))
    }

    /// The room for this node; or where it is. Of one that is nobody's, something may be stored: then it is
    /// this node's, to go on from that.
    pub(crate) async fn claim(
        &self,
        room: &Arc<str>,
        kind: &str,
        placement: Placement,
    ) -> Result<Hold, NotHere> {
        let (tell, told) = oneshot::channel();
        let _ = self.to.send(Request::Claim { room: room.clone(), kind: kind.into(), placement, tell });
        told.await.unwrap_or_else(|_| Err(NotHere::Unknown(Unavailable::gone())))
    }

    /// The other node that has the room, if there is one. This is only a question.
    pub(crate) async fn find(&self, room: &str) -> Result<Option<Node>, Unavailable> {
        let (tell, told) = oneshot::channel();
        let _ = self.to.send(Request::Find { room: room.into(), tell });
        told.await.unwrap_or_else(|_| Err(Unavailable::gone()))
    }

    /// Gives everything up: other nodes need not wait for the lease to be over.
    pub(crate) async fn leave(&self) {
        let (done, left) = oneshot::channel();
        let _ = self.to.send(Request::Leave { done });
        if timeout(LEAVE_LIMIT, left).await.is_err() {
            error!(
                "Redis does not take the farewell of this node: its rooms are free when its lease is over"
            );
        }
    }

    /// The rooms that other nodes give to this one, once.
    pub(crate) fn arrivals(&self) -> Option<mpsc::UnboundedReceiver<Arrival>> {
        self.arrivals.lock().take()
    }

    /// The node that is to have a room of this kind: the one with this name, or the other one that has least
    /// to do.
    ///
    /// # Errors
    /// None can.
    pub(crate) fn target(&self, kind: &str, named: Option<&str>) -> Result<(Incarnation, Node), NoTarget> {
        let (table, mut given) = (self.table.lock(), self.given.lock());
        given.retain(|name, (at, _)| table.iter().any(|seen| seen.name == *name && seen.at == *at));
        let is_this = |name: &Incarnation| name.to_string().starts_with(&self.origin);
        let found = match named {
            Some(named) => {
                let mut all = table.iter().filter(|seen| seen.node.name == named);
                let found = all.next().ok_or_else(|| NoTarget::Unknown(named.to_owned()))?;
                if is_this(&found.name) {
                    return Err(NoTarget::Itself(named.to_owned()));
                }
                Some(found).filter(|seen| seen.node.takes(kind))
            }
            None => {
                let burden = |name: &Incarnation, node: &Node| {
                    node.load.used.saturating_add(given.get(name).map_or(0, |(_, rooms)| *rooms))
                };
                let others = table.iter().filter(|seen| !is_this(&seen.name) && seen.node.takes(kind));
                others.min_by_key(|seen| burden(&seen.name, &seen.node))
            }
        };
        let unable = || named.map_or(NoTarget::Nowhere, |named| NoTarget::Unable(named.to_owned()));
        let Seen { name, node, at, .. } = found.ok_or_else(unable)?;
        given.entry(name.clone()).or_insert((*at, 0)).1 += 1;
        Ok((name.clone(), node.clone()))
    }

    /// Has another node go on with a room that stands still here, from this. `grant`: by which it is this
    /// node's, because the next room of its name may be so by another.
    pub(crate) async fn give(&self, room: &Arc<str>, grant: Grant, to: Incarnation, parcel: Bytes) -> Given {
        let (tell, told) = oneshot::channel();
        let _ = self.to.send(Request::Give { room: room.clone(), grant, to, parcel, tell });
        told.await.unwrap_or(Given::Lost)
    }

    /// These have left a room while it was on its way to another node, which keeps seats for them. If that
    /// does not learn it, it does so for as long as for anybody who is away.
    pub(crate) fn tell_left(&self, room: &Arc<str>, to: Incarnation, left: Left) {
        let _ = self.to.send(Request::TellLeft { room: room.clone(), to, left });
    }

    /// A room that has arrived is ready to go on. True: it is this node's, and does.
    pub(crate) async fn take(&self, room: &Arc<str>, offered: Epoch) -> bool {
        let (taken, is_taken) = oneshot::channel();
        let _ = self.to.send(Request::Made { room: room.clone(), offered, made: Ok(taken) });
        is_taken.await.is_ok()
    }

    /// A room that has arrived cannot go on here.
    pub(crate) fn decline(&self, room: &Arc<str>, offered: Epoch, why: String) {
        let _ = self.to.send(Request::Made { room: room.clone(), offered, made: Err(why) });
    }

    /// This node's name, for people.
    pub(crate) fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// What this node is now: another incarnation when it has lost its lease.
    pub(crate) fn me(&self) -> watch::Receiver<Incarnation> {
        self.me.clone()
    }

    /// What the node with this name is now. None: there is none.
    fn incarnation(&self, name: &str) -> Option<Incarnation> {
        let table = self.table.lock();
        table.iter().find(|seen| seen.node.name == name).map(|seen| seen.name.clone())
    }

    /// All nodes as they were seen last, with how long ago that was, how long their leases lasted then, and
    /// whether it is this one.
    pub(crate) fn seen(&self, now: Instant) -> Vec<(Node, Duration, Duration, bool)> {
        let table = self.table.lock();
        let seen = table.iter().map(|Seen { name, node, at, left }| {
            let is_this = name.to_string().starts_with(&self.origin);
            (node.clone(), now.saturating_duration_since(*at), *left, is_this)
        });
        seen.collect()
    }
}

impl Hold {
    /// The room's name.
    pub(crate) fn room(&self) -> &Arc<str> {
        &self.room
    }

    /// By which it is this node's.
    pub(crate) fn grant(&self) -> &Grant {
        &self.grant
    }

    /// For how long.
    pub(crate) fn owned(&self) -> &Arc<Ownership> {
        &self.grant.owned
    }

    /// Whether something of the room is stored that it has yet to go on from.
    pub(crate) fn is_stored(&self) -> bool {
        self.grant.is_stored()
    }

    /// The room goes on, or another one has begun in its place: when that has ended, nothing is stored.
    pub(crate) fn begun(&self) {
        self.grant.begins();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let _ = self.to.send(Request::LetGo { room: self.room.clone(), grant: self.grant.clone() });
    }
}

impl Unavailable {
    fn gone() -> Self {
        Self { why: "the thread that asks Redis has ended".to_owned(), wait: Duration::from_secs(1) }
    }
}
