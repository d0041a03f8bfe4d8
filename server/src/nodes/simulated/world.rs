//! Nodes and their Redis, in one thread and in virtual time.

use super::{
    node::{Process, TTL},
    post::{Address, Mail},
    promises::Broken,
    redis::{COPIED, Redis},
    scene::Scene,
    story::{Story, What},
};
use crate::nodes::model::Time;
use std::{fmt, time::Duration};

const STEP: Duration = Duration::from_millis(5);
/// From then on nobody knocks, in stories in which rooms go on although nobody does.
const SILENCE: Duration = Duration::from_secs(5);
/// When nothing fails any more: how long until everybody can have rooms, and how much longer until nothing is
/// left to do. What could not go on is tried again after a minute.
const SERVED: Duration = Duration::from_secs(15);
const AT_REST: Duration = Duration::from_secs(75);
/// How long somebody may wait then who wants a room.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where a story went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub at: Time,
    pub broken: Broken,
    /// What happened until then, if it was told.
    pub tale: String,
}

struct World {
    scene: Scene,
    redis: Redis,
    nodes: Vec<Process>,
}

/// Runs a story. `aloud`: a failure says what happened. How much was sent.
pub(super) fn run(story: &Story, aloud: bool) -> Result<u64, Failure> {
    let mut world = World::new(story, aloud);
    world.play(story);
    let Scene { now: at, tale, promises, post, .. } = world.scene;
    promises.broken.map_or(Ok(post.sent()), |broken| Err(Failure { at, broken, tale }))
}

impl World {
    fn new(story: &Story, aloud: bool) -> Self {
        let mut scene = Scene::new(story.seed, story.setting, aloud);
        let nodes = (0..story.setting.nodes).map(|node| {
            let rate = 0.95 + 0.1 * scene.dice.f64();
            Process::new(Address { node, life: 0 }, rate, &scene, Duration::ZERO)
        });
        let nodes = nodes.collect();
        Self { scene, redis: Redis::new(TTL), nodes }
    }

    fn play(&mut self, story: &Story) {
        let mut acts = story.acts.iter().peekable();
        let (ends, silent) = (story.ends(), story.setting.silent);
        while self.scene.now < ends && self.goes_on() {
            let soon = self.scene.now + COPIED;
            let fails_over = |what| matches!(what, What::FailsOver { .. });
            if self.redis.fails_over()
                || acts.clone().take_while(|act| act.time() <= soon).any(|act| fails_over(act.what))
            {
                self.redis.copy(self.scene.now);
            }
            while let Some(act) = acts.next_if(|act| act.time() <= self.scene.now) {
                self.scene.tell(format_args!("{:?}", act.what));
                self.happens(act.what);
            }
            self.step(!silent || self.scene.now < SILENCE);
        }
        self.scene.is_calm = true;
        self.nodes.iter_mut().for_each(|node| node.served = 0);
        if !silent {
            self.wait(SERVED, true, "somebody cannot have a room", Self::unserved);
        }
        self.wait(AT_REST, false, "something is left to do", Self::unrest);
    }

    fn goes_on(&self) -> bool {
        self.scene.promises.broken.is_none()
    }

    /// Until it is so, and no longer than that.
    fn wait(&mut self, most: Duration, knocks: bool, broken: &'static str, why: fn(&Self) -> Option<String>) {
        let until = self.scene.now + most;
        while self.goes_on()
            && let Some(why) = why(self)
        {
            self.scene.promises.keep(self.scene.now < until, broken, || why);
            for _ in 0..10 {
                self.step(knocks);
            }
        }
    }

    fn happens(&mut self, what: What) {
        let Self { scene, redis, nodes } = self;
        let lasts = Duration::from_millis(what.lasts());
        match what {
            What::Freezes { node, .. } => nodes[node].freezes(scene.now + lasts),
            What::Dies { node, .. } => nodes[node].dies(scene, lasts),
            What::IsCut { node, .. } => nodes[node].is_cut(scene.now + lasts),
            What::Drains { node, .. } => nodes[node].drains(scene.now, lasts),
            What::Moves { node, to } => nodes[node].moves(scene, to),
            What::Ends { node } => nodes[node].ends(scene),
            _ => redis.happens(scene, what),
        }
    }

    fn step(&mut self, knocks: bool) {
        self.scene.now += STEP;
        self.scene.promises.next_step();
        self.scene.names = self.nodes.iter().map(|node| node.core.me().clone()).collect();
        self.deliver();
        for node in &mut self.nodes {
            node.step(&mut self.scene);
            if knocks {
                node.knock(&mut self.scene);
            }
        }
    }

    fn deliver(&mut self) {
        let Self { scene, redis, nodes } = self;
        while let Some(mail) = scene.post.next(scene.now) {
            let to = match &mail {
                Mail::Question { .. } => None,
                Mail::Answer { to, .. } | Mail::Later { at: to, .. } => Some(*to),
                Mail::Hint { to, .. } => nodes.iter().find(|node| node.core.me() == to).map(Process::address),
            };
            if let Some(to) = to {
                match nodes[to.node].frozen_until(to) {
                    None => continue,
                    Some(until) if until > scene.now => {
                        scene.post.send(until, mail);
                        continue;
                    }
                    Some(_) => {}
                }
            }
            match (mail, to) {
                (Mail::Question { from, id, me, says, asks }, _) => {
                    let heard = redis.hear(scene, (from, id, me, says), asks.clone());
                    if let Some(heard) = heard
                        && let Some(at) = nodes[from.node].passes(scene, &asks)
                    {
                        scene.post.send(at, Mail::Answer { to: from, id, heard });
                    }
                }
                (Mail::Answer { to, id, heard }, _) => nodes[to.node].heard(scene, id, heard),
                (Mail::Later { at, does }, _) => nodes[at.node].does(scene, does),
                (Mail::Hint { word, room, .. }, Some(to)) => nodes[to.node].told(scene, word, &room),
                (Mail::Hint { .. }, None) => {}
            }
        }
    }

    fn unserved(&self) -> Option<String> {
        let waits = |node: &Process| {
            let since = node
                .waiting
                .iter()
                .find(|(_, since)| since.iter().any(|since| *since + PATIENCE < self.scene.now));
            since.map(|since| format!("{since:?}"))
        };
        let unserved = self.nodes.iter().position(|node| node.served == 0);
        unserved.map(|node| format!("at node {node}")).or_else(|| self.nodes.iter().find_map(waits))
    }

    fn unrest(&self) -> Option<String> {
        let Self { scene, redis, nodes } = self;
        let plays = |name: &str| nodes.iter().find_map(|node| node.rooms.get(name));
        let left = scene
            .promises
            .all_kept()
            .find(|(name, stored)| plays(name).is_none_or(|room| room.state.life != stored.life));
        let left = left.map(|(name, stored)| format!("{name} does not go on: {stored:?}"));
        let unknown = || {
            redis.model.stray(scene.now, |node, room| {
                nodes.iter().any(|is| is.core.me() == node && room.is_none_or(|room| !is.core.is_free(room)))
            })
        };
        left.or_else(|| nodes.iter().find_map(|node| node.unrest(scene))).or_else(unknown)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Broken { what, which } = &self.broken;
        write!(f, "{:.3} s: {what}: {which}\n{}", self.at.as_secs_f64(), self.tale)
    }
}
