//! Any sequence of (time, message) against either end of a session: no panic, and the guarantees hold.
#![no_main]

use bytes::{Buf, Bytes, BytesMut};
use driftless_proto::{
    delta::{Encoder, References},
    limits::{Limits, MAX_ZONES_IN_VIEW},
    moment::Moment,
    reliable::{HARD_BOUND, MESSAGE_OVERHEAD, ReliableQueue, encode_body},
    schema::Schema,
    session::{
        Delivery,
        client::{ClientConfig, ClientEvent, ClientSession},
        server::{Request, ServerSession, StateTick, ZoneContent, ZoneWriter, Zoned},
    },
    snapshot::Snapshot,
    state::StateHead,
    view::{InView, ZoneId},
    wire::{self, ColumnCoding, client_message, server_message},
};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use std::time::{Duration, Instant};

fuzz_target!(|data: &[u8]| {
    let mut script = data;
    if script.len() < 2 {
        return;
    }
    let flags = script.get_u8();
    let delivery = if flags & 1 == 0 { Delivery::Ordered } else { Delivery::Datagram };
    if flags & 2 == 0 {
        server(script, delivery, flags & 4 != 0, flags & 8 != 0);
    } else {
        client(script, delivery, flags & 4 != 0);
    }
});

/// Bytes of reliable messages that may wait without progress.
const QUEUE_BYTES: usize = 200;

/// The next `len` bytes of a script, or as many as there are.
fn take<'a>(script: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (head, tail) = script.split_at(len.min(script.len()));
    *script = tail;
    head
}

fn byte(script: &mut &[u8]) -> u8 {
    take(script, 1).first().copied().unwrap_or(0)
}

#[derive(Debug, Clone, Copy)]
struct Tick(u32);

impl StateTick for Tick {
    fn tick(&self) -> u32 {
        self.0
    }
}

/// A room of four zones, of which the player sees others every few ticks.
struct Room;

const fn seen(zone: ZoneId, priority: u8) -> InView {
    InView { zone, priority }
}
const VIEWS: [&[InView]; 4] = [
    &[],
    &[seen(1, 200), seen(3, 0)],
    &[seen(3, 9), seen(70, 255), seen(u32::MAX, 1)],
    &[seen(1, 10), seen(3, 20), seen(70, 30), seen(u32::MAX, 40)],
];

impl Zoned<Tick> for Room {
    fn view<'a>(&'a self, state: &'a Tick) -> &'a [InView] {
        VIEWS[state.0 as usize / 5 % VIEWS.len()]
    }
    fn content(&self, state: &Tick, zone: ZoneId) -> ZoneContent {
        let every = zone % 7 + 1;
        ZoneContent { changed: state.0 / every * every, is_empty: zone == 70 && state.0 % 50 < 20 }
    }
    fn delta(&mut self, zone: ZoneId, current: &Tick, baseline: Option<&Tick>, prior: Option<&Tick>) -> Bytes {
        assert_near(current.0, baseline, prior);
        let checksum = [8 << 3 | 5, 1, 2, 3, 4];
        Bytes::copy_from_slice(if zone % 2 == 0 { &checksum } else { &[] })
    }
}

/// The wire can express these references.
fn assert_near(tick: u32, baseline: Option<&Tick>, prior: Option<&Tick>) {
    let near = |of: u32, state: Option<&Tick>| state.is_none_or(|s| s.0 < of && of - s.0 <= 64);
    assert!(near(tick, baseline) && near(baseline.map_or(tick, |s| s.0), prior));
    assert!(baseline.is_some() || prior.is_none());
}

