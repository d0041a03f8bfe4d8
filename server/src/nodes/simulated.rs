//! Nodes and a Redis that fails, in one thread and in virtual time. A seed tells a story.
//!
//! What is checked after every step: no room is published by two nodes at once, and a room that goes to
//! another node goes on there from the last state that anybody has published of it. And at the end, when
//! nothing fails any more: every room can be had, and none stands still.

use super::{
    ask::{Answer, Ask, Epoch, Failure, Incarnation, Said},
    core::{Claim, Claimed, Core, Grant},
    model::{Keep, Model},
    node::{Node, tests::node},
    transfer::{Outcome, Query, Transfers},
};
use bytes::Bytes;
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
const ROOMS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// A request on its way, or its answer.
struct Mail {
    at: Duration,
    from: usize,
    /// Which life of the process has sent it: another one does not get the answer.
    life: u32,
    me: Incarnation,
    wants: Wants,
    answer: Option<Result<Answer, Failure>>,
}

enum Wants {
    Upkeep(u64, Ask),
    Room(u64, Ask),
    Moving(Query),
}

/// What a room is: which one of its name, and how often it was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    life: u64,
    count: u64,
}

/// What a node is told of a room.
struct Hint {
    at: Duration,
    to: Incarnation,
    word: &'static str,
    room: Arc<str>,
}

