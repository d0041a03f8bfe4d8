//! The rooms of the other servers, through Redis: each says once a second which of its rooms players may come
//! to, and keeps seats when another asks it to.
//!
//! ```text
//! PREFIX:lobby          set: servers that have such rooms
//! PREFIX:lobby:SERVER   those rooms, and where the server is; expires when it says nothing
//! PREFIX:mail:SERVER    list: what others ask of it
//! PREFIX:answer:ID      list: the answer
//! ```

use super::{desks::DeskAway, open_room::OpenRoom, remote::Redis};
use crate::ground::reservation::Reservation;
use parking_lot::Mutex;
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection, cmd, pipe};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};
use tracing::warn;

/// Time between two times that a server says which rooms it has.
const SAY: Duration = Duration::from_secs(1);
/// How long that counts.
pub(super) const COUNTS: Duration = Duration::from_millis(3_500);
/// Most rooms of a server that others learn of: those with the fewest free seats.
const MOST: usize = 500;
/// How long a server may take to keep seats, and how long its answer lies there.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a server waits for mail before it asks again.
const MAIL: Duration = Duration::from_secs(2);

/// The other servers.
pub(super) struct Others {
    redis: Redis,
    /// Names this server.
    me: String,
    newest: Mutex<Arc<Vec<Elsewhere>>>,
    /// Redis does not answer, so they are not known.
    cut_off: AtomicBool,
}

/// A room on another server.
#[derive(Debug, Clone)]
pub(super) struct Elsewhere {
    pub(super) room: OpenRoom,
    /// Players who are on their way to it.
    pub(super) reserved: u32,
    /// Whether anybody may find it. (If not, it wants players from the queue.)
    pub(super) listed: bool,
    /// It has just gone from there to another one.
    pub(super) gone: bool,
    pub(super) at: Arc<Address>,
    server: Arc<str>,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Address {
    pub(super) url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) quic: Option<String>,
}

/// What a server says of a room of its own.
#[derive(Serialize, Deserialize)]
pub(super) struct Own {
    pub(super) room: OpenRoom,
    pub(super) reserved: u32,
    pub(super) listed: bool,
    /// It has just gone to another server.
    #[serde(default)]
    pub(super) gone: bool,
}

#[derive(Serialize, Deserialize)]
struct Says {
    at: Address,
    rooms: Vec<Own>,
}

/// A letter: keep these seats.
#[derive(Serialize, Deserialize)]
struct Letter {
    id: String,
    room: String,
    seats: Vec<Reservation>,
}

impl Others {
    pub(super) fn new(redis: Redis, me: String) -> Self {
        Self { redis, me, newest: Mutex::default(), cut_off: AtomicBool::new(false) }
    }

    /// The rooms of other servers, as they were a moment ago.
    pub(super) fn rooms(&self) -> Arc<Vec<Elsewhere>> {
        self.newest.lock().clone()
    }

