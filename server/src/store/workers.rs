//! The threads of a store. Each does one thing, so that a disk that is slow for one does not keep the others:
//! above all, rooms need the next segment of the journal while a checkpoint is written.

use super::troubles::{Task, Troubles};
use parking_lot::{Condvar, Mutex};
use std::{
    convert::Infallible,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Longest time until a worker notices what there is to do.
const POLL: Duration = Duration::from_millis(20);
/// Time until another attempt after one that has failed.
const RETRY: Duration = Duration::from_secs(1);

/// The threads.
#[derive(Debug)]
pub(super) struct Workers {
    stop: Arc<Stop>,
    /// Nothing is sent: it is closed when all have ended.
    ended: Mutex<Receiver<Infallible>>,
}

/// Starts them.
pub(super) struct Starting {
    stop: Arc<Stop>,
    troubles: Arc<Troubles>,
    running: Sender<Infallible>,
    ended: Receiver<Infallible>,
}

#[derive(Debug, Default)]
struct Stop {
    asked: Mutex<bool>,
    wake: Condvar,
}

impl Starting {
    pub(super) fn new(troubles: Arc<Troubles>) -> Self {
        let (running, ended) = channel();
        Self { stop: Arc::default(), troubles, running, ended }
    }

    /// Starts one. `work` does what is due at a time; all of it, if that is the last.
    pub(super) fn start(
        &self,
        name: &str,
        task: Task,
        mut work: impl FnMut(Instant, bool) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let (stop, troubles, running) = (self.stop.clone(), self.troubles.clone(), self.running.clone());
        let run = move || {
            let running = running; // until the end
            let worked = catch_unwind(AssertUnwindSafe(|| stop.run(&troubles, task, &mut work)));
            if worked.is_err() {
                troubles.is_broken(task);
            }
            drop((work, running));
        };
        thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
    }

    /// All are started.
    pub(super) fn end(self) -> Workers {
        Workers { stop: self.stop, ended: Mutex::new(self.ended) }
    }
}

impl Stop {
    fn run(&self, troubles: &Troubles, task: Task, work: &mut impl FnMut(Instant, bool) -> io::Result<()>) {
        let mut failed: Option<Instant> = None;
        loop {
            let last = {
                let mut asked = self.asked.lock();
                if !*asked {
                    self.wake.wait_for(&mut asked, POLL);
                }
                *asked
            };
            let now = Instant::now();
            if failed.is_some_and(|failed| now - failed < RETRY) && !last {
                continue;
            }
            match work(now, last) {
                Ok(()) if failed.take().is_some() => troubles.is_well(task),
                Ok(()) => {}
                Err(why) => {
                    troubles.fails(task, &why);
                    failed = Some(now);
                }
            }
            if last {
                return;
            }
        }
    }
}

impl Workers {
    /// Has them do what is left, and waits for it so long. False: it takes longer.
    pub(super) fn finish(&self, most: Duration) -> bool {
        *self.stop.asked.lock() = true;
        self.stop.wake.notify_all();
        self.ended.lock().recv_timeout(most) != Err(RecvTimeoutError::Timeout)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        *self.stop.asked.lock() = true;
        self.stop.wake.notify_all();
    }
}
