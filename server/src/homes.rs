//! The threads on which rooms and their players live, and which of them is used for whom.
//!
//! The common threads, `Config::threads`, are all alike: each has rooms, the connections of their players,
//! and a [timetable](crate::room::timetable). Rooms whose ticks would make others late live apart, each on a
//! thread of its own as long as there are enough, and reach their players over the common threads.

mod balance;

use crate::{
    alarm::Alarm,
    connection::{Interlude, LocalConnections, Worker},
    ground::home::{Home, MoveTo, Resident},
    room::{Housing, RoomAddr, SPREAD_FROM, timetable::Timetable},
    thread::{self, Cores, prefer_latency},
};
use actix_rt::Arbiter;
use balance::Balance;
use parking_lot::Mutex;
use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    rc::Rc,
    sync::{Arc, mpsc::sync_channel},
    task::{Poll, Waker},
    time::{Duration, Instant},
};
use tokio::runtime::Builder;
use tracing::{error, info};

/// A thread with a CPU load below this has little to do, thousandths.
const LITTLE: u32 = 300;
/// What a player, or a room, is expected to add to a thread's CPU load, thousandths: 10 µs, 20 times per
/// second.
const EXPECTED: f32 = 0.2;
/// Time between two attempts to start a thread for a heavy room.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// Games that may be created at a time for each thread, on other threads: creating one may take long.
const GAMES_MADE: usize = 2;
/// How often a thread measures its CPU load.
const LOOK: Duration = Duration::from_secs(1);
/// How often the loads of all threads are compared.
const COMPARE: Duration = Duration::from_secs(5);

/// The threads for heavy rooms.
#[derive(Default)]
struct Apart {
    homes: Vec<Home>,
    /// The last thread could not be started: no other is tried until then.
    not_before: Option<Instant>,
}

/// All threads for rooms.
pub(crate) struct Homes {
    common: Vec<Home>,
    apart: Mutex<Apart>,
    /// Most threads for heavy rooms.
    max_apart: usize,
    /// The cores that the process may use, if threads are pinned.
    cores: Option<Cores>,
}

impl Homes {
    /// Starts the common threads. `connections` is called once on each. `pin`: each stays on a core of its
    /// own.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(crate) fn start(
        count: usize,
        pin: bool,
        connections: impl Fn() -> io::Result<Rc<LocalConnections>> + Clone + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let cores = pin.then(Cores::allowed).transpose()?;
        let common = (0..count.max(1)).map(|n| {
            let connections = connections.clone();
            start(format!("home-{n}"), cores.clone(), Some(n), move |arbiter| {
                let connections = connections()?;
                let home = Home::new(arbiter, Some(connections.link()));
                connections.live_at(home.clone());
                run_between(connections.worker());
                Ok(home)
            })
        });
        let common = common.collect::<io::Result<_>>()?;
        Ok(Arc::new(Self { common, apart: Mutex::default(), max_apart: count.max(2), cores }))
    }

    /// The calling thread, for all rooms and players.
    pub(crate) fn only(home: Home) -> Arc<Self> {
        Arc::new(Self { common: vec![home], apart: Mutex::default(), max_apart: 0, cores: None })
    }

    /// The common threads, each with rooms and players.
    pub(crate) fn all_common(&self) -> &[Home] {
        &self.common
    }

    /// Where the next connection to a room with this many players should live.
    pub(crate) fn for_player(&self, room: &RoomAddr, players: u32) -> Home {
        let home = room.home().filter(|home| home.link().is_some() && players < SPREAD_FROM);
        let least =
            || self.common.iter().min_by_key(|home| home.players()).unwrap_or(&self.common[0]).clone();
        home.unwrap_or_else(least)
    }

    /// Where a new room should live: on the first thread with little to do, because the same work costs less
    /// on fewer threads; else on the least loaded one.
    fn for_room(&self) -> &Home {
        let free = self.common.iter().find(|home| expected_load(home) < LITTLE);
        let least = || self.common.iter().min_by_key(|home| (expected_load(home), home.rooms()));
        free.or_else(least).unwrap_or(&self.common[0])
    }

    /// The common thread after `home`.
    pub(crate) fn after(&self, home: &Home) -> &Home {
        let at = self.common.iter().position(|other| other.is(home)).map_or(0, |at| at + 1);
        &self.common[at % self.common.len()]
    }
}

/// The CPU load of a thread, thousandths, including what is expected of those who have come since it was
/// measured.
fn expected_load(home: &Home) -> u32 {
    let expected = (home.players() + home.rooms()) as f32 * EXPECTED;
    home.load().max(expected as u32)
}

