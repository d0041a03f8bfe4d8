//! Publishing and fan-out, by number of clients: what a tick costs the room, and what it costs the thread
//! that sends it.
//!
//! All clients are in one arena, and all of them run and shoot, so the number of entities grows with the
//! clients. No sockets.
//!
//! - `publish`: the room takes an input from each player, steps, and makes a snapshot.
//! - `fan-out, same baseline`: every connection is offered the state, and its message is assembled, as when
//!   all of them keep up: one delta is encoded, and each client gets its own head before those bytes.
//! - `fan-out, own baselines`: the same when no two clients have the same baseline and prior within 64 ticks:
//!   one delta for each. This is the worst case on transports that lose nothing; its cost grows with clients
//!   × entities.
//! - `fan-out, lossy`: clients over datagrams, with round trips of 1 to 4 ticks, that lose 5 % of the states:
//!   each has what it has got, and the server prefers baselines that many have in common.
//!
//! `cargo bench -p driftless-benches --bench fanout`

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use driftless_benches::{BusyRoom, Client, Thread};
use driftless_proto::delta::MAX_AGE;
use driftless_server::ground::{id::ConnectionId, published::Published, seat::Seat};
use driftless_sim::Rng;
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLIENTS: [u32; 4] = [1, 10, 100, 1000];
const TICK_RATE: u32 = 20;

fn busy_room(players: u32) -> BusyRoom {
    let mut room = BusyRoom::new(1, "arena", TICK_RATE, players).unwrap();
    (1..=players).for_each(|id| drop(room.join(ConnectionId(id.into())).unwrap()));
    room.play(5 * TICK_RATE);
    room
}

/// The states that a client has, as ticks before the newest: the baseline and the prior.
type Ages = (usize, usize);

/// This many different ones, of the 2,016 that exist.
fn different_ages(count: usize) -> Vec<Ages> {
    let oldest = MAX_AGE as usize;
    let all = (1..oldest).flat_map(|baseline| (baseline + 1..=oldest).map(move |prior| (baseline, prior)));
    let step = oldest * (oldest - 1) / 2 / count;
    all.step_by(step).take(count).collect()
}

/// Clients in a room, and its last states: the newest has not been sent yet.
struct Audience {
    thread: Thread,
    room: BusyRoom,
    states: Vec<Arc<Published>>,
    now: Instant,
    out: BytesMut,
}

impl Audience {
    fn new(clients: u32) -> Self {
        let mut room = busy_room(clients);
        let tick = |_| {
            room.send_inputs();
            let state = room.tick();
            room.acknowledge();
            state
        };
        let states = (0..=MAX_AGE).map(tick).collect();
        let now = room.now();
        Self { thread: Thread::start(), room, states, now, out: BytesMut::with_capacity(64 * 1024) }
    }

    fn newest(&self) -> &Arc<Published> {
        &self.states[self.states.len() - 1]
    }

    /// A client that has these states, and has acknowledged them.
    fn client(&mut self, index: usize, (baseline, prior): Ages) -> Client {
        let Self { thread, room, states, now, out } = self;
        let seat = room.seats()[index].clone();
        let mut client = Client::connect(thread, ConnectionId(index as u64 + 1), *now);
        client.seat(thread, room, seat, *now);
        for age in [prior, baseline] {
            client.offer(&states[states.len() - 1 - age]);
            client.drain(thread, *now, out).unwrap();
        }
        let input = client.input(room.input_of(index));
        client.receive(thread, *now, input);
        client
    }

    fn clients(&mut self, ages: impl Iterator<Item = Ages>) -> Vec<Client> {
        (0..self.room.seats().len()).zip(ages).map(|(index, ages)| self.client(index, ages)).collect()
    }

    /// Sends the newest state to all clients. Returns the number of bytes.
    fn fan_out(&mut self, clients: &[Client]) -> usize {
        let newest = self.newest().clone();
        clients.iter().for_each(|client| client.offer(&newest));
        let mut bytes = 0;
        for client in clients {
            self.out.clear();
            while client.next_message(&self.thread, self.now, &mut self.out) {}
            bytes += self.out.len();
        }
        bytes
    }

