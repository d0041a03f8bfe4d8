//! The rooms of the other servers, through Redis: each says once a second which of its rooms players may come
//! to, and keeps seats when another asks it to.
//!
//! ```text
//! PREFIX:lobby          set: servers that have such rooms
//! PREFIX:lobby:SERVER   those rooms, and where the server is; expires when it says nothing
//! PREFIX:mail:SERVER    list: what others ask of it, and answer
//! PREFIX:letter:ID      is there for as long as somebody waits for the answer to this letter
//! ```

use super::{START_LIMIT, desks::DeskAway, open_room::OpenRoom, remote::ANSWER};
use crate::{
    clock::{self, millis},
    ground::{reservation::Reservation, source::Source},
    nodes::{Failure, Way},
};
use futures_util::{StreamExt as _, join, stream};
use parking_lot::Mutex;
use redis::{Script, cmd, pipe};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tracing::warn;

/// Time between two times that a server says which rooms it has.
const SAY: Duration = Duration::from_secs(1);
/// How long that counts.
pub(super) const COUNTS: Duration = Duration::from_millis(3_500);
/// Most rooms of a server that others learn of: those with the fewest free seats.
const MOST: usize = 500;
/// How long a server may take to keep seats, the way of the letter and of the answer included.
const REPLY: Duration = Duration::from_secs(1);
/// The same to make a room.
const REPLY_OF_MAKER: Duration = START_LIMIT.saturating_add(REPLY);
/// Letters that are answered at a time, and that wait for that: others are not.
const AT_ONCE: usize = 64;
/// How long a server waits for mail before it asks again.
const MAIL: Duration = Duration::from_secs(2);

/// The other servers.
pub(super) struct Others {
    way: Way,
    /// Names this server.
    me: String,
    say: Script,
    newest: Mutex<Newest>,
    /// Redis does not answer, so they are not known.
    cut_off: AtomicBool,
    /// Those who wait for an answer, by their letters.
    asked: Mutex<HashMap<String, oneshot::Sender<Option<OpenRoom>>>>,
    /// Servers that have not answered in time, and since when. Nobody waits for them again until it would
    /// show that they are gone.
    silent: Mutex<HashMap<Arc<str>, Instant>>,
}

/// What they have said a moment ago.
#[derive(Default, Clone)]
struct Newest {
    rooms: Arc<Vec<RemoteRoom>>,
    /// Those that make rooms, in no order.
    makers: Vec<Maker>,
}

/// A server that makes rooms.
#[derive(Clone)]
struct Maker {
    server: Arc<str>,
    at: Arc<Address>,
    region: Option<String>,
}

/// A room on another server.
#[derive(Debug, Clone)]
pub(super) struct RemoteRoom {
    pub(super) room: OpenRoom,
    /// Players who are on their way to it.
    pub(super) reserved: u32,
    /// Whether anybody may find it. (If not, it wants players from the queue.)
    pub(super) listed: bool,
    /// It has just gone from there to another one.
    pub(super) gone: bool,
    pub(super) at: Arc<Address>,
    pub(super) server: Arc<str>,
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

/// What a server says of itself.
#[derive(Serialize, Deserialize)]
pub(super) struct Says {
    pub(super) at: Address,
    /// Where it is, if that is known.
    pub(super) region: Option<String>,
    /// Whether it makes rooms.
    pub(super) makes: bool,
    /// The rooms that others may be interested in.
    pub(super) rooms: Vec<Own>,
}

/// What a server may be asked to do.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Seats in the room with this name.
    Reserve { room: String, seats: Vec<Reservation> },
    /// A room for a match.
    Make(RoomWanted),
}

impl Order {
    /// How long it is waited for.
    fn limit(&self) -> Duration {
        match self {
            Order::Reserve { .. } => REPLY,
            Order::Make(_) => REPLY_OF_MAKER,
        }
    }
}

/// A room for a match of the queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RoomWanted {
    /// The kind of game.
    pub(super) kind: String,
    /// Its options, as JSON text. Empty: the game's defaults.
    pub(super) options: String,
    /// It has as many seats as these.
    pub(super) seats: Vec<Reservation>,
    /// Where its players come from: it counts as a room of one of these. Empty: of nobody in particular.
    #[serde(default)]
    pub(super) of: Vec<Source>,
}

/// A letter.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Letter {
    /// Seats are wanted.
    Keep { id: String, from: String, order: Order },
    /// The room in which they are kept, as it is then. None: they are not.
    Kept { id: String, room: Option<OpenRoom> },
}

