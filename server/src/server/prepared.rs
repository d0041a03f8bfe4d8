//! From settings to a server: first everything that an operator can get wrong, then threads and actors.

use super::{
    DRAIN_ANSWER, Parts, Running, Server, StartError,
    listen::{inherit, listen},
    neighbours,
    parts::{Fanouts, local_connections, open_store},
    restore::OpenedStore,
};
use crate::{
    carry::{self, CarryFile},
    clock::Clock,
    config::{AdminToken, Config},
    door::{self, Authenticator, Door},
    factory::{Factory, RoomServices},
    feed::{Feed, Watched, produce},
    file_size,
    ground::places::Places,
    health::{Health, Matters, PartName, watch},
    homes::{Homes, keep_balance},
    http::Pages,
    jobs::{JobPool, Jobs},
    matching::{Matchmaker, Queue},
    metrics::Metrics,
    moving::Mover,
    nodes::{Abroad, AbroadParts, Way},
    open_files,
    presence::{Presence, TellAll},
    registry::Registry,
    room::{
        events::Events,
        record::{RecordFolder, RecordThread},
    },
    store::{self, RevokedUsers},
    tls,
    topics::{self, Topics},
    transport::quic::Quic,
    upgrade::{Predecessor, predecessor},
    whereabouts::{self, Finder, Outlet},
};
use actix::{AsyncContext, Context};
use driftless_sim::{GameKind, checksum::schema_checksum};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    future::poll_fn,
    io, mem,
    net::TcpListener,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::Poll,
    time::{Instant, SystemTime},
};
use tokio::sync::{Notify, OnceCell, mpsc};
use tracing::warn;

/// Open files of a server without threads: its standard streams, listener, signals, event queue, one
/// recording, some requests.
const FILES_OF_PROCESS: u64 = 40;
/// Open files of each thread: event queue and waker, QUIC sockets, and what WebSockets wait on.
const FILES_OF_THREAD: u64 = 12;
/// Of the files for connections, readers of topics leave one in so many.
const READERS_LEAVE: usize = 4;

/// A server that can start: its settings fit together, its files exist, its ports are its own. Nothing runs
/// yet.
pub(crate) struct Prepared {
    server: Server,
    jobs: Jobs,
    config: Config,
    /// Connections for which there are files.
    files: usize,
    certificates: tls::Pair,
    listener: TcpListener,
    quic: Option<Arc<Quic>>,
    record: Option<RecordFolder>,
    carry: Option<CarryFile>,
    authenticator: Authenticator,
    store: Option<OpenedStore>,
    /// Rooms of recordings.
    from: Vec<carry::Room>,
    /// The server before, if this one follows one.
    before: Option<&'static Predecessor>,
}

impl Prepared {
    pub(super) fn new(mut server: Server, config: Config) -> Result<Self, StartError> {
        check_games(&server, &config)?;
        if let Some(folder) = &config.pages {
            server.pages = Some(Pages::folder(folder));
        }
        if let Some(bad) = server.pages.as_ref().and_then(Pages::bad_policy) {
            return Err(StartError::BadPolicy(bad.to_owned()));
        }
        if predecessor().is_some() {
            if config.redis.is_some() {
                let why = "other nodes may have its rooms (--redis): drain it, and start this one";
                return Err(StartError::Upgrade(io::Error::other(why)));
            }
            // Its rooms of recordings are among those that it leaves, or have ended.
            server.from.clear();
        }
        file_size::exceed_with_an_error();
        let (limit, needed) = (open_files::raise_limit()?, files_needed(&config));
        if limit < needed {
            return Err(StartError::TooFewFiles { limit, needed });
        }
        let files = files_for_connections(limit, needed);
        if !server.from.is_empty() && config.redis.is_some() {
            return Err(StartError::From(
                "no room is made of a file where other nodes may have it".to_owned(),
            ));
        }
        let from = mem::take(&mut server.from).into_iter().map(|from| from.read(&server.games, &config));
        let from = from.collect::<Result<_, _>>().map_err(StartError::From)?;
        let (http, quic, now) = (config.tls(), config.quic_tls(), SystemTime::now());
        let certificates = tls::Pair::new(http, quic, config.listen.ip(), now)?;
        let authenticator =
            Authenticator::open(&config, server.authenticate.take()).map_err(StartError::Keys)?;
        let before = predecessor().and_then(|before| Some((before, before.take_sockets()?)));
        let (before, (listener, quic)) = match before {
            None => (None, listen(&config, &certificates.quic)?),
            Some((before, sockets)) => (Some(before), inherit(sockets, &config, &certificates.quic)?),
        };
        // The server before has it until it stops.
        let opened = if before.is_none() { open_store(&config) } else { Ok(None) };
        let store = opened.map_err(|error| StartError::Store {
            folder: config.store.clone().unwrap_or_default(),
            error: Box::new(error),
        })?;
        if server.carry.is_some() && config.redis.is_some() {
            return Err(StartError::Carry(io::Error::other(
                "rooms cannot be carried where other nodes may have them",
            )));
        }
        let carry = server.carry.as_deref().map(CarryFile::prepare).transpose().map_err(StartError::Carry)?;
        // Last, because these create files.
        let open = mem::replace(&mut server.jobs, Box::new(|| Ok(Jobs::new())));
        let jobs = open().map_err(StartError::Jobs)?;
        let record = config.record.as_deref().map(RecordFolder::prepare).transpose();
        let record = record.map_err(StartError::Record)?;
        Ok(Self {
            server,
            jobs,
            config,
            files,
            certificates,
            listener,
            quic,
            record,
            carry,
            authenticator,
            store,
            from,
            before,
        })
    }

