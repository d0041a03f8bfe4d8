//! Rooms that have lived for long, up to the last tick that has a number on the wire.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests, too, may fail loudly

use actix::prelude::*;
use driftless_proto::{code::CloseCode, limits::Limits};
use driftless_server::{
    clock::Clock,
    ground::{
        close::Close,
        entrant::Entrant,
        fanout::{FanoutLink, Publish},
        id::{ConnectionId, RoomId},
        report::Report,
        seat::{ResumeToken, Seat},
        shared::RoomShared,
        source::Source,
    },
    metrics::Metrics,
    metronome::Metronome,
    room::{
        Join, Listing, Room, RoomSettings, Tick,
        core::{LAST_TICK, RoomCore},
        schedule::{Due, Schedule},
    },
};
use driftless_sim::games;
use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

fn core(schedule: Schedule) -> RoomCore {
    let arena = games::kinds().into_iter().find(|kind| kind.name() == "arena").unwrap();
    let shared = Arc::new(RoomShared::new(RoomId(1), "old".into(), arena.name(), 128, 10));
    RoomCore::new(shared, arena.start(1, 128), arena.schema(), schedule, Limits::default(), true)
}

fn due(tick: u64) -> Due {
    Due { tick, late: Duration::ZERO, skipped: 0 }
}

#[test]
fn a_room_plays_to_its_last_tick_and_not_beyond() {
    let mut room = core(Schedule::new(Instant::now(), 128));
    let last = u64::from(LAST_TICK);
    for tick in [1, u64::from(u32::MAX / 2), last - 1, last] {
        let ticked = room.tick(due(tick)).unwrap();
        assert_eq!(u64::from(ticked.published.snapshot().tick()), tick);
        // Who comes and goes between two ticks belongs to the next, which has a number still.
        room.join(ConnectionId(tick), "guest".into(), "Ann".into()).unwrap();
        room.leave(ConnectionId(tick)).unwrap();
    }
    let checksum = room.newest().unwrap().snapshot().checksum();
    for beyond in [last + 1, last + 2, 1 << 40, u64::MAX] {
        assert!(room.tick(due(beyond)).is_none());
    }
    assert_eq!(room.tick_number(), LAST_TICK);
    assert_eq!(room.shared().tick.load(Ordering::Relaxed), LAST_TICK);
    assert_eq!(room.newest().unwrap().snapshot().checksum(), checksum, "nothing has changed");
}

/// All that is around a room. Keeps how the room's connections were closed, and why it ended.
#[derive(Clone, Default)]
struct Around(Arc<Ends>);

#[derive(Default)]
struct Ends {
    closed: Mutex<Vec<Close>>,
    ended: Mutex<Vec<&'static str>>,
}

impl Actor for Around {
    type Context = Context<Self>;
}

impl Handler<Close> for Around {
    type Result = ();
    fn handle(&mut self, close: Close, _: &mut Self::Context) {
        self.0.closed.lock().unwrap().push(close);
    }
}

impl Handler<Publish> for Around {
    type Result = ();
    fn handle(&mut self, _: Publish, _: &mut Self::Context) {}
}

impl Handler<Report> for Around {
    type Result = ();
    fn handle(&mut self, _: Report, _: &mut Self::Context) {}
}

impl Listing for Ends {
    fn seat_taken(&self, _: &Seat, _: Addr<Room>) {}
    fn seat_ended(&self, _: &ResumeToken) {}
    fn room_ended(&self, _: &RoomShared, reason: &'static str) {
        self.ended.lock().unwrap().push(reason);
    }
}

/// Starts a room, with a player in it.
async fn start(schedule: Schedule, around: &Around) -> (Arc<RoomShared>, Addr<Room>) {
    let address = around.clone().start();
    let listing: Arc<dyn Listing> = around.0.clone();
    let settings = RoomSettings {
        clock: Clock::start(),
        metrics: Arc::new(Metrics::new()),
        presence: address.clone().recipient(),
        listing: Arc::downgrade(&listing),
        linger: Duration::from_secs(60),
        resume_window: Duration::ZERO,
        wait_for_players: true,
    };
    let core = core(schedule);
    let (shared, room) = (core.shared().clone(), Room::new(core, settings, None).start());
    let link = FanoutLink { index: 0, fanout: address.clone().recipient() };
    let entrant = Entrant {
        connection: ConnectionId(1),
        source: Source::UNKNOWN,
        place: None,
        link,
        control: address.recipient(),
    };
    let seated = room.send(Join { entrant, user: "guest".into(), name: "Ann".into() }).await.unwrap();
    assert_eq!(seated.map(|seated| seated.seat.player).ok(), Some(1));
    (shared, room)
}

/// Began two seconds ago, at 2^32 - 1 ticks a second: as old as a room of 128 Hz is after two years.
fn two_years_old() -> Schedule {
    Schedule::new(Instant::now().checked_sub(Duration::from_secs(2)).unwrap(), u32::MAX)
}

/// Waits for what the actors of this thread do.
async fn until(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(30), "not in time: {what}");
        actix::clock::sleep(Duration::from_millis(5)).await;
    }
}

#[actix::test]
async fn a_room_past_its_last_tick_ends_by_name() {
    let around = Around::default();
    let (_, room) = start(two_years_old(), &around).await;
    room.do_send(Tick);
    until("the room ends", || !room.connected()).await;
    until("its player hears of it", || !around.0.closed.lock().unwrap().is_empty()).await;
    let closed = around.0.closed.lock().unwrap();
    assert_eq!(closed.iter().map(|close| close.code).collect::<Vec<_>>(), [CloseCode::RoomClosed]);
    assert!(closed[0].reason.contains("join again"), "{}", closed[0].reason);
    assert_eq!(*around.0.ended.lock().unwrap(), ["out_of_ticks"]);
}

// Promise 7: "Room tick `n` MUST start within 1 ms of its deadline unless the machine is saturated".
#[actix::test]
async fn an_old_room_does_not_stop_the_clock_of_the_others() {
    let metronome = Metronome::start().unwrap();
    let around = Around::default();
    let (shared, old) = start(two_years_old(), &around).await;
    metronome.add(two_years_old(), shared, old.clone().recipient());
    let schedule = Schedule::new(Instant::now(), 100);
    let (young, room) = start(schedule, &around).await;
    metronome.add(schedule, young.clone(), room.recipient());
    until("the young room plays", || young.tick.load(Ordering::Relaxed) >= 20).await;
    assert!(!old.connected());
}
