//! Two sessions and the links between them, driven tick by tick, in a world of cells that boats sail through.

use crate::util::{Conditions, Dice, Link, join, ms};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    delta::{Encoder, References},
    limits::Limits,
    schema::Schema,
    session::{
        Delivery,
        client::{ClientConfig, ClientSession},
        server::{Request, ServerSession, StateTick, ZoneContent, ZoneWriter, Zoned},
    },
    snapshot::Snapshot,
    view::{InView, ZoneId},
    wire,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

/// Longest message, and bytes of a state: no limit.
pub(super) const ALL: (usize, usize) = (usize::MAX, usize::MAX);

/// Cells of the world: zones 1 to `CELLS`, in a row.
const CELLS: u32 = 9;
/// An empty zone in view.
pub(super) const NOTHING: ZoneId = 77;

/// A tick's state, and what the player sees of it.
#[derive(Debug, Clone)]
pub(super) struct Published(pub(super) Arc<Tick>);

#[derive(Debug)]
pub(super) struct Tick {
    pub(super) snapshot: Snapshot,
    pub(super) view: Vec<InView>,
    /// When each zone last changed.
    pub(super) changed: BTreeMap<ZoneId, u32>,
    pub(super) common: bool,
}

impl StateTick for Published {
    fn tick(&self) -> u32 {
        self.0.snapshot.tick()
    }
    fn prefers_common(&self) -> bool {
        self.0.common
    }
}

/// The room as the session asks for it.
pub(super) struct Room {
    pub(super) schema: Schema,
    pub(super) encoder: Encoder,
    pub(super) nothing: Snapshot,
    /// Ticks of the baseline and prior of each delta.
    pub(super) used: Vec<(Option<u32>, Option<u32>)>,
}

impl Zoned<Published> for Room {
    fn view<'a>(&'a self, state: &'a Published) -> &'a [InView] {
        &state.0.view
    }
    fn content(&self, state: &Published, zone: ZoneId) -> ZoneContent {
        let is_empty = state.0.snapshot.content(zone).is_none();
        ZoneContent { changed: state.0.changed.get(&zone).copied().unwrap_or(0), is_empty }
    }
    fn delta(
        &mut self,
        zone: ZoneId,
        current: &Published,
        baseline: Option<&Published>,
        prior: Option<&Published>,
    ) -> Bytes {
        self.used.push((baseline.map(Published::tick), prior.map(Published::tick)));
        let mut nothing = [self.nothing.clone(), self.nothing.clone(), self.nothing.clone()];
        for (empty, state) in nothing.iter_mut().zip([Some(current), baseline, prior]) {
            empty.clear(state.map_or(0, Published::tick));
        }
        let [current_none, baseline_none, prior_none] = &nothing;
        let content = |of: &'_ Published| of.0.snapshot.content(zone).cloned();
        let current = content(current).unwrap_or_else(|| current_none.clone());
        let baseline = baseline.map(|state| content(state).unwrap_or_else(|| baseline_none.clone()));
        let prior = prior.map(|state| content(state).unwrap_or_else(|| prior_none.clone()));
        let references = References { baseline: baseline.as_ref(), prior: prior.as_ref() };
        let mut out = BytesMut::new();
        let checksum = Some(current.checksum());
        self.encoder.encode(&self.schema, references, &current, wire::ColumnCoding::Rice, checksum, &mut out);
        out.freeze()
    }
}

/// Two sessions and the links between them, driven tick by tick.
pub(super) struct Play {
    pub(super) now: Instant,
    pub(super) dice: Dice,
    pub(super) seed: u64,
    pub(super) room: Room,
    pub(super) history: Vec<Published>,
    pub(super) server: ServerSession<Published>,
    pub(super) client: ClientSession,
    pub(super) writer: ZoneWriter,
    pub(super) message_bytes: usize,
    pub(super) limits: Limits,
    pub(super) delivery: Delivery,
    pub(super) up: Link,
    pub(super) down: Link,
    pub(super) common: bool,
    /// The player stays where it is.
    pub(super) still: bool,
    /// Messages of the last state, and the bytes of all.
    pub(super) parts: usize,
    pub(super) bytes: usize,
    /// Told of each message that the client has taken.
    pub(super) taken: Option<Taken>,
}

type Taken = Box<dyn FnMut(&Bytes, &ClientSession)>;

