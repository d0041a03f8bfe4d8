//! What the [script](super::script) does to Redis, and that of the [depot](super::depot), in Rust: for tests
//! in virtual time.

use super::{
    ask::{Answer, Ask, Epoch, Generation, Incarnation, Owned, Said},
    depot::Written,
    node::Node,
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Time since some beginning, by Redis's clock.
pub(super) type Time = Duration;

/// How long a room that was given to another node waits for somebody to come there.
const PLACED: Duration = Duration::from_secs(30);
/// How long an offer is good.
const OFFERED: Duration = Duration::from_secs(10);

/// How long a room is stored that does not go on anywhere.
const KEPT: Duration = Duration::from_secs(3_600);

/// The kind of all rooms.
pub(super) const KIND: &str = "arena";
/// Whose the rooms are that are stored, and that nobody has.
const NOBODY: &str = "nobody";

/// A Redis.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub run: Arc<str>,
    ttl: Duration,
    generation: Option<(Arc<str>, Time)>,
    epoch: Epoch,
    leases: BTreeMap<Incarnation, (Time, Node)>,
    nodes: BTreeSet<Incarnation>,
    rooms: BTreeMap<Arc<str>, Record>,
    moving: BTreeMap<Arc<str>, Offer>,
    /// What concerns nodes: to be taken out by whoever carries it.
    pub told: Vec<(Incarnation, &'static str, Arc<str>)>,
    stored: BTreeMap<Arc<str>, Stored>,
    inherited: BTreeMap<Incarnation, Vec<Arc<str>>>,
}

#[derive(Debug, Clone, Default)]
struct Stored {
    saved: Saved,
    /// What was written last.
    written: Option<(Incarnation, u64)>,
    /// While it does not go on: until when it is stored, how often it could not, and when to try again.
    until: Option<Time>,
    tries: u32,
    after: Time,
}

/// What is stored of a room: its checkpoint, and the frames since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Saved {
    pub row: Bytes,
    pub frames: Vec<u8>,
}

/// What is written of a room.
#[derive(Debug, Clone)]
pub(super) enum Keep {
    Put(Saved),
    /// To what was written with this number.
    Append {
        after: u64,
        frames: Vec<u8>,
    },
    Forget,
}

#[derive(Debug, Clone)]
struct Record {
    node: Incarnation,
    epoch: Epoch,
    expires: Option<Time>,
    /// The epoch of the offer by which the node has it, or has it still.
    taken: Option<Epoch>,
    stayed: Option<Epoch>,
    /// The number of what was written last.
    written: u64,
}

#[derive(Debug, Clone)]
struct Offer {
    from: Incarnation,
    to: Incarnation,
    epoch: Epoch,
    parcel: Result<Bytes, String>,
    expires: Time,
}

impl Model {
    pub(super) fn new(run: &str, ttl: Duration) -> Self {
        Self {
            run: run.into(),
            ttl,
            generation: None,
            epoch: 0,
            leases: BTreeMap::new(),
            nodes: BTreeSet::new(),
            rooms: BTreeMap::new(),
            moving: BTreeMap::new(),
            told: Vec::new(),
            stored: BTreeMap::new(),
            inherited: BTreeMap::new(),
        }
    }

    /// It has forgotten everything.
    pub(super) fn flush(&mut self) {
        *self = Self::new(&self.run.clone(), self.ttl);
    }

    fn lease(&self, node: &Incarnation, now: Time) -> Option<&Node> {
        self.leases.get(node).filter(|(expires, _)| *expires > now).map(|(_, node)| node)
    }

    fn record(&self, room: &str, now: Time) -> Option<&Record> {
        self.rooms.get(room).filter(|record| record.expires.is_none_or(|at| at > now))
    }

    /// Whether rooms may be claimed.
    pub(super) fn is_settled(&self, now: Time) -> bool {
        self.generation.as_ref().is_some_and(|(run, settles)| *run == self.run && *settles <= now)
    }

