//! Rooms that may be on other nodes, and those that are taken over from them.

use super::{
    Factory, FactoryError, LostRoom,
    entering::{kind_of, makes_none, of_kind},
    restoring::{Revived, Stays, redone},
};
use crate::{
    config::StoreMismatch,
    connection::{SeatRequest, Ticket},
    ground::{identity::Identity, refusal::Refusal, seat::ResumeToken, source::Source},
    nodes::{Depot, Hold, NotHere, Placement, Unavailable, Unread},
    registry::{Listed, SeatPlace},
    room::core::ResumeError,
};
use driftless_proto::{code::CloseCode, names::is_room_name, wire};
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{self, OwnedMutexGuard, mpsc},
    task::spawn_blocking,
    time::timeout,
};
use tracing::{info, warn};

/// Rooms that are taken over at once.
const AT_ONCE: usize = 4;
/// Longest time until one goes on. Then another node may try.
const TAKE_OVER_LIMIT: Duration = Duration::from_secs(60);
/// When to come again to a room of which nobody knows when it goes on.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Has a room begin once, however many want it: whoever comes second waits, and finds it here. Nobody waits
/// for a room of another name, however long that takes to restore.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Of the names of which somebody has, or waits for, a turn.
    locks: Mutex<HashMap<Arc<str>, Arc<sync::Mutex<()>>>>,
}

/// Somebody's turn, or the wait for it.
struct Turn<'a> {
    turns: &'a Turns,
    name: Arc<str>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    async fn of(&self, name: &Arc<str>) -> Turn<'_> {
        let lock = self.locks.lock().entry(name.clone()).or_default().clone();
        let mut turn = Turn { turns: self, name: name.clone(), guard: None };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut locks = self.turns.locks.lock();
        if locks.get(&self.name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.name);
        }
    }
}

/// Why a room that is held begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Somebody wants it.
    Knock,
    /// Its node is dead.
    Look,
}

impl Cause {
    /// In the metric.
    fn label(self) -> &'static str {
        match self {
            Cause::Knock => "knock",
            Cause::Look => "look",
        }
    }
}

impl Factory {
    /// A seat that is not here may be on another node.
    pub(super) fn may_be_elsewhere(&self, room: &str) -> bool {
        self.services.nodes.is_some() && is_room_name(room) && self.registry.get(room).is_none()
    }

    /// What is not here: makes it here or has it go on here, or says where it is.
    pub(super) async fn find_elsewhere(
        self: Arc<Self>,
        wanted: SeatRequest,
        identity: Arc<Identity>,
        source: Source,
    ) -> Result<Ticket, Refusal> {
        let (room, players) = match &wanted {
            SeatRequest::Join(join) => {
                let found = self.find_or_create(join, source).await;
                let Listed { room, shared, .. } = found.inspect_err(|error| self.count_moved(error))?;
                (room, shared.watched_by())
            }
            SeatRequest::Resume(resume) => {
                let seat = self.seat_elsewhere(resume, &identity).await;
                let (_, SeatPlace { room, .. }) = seat.inspect_err(|refusal| {
                    if refusal.code == CloseCode::UnknownSession {
                        self.services.metrics.rooms.resumes.inc("unknown");
                    }
                })?;
                let listed = self.registry.get(&resume.room);
                (room, listed.map_or(0, |listed| listed.shared.watched_by()))
            }
        };
        Ok(self.ticket(wanted, identity, room, players))
    }

    fn count_moved(&self, error: &FactoryError) {
        if let FactoryError::Elsewhere(_) = error {
            self.services.metrics.nodes.moved.inc();
        }
    }

    /// A seat that is not here: it is, if its room goes on here; or where that is.
    pub(super) async fn seat_elsewhere(
        &self,
        resume: &wire::Resume,
        identity: &Identity,
    ) -> Result<(ResumeToken, SeatPlace), Refusal> {
        let found = self.find_stored(&resume.room.as_str().into()).await;
        found.inspect_err(|error| self.count_moved(error))?.ok_or(ResumeError::UnknownToken)?;
        Ok(self.seat(resume, identity)?)
    }

