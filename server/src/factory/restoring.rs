//! Rooms that go on: from another process, from a store, from a recording.

use super::{
    Came, Factory, FactoryError,
    plan::{Plan, Provenance},
    starting::GoesOn,
};
use crate::{
    carry,
    ground::{
        made_with::{MadeWith, Maker},
        members::Members,
        sight::Spectating,
    },
    nodes::Hold,
    registry::{Found, Listed},
    room::{
        Listing as _, RoomAddr,
        core::restore::{restore, restore_or_go_back},
        events::{RoomEvent, RoomView},
        start,
    },
    store::{Store, StoredRoom},
};
use driftless_sim::{
    checksum::schema_checksum,
    game::{Game, GameKind},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tracing::{error, info, warn};

/// A room that cannot go on: what is left of it.
pub(crate) struct LostRoom {
    view: RoomView,
    made_with: MadeWith,
    spectating: Spectating,
}

impl LostRoom {
    /// What is left of a room.
    pub(crate) fn of(room: &carry::Room) -> Self {
        let (view, spectating) = (RoomView::of_carried(&room.carried), room.carried.spectating);
        Self { view, made_with: room.made_with.clone(), spectating }
    }
}

/// A room with its game, as it stopped.
pub(crate) struct Revived {
    kind: GameKind,
    pub room: carry::Room,
    game: Box<dyn Game>,
}

impl Revived {
    /// Restores its game.
    pub(super) fn new(room: carry::Room, kind: GameKind) -> Result<Self, String> {
        if schema_checksum(&kind.schema()) != room.carried.schema {
            return Err("the schema of its game has changed".into());
        }
        let game = start::restore(&kind, &room.carried.state)?;
        Ok(Self { kind, room, game })
    }
}

/// Why a room does not go on here.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stays {
    /// It cannot: another server may have it go on.
    #[error("{0}")]
    Unfit(String),
    /// It could, but not now.
    #[error(transparent)]
    NotNow(#[from] FactoryError),
}

/// A room from what was stored of it: it may take as long as its game for all of its frames.
pub(super) fn redone(
    stored: StoredRoom,
    kind: &GameKind,
    wholly: bool,
) -> Result<Option<carry::Room>, String> {
    if stored.row.stopped {
        return Ok(Some(stored.row.room));
    }
    let made_with = stored.row.room.made_with.clone();
    let (name, failed) = (stored.row.name().to_owned(), stored.into_failed());
    let (carried, of_no_use) = match wholly {
        true => (restore(failed, kind)?, None),
        false => restore_or_go_back(failed, kind)?,
    };
    if let Some(why) = of_no_use {
        error!(room = name, why, "its journal cannot be used: the room goes back to its checkpoint");
    }
    Ok(carried.map(|carried| carry::Room { made_with, carried }))
}

impl Factory {
    /// New rooms get higher numbers than this. To be called before the first one is made, because rooms that
    /// go on or wait keep their numbers.
    pub(crate) fn number_after(&self, newest: u64) {
        self.next_room.fetch_max(newest.saturating_add(1), Ordering::Relaxed);
    }

    /// Continues rooms of another server where they stopped. Where that fails, an operator's room starts anew
    /// now, and any other when somebody joins it.
    ///
    /// If they are `stored` there, what is there of one that fails is set aside.
    pub(crate) fn go_on(&self, rooms: Vec<carry::Room>, stored: Option<&Store>) {
        self.number_after(rooms.iter().map(|room| room.carried.id.0).max().unwrap_or(0));
        for room in rooms {
            let lost = LostRoom::of(&room);
            let revived = self.revive(room).map_err(Stays::Unfit);
            let goes_on = revived.and_then(|room| self.try_go_on(room, stored.is_some(), None, None));
            if let Err(why) = goes_on {
                if let Some(store) = stored {
                    warn!(room = %lost.view.room, "its checkpoint is set aside in the store");
                    store.set_aside(lost.view.room.to_string());
                }
                self.replace(lost, &why.to_string(), None);
            }
        }
    }

    /// Has a room of a recording go on, unless there is one with its name.
    ///
    /// # Errors
    /// Why that is impossible.
    pub(crate) fn go_on_from(&self, mut room: carry::Room) -> Result<(), String> {
        let name = room.carried.name.clone();
        if self.registry.get(&name).is_some() || self.waiting.lock().contains_key(&name) {
            info!(room = name, "there is a room of this name: it goes on, and none is made from a file");
            return Ok(());
        }
        room.carried.id = self.next_id();
        self.try_go_on(self.revive(room)?, false, None, None).map(drop).map_err(|why| why.to_string())
    }

    /// Makes a room ready that comes from another node. It goes on when it is told to begin.
    ///
    /// # Errors
    /// Why it cannot go on here.
    pub(crate) fn come(&self, mut revived: Revived, came: Came, hold: Hold) -> Result<RoomAddr, String> {
        revived.room.carried.id = self.next_id();
        let goes_on = self.try_go_on(revived, false, Some(came), Some(hold));
        goes_on.map(|listed| listed.room).map_err(|why| why.to_string())
    }

    /// A room cannot go on. `hold`: its name is this node's.
    pub(crate) fn replace(&self, lost: LostRoom, why: &str, hold: Option<Hold>) {
        let LostRoom { view, made_with, spectating } = lost;
        warn!(room = %view.room, why, "the room cannot continue where it stopped: it starts anew");
        let (name, kind) = (view.room.clone(), view.kind.clone());
        let reason = format!("the server stopped, and the room cannot continue: {why}");
        self.services.events.push_last(RoomEvent::Ended { room: view, why: "server_stopped", reason });
        if let Maker::Operator = made_with.maker
            && let Err(error) = self.begin_anew(&name, &kind, made_with, spectating, hold)
        {
            warn!(room = %name, %error, "nor can it start anew");
        }
    }

    /// A room that is stored cannot go on here, and waits for a server where it can.
    pub(crate) fn wait_for(&self, room: String, why: String) {
        warn!(room, why, "the room cannot go on here: it waits in the store, and its name is taken");
        self.waiting.lock().insert(room, why);
    }

    /// How long rooms of a kind keep seats without a connection.
    pub(super) fn resume_window(&self, kind: &GameKind) -> Duration {
        let of_kind = kind.resume_window_ms().map(|ms| Duration::from_millis(ms.into()));
        of_kind.unwrap_or(self.config.resume_window)
    }

    /// A room whose players have a chance to come back here. (More than once is as good as once.)
    fn extended(&self, mut room: carry::Room, kind: &GameKind) -> carry::Room {
        room.carried.extend_absences(self.resume_window(kind), room.made_with.setup.tick_rate);
        room
    }

    /// Restores a room from what was stored of it. None: its game had ended it. If its journal is of no use,
    /// it goes back to its checkpoint; unless it is to be restored `wholly`.
    ///
    /// # Errors
    /// Why that is impossible.
    pub(crate) fn restore(&self, stored: StoredRoom, wholly: bool) -> Result<Option<carry::Room>, String> {
        let (kind, stopped) = (self.kind_of(&stored.row.room)?, stored.row.stopped);
        let Some(room) = redone(stored, &kind, wholly)? else { return Ok(None) };
        // Of one that was redone, it is known that its game can.
        let room = if stopped { Revived::new(room, kind.clone())?.room } else { room };
        Ok(Some(self.extended(room, &kind)))
    }

    /// Restores the game of a room.
    ///
    /// # Errors
    /// Why that is impossible.
    pub(crate) fn revive(&self, room: carry::Room) -> Result<Revived, String> {
        let kind = self.kind_of(&room)?;
        Revived::new(room, kind)
    }

    /// The kind of game of a room.
    pub(super) fn kind_of(&self, room: &carry::Room) -> Result<GameKind, String> {
        let name = &room.carried.kind;
        self.kinds.get(&**name).cloned().ok_or_else(|| format!("there is no game {name:?} here"))
    }

    fn begin_anew(
        &self,
        name: &Arc<str>,
        kind: &str,
        made_with: MadeWith,
        spectating: Spectating,
        hold: Option<Hold>,
    ) -> Result<(), FactoryError> {
        let (id, kind) = (self.next_id(), self.kind(kind)?);
        let (of, members, provenance) = (name.clone(), Members::default(), Provenance::GoesOn);
        let plan = Plan { id, name: of, kind, made_with, members, spectating, hold, provenance };
        let made = self.admit(plan)?;
        match self.registry.get_or_start(name, || self.start(made, None)) {
            (_, Found::Started) => Ok(()),
            (_, Found::There) => Err(FactoryError::Exists(name.to_string())),
        }
    }

    /// Has a room go on. `hold`: its name is this node's.
    pub(super) fn try_go_on(
        &self,
        revived: Revived,
        stored: bool,
        came: Option<Came>,
        hold: Option<Hold>,
    ) -> Result<Listed, Stays> {
        let Revived { kind, room, game } = revived;
        let carry::Room { made_with, carried } = self.extended(room, &kind);
        let name: Arc<str> = carried.name.as_str().into();
        let members = Members::after(carried.members_version());
        let plan = Plan {
            id: carried.id,
            name: name.clone(),
            kind,
            made_with,
            members,
            spectating: carried.spectating,
            hold,
            provenance: if came.is_some() { Provenance::Arrives } else { Provenance::GoesOn },
        };
        let made = self.admit(plan)?;
        carried.show(&made.shared);
        let waiting = carried.seats(&made.shared, &self.config.limits);
        let seats: Vec<_> = waiting.iter().map(|waiting| waiting.seat.clone()).collect();
        seats.iter().for_each(|seat| *seat.place.lock() = Some(self.services.places.keep().into()));
        let goes_on = GoesOn { game, carried, waiting, stored, came };
        let (listed, found) = self.registry.get_or_start(&name, || {
            let listed = self.start(made, Some(goes_on));
            // Before the room is listed: nobody finds it without them.
            seats.iter().for_each(|seat| self.registry.seat_taken(seat, listed.room.clone()));
            listed
        });
        if found == Found::There {
            return Err(Stays::Unfit("another room has its name".to_owned()));
        }
        Ok(listed)
    }
}