    /// Starts everything, within an actix system. The server before stops only when nothing is left to do but
    /// to take its rooms. The future ends when the server has stopped, with an error
    /// if it has lost rooms that it should have left to the next server.
    pub(crate) fn start(self) -> Result<(Running, impl Future<Output = io::Result<()>>), StartError> {
        let before = self.before;
        let (parts, listener, begin) = self.parts()?;
        match before {
            Some(before) => parts.take_over(before)?,
            None => parts.know_revoked()?,
        }
        parts.keep_used()?;
        parts.go_on()?;
        let mut serving = parts.serve(listener)?;
        begin.presence();
        let running = Running { parts: parts.clone(), http: serving.handle() };
        let serving = {
            let parts = parts.clone();
            async move {
                // Its threads start when it is polled for the first time.
                let started = poll_fn(|context| Poll::Ready(Pin::new(&mut serving).poll(context))).await;
                if !matches!(started, Poll::Ready(Err(_))) {
                    parts.gone_on();
                }
                match started {
                    Poll::Ready(ended) => ended?,
                    Poll::Pending => serving.await?,
                }
                parts.lost.lock().take().map_or(Ok(()), Err)
            }
        };
        let watched = Watched {
            clock: parts.clock,
            metrics: parts.metrics.clone(),
            registry: parts.registry.clone(),
            health: parts.health.clone(),
        };
        if let Some(mover) = &parts.mover {
            actix_rt::spawn(mover.clone().take_in());
        }
        if let Some(taken) = parts.joined.as_ref().and_then(|joined| joined.taken.lock().take()) {
            actix_rt::spawn(parts.factory.clone().take_over(taken));
        }
        if let Some(asked) = parts.joined.as_ref().and_then(|joined| joined.asked.lock().take()) {
            actix_rt::spawn(neighbours::obey(asked, parts.mover.clone(), parts.drain_asked.clone()));
        }
        let registry = parts.registry.clone();
        actix_rt::spawn(keep_balance(parts.homes.clone(), move |home| registry.at(home)));
        actix_rt::spawn(produce(Arc::downgrade(&parts.feed), watched));
        actix_rt::spawn(parts.queue.clone().run());
        Way::of(&parts.config).into_iter().for_each(|way| drop(actix_rt::spawn(neighbours::doubt(way))));
        actix_rt::spawn(parts.matchmaker.clone().meet_others());
        actix_rt::spawn(parts.matchmaker.clone().count_arrivals());
        actix_rt::spawn(parts.matchmaker.clone().tell_lobby());
        actix_rt::spawn(watch(&parts.health, &parts.certificates));
        if let Some(hints) = parts.hints.lock().take() {
            actix_rt::spawn(whereabouts::tend(Arc::downgrade(&parts.finder), hints));
        }
        let door = parts.door.clone();
        actix_rt::spawn(topics::tend(Arc::downgrade(&parts.topics), move || door.revocations().version()));
        actix_rt::spawn({
            let running = running.clone();
            async move {
                parts.drain_asked.notified().await;
                actix_rt::time::sleep(DRAIN_ANSWER).await;
                running.drain().await;
            }
        });
        Ok((running, serving))
    }