impl Others {
    pub(super) fn new(way: Way, me: String) -> Self {
        let (newest, asked, silent) = (Mutex::default(), Mutex::default(), Mutex::default());
        let say = Script::new(include_str!("lobby.lua"));
        Self { way, me, say, newest, cut_off: AtomicBool::new(false), asked, silent }
    }

    /// Whether a server has not answered of late.
    pub(super) fn is_silent(&self, server: &str) -> bool {
        let mut silent = self.silent.lock();
        silent.retain(|_, since| clock::now().saturating_duration_since(*since) < COUNTS);
        silent.contains_key(server)
    }

    /// The rooms of other servers, as they were a moment ago.
    pub(super) fn rooms(&self) -> Arc<Vec<RemoteRoom>> {
        self.newest.lock().rooms.clone()
    }

    /// Whether they are not known.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Relaxed)
    }

    /// Says which rooms are here and learns which are elsewhere, for ever.
    pub(super) async fn exchange(&self, own: impl Fn() -> Says) {
        loop {
            let exchanged = self.say(own()).await;
            match exchanged {
                Ok(()) => self.cut_off.store(false, Relaxed),
                Err(DeskAway(why)) => {
                    // What they have said before is over.
                    *self.newest.lock() = Newest::default();
                    if !self.cut_off.swap(true, Relaxed) {
                        warn!(why, "the rooms of other servers are not known");
                    }
                }
            }
            sleep(SAY).await;
        }
    }

    async fn say(&self, mut says: Says) -> Result<(), DeskAway> {
        says.rooms.sort_by_key(|own| (own.room.free, own.room.name.clone()));
        says.rooms.truncate(MOST);
        let text = serde_json::to_string(&says).map_err(|error| DeskAway(error.to_string()))?;
        let mut say = self.say.key(self.way.key("lobby"));
        say.arg(&self.me).arg(text).arg(millis(COUNTS));
        let known: Vec<(String, String)> =
            self.way.ask(ANSWER, async |redis| say.invoke_async(redis).await).await?;
        let (mut all, mut makers) = (Vec::new(), Vec::new());
        for (server, says) in known {
            // One of another version is left to that.
            let Ok(Says { at, region, makes, rooms }) = serde_json::from_str(&says) else { continue };
            let (at, server): (_, Arc<str>) = (Arc::new(at), server.into());
            all.extend(rooms.into_iter().map(|Own { room, reserved, listed, gone }| {
                let (at, server) = (at.clone(), server.clone());
                RemoteRoom { room, reserved, listed, gone, at, server }
            }));
            if makes {
                makers.push(Maker { server, at, region });
            }
        }
        *self.newest.lock() = Newest { rooms: Arc::new(all), makers };
        Ok(())
    }

    /// Has another server keep seats. Returns the room as it is then; None: it does not.
    pub(super) async fn keep(
        &self,
        room: &RemoteRoom,
        seats: Vec<Reservation>,
    ) -> Result<Option<OpenRoom>, DeskAway> {
        self.ask(&room.server, Order::Reserve { room: room.room.name.clone(), seats }).await
    }

    /// Has a server of this region make a room. Returns it, and where it is; None: there is no such server,
    /// or it does not.
    pub(super) async fn make(
        &self,
        region: &str,
        wanted: &RoomWanted,
    ) -> Result<Option<(OpenRoom, Arc<Address>)>, DeskAway> {
        let mut makers = self.newest.lock().makers.clone();
        makers.retain(|maker| maker.region.as_deref() == Some(region) && !self.is_silent(&maker.server));
        let any = usize::try_from(random()?).unwrap_or(0).checked_rem(makers.len());
        let Some(Maker { server, at, .. }) = any.map(|n| makers.swap_remove(n)) else { return Ok(None) };
        let made = self.ask(&server, Order::Make(wanted.clone())).await?;
        Ok(made.map(|room| (room, at)))
    }

    async fn ask(&self, server: &str, order: Order) -> Result<Option<OpenRoom>, DeskAway> {
        let id = format!("{:016x}{:016x}", random()?, random()?);
        let (tell, told) = oneshot::channel();
        self.asked.lock().insert(id.clone(), tell);
        let limit = order.limit();
        let letter = Letter::Keep { id: id.clone(), from: self.me.clone(), order };
        let answer = async {
            self.send(server, &letter, Some((&id, limit))).await?;
            timeout(limit, told).await.map_err(|_| {
                self.silent.lock().insert(server.into(), clock::now());
                DeskAway("the other server does not answer".to_owned())
            })
        };
        let answer = answer.await;
        self.asked.lock().remove(&id);
        Ok(answer?.ok().flatten())
    }

    /// `waits`: for the answer to this letter, for so long.
    async fn send(
        &self,
        server: &str,
        letter: &Letter,
        waits: Option<(&str, Duration)>,
    ) -> Result<(), DeskAway> {
        let text = serde_json::to_string(letter).map_err(|error| DeskAway(error.to_string()))?;
        let mail = self.way.key(&format!("mail:{server}"));
        let mut send = pipe();
        if let Some((id, limit)) = waits {
            send.cmd("SET").arg(self.letter(id)).arg("").arg("PX").arg(millis(limit)).ignore();
        }
        send.cmd("RPUSH").arg(&mail).arg(&text).ignore();
        send.cmd("PEXPIRE").arg(&mail).arg(millis(REPLY_OF_MAKER)).ignore();
        Ok(self.way.ask(ANSWER, async |redis| send.query_async(redis).await).await?)
    }

    /// Does what others ask, for ever: `keep` keeps seats in a room, and returns the room. No letter waits
    /// for another's room.
    pub(super) async fn read_mail(&self, keep: impl AsyncFn(Order) -> Option<OpenRoom>) {
        let (to, mut letters) = mpsc::channel(AT_ONCE);
        let letters = stream::poll_fn(move |context| letters.poll_recv(context));
        // Whoever is not answered takes another server.
        let answered = letters.for_each_concurrent(AT_ONCE, async |letter| {
            let _ = self.answer(letter, &keep).await;
        });
        let read = async {
            while self.read(&to).await.is_err() {
                sleep(SAY).await;
            }
        };
        join!(read, answered);
    }

    async fn read(&self, to: &mpsc::Sender<Letter>) -> Result<(), Failure> {
        let mut own = self.way.own(ANSWER).await?;
        let mail = self.way.key(&format!("mail:{}", self.me));
        let wait = cmd("BLPOP").arg(&mail).arg(MAIL.as_secs()).to_owned();
        loop {
            let letter: Option<(String, String)> =
                own.ask(MAIL + ANSWER, async |redis| wait.query_async(redis).await).await?;
            // One of another version is left to that.
            let letter = letter.and_then(|(_, text)| serde_json::from_str(&text).ok());
            match letter {
                Some(Letter::Kept { id, room }) => {
                    let asked = self.asked.lock().remove(&id);
                    asked.into_iter().for_each(|tell| drop(tell.send(room.clone())));
                }
                // Whoever has sent one too many takes another server.
                Some(letter) => drop(to.try_send(letter)),
                None => {}
            }
        }
    }

    async fn answer(
        &self,
        letter: Letter,
        keep: &impl AsyncFn(Order) -> Option<OpenRoom>,
    ) -> Result<(), DeskAway> {
        let Letter::Keep { id, from, order } = letter else { return Ok(()) };
        // Redis tells, whose clock counts for both. If this server was frozen, nobody waits any more: what it
        // would keep now, nobody would know of.
        let left = cmd("PTTL").arg(self.letter(&id)).to_owned();
        let left: i64 = self.way.ask(ANSWER, async |redis| left.query_async(redis).await).await?;
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        if left.is_zero() {
            return Ok(());
        }
        let answer = async {
            let room = keep(order).await;
            self.send(&from, &Letter::Kept { id, room }, None).await
        };
        timeout(left, answer).await.unwrap_or(Ok(()))
    }

    fn letter(&self, id: &str) -> String {
        self.way.key(&format!("letter:{id}"))
    }
}

