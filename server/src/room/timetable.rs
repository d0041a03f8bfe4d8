//! When the rooms of a thread are due: one wake-up for all rooms of a slot.
//!
//! The interval of a tick rate is divided into slots of about a millisecond, the same on every thread. A room
//! gets a slot for life, the one with the fewest rooms on its thread, and its ticks are due exactly when the
//! slot begins, so that a tick's number stands for the same moment everywhere. So a thread wakes at most
//! about a thousand times per second, however many rooms it has, and they never all tick at the same moment.

use super::schedule::Schedule;
use crate::{ground::id::RoomId, thread::Usage};
use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    mem,
    rc::Rc,
    time::{Duration, Instant},
};

/// Shortest time between two slots.
const SLOT: Duration = Duration::from_millis(1);
/// Most slots of an interval: slow rooms are few.
const MAX_SLOTS: u32 = 256;

/// Something that is due repeatedly: a room.
pub trait Due {
    /// Does what is due. False: it has ended and has to be forgotten.
    fn run(&self) -> bool;
}

/// The rooms of one thread. Never leaves it.
#[derive(Default)]
pub struct Timetable {
    slots: RefCell<Slots>,
    /// When the next slot begins.
    next: Cell<Option<Instant>>,
    /// The thread's usage when the last slot began.
    usage: Cell<Usage>,
    /// Tells the caller of `run` that `next` may be earlier than before.
    changed: RefCell<Option<Box<dyn Fn()>>>,
}

#[derive(Default)]
struct Slots {
    all: HashMap<Phase, Slot>,
    /// When the slots that have rooms begin next, each once.
    begin: BinaryHeap<Reverse<(Instant, Phase)>>,
}

/// What identifies a slot: its first beginning, and how often per second it begins.
type Phase = (Instant, u32);

/// The rooms of a slot.
type Rooms = Vec<(RoomId, Rc<dyn Due>)>;

struct Slot {
    /// The number of its next beginning.
    tick: u64,
    rooms: Rooms,
}

thread_local! {
    static HERE: Rc<Timetable> = Rc::default();
}

impl Timetable {
    /// The timetable of the calling thread.
    pub fn here() -> Rc<Self> {
        HERE.with(Rc::clone)
    }

    /// The schedule for a new room: its tick 0 is at the last beginning of the slot with the fewest rooms.
    /// `origin` is the same for all rooms of a server.
    pub fn schedule(&self, origin: Instant, now: Instant, tick_rate: u32) -> Schedule {
        let slots = self.slots.borrow();
        let of_slot = |number| slot_of(origin, tick_rate, number);
        let rooms = |schedule: &Schedule| slots.all.get(&schedule.phase()).map_or(0, |slot| slot.rooms.len());
        let emptiest = spread(count(tick_rate)).map(of_slot).min_by_key(rooms);
        emptiest.unwrap_or_else(|| of_slot(0)).from(now)
    }

    /// Adds a room.
    pub fn add(&self, schedule: &Schedule, id: RoomId, room: Rc<dyn Due>, now: Instant) {
        let phase = schedule.phase();
        let mut slots = self.slots.borrow_mut();
        let Slots { all, begin } = &mut *slots;
        all.entry(phase)
            .or_insert_with(|| {
                let tick = next_of(phase, now);
                begin.push(Reverse((deadline(phase, tick), phase)));
                Slot { tick, rooms: Vec::new() }
            })
            .rooms
            .push((id, room));
        self.next.set(slots.next());
        drop(slots);
        if let Some(changed) = &*self.changed.borrow() {
            changed();
        }
    }

    /// Forgets a room. Must not be called by a room that is running.
    pub fn remove(&self, schedule: &Schedule, id: RoomId) {
        if let Some(slot) = self.slots.borrow_mut().all.get_mut(&schedule.phase()) {
            slot.rooms.retain(|(room, _)| *room != id);
        }
    }

    /// When the next slot begins.
    pub fn next(&self) -> Option<Instant> {
        self.next.get()
    }

    /// Calls `changed` when `next` may have become earlier.
    pub fn when_changed(&self, changed: impl Fn() + 'static) {
        *self.changed.borrow_mut() = Some(Box::new(changed));
    }