    /// Whether they are not known.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Relaxed)
    }

    /// Says which rooms are here and learns which are elsewhere, for ever.
    pub(super) async fn exchange(&self, at: Address, own: impl Fn() -> Vec<Own>) {
        loop {
            let exchanged = self.say(&at, own()).await;
            match exchanged {
                Ok(()) => self.cut_off.store(false, Relaxed),
                Err(DeskAway(why)) => {
                    // What they have said before is over.
                    *self.newest.lock() = Arc::default();
                    if !self.cut_off.swap(true, Relaxed) {
                        warn!(why, "the rooms of other servers are not known");
                    }
                }
            }
            sleep(SAY).await;
        }
    }

    async fn say(&self, at: &Address, mut rooms: Vec<Own>) -> Result<(), DeskAway> {
        rooms.sort_by_key(|own| (own.room.free, own.room.name.clone()));
        rooms.truncate(MOST);
        let says = Says { at: at.clone(), rooms };
        let text = serde_json::to_string(&says).map_err(|error| DeskAway(error.to_string()))?;
        let (all, own) = (self.redis.key("lobby"), self.redis.key(&format!("lobby:{}", self.me)));
        let said = self.redis.with(async |mut redis| {
            let mut say = pipe();
            say.cmd("SADD").arg(&all).arg(&self.me).ignore();
            say.cmd("SET").arg(&own).arg(&text).arg("PX").arg(millis(COUNTS)).ignore();
            say.cmd("SMEMBERS").arg(&all);
            let (servers,): (Vec<String>,) = say.query_async(&mut redis).await?;
            let servers: Vec<_> = servers.into_iter().filter(|server| *server != self.me).collect();
            let mut known = Vec::new();
            for server in servers {
                let key = self.redis.key(&format!("lobby:{server}"));
                match cmd("GET").arg(&key).query_async::<Option<String>>(&mut redis).await? {
                    Some(says) => known.push((server, says)),
                    None => cmd("SREM").arg(&all).arg(&server).query_async::<()>(&mut redis).await?,
                }
            }
            Ok(known)
        });
        let known = said.await?;
        let known = known.into_iter().filter_map(|(server, says)| {
            // One of another version is left to that.
            let Says { at, rooms } = serde_json::from_str(&says).ok()?;
            let (at, server): (_, Arc<str>) = (Arc::new(at), server.into());
            let of = move |Own { room, reserved, listed, gone }| {
                let (at, server) = (at.clone(), server.clone());
                Elsewhere { room, reserved, listed, gone, at, server }
            };
            Some(rooms.into_iter().map(of))
        });
        *self.newest.lock() = Arc::new(known.flatten().collect());
        Ok(())
    }

    /// Has another server keep seats. Returns the room as it is then; None: it does not.
    pub(super) async fn keep(
        &self,
        room: &Elsewhere,
        seats: Vec<Reservation>,
    ) -> Result<Option<OpenRoom>, DeskAway> {
        let id = format!("{:016x}{:016x}", random()?, random()?);
        let letter = Letter { id, room: room.room.name.clone(), seats };
        let text = serde_json::to_string(&letter).map_err(|error| DeskAway(error.to_string()))?;
        let mail = self.redis.key(&format!("mail:{}", room.server));
        let answer = self.redis.key(&format!("answer:{}", letter.id));
        let asked = async {
            // The answer is waited for, which would keep others from asking over the same connection.
            let mut redis = self.connect().await?;
            let mut send = pipe();
            send.cmd("RPUSH").arg(&mail).arg(&text).ignore();
            send.cmd("PEXPIRE").arg(&mail).arg(millis(ANSWER)).ignore();
            let _: () = send.query_async(&mut redis).await.map_err(away)?;
            let wait = cmd("BLPOP").arg(&answer).arg(ANSWER.as_secs()).to_owned();
            let answer: Option<(String, String)> = wait.query_async(&mut redis).await.map_err(away)?;
            Ok(answer.and_then(|(_, text)| serde_json::from_str::<Option<OpenRoom>>(&text).ok()).flatten())
        };
        timeout(2 * ANSWER, asked).await.unwrap_or_else(|_| Err(DeskAway("no answer in time".to_owned())))
    }

    /// Does what others ask, for ever: `keep` keeps seats in a room, and returns the room.
    pub(super) async fn read_mail(&self, keep: impl AsyncFn(String, Vec<Reservation>) -> Option<OpenRoom>) {
        loop {
            if self.read(&keep).await.is_err() {
                sleep(SAY).await;
            }
        }
    }

    async fn read(
        &self,
        keep: &impl AsyncFn(String, Vec<Reservation>) -> Option<OpenRoom>,
    ) -> Result<(), DeskAway> {
        let mut redis = self.connect().await?;
        let mail = self.redis.key(&format!("mail:{}", self.me));
        loop {
            let wait = cmd("BLPOP").arg(&mail).arg(MAIL.as_secs()).to_owned();
            let waited = timeout(2 * MAIL, wait.query_async(&mut redis)).await;
            let waited = waited.map_err(|_| DeskAway("it does not answer".to_owned()))?;
            let Some((_, text)): Option<(String, String)> = waited.map_err(away)? else { continue };
            let Ok(Letter { id, room, seats }) = serde_json::from_str(&text) else { continue };
            let kept = keep(room, seats).await;
            let text = serde_json::to_string(&kept).map_err(|error| DeskAway(error.to_string()))?;
            let answer = self.redis.key(&format!("answer:{id}"));
            let mut send = pipe();
            send.cmd("RPUSH").arg(&answer).arg(&text).ignore();
            send.cmd("PEXPIRE").arg(&answer).arg(millis(ANSWER)).ignore();
            let _: () = send.query_async(&mut redis).await.map_err(away)?;
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, DeskAway> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER)).set_response_timeout(None);
        self.redis.connect(&config).await.map_err(away)
    }
}

fn random() -> Result<u64, DeskAway> {
    getrandom::u64().map_err(|error| DeskAway(format!("no random bytes: {error}")))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn away(error: redis::RedisError) -> DeskAway {
    DeskAway(error.to_string())
}
