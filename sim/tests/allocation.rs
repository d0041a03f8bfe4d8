//! A tick does not allocate in steady state: decoding inputs, stepping, the snapshot and the checksum.

#![allow(unsafe_code, reason = "a counting allocator")]

mod common;

use driftless_sim::games::{
    self,
    arena::{ArenaInput, PROJECTILES},
};
use driftless_sim::{Moment, PlayerInput};
use prost::Message;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
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

#[test]
fn a_tick_of_the_arena_allocates_nothing_in_steady_state() {
    let kind = &games::kinds()[0];
    let mut game = kind.start(&driftless_sim::Setup::new(1, 20)).unwrap();
    let mut seen = driftless_sim::Snapshot::new(&kind.schema());
    (1..=50).for_each(|player| game.join(1, player, ""));
    let mut payload = Vec::with_capacity(64);
    let mut events = Vec::new();
    let mut run = |ticks: std::ops::Range<u32>| {
        let (mut counted, mut projectiles) = (0, 0);
        for tick in ticks {
            let before = COUNT.with(Cell::get);
            for player in 1..=50 {
                let turn = (tick / 7 * player) as i32;
                let input = ArenaInput {
                    move_x: turn * 37 % 127,
                    move_y: turn * 53 % 127,
                    aim_x: turn % 100 - 50,
                    aim_y: 30,
                    buttons: 1,
                    ..Default::default()
                };
                payload.clear();
                input.encode(&mut payload).unwrap();
                let moment = (tick > 4).then(|| Moment::at(tick - 1).before(u64::from(player) * 10));
                game.input(PlayerInput { moment, ..PlayerInput::new(player, &payload[..]) }).unwrap();
            }
            game.step(tick);
            game.snapshot(tick, &mut seen);
            game.checksum();
            counted += COUNT.with(Cell::get) - before;
            projectiles += seen.tables()[PROJECTILES].len();
            // Events are separate messages, whose bytes are allocated.
            game.take_events(&mut events);
            events.clear();
        }
        (counted, projectiles)
    };
    run(1..400);
    let (allocations, projectiles) = run(400..800);
    assert!(projectiles > 10_000, "only {projectiles} projectiles flew");
    // Queues keep their memory; the peak of projectiles may grow one of them once more.
    assert_eq!(allocations, 0);
}
