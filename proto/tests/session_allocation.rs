//! Inputs and states cause no allocation in steady state, at either end.
//!
//! Promise 4: "One client, however slow or hostile, does not delay another's tick or grow memory without
//! bound."

#![allow(unsafe_code, reason = "a counting allocator")]
#![allow(clippy::unwrap_used, reason = "a test's helpers")]

use bytes::{BufMut, Bytes, BytesMut};
use driftless_proto::{
    delta::{Encoder, References},
    limits::Limits,
    schema::Schema,
    session::{
        Delivery,
        client::{ClientConfig, ClientSession},
        server::{Request, ServerSession, StateTick},
    },
    snapshot::Snapshot,
    wire,
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: forwards every call to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller upholds the contract.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted<T>(total: &mut u64, what: impl FnOnce() -> T) -> T {
    let before = COUNT.with(Cell::get);
    let result = what();
    *total += COUNT.with(Cell::get) - before;
    result
}

#[derive(Clone)]
struct Published(Arc<Snapshot>);

impl StateTick for Published {
    fn tick(&self) -> u32 {
        self.0.tick()
    }
}

/// A message as a transport delivers it: a slice of a shared buffer.
fn received(out: &BytesMut) -> Bytes {
    let mut buffer = BytesMut::with_capacity(4096);
    buffer.put_slice(out);
    buffer.split().freeze()
}

fn allocations(delivery: Delivery) -> (u64, u64) {
    let mut now = Instant::now();
    let schema = Schema::new().kind("boat", |kind| kind.linear("position", &["x", "y"], 100));
    let mut server = ServerSession::<Published>::new(now, Limits::default(), delivery);
    let join = wire::Join { room: "lobby".into(), ..wire::Join::default() };
    let config =
        ClientConfig { delivery, ping_interval: Duration::from_secs(3600), ..ClientConfig::default() };
    let mut client = ClientSession::join(now, config, join);
    let mut encoder = Encoder::default();
    let mut out = BytesMut::with_capacity(64 * 1024);
    let mut shared = BytesMut::with_capacity(64 * 1024);
    client.poll_transmit(now, &mut out);
    server.handle_message(now, received(&out)).unwrap();
    assert!(matches!(server.poll_request(), Some(Request::Join(_))));
    let welcome = wire::Welcome { schema: Some(schema.to_wire()), tick_rate: 20, ..wire::Welcome::default() };
    server.welcome(now, welcome);
    out.clear();
    server.poll_control(0, &mut out);
    client.handle_message(now, received(&out)).unwrap();
    while client.poll_event().is_some() {}
    let (mut by_server, mut by_client) = (0, 0);
    for tick in 1..400 {
        let (mut server_count, mut client_count) = (0, 0);
        now += Duration::from_millis(50);
        let mut world = Snapshot::new(&schema);
        world.clear(tick);
        let t = tick as i32;
        (0..50).for_each(|id| world.table_mut(0).push(id, &[t * 7 + id as i32 * (t % 5), -t]));
        let state = Published(Arc::new(world));
        out.clear();
        shared.clear();
        let sent = counted(&mut server_count, || {
            server.offer_state(state.clone());
            let (coding, input) = (server.coding(), server.input_received());
            server.poll_state(now, |send| {
                let references = References {
                    baseline: send.baseline.map(|state| &*state.0),
                    prior: send.prior.map(|state| &*state.0),
                };
                encoder.encode(&schema, references, &send.current.0, coding, None, &mut shared);
                send.head(input).write(shared.len(), &mut out);
                out.put_slice(&shared);
            })
        });
        sent.unwrap();
        let message = received(&out);
        out.clear();
        counted(&mut client_count, || {
            client.handle_message(now, message).unwrap();
            while client.poll_event().is_some() {}
            client.send_input(Bytes::from_static(b"go")).unwrap();
        });
        // A ping is due after the welcome.
        loop {
            out.clear();
            if !counted(&mut client_count, || client.poll_transmit(now, &mut out)) {
                break;
            }
            let message = received(&out);
            counted(&mut server_count, || {
                server.handle_message(now, message).unwrap();
                while server.poll_request().is_some() {}
            });
        }
        // Buffers reach their size first; the history for datagrams takes 64 ticks to fill.
        if tick > 100 {
            by_server += server_count;
            by_client += client_count;
        }
    }
    assert!(server.stats().states_sent > 390);
    (by_server, by_client)
}

#[test]
fn inputs_and_states_on_a_stream_allocate_nothing() {
    assert_eq!(allocations(Delivery::Ordered), (0, 0));
}

#[test]
fn inputs_and_states_on_datagrams_allocate_nothing() {
    assert_eq!(allocations(Delivery::Datagram), (0, 0));
}
