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
        identity::Identity,
        report::{LostReason, Report},
        reservation::ReservationToken,
        seat::{CommandTaken, ResumeToken, Seat},
        shared::RoomShared,
        sight::Sight,
        source::Source,
    },
    metrics::Metrics,
    room::{
        Carry, Freeze, Frozen, Housing, Join, Listing, Lost, Room, RoomAddr, RoomSettings, Seated, Shell,
        Thaw,
        core::{Effect, LAST_TICK, RoomCore},
        events::{Events, Hear},
        jobs::{Asked, Work},
        schedule::{Due, Schedule},
        timetable::Timetable,
    },
};
use driftless_sim::{
    Away, GameKind, JobError, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step, games,
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use util::games::{Ask, Obedient, Told};

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
    /// The room's events.
    heard: Arc<Mutex<Vec<serde_json::Value>>>,
    /// Its name was free before a listener could hear of its end.
    early: AtomicBool,
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
    fn came(&self, _: ReservationToken) {}
    fn seat_ended(&self, _: &ResumeToken) {}
    fn room_ended(&self, _: &RoomShared, reason: Option<&'static str>) {
        let start = Instant::now();
        while !self.heard.lock().unwrap().iter().any(|event| event["event"] == "ended") {
            if start.elapsed() > Duration::from_secs(5) {
                self.early.store(true, Ordering::Relaxed);
                break;
            }
            thread::yield_now();
        }
        self.ended.lock().unwrap().extend(reason);
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
    let heard = around.0.heard.clone();
    let hear: Hear = Arc::new(move |event| heard.lock().unwrap().push(serde_json::to_value(event).unwrap()));
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
        events: Events::start(vec![hear], Arc::default()).unwrap(),
    };
    let shell = move |core, home, address| Shell::new(core, None, settings, None, home, address);
    Room::start_at(Here.common(), || core, shell)
}

async fn join(room: &RoomAddr, around: &Around, connection: u64) -> Seated {
    let address = around.clone().start();
    let link = FanoutLink { index: 0, fanout: address.clone().recipient() };
    let reach = Reach { link, control: address.recipient(), moves: None };
    let entrant = Entrant {
        connection: ConnectionId(connection),
        source: Source::UNKNOWN,
        identity: Identity::guest().unwrap().into(),
        place: None,
        reach,
    };
    let seated = room
        .send(Join {
            entrant,
            user: "guest".into(),
            name: "Ann".into(),
            sight: Sight::Player,
            reservation: None,
            options: String::new(),
        })
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
    assert!(!around.0.early.load(Ordering::Relaxed), "its end is told before another can have its name");
    assert_eq!(around.0.heard.lock().unwrap()[0]["id"], 1);
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
    assert_eq!(player.seat.take_command(1, Some(too_much(true))), CommandTaken::Now);
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
    assert_eq!(seat.take_command(1, Some(too_much(false))), CommandTaken::Now);
    let told = room.tick(due(1)).unwrap().events;
    assert!(told < 2 * 100, "most of it did not fit: {told}");
    let effects = room.take_effects();
    assert_eq!(effects.len(), 2, "{effects:?}");
    assert!(effects.iter().any(|e| matches!(e, Effect::Close { code: CloseCode::SlowConsumer, .. })));
    assert!(effects.contains(&Effect::Unresumable(2)));
    assert_eq!(seat.take_command(2, Some(too_much(false))), CommandTaken::Now);
    assert_eq!(room.tick(due(2)).unwrap().events, 0);
    assert_eq!(room.take_effects(), []);
}

/// A game in which the first player's departure has consequences.
#[derive(Default, Serialize, Deserialize)]
struct Farewell {}

impl Simulation for Farewell {
    const KIND: &'static str = "farewell";
    type Input = ();
    type Command = ();
    type Event = Told;
    type Options = ();

