//! Memory per connection, and allocations per tick.
//!
//! ```text
//! cargo run --release -p driftless-benches --bin memory -- --clients 1000 --room-size 50
//! ```
//!
//! Connections without sockets join arena rooms and play. A counting allocator says how much memory is held
//! after each stage, divided by the number of connections, and how often memory is allocated once everybody
//! plays.
//!
//! It counts requested bytes, so not the allocator's overhead. It does not see what is outside the server's
//! core: the connection's actor and mailbox, the HTTP connection, socket buffers. `loadtest run …
//! --server-pid PID` measures everything together as the kernel sees it: RSS per client.

#![allow(unsafe_code, reason = "a counting allocator")]

use bytes::BytesMut;
use clap::Parser;
use driftless_benches::{BusyRoom, Client, Thread, write_json};
use driftless_proto::{reliable::ReliableQueue, session::server::ServerSession};
use driftless_server::{
    connection::{Connection, Peer},
    ground::{id::ConnectionId, published::Published, seat::Seat},
};
use serde::Serialize;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    error::Error,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

/// Counts what the system's allocator provides.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: forwards every call to the system's allocator, and its answers, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        ASKED.fetch_add(1, Relaxed);
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller upholds the contract.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_add(size, Relaxed);
        HELD.fetch_sub(layout.size(), Relaxed);
        ASKED.fetch_add(1, Relaxed);
        // SAFETY: the caller upholds the contract.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Measures memory per connection.
#[derive(Debug, Parser)]
struct Args {
    /// Connections.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// Connections per room.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    room_size: u32,
    /// Ticks per second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=128))]
    tick_rate: u32,
    /// Ticks to play before the last measurement.
    #[arg(long, default_value_t = 400)]
    ticks: u32,
    /// Write the figures as JSON to a file, or to standard output (`-`) instead of the table.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Figures {
    clients: u32,
    room_size: u32,
    tick_rate: u32,
    ticks: u32,
    /// Bytes of the main structs themselves.
    size_of: Sizes,
    /// Heap bytes per connection, and what each stage added.
    heap: Heap,
    /// Of the second half of the ticks.
    allocations_per_client_tick: Allocations,
}

#[derive(Debug, Serialize)]
struct Sizes {
    peer: usize,
    /// A part of the peer.
    session: usize,
    seat: usize,
    /// A part of the seat.
    reliable_queue: usize,
    /// Not in the heap figures: it is the actor.
    connection: usize,
}

#[derive(Debug, Default, Serialize)]
struct Heap {
    connected: f64,
    seated: f64,
    playing: f64,
    total: f64,
}

#[derive(Debug, Default, Serialize)]
struct Allocations {
    /// An input is received, decoded and put into the inbox; the message itself is not counted.
    receive: f64,
    /// The room's tick.
    tick: f64,
    /// The state is offered and its message assembled.
    send: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let figures = measure(&args)?;
    if args.json.as_deref() != Some(Path::new("-")) {
        print_table(&figures);
    }
    args.json.map_or(Ok(()), |path| write_json(&path, &figures))
}

/// A room and its players.
struct Hall {
    room: BusyRoom,
    clients: Vec<Client>,
}