fn server(mut script: &[u8], delivery: Delivery, joined: bool, zoned: bool) {
    use client_message::Body;
    let mut now = Instant::now();
    let state_bytes_per_second = if zoned { u32::from(byte(&mut script)) * 10 } else { 0 };
    let limits =
        Limits { reliable_messages: 8, reliable_bytes: QUEUE_BYTES, state_bytes_per_second, ..Limits::default() };
    let mut writer = ZoneWriter::default();
    let mut queue = ReliableQueue::new(limits.reliable_messages, limits.reliable_bytes);
    let mut session = ServerSession::<Tick>::new(now, limits, delivery);
    let event = encode_body(&wire::reliable::Body::Event(wire::Event::default()));
    let mut out = BytesMut::new();
    let (mut tick, mut sent, mut input, mut command) = (0u32, None, 0u32, 0u64);
    if joined {
        let join = wire::Join { protocol: 1, room: "room".into(), ..wire::Join::default() };
        let join = wire::ClientMessage { body: Some(Body::Join(join)) };
        session.handle_message(now, join.encode_to_vec().into()).expect("a good join");
    }
    while !script.is_empty() {
        now += Duration::from_millis(u64::from(byte(&mut script)).pow(2));
        let (a, b) = (u32::from(byte(&mut script)), u32::from(byte(&mut script)));
        let body = match byte(&mut script) % 12 {
            0 => {
                let previous = vec![Bytes::new(); (b % 10) as usize];
                // Low numbers, and the highest ones.
                let sequence = if a < 200 { a } else { u32::MAX - (255 - a) };
                let moment = u64::from(b) << (a % 64);
                let previous_moments = vec![a as i32 - 128; (a % 10) as usize];
                Some(Body::Input(wire::Input {
                    sequence,
                    moment,
                    state_ack: b,
                    state_missing: a << (b % 32),
                    previous,
                    previous_moments,
                    ..wire::Input::default()
                }))
            }
            1 => {
                let state_missing = b << (a % 32);
                Some(Body::Ack(wire::Ack { state_ack: a, state_missing, reliable_ack: b.into() }))
            }
            2 => Some(Body::Command(wire::Command { sequence: a.into(), payload: Bytes::new() })),
            3 => Some(Body::Ping(wire::Ping { time_us: a.into() })),
            4 => Some(Body::Pong(wire::Pong { time_us: a.into() })),
            5 => Some(Body::Leave(wire::Leave {})),
            6 => {
                tick = tick.saturating_add(a);
                session.offer_state(Tick(tick));
                None
            }
            7 => {
                let _ = queue.push(event.clone());
                None
            }
            8 => {
                session.handle_timeout(now, a.into());
                None
            }
            9 => {
                session.forget_baseline();
                None
            }
            _ => {
                let message = Bytes::copy_from_slice(take(&mut script, a as usize));
                let was = session.closing();
                let result = session.handle_message(now, message);
                assert!(was.is_none() || (result.is_ok() && session.closing() == was));
                None
            }
        };
        if let Some(body) = body {
            let message = wire::ClientMessage { body: Some(body) }.encode_to_vec().into();
            if let Err(error) = session.handle_message(now, message) {
                assert_eq!(session.closing(), Some(error.code));
            }
        }
        while let Some(request) = session.poll_request() {
            match request {
                Request::Join(_) | Request::Resume(_) => {
                    session.welcome(now, wire::Welcome::default());
                }
                Request::Input(new) => {
                    assert!(new.sequence > input, "an input is given once, in order");
                    let newest = Moment::at(sent.unwrap_or(0));
                    assert!(new.moment.is_none_or(|moment| moment <= newest), "nobody was shown more");
                    input = new.sequence;
                }
                Request::Command(new) => {
                    assert_eq!(new.sequence, command + 1, "a command is given once, in order");
                    command = new.sequence;
                }
                Request::RefuseCommand(sequence) => {
                    assert_eq!(sequence, command + 1, "a command is refused once, in order");
                    command = sequence;
                }
                Request::ReliableAck(sequence) => assert!(queue.acked(sequence), "it was sent"),
                Request::Renew(_) | Request::ReadTopic(_) | Request::Publish { .. } => {}
                Request::Leave => assert!(session.closing().is_some()),
            }
        }
        // A peer that reads now and then.
        if b & 1 == 0 {
            let closing = session.closing().is_some();
            let mut count = 0;
            while session.poll_control(0, &mut out) {
                count += 1;
            }
            assert!(count <= if closing { 1 } else { 3 });
            while session.poll_reliable(&mut queue, &mut out) {
                assert!(!closing);
            }
            if zoned {
                out.clear();
                let message_bytes = 60 + a as usize;
                let (before, mut numbers) = (sent, Vec::new());
                session.poll_zones(now, input, &mut Room, message_bytes, &mut writer, &mut out, |out| {
                    let message = out.split().freeze();
                    let (head, _) = StateHead::split(&message).expect("a state").expect("a state");
                    assert!(!closing && Some(head.tick) > before, "a state is newer than the last");
                    assert_eq!(head.apart, !numbers.is_empty(), "one message has zone 0");
                    assert!(numbers.last().is_none_or(|last| *last < head.number), "numbers ascend");
                    numbers.push(head.number);
                    sent = Some(head.tick);
                });
                assert!(delivery == Delivery::Datagram || numbers.len() <= 1);
            } else {
                session.poll_state(now, |send| {
                    let tick = send.current.0;
                    assert!(!closing && Some(tick) > sent, "a state is newer than the last");
                    sent = Some(tick);
                    assert_near(tick, send.baseline, send.prior);
                });
            }
            out.clear();
        }
        let _ = session.poll_timeout();
        assert!(queue.len() * MESSAGE_OVERHEAD <= QUEUE_BYTES * HARD_BOUND, "the queue is bounded");
    }
}

