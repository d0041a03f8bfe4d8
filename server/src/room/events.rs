//! Events of rooms, for uses outside the server: a web hook, a lobby, a list of matches.

use crate::{ground::shared::RoomShared, metrics::Metrics};
use serde::Serialize;
use serde_json::Value;
use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel},
    },
    thread,
    time::Duration,
};
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
    /// The room has ended. (Not sent if it continues elsewhere, or after a restart.)
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
    /// Its name.
    pub room: Arc<str>,
    /// Its kind of game.
    pub kind: &'static str,
    /// Its newest tick.
    pub tick: u32,
    /// Seats taken, by people.
    pub players: u32,
}

impl RoomView {
    pub(crate) fn of(room: &RoomShared) -> Self {
        Self {
            room: room.name.clone(),
            kind: room.kind,
            tick: room.tick.load(Relaxed),
            players: room.players.load(Relaxed),
        }
    }
}

/// A listener for events of rooms.
pub type Hear = Arc<dyn Fn(&RoomEvent) + Send + Sync>;

/// Passes events to the listeners, on a thread of its own. Rooms never wait for it.
pub struct Events {
    /// None: there are no listeners.
    queue: Option<SyncSender<Told>>,
    metrics: Arc<Metrics>,
}

enum Told {
    Event(Box<RoomEvent>),
    /// Answered when all earlier events have been passed on.
    Finish(Sender<()>),
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
        let (queue, told) = sync_channel(MOST);
        thread::Builder::new().name("room events".to_owned()).spawn(move || tell(&told, &hear))?;
        Ok(Arc::new(Self { queue: Some(queue), metrics }))
    }

    /// Whether there are listeners.
    pub(crate) fn are_heard(&self) -> bool {
        self.queue.is_some()
    }

    /// Adds an event.
    pub(crate) fn push(&self, event: RoomEvent) {
        let Some(queue) = &self.queue else { return };
        if let Err(TrySendError::Full(_)) = queue.try_send(Told::Event(Box::new(event))) {
            self.metrics.room_events_dropped.inc();
            warn!("an event of a room is dropped: {MOST} wait for those who hear them");
        }
    }

    /// Waits until all events have been passed on, for at most `most`.
    pub(crate) fn finish(&self, most: Duration) {
        let Some(queue) = &self.queue else { return };
        let (heard, wait) = channel();
        if queue.try_send(Told::Finish(heard)).is_ok() && wait.recv_timeout(most).is_err() {
            warn!("not all events of rooms were heard before the stop");
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("are_heard", &self.are_heard()).finish()
    }
}

fn tell(told: &Receiver<Told>, hear: &[Hear]) {
    for told in told {
        match told {
            Told::Event(event) => {
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
