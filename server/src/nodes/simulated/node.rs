//! A node: what the keeper, the mover and the factory of a server do, with its core, its transfers and its
//! books.

use super::{
    post::{Address, Asks, Mail},
    room::{Does, Durability, Room, durability},
    scene::Scene,
};
use crate::nodes::{
    ask::{Answer, Ask, Epoch, Failure, Incarnation, Said},
    core::{Claim, Claimed, Core},
    depot::{
        Written,
        simulated::{Depot, State},
    },
    grant::Grant,
    model::{Saved, Time},
    node::{Node, tests::node},
    transfer::{Progress, Query, Transfers},
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) const TTL: Duration = Duration::from_secs(2);
pub(super) const ROOMS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
/// Between two batches of the depot; and after a failure.
const FLUSH: Duration = Duration::from_millis(10);
const AGAIN: Duration = Duration::from_millis(100);
/// How long a node that drains gives rooms away; and waits for Redis to take the rest, and the farewell.
const GIVES: Duration = Duration::from_millis(2_500);
const WAITS: Duration = Duration::from_secs(1);

/// What Redis says.
pub(super) enum Heard {
    Answer(Answer),
    Wrote(Vec<Written>),
    Read { read: Option<Option<Saved>>, forgets: u32 },
}

/// What it was asked for.
enum Wants {
    Upkeep(u64, Ask),
    Room { id: u64, room: Arc<str>, make: bool },
    Moving(Query),
    Write,
    Read { room: Arc<str>, grant: Grant },
}

/// What a node does after a while.
pub(super) enum Later {
    /// A room is packed that is to go on at another node.
    Gives { room: Arc<str>, grant: Grant, to: Incarnation, state: State },
    /// One of another node is made.
    Makes { room: Arc<str>, offered: Epoch, grant: Grant, state: State },
    /// One is restored.
    GoesOn { room: Arc<str>, grant: Grant, state: State, forgets: u32 },
}

enum Drain {
    Not,
    Gives { until: Time, lasts: Duration },
    Finishes { until: Time, lasts: Duration },
    Leaves { until: Time, lasts: Duration },
}

pub(super) struct Process {
    address: Address,
    /// How fast its clock goes.
    rate: f64,
    pub core: Core,
    pub transfers: Transfers,
    pub depot: Depot,
    says: Node,
    asked: BTreeMap<u64, Wants>,
    questions: u64,
    pub rooms: BTreeMap<Arc<str>, Room>,
    made: u64,
    /// Rooms of others that are ready here.
    pub ready: BTreeMap<Arc<str>, (Grant, State)>,
    /// Rooms that others are to have.
    giving: BTreeMap<Arc<str>, Grant>,
    /// Who waits for rooms, since when.
    pub waiting: BTreeMap<Arc<str>, Vec<Time>>,
    /// Who was told where a room is, or let in.
    pub served: u32,
    /// Something is being written; or when to write next.
    writes: bool,
    write_at: Time,
    frozen_until: Time,
    cut_until: Time,
    drain: Drain,
}

impl Process {
    /// It begins after some time.
    pub(super) fn new(address: Address, rate: f64, scene: &Scene, after: Duration) -> Self {
        let name = format!("{}.{}", address.node, address.life);
        Self {
            address,
            rate,
            core: Core::new(&name, TTL, scene.origin + scene.now.mul_f64(rate)),
            transfers: Transfers::default(),
            depot: Depot::default(),
            says: node(&name, 0),
            asked: BTreeMap::new(),
            questions: 0,
            rooms: BTreeMap::new(),
            made: 0,
            ready: BTreeMap::new(),
            giving: BTreeMap::new(),
            waiting: BTreeMap::new(),
            served: 0,
            writes: false,
            write_at: Time::ZERO,
            frozen_until: scene.now + after,
            cut_until: Time::ZERO,
            drain: Drain::Not,
        }
    }

    pub(super) fn address(&self) -> Address {
        self.address
    }

