//! Promise 8: "A client MUST NOT receive a byte of what its player may not see." Many small games with
//! secrets that no other number looks like; what each client is sent is searched for those of the others, as
//! it is and as the client has decoded it. A spectator is one more of them, who sees some of the fog,
//! nobody's hand, and nothing that is newer than the room's delay.
//!
//! As it is only in the coding PACKED: in RICE and DENSE a number has neither a place of its own nor bytes.
//! There a message says what its reader decodes and nothing else, since decoders refuse bits that belong to
//! nothing; so all that is decoded is looked at, after each message.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

use bytes::{Bytes, BytesMut};
use driftless_proto::{
    delta::Encoder,
    limits::{Limits, PROTOCOL},
    schema::Schema,
    session::{
        Delivery,
        client::{ClientConfig, ClientSession},
        server::{Request, ServerSession, ZoneContent, ZoneWriter, Zoned},
    },
    snapshot::Snapshot,
    view::{InView, ZoneId},
    wire::{self, ColumnCoding},
};
use driftless_server::ground::{
    published::{Published, Watched},
    sight::Sight,
};
use driftless_sim::{PlayerId, Rng};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

const GAMES: u64 = 1_000;
const TICKS: u32 = 14;
const TICK: Duration = Duration::from_millis(50);
/// Zones in the fog: each player sees some of them, for a while. Beyond them are the players' hands.
const FOG: u32 = 3;

/// A secret: two numbers of 32 random bits.
type Secret = [i32; 2];

/// Where everything is and who sees what, tick by tick.
struct Game {
    players: u32,
    schema: Arc<Schema>,
    /// By tick, from 1: the secrets in each zone, by entity.
    ticks: Vec<BTreeMap<ZoneId, BTreeMap<u32, Secret>>>,
    /// By tick: what each player sees, and then what spectators see.
    views: Vec<Vec<Vec<InView>>>,
}

impl Game {
    fn new(rng: &mut Rng, players: u32) -> Self {
        let schema = Schema::new().kind("secret", |kind| kind.hold("number", &["high", "low"], 1));
        let mut secrets = BTreeMap::new();
        let mut game = Self { players, schema: Arc::new(schema), ticks: Vec::new(), views: Vec::new() };
        let zones = 1..=FOG + players;
        for id in zones.clone().chain(1..=FOG) {
            // Some entities of the fog are in one zone together.
            let id = 10 * id + rng.below(2);
            secrets.insert(id, (id / 10, random(rng)));
        }
        let mut foggy: Vec<BTreeSet<ZoneId>> = vec![BTreeSet::new(); players as usize + 1];
        for _ in 0..TICKS {
            for (zone, secret) in secrets.values_mut() {
                if rng.below(3) == 0 {
                    *secret = random(rng);
                }
                if *zone <= FOG && rng.below(6) == 0 {
                    *zone = 1 + rng.below(FOG);
                }
            }
            let mut tick: BTreeMap<ZoneId, BTreeMap<u32, Secret>> = BTreeMap::new();
            for (&id, &(zone, secret)) in &secrets {
                tick.entry(zone).or_default().insert(id, secret);
            }
            game.ticks.push(tick);
            let views = (1..).zip(&mut foggy).map(|(player, foggy)| {
                for zone in 1..=FOG {
                    if rng.below(5) == 0 && !foggy.remove(&zone) {
                        foggy.insert(zone);
                    }
                }
                let hand = (player <= players).then_some(FOG + player);
                let seen = foggy.iter().copied().chain(hand);
                seen.map(|zone| InView { zone, priority: 1 + rng.below(200) as u8 }).collect()
            });
            game.views.push(views.collect());
        }
        game
    }

    fn snapshot(&self, tick: u32, out: &mut Snapshot) {
        out.clear(tick);
        for (&zone, secrets) in &self.ticks[tick as usize - 1] {
            secrets.iter().for_each(|(id, secret)| out.zone(zone).table_mut(0).push(*id, secret));
        }
    }

    fn sees(&self, player: PlayerId, tick: u32, zone: ZoneId) -> bool {
        self.views[tick as usize - 1][player as usize - 1].iter().any(|seen| seen.zone == zone)
    }