    /// What is stored.
    pub(super) fn stored(&self) -> impl Iterator<Item = (&Arc<str>, &Saved)> {
        self.stored.iter().map(|(room, stored)| (room, &stored.saved))
    }

    /// Something that nobody will look after: of nodes that are none, or of rooms that theirs does not know.
    pub(super) fn stray(
        &self,
        now: Time,
        is_known: impl Fn(&Incarnation, Option<&str>) -> bool,
    ) -> Option<String> {
        let node = self.nodes.iter().find(|node| !is_known(node, None));
        let stray =
            |(room, is): &(&Arc<str>, &Record)| is.expires.is_none() && !is_known(&is.node, Some(room));
        let room = self.rooms.iter().find(stray);
        let room = room.map(|(room, is)| format!("{room}: {is:?}, {:?}", self.saved(room)));
        room.or(node.map(|node| format!("Redis has a node {node}"))).filter(|_| self.is_settled(now))
    }

    /// The lease of a node is over.
    pub(super) fn lapse(&mut self, node: &Incarnation) {
        self.leases.remove(node);
    }

    /// What is stored of a room may be tried again.
    pub(super) fn is_due(&mut self, room: &str) {
        self.stored.entry(room.into()).and_modify(|stored| stored.after = Time::ZERO);
    }

    /// The room's record: its node, its epoch, and those of offers.
    pub(super) fn seen(&self, room: &str) -> Option<(Incarnation, Epoch, Option<Epoch>, Option<Epoch>)> {
        self.rooms.get(room).map(|is| (is.node.clone(), is.epoch, is.taken, is.stayed))
    }

    /// How often the room could not go on that is stored.
    pub(super) fn tries(&self, room: &str) -> Option<u32> {
        self.stored.get(room).map(|stored| stored.tries)
    }

    /// What is stored of the room.
    pub(super) fn saved(&self, room: &str) -> Option<&Saved> {
        self.stored.get(room).map(|stored| &stored.saved)
    }

    fn has(&self, now: Time, room: &str, node: &Incarnation, epoch: Epoch) -> bool {
        self.record(room, now).is_some_and(|record| record.node == *node && record.epoch == epoch)
    }

    /// The depot's script.
    pub(super) fn write(
        &mut self,
        now: Time,
        (room, node, epoch): (&Arc<str>, &Incarnation, Epoch),
        number: u64,
        keep: &Keep,
    ) -> Written {
        let is_later = |is: &Record| number >= is.written;
        if !self.has(now, room, node, epoch) || !self.rooms.get(room).is_some_and(is_later) {
            return Written::Fenced;
        }
        self.rooms.entry(room.clone()).and_modify(|is| is.written = number);
        match keep {
            Keep::Put(saved) => {
                let (saved, written) = (saved.clone(), Some((node.clone(), number)));
                self.stored.insert(room.clone(), Stored { saved, written, ..Stored::default() });
            }
            Keep::Append { after, frames } => {
                let Some(stored) = self.stored.get_mut(room) else { return Written::Gap };
                if stored.written == Some((node.clone(), *after)) {
                    stored.saved.frames.extend_from_slice(frames);
                    stored.written = Some((node.clone(), number));
                } else if stored.written != Some((node.clone(), number)) {
                    return Written::Gap;
                }
            }
            Keep::Forget => drop(self.stored.remove(room)),
        }
        Written::Done
    }

    /// What is stored of a room. None: the room is another's.
    pub(super) fn read(
        &self,
        now: Time,
        (room, node, epoch): (&Arc<str>, &Incarnation, Epoch),
    ) -> Option<Option<&Saved>> {
        self.has(now, room, node, epoch).then(|| self.saved(room))
    }

