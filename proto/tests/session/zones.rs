//! Zones over a network that loses, delays and repeats: whatever happens, the client has what its player may
//! see, and nothing else.

use crate::util::{Conditions, Dice, Link, client, join, ms};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
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
    wire::{self, client_message::Body},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

/// Cells of the world: zones 1 to `CELLS`, in a row.
const CELLS: u32 = 9;
/// An empty zone in view.
const NOTHING: ZoneId = 77;

/// A tick's state, and what the player sees of it.
#[derive(Debug, Clone)]
struct Published(Arc<Tick>);

#[derive(Debug)]
struct Tick {
    snapshot: Snapshot,
    view: Vec<InView>,
    /// When each zone last changed.
    changed: BTreeMap<ZoneId, u32>,
    common: bool,
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
struct Room {
    schema: Schema,
    encoder: Encoder,
    nothing: Snapshot,
    /// Ticks of the baseline and prior of each delta.
    used: Vec<(Option<u32>, Option<u32>)>,
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
struct Play {
    now: Instant,
    dice: Dice,
    seed: u64,
    room: Room,
    history: Vec<Published>,
    server: ServerSession<Published>,
    client: ClientSession,
    writer: ZoneWriter,
    message_bytes: usize,
    limits: Limits,
    delivery: Delivery,
    up: Link,
    down: Link,
    common: bool,
    /// The player stays where it is.
    still: bool,
    /// Messages of the last state, and the bytes of all.
    parts: usize,
    bytes: usize,
}

impl Play {
    fn new(
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
        };
        play.shake_hands(false);
        play
    }

