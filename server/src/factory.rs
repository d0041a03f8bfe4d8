//! Makes rooms, and finds or makes the one that a player wants.

mod elsewhere;
mod entering;
mod plan;
mod restoring;
mod spec;
mod starting;
mod ticks;

pub(crate) use plan::grant_of;
pub(crate) use restoring::LostRoom;
pub(crate) use spec::{FactoryError, RoomSpec};
pub(crate) use starting::Came;

use crate::{
    carry,
    clock::{self, Clock},
    config::Config,
    ground::{
        durability::Durability, id::RoomId, made_with::Maker, places::Places, report::Report, shares::Shares,
        source::Source,
    },
    homes::Homes,
    jobs::JobPool,
    metrics::Metrics,
    nodes::{Depot, Nodes},
    registry::{Found, Listed, Registry, RoomSummary},
    room::{AskStarted, Carry, events::Events, record::RecordThread},
    store::Store,
};
use actix::Recipient;
use driftless_proto::names::is_room_name;
use driftless_sim::game::GameKind;
use elsewhere::Turns;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use ticks::TickBudget;
use tokio::{sync::oneshot, time::timeout_at};
use tracing::warn;

/// Makes rooms of the kinds of games that the server offers.
pub struct Factory {
    config: Config,
    registry: Arc<Registry>,
    services: RoomServices,
    kinds: HashMap<&'static str, GameKind>,
    default_kind: String,
    next_room: AtomicU64,
    by_source: Arc<Shares>,
    ticks: Arc<TickBudget>,
    /// Rooms that are stored and cannot go on here, with the reasons: their names are taken.
    waiting: Mutex<HashMap<String, String>>,
    turns: Turns,
}

/// What rooms get from the server.
pub struct RoomServices {
    /// The server's clock.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where rooms report joins and leaves.
    pub presence: Recipient<Report>,
    /// The threads on which rooms live.
    pub(crate) homes: Arc<Homes>,
    /// Does the jobs that games request.
    pub(crate) work: Arc<JobPool>,
    /// Reports events of rooms to the program's listeners.
    pub events: Arc<Events>,
    /// The recording thread, if rooms are recorded.
    pub recorder: Option<Arc<RecordThread>>,
    /// Where rooms are kept, if they are. Set before the first room is made.
    pub(crate) store: Arc<OnceLock<Arc<Store>>>,
    /// The other nodes, if there may be others.
    pub(crate) nodes: Option<Arc<Nodes>>,
    /// The slots of players.
    pub(crate) places: Arc<Places>,
    /// Where rooms are kept that these can have go on.
    pub(crate) depot: Option<Arc<Depot>>,
}

impl Factory {
    /// A factory that lists its rooms in `registry`.
    pub fn new(
        config: Config,
        registry: Arc<Registry>,
        services: RoomServices,
        kinds: &[GameKind],
    ) -> Arc<Self> {
        let first = || kinds.first().map(|kind| kind.name().to_owned());
        let default_kind = config.default_kind.clone().or_else(first).unwrap_or_default();
        let kinds = kinds.iter().map(|kind| (kind.name(), kind.clone())).collect();
        let by_source = Shares::new(config.max_rooms_per_address);
        let ticks = TickBudget::new(config.max_ticks_per_second);
        let next_room = AtomicU64::new(1);
        let waiting = Mutex::default();
        Arc::new(Self {
            config,
            registry,
            services,
            kinds,
            default_kind,
            next_room,
            by_source,
            ticks,
            waiting,
            turns: Turns::default(),
        })
    }

    /// Makes a room, and waits until its game has started.
    pub async fn create(&self, spec: RoomSpec) -> Result<RoomSummary, FactoryError> {
        let Listed { shared, room, .. } = self.list(&spec, Maker::Operator).await?;
        // A room that has failed by now was made nevertheless.
        match room.send(AskStarted).await {
            Ok(Err(refused)) => Err(FactoryError::BadOptions(refused.reason)),
            Ok(Ok(())) | Err(_) => Ok(RoomSummary::of(&shared)),
        }
    }

