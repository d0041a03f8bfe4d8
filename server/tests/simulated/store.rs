//! What keeps the room of a story: a disk, a machine with a clock, and what of the room may be lost when one
//! of them fails.

use super::{
    disk::{Death, Simulated},
    network::Time,
    story::{Setting, What},
};
use driftless_server::{Footing, Task, clock::Machine, ground::durability::Durability, server::Interior};
use fastrand::Rng;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What the first machine's clock shows at the beginning.
const BEGINNING: Duration = Duration::from_secs(1_800_000_000);
/// Time between two looks of the store's threads.
const POLL: Duration = Duration::from_millis(20);
/// How long what is due may take, apart from what the disk does.
const SLACK: Duration = Duration::from_millis(600);
/// Time until the store tries again what has failed.
const RETRY: Duration = Duration::from_secs(1);
const TASKS: [Task; 3] = [Task::Checkpoints, Task::Segments, Task::Synchronisation];
const PAGE: usize = 4096;
/// A clock that is so far behind is seen to be.
const FAR_BEHIND: Duration = Duration::from_secs(3_600);

/// How much of what happened last may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// What happened in this time.
    Last(Duration),
    All,
}

/// What keeps the room.
pub struct Store {
    pub disk: Simulated,
    setting: Setting,
    /// Until when what a task does may be missing, and until when it waits for the disk.
    troubled_until: BTreeMap<Task, Time>,
    slow_until: BTreeMap<Task, Time>,
    looks_at: Time,
    boots: u32,
    /// When the machine was started.
    booted: Time,
    /// How far the machine's clock is ahead of the world's, which began at [`BEGINNING`].
    clock: Duration,
    /// How far it has been at most.
    furthest: Duration,
    /// How long the server stood still.
    pub stood: Duration,
    /// The newest tick that anybody was sent, by room.
    pub shown: BTreeMap<u64, u32>,
}

impl Loss {
    pub const NOTHING: Self = Self::Last(Duration::ZERO);

    /// Whether so much of it may be lost.
    pub fn covers(self, lost: Duration) -> bool {
        match self {
            Self::Last(most) => lost <= most,
            Self::All => true,
        }
    }
}

impl Store {
    pub fn new(seed: u64, setting: &Setting) -> Self {
        Self {
            disk: Simulated::new(seed),
            setting: *setting,
            troubled_until: BTreeMap::new(),
            slow_until: BTreeMap::new(),
            looks_at: Time::ZERO,
            boots: 0,
            booted: Time::ZERO,
            clock: BEGINNING,
            furthest: BEGINNING,
            stood: Duration::ZERO,
            shown: BTreeMap::new(),
        }
    }

    pub fn durability(&self) -> Durability {
        self.setting.durability
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.setting.durability != Durability::None
    }

    pub fn footing(&self) -> Footing {
        self.disk.footing(self.setting.segment * PAGE)
    }

    pub fn every(&self) -> Duration {
        Duration::from_millis(self.setting.checkpoints.into())
    }

    pub fn synchronised_every(&self) -> Duration {
        Duration::from_millis(self.setting.synchronisations.into())
    }

    /// The machine that a process is on which begins now.
    pub fn machine(&self, now: Time, at: Instant) -> Machine {
        let boot = format!("boot {}", self.boots).into();
        Machine { boot, at, shows: self.time_of_day(now), up: now - self.booted }
    }

    /// What its clock shows.
    pub fn time_of_day(&self, now: Time) -> Duration {
        self.clock + now
    }

    /// The clock is set.
    pub fn set_clock(&mut self, ahead: i32) {
        let by = Duration::from_millis(ahead.unsigned_abs().into());
        self.clock = if ahead < 0 { self.clock.saturating_sub(by) } else { self.clock + by };
        self.furthest = self.furthest.max(self.clock);
    }

    /// The machine dies. If its disk takes nothing and its clock is a little behind after that, nobody knows
    /// what was shown: then somebody has set it right.
    pub fn correct_clock(&mut self, now: Time) {
        if self.is_failing(now) && self.furthest - self.clock < FAR_BEHIND {
            self.clock = self.furthest;
        }
    }

    /// Something happens to the disk.
    pub fn happen(&mut self, what: What, now: Time) {
        let until = now + Duration::from_millis(what.lasts().into());
        match what {
            What::DiskIsFull { .. } => self.disk.fill(until),
            What::DiskFails { .. } => self.disk.fail(until),
            What::DiskIsSlow { task, .. } => {
                self.slow_until.entry(task).and_modify(|at| *at = (*at).max(until)).or_insert(until);
            }
            _ => return,
        }
        // What was missing meanwhile is in the checkpoint after the next attempt.
        let well = until + RETRY + self.every() + SLACK;
        for task in
            TASKS.into_iter().filter(|of| !matches!(what, What::DiskIsSlow { task, .. } if task != *of))
        {
            self.troubled_until.entry(task).and_modify(|at| *at = (*at).max(well)).or_insert(well);
        }
    }

    fn is_troubled(&self, task: Task, now: Time) -> bool {
        self.troubled_until.get(&task).is_some_and(|until| now < *until)
    }

    /// Whether the disk may fail what a server needs to begin.
    pub fn is_failing(&self, now: Time) -> bool {
        TASKS.into_iter().any(|task| self.is_troubled(task, now))
    }

    /// What may be lost when this happens now.
    pub fn loss(&self, death: Death, now: Time) -> Loss {
        let checkpoint = || match self.is_troubled(Task::Checkpoints, now) {
            true => Loss::All,
            false => Loss::Last(self.every() + self.stood + SLACK),
        };
        match (self.setting.durability, death) {
            (Durability::None, _) => Loss::All,
            (Durability::Journal, Death::Process) => match self.is_troubled(Task::Segments, now) {
                true => checkpoint(),
                false => Loss::NOTHING,
            },
            (Durability::Journal, Death::Machine) if !self.synchronised_every().is_zero() => {
                let tasks = [Task::Segments, Task::Synchronisation];
                match tasks.into_iter().any(|task| self.is_troubled(task, now)) {
                    true => checkpoint(),
                    false => Loss::Last(self.synchronised_every() + self.stood + SLACK).min(checkpoint()),
                }
            }
            (Durability::Checkpoint | Durability::Journal, _) => checkpoint(),
        }
    }

    /// The server's process dies, with its machine or not.
    pub fn die(&mut self, death: Death, server: &Interior, now: Time) {
        self.disk.begin_to_die();
        server.keep(Task::Checkpoints);
        self.disk.die(death);
        self.stood = Duration::ZERO;
        if death == Death::Machine {
            (self.boots, self.booted) = (self.boots + 1, now);
        }
        self.slow_until.clear();
    }

    /// When its threads look next.
    pub fn next(&self) -> Option<Time> {
        self.is_there().then_some(self.looks_at)
    }

    /// What its threads do.
    pub fn work(&mut self, now: Time, server: &Interior, dice: &mut Rng) {
        self.disk.pass(now);
        if !self.is_there() || now < self.looks_at {
            return;
        }
        self.looks_at = now + POLL;
        let mut tasks = TASKS;
        dice.shuffle(&mut tasks);
        for task in tasks.into_iter().filter(|task| self.slow_until.get(task).is_none_or(|at| *at <= now)) {
            server.keep(task);
        }
    }
}