    /// Rooms of a node whose lease is over. `says`: what the other node says of itself that takes some.
    fn divide(
        &mut self,
        now: Time,
        node: &Incarnation,
        (me, says): (&Incarnation, Option<&Node>),
        most: usize,
    ) -> Vec<Owned> {
        let of = self.rooms.iter().filter(|(_, record)| record.node == *node);
        let of: Vec<Arc<str>> = of.map(|(room, _)| room.clone()).collect();
        let mut taken = Vec::new();
        for room in of {
            let Some(after) = self.stored.get(&room).map(|stored| stored.after) else {
                self.rooms.remove(&room);
                continue;
            };
            let nobodys = *node.0 == *NOBODY;
            if says.is_some_and(|says| !says.kinds.iter().any(|kind| kind == KIND)) {
                if !nobodys {
                    self.leave_alone(now, &room, false);
                }
            } else if taken.len() < most && (!nobodys || after <= now) {
                self.epoch += 1;
                self.own(&room, me, self.epoch, None);
                taken.push(Owned { room, epoch: self.epoch });
            }
        }
        if !self.rooms.values().any(|record| record.node == *node) {
            self.nodes.remove(node);
        }
        taken
    }

    /// Nobody has the room, which is stored.
    fn leave_alone(&mut self, now: Time, room: &Arc<str>, failed: bool) {
        let (Some(record), Some(stored)) = (self.rooms.get_mut(room), self.stored.get_mut(room)) else {
            return;
        };
        let until = *stored.until.get_or_insert(now + KEPT);
        if failed {
            stored.tries += 1;
            let wait = 500_u64.saturating_mul(1 << stored.tries.min(10)).min(60_000);
            stored.after = now + Duration::from_millis(wait);
        }
        let nobody = Incarnation(NOBODY.into());
        (record.node, record.expires) = (nobody.clone(), Some(until));
        self.nodes.insert(nobody);
    }

    fn own(&mut self, room: &Arc<str>, node: &Incarnation, epoch: Epoch, expires: Option<Time>) {
        let same = self.rooms.get(room).filter(|is| is.node == *node && is.epoch == epoch);
        let written = same.map_or(0, |is| is.written);
        let is = Record { node: node.clone(), epoch, expires, taken: None, stayed: None, written };
        self.rooms.insert(room.clone(), is);
    }

    fn offer(&self, room: &str, now: Time) -> Option<&Offer> {
        self.moving.get(room).filter(|offer| offer.expires > now)
    }

    /// The script.
    pub(super) fn ask(&mut self, now: Time, me: &Incarnation, node: &Node, ask: &Ask) -> Answer {
        let settles = match &self.generation {
            Some((run, settles)) if *run == self.run => *settles,
            _ => now + self.ttl,
        };
        self.generation = Some((self.run.clone(), settles));
        let settling = settles.saturating_sub(now);
        let said = self.say(now, settling, me, node, ask);
        let generation = Generation(format!("{} {settles:?}", self.run).into());
        Answer { generation, settling, removes: None, said }
    }

