//! What the leader and the threads of a run tell each other.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Where a run is. Only forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Step {
    /// Connect and play.
    #[default]
    Play,
    /// Measure.
    Measure,
    /// Stop measuring; take the last states.
    Finish,
    /// Give back the seats. A bot without one by now has failed.
    Leave,
    /// Like `Leave`, but the user ended the run early: a bot without a seat has not failed.
    Stopped,
    /// Hang up.
    End,
}

impl Step {
    const ALL: [Self; 6] = [Self::Play, Self::Measure, Self::Finish, Self::Leave, Self::Stopped, Self::End];
}

/// Shared by the leader, who sets the step, and the threads, who count.
#[derive(Debug, Default)]
pub struct Control {
    step: AtomicU8,
    playing: AtomicU64,
    gone: AtomicU64,
    states: AtomicU64,
    violations: AtomicU64,
    failed: AtomicBool,
}

/// What one thread has counted so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    /// Bots with a seat.
    pub playing: u64,
    /// Bots whose connection has ended.
    pub gone: u64,
    /// States applied.
    pub states: u64,
    /// What went wrong.
    pub violations: u64,
}

impl Control {
    /// Goes on to a step.
    pub fn set(&self, step: Step) {
        self.step.store(step as u8, Ordering::Release);
    }
    /// Where the run is.
    pub fn step(&self) -> Step {
        Step::ALL[usize::from(self.step.load(Ordering::Acquire)).min(Step::ALL.len() - 1)]
    }
    /// Takes a thread's count: as it is now, and as it was when last reported.
    pub fn count(&self, now: Count, before: Count) {
        let add = |counter: &AtomicU64, now: u64, before: u64| {
            counter.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        };
        add(&self.playing, now.playing, before.playing);
        add(&self.gone, now.gone, before.gone);
        add(&self.states, now.states, before.states);
        add(&self.violations, now.violations, before.violations);
    }
    /// A thread cannot go on.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
    /// Whether a thread cannot go on.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
    /// Bots with a seat.
    pub fn playing(&self) -> u64 {
        self.playing.load(Ordering::Relaxed)
    }
    /// Bots whose connection has ended.
    pub fn gone(&self) -> u64 {
        self.gone.load(Ordering::Relaxed)
    }
    /// States applied.
    pub fn states(&self) -> u64 {
        self.states.load(Ordering::Relaxed)
    }
    /// What went wrong.
    pub fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }
}