    pub(super) async fn find_or_create(
        &self,
        join: &wire::Join,
        source: Source,
    ) -> Result<Listed, FactoryError> {
        if let Some(listed) = self.find_here(join)? {
            return Ok(listed);
        }
        let Some(nodes) = &self.services.nodes else { return self.make_for(join, source, None) };
        let none = makes_none(join);
        let placement = if none.is_some() { Placement::IfStored } else { Placement::Anywhere };
        let (name, kind) = (join.room.as_str().into(), kind_of(join).unwrap_or(&self.default_kind));
        let hold = match nodes.claim(&name, kind, placement).await {
            Err(NotHere::Nowhere) => {
                return Err(none.unwrap_or_else(|| FactoryError::NoSuchRoom(join.room.clone())));
            }
            claimed => claimed?,
        };
        let _turn = self.turns.of(&name).await;
        // Somebody may have made it here meanwhile.
        if let Some(listed) = self.find_here(join)? {
            return Ok(listed);
        }
        match self.go_on_as_stored(hold, Cause::Knock).await? {
            Begun::Goes(listed) => of_kind(listed, kind_of(join)),
            Begun::Nothing(hold) => self.make_for(join, source, Some(hold)),
        }
    }

    /// A room that somebody was in, if something of it is stored.
    async fn find_stored(&self, name: &Arc<str>) -> Result<Option<Listed>, FactoryError> {
        let Some(nodes) = &self.services.nodes else { return Ok(None) };
        let hold = match nodes.claim(name, "", Placement::IfStored).await {
            Err(NotHere::Nowhere) => return Ok(None),
            claimed => claimed?,
        };
        let _turn = self.turns.of(name).await;
        if let Some(listed) = self.registry.get(name).filter(|listed| listed.room.connected()) {
            return Ok(Some(listed));
        }
        match self.go_on_as_stored(hold, Cause::Knock).await? {
            Begun::Goes(listed) => Ok(Some(listed)),
            Begun::Nothing(_) => Ok(None),
        }
    }

    /// A name that an operator wants for a new room, if it is free.
    pub(super) async fn hold(&self, name: &Arc<str>, kind: &str) -> Result<Option<Hold>, FactoryError> {
        let Some(nodes) = &self.services.nodes else { return Ok(None) };
        let hold = nodes.claim(name, kind, Placement::Here).await?;
        let _turn = self.turns.of(name).await;
        match self.go_on_as_stored(hold, Cause::Knock).await? {
            Begun::Goes(_) => Err(FactoryError::Exists(name.to_string())),
            Begun::Nothing(hold) => Ok(Some(hold)),
        }
    }

    /// Has rooms go on here that this node has taken over, as long as the server runs.
    pub(crate) async fn take_over(self: Arc<Self>, taken: mpsc::UnboundedReceiver<Vec<Hold>>) {
        let holds = stream::unfold(taken, async |mut taken| {
            let holds = taken.recv().await?;
            Some((stream::iter(holds), taken))
        });
        let all = holds.flatten().for_each_concurrent(AT_ONCE, async |hold| {
            let name = hold.room().clone();
            if timeout(TAKE_OVER_LIMIT, self.take_over_one(hold)).await.is_err() {
                warn!(room = %name, "a room of a dead node takes too long to go on here");
            }
        });
        all.await;
    }

    async fn take_over_one(&self, hold: Hold) {
        let name = hold.room().clone();
        let _turn = self.turns.of(&name).await;
        if self.registry.get(&name).is_some_and(|listed| listed.room.connected()) {
            return;
        }
        if let Err(error) = self.go_on_as_stored(hold, Cause::Look).await {
            warn!(room = %name, %error, "a room of a dead node cannot go on here");
        }
    }