    fn clock(&self, scene: &Scene) -> Instant {
        scene.origin + scene.now.mul_f64(self.rate)
    }

    /// If it is this process: until when it stands still.
    pub(super) fn frozen_until(&self, address: Address) -> Option<Time> {
        (self.address == address).then_some(self.frozen_until)
    }

    pub(super) fn freezes(&mut self, until: Time) {
        self.frozen_until = self.frozen_until.max(until);
    }

    pub(super) fn is_cut(&mut self, until: Time) {
        self.cut_until = until;
    }

    pub(super) fn drains(&mut self, now: Time, lasts: Duration) {
        if let Drain::Not = self.drain {
            self.says.load.draining = true;
            self.drain = Drain::Gives { until: now + GIVES, lasts };
        }
    }

    /// It is dead, and the next one begins.
    pub(super) fn dies(&mut self, scene: &Scene, after: Duration) {
        let address = Address { life: self.address.life + 1, ..self.address };
        *self = Self::new(address, self.rate, scene, after);
    }

    /// When what it sends to Redis now gets there, or an answer here. None: it is lost.
    pub(super) fn passes(&self, scene: &mut Scene, asks: &Asks) -> Option<Time> {
        let loss = match asks {
            Asks::Script(Ask::Restore(_)) => scene.setting.forgetful.max(scene.setting.loss),
            _ => scene.setting.loss,
        };
        if scene.now < self.cut_until {
            // It is sent again by the system until it gets through, or given up.
            return scene.dice.bool().then(|| self.cut_until + scene.way());
        }
        let lost = !scene.is_calm && scene.dice.u32(..100) < loss;
        (!lost).then(|| scene.now + scene.way())
    }

    fn ask(&mut self, scene: &mut Scene, wants: Wants, me: Incarnation, asks: Asks) {
        self.questions += 1;
        let (id, from, says) = (self.questions, self.address, Arc::new(self.says.clone()));
        self.asked.insert(id, wants);
        let limit = if let Asks::Script(Ask::Claim { .. }) = asks { TTL / 4 } else { TTL / 2 };
        let slow = Mail::Answer { to: from, id, heard: Err(Failure::Slow(limit)) };
        scene.post.send(scene.now + limit.div_f64(self.rate), slow);
        if let Some(at) = self.passes(scene, &asks) {
            scene.post.send(at, Mail::Question { from, id, me, says, asks });
        }
    }

    /// Rooms go on, and what is due is done.
    pub(super) fn step(&mut self, scene: &mut Scene) {
        if scene.now < self.frozen_until {
            return;
        }
        let now = self.clock(scene);
        self.lose(now);
        self.play(scene, now);
        if let Some(lapsed) = self.core.lapse(now) {
            scene.tell(format_args!("node {}: {lapsed:?}", self.address.node));
            self.lapsed(scene);
        }
        self.drain(scene, now);
        while let Some(query) = self.transfers.poll(now, &self.core) {
            let (me, ask) = (query.me.clone(), Asks::Script(query.ask.clone()));
            self.ask(scene, Wants::Moving(query), me, ask);
        }
        if let Some(question) = self.core.poll(now) {
            let ask = Asks::Script(question.ask.clone());
            self.ask(scene, Wants::Upkeep(question.id, question.ask), question.me, ask);
        }
        self.write(scene, now);
    }

    /// What is not this node's any more ends.
    fn lose(&mut self, now: Instant) {
        let lost = self.rooms.iter().filter(|(_, room)| room.grant.owned.is_over(now));
        let lost: Vec<_> = lost.map(|(name, _)| name.clone()).collect();
        lost.iter().for_each(|room| self.leave(now, room));
        let lost = self.ready.extract_if(.., |_, (grant, _)| grant.owned.is_over(now));
        for (room, (grant, _)) in lost.collect::<Vec<_>>() {
            self.let_go(now, &room, &grant);
        }
    }