    /// Over a link that loses nothing.
    fn shake_hands(&mut self, resumes: bool) {
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

    fn reconnect(&mut self) {
        self.client.disconnected();
        self.server = ServerSession::new(self.now, self.limits.clone(), self.delivery);
        self.up.cut();
        self.down.cut();
        self.client.reconnected(self.now, false, self.delivery);
        self.shake_hands(true);
    }

    fn tick(&self) -> u32 {
        self.history.len() as u32
    }

    /// The world at a tick: boats that sail from cell to cell, some of them at anchor, and a flag for all.
    fn world(&self, tick: u32) -> Snapshot {
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
    fn view(&self, tick: u32) -> Vec<InView> {
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

    fn step(&mut self) {
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

    fn exchange(&mut self) {
        while let Some(message) = self.up.receive(self.now) {
            self.server.handle_message(self.now, message).unwrap();
            while self.server.poll_request().is_some() {}
        }
        while let Some(message) = self.down.receive(self.now) {
            self.client.handle_message(self.now, message).unwrap();
            self.check();
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
    fn check(&mut self) -> bool {
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

/// Longest message, and bytes of a state.
const ALL: (usize, usize) = (usize::MAX, usize::MAX);

#[test]
fn over_a_stream_the_client_has_exactly_what_its_player_sees() {
    for seed in 1..20 {
        let conditions = Conditions { delay: ms(20), ..Conditions::default() };
        let mut play = Play::new(Delivery::Ordered, conditions, ALL, seed);
        for tick in 1..200 {
            play.step();
            assert!(play.check() || tick < 3, "seed {seed}, tick {tick}");
        }
    }
}

#[test]
fn what_has_not_changed_costs_nothing() {
    let mut play = Play::new(Delivery::Ordered, Conditions::default(), ALL, 7);
    for _ in 0..20 {
        play.step();
    }
    // A state in which nothing moves, again and again.
    let Tick { snapshot, view, changed, .. } = &*play.history[19].0;
    let (snapshot, view, changed) = (snapshot.clone(), view.clone(), changed.clone());
    for tick in 21..=120 {
        let mut next = snapshot.clone();
        next.clear(tick);
        for (zone, content) in snapshot.zones().chain([(0, &snapshot)]) {
            for (kind, table) in content.tables().iter().enumerate() {
                for (_, text) in content.texts() {
                    next.zone(zone).bytes(text);
                }
                for (row, &id) in table.ids().iter().enumerate() {
                    let values: Vec<_> = (0..table.width()).map(|c| table.column(c)[row]).collect();
                    next.zone(zone).table_mut(kind).push(id, &values);
                }
            }
        }
        let state = Tick { snapshot: next, view: view.clone(), changed: changed.clone(), common: false };
        play.history.push(Published(Arc::new(state)));
        play.server.offer_state(play.history[tick as usize - 1].clone());
        for _ in 0..10 {
            play.now += ms(5);
            play.exchange();
        }
        assert!(play.check());
    }
    let head_and_checksum = 16;
    assert!(play.bytes <= head_and_checksum, "{} bytes", play.bytes);
}

#[test]
fn a_budget_delays_what_is_far_and_starves_nothing() {
    let state_bytes = 44;
    let mut play = Play::new(Delivery::Ordered, Conditions::default(), (usize::MAX, state_bytes), 3);
    play.still = true;
    let (mut near, mut far, mut total) = (Vec::new(), Vec::new(), 0);
    for tick in 1..400 {
        play.step();
        play.check();
        let urgent: BTreeMap<_, _> = play.view(tick).into_iter().map(|s| (s.zone, s.priority)).collect();
        for (zone, _, until) in play.client.zones() {
            let ages = if urgent[&zone] == 200 { &mut near } else { &mut far };
            ages.push(tick - until);
        }
        let one_zone = 60;
        total += play.bytes;
        assert!(play.bytes <= 4 * state_bytes + one_zone, "{} bytes", play.bytes);
    }
    assert!(total <= 400 * (state_bytes + 20), "{total} bytes");
    near.sort_unstable();
    far.sort_unstable();

    assert_eq!(near[near.len() / 2], 0);
    assert!(far[far.len() / 2] >= 1, "the budget is not tight");
    assert!(*far.last().unwrap() <= 24, "{far:?}");
}

/// Age of the most urgent zone over a link that carries so many bytes a second to the client: the median, in
/// ticks.
fn age_over(delivery: Delivery, rate: u32) -> u32 {
    let conditions = Conditions { delay: ms(30), ..Conditions::default() };
    let mut play = Play::new(delivery, conditions, (1_200, usize::MAX), 9);
    play.down.conditions.rate = rate;
    play.still = true;
    let mut ages = Vec::new();
    for tick in 1..1_000 {
        play.step();
        play.check();
        let urgent = play.view(tick).into_iter().find(|seen| seen.priority == 200).unwrap();
        let zone = play.client.zones().find(|(zone, ..)| *zone == urgent.zone);
        ages.extend(zone.filter(|_| tick > 200).map(|(.., until)| tick - until));
    }
    ages.sort_unstable();
    ages[ages.len() / 2]
}

#[test]
fn over_a_narrow_link_the_near_zone_stays_fresh() {
    for delivery in [Delivery::Ordered, Delivery::Datagram] {
        // All that changes takes 1,400 bytes a second.
        assert!(age_over(delivery, 100_000) <= 1, "{delivery:?}");
        let age = age_over(delivery, 900);
        assert!(age <= 3, "{delivery:?}: {age}");
    }
}

#[test]
fn acknowledgements_of_zones_that_were_left_count_for_nothing() {
    // Without input there are no acknowledgements on inputs: all of them come late, in ack messages.
    let conditions = Conditions { delay: ms(120), jitter: ms(80), ..Conditions::default() };
    let mut play = Play::new(Delivery::Datagram, conditions, ALL, 11);
    for _ in 0..400 {
        play.step();
    }
    assert_eq!(play.server.closing(), None);
}

#[test]
fn an_acknowledgement_of_a_message_never_sent_is_refused() {
    let mut play = Play::new(Delivery::Datagram, Conditions::default(), ALL, 2);
    (0..5).for_each(|_| play.step());
    let ack = wire::Ack { state_ack: 1_000, ..wire::Ack::default() };
    assert!(play.server.handle_message(play.now, client(Body::Ack(ack))).is_err());
}

#[test]
fn in_a_crowd_few_references_are_used() {
    let conditions = Conditions { delay: ms(20), loss: 10, jitter: ms(9), ..Conditions::default() };
    let mut play = Play::new(Delivery::Datagram, conditions, (300, usize::MAX), 5);
    play.common = true;
    for _ in 0..300 {
        play.step();
    }
    assert!(play.client.snapshot().unwrap().tick() > 290);
    let used = play.room.used.iter().flat_map(|(baseline, prior)| [baseline, prior]).flatten();
    let (common, others): (Vec<u32>, Vec<u32>) = used.partition(|tick| tick.is_multiple_of(4));
    assert!(common.len() > 6 * others.len(), "{} and {}", common.len(), others.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// "Whatever is lost, delayed or doubled, the client's union equals what its player may see at the
    /// applied tick."
    #[test]
    fn whatever_the_network_does_the_client_has_only_what_its_player_sees(
        seed: u64,
        ordered: bool,
        loss in 0..40_u32,
        delay in 1..150_u64,
        jitter in 0..60_u64,
        duplication in 0..20_u32,
        small: bool,
        budget in prop_oneof![Just(usize::MAX), 40..400_usize],
        common: bool,
        reconnects in proptest::collection::btree_set(1..160_u32, 0..3),
    ) {
        let delivery = if ordered { Delivery::Ordered } else { Delivery::Datagram };
        let conditions = Conditions {
            delay: ms(delay), jitter: ms(jitter), loss, duplication, ..Conditions::default()
        };
        let message_bytes = if small && !ordered { 240 } else { usize::MAX };
        let mut play = Play::new(delivery, conditions, (message_bytes, budget), seed);
        play.common = common;
        for tick in 1..160 {
            play.step();
            if reconnects.contains(&tick) {
                play.reconnect();
            }
        }
        // The network recovers: everything that may be seen is there.
        play.limits.state_bytes_per_second = 0;
        play.up.conditions = Conditions { delay: ms(5), ..Conditions::default() };
        play.down.conditions = play.up.conditions;
        if budget != usize::MAX {
            play.reconnect();
        }
        let mut complete = 0;
        for tick in 0..160 {
            play.step();
            complete += u32::from(play.check() && tick >= 120);
        }
        prop_assert!(complete >= 10, "{complete} of 40");
    }
}

/// A client that applies hand-made states over datagrams, in a room with one kind.
struct Viewer {
    play: Play,
    number: u32,
    /// Of all boats that come next.
    health: i32,
}

impl Viewer {
    fn new() -> Self {
        let mut play = Play::new(Delivery::Datagram, Conditions::default(), ALL, 1);
        play.check();
        Self { play, number: 0, health: 1 }
    }

    /// A state in which each zone has these boats, in full.
    fn state(
        &mut self,
        tick: u32,
        zones: &[(ZoneId, &[u32])],
        deferred: &[ZoneId],
        left: &[ZoneId],
    ) -> Vec<u32> {
        use prost::Message as _;
        let (schema, health) = (&self.play.room.schema, self.health);
        let content = |boats: &[u32]| {
            let mut state = Snapshot::new(schema);
            state.clear(tick);
            boats.iter().for_each(|&id| state.table_mut(0).push(id, &[id as i32, health, 0]));
            let mut body = Vec::new();
            let coding = wire::ColumnCoding::Packed;
            Encoder::default().encode(schema, References::default(), &state, coding, None, &mut body);
            wire::ZoneDelta::decode(&body[..]).unwrap()
        };
        let gaps = |zones: &[ZoneId]| -> Vec<u32> {
            let mut last = 0;
            zones.iter().map(|&zone| zone - std::mem::replace(&mut last, zone) - 1).collect()
        };
        self.number += 1;
        let mut state = wire::State {
            tick,
            full: true,
            number: self.number + 1_000,
            apart: true,
            left: gaps(left),
            deferred: gaps(deferred),
            ..wire::State::default()
        };
        let mut last = 0;
        for &(zone, boats) in zones {
            let delta = content(boats);
            if zone == 0 {
                (state.apart, state.tables) = (false, delta.tables);
                continue;
            }
            state.zones.push(wire::ZoneDelta { zone: zone - last - 1, references: 1, ..delta });
            last = zone;
        }
        let body = Some(wire::server_message::Body::State(state));
        let message = wire::ServerMessage { body }.encode_to_vec();
        self.play.client.handle_message(self.play.now, message.into()).unwrap();
        self.play.client.snapshot().unwrap().tables()[0].ids().to_vec()
    }
}

#[test]
fn an_entity_that_may_have_moved_to_a_zone_that_is_late_is_still_shown() {
    let mut viewer = Viewer::new();
    assert_eq!(viewer.state(1, &[(0, &[5]), (1, &[6]), (2, &[7])], &[], &[]), [5, 6, 7]);
    // Both have gone from where they were; zone 2 is not known yet.
    assert_eq!(viewer.state(2, &[(0, &[]), (1, &[])], &[2], &[]), [5, 6, 7]);
    assert_eq!(viewer.state(3, &[(2, &[5, 7])], &[], &[]), [5, 7]);
}

#[test]
fn an_entity_of_a_zone_that_is_left_is_gone_even_if_another_is_late() {
    let mut viewer = Viewer::new();
    viewer.state(1, &[(0, &[]), (1, &[6]), (2, &[7])], &[], &[]);
    assert_eq!(viewer.state(2, &[(1, &[])], &[2], &[]), [6, 7]);
    assert_eq!(viewer.state(3, &[], &[2], &[1]), [7]);
}

#[test]
fn an_entity_that_goes_to_a_zone_of_which_nothing_has_come_yet_stays_in_view() {
    let mut viewer = Viewer::new();
    viewer.state(1, &[(0, &[]), (1, &[7])], &[], &[]);
    assert_eq!(viewer.state(2, &[(1, &[])], &[2], &[]), [7]);
    assert_eq!(viewer.state(3, &[], &[2], &[]), [7]);
    assert_eq!(viewer.state(4, &[(2, &[7])], &[], &[]), [7]);
    assert_eq!(viewer.state(5, &[(0, &[]), (2, &[])], &[], &[]), []);
}

#[test]
fn an_entity_is_as_it_was_seen_last_and_not_as_in_an_older_content_that_has_it_too() {
    let mut viewer = Viewer::new();
    let health = |viewer: &Viewer| viewer.play.client.snapshot().unwrap().tables()[0].value(7, 1);
    viewer.state(1, &[(0, &[]), (1, &[8]), (3, &[7])], &[], &[]);
    viewer.health = 2;
    assert_eq!(viewer.state(2, &[(1, &[7, 8])], &[3], &[]), [7, 8]);
    assert_eq!(viewer.state(3, &[(1, &[8])], &[3], &[]), [7, 8]);
    assert_eq!(health(&viewer), Some(2));
    viewer.health = 3;
    viewer.state(4, &[(3, &[7])], &[], &[]);
    assert_eq!(health(&viewer), Some(3));
}

// Promise 4
#[test]
fn a_peer_that_sees_zone_after_zone_and_acknowledges_nothing_is_told_to_go() {
    let mut play = Play::new(Delivery::Datagram, Conditions::default(), ALL, 4);
    let mut view = 1_000;
    for _ in 0..400 {
        if play.server.closing().is_some() {
            break;
        }
        let tick = play.tick() + 1;
        let mut snapshot = play.world(tick);
        let mut changed = BTreeMap::new();
        for zone in view..view + 40 {
            snapshot.zone(zone).table_mut(0).push(zone, &[1, 1, 0]);
            changed.insert(zone, tick);
        }
        let seen = (view..view + 40).map(|zone| InView { zone, priority: 1 }).collect();
        let state = Published(Arc::new(Tick { snapshot, view: seen, changed, common: false }));
        play.history.push(state.clone());
        play.server.offer_state(state);
        play.now += ms(300);
        let Play { server, room, writer, now, .. } = &mut play;
        server.poll_zones(*now, 0, room, 1_200, writer, &mut BytesMut::new(), |out| out.clear());
        view += 40;
    }
    assert_eq!(play.server.closing(), Some(CloseCode::SlowConsumer));
}
