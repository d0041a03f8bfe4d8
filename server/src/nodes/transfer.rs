//! Rooms on their way from one node to another: what each end asks next. Pure, as the [core](super::core).
//!
//! ```text
//!  giver:  stops the room ─► Offer ─► waits ─────────────► Conclude ─► gone: clients are told
//!                                    (told, or impatient)          └─► kept: the room goes on here
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
    node::Node,
};
use bytes::Bytes;
use std::{
    collections::HashMap,
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
    giving: HashMap<Arc<str>, Giving>,
    taking: HashMap<Arc<str>, Taking>,
    questions: u64,
}

/// What becomes of a room.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// It is to be made ready from this: [`Transfers::is_ready`] and [`Transfers::is_unfit`] go on.
    Offered { room: Arc<str>, offered: Epoch, parcel: Bytes },
    /// It is this node's, and goes on.
    Taken { room: Arc<str> },
    /// It is not this node's, and what was made ready is forgotten.
    NotTaken { room: Arc<str> },
    /// It goes on where it was. `why`: the other node could not have it.
    Kept { room: Arc<str>, why: Option<String> },
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
    /// Nobody has it ready any more.
    abandoned: bool,
}

#[derive(Debug)]
enum Coming {
    Look,
    /// It is being made ready.
    Ready {
        offered: Epoch,
    },
    Take {
        offered: Epoch,
        kind: Arc<str>,
    },
    Decline {
        offered: Epoch,
        why: String,
    },
}

impl Transfers {
    /// This node's room stands still, and another node is to have it. False: it is not this node's, or on its
    /// way already.
    pub(super) fn give(
        &mut self,
        now: Instant,
        core: &Core,
        room: &Arc<str>,
        to: Incarnation,
        parcel: Bytes,
    ) -> bool {
        let Some(epoch) = core.epoch_of(room).filter(|_| !self.giving.contains_key(room)) else {
            return false;
        };
        let step = Going::Offer { epoch, to, parcel };
        self.giving.insert(room.clone(), Giving { step, asked: None, due: now, told: false });
        true
    }

    /// Another node offers a room.
    pub(super) fn offered(&mut self, now: Instant, room: &Arc<str>) {
        if !self.taking.contains_key(room) {
            let taking = Taking { step: Coming::Look, asked: None, due: now, abandoned: false };
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
    pub(super) fn is_ready(
        &mut self,
        now: Instant,
        core: &Core,
        room: &str,
        offered: Epoch,
        kind: Arc<str>,
    ) -> bool {
        if !core.is_free(room) {
            self.is_unfit(now, room, offered, "another room of its name begins there".to_owned());
            return false;
        }
        self.made(now, room, offered, Coming::Take { offered, kind })
    }

    /// Whether the room may be this node's already: it has asked for it, and has no answer yet. Then nobody
    /// here claims it.
    pub(super) fn may_have(&self, room: &str) -> bool {
        self.taking.get(room).is_some_and(|taking| matches!(taking.step, Coming::Take { .. }))
    }

    /// The room cannot go on here.
    pub(super) fn is_unfit(&mut self, now: Instant, room: &str, offered: Epoch, why: String) {
        self.made(now, room, offered, Coming::Decline { offered, why });
    }

    fn made(&mut self, now: Instant, room: &str, offered: Epoch, next: Coming) -> bool {
        let waits =
            |taking: &&mut Taking| matches!(taking.step, Coming::Ready { offered: is } if is == offered);
        let Some(taking) = self.taking.get_mut(room).filter(waits) else { return false };
        (taking.step, taking.due) = (next, now);
        true
    }

    /// Nobody has the room any more that was made ready.
    pub(super) fn abandon(&mut self, room: &str) {
        if let Some(taking) = self.taking.get_mut(room) {
            taking.abandoned = true;
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
    ) -> Option<Outcome> {
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
    ) -> Option<Outcome> {
        let giving = self.giving.get_mut(room)?;
        giving.asked = None;
        let (Going::Offer { epoch: offered, .. } | Going::Conclude { offered }) = giving.step;
        let step = mem::replace(&mut giving.step, Going::Conclude { offered });
        let outcome = match (step, said) {
            (Going::Offer { .. }, Some(Said::Done)) => {
                giving.due = if giving.told { now } else { now + PATIENCE };
                return None;
            }
            // Whatever else it was, it may have been offered.
            (Going::Offer { .. }, _) => {
                giving.due = now;
                return None;
            }
            (Going::Conclude { .. }, Some(Said::Kept { epoch, why })) => {
                core.kept(room, *epoch);
                Outcome::Kept { room: room.clone(), why: why.clone() }
            }
            (Going::Conclude { .. }, Some(Said::At(node, _))) => {
                core.gave(room);
                Outcome::Gone { room: room.clone(), node: Box::new(node.clone()) }
            }
            (Going::Conclude { .. }, Some(Said::Nowhere | Said::Lost)) => {
                core.gave(room);
                Outcome::Lost { room: room.clone() }
            }
            (Going::Conclude { .. }, _) => {
                giving.due = now + AGAIN;
                return None;
            }
        };
        self.giving.remove(room);
        Some(outcome)
    }

    fn takes(
        &mut self,
        now: Instant,
        core: &mut Core,
        room: &Arc<str>,
        said: Option<&Said>,
    ) -> Option<Outcome> {
        let taking = self.taking.get_mut(room)?;
        taking.asked = None;
        let outcome = match (&taking.step, said) {
            // Whoever gives it need not wait to learn that.
            (Coming::Look, Some(Said::Offered { epoch: offered, .. })) if !core.is_free(room) => {
                let why = "a room of its name has yet to end there".to_owned();
                (taking.step, taking.due) = (Coming::Decline { offered: *offered, why }, now);
                return None;
            }
            (Coming::Look, Some(Said::Offered { epoch, parcel })) => {
                taking.step = Coming::Ready { offered: *epoch };
                let (room, offered) = (room.clone(), *epoch);
                return Some(Outcome::Offered { room, offered, parcel: parcel.clone() });
            }
            (Coming::Take { kind, .. }, Some(Said::Ours { epoch, .. })) => {
                let taken = core.took(room, *epoch, kind, false);
                if taking.abandoned {
                    core.let_go(room, &taken.owned);
                    None
                } else {
                    Some(Outcome::Taken { room: room.clone() })
                }
            }
            (Coming::Take { .. }, Some(Said::Nowhere | Said::Lost)) => {
                Some(Outcome::NotTaken { room: room.clone() })
            }
            // It may have been answered that the room is this node's, and it is asked until that is known.
            (Coming::Take { .. }, _) => {
                taking.due = now + AGAIN;
                return None;
            }
            (Coming::Look | Coming::Ready { .. } | Coming::Decline { .. }, _) => None,
        };
        self.taking.remove(room);
        outcome
    }

    /// The lease is over: nothing is this node's any more.
    pub(super) fn lapse(&mut self) -> Vec<Outcome> {
        let given = self.giving.drain().map(|(room, _)| Outcome::Lost { room });
        let given: Vec<_> = given.collect();
        let taken = self.taking.drain().map(|(room, _)| Outcome::NotTaken { room });
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
