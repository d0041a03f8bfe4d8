//! The rooms that a node has, wants and gives back.

use super::{Core, Phase};
use crate::nodes::{
    ask::{Answer, Epoch, Failure, Incarnation, Owned, Said},
    grant::Grant,
};
use std::{sync::Arc, time::Instant};

/// Nothing is claimed without one.
const NO_LEASE: &str = "this node has no lease: it cannot reach Redis, or could not in time";

/// A room that this node has.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) grant: Grant,
    /// How many have been told so and have not said yet that they need it no more.
    pub(super) holds: usize,
    /// It cannot be held again when nobody holds it: it may have been given back already, or be another
    /// node's.
    pub(super) released: bool,
}

/// What is to be done for somebody who wants a room that is not here.
#[derive(Debug)]
pub(in crate::nodes) enum Claim {
    /// It is this node's: nobody has to be asked. [`Core::let_go`] gives it back.
    Ours(Grant),
    /// Something has been asked of the room already. Ask again when that is answered.
    Wait,
    /// Ask, as this incarnation and with this number.
    Ask(Incarnation, u64),
    /// It cannot be told whose it is.
    Unknown(&'static str),
}

/// The result of a claim.
#[derive(Debug)]
pub(in crate::nodes) enum Claimed {
    /// The room is this node's, for as long as this lasts. [`Core::let_go`] gives it back.
    Ours(Grant),
    /// As Redis says.
    Said(Said),
    /// It cannot be told.
    Unknown(&'static str),
}

/// What is known of a room that may be on its way back to Redis.
enum Back {
    /// It is not.
    Not,
    /// It was to be, and is held after all.
    Held(Grant),
    /// Redis has been told so, or is being told.
    Said,
}

impl Core {
    /// Somebody wants a room that is not here.
    pub(in crate::nodes) fn claim(&mut self, now: Instant, room: &Arc<str>) -> Claim {
        if !self.is_member(now) {
            return Claim::Unknown(NO_LEASE);
        }
        if let Some(grant) = self.hold(room) {
            return Claim::Ours(grant);
        }
        if self.claiming.contains_key(room) {
            return Claim::Wait;
        }
        if self.asked.as_ref().and_then(|asked| asked.released.as_ref()).is_some_and(|(of, _)| of == room) {
            return Claim::Wait;
        }
        if let Some(at) = self.releases.iter().position(|(of, _)| of == room) {
            if self.releases[at].1.released {
                return Claim::Wait;
            }
            if let Some(grant) = self.hold_again(at) {
                return Claim::Ours(grant);
            }
        }
        self.questions += 1;
        self.claiming.insert(room.clone(), self.questions);
        Claim::Ask(self.me.clone(), self.questions)
    }

    /// The room, if it is this node's.
    fn hold(&mut self, room: &str) -> Option<Grant> {
        let held = self.held.get_mut(room)?;
        held.holds += 1;
        Some(held.grant.clone())
    }

    /// The answer to a claim. None: an earlier incarnation has asked, and those who waited for it were told
    /// when its lease was over.
    pub(in crate::nodes) fn claimed(
        &mut self,
        now: Instant,
        id: u64,
        room: &Arc<str>,
        answer: Result<&Answer, &Failure>,
    ) -> Option<Claimed> {
        if self.claiming.get(room) != Some(&id) {
            return None;
        }
        self.claiming.remove(room);
        Some(self.means(now, room, answer))
    }

    fn means(&mut self, now: Instant, room: &Arc<str>, answer: Result<&Answer, &Failure>) -> Claimed {
        if !self.is_member(now) {
            return Claimed::Unknown(NO_LEASE);
        }
        let Ok(answer) = answer else { return Claimed::Unknown("Redis does not answer") };
        if !self.trusts(now, answer) {
            return Claimed::Unknown("Redis has just been replaced");
        }
        match &answer.said {
            Said::Ours { epoch, stored } => {
                // It may have been taken over meanwhile: that is under the same epoch.
                if self.epoch_of(room) == Some(*epoch) {
                    return self.hold(room).map_or(Claimed::Unknown(NO_LEASE), Claimed::Ours);
                }
                match self.given_back(room, *epoch) {
                    Back::Not => {}
                    Back::Held(grant) => return Claimed::Ours(grant),
                    Back::Said => return Claimed::Unknown("the room has just been given back"),
                }
                Claimed::Ours(self.took(room, self.grant(*epoch, *stored)))
            }
            said => Claimed::Said(said.clone()),
        }
    }

