//! Rooms that go on at another node while people play in them.
//!
//! ```text
//!  here:   the room stands still after a tick ─► parcel, through Redis ─►     ─► everybody is sent there
//!  there:                                a room is made of it ─► it is theirs ─► it goes on
//! ```
//!
//! Whose it is when something fails, [nodes](crate::nodes) say. Until it is the other node's, the room here
//! is as it was, with its connections, and can go on as if nothing had happened. Of what its players have
//! sent since the last tick nothing is used here: their clients send it again there.

use crate::{
    carry,
    clock::{self, Clock},
    factory::{Came, Factory, grant_of},
    metrics::{MIGRATIONS_FAILED, Metrics},
    nodes::{Arrival, Given, NoTarget, Node, Nodes, Unavailable},
    registry::{Listed, Registry},
    room::{Begin, Depart, Freeze, Frozen, Goes, Thaw, core::Carried},
};
use bytes::Bytes;
use driftless_proto::wire;
use futures_util::{StreamExt as _, stream};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Semaphore, oneshot},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::{info, warn};

/// How long a room may take until it stands still: a few ticks of a slow one.
const FREEZE_LIMIT: Duration = Duration::from_secs(2);
/// Rooms on their way from here at the same time: those that wait go on meanwhile.
const AT_ONCE: usize = 4;
/// How often a node that drains tries to have all its rooms go on elsewhere.
const ROUNDS: usize = 5;
/// Time between two rounds, in which the other nodes are seen anew: one that was there may just have ended,
/// and another have begun in its place.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(1_200);
/// The largest room that goes through Redis, bytes.
const MOST: usize = 64 << 20;

/// Moves rooms to other nodes, and takes in theirs.
pub(crate) struct Mover {
    registry: Arc<Registry>,
    factory: Arc<Factory>,
    nodes: Arc<Nodes>,
    metrics: Arc<Metrics>,
    clock: Clock,
    places: Semaphore,
}

/// A room goes on at another node.
#[derive(Debug)]
pub(crate) struct Gone {
    /// Where.
    pub node: Node,
    /// How long it stood still until its players were told to go there.
    pub stood: Duration,
}

/// Why a room is where it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    /// It is not here.
    #[error("there is no room {0:?}")]
    NoSuchRoom(String),
    /// It is at another node.
    #[error("the room is on node {}, at {}: ask there", .0.name, .0.url)]
    Elsewhere(Box<Node>),
    /// There is no node for it.
    #[error(transparent)]
    NoTarget(#[from] NoTarget),
    /// It has ended, or is on its way already.
    #[error("room {0:?} cannot move now: it ends, or is on its way already")]
    Busy(String),
    /// It has not come to stand still.
    #[error("room {0:?} has not finished a tick in {FREEZE_LIMIT:?}: its game is slow, or the machine is")]
    Late(String),
    /// Redis does not answer, for example.
    #[error("it cannot be found out where the room is: {0}")]
    Unavailable(String),
    /// Redis takes no such thing.
    #[error("room {room:?} takes {bytes} bytes, more than the {MOST} that go through Redis")]
    TooLarge {
        /// The room.
        room: String,
        /// Its size.
        bytes: usize,
    },
    /// It goes on here.
    #[error("room {room:?} goes on here: {why}")]
    Stayed {
        /// The room.
        room: String,
        /// Why.
        why: String,
    },
    /// It is gone.
    #[error("room {0:?} is lost: the other node died with it, or this node has lost its lease")]
    Lost(String),
}

impl MoveError {
    /// For the metrics, and for programs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            MoveError::NoSuchRoom(_) => "no_such_room",
            MoveError::Elsewhere(_) => "room_elsewhere",
            MoveError::NoTarget(NoTarget::Unknown(_)) => "no_such_node",
            MoveError::NoTarget(NoTarget::Itself(_)) => "same_node",
            MoveError::NoTarget(NoTarget::Unable(_) | NoTarget::Nowhere) => "node_unable",
            MoveError::Busy(_) => "room_busy",
            MoveError::Late(_) => "room_late",
            MoveError::Unavailable(_) => "registry_unavailable",
            MoveError::TooLarge { .. } => "room_too_large",
            MoveError::Stayed { .. } => "stayed",
            MoveError::Lost(_) => "lost",
        }
    }
}

