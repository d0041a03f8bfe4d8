//! The Redis of the world: the model, and what goes wrong with it.

use super::{
    node::Heard,
    post::{Address, Asks, Mail},
    scene::Scene,
    story::What,
};
use crate::nodes::{
    ask::{Answer, Ask, Failure, Incarnation, Said},
    model::{Model, Time},
    node::Node,
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// Time between two states of the replica.
const COPY: Duration = Duration::from_millis(50);
/// How many of them there are.
const COPIES: usize = 20;
/// How far back they go.
pub(super) const COPIED: Duration = Duration::from_millis(1_000);

pub(super) struct Redis {
    pub model: Model,
    /// What the replica has: the states of the last moments.
    replica: VecDeque<(Time, Model)>,
    copied: Time,
    runs: u32,
    away_until: Time,
    read_only_until: Time,
    hangs_until: Time,
    /// How it fails over after the next claim.
    fails_over: Option<What>,
}

impl Redis {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            model: Model::new("r0", ttl),
            replica: VecDeque::new(),
            copied: Time::ZERO,
            runs: 0,
            away_until: Time::ZERO,
            read_only_until: Time::ZERO,
            hangs_until: Time::ZERO,
            fails_over: None,
        }
    }

    /// A failover of this story will need what the replica has now.
    pub(super) fn copy(&mut self, now: Time) {
        if now >= self.copied + COPY {
            self.copied = now;
            self.replica.push_back((now, self.model.clone()));
            self.replica.drain(..self.replica.len().saturating_sub(COPIES));
        }
    }

    /// Whether a failover waits for a claim.
    pub(super) fn fails_over(&self) -> bool {
        self.fails_over.is_some()
    }

    pub(super) fn happens(&mut self, scene: &mut Scene, what: What) {
        let until = scene.now + Duration::from_millis(what.lasts());
        match what {
            What::Forgets => {
                self.model.flush();
                scene.promises.forgot(&self.model);
            }
            What::FailsOver { after_claim: true, .. } => self.fails_over = Some(what),
            What::FailsOver { lag, late, .. } => {
                self.runs += 1;
                let since = scene.now.saturating_sub(Duration::from_millis(lag));
                if let Some((_, replica)) = self.replica.iter().rev().find(|(at, _)| *at <= since) {
                    self.model = replica.clone();
                }
                self.replica.clear();
                self.model.run = format!("r{}", self.runs).into();
                self.away_until = until;
                scene.promises.forgot(&self.model);
                scene.post.delay_answers(Duration::from_millis(late));
            }
            What::Away { .. } => self.away_until = until,
            What::ReadOnly { .. } => self.read_only_until = until,
            What::Hangs { .. } => self.hangs_until = until,
            What::Slow { .. } => scene.slow_until = until,
            _ => {}
        }
    }

    /// What it says, if it does anything now.
    pub(super) fn hear(
        &mut self,
        scene: &mut Scene,
        (from, id, me, says): (Address, u64, Incarnation, Arc<Node>),
        asks: Asks,
    ) -> Option<Result<Heard, Failure>> {
        let now = scene.now;
        if now < self.hangs_until {
            scene.post.send(self.hangs_until, Mail::Question { from, id, me, says, asks });
            return None;
        }
        if now < self.away_until {
            return Some(Err(Failure::Away("down".into())));
        }
        if now < self.read_only_until {
            return Some(Err(Failure::ReadOnly("a replica".into())));
        }
        let heard = match &asks {
            Asks::Script(ask) => {
                let answer = self.model.ask(now, &me, &says, ask);
                if !matches!(
                    ask,
                    Ask::Renew { .. }
                        | Ask::Nodes
                        | Ask::Claim { .. }
                        | Ask::Offer { .. }
                        | Ask::Rooms { .. }
                ) {
                    scene.tell(format_args!("Redis: {me} {ask:?}: {:?}", answer.said));
                }
                scene.promises.said(&self.model, ask, &answer);
                Heard::Answer(answer)
            }
            Asks::Write(entries) => {
                let mut write = |(room, node, epoch, number, keep): &_| {
                    let outcome = self.model.write(now, (room, node, *epoch), *number, keep);
                    scene.promises.wrote(&self.model, (room, *epoch), keep, outcome);
                    outcome
                };
                Heard::Wrote(entries.iter().map(&mut write).collect())
            }
            Asks::Read(room, epoch) => {
                let read = self.model.read(now, (room, &me, *epoch)).map(|saved| saved.cloned());
                Heard::Read { read, forgets: scene.promises.forgets }
            }
        };
        self.tell(scene);
        let claimed = matches!(&heard, Heard::Answer(Answer { said: Said::Ours { .. }, .. }));
        if let Some(what) = self.fails_over.take_if(|_| claimed)
            && let What::FailsOver { lag, lasts, late, .. } = what
        {
            self.happens(scene, What::FailsOver { lag, lasts, late, after_claim: false });
        }
        Some(Ok(heard))
    }

    /// What nodes have to say to each other; some of it is lost.
    fn tell(&mut self, scene: &mut Scene) {
        for (to, word, room) in std::mem::take(&mut self.model.told) {
            if scene.dice.u32(..10) > 0 {
                let at = scene.now + scene.span(20);
                scene.post.send(at, Mail::Hint { to, word, room });
            }
        }
    }
}