    fn say(&mut self, now: Time, settling: Duration, me: &Incarnation, node: &Node, ask: &Ask) -> Said {
        let alive = self.lease(me, now).is_some();
        match ask {
            Ask::Renew { had: true } if settling.is_zero() && !alive => Said::Lost,
            Ask::Renew { had: true } if life(me, 1).is_some_and(|next| self.lease(&next, now).is_some()) => {
                Said::Lost
            }
            Ask::Renew { had } => {
                self.leases.insert(me.clone(), (now + self.ttl, node.clone()));
                self.nodes.insert(me.clone());
                let before = life(me, -1).filter(|_| !had);
                if let Some((expires, _)) = before.and_then(|before| self.leases.get_mut(&before)) {
                    *expires = (*expires).min(now + self.ttl / 8);
                }
                Said::Done
            }
            Ask::Nodes => {
                let left = |name| self.leases.get(name).filter(|(expires, _)| *expires > now);
                let says = |name| left(name).map(|(expires, node)| (node.clone(), *expires - now));
                Said::Nodes(self.nodes.iter().map(|name| (name.clone(), says(name))).collect())
            }
            Ask::Where { room } => {
                let owner = self.record(room, now).map(|record| &record.node).filter(|owner| *owner != me);
                match owner.and_then(|owner| self.leases.get(owner)).filter(|(at, _)| *at > now) {
                    Some((expires, node)) => Said::At(node.clone(), *expires - now),
                    None => Said::Nowhere,
                }
            }
            Ask::Claim { room, to, make } => {
                let record = self.record(room, now);
                let mine = record.filter(|record| record.node == *me).map(|record| record.epoch);
                let owner = record.map(|record| record.node.clone());
                if let Some(owner) = owner.filter(|owner| owner != me)
                    && let Some((expires, node)) = self.leases.get(&owner).filter(|(at, _)| *at > now)
                {
                    return Said::At(node.clone(), *expires - now);
                }
                if !settling.is_zero() {
                    return Said::Settling;
                }
                if !alive {
                    return Said::Lost;
                }
                let stored = self.stored.contains_key(room);
                if !stored && !make && mine.is_none() {
                    return Said::Nowhere;
                }
                if stored && mine.is_none() && !node.goes_on_with().iter().any(|kind| kind == KIND) {
                    return Said::Foreign { kind: KIND.into() };
                }
                let to = if stored || mine.is_some() || self.lease(to, now).is_none() { me } else { to };
                let epoch = mine.unwrap_or(self.epoch + 1);
                self.epoch = self.epoch.max(epoch);
                let expires = (to != me).then_some(now + PLACED);
                self.own(room, to, epoch, expires);
                match self.leases.get(to).filter(|_| to != me) {
                    Some((expires, node)) => Said::At(node.clone(), *expires - now),
                    None => Said::Ours { epoch, stored },
                }
            }
            Ask::Restore(_) if !alive => Said::Lost,
            Ask::Restore(rooms) => {
                let mut refused = Vec::new();
                for Owned { room, epoch } in rooms {
                    let is = self.record(room, now).filter(|is| is.node != *me && is.epoch > *epoch);
                    if is.is_some_and(|is| self.lease(&is.node, now).is_some()) {
                        refused.push(room.clone());
                    } else {
                        self.own(room, me, *epoch, None);
                        self.epoch = self.epoch.max(*epoch);
                    }
                }
                Said::Restored { refused }
            }
            Ask::Release { room, epoch, stored } => {
                if self.rooms.get(room).is_some_and(|is| is.node == *me && is.epoch == *epoch) {
                    if *stored && self.stored.contains_key(room) {
                        self.leave_alone(now, room, true);
                    } else {
                        self.rooms.remove(room);
                        self.stored.remove(room);
                    }
                }
                Said::Done
            }
            Ask::Inherit { .. } if !alive => Said::Lost,
            Ask::Inherit { again: true, .. } => {
                let last = self.inherited.get(me).cloned().unwrap_or_default();
                let mine = last.into_iter().filter_map(|room| {
                    let record = self.rooms.get(&room).filter(|record| record.node == *me)?;
                    Some(Owned { epoch: record.epoch, room })
                });
                Said::Taken(mine.collect())
            }
            Ask::Inherit { from, .. } if settling > Duration::ZERO || self.lease(from, now).is_some() => {
                Said::Done
            }
            Ask::Inherit { from, most, .. } => {
                let most = if node.takes_more() { *most } else { 0 };
                let taken = self.divide(now, from, (me, Some(node)), most);
                self.inherited.insert(me.clone(), taken.iter().map(|owned| owned.room.clone()).collect());
                Said::Taken(taken)
            }
            Ask::Rooms { known } => {
                let mine = self.rooms.iter().filter(|(_, is)| is.node == *me && is.expires.is_none());
                let mine: Vec<_> =
                    mine.map(|(room, is)| Owned { room: room.clone(), epoch: is.epoch }).collect();
                Said::Taken(if mine.len() > *known { mine } else { Vec::new() })
            }
            Ask::Leave => {
                self.leases.remove(me);
                self.divide(now, me, (me, None), 0);
                Said::Done
            }
            Ask::Look { room } => match self.offer(room, now).filter(|offer| offer.to == *me) {
                Some(Offer { epoch, parcel: Ok(parcel), .. }) => {
                    Said::Offered { epoch: *epoch, parcel: parcel.clone() }
                }
                _ => Said::Nowhere,
            },
            Ask::Decline { room, offered, why } => {
                let offer = self.moving.get_mut(room).filter(|is| is.to == *me && is.epoch == *offered);
                if let Some(offer) = offer {
                    offer.parcel = Err(why.clone());
                    self.told.push((offer.from.clone(), "over", room.clone()));
                }
                Said::Done
            }
            Ask::Offer { .. } | Ask::Take { .. } | Ask::Conclude { .. } if !settling.is_zero() => {
                Said::Settling
            }
            Ask::Offer { .. } | Ask::Take { .. } | Ask::Conclude { .. } if !alive => Said::Lost,
            Ask::Offer { room, epoch, to, parcel } => {
                let is_ours = |is: &&Record| is.node == *me && is.epoch == *epoch;
                if self.record(room, now).filter(is_ours).is_none() || self.lease(to, now).is_none() {
                    return Said::Nowhere;
                }
                let (from, to, expires) = (me.clone(), to.clone(), now + OFFERED);
                self.told.push((to.clone(), "offer", room.clone()));
                let offer = Offer { from, to, epoch: *epoch, parcel: Ok(parcel.clone()), expires };
                self.moving.insert(room.clone(), offer);
                Said::Done
            }
            Ask::Take { room, offered } => {
                let Some(is) = self.record(room, now).cloned() else { return Said::Nowhere };
                if is.node == *me && is.taken == Some(*offered) {
                    return Said::Ours { epoch: is.epoch, stored: false };
                }
                let fits = |offer: &&Offer| {
                    let by_owner = offer.from == is.node && offer.epoch == is.epoch;
                    by_owner && offer.to == *me && offer.epoch == *offered && offer.parcel.is_ok()
                };
                if self.offer(room, now).filter(fits).is_none() {
                    return Said::Nowhere;
                }
                self.epoch += 1;
                self.own(room, me, self.epoch, None);
                self.rooms.entry(room.clone()).and_modify(|is| is.taken = Some(*offered));
                self.moving.remove(room);
                self.told.push((is.node, "over", room.clone()));
                Said::Ours { epoch: self.epoch, stored: false }
            }
            Ask::Conclude { room, offered } => match self.record(room, now).cloned() {
                Some(is) if is.node == *me && is.epoch != *offered && is.stayed != Some(*offered) => {
                    Said::Nowhere
                }
                Some(is) if is.node == *me => {
                    self.epoch += 1;
                    let epoch = self.epoch;
                    self.rooms
                        .entry(room.clone())
                        .and_modify(|is| (is.epoch, is.stayed) = (epoch, Some(*offered)));
                    let offer = self.moving.remove(room).filter(|offer| offer.from == *me);
                    Said::Stayed { epoch, why: offer.and_then(|offer| offer.parcel.err()) }
                }
                Some(is) => match self.lease(&is.node, now) {
                    Some(node) => Said::At(node.clone(), self.ttl),
                    None => Said::Nowhere,
                },
                None => Said::Nowhere,
            },
        }
    }
}

/// Another life of the same node.
fn life(of: &Incarnation, step: i64) -> Option<Incarnation> {
    let (origin, number) = of.0.rsplit_once('-')?;
    Some(Incarnation(format!("{origin}-{}", number.parse::<i64>().ok()? + step).into()))
}
