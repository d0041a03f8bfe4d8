//! Who does the work of a store: threads, each of which does one thing, so that a disk that is slow for one
//! does not keep the others. Above all, rooms need the next segment of the journal while a checkpoint is
//! written.

use super::troubles::{Task, Troubles};
use crate::clock;
use parking_lot::{Condvar, Mutex};
use std::{
    convert::Infallible,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Longest time until a worker notices what there is to do.
const POLL: Duration = Duration::from_millis(20);
/// Time until another attempt after one that has failed.
const RETRY: Duration = Duration::from_secs(1);

/// Does what is due at a time; all of it, if that is the last.
type Work = Box<dyn FnMut(Instant, bool) -> io::Result<()> + Send>;

/// Something that a store does again and again.
pub(super) struct Chore {
    pub task: Task,
    work: Work,
    /// When it failed last, if it has not been done since.
    failed: Option<Instant>,
}

/// Who does the chores.
#[derive(Debug)]
pub(super) enum Workers {
    Threads {
        stop: Arc<Stop>,
        /// Nothing is sent: it is closed when all have ended.
        ended: Mutex<Receiver<Infallible>>,
    },
    /// Whoever has the store.
    Others(Mutex<Vec<Chore>>, Arc<Troubles>),
}

#[derive(Debug, Default)]
pub(super) struct Stop {
    asked: Mutex<bool>,
    wake: Condvar,
}

impl Chore {
    pub(super) fn new(
        task: Task,
        work: impl FnMut(Instant, bool) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self { task, work: Box::new(work), failed: None }
    }

    /// Does what is due. What has failed is tried again after a while.
    fn turn(&mut self, now: Instant, last: bool, troubles: &Troubles) {
        if self.failed.is_some_and(|failed| now.saturating_duration_since(failed) < RETRY) && !last {
            return;
        }
        match (self.work)(now, last) {
            Ok(()) if self.failed.take().is_some() => troubles.is_well(self.task),
            Ok(()) => {}
            Err(why) => {
                troubles.fails(self.task, &why);
                self.failed = Some(now);
            }
        }
    }

    /// Does it until asked to stop.
    fn run(&mut self, stop: &Stop, troubles: &Troubles) {
        loop {
            let last = stop.wait();
            self.turn(clock::now(), last, troubles);
            if last {
                return;
            }
        }
    }
}

impl fmt::Debug for Chore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chore")
            .field("task", &self.task)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Stop {
    /// Waits a while, or until asked. Whether it was.
    fn wait(&self) -> bool {
        let mut asked = self.asked.lock();
        if !*asked {
            self.wake.wait_for(&mut asked, POLL);
        }
        *asked
    }

    fn ask(&self) {
        *self.asked.lock() = true;
        self.wake.notify_all();
    }
}

impl Workers {
    /// A thread for each of these.
    ///
    /// # Errors
    /// The system gives none.
    pub(super) fn start(chores: Vec<Chore>, troubles: &Arc<Troubles>) -> io::Result<Self> {
        let (stop, (running, ended)) = (Arc::<Stop>::default(), channel());
        for mut chore in chores {
            let (its_stop, troubles, running) = (stop.clone(), troubles.clone(), running.clone());
            let name = chore.task.thread().to_owned();
            let run = move || {
                let running = running; // until the end
                if catch_unwind(AssertUnwindSafe(|| chore.run(&its_stop, &troubles))).is_err() {
                    troubles.is_broken(chore.task);
                }
                drop((chore, running));
            };
            thread::Builder::new().name(name).spawn(run).inspect_err(|_| stop.ask())?;
        }
        Ok(Self::Threads { stop, ended: Mutex::new(ended) })
    }

    /// Does what is due of a task, where no threads do.
    pub(super) fn turn(&self, task: Task, now: Instant) {
        if let Self::Others(chores, troubles) = self {
            let mut chores = chores.lock();
            chores.iter_mut().filter(|chore| chore.task == task).for_each(|c| c.turn(now, false, troubles));
        }
    }

    /// Has them do what is left, and waits for it so long. False: it takes longer.
    pub(super) fn finish(&self, most: Duration) -> bool {
        match self {
            Self::Threads { stop, ended } => {
                stop.ask();
                ended.lock().recv_timeout(most) != Err(RecvTimeoutError::Timeout)
            }
            Self::Others(chores, troubles) => {
                let mut chores = std::mem::take(&mut *chores.lock());
                chores.iter_mut().for_each(|chore| chore.turn(clock::now(), true, troubles));
                true
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Self::Threads { stop, .. } = self {
            stop.ask();
        }
    }
}