    fn schema() -> Schema {
        Obedient::schema()
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self {})
    }
    fn join(&mut self, _player: PlayerId, _name: &str, _step: &mut Step<'_, Told>) {}
    fn leave(&mut self, player: PlayerId, step: &mut Step<'_, Told>) {
        step.report(&format!("{player} has left"));
    }
    fn away(&mut self, player: PlayerId, _why: Away, step: &mut Step<'_, Told>) {
        if player == 1 {
            (0..100).for_each(|number| step.send(2, Told { number, filler: vec![7; 1_000] }));
            step.kick(3, "as the first wanted it");
        }
    }
    fn step(&mut self, _inputs: &[PlayerInput<()>], _step: &mut Step<'_, Told>) {}
    fn snapshot(&self, _out: &mut Snapshot) {}
}

// Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window."
#[actix::test]
async fn a_room_that_continues_elsewhere_takes_no_seat_with_it_that_cannot_be_resumed() {
    let (around, kind) = (Around::default(), GameKind::of::<Farewell>());
    let shared = Arc::new(RoomShared::new(RoomId(1), "lobby".into(), kind.name(), 20, 10));
    let limits = Limits { reliable_messages: 4, reliable_bytes: 100, ..Limits::default() };
    let schedule = Schedule::new(Instant::now().checked_sub(Duration::from_secs(1)).unwrap(), 20);
    let game = kind.start(&Setup::new(7, 20)).unwrap();
    let core = RoomCore::new(shared.clone(), game, kind.schema(), schedule, limits.clone(), false);
    let room = start_room(core, &around);
    for connection in 1..=4 {
        join(&room, &around, connection).await;
    }
    for connection in [2, 3].map(ConnectionId) {
        room.send(Lost { connection, why: LostReason::Disconnected, welcomed: true }).await.unwrap();
    }
    let (hand_over, handed_over) = oneshot::channel();
    room.do_send(Carry(hand_over));
    let handed_over = Mutex::new(handed_over);
    let carried = Mutex::new(None);
    until("the room is handed over", || {
        tick();
        let now = handed_over.lock().unwrap().try_recv().ok();
        let mut carried = carried.lock().unwrap();
        *carried = carried.take().or(now);
        carried.is_some()
    })
    .await;
    let carried = carried.into_inner().unwrap().flatten().unwrap();
    // The second was told too much, and the third was removed.
    let seats = carried.seats(&shared, &limits);
    assert_eq!(seats.iter().map(|kept| kept.seat.player).collect::<Vec<_>>(), [1, 4]);
    until("what the game reported is heard", || around.0.heard.lock().unwrap().len() == 2).await;
}

/// The room stands still.
async fn frozen(room: &RoomAddr) -> Frozen {
    let (tell, told) = oneshot::channel();
    room.do_send(Freeze(tell));
    let (told, frozen) = (Mutex::new(told), Mutex::new(None));
    until("the room stands still", || {
        tick();
        let mut frozen = frozen.lock().unwrap();
        *frozen = frozen.take().or(told.lock().unwrap().try_recv().ok());
        frozen.is_some()
    })
    .await;
    frozen.into_inner().unwrap().expect("it answers").expect("it can stand still")
}

#[actix::test]
async fn a_room_stands_still_for_another_node_as_long_as_somebody_wants_it_to() {
    let around = Around::default();
    let (shared, room) = start(Schedule::new(Instant::now(), 100), &around).await;
    let ticks = || shared.tick.load(Ordering::Relaxed);
    let goes_on = async |from| {
        until("it goes on", || {
            tick();
            ticks() > from
        })
        .await;
    };
    // Whoever wanted it to has not waited for the answer, or has failed.
    let stands = frozen(&room).await;
    let at = ticks();
    for _ in 0..5 {
        actix::clock::sleep(Duration::from_millis(20)).await;
        tick();
        assert_eq!(ticks(), at);
    }
    drop(stands);
    goes_on(at).await;
    // Another node may have it.
    frozen(&room).await.stands.until_told();
    let at = ticks();
    for _ in 0..5 {
        actix::clock::sleep(Duration::from_millis(20)).await;
        tick();
        assert_eq!(ticks(), at);
    }
    room.do_send(Thaw);
    goes_on(at).await;
}