    /// The room is not here any more.
    fn leave(&mut self, now: Instant, name: &Arc<str>) {
        if let Some(room) = self.rooms.remove(name) {
            self.depot.leave(&room.page);
            self.let_go(now, name, &room.grant);
        }
    }

    /// Whoever was granted a room needs it no more.
    fn let_go(&mut self, now: Instant, room: &Arc<str>, grant: &Grant) {
        self.core.let_go(room, grant);
        self.transfers.abandon(now, room, grant);
    }

    fn play(&mut self, scene: &mut Scene, now: Instant) {
        for (name, room) in self.rooms.iter_mut().filter(|(_, room)| room.does == Does::Plays) {
            scene.promises.owns(self.address.node, name);
            room.play(scene, name, now, &self.depot);
        }
        // One that is ready ends before it is known whose it is.
        if !self.ready.is_empty()
            && scene.one_in(200)
            && let Some((room, (grant, _))) = self.ready.pop_first()
        {
            self.let_go(now, &room, &grant);
        }
    }

    /// A room of this node ends, whatever it does.
    pub(super) fn ends(&mut self, scene: &mut Scene) {
        let rooms: Vec<_> = self.rooms.iter().filter(|(_, room)| room.does != Does::Restores).collect();
        if scene.now < self.frozen_until || rooms.is_empty() {
            return;
        }
        let name = rooms[scene.dice.usize(..rooms.len())].0.clone();
        let now = self.clock(scene);
        if let Some(room) = self.rooms.remove(&name) {
            scene.tell(format_args!("node {}: {name} ends: {:?}", self.address.node, room.state));
            scene.promises.ends(room.state);
            self.depot.forget(&room.page);
            self.let_go(now, &name, &room.grant);
        }
    }

    /// One of its rooms stands still, to go on at another node.
    pub(super) fn moves(&mut self, scene: &mut Scene, to: usize) {
        let node = self.address.node;
        let rooms: Vec<_> = self.rooms.iter_mut().filter(|(_, room)| room.does == Does::Plays).collect();
        if scene.now < self.frozen_until || to == node || rooms.is_empty() {
            return;
        }
        let at = scene.dice.usize(..rooms.len());
        let Some((name, room)) = rooms.into_iter().nth(at) else { return };
        room.does = Does::Stands { forgets: scene.promises.forgets };
        let (name, grant, state, to) =
            (name.clone(), room.grant.clone(), room.state, scene.names[to].clone());
        scene.tell(format_args!("node {node} packs {name} for {to}: {state:?}"));
        let most = if scene.one_in(6) { 2_500 } else { 10 };
        self.later(scene, most, Later::Gives { room: name, grant, to, state });
    }

    fn later(&self, scene: &mut Scene, most: u64, does: Later) {
        let at = scene.now + scene.span(most);
        scene.post.send(at, Mail::Later { at: self.address, does });
    }

    pub(super) fn does(&mut self, scene: &mut Scene, what: Later) {
        let now = self.clock(scene);
        self.lose(now);
        match what {
            Later::Gives { room, grant, to, state } => {
                let parcel = Bytes::from([state.life, state.progress].map(u64::to_le_bytes).concat());
                if self.transfers.give(now, &mut self.core, (&room, &grant), to, parcel) {
                    self.giving.insert(room, grant);
                } else if self.has(&room, &grant) {
                    self.leave(now, &room);
                }
            }
            Later::Makes { room, offered, grant, state } => {
                if self.rooms.contains_key(&room) || scene.one_in(8) {
                    self.let_go(now, &room, &grant);
                    self.transfers.is_unfit(now, &room, offered, "no".into());
                } else if self.transfers.is_ready(now, &self.core, &room, offered) {
                    self.ready.insert(room, (grant, state));
                } else {
                    self.let_go(now, &room, &grant);
                }
            }
            Later::GoesOn { room, grant, state, forgets } => {
                if !self.has(&room, &grant) {
                    return;
                }
                if !scene.is_calm && scene.one_in(4) {
                    return self.leave(now, &room);
                }
                scene.tell(format_args!("node {}: {room} goes on from {state:?}", self.address.node));
                scene.promises.goes_on(&room, state, forgets);
                self.begin(room, grant, state);
            }
        }
    }

