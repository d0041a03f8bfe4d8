//! Work that is too slow for a tick: a game asks for it, it is done elsewhere, answered in a later tick, and
//! recorded.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{limits::Limits, session::client::ClientEvent, wire};
use driftless_server::{
    Server,
    config::Config,
    ground::{
        id::{ConnectionId, RoomId},
        seat::CommandTaken,
        shared::RoomShared,
    },
    jobs::Jobs,
    room::{
        core::{Carried, Effect, RoomCore},
        schedule::{Due, Schedule},
    },
};
use driftless_sim::{
    Answer, Away, GameKind, Job, JobError, JobId, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot,
    Step,
    replay::{EndReason, Recorder, RecordingHeader, Verdict, replay},
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::BufReader,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use util::{Player, TestServer, config, join, until};

/// Something to do, and its result.
#[derive(Clone, PartialEq, prost::Message)]
struct Errand {
    #[prost(string, tag = "1")]
    what: String,
}

impl Job for Errand {
    const NAME: &'static str = "errand";
    type Answer = Errand;
}

/// A job for which no server here has a handler.
#[derive(Clone, PartialEq, prost::Message)]
struct Unheard {}

impl Job for Unheard {
    const NAME: &'static str = "unheard";
    type Answer = ();
}

/// What a player makes the room ask for.
#[derive(Clone, PartialEq, prost::Message)]
struct Order {
    #[prost(string, tag = "1")]
    what: String,
    #[prost(uint32, tag = "2")]
    times: u32,
    /// End the room with it.
    #[prost(bool, tag = "3")]
    last: bool,
}

/// A game that asks for what players order, remembers the results, and sends them to everybody.
#[derive(Default, Serialize, Deserialize)]
struct Desk {
    orders: Vec<(String, u32, bool)>,
    asked: Vec<JobId>,
    heard: Vec<(JobId, String)>,
}

impl Simulation for Desk {
    const KIND: &'static str = "desk";
    type Input = ();
    type Command = Order;
    type Event = Errand;
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("desk", |kind| kind.hold("heard", &["answers"], 1))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, _player: PlayerId, _name: &str, step: &mut Step<'_, Errand>) {
        // Between two ticks, for each player who joins: each is a job of its own.
        self.asked.push(step.ask(&Errand { what: "joined".into() }));
    }
    fn leave(&mut self, _player: PlayerId, _step: &mut Step<'_, Errand>) {}
    fn command(&mut self, _: PlayerId, order: Order, step: &mut Step<'_, Errand>) -> Result<(), String> {
        if order.what == "refuse" {
            step.ask(&Errand { what: order.what });
            step.broadcast(Errand { what: "asked".into() });
            step.end("as ordered");
            return Err("not here".into());
        }
        self.orders.push((order.what, order.times.max(1), order.last));
        Ok(())
    }
    fn answer(&mut self, answer: &Answer, step: &mut Step<'_, Errand>) {
        let what = match (answer.of::<Errand>(), answer.of::<Unheard>()) {
            (Some(Ok(errand)), None) => errand.what,
            (Some(Err(e)), None) | (None, Some(Err(e))) => format!("{e:?}"),
            other => panic!("{other:?}"),
        };
        assert!(step.tick() > answer.id.tick && self.asked.contains(&answer.id));
        assert!(self.heard.iter().all(|(id, _)| *id != answer.id), "answered once");
        self.heard.push((answer.id, what.clone()));
        if what != "joined!" {
            step.broadcast(Errand { what });
        }
    }
    fn step(&mut self, _inputs: &[PlayerInput<()>], step: &mut Step<'_, Errand>) {
        for (what, times, last) in std::mem::take(&mut self.orders) {
            for _ in 0..times {
                let id = match &*what {
                    "unheard" => step.ask(&Unheard {}),
                    what => step.ask(&Errand { what: what.into() }),
                };
                assert!(!self.asked.contains(&id), "{id} twice");
                self.asked.push(id);
            }
            if last {
                step.end("as ordered");
            }
        }
    }
    fn snapshot(&self, out: &mut Snapshot) {
        out.table_mut(0).push(1, &[self.heard.len() as i32]);
    }
}

/// What the handlers of a test count and wait for.
#[derive(Clone)]
struct Office {
    done: Arc<AtomicU32>,
    /// Each waiting handler takes one of these.
    go: Arc<Semaphore>,
}

impl Office {
    fn new() -> Self {
        Self { done: Arc::default(), go: Arc::new(Semaphore::new(0)) }
    }

    fn jobs(&self) -> Jobs {
        let office = self.clone();
        Jobs::new().on(move |Errand { what }: Errand, about| {
            let office = office.clone();
            async move {
                assert_eq!((&*about.room, about.kind), ("lobby", "desk"));
                match &*what {
                    "fail" => return Err("no ink left".into()),
                    "panic" => panic!("a fault in a handler, as asked"),
                    "hang" => std::future::pending().await,
                    "wait" => office.go.acquire().await?.forget(),
                    _ => {}
                }
                office.done.fetch_add(1, Relaxed);
                Ok(Errand { what: format!("{what}!") })
            }
        })
    }

    fn open(&self, config: Config, jobs: impl FnOnce(Jobs) -> Jobs) -> TestServer {
        TestServer::of(Server::new(&[GameKind::of::<Desk>()]).jobs(jobs(self.jobs())), config)
    }
}

fn order(player: &mut Player, what: &str, times: u32) {
    player.command(&Order { what: what.into(), times, last: false });
}

/// Orders, and waits until the room has asked for it, so that each order is in a tick of its own.
fn order_now(server: &TestServer, player: &mut Player, what: &str, times: u32) {
    let jobs = &server.running().metrics().rooms.jobs;
    let before = jobs.get();
    order(player, what, times);
    until("it is asked for", || jobs.get() == before + u64::from(times));
}

/// The result of the next job.
fn heard(player: &mut Player) -> String {
    player.wait("an answer", |event| {
        let ClientEvent::Event(event) = event else { return None };
        Some(Errand::decode(&event.payload[..]).unwrap().what)
    })
}

fn player(server: &TestServer) -> Player {
    Player::join_as(server.address(), wire::Join { kind: "desk".into(), ..join("lobby") })
}

/// Replays the one recording in a folder, without any handlers.
fn replayed(folder: &Path) -> Verdict {
    let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let recording = BufReader::new(File::open(file).unwrap());
    replay(recording, &[GameKind::of::<Desk>()]).unwrap().1
}

// Promise 1: "A replay gives the same checksums."
#[test]
fn what_came_of_a_job_is_heard_in_a_later_tick_and_replayed_without_a_handler() {
    let (folder, office) = (tempfile::tempdir().unwrap(), Office::new());
    let config = Config { record: Some(folder.path().to_owned()), linger: Duration::ZERO, ..config() };
    let server = office.open(config, |jobs| jobs.deadline(Duration::from_millis(1_500)));
    let (mut ann, mut bob) = (player(&server), player(&server));
    order(&mut ann, "stamp", 2);
    assert_eq!([heard(&mut ann), heard(&mut ann)], ["stamp!", "stamp!"]);
    for (what, expected) in [
        ("fail", "Failed(\"no ink left\")"),
        ("unheard", "NoHandler"),
        ("hang", "TimedOut"),
        ("copy", "copy!"),
    ] {
        order(&mut bob, what, 1);
        assert_eq!(heard(&mut ann), expected);
    }
    order(&mut bob, "panic", 1);
    let panicked = heard(&mut ann);
    assert!(panicked.starts_with("Failed") && panicked.contains("a fault in a handler"), "{panicked}");
    assert_eq!(office.done.load(Relaxed), 5, "two of them for those who joined");

    let scrape = server.get_as_operator("/metrics");
    for (result, count) in [("done", 5.), ("failed", 2.), ("no_handler", 1.), ("timed_out", 1.), ("busy", 0.)]
    {
        let sample = format!("driftless_jobs_answered_total{{result=\"{result}\"}}");
        assert_eq!(scrape.metric(&sample), count, "{sample}");
    }
    assert_eq!(scrape.metric("driftless_jobs_total"), 9.);
    ann.leave();
    bob.leave();
    let metrics = server.running().metrics().clone();
    until("the room has ended", || metrics.rooms.ended.get("empty") == 1);
    drop(server);
    assert_eq!(replayed(folder.path()), Verdict::Same { ticks: metrics.rooms.ticks.get() });
}

// Promise 1: a refused command is not recorded, so the next one must not notice it either.
#[test]
fn of_a_command_that_is_refused_nothing_is_asked_and_nothing_told() {
    let (kind, setup) = (GameKind::of::<Desk>(), Setup::new(1, 20));
    let shared = Arc::new(RoomShared::new(RoomId(1), "lobby".into(), kind.name(), 20, 10));
    let (game, schedule) = (kind.start(&setup).unwrap(), Schedule::new(Instant::now(), 20));
    let mut room = RoomCore::new(shared, game, kind.schema(), schedule, Limits::default(), true);
    let header = RecordingHeader { kind: kind.name().into(), room: "lobby".into(), setup };
    let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
    let mut tick = |room: &mut RoomCore, tick| {
        let ticked = room.tick(Due { tick, late: Duration::ZERO, skipped: 0 }).unwrap();
        recorder.record(&room.take_record().unwrap()).unwrap();
        ticked
    };
    let seat = room.join(ConnectionId(1), "guest".into(), "Ann".into()).unwrap();
    tick(&mut room, 1);
    room.take_effects();
    for (sequence, what) in [(1, "refuse"), (2, "stamp")] {
        let order = Order { what: what.into(), times: 1, last: false };
        assert_eq!(seat.take_command(sequence, Some(order.encode_to_vec().into())), CommandTaken::Now);
    }
    let ticked = tick(&mut room, 2);
    assert_eq!((ticked.commands, ticked.events), (2, 0));
    let effects = room.take_effects();
    let [Effect::Ask(asked)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(asked.id, JobId { tick: 2, index: 0 });
    recorder.end(EndReason::RoomEnded).unwrap();
    let (_, verdict) = replay(&recorder.into_inner()[..], &[kind]).unwrap();
    assert_eq!(verdict, Verdict::Same { ticks: 2 });
}

#[test]
fn answers_that_a_room_has_yet_to_give_are_the_same_where_it_continues() {
    let kind = GameKind::of::<Desk>();
    let room = |game| {
        let shared = Arc::new(RoomShared::new(RoomId(1), "lobby".into(), kind.name(), 20, 10));
        let schedule = Schedule::new(Instant::now(), 20);
        RoomCore::new(shared, game, kind.schema(), schedule, Limits::default(), false)
    };
    let due = |tick| Due { tick, late: Duration::ZERO, skipped: 0 };
    let mut before = room(kind.start(&Setup::new(1, 20)).unwrap());
    let seat = before.join(ConnectionId(1), "guest".into(), "Ann".into()).unwrap();
    let order = Order { what: "stamp".into(), times: 4, last: false };
    assert_eq!(seat.take_command(1, Some(order.encode_to_vec().into())), CommandTaken::Now);
    before.tick(due(1)).unwrap();
    let asked = before.take_effects();
    let ids = asked.iter().map(|effect| match effect {
        Effect::Ask(asked) => asked.id,
        other => panic!("{other:?}"),
    });
    let failed = || JobError::Failed("no ink left".into());
    // The fifth is still running.
    let results = [Ok("a"), Err(JobError::TimedOut), Err(failed()), Err(JobError::NoHandler)];
    for (id, result) in ids.zip(results) {
        let result = result.map(|what| Errand { what: what.into() }.encode_to_vec().into());
        before.answered(Answer { id, job: Errand::NAME.into(), result });
    }
    before.part(Away::Closed);
    let carried = before.carry().unwrap();
    let carried: Carried = postcard::from_bytes(&postcard::to_stdvec(&carried).unwrap()).unwrap();

    let mut after = room(kind.restore(&carried.state).unwrap());
    let (first, seats) = (carried.tick() + 1, carried.seats(after.shared(), &Limits::default()));
    after.go_on(carried, seats);
    after.tick(due(first.into())).unwrap();
    // Before the game's own state come its known users and their CRC.
    let state = after.carry().unwrap().state;
    let (_users, rest) = postcard::take_from_bytes::<BTreeMap<PlayerId, String>>(&state).unwrap();
    let (desk, _) = postcard::take_from_bytes::<Desk>(&rest[4..]).unwrap();
    let heard: Vec<_> = desk.heard.into_iter().map(|(_, what)| what).collect();
    let stopped = "Failed(\"the server stopped before the job was done\")";
    assert_eq!(heard, ["a", "TimedOut", &format!("{:?}", failed()), "NoHandler", stopped]);
}

// Promise 4
#[test]
fn more_jobs_than_there_may_be_are_answered_as_busy() {
    let office = Office::new();
    let server = office.open(config(), |jobs| jobs.deadline(Duration::from_secs(60)));
    let mut ann = player(&server);
    until("the job of the join is done", || office.done.load(Relaxed) == 1);
    // Per tick...
    order(&mut ann, "stamp", 100);
    let answers: Vec<_> = (0..100).map(|_| heard(&mut ann)).collect();
    assert_eq!(answers.iter().filter(|what| *what == "Busy").count(), 84, "{answers:?}");
    // ...and per room.
    for _ in 0..5 {
        order_now(&server, &mut ann, "wait", 16);
    }
    assert_eq!([(); 16].map(|()| heard(&mut ann)), ["Busy"; 16].map(str::to_owned));
    office.go.add_permits(64);
    assert_eq!([(); 64].map(|()| heard(&mut ann)), ["wait!"; 64].map(str::to_owned));
    order(&mut ann, "stamp", 1);
    assert_eq!(heard(&mut ann), "stamp!");
}

#[test]
fn a_handler_that_blocks_keeps_no_room_waiting_and_no_deadline() {
    let office = Office::new();
    let blocked = Arc::new(AtomicU32::new(0));
    let blocks = blocked.clone();
    let server = office.open(Config { threads: 1, tick_rate: 60, ..config() }, move |jobs| {
        jobs.deadline(Duration::from_millis(100)).on_blocking(move |Errand { what }: Errand, _| {
            if what == "block" {
                blocks.fetch_add(1, Relaxed);
                thread::sleep(Duration::from_millis(600));
            }
            Ok(Errand { what })
        })
    });
    let mut ann = player(&server);
    heard(&mut ann); // of the join
    for _ in 0..4 {
        order_now(&server, &mut ann, "block", 16);
    }
    let metrics = server.running().metrics();
    assert_eq!([(); 64].map(|()| heard(&mut ann)), ["TimedOut"; 64].map(str::to_owned));
    assert_eq!(blocked.load(Relaxed), 16, "the others were never begun");
    assert!(metrics.rooms.job_duration.counts().iter().sum::<u64>() >= 64);
    let ticks = metrics.rooms.ticks.get();
    until("the room goes on", || metrics.rooms.ticks.get() > ticks + 10);
    // Once the blocked threads are free, everything is as before.
    until("a thread is free", || {
        order(&mut ann, "copy", 1);
        heard(&mut ann) == "copy"
    });
}

#[test]
fn a_room_that_has_moved_or_ended_is_no_trouble_for_its_jobs() {
    let office = Office::new();
    let server = office.open(config(), |jobs| jobs.deadline(Duration::from_secs(60)));
    let metrics = server.running().metrics().clone();
    let mut ann = player(&server);
    order(&mut ann, "wait", 1);
    until("it is being done", || metrics.rooms.jobs.get() == 2);
    assert!(server.running().move_room("lobby"));
    until("the room has moved", || metrics.rooms.moved.get() > 0);
    office.go.add_permits(1);
    assert_eq!(heard(&mut ann), "wait!");

    // What it asks for in its last step is done, but nobody is left to hear the result.
    let done = office.done.load(Relaxed);
    ann.command(&Order { what: "wait".into(), times: 3, last: true });
    until("the room has ended", || metrics.rooms.ended.get("game_ended") == 1);
    office.go.add_permits(3);
    until("it is done", || office.done.load(Relaxed) == done + 3);
    // Nor does another room with the same name hear it.
    let mut bob = player(&server);
    order(&mut bob, "stamp", 1);
    assert_eq!(heard(&mut bob), "stamp!");
}

#[test]
fn a_server_that_stops_first_does_what_was_asked() {
    let office = Office::new();
    let server = office.open(config(), |jobs| jobs.deadline(Duration::from_secs(5)));
    let metrics = server.running().metrics().clone();
    let mut ann = player(&server);
    until("the job of the join is done", || office.done.load(Relaxed) == 1);
    order(&mut ann, "wait", 1);
    until("it is being done", || metrics.rooms.jobs.get() == 2);
    let go = office.go.clone();
    let opens = thread::spawn(move || {
        ann.ended();
        go.add_permits(1);
    });
    drop(server);
    opens.join().unwrap();
    assert_eq!(office.done.load(Relaxed), 2);
}

#[test]
fn answers_are_of_one_job_and_say_if_they_cannot_be_read() {
    let id = JobId { tick: 3, index: 1 };
    let answer = |result| Answer { id, job: "errand".into(), result };
    let said = answer(Ok(Errand { what: "x".into() }.encode_to_vec().into()));
    assert_eq!((said.of::<Errand>(), said.of::<Unheard>()), (Some(Ok(Errand { what: "x".into() })), None));
    let garbled = answer(Ok(b"\xff\xff".as_slice().into()));
    assert!(matches!(garbled.of::<Errand>(), Some(Err(JobError::Failed(_)))));
    assert_eq!(answer(Err(JobError::Busy)).of::<Errand>(), Some(Err(JobError::Busy)));
    assert_eq!(id.to_string(), "3/1");
}
