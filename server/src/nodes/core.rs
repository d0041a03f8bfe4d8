//! A node's lease and rooms: what it asks next, and what it owns. Pure: it is told the time, and what Redis
//! has answered.
//!
//! ```text
//!             Done                      Done, another generation              all restored
//!   Joining ─────────► Member ───────────────────────────────► Restoring ─────────────► Member
//!      ▲                  │ lease over by this node's clock,        │
//!      └──────────────────┴── or Lost: another incarnation ─────────┘
//! ```
//!
//! Time counts from when a request was *sent* that succeeded, less a margin, so that this node stops before
//! Redis counts its lease as over. While it registers its rooms again, its lease is not extended: others may
//! claim rooms only one lease after Redis has changed, and by then it has registered them all, or stopped.

mod rooms;

pub(super) use rooms::{Claim, Claimed};

use super::{
    ask::{Answer, Ask, Failure, Generation, Incarnation, Owned, Said},
    grant::Grant,
};
use crate::ground::ownership::Ownership;
use rooms::Held;
use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// Rooms registered again at once.
const BATCH: usize = if cfg!(test) { 2 } else { 200 };
/// Time between two looks at who else is there.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two looks for rooms that Redis counts as this node's, and that it does not know.
const CHECK: Duration = Duration::from_secs(5);
/// Most rooms that a node takes over at once: the others have their turn while it has them go on.
const TAKE: usize = if cfg!(test) { 3 } else { 16 };
/// Until it may take more.
const TAKE_AGAIN: Duration = Duration::from_millis(20);
/// From when on it is looked for a lease that is over.
const JUST_OVER: Duration = Duration::from_millis(2);
/// Time between two attempts after a failure.
const AGAIN: Duration = Duration::from_millis(100);

/// A node's lease and rooms.
#[derive(Debug)]
pub(super) struct Core {
    ttl: Duration,
    /// What names its incarnations begin with, which no other process has.
    origin: Arc<str>,
    incarnations: u64,
    me: Incarnation,
    ownership: Arc<Ownership>,
    phase: Phase,
    /// That of the last answer.
    generation: Option<Generation>,
    held: HashMap<Arc<str>, Held>,
    /// Rooms that are being claimed, with the numbers of the questions: one at a time, because an answer that
    /// comes late would speak of what has been given back since.
    claiming: HashMap<Arc<str>, u64>,
    /// What was asked and is not answered yet, other than claims.
    asked: Option<Pending>,
    /// How much was asked.
    questions: u64,
    renew_at: Instant,
    /// After a failure, nothing is asked before this time.
    quiet_until: Instant,
    look_at: Instant,
    check_at: Instant,
    releases: VecDeque<(Arc<str>, Held)>,
    dead: Vec<Incarnation>,
    /// It is unknown which of this one's rooms were taken over.
    unsure: Option<Incarnation>,
    /// Rooms that it has taken over, and that neither go on yet nor were given back.
    taken: Vec<(Arc<str>, Grant)>,
    take_at: Instant,
    /// How late the last renewal was.
    lateness: Duration,
}

/// A question to Redis, other than a claim.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    /// Its number.
    pub id: u64,
    /// Who asks.
    pub me: Incarnation,
    pub ask: Ask,
}

#[derive(Debug)]
struct Pending {
    id: u64,
    ask: Ask,
    sent: Instant,
    /// What is given back with it.
    released: Option<(Arc<str>, Held)>,
}

#[derive(Debug)]
enum Phase {
    /// It has no lease.
    Joining,
    /// It has one.
    Member,
    /// Redis may have forgotten its rooms: these are left. `since`: when the renewal was sent.
    Restoring { since: Instant, left: Vec<Arc<str>> },
    /// It has given the lease up, or is about to.
    Leaving { told: bool },
}

/// The lease is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lapsed {
    /// The rooms that ended with it.
    pub rooms: usize,
    /// Redis had it no more, as opposed to this node's clock.
    pub lost: bool,
}

/// What an answer to [`Core::poll`] means.
#[derive(Debug, Default)]
pub(super) struct Means {
    /// The lease is over.
    pub lapsed: Option<Lapsed>,
    /// These rooms are others': they have to end here.
    pub not_ours: Vec<Arc<str>>,
    /// These rooms are this node's now, and have to go on. [`Core::let_go`] gives them back.
    pub taken: Vec<(Arc<str>, Grant)>,
    /// These rooms are this node's, and nobody here knows them, because an answer was lost, or Redis has
    /// forgotten that they were given back. [`Core::give_back`] does so.
    pub strays: Vec<Owned>,
}