fn client(mut script: &[u8], mut delivery: Delivery, joined: bool) {
    use server_message::Body;
    let mut now = Instant::now();
    let schema = Schema::new().kind("k", |k| k.linear("at", &["x", "y"], 1));
    let join = wire::Join { room: "room".into(), ..wire::Join::default() };
    let config = ClientConfig { delivery, max_commands: 4, ..ClientConfig::default() };
    let mut session = ClientSession::join(now, config, join);
    let mut encoder = Encoder::default();
    let mut out = BytesMut::new();
    let mut applied = 0;
    let mut reliable = 0;
    let welcome = |resumed, input: u32, command: u32| {
        Body::Welcome(wire::Welcome {
            protocol: 1,
            schema: Some(schema.to_wire()),
            tick_rate: input,
            input_received: input,
            command_received: command.into(),
            resumed,
            ..wire::Welcome::default()
        })
    };
    let message = |body| Bytes::from(wire::ServerMessage { body: Some(body) }.encode_to_vec());
    if joined {
        session.poll_transmit(now, &mut out);
        session.handle_message(now, message(welcome(false, 0, 0))).expect("a good welcome");
    }
    while !script.is_empty() {
        now += Duration::from_millis(u64::from(byte(&mut script)).pow(2));
        let (a, b) = (u32::from(byte(&mut script)), u32::from(byte(&mut script)));
        let incoming = match byte(&mut script) % 12 {
            0 => {
                // A state of the next ticks, against any baseline and prior.
                let state = |tick: u32| {
                    let mut state = Snapshot::new(&schema);
                    state.clear(tick);
                    (0..tick % 5).for_each(|id| state.table_mut(0).push(id, &[tick as i32 * 3, id as i32]));
                    state
                };
                let tick = applied + a % 8;
                let baseline = (b & 1 == 1).then(|| tick.saturating_sub(1 + b % 7));
                let prior = baseline.filter(|_| b & 2 == 2).map(|t| t.saturating_sub(1 + b % 5));
                let usable = baseline.is_none_or(|b| b < tick && prior.is_none_or(|p| p < b));
                usable.then(|| {
                    let (baseline, prior) = (baseline.map(state), prior.map(state));
                    let references = References { baseline: baseline.as_ref(), prior: prior.as_ref() };
                    let mut shared = BytesMut::new();
                    encoder.encode(&schema, references, &state(tick), ColumnCoding::Rice, None, &mut shared);
                    let (baseline, prior) = (baseline.map(|s| s.tick()), prior.map(|s| s.tick()));
                    let mut whole = BytesMut::new();
                    StateHead { tick, baseline, prior, input: a, number: tick, apart: false }.write(shared.len(), &mut whole);
                    whole.extend_from_slice(&shared);
                    whole.freeze()
                })
            }
            1 => {
                let body = Some(wire::reliable::Body::Event(wire::Event::default()));
                Some(message(Body::Reliable(wire::Reliable { sequence: reliable + u64::from(a % 3), body })))
            }
            2 => Some(message(welcome(a & 1 == 1, a, b))),
            3 => {
                Some(message(Body::Goodbye(wire::Goodbye { code: 4000 + a * 3, ..wire::Goodbye::default() })))
            }
            4 => Some(message(Body::Pong(wire::ServerPong {
                time_us: a.into(),
                server_time_us: u64::MAX,
                command_received: b.into(),
            }))),
            5 => {
                delivery = if b & 1 == 1 { Delivery::Datagram } else { Delivery::Ordered };
                session.reconnected(now, a & 1 == 1, delivery);
                None
            }
            6 => {
                session.disconnected();
                None
            }
            7 => {
                let _ = session.handle_timeout(now);
                None
            }
            8 => {
                let _ = session.send_input(Bytes::from(vec![0; (a * 5) as usize]));
                let _ = session.send_command(Bytes::new());
                if b == 7 {
                    session.leave();
                }
                None
            }
            9 => {
                // A state with zones, of the newest tick or the next ones, with any references.
                let tick = applied + a % 3;
                let mut zone = || {
                    let (gap, references, ids) = (byte(&mut script) % 4, byte(&mut script), byte(&mut script));
                    let mut content = Snapshot::new(&schema);
                    content.clear(tick);
                    (0..u32::from(ids % 4)).for_each(|id| content.table_mut(0).push(id, &[7, 9]));
                    let mut shared = BytesMut::new();
                    let references = (references % 70, References { baseline: None, prior: None });
                    encoder.encode(&schema, references.1, &content, ColumnCoding::Rice, None, &mut shared);
                    let zone = wire::ZoneDelta::decode(shared).expect("shared fields are those of a zone");
                    wire::ZoneDelta { zone: gap.into(), references: references.0.into(), ..zone }
                };
                let zones = (0..b % 4).map(|_| zone()).collect();
                let state = wire::State {
                    tick,
                    full: b & 16 != 0,
                    number: if b & 32 == 0 { 0 } else { tick + a },
                    apart: b & 64 != 0,
                    left: (a % 5 == 0).then_some(b % 4).into_iter().collect(),
                    deferred: (a % 3 == 0).then_some(b % 5).into_iter().collect(),
                    zones,
                    ..wire::State::default()
                };
                Some(message(Body::State(state)))
            }
            _ => Some(Bytes::copy_from_slice(take(&mut script, a as usize))),
        };
        if let Some(incoming) = incoming {
            let _ = session.handle_message(now, incoming);
        }
        while let Some(event) = session.poll_event() {
            match event {
                // A new seat counts from 1 again.
                ClientEvent::Welcome(welcome) if !welcome.resumed => (applied, reliable) = (0, 0),
                ClientEvent::State { tick, .. } => {
                    let more = delivery == Delivery::Datagram && tick == applied;
                    assert!(tick > applied || more || applied == 0, "no state is older than one applied");
                    assert_eq!(session.snapshot().map(Snapshot::tick), Some(tick));
                    applied = tick;
                }
                ClientEvent::Event(_) | ClientEvent::Presence(_) | ClientEvent::CommandRefused(_) => {
                    reliable += 1
                }
                _ => {}
            }
        }
        let tick = session.snapshot().map_or(0, Snapshot::tick);
        let (mut zones, mut last) = (0, 0);
        for (zone, _, until) in session.zones() {
            assert!(zone > last && until <= tick);
            (zones, last) = (zones + 1, zone);
        }
        assert!(zones <= MAX_ZONES_IN_VIEW);
        if let Some(state) = session.snapshot() {
            assert!(state.tables()[0].ids().is_sorted_by(|a, b| a < b));
        }
        let mut count = 0;
        while b & 4 == 0 && session.poll_transmit(now, &mut out) {
            count += 1;
            assert!(count < 20, "what goes out is bounded");
        }
        out.clear();
        let _ = session.poll_timeout();
    }
}