impl Mover {
    pub(crate) fn new(
        registry: Arc<Registry>,
        factory: Arc<Factory>,
        nodes: Arc<Nodes>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        Self { registry, factory, nodes, metrics, clock, places: Semaphore::new(AT_ONCE) }
    }

    /// Has a room go on at the node with this name, or where there is least to do. It is done even if nobody
    /// waits for it any more.
    ///
    /// # Errors
    /// Why it is where it was; or it is lost.
    pub(crate) async fn give(self: &Arc<Self>, room: &str, to: Option<String>) -> Result<Gone, MoveError> {
        let (mover, name) = (self.clone(), room.to_owned());
        let moving = actix_rt::spawn(async move {
            let moved = mover.try_give(&name, to.as_deref()).await;
            match &moved {
                Ok(Gone { node, stood }) => {
                    mover.metrics.nodes.migrations.inc("moved");
                    let stood_ms = stood.as_millis() as u64;
                    info!(room = name, node = node.name, stood_ms, "the room goes on at another node");
                }
                Err(why) => {
                    if MIGRATIONS_FAILED.contains(&why.name()) {
                        mover.metrics.nodes.migrations.inc(why.name());
                    }
                    warn!(room = name, %why, "the room has not moved");
                }
            }
            moved
        });
        moving.await.unwrap_or_else(|_| Err(MoveError::Lost(room.to_owned())))
    }

    /// Has all rooms go on where there is least to do. What cannot is tried again, because another node may
    /// be able to.
    pub(crate) async fn give_all(self: &Arc<Self>) {
        let mut was_nowhere = false;
        // Those that have moved are listed a moment longer.
        let mut gone = HashSet::new();
        for round in 0..ROUNDS {
            if round > 0 {
                sleep(BETWEEN_ROUNDS).await;
            }
            // Anew, because one that was on its way here may have come meanwhile.
            let mut rooms: Vec<_> =
                self.registry.all().into_iter().map(|listed| listed.shared.name.clone()).collect();
            rooms.retain(|room| !gone.contains(room));
            if rooms.is_empty() {
                return;
            }
            let given =
                stream::iter(&rooms).map(|room| async { (room.clone(), self.give(room, None).await) });
            let given: Vec<_> = given.buffer_unordered(AT_ONCE).collect().await;
            let moved = given.iter().filter(|(_, given)| given.is_ok()).count();
            info!(rooms = rooms.len(), moved, "rooms have gone to other nodes");
            let nowhere = given.iter().all(|(_, given)| matches!(given, Err(MoveError::NoTarget(_))));
            if nowhere && was_nowhere {
                return;
            }
            was_nowhere = nowhere;
            let all = moved == given.len();
            gone.extend(given.into_iter().filter(|(_, given)| given.is_ok()).map(|(room, _)| room));
            if all {
                return;
            }
        }
    }

