//! Rooms on their way from one node to another: what each end asks next. Pure, as the [core](super::core).
//!
//! ```text
//!  giver:  stops the room ─► Offer ─► waits ─────────────► Conclude ─► gone: clients are told
//!                                    (told, or impatient)          └─► stayed: the room goes on here
//!  taker:         told ─► Look ─► makes the room ready ─► Take ─► ours: the room goes on there
//!                                            └─► Decline     └─► nowhere: it was withdrawn
//! ```
//!
//! Both have the room in memory as it is after its last tick, and neither lets it go on until Redis has said
//! whose it is: the one whose `Take` or `Conclude` comes first. So it is somebody's at any time: a taker that
//! dies or hangs is concluded, and a giver that dies has given the room away or not. What is told is a hint:
//! who misses one asks a little later.

use super::{
    ask::{Answer, Ask, Epoch, Failure, Incarnation, Said},
    core::Core,
    grant::Grant,
    node::Node,
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long another node has to make a room ready. Its players see nothing new meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two attempts to find out whose a room is.
const AGAIN: Duration = Duration::from_millis(50);

/// The rooms that this node gives and takes.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    giving: BTreeMap<Arc<str>, Giving>,
    taking: BTreeMap<Arc<str>, Taking>,
    questions: u64,
}

/// What becomes of a room.
#[derive(Debug)]
pub(super) enum Progress {
    /// It is to be made ready from this: [`Transfers::is_ready`] and [`Transfers::is_unfit`] go on. It will
    /// be this node's by this grant: [`Transfers::abandon`] and [`Core::let_go`] give it back.
    Offered { room: Arc<str>, offered: Epoch, parcel: Bytes, grant: Grant },
    /// It is this node's, and goes on.
    Taken { room: Arc<str> },
    /// It is not this node's, and what was made ready is forgotten.
    NotTaken { room: Arc<str> },
    /// It goes on where it was. `why`: the other node could not have it.
    Stayed { room: Arc<str>, why: Option<String> },
    /// It goes on at another node.
    Gone { room: Arc<str>, node: Box<Node> },
    /// It is nobody's: the other node has died with it, or this node has lost its lease.
    Lost { room: Arc<str> },
}

/// A question about a room.
#[derive(Debug)]
pub(super) struct Query {
    pub id: u64,
    pub room: Arc<str>,
    pub me: Incarnation,
    pub ask: Ask,
}

#[derive(Debug)]
struct Giving {
    /// By which it is this node's.
    grant: Grant,
    step: Going,
    asked: Option<u64>,
    /// When to ask next.
    due: Instant,
    /// The other node has said that it is done.
    told: bool,
}

#[derive(Debug)]
enum Going {
    Offer { epoch: Epoch, to: Incarnation, parcel: Bytes },
    Conclude { offered: Epoch },
}

#[derive(Debug)]
struct Taking {
    step: Coming,
    asked: Option<u64>,
    due: Instant,
}

#[derive(Debug)]
enum Coming {
    Look,
    /// It is being made ready.
    Ready {
        offered: Epoch,
        grant: Grant,
    },
    /// `abandoned`: nobody has it ready any more.
    Take {
        offered: Epoch,
        grant: Grant,
        abandoned: bool,
    },
    Decline {
        offered: Epoch,
        why: String,
    },
}

impl Transfers {
    /// The room that is this node's by this grant stands still, and another node is to have it. False: it is
    /// not this node's any more, or on its way already.
    pub(super) fn give(
        &mut self,
        now: Instant,
        core: &mut Core,
        (room, grant): (&Arc<str>, &Grant),
        to: Incarnation,
        parcel: Bytes,
    ) -> bool {
        if !core.has(room, grant) || self.giving.contains_key(room) {
            return false;
        }
        core.offers(room, grant, true);
        let step = Going::Offer { epoch: grant.epoch(), to, parcel };
        let giving = Giving { grant: grant.clone(), step, asked: None, due: now, told: false };
        self.giving.insert(room.clone(), giving);
        true
    }

    /// Another node offers a room.
    pub(super) fn offered(&mut self, now: Instant, room: &Arc<str>) {
        if !self.taking.contains_key(room) {
            let taking = Taking { step: Coming::Look, asked: None, due: now };
            self.taking.insert(room.clone(), taking);
        }
    }

    /// Another node has taken what was offered, or cannot.
    pub(super) fn is_over(&mut self, now: Instant, room: &str) {
        if let Some(giving) = self.giving.get_mut(room) {
            giving.told = true;
            giving.due = now;
        }
    }

