//! The same as [`simulated`](super::simulated), for rooms that are kept and taken over.
//!
//! What is checked, whenever something happens:
//! - no room is had by two nodes at once;
//! - what is written under an epoch is refused when another node has the room under a newer one;
//! - nothing that is kept of a room is lost before the room has ended, and nobody begins it anew;
//! - nobody is told that his seat is gone while the room is kept.
//!
//! And at the end, when nothing fails any more: every room can be had, and all that are kept go on; in some
//! stories, although nobody knocks any more. What a Redis forgets that fails over or is emptied, is lost:
//! only that is taken out of account.

use super::{
    ask::{Answer, Ask, Failure, Incarnation, Said},
    core::{Claim, Claimed, Core, Grant},
    depot::Outcome,
    model::{Keep, Model},
    node::{Node, tests::node},
};
use fastrand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

const TTL: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(5);
const FAULTS: Duration = Duration::from_secs(40);
const END: Duration = Duration::from_secs(50);
/// From then on no room ends, and nobody makes one.
const QUIET: Duration = Duration::from_secs(47);
/// In stories in which nobody knocks any more: since when, and how much longer they are.
const SILENCE: Duration = Duration::from_secs(20);
const LONGER: Duration = Duration::from_secs(65);
const ROOMS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// A request on its way, or its answer.
struct Mail {
    at: Duration,
    from: usize,
    /// Which life of the process has sent it: another one does not get the answer.
    life: u32,
    me: Incarnation,
    wants: Wants,
    answer: Option<Result<Heard, Failure>>,
}

#[derive(Clone)]
enum Wants {
    Upkeep(u64, Ask),
    Room(u64, Ask),
    Keep(Arc<str>, u64, Keep),
    Read(Arc<str>, u64),
}

enum Heard {
    Answer(Answer),
    Kept(Outcome),
    Read(Option<Option<u64>>),
}

/// A room that a node has.
struct Room {
    grants: Vec<Grant>,
    state: State,
}

enum State {
    /// It has yet to begin, or to go on from what is kept.
    New,
    Reading,
    /// How far it has come, how far that is kept for certain, and what is being written.
    Runs {
        progress: u64,
        kept: Option<u64>,
        writing: Option<Keep>,
        sent: bool,
    },
}

struct Process {
    life: u32,
    core: Core,
    says: Node,
    /// How fast its clock goes.
    rate: f64,
    rooms: BTreeMap<Arc<str>, Room>,
    frozen_until: Duration,
    /// From when until when nothing gets from it to Redis, nor back.
    cut: (Duration, Duration),
    served: u32,
}

struct World {
    rng: Rng,
    origin: Instant,
    now: Duration,
    redis: Model,
    /// What the replica has: the states of the last moments.
    replica: VecDeque<(Duration, Model)>,
    down_until: Duration,
    slow_until: Duration,
    mail: Vec<Mail>,
    nodes: Vec<Process>,
    runs: u32,
    /// What is kept, as far as Redis has not forgotten it.
    kept: BTreeMap<Arc<str>, u64>,
    /// Rooms that have ended, with their epochs.
    ended: BTreeSet<(Arc<str>, u64)>,
    /// How often what a node registers again is lost, per cent.
    forgetful: u32,
    /// From when on nobody knocks.
    silence: Option<Duration>,
    story: String,
}

impl Process {
    fn new(n: usize, life: u32, rate: f64, now: Instant) -> Self {
        let name = format!("{n}{life}");
        Self {
            life,
            core: Core::new(&name, TTL, now),
            says: node(&name, 0),
            rate,
            rooms: BTreeMap::new(),
            frozen_until: Duration::ZERO,
            cut: (Duration::ZERO, Duration::ZERO),
            served: 0,
        }
    }
}

impl Heard {
    fn answer(self) -> Answer {
        match self {
            Heard::Answer(answer) => answer,
            Heard::Kept(_) | Heard::Read(_) => panic!("another answer"),
        }
    }
}

impl Room {
    fn is_had(&self, now: Instant) -> bool {
        self.grants.iter().any(|grant| !grant.owned.is_over(now))
    }
}

impl State {
    fn runs(progress: u64) -> Self {
        State::Runs { progress, kept: None, writing: None, sent: false }
    }
}

impl Process {
    fn has(&mut self, room: Arc<str>, grant: Grant) {
        let room = self.rooms.entry(room).or_insert(Room { grants: Vec::new(), state: State::New });
        room.grants.push(grant);
    }