fn random() -> Result<u64, DeskAway> {
    getrandom::u64().map_err(|error| DeskAway(format!("no random bytes: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis_server::Redis;
    use std::cell::RefCell;
    use tokio::select;

    #[tokio::test]
    async fn a_server_that_was_frozen_does_nothing_for_those_who_wait_no_more() {
        let redis = Redis::start();
        let named =
            |me: &str| Others::new(Way::new(&redis.default_url().parse().unwrap(), "test"), me.to_owned());
        let (asks, frozen, done) = (named("a"), named("b"), RefCell::new(Vec::new()));
        let ask = |room: &str| asks.ask("b", Order::Reserve { room: room.to_owned(), seats: Vec::new() });
        let thaw = async {
            ask("old").await.expect_err("it is frozen");
            let read = frozen.read_mail(async |order: Order| {
                let Order::Reserve { room, .. } = order else { return None };
                done.borrow_mut().push(room);
                None
            });
            join!(read, asks.read_mail(async |_| None));
        };
        let later = async {
            // The old letter still lies there because this one has come.
            sleep(REPLY / 2).await;
            let _ = ask("later").await;
            while ask("last").await.is_err() {}
        };
        select! {
            () = thaw => {}
            () = later => {}
        }
        let done = done.borrow();
        assert!(!done.contains(&"old".to_owned()) && done.contains(&"last".to_owned()), "{done:?}");
    }
}
