//! How rooms end: at the last tick that the wire can number, or by a fault of their game; and that each ends
//! only once.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use actix::prelude::*;
use bytes::Bytes;
use driftless_proto::{code::CloseCode, limits::Limits};
use driftless_server::{
    clock::Clock,
    ground::{
        close::Close,
        entrant::{Entrant, Reach},
        fanout::{FanoutLink, Publish},
        home::{Home, Resident},
        id::{ConnectionId, RoomId},
        report::{LostReason, Report},
        seat::{ResumeToken, Seat},
        shared::RoomShared,
        source::Source,
    },
    metrics::Metrics,
    room::{
        Housing, Join, Listing, Lost, Room, RoomAddr, RoomSettings, Seated, Shell,
        core::{Effect, LAST_TICK, RoomCore},
        events::Events,
        jobs::{Asked, Work},
        schedule::{Due, Schedule},
        timetable::Timetable,
    },
};
use driftless_sim::{Away, GameKind, JobError, Setup, games};
use prost::Message as _;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use util::games::{Ask, Obedient};

fn core(schedule: Schedule) -> RoomCore {
    let arena = games::kinds().into_iter().find(|kind| kind.name() == "arena").unwrap();
    let shared = Arc::new(RoomShared::new(RoomId(1), "old".into(), arena.name(), 128, 10));
    RoomCore::new(
        shared,
        arena.start(&Setup::new(1, 128)).unwrap(),
        arena.schema(),
        schedule,
        Limits::default(),
        true,
    )
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
        // Arrivals and departures between two ticks belong to the next one, which still has a number.
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

/// Everything around a room. Keeps how the room's connections were closed, and why it ended.
#[derive(Clone, Default)]
struct Around(Arc<Ends>);

#[derive(Default)]
struct Ends {
    closed: Mutex<Vec<Close>>,
    ended: Mutex<Vec<&'static str>>,
    /// How often the end was reported to presence.
    reported: AtomicU32,
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
    fn handle(&mut self, report: Report, _: &mut Self::Context) {
        let ended = matches!(report, Report::RoomEnded { .. });
        self.0.reported.fetch_add(ended.into(), Ordering::Relaxed);
    }
}

impl Listing for Ends {
    fn seat_taken(&self, _: &Seat, _: RoomAddr) {}
    fn seat_ended(&self, _: &ResumeToken) {}
    fn room_ended(&self, _: &RoomShared, reason: &'static str) {
        self.ended.lock().unwrap().push(reason);
    }
}

/// The only thread.
struct Here;

impl Work for Here {
    fn begin(&self, _: Asked, _: &RoomShared, _: RoomAddr) -> Result<(), JobError> {
        Err(JobError::NoHandler)
    }
}

impl Housing for Here {
    fn apart(&self) -> Option<Resident> {
        None
    }
    fn common(&self) -> Resident {
        Home::new(Arbiter::current(), None).house_room()
    }
}

/// Starts a room on this thread.
fn start_room(core: RoomCore, around: &Around) -> RoomAddr {
    let listing: Arc<dyn Listing> = around.0.clone();
    let settings = RoomSettings {
        clock: Clock::start(),
        metrics: Arc::new(Metrics::new()),
        presence: around.clone().start().recipient(),
        listing: Arc::downgrade(&listing),
        linger: Duration::from_secs(60),
        resume_window: Duration::ZERO,
        wait_for_players: true,
        housing: Arc::new(Here),
        work: Arc::new(Here),
        events: Events::start(Vec::new(), Arc::default()).unwrap(),
    };
    let shell = move |core, home, address| Shell::new(core, None, settings, None, home, address);
    Room::start_at(Here.common(), || core, shell)
}

async fn join(room: &RoomAddr, around: &Around, connection: u64) -> Seated {
    let address = around.clone().start();
    let link = FanoutLink { index: 0, fanout: address.clone().recipient() };
    let reach = Reach { link, control: address.recipient(), moves: None };
    let entrant =
        Entrant { connection: ConnectionId(connection), source: Source::UNKNOWN, place: None, reach };
    let seated = room
        .send(Join { entrant, user: "guest".into(), name: "Ann".into(), options: String::new() })
        .await
        .unwrap();
    seated.unwrap_or_else(|e| panic!("{e}"))
}

/// Starts a room of the arena, with a player in it.
async fn start(schedule: Schedule, around: &Around) -> (Arc<RoomShared>, RoomAddr) {
    let core = core(schedule);
    let (shared, room) = (core.shared().clone(), start_room(core, around));
    assert_eq!(join(&room, around, 1).await.seat.player, 1);
    (shared, room)
}

/// Began two seconds ago, at 2^32 - 1 ticks per second: as old as a room at 128 Hz is after two years.
fn two_years_old() -> Schedule {
    Schedule::new(Instant::now().checked_sub(Duration::from_secs(2)).unwrap(), u32::MAX)
}

/// Runs what is due on this thread.
fn tick() {
    Timetable::here().run(Instant::now());
}

/// Waits for the actors of this thread.
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
    tick();
    until("the room ends", || !room.connected()).await;
    until("its player hears of it", || !around.0.closed.lock().unwrap().is_empty()).await;
    let closed = around.0.closed.lock().unwrap();
    assert_eq!(closed.iter().map(|close| close.code).collect::<Vec<_>>(), [CloseCode::RoomClosed]);
    assert!(closed[0].reason.contains("join again"), "{}", closed[0].reason);
    assert_eq!(*around.0.ended.lock().unwrap(), ["out_of_ticks"]);
}