    fn parts(self) -> Result<(Arc<Parts>, TcpListener, Begin), StartError> {
        let Self {
            server,
            jobs,
            config,
            files,
            certificates,
            listener,
            quic,
            record,
            carry,
            store: opened,
            authenticator,
            from,
            before: _,
        } = self;
        let store = Arc::<OnceLock<_>>::default();
        let clock = if config.redis.is_some() { Clock::among_nodes() } else { Clock::start() };
        let metrics = Arc::new(Metrics::new());
        let health = Health::new(metrics.clone(), Instant::now());
        certificates.all().try_for_each(|certificates| certificates.watch())?;
        let record =
            record.map(|folder| RecordThread::start(folder, config.record_quota as u64, metrics.clone()));
        let recorder = record.transpose()?.map(Arc::new);
        let readers = config.max_topic_readers.min(files - files / READERS_LEAVE);
        let redis = Way::of(&config).map(|way| {
            let publishing = health.part(PartName::TopicsPublish, Matters::ToOperators);
            let reading = health.part(PartName::TopicsRead, Matters::ToOperators);
            let node = getrandom::u64()?;
            Ok::<_, getrandom::Error>(topics::TopicsRedis { way, node, publishing, reading })
        });
        let redis = redis.transpose().map_err(|error| io::Error::other(error.to_string()))?;
        let topics = Topics::start(&config, readers, redis, clock, metrics.clone())?;
        let feed = Feed::new(getrandom::u64().unwrap_or_else(|_| clock.unix_ms(0)));
        let ((tell, told), (hint, hints)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let tell = config.redis.is_some().then_some(tell);
        let outlet = Outlet::new(tell, hint.clone(), topics.watched().any());
        let begin = Begin(Presence::new(clock).watched_by(feed.clone()).telling(outlet), Context::new());
        let presence = begin.1.address();
        let registry = Registry::new(metrics.clone());
        let address = listener.local_addr()?;
        let fanouts = Fanouts::default();
        let connections = {
            let (fanouts, metrics, coalesce) = (fanouts.clone(), metrics.clone(), config.coalesce);
            move || local_connections(&fanouts, clock, &metrics, coalesce)
        };
        let homes = Homes::start(config.threads, config.pin_threads, connections)?;
        let events = Events::start(server.hear, metrics.clone())?;
        let work = JobPool::start(jobs, metrics.clone())?;
        let joined = config.redis.as_ref().map(|redis| {
            let kinds = server.games.iter().map(|game| game.name().to_owned()).collect();
            let addresses = (address, quic.as_ref().map(|quic| quic.address()));
            let way = || Way::new(redis, &config.redis_prefix);
            neighbours::join(&config, way, addresses, kinds, &registry, &metrics, &health)
        });
        let joined = joined.transpose()?;
        let nodes = joined.as_ref().map(|joined| joined.nodes.clone());
        let places = Places::new(config.max_connections, config.max_connections_per_address);
        let services = RoomServices {
            clock,
            metrics: metrics.clone(),
            presence: presence.clone().recipient(),
            homes: homes.clone(),
            work: work.clone(),
            events: events.clone(),
            recorder,
            store: store.clone(),
            nodes: nodes.clone(),
            places: places.clone(),
            depot: joined.as_ref().map(|joined| joined.depot.clone()),
        };
        let (token, made_token) = match config.admin_token.clone() {
            Some(token) => (token, None),
            None => AdminToken::random().map(|(token, text)| (token, Some(text)))?,
        };
        if let Some(missing) = server.pages.as_ref().and_then(Pages::missing) {
            warn!("there is no page at / yet: {} is not there", missing.display());
        }
        let factory = Factory::new(config.clone(), registry.clone(), services, &server.games);
        let place = config.redis.as_ref().map(|_| {
            neighbours::describe(&config, address, quic.as_ref().map(|quic| quic.address()), Vec::new())
        });
        let matchmaker = Matchmaker::new(&config, factory.clone(), registry.clone(), metrics.clone(), place);
        let mover = nodes.as_ref().map(|nodes| {
            Arc::new(Mover::new(registry.clone(), factory.clone(), nodes.clone(), metrics.clone(), clock))
        });
        let revocations = authenticator.revocations().clone();
        let queue = Queue::new(&config, server.matching, matchmaker.clone(), metrics.clone(), revocations);
        authenticator.start(&health)?;
        let users = Way::of(&config).zip(joined.as_ref()).map(|(way, joined)| {
            let (revocations, once) = (authenticator.revocations(), authenticator.once());
            neighbours::share_users(way, &registry, revocations, once, joined.generations.clone())
        });
        let users = users.transpose()?;
        let abroad = nodes.as_ref().zip(Way::of(&config)).map(|(nodes, way)| {
            let health = health.part(PartName::Presence, Matters::ToOperators);
            let watchers = topics.watched().any();
            let all = presence.clone();
            let around = AbroadParts {
                way,
                lease: config.lease,
                metrics: metrics.clone(),
                health,
                ask_for_all: Box::new(move || all.do_send(TellAll)),
                told,
                hear: Box::new(move |hinted| drop(hint.send(hinted))),
                watchers,
            };
            Ok::<_, io::Error>((Abroad::start(around, nodes.me())?, nodes.name()))
        });
        let finder =
            Finder::new(presence.clone(), abroad.transpose()?, topics.watched().clone(), metrics.clone());
        let rooms = factory.clone();
        let door = Door::new(
            &config,
            files,
            address,
            registry.clone(),
            rooms,
            authenticator,
            topics.clone(),
            places,
            metrics.clone(),
        );
        let parts = Parts {
            clock,
            address,
            listener: listener.try_clone()?,
            left: Mutex::default(),
            from: Mutex::new(from),
            token,
            made_token,
            door,
            quic,
            factory,
            matchmaker,
            queue,
            joined,
            mover,
            registry,
            presence,
            finder,
            hints: Mutex::new(Some(hints)),
            fanouts,
            homes,
            work,
            events,
            carry,
            opened: Mutex::new(opened),
            store,
            revoked: config.store.as_deref().map(RevokedUsers::of).map(Arc::new),
            users,
            lost: Mutex::default(),
            metrics,
            health,
            certificates,
            feed,
            topics,
            games: server.games.iter().map(|game| game.name()).collect(),
            schemas: schemas(&server.games),
            pages: server.pages,
            routes: server.routes,
            drain_asked: Arc::default(),
            drained: OnceCell::new(),
            hurry: Notify::new(),
            config,
        };
        Ok((Arc::new(parts), listener, begin))
    }
}

/// Presence, which has an address already. It begins when nothing can fail any more: an actor that never ran
/// would begin when its runtime has ended, and panic.
struct Begin(Presence, Context<Presence>);

impl Begin {
    fn presence(self) {
        self.1.run(self.0);
    }
}

/// What can be found without opening, making or listening to anything.
pub(super) fn faults(server: &Server, config: &Config) -> Vec<StartError> {
    let games = check_games(server, config).err();
    let keys = match server.authenticates() {
        true => Vec::new(),
        false => door::unusable_keys(config),
    };
    let failed =
        |folder: &PathBuf, error| StartError::Store { folder: folder.clone(), error: Box::new(error) };
    let store = config.store.as_ref().and_then(|folder| Some(failed(folder, store::check(folder).err()?)));
    games.into_iter().chain(keys.into_iter().map(StartError::Keys)).chain(store).collect()
}

/// The checksums of the games' schemas.
fn schemas(games: &[GameKind]) -> BTreeMap<String, u32> {
    let schema = |game: &GameKind| (game.name().to_owned(), schema_checksum(&game.schema()));
    games.iter().map(schema).collect()
}

/// Files that are open before the first player comes, with some to spare for operators' requests.
fn files_needed(config: &Config) -> u64 {
    FILES_OF_PROCESS + FILES_OF_THREAD * (config.threads as u64 + config.workers as u64)
}

/// How many connections may be open at once, so that there are files left for those who are told that the
/// server is full, and for health checks: whoever asks and gets no answer would kill the matches of all.
fn files_for_connections(limit: u64, needed: u64) -> usize {
    let left = limit.saturating_sub(needed);
    usize::try_from(left.saturating_sub((left / 8).clamp(8, 256)).max(1)).unwrap_or(usize::MAX)
}

fn check_games(server: &Server, config: &Config) -> Result<(), StartError> {
    let offered: Vec<&str> = server.games.iter().map(|game| game.name()).collect();
    if offered.is_empty() {
        return Err(StartError::NoGame);
    }
    if let Some(twice) = offered.iter().enumerate().find(|(n, name)| offered[..*n].contains(name)) {
        return Err(StartError::SameKind((*twice.1).to_owned()));
    }
    match &config.default_kind {
        Some(asked) if !offered.contains(&asked.as_str()) => {
            Err(StartError::NoSuchKind { asked: asked.clone(), offered })
        }
        _ => Ok(()),
    }
}
