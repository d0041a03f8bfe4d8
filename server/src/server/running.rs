//! A running server.

use super::{
    CARRY_LIMIT, CARRY_SPREAD, DRAIN_LIMIT, DRAIN_POLL, END_LIMIT, HEAR_LIMIT, MOVE_LIMIT, Parts,
    READERS_LIMIT, SENT_LIMIT, STUCK, neighbours::Joined,
};
use crate::{
    config::{Config, PublicUrl},
    connection::SayGoodbye,
    factory::Factory,
    feed::Feed,
    ground::{
        drain::{Pace, Step},
        durability::Durability,
        home::{Home, MoveTo},
    },
    health::Health,
    metrics::Metrics,
    registry::Registry,
    room::{
        RoomAddr,
        events::{RoomEvent, RoomView},
    },
    systemd,
    tls::Certificates,
};
use actix_server::ServerHandle;
use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tracing::info;

/// A server that accepts connections. Stops when asked to, not when dropped.
#[derive(Clone)]
pub struct Running {
    pub(super) parts: Arc<Parts>,
    pub(super) http: ServerHandle,
}

impl Running {
    /// The address on which the server listens, with the port that the kernel chose if the configured one is
    /// 0.
    pub fn address(&self) -> SocketAddr {
        self.parts.address
    }
    /// The address on which QUIC and WebTransport listen, if they do.
    pub fn quic_address(&self) -> Option<SocketAddr> {
        self.parts.quic.as_ref().map(|quic| quic.address())
    }
    /// The rooms.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.parts.registry
    }
    /// Makes rooms.
    pub fn factory(&self) -> &Arc<Factory> {
        &self.parts.factory
    }
    /// Moves a room to the next thread, together with those of its connections that can move. False: there is
    /// no room with this name.
    pub fn move_room(&self, name: &str) -> bool {
        let room = self.parts.registry.get(name).map(|listed| listed.room);
        let at = room.as_ref().and_then(RoomAddr::home);
        if let (Some(room), Some(at)) = (&room, &at) {
            room.do_send(MoveTo { home: self.parts.homes.after(at).clone(), from: Some(at.clone()) });
        }
        at.is_some()
    }
    /// Number of players whose connections live on the `n`th thread.
    pub fn players_at(&self, n: usize) -> usize {
        self.parts.homes.all_common().get(n).map_or(0, Home::players)
    }
    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.parts.metrics
    }
    /// The certificate of QUIC, and those before it that are still valid.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.parts.certificates.quic
    }
    /// The admin token, if the server made it because none was configured.
    pub fn made_token(&self) -> Option<&str> {
        self.parts.made_token.as_deref()
    }
    /// The address at which clients reach it, if that is configured.
    pub fn public_url(&self) -> Option<&PublicUrl> {
        self.parts.config.public_url.as_ref()
    }
    /// How it is configured.
    pub(crate) fn config(&self) -> &Config {
        &self.parts.config
    }
    /// The number of keys for tokens. None: players are known in the program's own way.
    pub(crate) fn keys(&self) -> Option<usize> {
        self.parts.door.authenticator().keys()
    }
    /// Reads what others may have replaced: the certificate, and the keys of tokens.
    pub(crate) fn reload(&self) {
        self.parts.certificates.all().for_each(|certificates| certificates.refresh(SystemTime::now()));
        self.parts.door.authenticator().read_keys();
    }
    /// The events of the stream.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.parts.feed
    }
    /// What is wrong with it.
    pub fn health(&self) -> &Arc<Health> {
        &self.parts.health
    }
    /// Whether HTTP and WebSocket use TLS: `https`, `wss`.
    pub fn is_secure(&self) -> bool {
        self.parts.certificates.http.is_some()
    }
    /// Lets matches end (`drain_wait`), refuses newcomers, says goodbye to everybody (`drain_rate` a second)
    /// with reconnect times spread out, waits until they are gone (at most 8 s), and stops.
    ///
    /// Whoever calls it again waits for the same drain.
    pub async fn drain(&self) {
        self.parts.drained.get_or_init(|| self.drain_once()).await;
    }

    /// Has a drain go on without waiting for players and jobs any longer, now or when it begins.
    pub(crate) fn hurry(&self) {
        self.parts.hurry.notify_one();
    }

    /// Whether rooms may be left to the next server.
    pub(crate) fn carries(&self) -> bool {
        // With a store, whoever makes a room may have it survive.
        self.parts.carry.is_some() || self.parts.factory.is_stored(Durability::Checkpoint)
    }

    /// Has a room go on at the node with this name, or where there is least to do. Returns how long it stood
    /// still.
    ///
    /// # Errors
    /// Why it is where it was.
    pub(crate) async fn move_room_to(&self, room: &str, node: Option<String>) -> Result<Duration, String> {
        let alone = || "there are no other nodes: this server was started without --redis".to_owned();
        let mover = self.parts.mover.as_ref().ok_or_else(alone)?;
        mover.give(room, node).await.map(|gone| gone.stood).map_err(|error| error.to_string())
    }

    /// Has all rooms go on at other nodes, if there are any. What cannot stays.
    async fn move_rooms(&self) {
        let Some(mover) = self.parts.mover.as_ref().filter(|_| !self.parts.config.drain_in_place) else {
            return;
        };
        self.parts.registry.drain_state().take(Step::Moving, Instant::now() + MOVE_LIMIT);
        systemd::stopping(MOVE_LIMIT + DRAIN_LIMIT);
        let moved = mover.give_all();
        let limit = actix_rt::time::timeout(MOVE_LIMIT, moved);
        tokio::select! {
            moved = limit => drop(moved),
            () = self.parts.hurry.notified() => self.parts.hurry.notify_one(),
        }
        // Whoever was sent away has heard so before a goodbye is said to those who are left: it would have
        // them wait, although they know where their room is.
        let until = Instant::now() + SENT_LIMIT;
        while self.parts.door.connections() > self.parts.registry.watched_by() && Instant::now() < until {
            actix_rt::time::sleep(DRAIN_POLL).await;
        }
    }

    /// Refuses new rooms, and waits until nobody plays any more. Rooms that the next server goes on with need
    /// not end.
    async fn let_matches_end(&self) {
        let most = self.parts.config.drain_wait;
        let factory = &self.parts.factory;
        let waited_for = || self.parts.registry.players_of(|durability| !factory.is_stored(durability));
        if most.is_zero() || self.parts.carry.is_some() || waited_for() == 0 {
            return;
        }
        let until = Instant::now() + most;
        self.parts.registry.drain_state().take(Step::Matches, until);
        systemd::stopping(most + DRAIN_LIMIT);
        while waited_for() > 0 && Instant::now() < until {
            tokio::select! {
                () = actix_rt::time::sleep(DRAIN_POLL) => {}
                () = self.parts.hurry.notified() => {
                    self.parts.hurry.notify_one(); // nor is anything else waited for
                    break;
                }
            }
        }
        info!(players = waited_for(), "matches have had their time");
    }

    /// Tells all connections to go, as many a second as is configured, and waits until they are gone.
    async fn say_goodbye(&self, until: Instant) {
        let mut spread = self.parts.config.drain_spread;
        if self.carries() {
            // Their seats are kept for them.
            spread = spread.min(CARRY_SPREAD);
        }
        self.say_goodbyes(until, Pace::new(self.parts.config.drain_rate), Duration::ZERO, spread).await;
    }

    /// Tells all connections to come back `after` this time, spread over another.
    pub(super) async fn say_goodbyes(&self, until: Instant, pace: Pace, after: Duration, spread: Duration) {
        let start = Instant::now();
        let fanouts = self.parts.fanouts.lock().clone();
        let mut told = 0;
        // Again and again, because some are between two threads.
        let door = &self.parts.door;
        while door.connections() + door.turned_away() > 0 && Instant::now() < until {
            let mut more = pace.by(start.elapsed()).saturating_sub(told);
            for fanout in &fanouts {
                // A thread that has ended has no connections, and one on which a game blocks says its
                // goodbyes later.
                let say = fanout.send(SayGoodbye { most: more, after, spread }).timeout(STUCK);
                let said = say.await.unwrap_or(0).min(more);
                (told, more) = (told + said, more - said);
            }
            if more > 0 {
                self.parts.registry.drain_state().take(Step::Stopping, until);
            }
            actix_rt::time::sleep(DRAIN_POLL).await;
        }
    }

    /// Waits until those who read topics have been told to go.
    async fn wait_for_readers(&self, until: Instant) {
        while self.parts.topics.readers() > 0 && Instant::now() < until {
            actix_rt::time::sleep(DRAIN_POLL).await;
        }
    }

    async fn drain_once(&self) {
        info!(connections = self.parts.door.connections(), "draining");
        self.move_rooms().await;
        self.let_matches_end().await;
        let start = Instant::now();
        let longest =
            Pace::new(self.parts.config.drain_rate).time_for(self.parts.door.connections()) + DRAIN_LIMIT;
        let drain = self.parts.registry.drain_state();
        drain.take(Step::Goodbyes, start + longest);
        systemd::stopping(longest + END_LIMIT);
        self.parts.topics.drain(self.parts.config.drain_spread);
        let others = async {
            self.say_goodbye(start + longest).await;
            self.wait_for_readers(start + READERS_LIMIT).await;
            // The jobs of games, above all the results of matches, are finished as far as time allows.
            self.parts.work.finish(longest.saturating_sub(start.elapsed())).await;
        };
        let limit = tokio::select! {
            () = others => longest,
            () = self.parts.hurry.notified() => Duration::ZERO,
        };
        let at_least = |time: Duration| limit.saturating_sub(start.elapsed()).max(time);
        let left = self.parts.door.connections();
        info!(left, took_ms = start.elapsed().as_millis() as u64, "stopping");
        let carried = self.parts.leave(at_least(CARRY_LIMIT)).await;
        self.end(&carried, at_least(HEAR_LIMIT)).await;
    }

    /// Ends, when the rooms with these names are left to another process.
    pub(super) async fn end(&self, left: &HashSet<String>, hear: Duration) {
        for listed in self.parts.registry.all().iter().filter(|room| !left.contains(&*room.shared.name)) {
            let (room, reason) = (RoomView::of(&listed.shared), "the server stopped".to_owned());
            self.parts.events.push_last(RoomEvent::Ended { room, why: "server_stopped", reason });
        }
        if let Some(Joined { nodes, .. }) = &self.parts.joined {
            nodes.leave().await;
        }
        self.parts.events.finish(hear).await;
        self.parts.factory.finish_recordings();
        self.http.stop(false).await;
    }
}