    fn has(&self, room: &str, grant: &Grant) -> bool {
        self.rooms.get(room).is_some_and(|room| room.grant.is(grant))
    }

    fn begin(&mut self, name: Arc<str>, grant: Grant, state: State) {
        grant.begins();
        self.made += 1;
        self.rooms.insert(name.clone(), Room::new(&name, self.made, grant, state, Does::Plays));
    }

    /// Somebody wants a room, since some time.
    pub(super) fn want(&mut self, scene: &mut Scene, room: Arc<str>, make: bool, since: Time) {
        let now = self.clock(scene);
        self.lose(now);
        if self.rooms.contains_key(&room) {
            self.served += 1;
            return;
        }
        if self.ready.contains_key(&room) || self.transfers.may_have(&room) {
            return;
        }
        match self.core.claim(now, &room) {
            Claim::Ours(grant) => self.granted(scene, room, grant, make),
            Claim::Wait => self.waiting.entry(room).or_default().push(since),
            Claim::Ask(me, id) => {
                self.waiting.entry(room.clone()).or_default().push(since);
                let to = scene.names[scene.dice.usize(..scene.names.len())].clone();
                let ask = Asks::Script(Ask::Claim { room: room.clone(), to, make });
                self.ask(scene, Wants::Room { id, room, make }, me, ask);
            }
            Claim::Unknown(_) => {}
        }
    }

    /// Somebody knocks, for any room.
    pub(super) fn knock(&mut self, scene: &mut Scene) {
        if scene.now >= self.frozen_until && scene.one_in(4) {
            let (room, make) = (ROOMS[scene.dice.usize(..ROOMS.len())], !scene.one_in(3));
            self.want(scene, room.into(), make, scene.now);
        }
    }

    /// A room is this node's.
    fn granted(&mut self, scene: &mut Scene, name: Arc<str>, grant: Grant, make: bool) {
        let now = self.clock(scene);
        let stops = matches!(self.drain, Drain::Finishes { .. } | Drain::Leaves { .. });
        if stops || self.rooms.contains_key(&name) {
            self.let_go(now, &name, &grant);
        } else if grant.is_stored() {
            let read = Asks::Read(name.clone(), grant.epoch());
            self.made += 1;
            let room =
                Room::new(&name, self.made, grant.clone(), State { life: 0, progress: 0 }, Does::Restores);
            self.rooms.insert(name.clone(), room);
            self.ask(scene, Wants::Read { room: name, grant: grant.clone() }, grant.node, read);
        } else if make {
            let state = scene.promises.begins();
            scene.tell(format_args!("node {}: {name} begins: {state:?}", self.address.node));
            self.begin(name, grant, state);
        } else {
            self.let_go(now, &name, &grant);
        }
    }

    /// Something was answered, or is not in time.
    pub(super) fn heard(&mut self, scene: &mut Scene, id: u64, heard: Result<Heard, Failure>) {
        let Some(wants) = self.asked.remove(&id) else { return };
        let now = self.clock(scene);
        self.lose(now);
        match (wants, heard) {
            (Wants::Write, heard) => {
                self.writes = false;
                let Ok(Heard::Wrote(outcomes)) = heard else {
                    self.write_at = scene.now + AGAIN;
                    return;
                };
                self.depot.confirmed(&outcomes);
                self.write_at = scene.now + FLUSH;
            }
            (Wants::Read { room, grant }, heard) => self.read(scene, now, (room, grant), heard.ok()),
            (Wants::Upkeep(id, ask), heard) => self.kept_up(scene, now, (id, ask), answer(heard)),
            (Wants::Room { id, room, make }, heard) => {
                let Some(claimed) = self.core.claimed(now, id, &room, answer(heard).as_ref()) else {
                    return;
                };
                let waiting = self.waiting.remove(&room).unwrap_or_default();
                match claimed {
                    Claimed::Ours(grant) => {
                        self.served += 1;
                        self.granted(scene, room.clone(), grant, make);
                        waiting
                            .into_iter()
                            .skip(1)
                            .for_each(|since| self.want(scene, room.clone(), make, since));
                    }
                    Claimed::Said(Said::At(..)) => self.served += 1,
                    Claimed::Said(_) | Claimed::Unknown(_) => {}
                }
            }
            (Wants::Moving(query), heard) => {
                let outcome = self.transfers.answered(now, &mut self.core, &query, answer(heard).as_ref());
                outcome.into_iter().for_each(|outcome| self.moved(scene, outcome));
            }
        }
    }

