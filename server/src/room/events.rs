//! Events of rooms, for uses outside the server: a web hook, a lobby, a list of matches.

use super::core::Carried;
use crate::{
    ground::{id::RoomId, shared::RoomShared},
    metrics::Metrics,
};
use driftless_sim::PlayerId;
use serde::Serialize;
use serde_json::Value;
use std::{
    borrow::Cow,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};
use tracing::{error, warn};

/// Events that may wait for the listeners. More are dropped, and counted.
const MOST: usize = 4_096;

/// An event of a room. As JSON, an object with `event`, the fields of [`RoomView`], and its own.
///
/// ```
/// use driftless_server::{RoomEvent, Server};
/// use driftless_sim::{GameKind, games::cursors::Cursors};
///
/// let server = Server::new(&[GameKind::of::<Cursors>()]).on(|event| {
///     if let RoomEvent::Reported { room, report } = event {
///         println!("{} after {} ticks: {report}", room.room, room.tick);
///     }
/// });
/// # let _ = server;
/// ```
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RoomEvent {
    /// The room was made, and its game has started.
    Made {
        /// The room.
        #[serde(flatten)]
        room: RoomView,
    },
    /// The game [reports](driftless_sim::Step::report) something, such as who has won.
    Reported {
        /// The room.
        #[serde(flatten)]
        room: RoomView,
        /// The report, as JSON.
        report: Value,
    },
    /// The game [reports](driftless_sim::Validation::Report) a player, for an input that no honest client
    /// would send. At most once a second for each player, and when it is removed for it.
    PlayerReported {
        /// The room.
        #[serde(flatten)]
        room: RoomView,
        /// The player.
        player: PlayerId,
        /// The user.
        user: Arc<str>,
        /// Display name.
        name: Arc<str>,
        /// How often so far.
        reports: u32,
        /// The last reason, in the game's words.
        reason: String,
        /// Whether the player is removed: that was one report too many (`Config::reports_limit`).
        removed: bool,
    },
    /// The room has ended. Before a room of the same name is made. (Not sent if it continues after a restart;
    /// if it was to, and cannot, the server that starts sends this.)
    Ended {
        /// The room.
        #[serde(flatten)]
        room: RoomView,
        /// The reason in one word: `empty`, `game_ended`, `closed`, `failed`, `out_of_ticks`,
        /// `server_stopped`.
        why: &'static str,
        /// The reason that its players were told.
        reason: String,
    },
}

/// A room at the time of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomView {
    /// Its number, which tells it from earlier and later rooms of the same name. It keeps it if it continues
    /// after a restart; a server that continues no rooms counts from 1.
    pub id: RoomId,
    /// Its name.
    pub room: Arc<str>,
    /// Its kind of game.
    pub kind: Cow<'static, str>,
    /// Its newest tick.
    pub tick: u32,
    /// Seats taken, by people.
    pub players: u32,
}

impl RoomView {
    pub(crate) fn of(room: &RoomShared) -> Self {
        Self {
            id: room.id,
            room: room.name.clone(),
            kind: room.kind.into(),
            tick: room.tick.load(Relaxed),
            players: room.players.load(Relaxed),
        }
    }

    pub(crate) fn of_carried(room: &Carried) -> Self {
        Self {
            id: room.id,
            room: room.name.as_str().into(),
            kind: room.kind.clone().into(),
            tick: room.tick(),
            players: room.players(),
        }
    }
}

/// A listener for events of rooms.
pub type Hear = Arc<dyn Fn(&RoomEvent) + Send + Sync>;

/// Passes events to the listeners, on a thread of its own. Rooms never wait for it.
pub struct Events {
    /// None: there are no listeners.
    queue: Option<Queue>,
    metrics: Arc<Metrics>,
}

/// Bounded by its users, because a stop must not lose what it adds.
struct Queue {
    tell: Sender<Told>,
    /// Events that wait.
    waiting: Arc<AtomicUsize>,
}

enum Told {
    Event(Box<RoomEvent>),
    /// Answered when all earlier events have been passed on.
    Finish(oneshot::Sender<()>),
}

