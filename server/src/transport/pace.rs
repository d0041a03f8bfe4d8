//! Does costly work in small pieces, so that it takes at most half of a thread's time.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Work shorter than this causes no pause.
const FREE: Duration = Duration::from_micros(100);

/// Lets one future of a thread work at a time, first come, first served, and pauses after each piece of work
/// for as long as it took.
///
/// For TLS handshakes: a signature takes a millisecond or less, but a stranger can ask for thousands at once.
/// All other clients would wait for them, and so would players, whose threads need the same cores.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    turn: Arc<Semaphore>,
}

impl Pace {
    /// For one thread.
    pub(super) fn new() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)) }
    }

    /// Runs a future that waits for its turn each time it is polled. `pauses`: whether the thread has other
    /// work to do.
    pub(super) async fn run<F: Future>(&self, pauses: impl Fn() -> bool, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            // Fails only if the semaphore is closed, which never happens.
            let turn = self.turn.clone().acquire_owned().await.ok();
            let start = Instant::now();
            let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
            let worked = start.elapsed();
            if worked > FREE && pauses() {
                actix_rt::spawn(async move {
                    actix_rt::time::sleep(worked).await;
                    drop(turn);
                });
            } else {
                drop(turn);
            }
            match polled {
                Poll::Ready(output) => return output,
                Poll::Pending => woken().await,
            }
        }
    }
}

/// Waits until the task is woken by whatever was polled before.
async fn woken() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, rc::Rc, thread};

    /// Works for 2 ms, twice.
    async fn work(done: Rc<Cell<u32>>) {
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(2));
            done.set(done.get() + 1);
            tokio::task::yield_now().await;
        }
    }

    #[actix::test]
    async fn others_have_the_thread_between_two_pieces_of_work() {
        let (pace, done) = (Pace::new(), Rc::new(Cell::new(0)));
        let workers: Vec<_> = (0..10)
            .map(|_| {
                let (pace, done) = (pace.clone(), done.clone());
                actix_rt::spawn(async move { pace.run(|| true, work(done)).await })
            })
            .collect();
        let mut seen = Vec::new();
        while done.get() < 20 {
            tokio::task::yield_now().await;
            seen.push(done.get());
        }
        let steps = seen.windows(2).map(|pair| pair[1] - pair[0]);
        assert_eq!(steps.max(), Some(1), "one piece at a time, and then whoever else is ready");
        for worker in workers {
            worker.await.unwrap();
        }
    }
}