    fn read(
        &mut self,
        scene: &mut Scene,
        now: Instant,
        (room, grant): (Arc<str>, Grant),
        heard: Option<Heard>,
    ) {
        if !self.has(&room, &grant) {
            return;
        }
        match heard {
            Some(Heard::Read { read: Some(Some(saved)), forgets }) => {
                let most = if scene.one_in(6) { 1_500 } else { 30 };
                let state = State::restored(&saved);
                self.later(scene, most, Later::GoesOn { room, grant, state, forgets });
            }
            // What is there is of no use to anybody any more.
            Some(Heard::Read { read: Some(None), .. }) => {
                grant.begins();
                self.leave(now, &room);
            }
            _ => self.leave(now, &room),
        }
    }

    fn kept_up(
        &mut self,
        scene: &mut Scene,
        now: Instant,
        (id, ask): (u64, Ask),
        answer: Result<Answer, Failure>,
    ) {
        let means = self.core.answered(now, id, answer.as_ref());
        if means.lapsed.is_some() || !means.not_ours.is_empty() || !means.strays.is_empty() {
            scene.tell(format_args!("node {} hears {means:?}", self.address.node));
        }
        means.not_ours.iter().for_each(|room| self.leave(now, room));
        if means.lapsed.is_some() {
            self.lapsed(scene);
        }
        for stray in means.strays {
            if !self.transfers.may_have(&stray.room) {
                self.core.give_back(stray);
            }
        }
        for (room, grant) in means.taken {
            self.granted(scene, room, grant, false);
        }
        if let (Ask::Release { room, .. }, Ok(_)) = (ask, answer) {
            let waiting = self.waiting.remove(&room).unwrap_or_default();
            waiting.into_iter().for_each(|since| self.want(scene, room.clone(), true, since));
        }
    }

    fn lapsed(&mut self, scene: &mut Scene) {
        self.waiting.clear();
        let now = self.clock(scene);
        self.lose(now);
        let outcomes = self.transfers.lapse();
        outcomes.into_iter().for_each(|outcome| self.moved(scene, outcome));
    }