    /// What the room does that this incarnation has under this epoch.
    fn state(&mut self, room: &str, me: &Incarnation, epoch: u64) -> Option<&mut State> {
        let room = self.rooms.get_mut(room)?;
        let is_this = room.grants.first().is_some_and(|grant| grant.node == *me && grant.epoch() == epoch);
        is_this.then_some(&mut room.state)
    }

    fn begun(&self, room: &str) {
        let grants = self.rooms.get(room).into_iter().flat_map(|room| &room.grants);
        grants.for_each(Grant::begins);
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let (mut rng, origin) = (Rng::with_seed(seed), Instant::now());
        let nodes = (0..rng.usize(2..=3)).map(|n| Process::new(n, 0, 0.95 + 0.1 * rng.f64(), origin));
        let nodes = nodes.collect();
        Self {
            rng,
            origin,
            now: Duration::ZERO,
            redis: Model::new("r0", TTL),
            replica: VecDeque::new(),
            down_until: Duration::ZERO,
            slow_until: Duration::ZERO,
            mail: Vec::new(),
            nodes,
            runs: 0,
            kept: BTreeMap::new(),
            ended: BTreeSet::new(),
            forgetful: [0, 60][seed as usize % 2],
            silence: (seed % 3 == 2).then_some(SILENCE),
            story: String::new(),
        }
    }

