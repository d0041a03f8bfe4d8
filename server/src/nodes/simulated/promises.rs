//! What holds after every step: a room has one owner, and what is stored of it is not undone. What a Redis
//! has forgotten that was emptied or failed over, is lost: only that is taken out of account.

use crate::{
    nodes::{
        ask::{Answer, Ask, Epoch, Said},
        depot::{Written, simulated::State},
        model::{Keep, Model, Saved},
    },
    store::frames,
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

#[derive(Default)]
pub(super) struct Promises {
    pub broken: Option<Broken>,
    /// How many rooms there have been, and how often Redis has forgotten something.
    lives: u64,
    pub forgets: u32,
    /// Who has which room, in this step.
    owners: BTreeMap<Arc<str>, usize>,
    /// How often each life was published.
    published: BTreeMap<u64, u64>,
    ended: BTreeSet<u64>,
    /// Lives that went on from an earlier state, because Redis forgot who had them.
    forgotten: BTreeSet<u64>,
    /// What Redis has taken in, and how that looks there.
    stored: BTreeMap<Arc<str>, (State, Bytes, usize)>,
    /// The newest epochs that it has given away.
    newest: BTreeMap<Arc<str>, Epoch>,
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub what: &'static str,
    pub which: String,
}

impl Promises {
    pub(super) fn keep(&mut self, kept: bool, what: &'static str, which: impl FnOnce() -> String) {
        if !kept && self.broken.is_none() {
            self.broken = Some(Broken { what, which: which() });
        }
    }

    pub(super) fn next_step(&mut self) {
        self.owners.clear();
    }

    /// A room begins.
    pub(super) fn begins(&mut self) -> State {
        self.lives += 1;
        State { life: self.lives, progress: 0 }
    }

    /// A node has a room, and would publish it now.
    pub(super) fn owns(&mut self, node: usize, room: &Arc<str>) {
        let other = self.owners.insert(room.clone(), node);
        self.keep(other.is_none(), "a room has two owners", || format!("{room}: {other:?} and {node}"));
    }

    pub(super) fn published(&mut self, room: &str, state: State) {
        let last = self.published.insert(state.life, state.progress).unwrap_or(0);
        let follows = last + 1 == state.progress || self.forgotten.contains(&state.life);
        self.keep(follows, "a room goes on from another state than its last", || {
            format!("{room}: {state:?} after {last}")
        });
    }

    /// A room goes on from what is stored of it. Redis had forgotten so often when that was read: if it has
    /// forgotten since who goes on with the room, who had it before may have written once more.
    pub(super) fn goes_on(&mut self, room: &str, state: State, forgets: u32) {
        self.stays(state, forgets);
        let stored = self.stored.get(room).filter(|(stored, ..)| stored.life == state.life);
        let stored = stored.map_or(0, |(stored, ..)| stored.progress);
        let has_all = state.progress >= stored || forgets != self.forgets;
        self.keep(has_all, "a room does not go on from all that is stored", || {
            format!("{room}: {state:?} of {stored}")
        });
        self.published.insert(state.life, state.progress);
    }

    /// A room goes on where it stood still. Redis had forgotten so often when it came to stand still.
    pub(super) fn stays(&mut self, state: State, forgets: u32) {
        if forgets != self.forgets {
            self.forgotten.insert(state.life);
        }
    }

    pub(super) fn ends(&mut self, state: State) {
        self.ended.insert(state.life);
    }

    /// Redis has nothing but this.
    pub(super) fn forgot(&mut self, redis: &Model) {
        self.forgets += 1;
        self.newest.clear();
        let stored = |(room, saved): (&Arc<str>, &Saved)| (room.clone(), remembered(saved));
        self.stored = redis.stored().map(stored).collect();
    }

    /// What Redis has answered.
    pub(super) fn said(&mut self, redis: &Model, ask: &Ask, answer: &Answer) {
        match (ask, &answer.said) {
            (Ask::Claim { room, .. }, Said::Ours { stored: false, .. } | Said::Nowhere) => {
                let none = !self.stored.contains_key(room);
                self.keep(none, "a room is stored, and nobody may go on with it", || format!("{room}"));
            }
            (Ask::Release { room, .. }, _) if redis.saved(room).is_none() => {
                let was = self.stored.remove(room).map(|(state, ..)| state);
                let ended = was.is_none_or(|was| self.ended.contains(&was.life));
                self.keep(ended, "a room has not ended, and nothing is stored any more", || {
                    format!("{room}")
                });
            }
            _ => {}
        }
        match (ask, &answer.said) {
            (Ask::Claim { room, .. } | Ask::Take { room, .. }, Said::Ours { epoch, .. })
            | (Ask::Conclude { room, .. }, Said::Stayed { epoch, .. }) => self.gave(room, *epoch),
            (_, Said::Taken(rooms)) => rooms.iter().for_each(|owned| self.gave(&owned.room, owned.epoch)),
            _ => {}
        }
        let lost = self.stored.iter().find(|(room, (_, row, frames))| {
            redis.saved(room).is_none_or(|saved| saved.row != row || saved.frames.len() != *frames)
        });
        let lost = lost.map(|(room, _)| room.clone());
        self.keep(lost.is_none(), "what was stored is lost", || format!("{lost:?} after {ask:?}"));
    }

    fn gave(&mut self, room: &Arc<str>, epoch: Epoch) {
        let newest = self.newest.entry(room.clone()).or_default();
        *newest = epoch.max(*newest);
    }

    /// What is stored of a room may be another state now.
    pub(super) fn wrote(
        &mut self,
        redis: &Model,
        (room, epoch): (&Arc<str>, Epoch),
        keep: &Keep,
        is: Written,
    ) {
        if is != Written::Done {
            return;
        }
        let newest = self.newest.get(room).copied().unwrap_or(0);
        self.keep(epoch >= newest, "an old owner has written", || format!("{room}: {keep:?} under {epoch}"));
        let now = redis.saved(room).map(remembered);
        let before = match now.clone() {
            Some(now) => self.stored.insert(room.clone(), now),
            None => self.stored.remove(room),
        };
        let Some((before, ..)) = before.filter(|(before, ..)| !self.ended.contains(&before.life)) else {
            return;
        };
        let undone = match now {
            Some((now, ..)) if now.life == before.life => {
                now.progress < before.progress && !self.forgotten.contains(&now.life)
            }
            Some(_) | None => true,
        };
        self.keep(!undone, "what was stored is undone", || format!("{room}: {before:?} by {keep:?}"));
    }

    /// What is stored of a room.
    pub(super) fn stored(&self, room: &str) -> Option<State> {
        self.stored.get(room).map(|(state, ..)| *state)
    }

    pub(super) fn all_kept(&self) -> impl Iterator<Item = (&Arc<str>, State)> {
        self.stored.iter().map(|(room, (state, ..))| (room, *state))
    }
}

/// Whoever restores a room has to find the same.
fn remembered(saved: &Saved) -> (State, Bytes, usize) {
    let (row, frames) = (saved.row.clone(), saved.frames.len());
    let checkpoint = State::restored(&Saved { row: row.clone(), frames: Vec::new() });
    let progress = checkpoint.progress + (frames / frames::length(&[])) as u64;
    (State { progress, ..checkpoint }, row, frames)
}