struct Process {
    life: u32,
    core: Core,
    says: Node,
    /// How fast its clock goes.
    rate: f64,
    rooms: BTreeMap<Arc<str>, Vec<Grant>>,
    frozen_until: Duration,
    /// From when until when nothing gets from it to Redis, nor back.
    cut: (Duration, Duration),
    served: u32,
    transfers: Transfers,
    states: BTreeMap<Arc<str>, State>,
    /// Rooms that stand still, and how often Redis had forgotten something when they began to.
    still: BTreeMap<Arc<str>, (u32, Grant)>,
    /// Those of them that are being packed, for whom.
    packing: Vec<(Duration, Arc<str>, Grant, Incarnation, Bytes)>,
    /// Rooms that are being made ready, and those that are.
    making: Vec<(Duration, Arc<str>, Epoch, Bytes, Grant)>,
    ready: BTreeMap<Arc<str>, (State, Grant)>,
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
    hints: Vec<Hint>,
    lives: u64,
    /// How often each room was published, by life.
    published: BTreeMap<u64, u64>,
    /// Lives that went on from an earlier state, because Redis forgot who had them.
    forgotten: BTreeSet<u64>,
    forgets: u32,
    moves: u32,
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
            transfers: Transfers::default(),
            states: BTreeMap::new(),
            still: BTreeMap::new(),
            packing: Vec::new(),
            making: Vec::new(),
            ready: BTreeMap::new(),
        }
    }

    /// Somebody has dropped what he was granted.
    fn let_go(&mut self, now: Instant, room: &Arc<str>, grant: &Grant) {
        self.core.let_go(room, grant);
        self.transfers.abandon(now, room, grant);
    }

    /// The room has ended here.
    fn end(&mut self, now: Instant, room: &Arc<str>) {
        self.still.remove(room);
        self.states.remove(room);
        let grants = self.rooms.remove(room).unwrap_or_default();
        grants.iter().for_each(|grant| self.let_go(now, room, grant));
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
            hints: Vec::new(),
            lives: 0,
            published: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            forgets: 0,
            moves: 0,
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
                self.forgets += 1;
                self.cut_off(n);
            }
            7 => self.cut_off(n),
            1 => {
                self.runs += 1;
                let (lag, run) = (self.span(600), self.runs);
                let since = self.now.saturating_sub(lag);
                let replica = self.replica.iter().rev().find(|(at, _)| *at <= since);
                if let Some((_, replica)) = replica {
                    self.redis = replica.clone();
                }
                self.forgets += 1;
                self.redis.run = format!("r{run}").into();
                self.down_until = self.now + self.span(2_500);
                self.tell(format_args!("Redis fails over, {lag:?} are lost"));
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

    /// Soon, and for a while, the network fails between a node and Redis.
    fn cut_off(&mut self, n: usize) {
        let from = self.now + self.span(1_000);
        let until = from + self.span(4_000);
        self.nodes[n].cut = (from, until);
        self.tell(format_args!("node {n} is cut off from {from:?} until {until:?}"));
    }

    /// Whether what is between a node and Redis now is lost.
    fn loses(&mut self, n: usize) -> bool {
        let (from, until) = self.nodes[n].cut;
        let cut = from <= self.now && self.now < until;
        self.now < FAULTS && (cut || self.rng.u32(0..100) == 0)
    }

    fn send(&mut self, from: usize, wants: Wants, me: Incarnation) {
        let slow = self.now < self.slow_until;
        let at = self.now + self.span(if slow { 700 } else { 20 });
        let lost = self.loses(from);
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
                let ask = match &mail.wants {
                    Wants::Upkeep(_, ask) | Wants::Room(_, ask) => ask.clone(),
                    Wants::Moving(query) => query.ask.clone(),
                };
                let away = self.now < self.down_until;
                let says = self.nodes[mail.from].says.clone();
                let answer = match away {
                    true => Err(Failure::Away("down".into())),
                    false => Ok(self.redis.ask(self.now, &mail.me, &says, &ask)),
                };
                for (to, word, room) in std::mem::take(&mut self.redis.told) {
                    let at = self.now + self.span(20);
                    if self.rng.u32(0..10) > 0 {
                        self.hints.push(Hint { at, to, word, room });
                    }
                }
                let slow = self.now < self.slow_until;
                let mut at = self.now + self.span(if slow { 700 } else { 20 });
                let mut answer = answer;
                if self.loses(mail.from) {
                    (at, answer) = (at + TTL / 2, Err(Failure::Slow(TTL / 2)));
                }
                self.mail.push(Mail { at, answer: Some(answer), ..mail });
                continue;
            };
            let n = mail.from;
            if self.now < self.nodes[n].frozen_until {
                let at = self.nodes[n].frozen_until;
                self.mail.push(Mail { at, answer: Some(answer), ..mail });
            } else if self.nodes[n].life == mail.life {
                self.heard(n, mail.wants, answer);
            }
        }
    }

    fn tell_hints(&mut self) {
        let due: Vec<_> = self.hints.extract_if(.., |hint| hint.at <= self.now).collect();
        for Hint { to, word, room, .. } in due {
            let n = (0..self.nodes.len()).find(|n| *self.nodes[*n].core.me() == to);
            let Some(n) = n.filter(|n| self.now >= self.nodes[*n].frozen_until) else { continue };
            let now = self.clock(n);
            let Process { transfers, .. } = &mut self.nodes[n];
            match word {
                "offer" => transfers.offered(now, &room),
                _ => transfers.is_over(now, &room),
            }
        }
    }

    /// A node has one of its rooms stand still, to go to another node.
    fn give(&mut self, n: usize) {
        let to = self.rng.usize(0..self.nodes.len());
        let node = &self.nodes[n];
        let rooms: Vec<_> = node.rooms.keys().filter(|room| !node.still.contains_key(*room)).collect();
        let Some(room) = self.rng.choice(rooms).cloned().filter(|_| to != n) else { return };
        let Some(state) = self.nodes[n].states.get(&room).copied() else { return };
        let parcel = [state.life.to_le_bytes(), state.count.to_le_bytes()].concat().into();
        let (forgets, to) = (self.forgets, self.nodes[to].core.me().clone());
        let slow = self.rng.u32(0..6) == 0;
        let at = self.now + self.span(if slow { 2_500 } else { 10 });
        self.tell(format_args!("node {n} packs {room} for {to}: {state:?}"));
        let node = &mut self.nodes[n];
        let grant = node.rooms[&room][0].clone();
        node.still.insert(room.clone(), (forgets, grant.clone()));
        node.packing.push((at, room, grant, to, parcel));
    }

    /// Its rooms are packed.
    fn offer(&mut self, n: usize) {
        let (now, at) = (self.clock(n), self.now);
        let packed: Vec<_> = self.nodes[n].packing.extract_if(.., |(due, ..)| *due <= at).collect();
        for (_, room, grant, to, parcel) in packed {
            let node = &mut self.nodes[n];
            if !node.transfers.give(now, &node.core, (&room, &grant), to, parcel)
                && node.still.get(&room).is_some_and(|(_, still)| still.is(&grant))
            {
                node.end(now, &room);
            }
        }
    }

    /// Rooms of other nodes are ready, or cannot go on here.
    fn make(&mut self, n: usize) {
        let (now, at) = (self.clock(n), self.now);
        let made: Vec<_> = self.nodes[n].making.extract_if(.., |(due, ..)| *due <= at).collect();
        for (_, room, offered, parcel, grant) in made {
            let number = |from: usize| u64::from_le_bytes(parcel[from..from + 8].try_into().unwrap());
            let unfit = self.rng.u32(0..8) == 0;
            let node = &mut self.nodes[n];
            if unfit {
                node.let_go(now, &room, &grant);
                node.transfers.is_unfit(now, &room, offered, "no".into());
            } else if node.transfers.is_ready(now, &node.core, &room, offered) {
                let state = State { life: number(0), count: number(8) };
                node.ready.insert(room, (state, grant));
            } else {
                node.let_go(now, &room, &grant);
            }
        }
        // One that is ready ends before it is known whose it is.
        if self.rng.u32(0..200) == 0 {
            let node = &mut self.nodes[n];
            if let Some((room, (_, grant))) = node.ready.first_key_value() {
                let (room, grant) = (room.clone(), grant.clone());
                node.let_go(now, &room, &grant);
            }
        }
    }

    fn moved(&mut self, n: usize, outcome: Outcome) {
        if !matches!(outcome, Outcome::Offered { .. }) {
            self.tell(format_args!("node {n}: {outcome:?}"));
        }
        match outcome {
            Outcome::Offered { room, offered, parcel, grant } => {
                let slow = self.rng.u32(0..6) == 0;
                let at = self.now + self.span(if slow { 1_500 } else { 30 });
                self.nodes[n].making.push((at, room, offered, parcel, grant));
            }
            Outcome::Taken { room } => {
                self.moves += 1;
                let node = &mut self.nodes[n];
                let (state, grant) = node.ready.remove(&room).unwrap();
                node.states.insert(room.clone(), state);
                node.rooms.insert(room, vec![grant]);
            }
            Outcome::NotTaken { room } => {
                let now = self.clock(n);
                let node = &mut self.nodes[n];
                if let Some((_, grant)) = node.ready.remove(&room) {
                    node.let_go(now, &room, &grant);
                }
            }
            Outcome::Kept { room, .. } => {
                let node = &mut self.nodes[n];
                let before = node.still.remove(&room);
                if before.is_some_and(|(before, _)| before != self.forgets)
                    && let Some(state) = node.states.get(&room)
                {
                    self.forgotten.insert(state.life);
                }
            }
            Outcome::Gone { room, .. } | Outcome::Lost { room } => {
                let now = self.clock(n);
                self.nodes[n].end(now, &room);
            }
        }
    }

    /// A node publishes a room once more.
    fn publish(&mut self, n: usize, room: &Arc<str>) {
        let Some(state) = self.nodes[n].states.get_mut(room) else { return };
        state.count += 1;
        let state = *state;
        let last = self.published.insert(state.life, state.count).unwrap_or(0);
        if last + 1 != state.count && !self.forgotten.contains(&state.life) {
            let (at, story) = (self.now, &self.story);
            panic!("{at:?}: node {n} goes on with {room} from {state:?} after {last}\n{story}");
        }
    }

    fn heard(&mut self, n: usize, wants: Wants, answer: Result<Answer, Failure>) {
        let now = self.clock(n);
        let node = &mut self.nodes[n];
        match wants {
            Wants::Upkeep(id, _) => {
                let means = node.core.answered(now, id, answer.as_ref());
                means.not_ours.iter().for_each(|room| drop(node.rooms.remove(room)));
                if means.lapsed.is_some() {
                    self.lapse(n);
                }
                if means.lapsed.is_some() || !means.not_ours.is_empty() {
                    self.tell(format_args!("node {n} hears {means:?}"));
                }
            }
            Wants::Room(id, Ask::Claim { room, .. }) => {
                match node.core.claimed(now, id, &room, answer.as_ref()) {
                    Claimed::Ours(grant) => {
                        self.lives += 1;
                        node.states.insert(room.clone(), State { life: self.lives, count: 0 });
                        node.rooms.entry(room.clone()).or_default().push(grant);
                        node.served += 1;
                        self.tell(format_args!("node {n} has {room}: {answer:?}"));
                    }
                    Claimed::Said(Said::At(..)) => node.served += 1,
                    Claimed::Said(_) | Claimed::Unknown(_) => {}
                }
            }
            Wants::Room(..) => {}
            Wants::Moving(query) => {
                let outcome = node.transfers.answered(now, &mut node.core, &query, answer.as_ref());
                outcome.into_iter().for_each(|outcome| self.moved(n, outcome));
            }
        }
    }

    fn knock(&mut self, n: usize) {
        let room: Arc<str> = ROOMS[self.rng.usize(0..ROOMS.len())].into();
        let to = self.rng.usize(0..self.nodes.len());
        let to = self.nodes[to].core.me().clone();
        let now = self.clock(n);
        let node = &mut self.nodes[n];
        if node.rooms.get(&room).is_some_and(|holds| holds.iter().any(|grant| !grant.owned.is_over(now))) {
            node.served += 1;
            return;
        }
        if node.transfers.may_have(&room) {
            return;
        }
        match node.core.claim(now, &room) {
            Claim::Ours(grant) => node.rooms.entry(room).or_default().push(grant),
            Claim::Ask(me, id) => {
                let ask = Ask::Claim { room, to, make: true };
                self.send(n, Wants::Room(id, ask), me);
            }
            Claim::Wait | Claim::Unknown(_) => {}
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
        self.tell_hints();
        let mut publishes: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        let mut queries = Vec::new();
        for n in 0..self.nodes.len() {
            if self.now < self.nodes[n].frozen_until {
                continue;
            }
            let now = self.clock(n);
            let node = &mut self.nodes[n];
            node.rooms.retain(|_, holds| {
                holds.retain(|grant| !grant.owned.is_over(now));
                !holds.is_empty()
            });
            let Process { rooms, states, still, .. } = node;
            states.retain(|room, _| rooms.contains_key(room));
            still.retain(|room, (_, still)| {
                rooms.get(room).is_some_and(|holds| holds.iter().any(|grant| grant.is(still)))
            });
            let ticks: Vec<_> = rooms.keys().filter(|room| !still.contains_key(*room)).cloned().collect();
            for room in &ticks {
                if let Some(other) = publishes.insert(room.clone(), n) {
                    let (at, story) = (self.now, &self.story);
                    panic!("{at:?}: room {room} is published by nodes {other} and {n}\n{story}");
                }
            }
            ticks.iter().for_each(|room| self.publish(n, room));
            self.make(n);
            self.offer(n);
            if let Some(lapsed) = self.nodes[n].core.lapse(now) {
                self.tell(format_args!("node {n}: {lapsed:?}"));
                self.lapse(n);
            }
            let node = &mut self.nodes[n];
            while let Some(query) = node.transfers.poll(now, &node.core) {
                let me = query.me.clone();
                queries.push((n, query, me));
            }
            for (n, query, me) in queries.drain(..) {
                self.send(n, Wants::Moving(query), me);
            }
            let node = &mut self.nodes[n];
            if let Some(question) = node.core.poll(now) {
                self.send(n, Wants::Upkeep(question.id, question.ask), question.me);
            }
            if self.rng.u32(0..4) == 0 {
                self.knock(n);
            }
            if self.rng.u32(0..60) == 0 {
                let node = &mut self.nodes[n];
                let ends = node.rooms.keys().find(|room| !node.still.contains_key(*room)).cloned();
                ends.into_iter().for_each(|room| node.end(now, &room));
            }
            if self.now + Duration::from_secs(5) < END && self.rng.u32(0..40) == 0 {
                self.give(n);
            }
        }
    }

    fn lapse(&mut self, n: usize) {
        let outcomes = self.nodes[n].transfers.lapse();
        outcomes.into_iter().for_each(|outcome| self.moved(n, outcome));
    }
}