impl Play {
    pub(super) fn new(
        delivery: Delivery,
        conditions: Conditions,
        (message_bytes, state_bytes): (usize, usize),
        seed: u64,
    ) -> Self {
        let now = Instant::now();
        let schema = Schema::new()
            .kind("boat", |k| {
                k.linear("position", &["x"], 100).hold("hull", &["health"], 1).text("name", &["name"])
            })
            .kind("flag", |k| k.hold("owner", &["player"], 1));
        let nothing = Snapshot::new(&schema);
        let config = ClientConfig { delivery, ..ClientConfig::default() };
        let rate = u32::try_from(state_bytes).map_or(0, |bytes| bytes * 20);
        let limits = Limits { state_bytes_per_second: rate, ..Limits::default() };
        let mut play = Self {
            now,
            dice: Dice(seed),
            seed,
            room: Room { schema, encoder: Encoder::default(), nothing, used: Vec::new() },
            history: Vec::new(),
            server: ServerSession::new(now, limits.clone(), delivery),
            client: ClientSession::join(now, config, join()),
            writer: ZoneWriter::default(),
            message_bytes,
            limits,
            delivery,
            up: Link::new(delivery, conditions),
            down: Link::new(delivery, conditions),
            common: false,
            still: false,
            parts: 0,
            bytes: 0,
            taken: None,
        };
        play.shake_hands(false);
        play
    }

    /// Over a link that loses nothing.
    pub(super) fn shake_hands(&mut self, resumes: bool) {
        let mut out = BytesMut::new();
        assert!(self.client.poll_transmit(self.now, &mut out));
        self.server.handle_message(self.now, out.split().freeze()).unwrap();
        assert!(matches!(self.server.poll_request(), Some(Request::Join(_) | Request::Resume(_))));
        let welcome = wire::Welcome {
            player: 1,
            tick_rate: 20,
            schema: Some(self.room.schema.to_wire()),
            room: "lobby".into(),
            resume_token: Bytes::from_static(b"0123456789abcdef"),
            resumed: resumes,
            ..wire::Welcome::default()
        };
        self.server.welcome(self.now, welcome);
        assert!(self.server.poll_control(0, &mut out));
        self.client.handle_message(self.now, out.split().freeze()).unwrap();
    }

    pub(super) fn reconnect(&mut self) {
        self.client.disconnected();
        self.server = ServerSession::new(self.now, self.limits.clone(), self.delivery);
        self.up.cut();
        self.down.cut();
        self.client.reconnected(self.now, false, self.delivery);
        self.shake_hands(true);
    }

    pub(super) fn tick(&self) -> u32 {
        self.history.len() as u32
    }

    /// The world at a tick: boats that sail from cell to cell, some of them at anchor, and a flag for all.
    pub(super) fn world(&self, tick: u32) -> Snapshot {
        let mut state = Snapshot::new(&self.room.schema);
        state.clear(tick);
        let t = tick as i32;
        for id in 1..=40_u32 {
            let mut dice = Dice(self.seed ^ u64::from(id) << 7);
            let (start, speed) = ((dice.next() % 9_000) as i32, (dice.next() % 90) as i32 - 40);
            let speed = if id % 3 == 0 { 0 } else { speed };
            if (tick / 40 + id).is_multiple_of(11) {
                continue; // it comes and goes
            }
            let x = (start + speed * t).rem_euclid(9_000);
            let zone = 1 + x as u32 / 1_000;
            let zone = state.zone(zone);
            // Some have a name, which changes now and then.
            let name = zone.text(&if id % 8 == 0 { format!("{id}/{}", t / 50) } else { String::new() });
            zone.table_mut(0).push(id, &[x, 100 - t / 30 % 7, name]);
        }
        state.table_mut(1).push(90, &[t / 25]);
        state
    }

    /// What the player sees: the cells around a place that moves, and now and then one somewhere else.
    pub(super) fn view(&self, tick: u32) -> Vec<InView> {
        let tick = if self.still { 30 } else { tick };
        let mut zones = BTreeSet::new();
        let place = 1 + (tick / 9) % CELLS;
        zones.extend((place.saturating_sub(1)..=place + 1).filter(|zone| (1..=CELLS).contains(zone)));
        let mut dice = Dice(self.seed ^ u64::from(tick / 5));
        zones.insert(1 + (dice.next() % u64::from(CELLS)) as u32);
        zones.insert(NOTHING);
        zones
            .into_iter()
            .map(|zone| InView { zone, priority: if zone == place { 200 } else { 20 } })
            .collect()
    }