    /// What has become of a room on its way.
    fn moved(&mut self, scene: &mut Scene, outcome: Progress) {
        let now = self.clock(scene);
        scene.tell(format_args!("node {}: {outcome:?}", self.address.node));
        match outcome {
            Progress::Offered { room, offered, parcel, grant } => {
                let number = |at: usize| parcel[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
                let state = State { life: number(0), progress: number(8) };
                let most = if scene.one_in(6) { 1_500 } else { 30 };
                self.later(scene, most, Later::Makes { room, offered, grant, state });
            }
            Progress::Taken { room } => {
                if let Some((grant, state)) = self.ready.remove(&room) {
                    self.begin(room, grant, state);
                }
            }
            Progress::NotTaken { room } => {
                if let Some((grant, _)) = self.ready.remove(&room) {
                    self.let_go(now, &room, &grant);
                }
            }
            Progress::Stayed { room, .. } => {
                let Some(grant) = self.giving.remove(&room) else { return };
                if let Some(room) = self.rooms.get_mut(&room).filter(|room| room.grant.is(&grant))
                    && let Does::Stands { forgets } = room.does
                {
                    scene.promises.stays(room.state, forgets);
                    room.does = Does::Plays;
                }
            }
            Progress::Gone { room, .. } | Progress::Lost { room } => {
                if self.giving.remove(&room).is_some_and(|grant| self.has(&room, &grant)) {
                    self.leave(now, &room);
                }
            }
        }
    }

    /// Another node has a word with this one.
    pub(super) fn told(&mut self, scene: &Scene, word: &str, room: &Arc<str>) {
        let now = self.clock(scene);
        match word {
            "offer" => self.transfers.offered(now, room),
            _ => self.transfers.is_over(now, room),
        }
    }

    fn write(&mut self, scene: &mut Scene, now: Instant) {
        if self.writes || scene.now < self.write_at {
            return;
        }
        self.write_at = scene.now + FLUSH;
        let entries = self.depot.write(now);
        if !entries.is_empty() {
            self.writes = true;
            self.ask(scene, Wants::Write, self.core.me().clone(), Asks::Write(entries));
        }
    }

    fn drain(&mut self, scene: &mut Scene, now: Instant) {
        match self.drain {
            Drain::Not => {}
            Drain::Gives { until, lasts } if scene.now >= until || self.rooms.is_empty() => {
                for (name, room) in std::mem::take(&mut self.rooms) {
                    if room.does == Does::Plays && durability(&name) != Durability::None {
                        self.depot.stop(&room.page, room.state);
                    }
                }
                self.drain = Drain::Finishes { until: scene.now + WAITS, lasts };
            }
            Drain::Gives { .. } if scene.one_in(4) => {
                let to = scene.dice.usize(..scene.names.len());
                self.moves(scene, to);
            }
            Drain::Gives { .. } => {}
            Drain::Finishes { until, lasts } if scene.now >= until || self.depot.is_written() => {
                self.core.leave(now);
                self.drain = Drain::Leaves { until: scene.now + WAITS, lasts };
            }
            Drain::Leaves { until, lasts } if scene.now >= until || self.core.has_left() => {
                scene.tell(format_args!("node {} has left", self.address.node));
                self.dies(scene, lasts);
            }
            Drain::Finishes { .. } | Drain::Leaves { .. } => {}
        }
    }

    /// What it still has to do, when nobody wants anything.
    pub(super) fn unrest(&self, scene: &Scene) -> Option<String> {
        let now = self.clock(scene);
        let restless = |(name, room): &(&Arc<str>, &Room)| {
            let writes = room.does == Does::Plays && durability(name) != Durability::None;
            let stored = scene.promises.stored(name);
            let lags =
                |stored: State| stored.life == room.state.life && stored.progress + 50 >= room.state.progress;
            room.does != Does::Plays || writes && !stored.is_some_and(lags)
        };
        let why = if !self.core.is_member(now) {
            "has no lease".to_owned()
        } else if let Some(rest) = self.core.unrest().or(self.transfers.unrest()) {
            rest
        } else if let Some((name, room)) = self.rooms.iter().find(restless) {
            format!("{name} {:?} {:?} of {:?}", room.does, room.state, scene.promises.stored(name))
        } else if !self.ready.is_empty() || !self.giving.is_empty() || !self.waiting.is_empty() {
            format!("{:?} {:?} {:?}", self.ready, self.giving, self.waiting)
        } else if self.depot.rooms() > self.rooms.len() {
            format!("the depot has {} of {} rooms", self.depot.rooms(), self.rooms.len())
        } else {
            return None;
        };
        Some(format!("node {}: {why}", self.address.node))
    }
}

fn answer(heard: Result<Heard, Failure>) -> Result<Answer, Failure> {
    heard.map(|heard| match heard {
        Heard::Answer(answer) => answer,
        Heard::Wrote(_) | Heard::Read { .. } => unreachable!("another question"),
    })
}
