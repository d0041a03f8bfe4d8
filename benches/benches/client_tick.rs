//! What a client costs per tick in the server's own code: its input is received, the state offered, and its
//! message assembled. No sockets, no frames, no game.
//!
//! A thousand clients in rooms of 50 or of 2, each with its own peer, session and seat. Before each part the
//! cache is filled with other data, as the kernel and the games fill it between two visits to a client.
//! Clients are visited in an order unrelated to memory, each only when the previous one is done, because
//! there are system calls in between. So the result mostly counts how many cache lines a client has.
//!
//! `cargo bench -p driftless-benches --bench client_tick`: divide by 1,000, or read the throughput: `Kelem/s`
//! means thousands of client-ticks per second.

#![allow(missing_docs, unsafe_code, clippy::unwrap_used, reason = "a benchmark")]

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use driftless_benches::{BusyRoom, Client, Thread};
use driftless_server::ground::{id::ConnectionId, published::Published};
use std::{
    hint::black_box,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLIENTS: usize = 1000;
const TICK_RATE: u32 = 20;
/// Coprime to `CLIENTS`.
const STRIDE: usize = 379;
/// More than a core's own caches.
const OTHER_THINGS: usize = 8 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Receive,
    Offer,
    Send,
    Sweep,
    All,
}

/// Clients of all rooms, concatenated, and what is in transit to or from them.
struct Hall {
    thread: Thread,
    rooms: Vec<BusyRoom>,
    room_size: usize,
    clients: Vec<Client>,
    /// In the order in which they arrive.
    inputs: Vec<u8>,
    input_of: Vec<Range<usize>>,
    out: BytesMut,
    /// Whose message it is, and where it ends in `out`.
    sent: Vec<(usize, usize)>,
    other_things: Vec<u8>,
}

impl Hall {
    fn new(room_size: usize) -> Self {
        let thread = Thread::start();
        let room = |id| BusyRoom::new(id, "cursors", TICK_RATE, room_size as u32).unwrap();
        let mut rooms: Vec<_> = (0..(CLIENTS / room_size) as u64).map(room).collect();
        let start = rooms[0].now();
        let mut clients: Vec<_> =
            (0..CLIENTS as u64).map(|id| Client::connect(&thread, ConnectionId(id), start)).collect();
        for n in (0..CLIENTS).map(visited) {
            let room = &mut rooms[n / room_size];
            let seat = room.join(clients[n].id()).unwrap();
            clients[n].seat(&thread, room, seat, start);
        }
        let mut out = BytesMut::with_capacity(4 << 20);
        clients.iter_mut().for_each(|client| client.drain(&thread, start, &mut out).unwrap());
        let mut hall = Self {
            thread,
            rooms,
            room_size,
            clients,
            inputs: Vec::new(),
            input_of: Vec::new(),
            out,
            sent: Vec::new(),
            other_things: vec![1; OTHER_THINGS],
        };
        for _ in 0..5 * TICK_RATE {
            hall.tick(Part::All);
        }
        hall
    }

    /// One tick of all clients. Returns how long the timed part took.
    fn tick(&mut self, timed: Part) -> Duration {
        let mut sum = Duration::ZERO;
        let mut count =
            |part, took| sum += if timed == part || timed == Part::All { took } else { Duration::ZERO };
        self.make_inputs();
        count(Part::Receive, self.timed(Self::receive));
        let states: Vec<_> = self.rooms.iter_mut().map(BusyRoom::tick).collect();
        count(Part::Offer, self.timed(|hall| hall.offer(&states)));
        count(Part::Send, self.timed(Self::send));
        // One sweep for every two ticks.
        count(Part::Sweep, self.timed(Self::sweep) / 2);
        self.take();
        states.iter().for_each(|state| {
            state.retire();
        });
        sum
    }

    fn timed(&mut self, part: impl FnOnce(&mut Self)) -> Duration {
        let sum: u64 = self.other_things.iter().step_by(64).map(|byte| u64::from(*byte)).sum();
        black_box(sum);
        let start = Instant::now();
        part(self);
        start.elapsed()
    }

    fn make_inputs(&mut self) {
        self.inputs.clear();
        self.input_of.clear();
        for n in (0..CLIENTS).map(visited) {
            let payload = self.rooms[n / self.room_size].input_of(n % self.room_size);
            let from = self.inputs.len();
            self.inputs.extend_from_slice(&self.clients[n].input(payload));
            self.input_of.push(from..self.inputs.len());
        }
    }

    fn receive(&mut self) {
        let now = self.rooms[0].now();
        for (n, range) in (0..CLIENTS).map(visited).zip(&self.input_of) {
            // As a transport passes it on.
            let message = BytesMut::from(&self.inputs[range.clone()]).split().freeze();
            self.clients[n].receive(&self.thread, now, message);
            pause();
        }
    }

    fn offer(&mut self, states: &[Arc<Published>]) {
        for (room, state) in states.iter().enumerate() {
            self.in_room(room).for_each(|n| self.clients[n].offer(state));
        }
    }

    fn send(&mut self) {
        let now = self.rooms[0].now();
        self.out.clear();
        self.sent.clear();
        for room in 0..self.rooms.len() {
            for n in self.in_room(room) {
                while self.clients[n].next_message(&self.thread, now, &mut self.out) {
                    self.sent.push((n, self.out.len()));
                }
                pause();
            }
        }
    }

    fn sweep(&mut self) {
        let now = self.rooms[0].now();
        for n in (0..CLIENTS).map(visited) {
            self.clients[n].sweep(&self.thread, now);
        }
    }

    /// What was sent arrives.
    fn take(&mut self) {
        assert!(self.sent.len() >= CLIENTS, "a state for each");
        let mut from = 0;
        for &(n, to) in &self.sent {
            self.clients[n].took(Bytes::copy_from_slice(&self.out[from..to])).unwrap();
            from = to;
        }
    }

    /// The clients of a room, in an order unrelated to memory.
    fn in_room(&self, room: usize) -> impl Iterator<Item = usize> + use<> {
        let size = self.room_size;
        (0..size).map(move |n| room * size + n * 29 % size)
    }
}

/// The client that is visited after `n` others.
fn visited(n: usize) -> usize {
    n * STRIDE % CLIENTS
}

/// What follows does not begin before everything so far is done.
fn pause() {
    // SAFETY: all processors of this architecture have it.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_lfence();
    }
}

fn client_tick(criterion: &mut Criterion) {
    for room_size in [50, 2] {
        let mut hall = Hall::new(room_size);
        let mut group = criterion.benchmark_group(format!("client-tick, rooms of {room_size}"));
        group.throughput(Throughput::Elements(CLIENTS as u64));
        for part in [Part::Receive, Part::Offer, Part::Send, Part::Sweep, Part::All] {
            let name = format!("{part:?}").to_lowercase();
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|iterations| (0..iterations).map(|_| hall.tick(part)).sum());
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500));
    targets = client_tick
}
criterion_main!(benches);