/// Moves rooms from a thread that has been much busier than another for a long time. `rooms` lists the rooms
/// of a thread, each with its weight.
pub(crate) async fn keep_balance(homes: Arc<Homes>, rooms: impl Fn(&Home) -> Vec<(u32, RoomAddr)>) {
    let mut balance = Balance::default();
    loop {
        actix_rt::time::sleep(COMPARE).await;
        let loads: Vec<_> = homes.common.iter().map(Home::load).collect();
        let Some(shift) = balance.look(&loads) else { continue };
        let (from, to) = (&homes.common[shift.from], &homes.common[shift.to]);
        let chosen = shift.choose(rooms(from));
        if chosen.is_empty() {
            continue;
        }
        info!(
            ?loads,
            from = shift.from,
            to = shift.to,
            rooms = chosen.len(),
            "moving rooms, because threads differ in CPU load"
        );
        for room in chosen {
            room.do_send(MoveTo { home: to.clone(), from: Some(from.clone()) });
        }
    }
}

impl Housing for Homes {
    fn apart(&self) -> Option<Resident> {
        let mut apart = self.apart.lock();
        let least = apart.homes.iter().min_by_key(|home| home.rooms());
        let may_start = apart.homes.len() < self.max_apart
            && apart.not_before.is_none_or(|not_before| not_before <= Instant::now());
        if let Some(home) = least
            && (home.rooms() == 0 || !may_start)
        {
            return Some(home.house_room());
        }
        if !may_start {
            return None;
        }
        let started = start(format!("apart-{}", apart.homes.len()), self.cores.clone(), None, |arbiter| {
            let alarm = Alarm::new()?;
            actix_rt::spawn(keep_time(alarm));
            Ok(Home::new(arbiter, None))
        });
        match started {
            Ok(home) => {
                let resident = home.house_room();
                apart.homes.push(home);
                Some(resident)
            }
            Err(error) => {
                error!(%error, "cannot start a thread for a heavy room: it stays with the others");
                apart.not_before = Some(Instant::now() + TRY_AGAIN);
                None
            }
        }
    }

    fn common(&self) -> Resident {
        self.for_room().house_room()
    }
}

/// Starts a thread and calls `make` on it. `cores`: those that the process may use, if threads are pinned;
/// `core` selects one of them.
fn start(
    name: String,
    cores: Option<Cores>,
    core: Option<usize>,
    make: impl FnOnce(actix::ArbiterHandle) -> io::Result<Home> + Send + 'static,
) -> io::Result<Home> {
    let arbiter = Arbiter::try_with_tokio_rt(|| {
        Builder::new_current_thread().enable_all().max_blocking_threads(GAMES_MADE).build()
    })?;
    let (send, made) = sync_channel(1);
    arbiter.spawn_fn(move || {
        thread::set_name(&name);
        prefer_latency();
        // The starting thread may be pinned, and the new one inherits that.
        if let Some(Err(error)) = cores.map(|cores| cores.run_here(core)) {
            error!(%error, thread = name, "cannot pin a thread to its core");
        }
        let home = make(Arbiter::current()).inspect(|home| drop(actix_rt::spawn(watch_load(home.clone()))));
        drop(send.send(home));
    });
    let home = made.recv().unwrap_or_else(|_| Err(io::Error::other("a thread ended before it was ready")));
    if home.is_err() {
        // Otherwise the thread would keep running.
        arbiter.stop();
        let _ = arbiter.join();
    }
    home
}

/// Runs the rooms of a thread between any two pieces of work for its connections.
struct RoomsFirst(Rc<Timetable>);

impl Interlude for RoomsFirst {
    fn run(&self, now: Instant) -> Option<Instant> {
        self.0.run(now);
        self.0.next()
    }
}

/// Makes the calling thread, whose connections these are, run its rooms when they are due.
fn run_between(worker: &Rc<Worker>) {
    let timetable = Timetable::here();
    worker.set_interlude(Rc::new(RoomsFirst(timetable.clone())));
    let worker = Rc::downgrade(worker);
    timetable.when_changed(move || {
        if let Some(worker) = worker.upgrade() {
            worker.hasten_interlude();
        }
    });
}

/// Runs the rooms of the calling thread, which has no connections, when they are due.
async fn keep_time(mut alarm: Alarm) {
    let (timetable, task) = (Timetable::here(), Rc::new(RefCell::new(None::<Waker>)));
    let woken = task.clone();
    timetable.when_changed(move || {
        if let Some(task) = &*woken.borrow() {
            task.wake_by_ref();
        }
    });
    poll_fn(|cx| {
        *task.borrow_mut() = Some(cx.waker().clone());
        let _rung = alarm.poll(cx);
        timetable.run(Instant::now());
        // Rooms that became due meanwhile wait for the next turn: others may have to move a room away first.
        alarm.set(timetable.next());
        if alarm.poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::<()>::Pending
    })
    .await;
}

/// Measures the CPU load of the calling thread.
async fn watch_load(home: Home) {
    let (mut at, mut worked) = (Instant::now(), thread::cpu_time());
    loop {
        actix_rt::time::sleep(LOOK).await;
        let (now, work) = (Instant::now(), thread::cpu_time());
        let share = (work - worked).as_secs_f64() / (now - at).as_secs_f64();
        // A moving average: half of it is the past.
        home.set_load((home.load() + (share * 1000.0) as u32) / 2);
        (at, worked) = (now, work);
    }
}