    /// The room that was offered in this epoch is ready to go on here. False: nobody waits for it any more.
    pub(super) fn is_ready(&mut self, now: Instant, core: &Core, room: &str, offered: Epoch) -> bool {
        if !core.is_free(room) {
            self.is_unfit(now, room, offered, "another room of its name begins there".to_owned());
            return false;
        }
        let Some(grant) = self.ready(room, offered) else { return false };
        let grant = grant.clone();
        self.go_on(now, room, Coming::Take { offered, grant, abandoned: false });
        true
    }

    /// Whether the room may be this node's already, or still: it has asked for it or offered it, and does not
    /// know whose it is. Then nobody here claims it, because a claim would be answered with an older epoch.
    pub(super) fn may_have(&self, room: &str) -> bool {
        self.giving.contains_key(room)
            || self.taking.get(room).is_some_and(|taking| matches!(taking.step, Coming::Take { .. }))
    }

    /// The room cannot go on here.
    pub(super) fn is_unfit(&mut self, now: Instant, room: &str, offered: Epoch, why: String) {
        let declines = |taking: &Taking| {
            let is = matches!(taking.step, Coming::Decline { offered: is, .. } if is == offered);
            is && taking.asked.is_none()
        };
        if self.ready(room, offered).is_some() || self.taking.get(room).is_some_and(declines) {
            self.go_on(now, room, Coming::Decline { offered, why });
        }
    }

    /// By which grant the room will be this node's that was offered in this epoch, and is being made ready.
    fn ready(&self, room: &str, offered: Epoch) -> Option<&Grant> {
        match &self.taking.get(room)?.step {
            Coming::Ready { offered: is, grant } if *is == offered => Some(grant),
            _ => None,
        }
    }

    fn go_on(&mut self, now: Instant, room: &str, step: Coming) {
        if let Some(taking) = self.taking.get_mut(room) {
            (taking.step, taking.due) = (step, now);
        }
    }

    /// Nobody needs the room any more that would be this node's by this grant.
    pub(super) fn abandon(&mut self, now: Instant, room: &str, of: &Grant) {
        let Some(taking) = self.taking.get_mut(room) else { return };
        match &mut taking.step {
            Coming::Ready { offered, grant } if grant.is(of) => {
                let decline = Coming::Decline { offered: *offered, why: "it has ended there".to_owned() };
                // Whoever knows better says so at once.
                self.go_on(now + AGAIN, room, decline);
            }
            Coming::Take { grant, abandoned, .. } if grant.is(of) => *abandoned = true,
            _ => {}
        }
    }

