//! Rooms that may be on other nodes, and those that are taken over from them.

use super::{
    Factory, FactoryError, LostRoom, kind_of, makes_none, of_kind,
    restoring::{Stays, restored},
};
use crate::{
    config::StoreMismatch,
    connection::{Ticket, Wanted},
    ground::{identity::Identity, refusal::Refusal, source::Source},
    nodes::{self, Hold, NotHere, Unread},
    registry::Listed,
    room::{RoomAddr, core::ResumeError},
};
use driftless_proto::{names::is_room_name, wire};
use futures_util::{StreamExt as _, stream};
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Instant,
};
use tokio::{
    sync::{Mutex, MutexGuard, mpsc},
    task::spawn_blocking,
};
use tracing::{info, warn};

/// Rooms that are taken over at once.
const AT_ONCE: usize = 4;
/// Locks for all names.
const TURNS: usize = 64;

/// Has a room begin once, however many want it: whoever comes second waits, and finds it here. Names share
/// these.
#[derive(Debug)]
pub(super) struct Turns {
    locks: [Mutex<()>; TURNS],
    hash: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        Self { locks: std::array::from_fn(|_| Mutex::default()), hash: RandomState::new() }
    }
}

impl Turns {
    async fn of(&self, name: &str) -> MutexGuard<'_, ()> {
        self.locks[self.hash.hash_one(name) as usize % TURNS].lock().await
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

    pub(super) fn ticket(
        &self,
        wanted: Wanted,
        identity: Arc<Identity>,
        room: RoomAddr,
        players: u32,
    ) -> Ticket {
        let home = self.services.homes.for_player(&room, players);
        Ticket { wanted, identity, room, home, place: None, once: None }
    }

    /// What is not here: makes it here or has it go on here, or says where it is.
    pub(super) async fn find_elsewhere(
        self: Arc<Self>,
        wanted: Wanted,
        identity: Arc<Identity>,
        source: Source,
    ) -> Result<Ticket, Refusal> {
        let found = match &wanted {
            Wanted::Join(join) => self.find_or_create(join, source).await.map(Some),
            Wanted::Resume(resume) => self.find_kept(&resume.room.as_str().into()).await,
        };
        if let Err(FactoryError::Elsewhere(_)) = &found {
            self.services.metrics.moved.inc();
        }
        let Some(Listed { room, shared, .. }) = found? else {
            self.services.metrics.resumes.inc("unknown");
            return Err(ResumeError::UnknownToken.into());
        };
        if let Wanted::Resume(resume) = &wanted {
            self.seat(resume, &identity).inspect_err(|_| self.services.metrics.resumes.inc("unknown"))?;
        }
        Ok(self.ticket(wanted, identity, room, shared.watched_by()))
    }

