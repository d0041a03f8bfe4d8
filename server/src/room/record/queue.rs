//! What waits for the recording thread: bounded in bytes, and never a reason for a room to wait.

use crate::ground::id::RoomId;
use bytes::Bytes;
use driftless_sim::{
    game::GameKind,
    replay::{Action, EndReason, RecordingHeader, TickRecord},
};
use parking_lot::{Condvar, Mutex};
use std::{
    mem,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

/// Bytes of ticks that may wait while as many are being written. A room whose tick does not fit stops
/// recording.
const MOST: usize = 32 << 20;
/// With this many bytes, the thread is woken early.
const MANY: usize = MOST / 8;

/// Jobs in the order in which rooms gave them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: Vec<Job>,
    bytes: usize,
    closed: bool,
}

/// What the thread has to do for a room.
#[derive(Debug)]
pub(super) enum Job {
    /// Begin its recording. `ended` is set if it ends before the room does.
    Open { room: RoomId, header: RecordingHeader, kind: GameKind, ended: Arc<AtomicBool> },
    /// Record a tick.
    Tick { room: RoomId, tick: TickRecord },
    /// End its recording.
    End { room: RoomId, reason: EndReason, unfinished: Option<TickRecord> },
}

/// Why a tick was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotRecorded {
    /// Too much waits.
    Behind,
    /// Nothing is written any more.
    Closed,
}

impl Queue {
    /// Adds a job other than a tick: there are two of them in a room's life. False: nothing is written any
    /// more.
    pub(super) fn push(&self, job: Job) -> bool {
        let mut waiting = self.waiting.lock();
        if !waiting.closed {
            waiting.jobs.push(job);
        }
        !waiting.closed
    }

    /// Adds a tick.
    pub(super) fn push_tick(&self, room: RoomId, tick: TickRecord) -> Result<(), NotRecorded> {
        let weight = weight(&tick);
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(NotRecorded::Closed);
        }
        // A tick too large for any queue is taken when nothing else waits.
        if waiting.bytes > 0 && waiting.bytes.saturating_add(weight) > MOST {
            return Err(NotRecorded::Behind);
        }
        let before = waiting.bytes;
        waiting.bytes += weight;
        waiting.jobs.push(Job::Tick { room, tick });
        if before < MANY && waiting.bytes >= MANY {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Moves all jobs into `jobs`, which is empty, once much waits or `patience` is over. False: no more will
    /// come.
    pub(super) fn take(&self, jobs: &mut Vec<Job>, patience: Duration) -> bool {
        let mut waiting = self.waiting.lock();
        if !waiting.closed && waiting.bytes < MANY {
            self.wake.wait_for(&mut waiting, patience);
        }
        mem::swap(&mut waiting.jobs, jobs);
        waiting.bytes = 0;
        !waiting.closed
    }

    /// Takes no more jobs.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.wake.notify_one();
    }
}

/// Bytes of memory that a tick takes; it never takes more in a file.
pub(super) fn weight(tick: &TickRecord) -> usize {
    const EACH: usize = 64;
    let actions = tick.actions.iter().map(|action| match action {
        Action::Command { payload, .. } => payload.len(),
        Action::User { user: name, .. } | Action::Join { name, .. } | Action::JoinNpc { name, .. } => {
            name.len()
        }
        Action::Answer(answer) => EACH + answer.job.len() + answer.result.as_ref().map_or(0, Bytes::len),
        Action::Leave { .. } | Action::Away { .. } | Action::Back { .. } => 0,
    });
    let inputs = tick.inputs.iter().map(|input| input.input.len());
    2 * EACH + actions.chain(inputs).map(|bytes| EACH + bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_sim::PlayerInput;

    fn tick(bytes: usize) -> TickRecord {
        TickRecord { inputs: vec![PlayerInput::new(1, vec![0; bytes].into())], ..TickRecord::default() }
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_an_end_always_gets_through() {
        let queue = Queue::default();
        let mut taken = 0;
        while queue.push_tick(RoomId(1), tick(1 << 20)).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, MOST / (1 << 20) - 1);
        assert_eq!(queue.push_tick(RoomId(1), tick(1 << 20)), Err(NotRecorded::Behind));
        assert!(queue.push(Job::End { room: RoomId(1), reason: EndReason::Behind, unfinished: None }));
        let mut jobs = Vec::new();
        assert!(queue.take(&mut jobs, Duration::ZERO));
        assert!(matches!(jobs.last(), Some(Job::End { .. })), "{}", jobs.len());
        assert_eq!(queue.push_tick(RoomId(1), tick(MOST)), Ok(()), "nothing waits any more");
        queue.close();
        assert_eq!(queue.push_tick(RoomId(1), tick(1)), Err(NotRecorded::Closed));
    }
}