    /// When to call [`poll`](Self::poll), if nothing is answered before.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let giving = self.giving.values().filter(|giving| giving.asked.is_none()).map(|giving| giving.due);
        let taking = self.taking.values().filter(|taking| taking.asks()).map(|taking| taking.due);
        giving.chain(taking).min()
    }

    /// The next question: one at a time for each room.
    pub(super) fn poll(&mut self, now: Instant, core: &Core) -> Option<Query> {
        let giving = self.giving.iter_mut().find(|(_, giving)| giving.asked.is_none() && giving.due <= now);
        let (room, asked, ask) = match giving {
            Some((room, giving)) => {
                let ask = giving.ask(room);
                (room, &mut giving.asked, ask)
            }
            None => {
                let (room, taking) =
                    self.taking.iter_mut().find(|(_, taking)| taking.asks() && taking.due <= now)?;
                let ask = taking.ask(room)?;
                (room, &mut taking.asked, ask)
            }
        };
        self.questions += 1;
        *asked = Some(self.questions);
        Some(Query { id: self.questions, room: room.clone(), me: core.me().clone(), ask })
    }

    /// The answer to a question.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        core: &mut Core,
        query: &Query,
        answer: Result<&Answer, &Failure>,
    ) -> Option<Progress> {
        let said = answer.ok().filter(|answer| core.trusts(now, answer)).map(|answer| &answer.said);
        let room = &query.room;
        if self.giving.get(room).is_some_and(|giving| giving.asked == Some(query.id)) {
            self.gives(now, core, room, said)
        } else if self.taking.get(room).is_some_and(|taking| taking.asked == Some(query.id)) {
            self.takes(now, core, room, said)
        } else {
            None
        }
    }

    fn gives(
        &mut self,
        now: Instant,
        core: &mut Core,
        room: &Arc<str>,
        said: Option<&Said>,
    ) -> Option<Progress> {
        let giving = self.giving.get_mut(room)?;
        giving.asked = None;
        let (Going::Offer { epoch: offered, .. } | Going::Conclude { offered }) = giving.step;
        let step = mem::replace(&mut giving.step, Going::Conclude { offered });
        let progress = match (step, said) {
            (Going::Offer { .. }, Some(Said::Done)) => {
                giving.due = if giving.told { now } else { now + PATIENCE };
                return None;
            }
            // Whatever else it was, it may have been offered.
            (Going::Offer { .. }, _) => {
                giving.due = now;
                return None;
            }
            (Going::Conclude { .. }, Some(Said::Stayed { epoch, why })) => {
                giving.grant.since(*epoch);
                core.offers(room, &giving.grant, false);
                Progress::Stayed { room: room.clone(), why: why.clone() }
            }
            (Going::Conclude { .. }, Some(Said::At(node, _))) => {
                core.gave(room, &giving.grant);
                Progress::Gone { room: room.clone(), node: Box::new(node.clone()) }
            }
            (Going::Conclude { .. }, Some(Said::Nowhere | Said::Lost)) => {
                core.gave(room, &giving.grant);
                Progress::Lost { room: room.clone() }
            }
            (Going::Conclude { .. }, _) => {
                giving.due = now + AGAIN;
                return None;
            }
        };
        self.giving.remove(room);
        Some(progress)
    }

    fn takes(
        &mut self,
        now: Instant,
        core: &mut Core,
        room: &Arc<str>,
        said: Option<&Said>,
    ) -> Option<Progress> {
        let taking = self.taking.get_mut(room)?;
        taking.asked = None;
        let progress = match (&taking.step, said) {
            // Whoever gives it need not wait to learn that.
            (Coming::Look, Some(Said::Offered { epoch: offered, .. })) if !core.is_free(room) => {
                let why = "a room of its name has yet to end there".to_owned();
                (taking.step, taking.due) = (Coming::Decline { offered: *offered, why }, now);
                return None;
            }
            (Coming::Look, Some(Said::Offered { epoch, parcel })) => {
                let (room, offered, parcel, grant) = (room.clone(), *epoch, parcel.clone(), core.arriving());
                taking.step = Coming::Ready { offered, grant: grant.clone() };
                return Some(Progress::Offered { room, offered, parcel, grant });
            }
            (Coming::Take { grant, abandoned, .. }, Some(Said::Ours { epoch, .. })) => {
                grant.since(*epoch);
                let has = core.took(room, grant.clone());
                if *abandoned || !has.is(grant) {
                    core.let_go(room, &has);
                    Some(Progress::NotTaken { room: room.clone() })
                } else {
                    has.begins();
                    Some(Progress::Taken { room: room.clone() })
                }
            }
            (Coming::Take { .. }, Some(Said::Nowhere | Said::Lost)) => {
                Some(Progress::NotTaken { room: room.clone() })
            }
            // It may have been answered that the room is this node's, and it is asked until that is known.
            (Coming::Take { .. }, _) => {
                taking.due = now + AGAIN;
                return None;
            }
            (Coming::Look | Coming::Ready { .. } | Coming::Decline { .. }, _) => None,
        };
        self.taking.remove(room);
        progress
    }

    /// What is on its way.
    #[cfg(test)]
    pub(super) fn unrest(&self) -> Option<String> {
        let rests = self.giving.is_empty() && self.taking.is_empty();
        (!rests).then(|| format!("{:?} {:?}", self.giving, self.taking))
    }

    /// The lease is over: nothing is this node's any more.
    pub(super) fn lapse(&mut self) -> Vec<Progress> {
        let given = mem::take(&mut self.giving).into_keys().map(|room| Progress::Lost { room });
        let given: Vec<_> = given.collect();
        let taken = mem::take(&mut self.taking).into_keys().map(|room| Progress::NotTaken { room });
        taken.chain(given).collect()
    }
}

impl Giving {
    fn ask(&self, room: &Arc<str>) -> Ask {
        match &self.step {
            Going::Offer { epoch, to, parcel } => {
                Ask::Offer { room: room.clone(), epoch: *epoch, to: to.clone(), parcel: parcel.clone() }
            }
            Going::Conclude { offered } => Ask::Conclude { room: room.clone(), offered: *offered },
        }
    }
}

impl Taking {
    fn asks(&self) -> bool {
        self.asked.is_none() && !matches!(self.step, Coming::Ready { .. })
    }

    fn ask(&self, room: &Arc<str>) -> Option<Ask> {
        let room = room.clone();
        match &self.step {
            Coming::Look => Some(Ask::Look { room }),
            Coming::Take { offered, .. } => Some(Ask::Take { room, offered: *offered }),
            Coming::Decline { offered, why } => {
                Some(Ask::Decline { room, offered: *offered, why: why.clone() })
            }
            Coming::Ready { .. } => None,
        }
    }
}