    /// Has a room go on from what is stored of it, if anything is. Its turn is taken.
    async fn go_on_as_stored(&self, hold: Hold, cause: Cause) -> Result<Begun, FactoryError> {
        let Some(depot) = self.services.depot.as_ref().filter(|_| hold.is_stored()) else {
            return Ok(Begun::Nothing(hold));
        };
        let (start, name) = (Instant::now(), hold.room().clone());
        let waits = |why| FactoryError::Waits { room: name.to_string(), why };
        match self.redo(depot, &hold).await {
            Ok(Some(mut revived)) => {
                revived.room.carried.id = self.next_id();
                let listed = self.try_go_on(revived, false, None, Some(hold)).map_err(|why| match why {
                    Stays::Unfit(why) => waits(why),
                    Stays::NotNow(error) => error,
                })?;
                self.services.metrics.nodes.takeovers.inc(cause.label());
                self.services.metrics.nodes.takeover_duration.observe(start.elapsed());
                let took_ms = start.elapsed().as_millis() as u64;
                info!(room = %name, took_ms, by = cause.label(), "a room of another node goes on here");
                Ok(Begun::Goes(listed))
            }
            // What is there is of no use to anybody any more.
            Ok(None) => {
                hold.begun();
                Ok(Begun::Nothing(hold))
            }
            Err(Stuck::NotMine(why)) => Err(why),
            Err(Stuck::OfNoUse(_, why)) if self.config.store_mismatch == StoreMismatch::Wait => {
                Err(waits(why))
            }
            Err(Stuck::OfNoUse(lost, why)) => {
                hold.begun();
                self.services.metrics.nodes.takeovers.inc("failed");
                match lost {
                    Some(lost) if cause == Cause::Look => self.replace(lost, &why, Some(hold)),
                    _ => {
                        warn!(room = %name, why, "what is stored of the room cannot be used: it begins anew");
                        return Ok(Begun::Nothing(hold));
                    }
                }
                Err(waits(why))
            }
        }
    }

    /// Restores a room from what is stored of it. None: nothing is, or its game had ended it.
    async fn redo(&self, depot: &Depot, hold: &Hold) -> Result<Option<Revived>, Stuck> {
        let waits = |why| Stuck::NotMine(FactoryError::Waits { room: hold.room().to_string(), why });
        let stored = match depot.read(hold).await {
            Ok(None) => return Ok(None),
            Ok(Some(stored)) => stored,
            Err(Unread::Unavailable(why) | Unread::Slow(why)) => {
                return Err(Stuck::NotMine(FactoryError::Unavailable(why)));
            }
            Err(Unread::OtherVersion(why)) => return Err(waits(why)),
            Err(Unread::Damaged(why)) => return Err(Stuck::OfNoUse(None, why)),
        };
        let kind = self.kind_of(&stored.row.room).map_err(waits)?;
        let (lost, wholly) =
            (LostRoom::of(&stored.row.room), self.config.store_mismatch == StoreMismatch::Wait);
        // Others on this thread do not wait for it.
        let redo = move || redone(stored, &kind, wholly)?.map(|room| Revived::new(room, kind)).transpose();
        match spawn_blocking(redo).await {
            Ok(restored) => restored.map_err(|why| Stuck::OfNoUse(Some(lost), why)),
            // The server stops.
            Err(error) => {
                let why = Unavailable { why: error.to_string(), wait: TRY_AGAIN };
                Err(Stuck::NotMine(FactoryError::Unavailable(why)))
            }
        }
    }
}

/// Why a room does not go on from what is stored of it.
enum Stuck {
    /// This node cannot have it go on, or not now. Others may.
    NotMine(FactoryError),
    /// Nobody can. What is left of it, as far as that is known.
    OfNoUse(Option<LostRoom>, String),
}

/// What became of a room that is held.
enum Begun {
    /// It goes on.
    Goes(Listed),
    /// Nothing of it is stored: it can be made.
    Nothing(Hold),
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn nobody_waits_for_a_room_of_another_name_that_is_restored() {
        let turns = Turns::default();
        let names: Vec<Arc<str>> = (0..200).map(|n| format!("room-{n}").into()).collect();
        let restored = turns.of(&names[0]).now_or_never();
        assert!(restored.is_some());
        assert!(names[1..].iter().all(|name| turns.of(name).now_or_never().is_some()));
        assert!(turns.of(&names[0]).now_or_never().is_none(), "it begins once");
        let mut next = Box::pin(turns.of(&names[0]));
        assert!((&mut next).now_or_never().is_none());
        drop(restored);
        assert!(next.now_or_never().is_some(), "whoever waits is next");
        assert!(turns.locks.lock().is_empty(), "nothing is left of them");
    }
}