    fn spectator(&self) -> PlayerId {
        self.players + 1
    }

    /// The secrets that a player may have learned by the tick `until`, and those that it may not.
    fn split(&self, player: PlayerId, until: u32) -> (HashSet<Secret>, HashSet<Secret>) {
        let (mut may, mut may_not) = (HashSet::new(), HashSet::new());
        for (tick, zones) in (1..).zip(&self.ticks) {
            for (&zone, secrets) in zones {
                let known =
                    if tick <= until && self.sees(player, tick, zone) { &mut may } else { &mut may_not };
                known.extend(secrets.values());
            }
        }
        may_not.retain(|secret| !may.contains(secret));
        (may, may_not)
    }
}

fn random(rng: &mut Rng) -> Secret {
    [0; 2].map(|_| rng.next_u32() as i32)
}

/// The numbers on the wire that say a secret: it alone, and the way to it from another of the same game.
fn needles(may_not: &HashSet<Secret>, all: impl Iterator<Item = Secret> + Clone) -> HashSet<u64> {
    let mut needles = HashSet::new();
    for secret in may_not {
        for from in all.clone().chain([[0; 2]]).filter(|from| from != secret) {
            let [a, b] = [0, 1].map(|n| zigzag(secret[n].wrapping_sub(from[n])));
            needles.extend([pair(a, b), spread(a) | spread(b) << 1]);
        }
    }
    needles
}

fn zigzag(residual: i32) -> u32 {
    (residual << 1 ^ residual >> 31) as u32
}

/// Two numbers one after the other.
fn pair(a: u32, b: u32) -> u64 {
    u64::from(a) << 32 | u64::from(b)
}

/// The bits of a number, with a gap after each.
fn spread(number: u32) -> u64 {
    const MASKS: [(u32, u64); 5] = [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ];
    MASKS.iter().fold(number.into(), |bits, (by, mask)| (bits | bits << by) & mask)
}

/// A varint, and its length.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (n, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * n as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, n + 1));
        }
    }
    None
}

/// Whether one of these numbers begins anywhere.
fn contains(message: &[u8], needles: &HashSet<u64>) -> bool {
    (0..message.len()).any(|at| {
        let Some((first, len)) = varint(&message[at..]) else { return false };
        let then = varint(&message[at + len..])
            .and_then(|(then, _)| Some(pair(u32::try_from(first).ok()?, u32::try_from(then).ok()?)));
        // Short numbers are counts and lengths; a secret that happens to be one is not looked for.
        (len > 7 && needles.contains(&first)) || then.is_some_and(|pair| needles.contains(&pair))
    })
}

/// What a room gives to one player's session.
struct Room<'a> {
    player: PlayerId,
    spectates: bool,
    coding: ColumnCoding,
    encoder: &'a mut Encoder,
    buffer: &'a mut BytesMut,
}

impl Zoned<Arc<Published>> for Room<'_> {
    fn view<'a>(&'a self, state: &'a Arc<Published>) -> &'a [InView] {
        match self.spectates {
            true => state.zones().map_or(&[], |zones| zones.shown(Sight::Spectator)),
            false => state.view(self.player as usize - 1, self.player),
        }
    }
    fn content(&self, state: &Arc<Published>, zone: ZoneId) -> ZoneContent {
        state.zone_content(zone)
    }
    fn delta(
        &mut self,
        zone: ZoneId,
        current: &Arc<Published>,
        baseline: Option<&Arc<Published>>,
        prior: Option<&Arc<Published>>,
    ) -> Bytes {
        let (baseline, prior) = (baseline.map(|state| &**state), prior.map(|state| &**state));
        current.delta(zone, self.encoder, self.buffer, baseline, prior, self.coding).bytes
    }
}

/// One player's connection.
struct Peer {
    player: PlayerId,
    spectates: bool,
    server: ServerSession<Arc<Published>>,
    client: ClientSession,
    coding: ColumnCoding,
    received: Vec<Bytes>,
    /// All secrets that the client has shown.
    shown: HashSet<Secret>,
}