    fn tell(&mut self, what: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.story, "{:>7.3} {what}", self.now.as_secs_f64());
    }

    fn clock(&self, n: usize) -> Instant {
        self.origin + self.now.mul_f64(self.nodes[n].rate)
    }

    fn span(&mut self, most_ms: u64) -> Duration {
        Duration::from_millis(self.rng.u64(0..=most_ms))
    }

    fn fail(&mut self) {
        let dice = self.rng.u32(0..1_200);
        let n = self.rng.usize(0..self.nodes.len());
        match dice {
            0 => {
                self.tell(format_args!("Redis forgets everything"));
                self.redis.flush();
                self.kept.clear();
                self.cut_off(n);
            }
            7 => self.cut_off(n),
            1 => {
                let most = [0, 2_500][self.rng.usize(0..2)];
                self.fail_over(most);
            }
            2 => {
                self.down_until = self.now + self.span(4_000);
                let until = self.down_until;
                self.tell(format_args!("Redis is away until {until:?}"));
            }
            3 => {
                self.slow_until = self.now + self.span(6_000);
                let until = self.slow_until;
                self.tell(format_args!("Redis is slow until {until:?}"));
            }
            4 | 5 => {
                let until = self.now + self.span(5_000);
                self.nodes[n].frozen_until = until;
                self.tell(format_args!("node {n} is frozen until {until:?}"));
            }
            6 => {
                let (life, rate) = (self.nodes[n].life + 1, self.nodes[n].rate);
                self.tell(format_args!("node {n} is killed, and starts again"));
                self.nodes[n] = Process::new(n, life, rate, self.clock(n));
            }
            _ => {}
        }
    }

    /// A replica takes Redis's place, after this time at most. What the old one has just answered may come
    /// late.
    fn fail_over(&mut self, most_ms: u64) {
        self.runs += 1;
        let (lag, run) = (self.span(600), self.runs);
        let since = self.now.saturating_sub(lag);
        if let Some((_, replica)) = self.replica.iter().rev().find(|(at, _)| *at <= since) {
            self.redis = replica.clone();
        }
        self.redis.run = format!("r{run}").into();
        self.kept = self.redis.kept();
        self.down_until = self.now + self.span(most_ms);
        let late = self.span(480);
        for mail in self.mail.iter_mut().filter(|mail| matches!(mail.answer, Some(Ok(_)))) {
            mail.at += late;
        }
        self.tell(format_args!("Redis fails over, {lag:?} are lost, answers come {late:?} later"));
    }

    /// Soon, and for a while, the network fails between a node and Redis.
    fn cut_off(&mut self, n: usize) {
        let from = self.now + self.span(1_000);
        let until = from + self.span(4_000);
        self.nodes[n].cut = (from, until);
        self.tell(format_args!("node {n} is cut off from {from:?} until {until:?}"));
    }

    /// Whether what is between a node and Redis now is lost.
    fn loses(&mut self, n: usize, wants: &Wants) -> bool {
        let (from, until) = self.nodes[n].cut;
        let cut = from <= self.now && self.now < until;
        let restores = matches!(wants, Wants::Upkeep(_, Ask::Restore(_)));
        let share = if restores { self.forgetful.max(1) } else { 1 };
        self.now < FAULTS && (cut || self.rng.u32(0..100) < share)
    }

    fn send(&mut self, from: usize, wants: Wants, me: Incarnation) {
        let slow = self.now < self.slow_until;
        let at = self.now + self.span(if slow { 700 } else { 20 });
        let lost = self.loses(from, &wants);
        let answer = lost.then(|| Err(Failure::Slow(TTL / 2)));
        let at = if lost { at + TTL / 2 } else { at };
        self.mail.push(Mail { at, from, life: self.nodes[from].life, me, wants, answer });
    }

    /// Requests reach Redis, and answers the nodes.
    fn deliver(&mut self) {
        let mut due: Vec<_> = self.mail.extract_if(.., |mail| mail.at <= self.now).collect();
        due.sort_by_key(|mail| mail.at);
        for mut mail in due {
            let Some(answer) = mail.answer.take() else {
                let away = self.now < self.down_until;
                let mut answer = if away { Err(Failure::Away("down".into())) } else { Ok(self.hear(&mail)) };
                let slow = self.now < self.slow_until;
                let mut at = self.now + self.span(if slow { 700 } else { 20 });
                if self.loses(mail.from, &mail.wants) {
                    (at, answer) = (at + TTL / 2, Err(Failure::Slow(TTL / 2)));
                }
                let claimed = matches!(&answer, Ok(Heard::Answer(Answer { said: Said::Ours { .. }, .. })));
                self.mail.push(Mail { at, answer: Some(answer), ..mail });
                if claimed && self.now < FAULTS && self.rng.u32(0..100) == 0 {
                    self.fail_over(0);
                }
                continue;
            };
            let n = mail.from;
            if self.now < self.nodes[n].frozen_until {
                let at = self.nodes[n].frozen_until;
                self.mail.push(Mail { at, answer: Some(answer), ..mail });
            } else if self.nodes[n].life == mail.life {
                self.heard(n, mail.me, mail.wants, answer);
            }
        }
    }

    fn fails(&self, what: &str, room: &str) -> ! {
        panic!("{:?}: room {room}: {what}\n{}", self.now, self.story)
    }

    /// What Redis does.
    fn hear(&mut self, mail: &Mail) -> Heard {
        let (now, me) = (self.now, &mail.me);
        let heard = match &mail.wants {
            Wants::Upkeep(_, ask) | Wants::Room(_, ask) => {
                let answer = self.redis.ask(now, me, &self.nodes[mail.from].says, ask);
                let known = |room: &str| self.kept.contains_key(room);
                match (ask, &answer.said) {
                    (Ask::Claim { room, .. }, Said::Ours { kept: false, .. }) if known(room) => {
                        self.fails("it is kept, and begins anew", room)
                    }
                    (Ask::Claim { room, .. }, Said::Nowhere) if known(room) => {
                        self.fails("it is kept, and nobody may have his seat", room)
                    }
                    (Ask::Release { room, epoch, .. }, _) if self.redis.progress(room).is_none() => {
                        if known(room) && !self.ended.contains(&(room.clone(), *epoch)) {
                            self.fails("it has not ended, and nothing is kept any more", room);
                        }
                        self.kept.remove(room);
                    }
                    _ => {}
                }
                Heard::Answer(answer)
            }
            Wants::Keep(room, epoch, keep) => {
                let outcome = self.redis.write(now, (room, me, *epoch), keep);
                if outcome == Outcome::Done {
                    let newer = |(n, node): (usize, &Process)| {
                        let has = node.rooms.get(room).and_then(|has| has.grants.first());
                        has.is_some_and(|has| has.epoch() > *epoch && !has.owned.is_over(self.clock(n)))
                    };
                    if self.redis.is_settled(now) && self.nodes.iter().enumerate().any(newer) {
                        self.fails("what an old owner has written is taken in", room);
                    }
                    match self.redis.progress(room) {
                        Some(progress) => drop(self.kept.insert(room.clone(), progress)),
                        None => drop(self.kept.remove(room)),
                    }
                }
                Heard::Kept(outcome)
            }
            Wants::Read(room, epoch) => Heard::Read(self.redis.read(now, (room, me, *epoch))),
        };
        if let Some((room, _)) = self.kept.iter().find(|(room, at)| self.redis.progress(room) != Some(**at)) {
            self.fails("what was kept is lost", room);
        }
        heard
    }

    fn heard(&mut self, n: usize, me: Incarnation, wants: Wants, heard: Result<Heard, Failure>) {
        let now = self.clock(n);
        let node = &mut self.nodes[n];
        match (wants, heard) {
            (Wants::Upkeep(id, _), heard) => {
                let answer = heard.map(Heard::answer);
                let means = node.core.answered(now, id, answer.as_ref());
                means.not_ours.iter().for_each(|room| drop(node.rooms.remove(room)));
                let told = means.lapsed.is_some() || !means.not_ours.is_empty() || !means.taken.is_empty();
                let story = told.then(|| format!("{means:?}"));
                for (room, grant) in means.taken {
                    node.has(room, grant);
                }
                story.into_iter().for_each(|story| self.tell(format_args!("node {n} hears {story}")));
            }
            (Wants::Room(id, Ask::Claim { room, .. }), heard) => {
                let answer = heard.map(Heard::answer);
                match node.core.claimed(now, id, &room, answer.as_ref()) {
                    Claimed::Ours(grant) => {
                        node.has(room.clone(), grant);
                        node.served += 1;
                        self.tell(format_args!("node {n} has {room}: {answer:?}"));
                    }
                    Claimed::Said(Said::At(..)) => node.served += 1,
                    Claimed::Said(_) | Claimed::Unknown(_) => {}
                }
            }
            (Wants::Room(..), _) => {}
            (Wants::Keep(room, epoch, keep), heard) => {
                let Some(State::Runs { kept, writing, sent, .. }) = node.state(&room, &me, epoch) else {
                    return;
                };
                *sent = false;
                let Ok(Heard::Kept(outcome)) = heard else { return };
                *writing = None;
                *kept = match (outcome, keep) {
                    (Outcome::Done, Keep::Put(at) | Keep::Append { after: at, .. }) => Some(at),
                    _ => None,
                };
            }
            (Wants::Read(room, epoch), heard) => {
                // One that was asked before the room was given back and had again tells nothing.
                let Some(state @ State::Reading) = node.state(&room, &me, epoch) else { return };
                let fails = self.now < FAULTS && self.rng.u32(0..4) == 0;
                let progress = match heard {
                    Ok(Heard::Read(Some(progress))) if !fails => progress.unwrap_or(0),
                    // Who is not told gives it back, for somebody else.
                    _ => {
                        let Some(room) = node.rooms.remove_entry(&room) else { return };
                        room.1.grants.iter().for_each(|grant| node.core.let_go(&room.0, grant));
                        return;
                    }
                };
                *state = State::runs(progress);
                node.begun(&room);
                self.tell(format_args!("node {n}: {room} goes on from {progress}"));
            }
        }
    }

    fn knock(&mut self, n: usize) {
        let room: Arc<str> = ROOMS[self.rng.usize(0..ROOMS.len())].into();
        let to = self.rng.usize(0..self.nodes.len());
        let to = self.nodes[to].core.me().clone();
        // Somebody comes back to his seat.
        let make = self.now < QUIET && self.rng.u32(0..3) > 0;
        let now = self.clock(n);
        let node = &mut self.nodes[n];
        if node.rooms.get(&room).is_some_and(|room| room.is_had(now)) {
            node.served += 1;
            return;
        }
        match node.core.claim(now, &room) {
            Claim::Ours(grant) => node.has(room, grant),
            Claim::Ask(me, id) => {
                let ask = Ask::Claim { room, to, make };
                self.send(n, Wants::Room(id, ask), me);
            }
            Claim::Wait | Claim::Unknown(_) => {}
        }
    }

    /// Its rooms go on, and are kept.
    fn play(&mut self, n: usize) {
        let names: Vec<_> = self.nodes[n].rooms.keys().cloned().collect();
        for name in names {
            let dice = self.rng.u32(0..4);
            let node = &mut self.nodes[n];
            let Some(room) = node.rooms.get_mut(&name) else { continue };
            let grant = room.grants[0].clone();
            let wants = match &mut room.state {
                State::Reading => None,
                State::New if grant.is_kept() => {
                    room.state = State::Reading;
                    Some(Wants::Read(name.clone(), grant.epoch()))
                }
                State::New => {
                    room.state = State::runs(0);
                    None
                }
                State::Runs { progress, kept, writing, sent } => {
                    *progress += 1;
                    let next = match *kept {
                        Some(before) => Keep::Append { before, after: *progress },
                        None => Keep::Put(*progress),
                    };
                    (!*sent && dice == 0).then(|| {
                        *sent = true;
                        let keep = writing.get_or_insert(next).clone();
                        Wants::Keep(name.clone(), grant.epoch(), keep)
                    })
                }
            };
            if let Some(wants) = wants {
                self.send(n, wants, grant.node);
            }
        }
    }

    /// A room ends.
    fn end(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let Some((name, room)) = node.rooms.pop_first() else { return };
        room.grants.iter().for_each(|grant| node.core.let_go(&name, grant));
        if let State::Runs { .. } = room.state {
            let grant = &room.grants[0];
            let epoch = grant.epoch();
            self.ended.insert((name.clone(), epoch));
            self.tell(format_args!("node {n}: {name} ends"));
            self.send(n, Wants::Keep(name, epoch, Keep::Forget), grant.node.clone());
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        if self.now < FAULTS {
            self.fail();
        }
        if self.now.as_millis().is_multiple_of(50) {
            self.replica.push_back((self.now, self.redis.clone()));
            self.replica.drain(..self.replica.len().saturating_sub(20));
        }
        self.deliver();
        let mut publishes: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for n in 0..self.nodes.len() {
            if self.now < self.nodes[n].frozen_until {
                continue;
            }
            let now = self.clock(n);
            let node = &mut self.nodes[n];
            node.rooms.retain(|_, room| room.is_had(now));
            for room in node.rooms.keys() {
                if let Some(other) = publishes.insert(room.clone(), n) {
                    let (at, story) = (self.now, &self.story);
                    panic!("{at:?}: room {room} is published by nodes {other} and {n}\n{story}");
                }
            }
            if let Some(lapsed) = node.core.lapse(now) {
                self.tell(format_args!("node {n}: {lapsed:?}"));
            }
            self.play(n);
            let node = &mut self.nodes[n];
            if let Some(question) = node.core.poll(now) {
                self.send(n, Wants::Upkeep(question.id, question.ask), question.me);
            }
            if self.rng.u32(0..4) == 0 && self.silence.is_none_or(|since| self.now < since) {
                self.knock(n);
            }
            if self.rng.u32(0..200) == 0 && self.now < QUIET {
                self.end(n);
            }
        }
    }
}

