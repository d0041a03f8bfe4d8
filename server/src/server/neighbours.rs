//! This node among others: what it says of itself, and what it has to do.

#![allow(unsafe_code, reason = "calls of the kernel that no crate here wraps")]

use super::StartError;
use crate::{
    clock,
    config::{Config, PublicUrl, QuicListen, Reached},
    ground::{once::OnceTokens, report::SeatExpired, revocations::Revocations, shared::RoomShared},
    health::{Health, Matters, PartName},
    metrics::Metrics,
    moving::Mover,
    nodes::{
        BUSIEST, Busiest, BusyRoom, Depot, Errand, Failure, Generation, Hold, Known, Load, Node, NodeHooks,
        Nodes, Overview, Users, Way,
    },
    registry::{Listed, Registry},
    room::Depart,
};
use parking_lot::Mutex;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{
    runtime,
    sync::{Notify, mpsc, watch},
    time::sleep,
};
use tracing::{info, warn};

/// Time between two looks at how much CPU the process has used.
const LOOK: Duration = Duration::from_millis(500);

/// How long Redis may take for an answer about itself, and the time until it is asked again.
const ASKED: Duration = Duration::from_secs(3);

/// This node among the others.
pub(super) struct Joined {
    pub nodes: Arc<Nodes>,
    /// Where rooms are kept.
    pub depot: Arc<Depot>,
    /// What operators see of other nodes.
    pub overview: Arc<Overview>,
    /// Rooms that it takes over, until the server serves.
    pub taken: Mutex<Option<mpsc::UnboundedReceiver<Vec<Hold>>>>,
    /// What operators have asked of it at other nodes, until the server serves.
    pub asked: Mutex<Option<mpsc::UnboundedReceiver<Errand>>>,
    /// Which Redis it is.
    pub generations: Generations,
}

/// Which Redis it is.
pub(super) type Generations = watch::Receiver<Option<Generation>>;

/// Joins the other nodes.
pub(super) fn join(
    config: &Config,
    way: impl Fn() -> Way,
    (address, quic): (SocketAddr, Option<SocketAddr>),
    kinds: Vec<String>,
    registry: &Arc<Registry>,
    metrics: &Arc<Metrics>,
    health: &Health,
) -> Result<Joined, StartError> {
    let (taken, takes_over) = mpsc::unbounded_channel();
    let (ask, asked) = mpsc::unbounded_channel();
    let (generation, generations) = watch::channel(None);
    if config.public_url.is_none() && address.ip().is_unspecified() {
        return Err(StartError::NoAddress(address));
    }
    let says = describe(config, address, quic, kinds);
    let around = NodeHooks {
        metrics: metrics.clone(),
        redis: health.part(PartName::Redis, Matters::ToOperators),
        lease: health.part_to_be(
            PartName::Lease,
            Matters::ToNewcomers,
            "this node has no lease in Redis yet, and can have no rooms",
        ),
        address: health.part(PartName::Address, Matters::ToOperators),
        generation,
        load: load(config, registry.clone(), metrics.clone()),
        end: {
            let registry = registry.clone();
            Box::new(move |name| {
                if let Some(listed) = registry.get(name) {
                    listed.room.do_send(Depart(None));
                }
            })
        },
        left: {
            let registry = registry.clone();
            Box::new(move |name, left| {
                let Some(Listed { room, .. }) = registry.get(name) else { return };
                left.into_iter().for_each(|(player, why)| room.do_send(SeatExpired { player, why }));
            })
        },
        asked: Box::new(move |errand| drop(ask.send(errand))),
        taken,
    };
    let part = health.part(PartName::Store, Matters::ToOperators);
    let depot = Depot::start(config, [way(), way()], metrics.clone(), part)?;
    let nodes = Nodes::start(config, way(), says, around)?;
    let nodes = nodes.map_err(|other| StartError::Lease(other.to_string()))?;
    let busiest = busiest(registry.clone());
    let overview = Overview::start(way(), config.lease, nodes.me(), busiest)?;
    let (taken, asked) = (Mutex::new(Some(takes_over)), Mutex::new(Some(asked)));
    Ok(Joined { nodes, depot, overview, taken, asked, generations })
}

/// The rooms here with the most players.
fn busiest(registry: Arc<Registry>) -> impl Fn() -> Busiest + Send {
    move || {
        let (total, rooms) = registry.busiest(BUSIEST);
        let room = |room: &Arc<RoomShared>| BusyRoom {
            name: room.name.clone(),
            kind: room.kind.to_owned(),
            players: room.players.load(Relaxed),
            max_players: room.max_players,
            spectators: room.spectators.load(Relaxed),
        };
        Busiest { total, rooms: rooms.iter().map(room).collect() }
    }
}

/// Does what operators have asked for at other nodes, for ever.
pub(super) async fn obey(
    mut asked: mpsc::UnboundedReceiver<Errand>,
    mover: Option<Arc<Mover>>,
    drain: Arc<Notify>,
) {
    while let Some(errand) = asked.recv().await {
        info!(?errand, "an operator asks for it at another node");
        match (errand, &mover) {
            (Errand::Drain, _) => drain.notify_one(),
            (Errand::Move { room, to }, Some(mover)) => {
                let mover = mover.clone();
                // What becomes of it, the log says.
                actix_rt::spawn(async move { drop(mover.give(&room, to).await) });
            }
            (Errand::Move { .. }, None) => {}
        }
    }
}

