//! What a room with one player takes on the heap; its ticks take nothing more.

#![allow(clippy::unwrap_used, unsafe_code, reason = "a counting allocator")]

use bytes::{Bytes, BytesMut};
use driftless_proto::{
    delta::Encoder,
    limits::Limits,
    moment::Moment,
    session::server::{PlayerInput, StateTick},
    wire::ColumnCoding,
};
use driftless_server::{
    ground::{
        id::{ConnectionId, RoomId},
        members::Position,
        published::Published,
        seat::Seat,
        shared::RoomShared,
    },
    presence::{Roster, roster::SeatEvent},
    room::{
        core::RoomCore,
        schedule::{Due, Schedule},
    },
};
use driftless_sim::{
    GameKind, Setup,
    games::{
        self,
        arena::{ArenaInput, rules},
    },
};
use prost::Message as _;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

/// Counts what each thread holds, and how often it allocates.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes every call on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + layout.size() as isize);
        ASKED.set(ASKED.get() + 1);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as isize);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A room with one player.
struct Solo {
    room: RoomCore,
    seat: Arc<Seat>,
    input: Bytes,
    /// What the connection holds, newest first.
    has: VecDeque<Arc<Published>>,
    /// How many it holds: a connection that keeps up holds the newest and the previous one.
    holds: usize,
}

impl Solo {
    fn new(kind: &GameKind, id: u64) -> Self {
        let shared = Arc::new(RoomShared::new(RoomId(id), "solo".into(), kind.name(), 20, 50));
        let schedule = Schedule::new(Instant::now(), 20);
        let game = kind.start(&Setup::new(id, 20)).unwrap();
        let mut room = RoomCore::new(shared, game, kind.schema(), schedule, Limits::default(), false);
        let seat = room.join(ConnectionId(id), "guest".into(), "Ann".into()).unwrap();
        let input = ArenaInput {
            move_x: 127,
            aim_x: 5,
            aim_y: -3,
            buttons: rules::BUTTON_FIRE,
            ..ArenaInput::default()
        };
        Self { room, seat, input: input.encode_to_vec().into(), has: VecDeque::with_capacity(16), holds: 2 }
    }

    fn tick(&mut self, encoder: &mut Encoder, deltas: &mut BytesMut) {
        let tick = self.room.tick_number() + 1;
        self.seat.take_input(PlayerInput {
            sequence: tick,
            moment: Some(Moment::at(tick)),
            payload: self.input.clone(),
        });
        let due = Due { tick: tick.into(), late: Duration::ZERO, skipped: 0 };
        let state = self.room.tick(due).unwrap().published;
        assert_eq!((state.tick(), state.input_of(self.seat.index, self.seat.player)), (tick, tick));
        let [baseline, prior] = [0, 1].map(|n| self.has.get(n).map(|state| &**state));
        let delta = state.delta(0, encoder, deltas, baseline, prior, ColumnCoding::Packed);
        assert!(delta.encoded_in.is_some());
        self.has.truncate(self.holds - 1);
        self.has.push_front(state);
    }
}

#[test]
fn a_room_of_one_is_small_and_its_ticks_allocate_nothing() {
    let kind = games::kinds().into_iter().find(|kind| kind.name() == "arena").unwrap();
    let (mut encoder, mut deltas) = (Encoder::default(), BytesMut::with_capacity(1 << 20));
    let mut play = |solo: &mut Solo, ticks| (0..ticks).for_each(|_| solo.tick(&mut encoder, &mut deltas));
    // What the thread and the kind of game allocate once.
    play(&mut Solo::new(&kind, 1), 100);

    let before = HELD.get();
    let mut solo = Solo::new(&kind, 2);
    play(&mut solo, 100);
    let held = HELD.get() - before;
    let asked = ASKED.get();
    play(&mut solo, 100);
    assert_eq!(ASKED.get() - asked, 0, "in 100 ticks");
    // More than half of it are the states of 250 ms that the arena keeps to rewind shots.
    assert!(held <= 8_900, "{held} bytes, of which 128 are this test's");
}

#[test]
fn states_that_are_held_for_long_are_used_again_and_then_given_back() {
    let kind = games::kinds().into_iter().find(|kind| kind.name() == "arena").unwrap();
    let (mut encoder, mut deltas) = (Encoder::default(), BytesMut::with_capacity(1 << 20));
    let mut play = |solo: &mut Solo, ticks| (0..ticks).for_each(|_| solo.tick(&mut encoder, &mut deltas));
    let mut solo = Solo::new(&kind, 1);
    play(&mut solo, 100);
    let held = HELD.get();
    solo.holds = 12;
    play(&mut solo, 100);
    let asked = ASKED.get();
    play(&mut solo, 100);
    assert_eq!(ASKED.get() - asked, 0, "in 100 ticks");
    assert!(HELD.get() > held + 2000);
    solo.holds = 2;
    play(&mut solo, 300);
    assert!(HELD.get() < held + 200, "{} bytes more", HELD.get() - held);
}

#[test]
fn presence_of_a_room_of_one_is_small() {
    let mut roster = Roster::default();
    let mut rooms = Vec::with_capacity(1000);
    let before = HELD.get();
    for n in 0..1000 {
        let shared = RoomShared::new(RoomId(n), format!("solo-{n}").into(), "arena", 20, 50);
        let user: Arc<str> = format!("guest-{n}").into();
        let joined = SeatEvent::Joined {
            members: shared.members.clone(),
            resume_window_us: 0,
            name: user.clone(),
            user,
            vitals: Arc::default(),
            npc: false,
        };
        roster.handle(&shared.name, 1, joined, 1).unwrap();
        assert!(shared.members.read(&mut Position::default()).is_some());
        rooms.push(shared);
    }
    let held = (HELD.get() - before) / 1000;
    assert!(held <= 1728, "{held} bytes");
}