// Promise 7: "Room tick *n* starts within 1 ms of its deadline unless the machine is saturated".
#[actix::test]
async fn an_old_room_does_not_stop_the_clock_of_the_others() {
    let around = Around::default();
    let (_, old) = start(two_years_old(), &around).await;
    let (young, _) = start(Schedule::new(Instant::now(), 100), &around).await;
    until("the young room plays", || {
        tick();
        young.tick.load(Ordering::Relaxed) >= 20
    })
    .await;
    assert!(!old.connected());
}

/// A room with small queues for its players, and a game that does what it is asked.
fn obedient() -> RoomCore {
    let kind = GameKind::of::<Obedient>();
    let shared = Arc::new(RoomShared::new(RoomId(1), "lobby".into(), kind.name(), 20, 10));
    let limits = Limits { reliable_messages: 4, reliable_bytes: 100, ..Limits::default() };
    let schedule = Schedule::new(Instant::now().checked_sub(Duration::from_secs(1)).unwrap(), 20);
    RoomCore::new(shared, kind.start(&Setup::new(7, 20)).unwrap(), kind.schema(), schedule, limits, false)
}

fn too_much(panic_at_leave: bool) -> Bytes {
    Ask { tell: 100, bytes: 1_000, panic_at_leave, ..Ask::default() }.encode_to_vec().into()
}

/// Two players who are away can no longer resume after the same tick, and the game panics at the end of
/// either seat.
#[actix::test]
async fn a_room_whose_game_panics_again_and_again_ends_once() {
    let around = Around::default();
    let room = start_room(obedient(), &around);
    let player = join(&room, &around, 1).await;
    for connection in 2..=3 {
        join(&room, &around, connection).await;
        let connection = ConnectionId(connection);
        room.send(Lost { connection, why: LostReason::Disconnected, welcomed: true }).await.unwrap();
    }
    assert!(player.seat.take_command(1, too_much(true)));
    until("the room ends", || {
        tick();
        !room.connected()
    })
    .await;
    until("presence hears of it", || around.0.reported.load(Ordering::Relaxed) > 0).await;
    assert_eq!(*around.0.ended.lock().unwrap(), ["failed"]);
    assert_eq!(around.0.reported.load(Ordering::Relaxed), 1);
}

// Promise 4: "One client, however slow or hostile, does not [...]": what comes after the overflow costs
// nothing.
#[test]
fn whose_queue_overflows_is_closed_once_whatever_the_game_goes_on_to_tell() {
    let mut room = obedient();
    let (slow, away) = (ConnectionId(1), ConnectionId(2));
    let seat = room.join(slow, "guest".into(), "Ann".into()).unwrap();
    room.join(away, "guest".into(), "Bob".into()).unwrap();
    room.lost(away, true, Away::Disconnected).unwrap();
    assert!(seat.take_command(1, too_much(false)));
    let told = room.tick(due(1)).unwrap().events;
    assert!(told < 2 * 100, "most of it did not fit: {told}");
    let effects = room.take_effects();
    assert_eq!(effects.len(), 2, "{effects:?}");
    assert!(effects.iter().any(|e| matches!(e, Effect::Close { code: CloseCode::SlowConsumer, .. })));
    assert!(effects.contains(&Effect::Unresumable(2)));
    assert!(seat.take_command(2, too_much(false)));
    assert_eq!(room.tick(due(2)).unwrap().events, 0);
    assert_eq!(room.take_effects(), []);
}