/// Tells the story of a seed.
fn tell(seed: u64) {
    let mut world = World::new(seed);
    let end = if world.silence.is_some() { END + LONGER } else { END };
    while world.now < end {
        if world.now == END - Duration::from_secs(3) {
            world.nodes.iter_mut().for_each(|node| node.served = 0);
        }
        world.step();
    }
    for (room, at) in &world.kept {
        let goes_on = |node: &Process| match node.rooms.get(room).map(|room| &room.state) {
            Some(State::Runs { progress, .. }) => progress >= at,
            _ => false,
        };
        assert!(world.nodes.iter().any(goes_on), "{room} is kept, and does not go on\n{}", world.story);
    }
    if world.silence.is_some() {
        return;
    }
    let served: Vec<_> = world.nodes.iter().map(|node| node.served).collect();
    assert!(served.iter().all(|served| *served > 0), "rooms can be had again: {served:?}\n{}", world.story);
}

// Promise 10
#[test]
fn what_is_kept_of_rooms_goes_on_whatever_fails() {
    let from = |name: &str, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (seed, seeds) = (from("DRIFTLESS_FIRST", 0), from("DRIFTLESS_SEEDS", 300));
    for seed in seed..seed + seeds {
        let told = std::panic::catch_unwind(|| tell(seed));
        assert!(told.is_ok(), "the story of seed {seed}");
    }
}

