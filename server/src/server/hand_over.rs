//! What a server leaves to the process that follows it: see [`upgrade`](crate::upgrade).

use super::{CARRY_LIMIT, HEAR_LIMIT, Running};
use crate::{
    carry, clock,
    ground::{
        drain::{Pace, Step},
        once::Id,
    },
    store::{Row, VERSION},
    upgrade::{Abilities, Sockets, UpgradeError},
};
use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::{info, warn};

/// How long connections have to end: as long as their players wait before they come back, so that nobody
/// comes back to this process. (It reads nothing after that.)
const CLOSE_LIMIT: Duration = Duration::from_millis(200);
/// How long the store may take to write the rooms and close: the other process waits for it.
const FINISH_LIMIT: Duration = Duration::from_secs(15);
/// Time over which players are told to come back after that.
const SPREAD: Duration = Duration::from_millis(200);

/// What a server has left: everything has stopped.
pub(crate) struct HandedOver {
    /// Names of the rooms that can go on.
    names: HashSet<String>,
    /// Those that are not in the store, as a file of carried rooms.
    pub rooms: Vec<u8>,
    /// Users who may not be here, and for how much longer, milliseconds.
    pub revoked: Vec<(String, u64)>,
    /// Tokens that were used, and when they expire, seconds since 1970.
    pub used: Vec<(Id, u64)>,
}

impl Running {
    /// Its sockets, for another process.
    ///
    /// # Errors
    /// None may follow it; or the system does not allow it.
    pub(crate) fn sockets(&self) -> Result<Sockets, UpgradeError> {
        if self.parts.joined.is_some() {
            return Err(UpgradeError::Node);
        }
        let udp = self.parts.quic.as_ref().map(|quic| quic.sockets()).transpose()?;
        Ok(Sockets { tcp: self.parts.listener.try_clone()?, udp: udp.unwrap_or_default() })
    }

    /// Whether a process may follow it now.
    pub(crate) fn may_be_followed(&self) -> Result<(), UpgradeError> {
        if self.parts.registry.drain_state().step() != Step::Serving {
            return Err(UpgradeError::Stopping);
        }
        let trouble = self.parts.store.get().and_then(|store| store.trouble());
        trouble.map_or(Ok(()), |trouble| Err(UpgradeError::Store(trouble)))
    }

    /// Whether a process with these abilities may follow it now.
    pub(crate) fn may_hand_over(&self, to: &Abilities) -> Result<(), UpgradeError> {
        self.may_be_followed()?;
        self.could_read(to)?;
        let mut unfit = BTreeMap::<String, usize>::new();
        for listed in self.parts.registry.all() {
            let kind = listed.shared.kind;
            if to.schemas.get(kind) != self.parts.schemas.get(kind) {
                *unfit.entry(kind.to_owned()).or_default() += 1;
            }
        }
        let Some((kind, rooms)) = unfit.pop_first() else { return Ok(()) };
        let why = match to.schemas.contains_key(&kind) {
            true => "has another schema in the new server",
            false => "is not in the new server",
        };
        Err(UpgradeError::Unfit(format!("the game {kind:?} {why}, and {rooms} of its rooms are open")))
    }

    /// Whether a process with these abilities could read what this one leaves, and has the store of this one.
    pub(crate) fn could_read(&self, left: &Abilities) -> Result<(), UpgradeError> {
        let store = self.parts.store.get();
        if left.store != store.map(|store| store.place()) {
            return Err(UpgradeError::OtherStore);
        }
        if store.is_some() && left.journal != Some(VERSION) {
            let there = left.journal.map_or_else(|| "another".to_owned(), |version| version.to_string());
            return Err(UpgradeError::Journal { here: VERSION, there });
        }
        if left.carried != carry::LAYOUT {
            let (here, there) = (carry::LAYOUT, left.carried);
            let why = format!("this server leaves rooms of version {here}, and the new one reads {there}");
            return Err(UpgradeError::Unfit(why));
        }
        Ok(())
    }

    /// Stops everything and takes it. There is no way back.
    pub(crate) async fn hand_over(&self) -> HandedOver {
        let (start, parts) = (Instant::now(), &self.parts);
        // What operators change from now on, it would not know.
        parts.registry.drain_state().hand_over();
        // Who connects from now on waits for the other process.
        self.http.pause().await;
        let until = start + CLOSE_LIMIT;
        parts.registry.drain_state().take(Step::Goodbyes, until + CARRY_LIMIT);
        self.say_goodbyes(until, Pace::new(0), CLOSE_LIMIT, SPREAD).await;
        parts.quic.iter().for_each(|quic| quic.stop_reading());
        let rooms = parts.factory.carry(CARRY_LIMIT, |_| true).await;
        let mut names: HashSet<_> = rooms.iter().map(|room| room.carried.name.clone()).collect();
        let count = names.len();
        let is_kept = |room: &carry::Room| parts.factory.is_stored(room.made_with.durability);
        let (kept, others): (Vec<_>, Vec<_>) = rooms.into_iter().partition(is_kept);
        let sync = parts.config.journal_sync;
        let kept: Vec<_> = kept.into_iter().map(|room| Arc::new(Row::now(room, true, sync))).collect();
        let mut others: Vec<_> = others.iter().collect();
        if let Err(error) = parts.put_in_store(&kept, FINISH_LIMIT).await {
            warn!(%error, rooms = kept.len(), "rooms cannot be left in the store: they are handed over directly");
            others.extend(kept.iter().map(|row| &row.room));
        }
        let rooms = carry::encode(&others).unwrap_or_else(|error| {
            warn!(%error, "rooms cannot be handed over: they are lost");
            names.retain(|name| others.iter().all(|room| room.carried.name != *name));
            carry::encode(&[] as &[carry::Room]).unwrap_or_default()
        });
        let revoked = parts.door.revocations().current(clock::now());
        let revoked = revoked.into_iter().map(|(user, left)| (user.to_string(), left.as_millis() as u64));
        let used = parts.door.once().map(|once| once.used()).unwrap_or_default();
        let used = used.into_iter().map(|(id, expires)| (id, expires.as_secs() + 1)).collect();
        let took_ms = start.elapsed().as_millis() as u64;
        info!(rooms = count, took_ms, "the rooms have stopped for the process that follows");
        HandedOver { names, rooms, revoked: revoked.collect(), used }
    }

    /// Another process has it, or `lost` says why none has: then the rooms are left to whatever is started
    /// next, if there is a place for that.
    pub(crate) async fn followed(&self, left: HandedOver, lost: Option<&UpgradeError>) {
        if let Some(lost) = lost {
            let written = self.parts.carry.as_ref().map(|file| file.write_encoded(&left.rooms));
            let line = match written {
                None => lost.to_string(),
                Some(Ok(())) => format!("{lost}; the next server has them go on"),
                Some(Err(error)) => format!("{lost}; nor can they be left to the next server: {error}"),
            };
            *self.parts.lost.lock() = Some(io::Error::other(line));
        }
        self.end(&left.names, HEAR_LIMIT).await;
    }
}
