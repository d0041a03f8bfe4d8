//! What the [script](super::script) does to Redis, in Rust: for tests in virtual time.

use super::{
    ask::{Answer, Ask, Epoch, Generation, Incarnation, Owned, Said},
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
}

#[derive(Debug, Clone)]
struct Record {
    node: Incarnation,
    epoch: Epoch,
    expires: Option<Time>,
    /// The epoch of the offer by which the node has it, or has it still.
    taken: Option<Epoch>,
    kept: Option<Epoch>,
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

    fn own(&mut self, room: &Arc<str>, node: &Incarnation, epoch: Epoch, expires: Option<Time>) {
        self.rooms
            .insert(room.clone(), Record { node: node.clone(), epoch, expires, taken: None, kept: None });
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
        Answer { generation, settling, said }
    }

    fn say(&mut self, now: Time, settling: Duration, me: &Incarnation, node: &Node, ask: &Ask) -> Said {
        let alive = self.lease(me, now).is_some();
        match ask {
            Ask::Renew { had: true } if settling.is_zero() && !alive => Said::Lost,
            Ask::Renew { .. } => {
                self.leases.insert(me.clone(), (now + self.ttl, node.clone()));
                self.nodes.insert(me.clone());
                Said::Done
            }
            Ask::Nodes => {
                let all = self.nodes.iter();
                Said::Nodes(all.map(|name| (name.clone(), self.lease(name, now).cloned())).collect())
            }
            Ask::Find { room } => match self.record(room, now).filter(|record| record.node != *me) {
                Some(record) => self.lease(&record.node, now).cloned().map_or(Said::Nowhere, Said::At),
                None => Said::Nowhere,
            },
            Ask::Claim { .. } if !settling.is_zero() => Said::Settling,
            Ask::Claim { .. } if !alive => Said::Lost,
            Ask::Claim { room, to, .. } => {
                let owner = self.record(room, now).map(|record| record.node.clone());
                let to = match owner {
                    Some(owner) if owner == *me => me,
                    Some(owner) if self.lease(&owner, now).is_some() => {
                        return self.lease(&owner, now).cloned().map_or(Said::Nowhere, Said::At);
                    }
                    _ if self.lease(to, now).is_some() => to,
                    _ => me,
                };
                self.epoch += 1;
                let expires = (to != me).then_some(now + PLACED);
                self.own(room, to, self.epoch, expires);
                if to == me { Said::Ours(self.epoch) } else { Said::At(self.leases[to].1.clone()) }
            }
            Ask::Restore(_) if !alive => Said::Lost,
            Ask::Restore(rooms) => {
                let mut refused = Vec::new();
                for Owned { room, epoch, .. } in rooms {
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
            Ask::Release { room, epoch } => {
                if self.rooms.get(room).is_some_and(|is| is.node == *me && is.epoch == *epoch) {
                    self.rooms.remove(room);
                }
                Said::Done
            }
            Ask::Bury(node) if settling > Duration::ZERO || self.lease(node, now).is_some() => Said::Done,
            Ask::Bury(node) => {
                self.rooms.retain(|_, record| record.node != *node);
                self.nodes.remove(node);
                Said::Done
            }
            Ask::Leave => {
                self.leases.remove(me);
                self.rooms.retain(|_, record| record.node != *me);
                self.nodes.remove(me);
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
                    return Said::Ours(is.epoch);
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
                Said::Ours(self.epoch)
            }
            Ask::Conclude { room, offered } => match self.record(room, now).cloned() {
                Some(is) if is.node == *me && is.epoch != *offered && is.kept != Some(*offered) => {
                    Said::Nowhere
                }
                Some(is) if is.node == *me => {
                    self.epoch += 1;
                    let epoch = self.epoch;
                    self.rooms
                        .entry(room.clone())
                        .and_modify(|is| (is.epoch, is.kept) = (epoch, Some(*offered)));
                    let offer = self.moving.remove(room).filter(|offer| offer.from == *me);
                    Said::Kept { epoch, why: offer.and_then(|offer| offer.parcel.err()) }
                }
                Some(is) => self.lease(&is.node, now).cloned().map_or(Said::Nowhere, Said::At),
                None => Said::Nowhere,
            },
        }
    }
}