#[test]
fn a_node_that_cannot_go_on_with_rooms_takes_the_next_ones() {
    let (start, mut redis) = (Instant::now(), Model::new("r0", TTL));
    let (mut core, says, dies) = (Core::new("b", TTL, start), node("b", 0), Incarnation("a-1".into()));
    let (mut tried, mut passed) = (BTreeSet::new(), Duration::ZERO);
    while passed < Duration::from_secs(10) {
        passed += STEP;
        let of_other = |redis: &mut Model, ask: Ask| redis.ask(passed, &dies, &says, &ask).said;
        if passed <= 2 * TTL {
            assert_eq!(of_other(&mut redis, Ask::Renew { had: false }), Said::Done);
        }
        if passed == 2 * TTL {
            for room in ROOMS.map(Arc::<str>::from) {
                let claim = Ask::Claim { room: room.clone(), to: dies.clone(), make: true };
                let Said::Ours { epoch, .. } = of_other(&mut redis, claim) else { panic!("it is free") };
                assert_eq!(redis.write(passed, (&room, &dies, epoch), &Keep::Put(1)), Outcome::Done);
            }
        }
        let now = start + passed;
        assert_eq!(core.lapse(now), None);
        while let Some(question) = core.poll(now) {
            let answer = redis.ask(passed, &question.me, &says, &question.ask);
            for (room, grant) in core.answered(now, question.id, Ok(&answer)).taken {
                core.let_go(&room, &grant);
                tried.insert(room);
            }
        }
    }
    assert_eq!(tried.len(), ROOMS.len(), "{tried:?}");
    assert_eq!(redis.kept().len(), ROOMS.len(), "for whoever can");
}