fn measure(args: &Args) -> Result<Figures, Box<dyn Error>> {
    let &Args { clients, room_size, tick_rate, ticks, .. } = args;
    let thread = Thread::start();
    let mut out = BytesMut::with_capacity(64 * 1024);
    // The rooms and this program's own lists come first, because they do not belong to the connections.
    let mut halls = Vec::new();
    for id in 0..clients.div_ceil(room_size) {
        let room = BusyRoom::new(id.into(), "arena", tick_rate, room_size)?;
        halls.push(Hall { room, clients: Vec::with_capacity(room_size as usize) });
    }
    let per_client = |bytes: usize| bytes as f64 / f64::from(clients);

    let empty = HELD.load(Relaxed);
    let start = Instant::now();
    for id in 0..clients {
        let hall = &mut halls[(id / room_size) as usize];
        hall.clients.push(Client::connect(&thread, ConnectionId(id.into()), start));
    }
    let connected = HELD.load(Relaxed);
    for hall in &mut halls {
        hall.seat(&thread, &mut out)?;
    }
    let seated = HELD.load(Relaxed);
    let mut counted = Allocations::default();
    for tick in 0..ticks {
        if tick == ticks / 2 {
            counted = Allocations::default();
        }
        for hall in &mut halls {
            hall.play(&thread, &mut out, &mut counted)?;
        }
    }
    let playing = HELD.load(Relaxed);

    let client_ticks = f64::from(clients) * f64::from(ticks - ticks / 2).max(1.0);
    Ok(Figures {
        clients,
        room_size,
        tick_rate,
        ticks,
        size_of: Sizes {
            peer: size_of::<Peer>(),
            session: size_of::<ServerSession<Arc<Published>>>(),
            seat: size_of::<Seat>(),
            reliable_queue: size_of::<ReliableQueue>(),
            connection: size_of::<Connection>(),
        },
        heap: Heap {
            connected: per_client(connected - empty),
            seated: per_client(seated - connected),
            playing: per_client(playing) - per_client(seated),
            total: per_client(playing - empty),
        },
        allocations_per_client_tick: Allocations {
            receive: counted.receive / client_ticks,
            tick: counted.tick / client_ticks,
            send: counted.send / client_ticks,
        },
    })
}

impl Hall {
    fn seat(&mut self, thread: &Thread, out: &mut BytesMut) -> Result<(), Box<dyn Error>> {
        let now = self.room.now();
        for client in &mut self.clients {
            let seat = self.room.join(client.id())?;
            client.seat(thread, &self.room, seat, now);
            client.drain(thread, now, out)?;
        }
        Ok(())
    }

    /// One tick: inputs in, the step, states out.
    fn play(
        &mut self,
        thread: &Thread,
        out: &mut BytesMut,
        counted: &mut Allocations,
    ) -> Result<(), Box<dyn Error>> {
        let Self { room, clients } = self;
        let now = room.now();
        for (index, client) in clients.iter_mut().enumerate() {
            let message = client.input(room.input_of(index));
            count(&mut counted.receive, || client.receive(thread, now, message));
        }
        let state = count(&mut counted.tick, || room.tick());
        let now = room.now();
        for client in clients.iter() {
            count(&mut counted.send, || client.offer(&state));
        }
        for client in clients {
            out.clear();
            while count(&mut counted.send, || client.next_message(thread, now, out)) {
                client.took(bytes::Bytes::copy_from_slice(out))?;
                out.clear();
            }
        }
        match room.closed() {
            0 => Ok(()),
            n => Err(format!("the room closed {n} connections").into()),
        }
    }
}

/// Adds how often `work` allocates.
fn count<T>(sum: &mut f64, work: impl FnOnce() -> T) -> T {
    let before = ASKED.load(Relaxed);
    let result = work();
    *sum += (ASKED.load(Relaxed) - before) as f64;
    result
}

fn print_table(figures: &Figures) {
    let Figures { size_of, heap, allocations_per_client_tick: allocations, .. } = figures;
    println!(
        "{} clients in rooms of {} at {} Hz, {} ticks\n",
        figures.clients, figures.room_size, figures.tick_rate, figures.ticks
    );
    println!("bytes of the struct itself");
    println!("  Peer              {:>8}   of which ServerSession {}", size_of.peer, size_of.session);
    println!("  Seat              {:>8}   of which ReliableQueue {}", size_of.seat, size_of.reliable_queue);
    println!("  Connection        {:>8}   (the actor; not in the figures below)", size_of.connection);
    println!("heap bytes per connection");
    println!("  connected         {:>8.0}   peer, session, the thread's lists", heap.connected);
    println!("  seated            {:>8.0}   seat, reliable queue, entity, the room's lists", heap.seated);
    println!(
        "  playing           {:>8.0}   inbox, unacknowledged events, its share of the states",
        heap.playing
    );
    println!("  total             {:>8.0}", heap.total);
    println!("allocations per client and tick");
    println!("  receive an input  {:>8.3}", allocations.receive);
    println!("  the room's tick   {:>8.3}", allocations.tick);
    println!("  send the state    {:>8.3}", allocations.send);
}