    /// The kinds of games.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.keys().copied()
    }

    /// The kind of rooms whose maker does not name one.
    pub(crate) fn default_kind(&self) -> &str {
        &self.default_kind
    }

    /// Makes a room for a match, on behalf of somebody who will join it. Its game has yet to start.
    pub(crate) async fn make_for_match(&self, spec: RoomSpec, of: Source) -> Result<Listed, FactoryError> {
        if !spec.options.is_empty() && !self.config.join_options {
            return Err(FactoryError::NoJoinOptions);
        }
        self.list(&spec, Maker::Joiner(of)).await
    }

    /// Makes a room for a match of the queue. Its game has yet to start. It counts as one of the first of
    /// these sources that may have another; if there are none, of no address in particular.
    pub(crate) async fn make_for_queue(
        &self,
        spec: RoomSpec,
        mut of: Vec<Source>,
    ) -> Result<Listed, FactoryError> {
        let last = of.pop().unwrap_or_else(|| Source::of(Ipv4Addr::LOCALHOST.into()));
        for source in of {
            match self.list(&spec, Maker::Joiner(source)).await {
                Err(FactoryError::TooManyRoomsOfAddress { .. }) => {}
                made => return made,
            }
        }
        self.list(&spec, Maker::Joiner(last)).await
    }

    /// Makes a room whose game has yet to start.
    async fn list(&self, spec: &RoomSpec, maker: Maker) -> Result<Listed, FactoryError> {
        loop {
            let id = self.next_id();
            let name: Arc<str> = match &spec.name {
                Some(name) if is_room_name(name) => name.as_str().into(),
                Some(name) => return Err(FactoryError::BadName(name.clone())),
                // Nobody can guess it: the room may be private.
                None => format!("room-{id}-{:016x}", getrandom::u64().unwrap_or_default()).into(),
            };
            let kind = spec.kind.as_deref().unwrap_or(&self.default_kind);
            let hold = self.hold(&name, kind).await?;
            let made = self.make(id, name.clone(), spec, maker, hold)?;
            match self.registry.get_or_start(&name, || self.start(made, None)) {
                (listed, Found::Started) => return Ok(listed),
                (_, Found::There) if spec.name.is_none() => {} // a player has called a room so: another name
                (_, Found::There) => return Err(FactoryError::Exists(name.to_string())),
            }
        }
    }

    /// Writes recordings to disk. Rooms record no more after this.
    pub fn finish_recordings(&self) {
        if let Some(recorder) = &self.services.recorder {
            recorder.finish();
        }
    }

    fn next_id(&self) -> RoomId {
        RoomId(self.next_room.fetch_add(1, Ordering::Relaxed))
    }

    /// Has these rooms stop after their next tick, and takes them, as far as they do so in this time.
    pub(crate) async fn carry(&self, most: Duration, which: impl FnMut(&Listed) -> bool) -> Vec<carry::Room> {
        let until = clock::now() + most;
        let ask = |listed: Listed| {
            let (hand_over, handed_over) = oneshot::channel();
            listed.room.do_send(Carry(hand_over));
            (listed, handed_over)
        };
        let asked: Vec<_> = self.registry.all().into_iter().filter(which).map(ask).collect();
        let mut rooms = Vec::new();
        for (Listed { shared, made_with, .. }, handed_over) in asked {
            match timeout_at(until.into(), handed_over).await {
                Ok(Ok(Some(carried))) => {
                    rooms.push(carry::Room { made_with: (*made_with).clone(), carried });
                }
                // It has ended.
                Ok(_) => {}
                Err(_) if self.is_stored(made_with.durability) => warn!(
                    room = %shared.name,
                    durability = made_with.durability.name(),
                    "the room did not stop in time: it goes on from what the store has of it, as after a failure"
                ),
                Err(_) => warn!(room = %shared.name, "the room did not stop in time: it is lost"),
            }
        }
        rooms
    }

    /// Whether the next server finds a room of this durability in the store, whatever becomes of this one.
    pub(crate) fn is_stored(&self, durability: Durability) -> bool {
        durability != Durability::None && self.keeps()
    }

    /// Whether there is a store.
    fn keeps(&self) -> bool {
        self.services.store.get().is_some() || self.services.depot.is_some()
    }
}