impl Core {
    /// A node that has no lease yet. `origin` is unique: a name and something random.
    pub(super) fn new(origin: &str, ttl: Duration, now: Instant) -> Self {
        Self {
            ttl,
            origin: origin.into(),
            incarnations: 1,
            me: Incarnation(format!("{origin}-1").into()),
            ownership: Arc::new(Ownership::new(now)),
            phase: Phase::Joining,
            generation: None,
            held: HashMap::new(),
            claiming: HashMap::new(),
            asked: None,
            questions: 0,
            renew_at: now,
            quiet_until: now,
            look_at: now,
            check_at: now + CHECK,
            releases: VecDeque::new(),
            dead: Vec::new(),
            unsure: None,
            taken: Vec::new(),
            take_at: now,
            lateness: Duration::ZERO,
        }
    }

    /// Its present name.
    pub(super) fn me(&self) -> &Incarnation {
        &self.me
    }

    /// How long its lease is.
    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Whether it owns what it holds.
    pub(super) fn is_member(&self, now: Instant) -> bool {
        !matches!(self.phase, Phase::Joining) && !self.ownership.is_over(now)
    }

    /// How much later than it was due the last renewal was confirmed.
    pub(super) fn lateness(&self) -> Duration {
        self.lateness
    }

    /// How long before the end in Redis it stops.
    fn margin(&self) -> Duration {
        self.ttl / 8
    }

    /// Time between two renewals.
    fn interval(&self) -> Duration {
        self.ttl / 5
    }

