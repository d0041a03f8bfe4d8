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

use super::ask::{Answer, Ask, Epoch, Failure, Generation, Incarnation, Owned, Said};
use crate::ground::ownership::Ownership;
use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
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

/// Nothing is claimed without one.
const NO_LEASE: &str = "this node has no lease: it cannot reach Redis, or could not in time";

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
    asked: Option<Asked>,
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
struct Asked {
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

/// A room that this node has.
#[derive(Debug)]
struct Held {
    grant: Grant,
    /// How many have been told so and have not said yet that they need it no more.
    holds: usize,
    /// It cannot be held again when nobody holds it: it may have been given back already, or be another
    /// node's.
    released: bool,
}

/// A room is this node's: what of it concerns others. Clones are the [same](Self::is) grant; the next room of
/// its name has another, also on the same node.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// For how long.
    pub(super) owned: Arc<Ownership>,
    /// The node, and its epoch of the room: what is kept is written under them. 0: it is on its way here.
    pub(super) node: Incarnation,
    pub(super) epoch: Arc<AtomicU64>,
    /// Something of the room is kept that it has yet to go on from.
    pub(super) kept: Arc<AtomicBool>,
}

/// What is to be done for somebody who wants a room that is not here.
#[derive(Debug)]
pub(super) enum Claim {
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
pub(super) enum Claimed {
    /// The room is this node's, for as long as this lasts. [`Core::let_go`] gives it back.
    Ours(Grant),
    /// As Redis says.
    Said(Said),
    /// It cannot be told.
    Unknown(&'static str),
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
        self.asked = Some(Asked { id, ask: ask.clone(), sent: now, released });
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
        if let Some((room, held)) = self.releases.front() {
            // Whoever had it go on has ended it.
            let kept = held.grant.is_kept();
            return Some(Ask::Release { room: room.clone(), epoch: held.grant.epoch(), kept });
        }
        if now >= self.look_at {
            return Some(Ask::Nodes);
        }
        if now >= self.check_at {
            self.check_at = now + CHECK;
            return Some(Ask::Rooms { known: self.held.len() });
        }
        if now < self.take_at || !self.has_more_to_take() {
            return None;
        }
        let held = &self.held;
        let waits = |room: &Arc<str>, grant: &Grant| held.get(room).is_some_and(|held| held.grant.is(grant));
        self.taken.retain(|(room, grant)| grant.is_kept() && waits(room, grant));
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
        let Some(Asked { ask, sent, released, .. }) = self.asked.take_if(|asked| asked.id == id) else {
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

    /// A room that somebody else had. It is this node's, and held once; unless it was told so twice, and has
    /// given it back in between.
    fn take(&mut self, room: &Owned) -> Option<Grant> {
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

    /// A new one. Something of the room may be `kept`.
    fn grant(&self, epoch: Epoch, kept: bool) -> Grant {
        let (owned, node) = (self.ownership.clone(), self.me.clone());
        Grant { owned, node, epoch: Arc::new(epoch.into()), kept: Arc::new(kept.into()) }
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
        // What is being given back is not registered again, so it cannot be kept after all.
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

    /// Somebody wants a room that is not here.
    pub(super) fn claim(&mut self, now: Instant, room: &Arc<str>) -> Claim {
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
    pub(super) fn claimed(
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
            Said::Ours { epoch, kept } => {
                // It may have been taken over meanwhile: that is under the same epoch.
                if self.epoch_of(room) == Some(*epoch) {
                    return self.hold(room).map_or(Claimed::Unknown(NO_LEASE), Claimed::Ours);
                }
                match self.given_back(room, *epoch) {
                    Back::Not => {}
                    Back::Held(grant) => return Claimed::Ours(grant),
                    Back::Said => return Claimed::Unknown("the room has just been given back"),
                }
                Claimed::Ours(self.took(room, self.grant(*epoch, *kept)))
            }
            said => Claimed::Said(said.clone()),
        }
    }

    /// Somebody who was granted the room needs it no more. It is given back with the last; unless it is not
    /// this node's any more, or is by another grant.
    pub(super) fn let_go(&mut self, room: &Arc<str>, grant: &Grant) {
        let Some(held) = self.held.get_mut(room).filter(|held| held.grant.is(grant)) else { return };
        held.holds -= 1;
        if held.holds == 0 {
            // Of one that goes on from what is kept, something may be on its way to be kept in this epoch.
            let released = matches!(self.phase, Phase::Restoring { .. }) || grant.is_kept();
            let gone = self.held.remove_entry(room);
            let gone = gone.map(|(room, held)| (room, Held { released: held.released || released, ..held }));
            self.releases.extend(gone);
        }
    }

    /// Nobody here has the room that is this node's. Somebody is to go on from what is kept of it.
    pub(super) fn give_back(&mut self, Owned { room, epoch }: Owned) {
        let held = Held { grant: self.grant(epoch, true), holds: 0, released: true };
        self.releases.push_back((room, held));
    }

    /// Whether an answer is of the Redis that this node has told what it has.
    pub(super) fn trusts(&mut self, now: Instant, answer: &Answer) -> bool {
        let trusts = self.generation.as_ref() == Some(&answer.generation);
        if !trusts {
            self.mistrust(now, false);
        }
        trusts
    }

    /// Whether nobody here has the room, or has asked for it.
    pub(super) fn is_free(&self, room: &str) -> bool {
        !self.held.contains_key(room) && !self.claiming.contains_key(room)
    }

    /// Since which epoch the room is this node's.
    pub(super) fn epoch_of(&self, room: &str) -> Option<Epoch> {
        self.held.get(room).map(|held| held.grant.epoch())
    }

    /// What it has yet to do, but for what it does time and again.
    #[cfg(test)]
    pub(super) fn unrest(&self) -> Option<String> {
        let (releases, claiming) = (self.releases.len(), self.claiming.len());
        let rests = matches!(self.phase, Phase::Member) && releases == 0 && claiming == 0;
        (!rests).then(|| format!("{:?}: {releases} rooms to give back, {claiming} wanted", self.phase))
    }

    /// Whether the room is this node's by this grant.
    pub(super) fn has(&self, room: &str, grant: &Grant) -> bool {
        self.held.get(room).is_some_and(|held| held.grant.is(grant))
    }

    /// Another node is offered the room, or is not any more. What is offered is not the next one of its name.
    pub(super) fn offers(&mut self, room: &str, grant: &Grant, is_offered: bool) {
        if let Some(held) = self.held.get_mut(room).filter(|held| held.grant.is(grant)) {
            held.released = is_offered;
        }
    }

    /// For a room that is on its way here. It has no epoch until it is [taken](Self::took), and if it does
    /// not begin then, somebody may go on from what the other node has kept of it.
    pub(super) fn arriving(&self) -> Grant {
        self.grant(0, true)
    }

    /// The room is this node's, for one who is granted it: by this grant, or by that of those who have it
    /// already.
    pub(super) fn took(&mut self, room: &Arc<str>, grant: Grant) -> Grant {
        let new = || Held { grant: grant.clone(), holds: 0, released: false };
        let held = self.held.entry(room.clone()).or_insert_with(new);
        held.grant.since(grant.epoch());
        held.holds += 1;
        held.grant.clone()
    }

    /// The room is another node's. Those who had it here have yet to let it go, which changes nothing.
    pub(super) fn gave(&mut self, room: &str, grant: &Grant) {
        if self.has(room, grant) {
            self.held.remove(room);
        }
    }
}

impl Grant {
    /// Whether it is the same one.
    pub(super) fn is(&self, other: &Grant) -> bool {
        Arc::ptr_eq(&self.epoch, &other.epoch)
    }

    /// Since which epoch the room is this node's.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch.load(Relaxed)
    }

    /// The room is this node's since this epoch.
    pub(super) fn since(&self, epoch: Epoch) {
        self.epoch.store(epoch, Relaxed);
    }

    /// The room goes on: when it has ended, nothing of it is kept.
    pub(super) fn begins(&self) {
        self.kept.store(false, Relaxed);
    }

    /// The room is not had by this node any more, and goes on elsewhere, or here again.
    pub(super) fn stays(&self) {
        self.kept.store(true, Relaxed);
    }

    /// Whether something of the room is kept that it has yet to go on from.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.load(Relaxed)
    }
}

/// Whether a node whose lease lasts so long should have renewed it.
pub(super) fn is_silent(ttl: Duration, left: Duration) -> bool {
    left < ttl * 3 / 5
}