    /// How much of `took`, which began with the last slot or later, was this thread's own work.
    pub(super) fn own_part(&self, took: Duration) -> Duration {
        Usage::now().own_part(self.usage.get(), took)
    }

    /// Runs the rooms of all slots that have begun.
    pub fn run(&self, now: Instant) {
        while self.next.get().is_some_and(|next| next <= now) {
            self.usage.set(Usage::now());
            // Not borrowed while rooms run, so that they can use the timetable.
            let Some((phase, mut rooms)) = self.slots.borrow_mut().begin(now) else { break };
            rooms.retain(|(_, room)| room.run());
            let mut slots = self.slots.borrow_mut();
            slots.end(phase, rooms);
            self.next.set(slots.next());
        }
    }
}

impl Slots {
    fn next(&self) -> Option<Instant> {
        self.begin.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out the rooms of a slot that has begun.
    fn begin(&mut self, now: Instant) -> Option<(Phase, Rooms)> {
        let Reverse((_, phase)) = self.begin.pop()?;
        let slot = self.all.get_mut(&phase)?;
        // A late slot begins only once.
        slot.tick = next_of(phase, now).max(slot.tick + 1);
        Some((phase, mem::take(&mut slot.rooms)))
    }

    /// Puts back the rooms that continue.
    fn end(&mut self, phase: Phase, mut rooms: Rooms) {
        let Some(slot) = self.all.get_mut(&phase) else { return };
        rooms.append(&mut slot.rooms); // that came meanwhile
        if rooms.is_empty() {
            self.all.remove(&phase);
            return;
        }
        slot.rooms = rooms;
        self.begin.push(Reverse((deadline(phase, slot.tick), phase)));
    }
}

fn deadline((epoch, tick_rate): Phase, tick: u64) -> Instant {
    Schedule::new(epoch, tick_rate).deadline(tick)
}

/// The number of a slot's first beginning after `now`.
fn next_of((epoch, tick_rate): Phase, now: Instant) -> u64 {
    Schedule::new(epoch, tick_rate).due(now, 0).map_or(1, |due| due.tick + 1)
}

/// How many slots an interval has.
fn count(tick_rate: u32) -> u32 {
    let interval = Schedule::new(Instant::now(), tick_rate).interval();
    ((interval.as_nanos() / SLOT.as_nanos()) as u32).clamp(1, MAX_SLOTS)
}

fn slot_of(origin: Instant, tick_rate: u32, number: u32) -> Schedule {
    let interval = Schedule::new(origin, tick_rate).interval();
    Schedule::new(origin + interval * number / count(tick_rate), tick_rate)
}

/// All numbers below `count`, in an order whose prefixes are evenly spread, too: steps of the golden ratio,
/// made coprime to `count`.
fn spread(count: u32) -> impl Iterator<Item = u32> {
    let golden = (f64::from(count) * 0.618_033_988_75) as u32;
    let step = (golden.max(1)..).find(|step| gcd(*step, count) == 1).unwrap_or(1);
    (0..count).map(move |n| n * step % count)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A room with a given schedule, on the test's clock.
    struct Room {
        schedule: Schedule,
        clock: Rc<Cell<Instant>>,
        tick: Cell<u64>,
        late: Cell<Duration>,
        skipped: Cell<u64>,
        ends_at: u64,
    }

    impl Due for Room {
        fn run(&self) -> bool {
            if let Some(due) = self.schedule.due(self.clock.get(), self.tick.get()) {
                self.tick.set(due.tick);
                self.late.set(self.late.get().max(due.late));
                self.skipped.set(self.skipped.get() + due.skipped);
            }
            self.tick.get() < self.ends_at
        }
    }

    struct Thread {
        timetable: Timetable,
        clock: Rc<Cell<Instant>>,
        origin: Instant,
        rooms: Vec<Rc<Room>>,
    }

    impl Thread {
        fn new() -> Self {
            let origin = Instant::now();
            let clock = Rc::new(Cell::new(origin + Duration::from_secs(100)));
            Self { timetable: Timetable::default(), clock, origin, rooms: Vec::new() }
        }

        fn room(&mut self, tick_rate: u32, ends_at: u64) -> Rc<Room> {
            let schedule = self.timetable.schedule(self.origin, self.clock.get(), tick_rate);
            let room = Rc::new(Room {
                schedule,
                clock: self.clock.clone(),
                tick: Cell::new(0),
                late: Cell::default(),
                skipped: Cell::default(),
                ends_at,
            });
            let id = RoomId(self.rooms.len() as u64);
            self.timetable.add(&schedule, id, room.clone(), self.clock.get());
            self.rooms.push(room.clone());
            room
        }

        /// Sleeps from one beginning to the next, as the thread would. Returns the number of wake-ups.
        fn play(&self, time: Duration) -> usize {
            let (end, mut wakes) = (self.clock.get() + time, 0);
            while let Some(next) = self.timetable.next().filter(|next| *next <= end) {
                self.clock.set(next.max(self.clock.get()));
                self.timetable.run(self.clock.get());
                wakes += 1;
            }
            self.clock.set(end);
            wakes
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    // Promise 7: "Room tick *n* starts within 1 ms of its deadline".
    #[test]
    fn every_room_of_every_rate_ticks_at_its_deadlines() {
        let mut thread = Thread::new();
        for tick_rate in (1..=128).chain([20; 300]) {
            thread.room(tick_rate, u64::MAX);
        }
        thread.play(10 * SECOND);
        for room in &thread.rooms {
            let rate = room.schedule.tick_rate();
            assert_eq!(room.tick.get(), u64::from(rate) * 10, "at {rate} Hz");
            assert_eq!((room.late.get(), room.skipped.get()), (Duration::ZERO, 0), "at {rate} Hz");
        }
    }

    #[test]
    fn a_thousand_rooms_cost_a_wake_up_a_slot() {
        let mut thread = Thread::new();
        (0..1000).for_each(|_| drop(thread.room(20, u64::MAX)));
        let most = thread.timetable.slots.borrow().all.values().map(|slot| slot.rooms.len()).max();
        assert_eq!(most, Some(20));
        assert_eq!(thread.play(SECOND), 1000);
    }

    #[test]
    fn a_few_rooms_are_spread_over_the_interval() {
        let mut thread = Thread::new();
        for _ in 0..20 {
            thread.room(20, u64::MAX);
        }
        let mut phases: Vec<_> = thread.rooms.iter().map(|room| room.schedule.phase().0).collect();
        phases.sort();
        let closest = phases.windows(2).map(|pair| pair[1] - pair[0]).min();
        assert!(closest >= Some(Duration::from_millis(1)), "{closest:?}");
        let widest = phases.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest <= Some(Duration::from_millis(5)), "{widest:?}");
    }

    // Promise 7: "then it is skipped and counted, never queued."
    #[test]
    fn a_thread_that_slept_runs_each_room_once() {
        let mut thread = Thread::new();
        let rooms: Vec<_> = (0..50).map(|_| thread.room(20, u64::MAX)).collect();
        thread.play(SECOND);
        thread.clock.set(thread.clock.get() + 3 * SECOND);
        thread.timetable.run(thread.clock.get());
        for room in rooms {
            assert!((79..=80).contains(&room.tick.get()), "{}", room.tick.get());
            assert!((58..=60).contains(&room.skipped.get()), "{}", room.skipped.get());
        }
        assert!(thread.timetable.next() > Some(thread.clock.get()));
    }

    #[test]
    fn what_ends_or_is_removed_leaves_nothing_behind() {
        let mut thread = Thread::new();
        let ends = thread.room(20, 10);
        let removed = thread.room(20, u64::MAX);
        thread.play(SECOND);
        assert_eq!(ends.tick.get(), 10);
        thread.timetable.remove(&removed.schedule, RoomId(1));
        thread.play(SECOND);
        assert_eq!((removed.tick.get(), thread.timetable.next()), (20, None));
        assert!(thread.timetable.slots.borrow().all.is_empty());
        assert_eq!(Rc::strong_count(&removed), 2, "the test's own");
    }
}