    /// When to call [`lapse`](Self::lapse) and [`poll`](Self::poll), if nothing is answered before. None:
    /// only an answer leads on.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let over = match self.phase {
            Phase::Member | Phase::Restoring { .. } => Some(self.ownership.until()),
            Phase::Joining | Phase::Leaving { .. } => None,
        };
        let due = match &self.phase {
            _ if self.asked.is_some() => None,
            Phase::Leaving { told: true } => None,
            Phase::Leaving { told: false } | Phase::Joining | Phase::Restoring { .. } => Some(self.renew_at),
            Phase::Member if !self.releases.is_empty() => Some(self.quiet_until),
            Phase::Member => {
                let take_at = self.has_more_to_take().then_some(self.take_at);
                [self.renew_at, self.look_at, self.check_at].into_iter().chain(take_at).min()
            }
        };
        due.map(|due| due.max(self.quiet_until)).into_iter().chain(over).min()
    }

    /// The next question, other than claims: one at a time. [`answered`](Self::answered) comes before the
    /// next, unless the lease ends meanwhile: then nobody waits for the answer any more.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Question> {
        if self.asked.is_some() || now < self.quiet_until {
            return None;
        }
        let ask = self.next(now)?;
        self.questions += 1;
        let id = self.questions;
        let released = if let Ask::Release { .. } = ask { self.releases.pop_front() } else { None };
        self.asked = Some(Pending { id, ask: ask.clone(), sent: now, released });
        Some(Question { id, me: self.me.clone(), ask })
    }

    fn next(&mut self, now: Instant) -> Option<Ask> {
        match &mut self.phase {
            Phase::Leaving { told: true } => return None,
            Phase::Leaving { told } => {
                *told = true;
                return Some(Ask::Leave);
            }
            Phase::Joining | Phase::Member if now >= self.renew_at => {
                return Some(Ask::Renew { had: matches!(self.phase, Phase::Member) });
            }
            Phase::Restoring { left, .. } if now >= self.renew_at => {
                let some = left.iter().rev().take(BATCH).filter_map(|room| {
                    let held = self.held.get(room)?;
                    Some(Owned { room: room.clone(), epoch: held.grant.epoch() })
                });
                return Some(Ask::Restore(some.collect()));
            }
            Phase::Joining | Phase::Member | Phase::Restoring { .. } => {}
        }
        if !matches!(self.phase, Phase::Member) {
            return None;
        }
        if now >= self.look_at {
            return Some(Ask::Nodes);
        }
        // However many rooms end here, those of a dead node do not wait for that.
        if let Some(inherit) = self.inherit(now) {
            return Some(inherit);
        }
        if let Some((room, held)) = self.releases.front() {
            // Whoever had it go on has ended it.
            let stored = held.grant.is_stored();
            return Some(Ask::Release { room: room.clone(), epoch: held.grant.epoch(), stored });
        }
        if now >= self.check_at {
            self.check_at = now + CHECK;
            return Some(Ask::Rooms { known: self.held.len() });
        }
        None
    }

    /// Asks for rooms of a node that is dead, unless there are none, or enough have come.
    fn inherit(&mut self, now: Instant) -> Option<Ask> {
        if now < self.take_at || !self.has_more_to_take() {
            return None;
        }
        let held = &self.held;
        let waits = |room: &Arc<str>, grant: &Grant| held.get(room).is_some_and(|held| held.grant.is(grant));
        self.taken.retain(|(room, grant)| grant.is_stored() && waits(room, grant));
        let most = TAKE.saturating_sub(self.taken.len());
        if most == 0 {
            self.take_at = now + TAKE_AGAIN;
            return None;
        }
        let (from, again) = match &self.unsure {
            Some(from) => (from.clone(), true),
            None => (self.dead.pop()?, false),
        };
        Some(Ask::Inherit { from, most, again })
    }

    fn has_more_to_take(&self) -> bool {
        !self.dead.is_empty() || self.unsure.is_some()
    }

    /// The answer to a question of [`poll`](Self::poll).
    pub(super) fn answered(&mut self, now: Instant, id: u64, answer: Result<&Answer, &Failure>) -> Means {
        let Some(Pending { ask, sent, released, .. }) = self.asked.take_if(|asked| asked.id == id) else {
            return Means::default();
        };
        let Ok(answer) = answer else {
            // Whether Redis has done it is unknown.
            let again = released.map(|(room, held)| (room, Held { released: true, ..held }));
            again.into_iter().for_each(|again| self.releases.push_front(again));
            if let Ask::Inherit { from, .. } = ask {
                self.unsure = Some(from);
            }
            self.quiet_until = now + AGAIN;
            return Means::default();
        };
        let known =
            self.generation.replace(answer.generation.clone()).is_none_or(|was| was == answer.generation);
        match (ask, &answer.said) {
            (Ask::Renew { .. }, Said::Lost) => {
                return Means { lapsed: self.over(now, true), ..Means::default() };
            }
            (Ask::Restore(_), Said::Lost) if known => {
                return Means { lapsed: self.over(now, true), ..Means::default() };
            }
            // Until the others have stopped, or this one.
            (Ask::Renew { .. }, Said::OtherLease(_)) => self.renew_at = now + LOOK,
            (Ask::Renew { had }, Said::Done) => {
                self.lateness = now.saturating_duration_since(self.renew_at);
                self.renewed(now, sent, had, known);
            }
            (Ask::Restore(rooms), Said::Restored { refused }) if known => {
                refused.iter().for_each(|room| drop(self.held.remove(room)));
                self.restored(now, rooms.len());
                return Means { not_ours: refused.clone(), ..Means::default() };
            }
            // Another one again: the next renewal tells it everything.
            (Ask::Restore(_), _) => {
                self.phase = Phase::Member;
                self.quiet_until = now + AGAIN;
                self.mistrust(now, false);
            }
            (Ask::Nodes, Said::Nodes(nodes)) => {
                let over = nodes.iter().filter_map(|(name, node)| Some((name, node.as_ref()?.1)));
                let over = over.filter(|(name, left)| **name != self.me && is_silent(self.ttl, *left));
                let next = over.map(|(_, left)| left + JUST_OVER).min().unwrap_or(LOOK);
                self.look_at = now + next.min(LOOK);
                // While rooms are registered again, nobody is dead for certain.
                let settled = answer.settling.is_zero();
                let dead = nodes.iter().filter(|(_, node)| node.is_none() && settled);
                self.dead = dead.map(|(name, _)| name.clone()).filter(|name| *name != self.me).collect();
                self.mistrust(now, known);
            }
            (Ask::Inherit { from, most, again }, Said::Taken(rooms)) if known => {
                self.unsure = None;
                if rooms.len() == most || again {
                    self.dead.push(from); // there may be more
                }
                let taken = rooms.iter().filter_map(|room| Some((room.room.clone(), self.take(room)?)));
                let taken = taken.collect();
                return Means { taken, ..Means::default() };
            }
            (Ask::Rooms { .. }, Said::Taken(rooms)) if known && self.unsure.is_none() => {
                let is_stray = |owned: &&Owned| {
                    let given_back = self.releases.iter().any(|(room, _)| *room == owned.room);
                    self.is_free(&owned.room) && !given_back
                };
                return Means {
                    strays: rooms.iter().filter(is_stray).cloned().collect(),
                    ..Means::default()
                };
            }
            (Ask::Inherit { from, .. }, said) => {
                // One that has no lease any more has nothing, as the next renewal says.
                self.unsure = Some(from).filter(|_| !known && *said != Said::Lost);
                self.mistrust(now, known);
            }
            _ => self.mistrust(now, known),
        }
        Means::default()
    }

    /// Redis may have forgotten something: it is told of all rooms with the next renewal.
    fn mistrust(&mut self, now: Instant, known: bool) {
        if !known {
            self.renew_at = now;
            // Whatever the next answer says is another one.
            self.generation = Some(Generation("".into()));
        }
    }

    fn renewed(&mut self, now: Instant, sent: Instant, had: bool, known: bool) {
        self.renew_at = sent + self.interval();
        if known || !had {
            self.phase = Phase::Member;
            return self.ownership.extend(sent + self.ttl - self.margin());
        }
        self.renew_at = now;
        let mut left: Vec<_> = self.held.keys().cloned().collect();
        left.sort_unstable();
        self.phase = Phase::Restoring { since: sent, left };
        // What is being given back is not registered again, so it cannot be stored after all.
        self.releases.iter_mut().for_each(|(_, held)| held.released = true);
        self.restored(now, 0);
    }

    /// So many are registered again.
    fn restored(&mut self, now: Instant, count: usize) {
        let Phase::Restoring { since, left } = &mut self.phase else { return };
        left.truncate(left.len().saturating_sub(count));
        // Rooms that have ended meanwhile.
        while left.last().is_some_and(|room| !self.held.contains_key(room)) {
            left.pop();
        }
        if left.is_empty() {
            let until = *since + self.ttl - self.margin();
            self.phase = Phase::Member;
            self.ownership.extend(until);
        }
        self.renew_at = now;
    }

    /// Whether the lease has run out by now: then nothing is held any more.
    pub(super) fn lapse(&mut self, now: Instant) -> Option<Lapsed> {
        let over = !matches!(self.phase, Phase::Joining | Phase::Leaving { .. });
        (over && self.ownership.is_over(now)).then(|| self.over(now, false)).flatten()
    }

    /// Another incarnation begins.
    fn over(&mut self, now: Instant, lost: bool) -> Option<Lapsed> {
        self.ownership.end();
        if let Phase::Leaving { .. } = self.phase {
            return None;
        }
        let had = !matches!(mem::replace(&mut self.phase, Phase::Joining), Phase::Joining);
        let rooms = mem::take(&mut self.held).len();
        self.incarnations += 1;
        self.me = Incarnation(format!("{}-{}", self.origin, self.incarnations).into());
        self.ownership = Arc::new(Ownership::new(now));
        self.releases.clear();
        self.taken.clear();
        self.unsure = None;
        // An answer to what the last one has asked is nobody's.
        self.asked = None;
        self.claiming.clear();
        self.renew_at = now;
        had.then_some(Lapsed { rooms, lost })
    }

    /// Gives everything up. The question that says so is next.
    pub(super) fn leave(&mut self, now: Instant) {
        self.ownership.end();
        self.held.clear();
        self.phase = Phase::Leaving { told: false };
        (self.asked, self.renew_at) = (None, now);
    }

    /// Whether it has given everything up, and nobody needs to be told any more.
    pub(super) fn has_left(&self) -> bool {
        matches!(self.phase, Phase::Leaving { told: true }) && self.asked.is_none()
    }

    /// Whether an answer is of the Redis that this node has told what it has.
    pub(super) fn trusts(&mut self, now: Instant, answer: &Answer) -> bool {
        let trusts = self.generation.as_ref() == Some(&answer.generation);
        if !trusts {
            self.mistrust(now, false);
        }
        trusts
    }

    /// What it has yet to do, but for what it does time and again.
    #[cfg(test)]
    pub(super) fn unrest(&self) -> Option<String> {
        let (releases, claiming) = (self.releases.len(), self.claiming.len());
        let rests = matches!(self.phase, Phase::Member) && releases == 0 && claiming == 0;
        (!rests).then(|| format!("{:?}: {releases} rooms to give back, {claiming} wanted", self.phase))
    }
}

/// Whether a node whose lease lasts so long should have renewed it.
pub(super) fn is_silent(ttl: Duration, left: Duration) -> bool {
    left < ttl * 3 / 5
}
