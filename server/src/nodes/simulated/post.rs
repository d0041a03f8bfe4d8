//! What is on its way: questions and answers, hints, and what a node does itself later.

use super::node::{Heard, Later};
use crate::nodes::{
    ask::{Ask, Epoch, Failure, Incarnation},
    depot::simulated::Entry,
    model::Time,
    node::Node,
};
use std::{collections::BTreeMap, sync::Arc};

/// What is on its way, in order of time.
#[derive(Default)]
pub(super) struct Post {
    due: BTreeMap<(Time, u64), Mail>,
    sent: u64,
}

/// A process of a node: another one does not get what was meant for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub node: usize,
    pub life: u32,
}

pub(super) enum Mail {
    /// A question, to Redis.
    Question { from: Address, id: u64, me: Incarnation, says: Arc<Node>, asks: Asks },
    /// An answer; or there is none in time.
    Answer { to: Address, id: u64, heard: Result<Heard, Failure> },
    /// A word from another node.
    Hint { to: Incarnation, word: &'static str, room: Arc<str> },
    /// Something that the node does.
    Later { at: Address, does: Later },
}

/// What a node asks of Redis.
#[derive(Clone)]
pub(super) enum Asks {
    Script(Ask),
    Write(Vec<Entry>),
    Read(Arc<str>, Epoch),
}

impl Post {
    pub(super) fn send(&mut self, at: Time, mail: Mail) {
        self.sent += 1;
        self.due.insert((at, self.sent), mail);
    }

    /// How much was sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// The next that has come by now.
    pub(super) fn next(&mut self, now: Time) -> Option<Mail> {
        self.due.first_entry().filter(|first| first.key().0 <= now).map(|first| first.remove())
    }

    /// Answers that are on their way come later.
    pub(super) fn delay_answers(&mut self, late: Time) {
        let is_answer = |mail: &Mail| matches!(mail, Mail::Answer { heard: Ok(_), .. });
        let late_ones: Vec<_> =
            self.due.iter().filter(|(_, mail)| is_answer(mail)).map(|(at, _)| *at).collect();
        for at in late_ones {
            if let Some(mail) = self.due.remove(&at) {
                self.due.insert((at.0 + late, at.1), mail);
            }
        }
    }
}