impl Peer {
    fn join(
        now: Instant,
        player: PlayerId,
        game: &Game,
        (delivery, coding): (Delivery, ColumnCoding),
        budget: u32,
    ) -> Self {
        let (schema, spectates) = (&game.schema, player == game.spectator());
        let limits = Limits { state_bytes_per_second: budget, ..Limits::default() };
        let config = ClientConfig { delivery, ..ClientConfig::default() };
        let room = "lobby".into();
        let join = wire::Join { protocol: PROTOCOL, room, spectate: spectates, ..wire::Join::default() };
        let mut peer = Self {
            player,
            spectates,
            server: ServerSession::new(now, limits, delivery),
            client: ClientSession::join(now, config, join),
            coding,
            received: Vec::new(),
            shown: HashSet::new(),
        };
        peer.send_up(now, |_| false);
        let welcome = wire::Welcome {
            player,
            spectating: spectates,
            tick_rate: 20,
            schema: Some(schema.to_wire()),
            resume_token: vec![1; 16].into(),
            ..wire::Welcome::default()
        };
        peer.server.welcome(now, welcome);
        peer
    }

    fn send_up(&mut self, now: Instant, mut loses: impl FnMut(u32) -> bool) {
        let mut out = BytesMut::new();
        while self.client.poll_transmit(now, &mut out) {
            let message = out.split().freeze();
            if !loses(40) {
                self.server.handle_message(now, message).unwrap();
            }
        }
        while let Some(request) = self.server.poll_request() {
            assert!(!matches!(request, Request::Leave));
        }
    }

    /// The state of a tick goes down and what answers it up, if they are not lost.
    fn tick(
        &mut self,
        now: Instant,
        state: &Arc<Published>,
        room: &mut Tools,
        mut loses: impl FnMut(u32) -> bool,
    ) {
        let Tools { encoder, buffer, writer } = room;
        let mut out = BytesMut::new();
        while self.server.poll_control(0, &mut out) {
            self.client.handle_message(now, out.split().freeze()).unwrap();
        }
        self.server.offer_state(state.clone());
        let Self { player, spectates, coding, .. } = *self;
        let mut room = Room { player, spectates, coding, encoder, buffer };
        let mut sent = Vec::new();
        self.server
            .poll_zones(now, 0, &mut room, 60, writer, &mut out, |out| sent.push(out.split().freeze()));
        for message in sent {
            self.received.push(message.clone());
            if !loses(30) {
                self.client.handle_message(now, message).unwrap();
                self.look();
            }
        }
        self.send_up(now, loses);
    }

    /// Notes what the client shows, and what it has of each zone.
    fn look(&mut self) {
        let zones = self.client.zones().map(|(_, content, _)| content);
        for table in self.client.snapshot().into_iter().chain(zones).map(|state| &state.tables()[0]) {
            self.shown.extend((0..table.len()).map(|row| [0, 1].map(|column| table.column(column)[row])));
        }
    }
}

#[derive(Default)]
struct Tools {
    encoder: Encoder,
    buffer: BytesMut,
    writer: ZoneWriter,
}

/// What there was in a game: secrets that were searched for, secrets that were shown, and zones that came and
/// went.
struct Played {
    searched: usize,
    shown: usize,
    changes: usize,
}