    /// Somebody who was granted the room needs it no more. It is given back with the last; unless it is not
    /// this node's any more, or is by another grant.
    pub(in crate::nodes) fn let_go(&mut self, room: &Arc<str>, grant: &Grant) {
        let Some(held) = self.held.get_mut(room).filter(|held| held.grant.is(grant)) else { return };
        held.holds -= 1;
        if held.holds == 0 {
            // Of one that goes on from what is stored, something may be on its way there in this epoch.
            let released = matches!(self.phase, Phase::Restoring { .. }) || grant.is_stored();
            let gone = self.held.remove_entry(room);
            let gone = gone.map(|(room, held)| (room, Held { released: held.released || released, ..held }));
            self.releases.extend(gone);
        }
    }

    /// Nobody here has the room that is this node's. Somebody is to go on from what is stored of it.
    pub(in crate::nodes) fn give_back(&mut self, Owned { room, epoch }: Owned) {
        let held = Held { grant: self.grant(epoch, true), holds: 0, released: true };
        self.releases.push_back((room, held));
    }

    /// Whether nobody here has the room, or has asked for it.
    pub(in crate::nodes) fn is_free(&self, room: &str) -> bool {
        !self.held.contains_key(room) && !self.claiming.contains_key(room)
    }

    /// Since which epoch the room is this node's.
    pub(in crate::nodes) fn epoch_of(&self, room: &str) -> Option<Epoch> {
        self.held.get(room).map(|held| held.grant.epoch())
    }

    /// Whether the room is this node's by this grant.
    pub(in crate::nodes) fn has(&self, room: &str, grant: &Grant) -> bool {
        self.held.get(room).is_some_and(|held| held.grant.is(grant))
    }

    /// Another node is offered the room, or is not any more. What is offered is not the next one of its name.
    pub(in crate::nodes) fn offers(&mut self, room: &str, grant: &Grant, is_offered: bool) {
        if let Some(held) = self.held.get_mut(room).filter(|held| held.grant.is(grant)) {
            held.released = is_offered;
        }
    }

    /// For a room that is on its way here. It has no epoch until it is [taken](Self::took), and if it does
    /// not begin then, somebody may go on from what the other node has stored of it.
    pub(in crate::nodes) fn arriving(&self) -> Grant {
        self.grant(0, true)
    }

    /// The room is this node's, for one who is granted it: by this grant, or by that of those who have it
    /// already.
    pub(in crate::nodes) fn took(&mut self, room: &Arc<str>, grant: Grant) -> Grant {
        let new = || Held { grant: grant.clone(), holds: 0, released: false };
        let held = self.held.entry(room.clone()).or_insert_with(new);
        held.grant.since(grant.epoch());
        held.holds += 1;
        held.grant.clone()
    }

    /// The room is another node's. Those who had it here have yet to let it go, which changes nothing.
    pub(in crate::nodes) fn gave(&mut self, room: &str, grant: &Grant) {
        if self.has(room, grant) {
            self.held.remove(room);
        }
    }

    /// A room that somebody else had. It is this node's, and held once; unless it was told so twice, and has
    /// given it back in between.
    pub(super) fn take(&mut self, room: &Owned) -> Option<Grant> {
        if self.epoch_of(&room.room) == Some(room.epoch)
            && let Some(grant) = self.hold(&room.room)
        {
            return Some(grant);
        }
        match self.given_back(&room.room, room.epoch) {
            Back::Not => {}
            Back::Held(grant) => return Some(grant),
            Back::Said => return None,
        }
        let grant = self.took(&room.room, self.grant(room.epoch, true));
        self.taken.push((room.room.clone(), grant.clone()));
        Some(grant)
    }

    /// Whether the room, which is this node's since this epoch, is being given back. If Redis has not been
    /// told yet, it is held after all: as it would be for one who wants it now.
    fn given_back(&mut self, room: &Arc<str>, epoch: Epoch) -> Back {
        let is_this = |(of, held): &(Arc<str>, Held)| of == room && held.grant.epoch() == epoch;
        if self.asked.as_ref().and_then(|asked| asked.released.as_ref()).is_some_and(is_this) {
            return Back::Said;
        }
        match self.releases.iter().position(is_this) {
            None => Back::Not,
            Some(at) if self.releases[at].1.released => Back::Said,
            Some(at) => self.hold_again(at).map_or(Back::Not, Back::Held),
        }
    }

    /// A room that has ended, and was to be given back, is held for the next one of its name, by another
    /// grant in the same epoch.
    fn hold_again(&mut self, at: usize) -> Option<Grant> {
        let (room, Held { grant: was, .. }) = self.releases.remove(at)?;
        let grant = self.grant(was.epoch(), false);
        self.held.insert(room, Held { grant: grant.clone(), holds: 1, released: false });
        Some(grant)
    }

    /// A new one. Something of the room may be `stored`.
    fn grant(&self, epoch: Epoch, stored: bool) -> Grant {
        let (owned, node) = (self.ownership.clone(), self.me.clone());
        Grant { owned, node, epoch: Arc::new(epoch.into()), stored: Arc::new(stored.into()) }
    }
}