    /// The time of `iterations` fan-outs, each to clients that do not have the state yet.
    fn time(&mut self, iterations: u64, ages: impl Iterator<Item = Ages> + Clone) -> Duration {
        let mut sum = Duration::ZERO;
        for _ in 0..iterations {
            let clients = self.clients(ages.clone());
            self.states.iter().for_each(|state| {
                state.retire();
            });
            self.thread.worker().forget_delta();
            let start = Instant::now();
            let bytes = self.fan_out(&clients);
            sum += start.elapsed();
            assert!(bytes > clients.len(), "a state for each");
            let room = self.room.seats()[0].room.id;
            clients.into_iter().for_each(|client| client.disconnect(&self.thread, room));
        }
        sum
    }
}

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    for players in CLIENTS {
        let mut room = busy_room(players);
        group.throughput(Throughput::Elements(players.into()));
        group.bench_function(BenchmarkId::from_parameter(players), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut sum = Duration::ZERO;
                for _ in 0..iterations {
                    room.send_inputs();
                    let start = Instant::now();
                    room.tick();
                    sum += start.elapsed();
                    room.acknowledge();
                }
                sum
            });
        });
        assert_eq!(room.closed(), 0);
    }
    group.finish();
}

fn fan_out(criterion: &mut Criterion) {
    for clients in CLIENTS {
        let mut audience = Audience::new(clients);
        let mut group = criterion.benchmark_group("fan-out, same baseline");
        group.throughput(Throughput::Elements(clients.into()));
        group.bench_function(BenchmarkId::from_parameter(clients), |bencher| {
            bencher.iter_custom(|iterations| audience.time(iterations, std::iter::repeat((1, 2))));
        });
        group.finish();
        let mut group = criterion.benchmark_group("fan-out, own baselines");
        group.throughput(Throughput::Elements(clients.into()));
        let ages = different_ages(clients as usize);
        group.bench_function(BenchmarkId::from_parameter(clients), |bencher| {
            bencher.iter_custom(|iterations| audience.time(iterations, ages.iter().copied()));
        });
        group.finish();
    }
}

/// The first byte of a state.
const STATE_TAG: u8 = 1 << 3 | 2;

/// A client that loses states.
struct Lossy {
    client: Client,
    rtt: u32,
    /// States that it has got, newest last.
    has: VecDeque<u32>,
}

/// Clients that lose states, in a room that goes on.
struct LossyAudience {
    audience: Audience,
    clients: Vec<Lossy>,
    rng: Rng,
}

impl LossyAudience {
    fn new(clients: u32) -> Self {
        let audience = Audience::new(clients);
        let Audience { thread, room, now, .. } = &audience;
        let rng = Rng::new(7);
        let client = |(index, seat): (usize, &Arc<Seat>)| {
            let client = Client::connect_lossy(thread, ConnectionId(index as u64 + 1), *now);
            client.seat(thread, room, seat.clone(), *now);
            Lossy { client, rtt: 1 + index as u32 % 4, has: VecDeque::new() }
        };
        let clients = room.seats().iter().enumerate().map(client).collect();
        Self { audience, clients, rng }
    }

    /// One tick. Returns how long the fan-out took.
    fn tick(&mut self) -> Duration {
        let Self { audience: Audience { thread, room, now, out, .. }, clients, rng } = self;
        room.send_inputs();
        let state = room.tick();
        *now = room.now();
        let tick = state.snapshot().tick();
        for Lossy { client, rtt, has } in &mut *clients {
            let arrived = has.iter().rev().find(|of| **of + *rtt <= tick).copied();
            if let Some(newest) = arrived {
                let missing = (0..32).filter(|n| !has.contains(&(newest - 1 - n).min(newest)));
                client.has(newest, missing.fold(0, |bits, n| bits | 1 << n));
            }
            let input = client.input(Bytes::new());
            client.receive(thread, *now, input);
            client.offer(&state);
        }
        let start = Instant::now();
        let mut sent = Vec::with_capacity(clients.len());
        for Lossy { client, .. } in &mut *clients {
            let mut state = false;
            out.clear();
            while client.next_message(thread, *now, out) {
                let is_state = out[0] == STATE_TAG;
                state |= is_state;
                if !is_state {
                    client.took(out.split().freeze()).unwrap();
                }
                out.clear();
            }
            sent.push(state);
        }
        let took = start.elapsed();
        for (Lossy { has, .. }, sent) in clients.iter_mut().zip(sent) {
            if sent && rng.below(100) >= 5 {
                has.push_back(tick);
            }
            if has.len() > 40 {
                has.pop_front();
            }
        }
        room.acknowledge();
        took
    }
}

fn lossy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan-out, lossy");
    for clients in CLIENTS {
        let mut audience = LossyAudience::new(clients);
        for _ in 0..100 {
            audience.tick();
        }
        group.throughput(Throughput::Elements(clients.into()));
        group.bench_function(BenchmarkId::from_parameter(clients), |bencher| {
            bencher.iter_custom(|iterations| (0..iterations).map(|_| audience.tick()).sum());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = publish, fan_out, lossy
}
criterion_main!(benches);