/// Plays one game to its end.
fn play(seed: u64, tools: &mut Tools) -> Played {
    let mut rng = Rng::new(seed);
    let players = 2 + rng.below(3);
    let game = Game::new(&mut rng, players);
    let delivery = if rng.below(2) == 0 { Delivery::Ordered } else { Delivery::Datagram };
    let budget = if rng.below(3) == 0 { 20 * 60 } else { 0 };
    let coding = [ColumnCoding::Packed, ColumnCoding::Rice, ColumnCoding::Dense][rng.below(3) as usize];
    let mut now = Instant::now();
    let mut peers: Vec<_> =
        (1..=players + 1).map(|player| Peer::join(now, player, &game, (delivery, coding), budget)).collect();
    let delay = rng.below(4);
    let mut states = Vec::new();
    let mut before: Option<Arc<Published>> = None;
    let mut changes = 0;
    for tick in 1..=TICKS {
        now += TICK;
        let mut state = Published::new(game.schema.clone(), None);
        let inputs = (1..=players).map(|player| (player, 0));
        state.fill(inputs, before.as_deref(), true, tick % 2 == 0, |out| game.snapshot(tick, out));
        let see = |player: PlayerId, _: &[InView], out: &mut Vec<InView>| {
            out.clone_from(&game.views[tick as usize - 1][player as usize - 1]);
        };
        state.look((1..=players).map(Some), before.as_deref(), see);
        let watched = Watched { by_spectators: true, by_admins: false };
        state.look_on(watched, before.as_deref(), |had, out| see(game.spectator(), had, out));
        let state = Arc::new(state);
        states.push(state.clone());
        for peer in &mut peers {
            let late = if peer.spectates { delay as usize } else { 0 };
            let Some(state) = states.len().checked_sub(1 + late).map(|at| states[at].clone()) else {
                continue;
            };
            let had: Vec<_> = peer.client.zones().map(|(zone, ..)| zone).collect();
            let loses = |percent| delivery == Delivery::Datagram && rng.below(100) < percent;
            peer.tick(now, &state, tools, loses);
            let has = peer.client.zones().map(|(zone, ..)| zone);
            changes += usize::from(!has.eq(had.iter().copied()));
            let Some(shown) = peer.client.snapshot() else { continue };
            // What it has is what its player saw at the tick that it has.
            let at = shown.tick();
            assert!(peer.client.zones().all(|(zone, ..)| game.sees(peer.player, at, zone)));
        }
        before = Some(state);
    }
    let all: BTreeSet<Secret> = game
        .ticks
        .iter()
        .flat_map(|zones| zones.values().flat_map(|secrets| secrets.values().copied()))
        .collect();
    let (mut searched, mut shown) = (0, 0);
    for peer in &peers {
        let until = TICKS - if peer.spectates { delay } else { 0 };
        let (may, may_not) = game.split(peer.player, until);
        assert!(peer.shown.is_subset(&may), "game {seed}: player {} is shown a secret", peer.player);
        shown += peer.shown.len();
        searched += may_not.len();
        if coding != ColumnCoding::Packed {
            continue;
        }
        let needles = needles(&may_not, all.iter().copied());
        for message in &peer.received {
            assert!(!contains(message, &needles), "game {seed}: player {} is sent a secret", peer.player);
        }
    }
    Played { searched, shown, changes }
}

#[test]
fn nothing_that_a_player_may_not_see_is_sent_to_it() {
    let mut tools = Tools::default();
    let (mut searched, mut shown, mut changes) = (0, 0, 0);
    for seed in 0..GAMES {
        let played = play(seed, &mut tools);
        searched += played.searched;
        shown += played.shown;
        changes += played.changes;
    }
    assert!(searched > 10_000 && shown > 10_000, "{searched} secrets were searched for, and {shown} shown");
    assert!(changes > 10_000, "{changes} changes of view");
}

#[test]
fn a_secret_that_is_sent_would_be_found() {
    let mut tools = Tools::default();
    let mut rng = Rng::new(3);
    let game = Game::new(&mut rng, 2);
    let publish = |tick, before: Option<&Published>| {
        let mut state = Published::new(game.schema.clone(), None);
        state.fill([(1, 0), (2, 0)].into_iter(), before, true, false, |out| game.snapshot(tick, out));
        state
    };
    let all =
        game.ticks.iter().flat_map(|zones| zones.values().flat_map(|secrets| secrets.values().copied()));
    let (one, two) = (publish(1, None), publish(2, None));
    let Tools { encoder, buffer, .. } = &mut tools;
    for zone in 1..=FOG + 2 {
        let secrets = |tick: usize| game.ticks[tick - 1].get(&zone).cloned().unwrap_or_default();
        let may_not: HashSet<_> = secrets(2).into_values().collect();
        let changed = secrets(1) != secrets(2);
        let needles = needles(&may_not, all.clone());
        for (baseline, found) in [(None, !may_not.is_empty()), (Some(&one), changed && !may_not.is_empty())] {
            let sent = two.delta(zone, encoder, buffer, baseline, None, ColumnCoding::Packed).bytes;
            assert_eq!(contains(&sent, &needles), found, "zone {zone}: {sent:?}");
        }
    }
}