/// Shares with the other nodes which tokens were used and whose access was revoked.
pub(super) fn share_users(
    way: Way,
    registry: &Arc<Registry>,
    revocations: &Arc<Revocations>,
    once: Option<&Arc<OnceTokens>>,
    generations: Generations,
) -> io::Result<Arc<Users>> {
    let known = known(revocations.clone(), once.cloned());
    let (registry, revocations) = (registry.clone(), revocations.clone());
    let hear = move |user: Arc<str>, left: Duration| {
        if left.is_zero() {
            revocations.pardon(&user, clock::now());
        } else if revocations.revoke(user.clone(), left, clock::now()) {
            registry.end_seats_of(&user);
        }
    };
    let users = Users::start(way, Box::new(hear), known, generations)?;
    if let Some(once) = once {
        once.share_with(users.clone());
    }
    Ok(users)
}

/// What this node knows of users.
fn known(revocations: Arc<Revocations>, once: Option<Arc<OnceTokens>>) -> Known {
    let used = move || {
        let used = once.iter().flat_map(|once| once.used());
        let left = |expires: Duration| expires.saturating_sub(clock::time_of_day());
        used.map(|(id, expires)| (id, left(expires))).filter(|(_, left)| !left.is_zero()).collect()
    };
    Known { revoked: Box::new(move || revocations.current(clock::now())), used: Box::new(used) }
}

/// What it says of itself.
pub(super) fn describe(
    config: &Config,
    address: SocketAddr,
    quic: Option<SocketAddr>,
    kinds: Vec<String>,
) -> Node {
    let public = config.public_url.as_ref();
    let scheme = if config.tls().is_some() { "wss" } else { "ws" };
    let url = public.map_or_else(|| format!("{scheme}://{address}"), PublicUrl::websocket);
    let quic = quic.and_then(|quic| {
        let shares_port = config.quic == QuicListen::AsHttp;
        let at = Reached::new(public, config.public_quic.as_ref(), quic, shares_port, None)?;
        Some(match at.host {
            Some(host) => format!("{host}:{}", at.port),
            // On all addresses, and so on the one of HTTP.
            None if quic.ip().is_unspecified() => SocketAddr::new(address.ip(), at.port).to_string(),
            None => SocketAddr::new(quic.ip(), at.port).to_string(),
        })
    });
    let named = || url.split_once("://").map_or(&*url, |(_, place)| place).to_owned();
    let name = config.node.clone().unwrap_or_else(named);
    Node { name, version: env!("CARGO_PKG_VERSION").to_owned(), url, quic, kinds, load: Load::default() }
}

/// What is wrong with the Redis that is configured, if it can be told now. Asks it, with a limit.
pub(super) fn unreachable(config: &Config) -> Option<String> {
    let way = Way::of(config)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().ok()?;
    match runtime.block_on(way.evicts(ASKED)) {
        Ok(policy) => Some(evicting(&policy?)),
        Err(failure) => Some(format!("redis: {failure}: {}", failure.remedy())),
    }
}

/// Warns of a Redis that removes keys, when it answers.
pub(super) async fn doubt(way: Way) {
    loop {
        match way.evicts(ASKED).await {
            Ok(policy) => return policy.into_iter().for_each(|policy| warn!("{}", evicting(&policy))),
            // It does not say.
            Err(Failure::Locked(_) | Failure::Refused(_)) => return,
            Err(_) => sleep(ASKED).await,
        }
    }
}

fn evicting(policy: &str) -> String {
    format!(
        "redis: with maxmemory-policy {policy}, Redis removes rooms and leases when it is full: set noeviction there"
    )
}

/// Measures what it has to do.
fn load(config: &Config, registry: Arc<Registry>, metrics: Arc<Metrics>) -> Box<dyn Fn() -> Load + Send> {
    let (max_rooms, max_players, threads) = (config.max_rooms, config.max_connections, config.threads);
    let cpu = Mutex::new(Cpu { at: Instant::now(), used: process_time(), share: 0 });
    Box::new(move || {
        let rooms = registry.len();
        let players = usize::try_from(metrics.rooms.players.get()).unwrap_or(0);
        let share = |n: usize, of: usize| u32::try_from(n * 1_000 / of.max(1)).unwrap_or(u32::MAX);
        let cpu = cpu.lock().share(threads);
        Load {
            used: cpu.max(share(rooms, max_rooms)).max(share(players, max_players)),
            rooms: u32::try_from(rooms).unwrap_or(u32::MAX),
            players: u32::try_from(players).unwrap_or(u32::MAX),
            draining: registry.is_draining(),
        }
    })
}

/// How much CPU the process uses.
struct Cpu {
    at: Instant,
    used: Duration,
    share: u32,
}

impl Cpu {
    /// Per mille of its threads, lately.
    fn share(&mut self, threads: usize) -> u32 {
        let (passed, used) = (self.at.elapsed(), process_time());
        if passed >= LOOK {
            let part = (used - self.used).as_secs_f64() / passed.as_secs_f64() / threads as f64;
            (self.at, self.used, self.share) = (Instant::now(), used, (part * 1_000.0) as u32);
        }
        // A busy processor is late before it is full, but it does not refuse rooms: others do that.
        self.share.min(999)
    }
}

/// CPU time that the process has used.
fn process_time() -> Duration {
    // SAFETY: all zeroes are a valid value of this struct.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: writes the struct.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