/// Tells the story of a seed. Returns how many rooms have gone from node to node.
fn tell(seed: u64) -> u32 {
    let mut world = World::new(seed);
    while world.now < END {
        if world.now == END - Duration::from_secs(3) {
            world.nodes.iter_mut().for_each(|node| node.served = 0);
        }
        world.step();
    }
    let served: Vec<_> = world.nodes.iter().map(|node| node.served).collect();
    assert!(served.iter().all(|served| *served > 0), "rooms can be had again: {served:?}\n{}", world.story);
    let still: Vec<_> = world.nodes.iter().map(|node| node.still.len() + node.ready.len()).collect();
    assert!(still.iter().all(|still| *still == 0), "no room stands still: {still:?}\n{}", world.story);
    world.moves
}

// Promise 10
#[test]
fn no_room_has_two_owners_whatever_fails() {
    let from = |name: &str, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (seed, seeds) = (from("DRIFTLESS_FIRST", 0), from("DRIFTLESS_SEEDS", 300));
    let mut moves = 0;
    for seed in seed..seed + seeds {
        let told = std::panic::catch_unwind(|| tell(seed));
        moves += u64::from(told.unwrap_or_else(|_| panic!("the story of seed {seed}")));
    }
    assert!(moves > 10 * seeds, "rooms go from node to node: {moves}");
}