    pub(super) fn step(&mut self) {
        let tick = self.tick() + 1;
        let snapshot = self.world(tick);
        let mut changed = self.history.last().map_or_else(BTreeMap::new, |last| last.0.changed.clone());
        for zone in 1..=CELLS {
            let last = self.history.last().and_then(|last| last.0.snapshot.content(zone));
            let same = match (last, snapshot.content(zone)) {
                (Some(last), Some(now)) => last.has_content_of(now),
                (None, None) => true,
                _ => false,
            };
            if !same {
                changed.insert(zone, tick);
            }
        }
        let view = self.view(tick);
        let state = Published(Arc::new(Tick { snapshot, view, changed, common: self.common }));
        self.history.push(state.clone());
        self.server.offer_state(state);
        for _ in 0..10 {
            self.now += ms(5);
            self.exchange();
        }
        let _ = self.client.send_input(Bytes::from_static(b"go"));
    }

    pub(super) fn exchange(&mut self) {
        while let Some(message) = self.up.receive(self.now) {
            self.server.handle_message(self.now, message).unwrap();
            while self.server.poll_request().is_some() {}
        }
        while let Some(message) = self.down.receive(self.now) {
            self.client.handle_message(self.now, message.clone()).unwrap();
            self.check();
            if let Some(taken) = &mut self.taken {
                taken(&message, &self.client);
            }
        }
        let mut out = BytesMut::new();
        let Self { server, room, writer, message_bytes, down, dice, now, .. } = self;
        while server.poll_control(0, &mut out) {
            down.send(*now, dice, out.split().freeze());
        }
        let mut parts = Vec::new();
        let sent = server.poll_zones(*now, 0, room, *message_bytes, writer, &mut out, |message| {
            parts.push(message.split().freeze());
        });
        assert_eq!(sent, !parts.is_empty());
        if sent {
            (self.parts, self.bytes) = (parts.len(), parts.iter().map(Bytes::len).sum());
            for part in parts {
                assert!(part.len() <= *message_bytes, "{} bytes", part.len());
                down.send(*now, dice, part);
            }
        }
        while self.client.poll_transmit(self.now, &mut out) {
            self.up.send(self.now, &mut self.dice, out.split().freeze());
        }
    }

    /// Whether the player has all that it may see of the state that it has; checked are all the rules that
    /// hold even if it does not.
    pub(super) fn check(&mut self) -> bool {
        let Some(state) = self.client.snapshot() else { return false };
        let tick = state.tick();
        let of = |tick: u32| &self.history[tick as usize - 1].0;
        let in_view: BTreeSet<_> = of(tick).view.iter().map(|seen| seen.zone).collect();
        let mut is_current = true;
        let mut known: BTreeMap<ZoneId, u32> = BTreeMap::new();
        for (zone, content, until) in self.client.zones() {
            // Promise 8: "A client MUST NOT receive a byte of what its player may not see."
            assert!(in_view.contains(&zone), "zone {zone} at tick {tick}: {in_view:?}");
            let truth = of(until).snapshot.content(zone).unwrap_or(&self.room.nothing);
            assert!(content.has_content_of(truth), "zone {zone} at tick {until}: {content:?}, not {truth:?}");
            known.insert(zone, until);
            is_current &= until == tick;
        }
        for zone in &in_view {
            is_current &= known.contains_key(zone) || of(tick).snapshot.content(*zone).is_none();
        }
        for (kind, table) in state.tables().iter().enumerate().take(1) {
            for (row, &id) in table.ids().iter().enumerate() {
                let seen = known.iter().any(|(zone, until)| {
                    of(*until).snapshot.content(*zone).is_some_and(|c| c.tables()[kind].row(id).is_some())
                });
                assert!(seen || !is_current, "boat {id} at {row} is nowhere in view");
            }
        }
        if is_current {
            let mut union = Snapshot::new(&self.room.schema);
            union.clear(tick);
            for zone in in_view.iter().copied().chain([0]) {
                let Some(content) = of(tick).snapshot.content(zone) else { continue };
                for (kind, table) in content.tables().iter().enumerate() {
                    for (row, &id) in table.ids().iter().enumerate() {
                        let mut values: Vec<_> = (0..table.width()).map(|c| table.column(c)[row]).collect();
                        if kind == 0 {
                            values[2] = union.text(content.text_of(values[2]));
                        }
                        union.table_mut(kind).push(id, &values);
                    }
                }
            }
            if self.client.snapshot() != Some(&union) {
                let zone_0 = of(tick).snapshot.tables()[1].value(90, 0);
                let shown = self.client.snapshot().and_then(|state| state.tables()[1].value(90, 0));
                // Zone 0 may be in a message that has not come.
                assert_ne!(shown, zone_0, "tick {tick}");
                return false;
            }
        }
        is_current
    }
}