impl Events {
    /// Starts the thread, if there are listeners.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(hear: Vec<Hear>, metrics: Arc<Metrics>) -> io::Result<Arc<Self>> {
        if hear.is_empty() {
            return Ok(Arc::new(Self { queue: None, metrics }));
        }
        let (tell, told) = channel();
        let queue = Queue { tell, waiting: Arc::default() };
        let waiting = queue.waiting.clone();
        thread::Builder::new()
            .name("room events".to_owned())
            .spawn(move || pass_on(&told, &waiting, &hear))?;
        Ok(Arc::new(Self { queue: Some(queue), metrics }))
    }

    /// Whether there are listeners.
    pub(crate) fn are_heard(&self) -> bool {
        self.queue.is_some()
    }

    /// Adds an event.
    pub(crate) fn push(&self, event: RoomEvent) {
        let Some(queue) = &self.queue else { return };
        if queue.waiting.load(Relaxed) < MOST {
            queue.add(event);
        } else {
            self.metrics.rooms.room_events_dropped.inc();
            warn!("an event of a room is dropped: {MOST} wait for those who hear them");
        }
    }

    /// Adds an event of the stop, of which there is one for each room: it is not dropped, however many wait.
    pub(crate) fn push_last(&self, event: RoomEvent) {
        if let Some(queue) = &self.queue {
            queue.add(event);
        }
    }

    /// Waits until all events have been passed on, for at most `most`.
    pub(crate) async fn finish(&self, most: Duration) {
        let Some(queue) = &self.queue else { return };
        let (heard, wait) = oneshot::channel();
        if queue.tell.send(Told::Finish(heard)).is_ok() && timeout(most, wait).await.is_err() {
            let waiting = queue.waiting.load(Relaxed);
            warn!(waiting, "not all events of rooms were heard before the stop");
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("are_heard", &self.are_heard()).finish()
    }
}

impl Queue {
    fn add(&self, event: RoomEvent) {
        self.waiting.fetch_add(1, Relaxed);
        // Its thread lives as long as this.
        let _ = self.tell.send(Told::Event(Box::new(event)));
    }
}

fn pass_on(told: &Receiver<Told>, waiting: &AtomicUsize, hear: &[Hear]) {
    for told in told {
        match told {
            Told::Event(event) => {
                waiting.fetch_sub(1, Relaxed);
                for hear in hear {
                    if catch_unwind(AssertUnwindSafe(|| hear(&event))).is_err() {
                        error!(?event, "whoever hears of rooms panicked at this event");
                    }
                }
            }
            // Nobody may be waiting any more.
            Told::Finish(heard) => drop(heard.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::mpsc;

    fn view() -> RoomView {
        RoomView { id: RoomId(1), room: "lobby".into(), kind: "match".into(), tick: 1, players: 0 }
    }

    // Promise 4 bounds what waits; a stop tells the end of every room nevertheless.
    #[actix::test]
    async fn a_stop_loses_no_end_and_waits_for_who_is_slow_even_if_the_queue_is_full() {
        let (open, closed) = mpsc::channel::<()>();
        let (closed, ends) = (Mutex::new(closed), Arc::new(AtomicUsize::new(0)));
        let heard = ends.clone();
        let hear: Hear = Arc::new(move |event| {
            let _ = closed.lock().recv(); // until it is open
            heard.fetch_add(usize::from(matches!(event, RoomEvent::Ended { .. })), Relaxed);
        });
        let metrics = Arc::new(Metrics::new());
        let events = Events::start(vec![hear], metrics.clone()).unwrap();
        for _ in 0..MOST + 10 {
            events.push(RoomEvent::Made { room: view() });
        }
        assert!(
            (9..=10).contains(&metrics.rooms.room_events_dropped.get()),
            "one is being heard, or not yet"
        );
        for _ in 0..2 * MOST {
            events.push_last(RoomEvent::Ended { room: view(), why: "server_stopped", reason: String::new() });
        }
        events.finish(Duration::ZERO).await;
        assert_eq!(ends.load(Relaxed), 0, "nor does it wait for ever");
        futures_util::join!(events.finish(Duration::from_secs(60)), async { drop(open) });
        assert_eq!(ends.load(Relaxed), 2 * MOST);
    }
}