#[test]
fn a_room_that_nobody_needs_when_it_is_taken_is_given_back_as_it_is_kept() {
    let (start, mut redis, room) = (Instant::now(), Model::new("r0", TTL), Arc::<str>::from("a"));
    let (mut core, says) = (Core::new("b", TTL, start), node("b", 0));
    let giver = Incarnation("a-1".into());
    let mut transfers = Transfers::default();
    let mut passed = Duration::ZERO;
    while passed < 2 * TTL {
        passed += STEP;
        redis.ask(passed, &giver, &says, &Ask::Renew { had: false });
        if let Some(question) = core.poll(start + passed) {
            let answer = redis.ask(passed, &question.me, &says, &question.ask);
            core.answered(start + passed, question.id, Ok(&answer));
        }
    }
    let now = start + passed;
    let claim = Ask::Claim { room: room.clone(), to: giver.clone(), make: true };
    let Said::Ours { epoch, .. } = redis.ask(passed, &giver, &says, &claim).said else {
        panic!("it is free")
    };
    redis.write(passed, (&room, &giver, epoch), &Keep::Put(1));
    let (to, parcel) = (core.me().clone(), Bytes::new());
    let offer = Ask::Offer { room: room.clone(), epoch, to, parcel };
    assert_eq!(redis.ask(passed, &giver, &says, &offer).said, Said::Done);
    transfers.offered(now, &room);
    let mut asks = |transfers: &mut Transfers, core: &Core| {
        let query = transfers.poll(now, core).unwrap();
        let answer = redis.ask(passed, &query.me, &says, &query.ask);
        (query, answer)
    };
    let (query, answer) = asks(&mut transfers, &core);
    let offered = transfers.answered(now, &mut core, &query, Ok(&answer));
    let Some(Outcome::Offered { offered, grant, .. }) = offered else { panic!("it is offered") };
    assert!(transfers.is_ready(now, &core, &room, offered));
    let (query, answer) = asks(&mut transfers, &core);
    assert!(matches!(answer.said, Said::Ours { .. }), "it is this node's");
    // Meanwhile it has ended here.
    core.let_go(&room, &grant);
    transfers.abandon(now, &room, &grant);
    let taken = transfers.answered(now, &mut core, &query, Ok(&answer));
    assert!(matches!(taken, Some(Outcome::NotTaken { .. })), "who waits for it is told");
    let release = core.poll(now).unwrap().ask;
    assert!(matches!(release, Ask::Release { kept: true, .. }), "somebody goes on with it: {release:?}");
}