    /// A seat that is not here: where its room is.
    pub(super) async fn seat_elsewhere(&self, room: &str) -> Refusal {
        match self.find_kept(&room.into()).await {
            Ok(_) => ResumeError::UnknownToken.into(),
            Err(error) => {
                if let FactoryError::Elsewhere(_) = &error {
                    self.services.metrics.moved.inc();
                }
                error.into()
            }
        }
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
        let wanted = if none.is_some() { nodes::Wanted::Kept } else { nodes::Wanted::Anywhere };
        let (name, kind) = (join.room.as_str().into(), kind_of(join).unwrap_or(&self.default_kind));
        let hold = match nodes.claim(&name, kind, wanted).await {
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
        match self.go_on_as_kept(hold, Cause::Knock).await? {
            Begun::Goes(listed) => of_kind(listed, kind_of(join)),
            Begun::Nothing(hold) => self.make_for(join, source, Some(hold)),
        }
    }

    /// A room that somebody was in, if something of it is kept.
    async fn find_kept(&self, name: &Arc<str>) -> Result<Option<Listed>, FactoryError> {
        let Some(nodes) = &self.services.nodes else { return Ok(None) };
        let hold = match nodes.claim(name, "", nodes::Wanted::Kept).await {
            Err(NotHere::Nowhere) => return Ok(None),
            claimed => claimed?,
        };
        let _turn = self.turns.of(name).await;
        if let Some(listed) = self.registry.get(name).filter(|listed| listed.room.connected()) {
            return Ok(Some(listed));
        }
        match self.go_on_as_kept(hold, Cause::Knock).await? {
            Begun::Goes(listed) => Ok(Some(listed)),
            Begun::Nothing(_) => Ok(None),
        }
    }

    /// A name that an operator wants for a new room, if it is free.
    pub(super) async fn hold(&self, name: &Arc<str>, kind: &str) -> Result<Option<Hold>, FactoryError> {
        let Some(nodes) = &self.services.nodes else { return Ok(None) };
        let hold = nodes.claim(name, kind, nodes::Wanted::Here).await?;
        let _turn = self.turns.of(name).await;
        match self.go_on_as_kept(hold, Cause::Knock).await? {
            Begun::Goes(_) => Err(FactoryError::Exists(name.to_string())),
            Begun::Nothing(hold) => Ok(Some(hold)),
        }
    }

    /// Has rooms go on here that this node has taken over, as long as the server runs.
    pub(crate) async fn take_over(self: Arc<Self>, mut taken: mpsc::UnboundedReceiver<Vec<Hold>>) {
        while let Some(holds) = taken.recv().await {
            let all = stream::iter(holds).for_each_concurrent(AT_ONCE, async |hold| {
                let name = hold.room().clone();
                let _turn = self.turns.of(&name).await;
                if self.registry.get(&name).is_some_and(|listed| listed.room.connected()) {
                    return;
                }
                if let Err(error) = self.go_on_as_kept(hold, Cause::Look).await {
                    warn!(room = %name, %error, "a room of a dead node cannot go on here");
                }
            });
            all.await;
        }
    }

    /// Has a room go on from what is kept of it, if anything is. Its turn is taken.
    async fn go_on_as_kept(&self, hold: Hold, cause: Cause) -> Result<Begun, FactoryError> {
        let Some(depot) = self.services.depot.as_ref().filter(|_| hold.is_kept()) else {
            return Ok(Begun::Nothing(hold));
        };
        let (start, name) = (Instant::now(), hold.room().clone());
        let wholly = self.config.store_mismatch == StoreMismatch::Wait;
        let kept = match depot.read(&hold).await {
            Ok(None) => return Ok(Begun::Nothing(hold)),
            Ok(Some(kept)) => Ok(kept),
            Err(Unread::Unavailable(why)) => return Err(FactoryError::Unavailable(why)),
            Err(Unread::Bad(why)) => Err((None, why)),
        };
        let restored = match kept {
            Ok(kept) => {
                let lost = LostRoom::of(&kept.row.room);
                let redone = match self.kind_of(&kept) {
                    // Others on this thread do not wait for it.
                    Ok(kind) => spawn_blocking(move || restored(kept, &kind, wholly)).await,
                    Err(why) => Ok(Err(why)),
                };
                let redone = redone.unwrap_or_else(|error| Err(error.to_string()));
                redone.map_err(|why| (Some(lost), why))
            }
            Err(bad) => Err(bad),
        };
        let waits = |why| FactoryError::Waits { room: name.to_string(), why };
        match restored {
            Ok(Some(mut room)) => {
                room.carried.id = self.next_id();
                let listed = self.try_go_on(room, false, None, Some(hold)).map_err(|why| match why {
                    Stays::Unfit(why) => waits(why),
                    Stays::NotNow(error) => error,
                })?;
                self.services.metrics.takeovers.inc(cause.label());
                self.services.metrics.takeover_duration.observe(start.elapsed());
                let took_ms = start.elapsed().as_millis() as u64;
                info!(room = %name, took_ms, by = cause.label(), "a room of another node goes on here");
                Ok(Begun::Goes(listed))
            }
            // Its game had ended it.
            Ok(None) => Ok(Begun::Nothing(hold)),
            Err((_, why)) if wholly => Err(waits(why)),
            Err((lost, why)) => {
                hold.begun();
                self.services.metrics.takeovers.inc("failed");
                match lost {
                    Some(lost) if cause == Cause::Look => self.replace(lost, &why, Some(hold)),
                    _ => {
                        warn!(room = %name, why, "what is kept of the room cannot be used: it begins anew");
                        return Ok(Begun::Nothing(hold));
                    }
                }
                Err(waits(why))
            }
        }
    }
}

/// What became of a room that is held.
enum Begun {
    /// It goes on.
    Goes(Listed),
    /// Nothing of it is kept: it can be made.
    Nothing(Hold),
}