    async fn try_give(&self, name: &str, to: Option<&str>) -> Result<Gone, MoveError> {
        let Some(listed) = self.registry.get(name) else {
            return Err(match self.nodes.find(name).await {
                Ok(Some(node)) => MoveError::Elsewhere(Box::new(node)),
                Ok(None) => MoveError::NoSuchRoom(name.to_owned()),
                Err(Unavailable { why, .. }) => MoveError::Unavailable(why),
            });
        };
        let _place = self.places.acquire().await;
        let (incarnation, _) = self.nodes.target(listed.shared.kind, to)?;
        let Some(grant) = grant_of(&listed) else { return Err(MoveError::Lost(name.to_owned())) };
        let (tell, frozen) = oneshot::channel();
        listed.room.do_send(Freeze(tell));
        let Frozen { carried, due, spectators, stands } = match timeout(FREEZE_LIMIT, frozen).await {
            Ok(Ok(Ok(frozen))) => frozen,
            Ok(Ok(Err(Goes::Busy)) | Err(_)) => return Err(MoveError::Busy(name.to_owned())),
            Ok(Ok(Err(Goes::Late))) | Err(_) => return Err(MoveError::Late(name.to_owned())),
        };
        let stayed = |why| MoveError::Stayed { room: name.to_owned(), why };
        let parcel = self.pack(carried, due, spectators, &listed).await.map_err(stayed)?;
        if parcel.len() > MOST {
            return Err(MoveError::TooLarge { room: name.to_owned(), bytes: parcel.len() });
        }
        // Its share of the server's totals is given back when nobody lists it any more.
        let Listed { shared, room, .. } = listed;
        stands.until_told();
        match self.nodes.give(&shared.name, grant, incarnation.clone(), parcel).await {
            Given::Gone(node) => {
                self.registry.departs(shared.clone(), clock::now());
                let told = room.send(Depart(Some(Arc::new(wire::Moved::from((*node).clone())))));
                let stood = due.elapsed();
                // So that a drain does not say goodbye to anybody who is yet to be told where to go. A room
                // whose thread is stuck tells them later.
                if let Ok(Ok(left)) = timeout(FREEZE_LIMIT, told).await
                    && !left.is_empty()
                {
                    self.nodes.tell_left(&shared.name, incarnation, left);
                }
                Ok(Gone { node: *node, stood })
            }
            Given::Stayed(why) => {
                let why =
                    why.unwrap_or_else(|| "the other node has ended, or has not taken it in time".to_owned());
                room.do_send(Thaw);
                Err(stayed(why))
            }
            Given::Lost => {
                room.do_send(Depart(None));
                Err(MoveError::Lost(name.to_owned()))
            }
        }
    }

    async fn pack(
        &self,
        carried: Carried,
        due: Instant,
        spectators: u32,
        listed: &Listed,
    ) -> Result<Bytes, String> {
        let made_with = (*listed.made_with).clone();
        let due = self.clock.unix().saturating_sub(due.elapsed());
        let packed = spawn_blocking(move || {
            let room = carry::Room { made_with, carried };
            carry::encode(&[room]).map(|room| Parcel { due, spectators, room }.encode())
        });
        let packed = packed.await.map_err(|error| error.to_string())?;
        packed.map_err(|error| error.to_string())
    }

    /// Takes in what other nodes give to this one, as long as there are any.
    pub(crate) async fn take_in(self: Arc<Self>) {
        let Some(mut arrivals) = self.nodes.arrivals() else { return };
        while let Some(arrival) = arrivals.recv().await {
            actix_rt::spawn(self.clone().take(arrival));
        }
    }

    async fn take(self: Arc<Self>, arrival: Arrival) {
        let Arrival { room: name, offered, parcel, hold } = arrival;
        let factory = self.factory.clone();
        let unpacked = spawn_blocking(move || {
            let (came, room) = Parcel::decode(&parcel)?;
            Ok((came, factory.revive(room)?))
        });
        let unpacked = unpacked.await.unwrap_or_else(|error| Err(error.to_string()));
        let come = unpacked.and_then(|(came, room)| self.factory.come(room, came, hold));
        match come {
            Ok(room) if self.nodes.take(&name, offered).await => room.do_send(Begin),
            Ok(room) => {
                info!(room = %name, "the room goes on where it was");
                room.do_send(Depart(None));
            }
            Err(why) => {
                warn!(room = %name, why, "a room of another node cannot go on here");
                self.nodes.decline(&name, offered, why);
            }
        }
    }
}

/// A room as it goes through Redis.
struct Parcel {
    /// When its last tick was due, since 1970.
    due: Duration,
    spectators: u32,
    /// As in a file of carried rooms, which says its version.
    room: Vec<u8>,
}

impl Parcel {
    fn encode(&self) -> Bytes {
        let due = u64::try_from(self.due.as_micros()).unwrap_or(u64::MAX);
        [&due.to_le_bytes()[..], &self.spectators.to_le_bytes(), &self.room].concat().into()
    }

    fn decode(bytes: &[u8]) -> Result<(Came, carry::Room), String> {
        let short = || "it ends too early".to_owned();
        let (due, rest) = bytes.split_first_chunk().ok_or_else(short)?;
        let (spectators, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (due, spectators) = (u64::from_le_bytes(*due), u32::from_le_bytes(*spectators));
        let room = carry::decode(rest)?.pop().ok_or_else(short)?;
        Ok((Came { due: Duration::from_micros(due), spectators }, room))
    }
}
