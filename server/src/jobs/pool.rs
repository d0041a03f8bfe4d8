//! Runs jobs.

use super::{About, BLOCKING, Handler, Jobs, failed};
use crate::{
    ground::shared::RoomShared,
    metrics::Metrics,
    room::{
        RoomAddr,
        jobs::{Answered, Asked, Work},
    },
};
use bytes::Bytes;
use driftless_sim::job::{Answer, JobError};
use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Jobs of all rooms that are running or waiting.
const MOST: usize = 1_024;
/// Jobs that run at a time; the others wait for their turn.
const AT_ONCE: usize = 64;
/// Threads for non-blocking handlers.
const THREADS: usize = 2;

/// The handlers, and the threads that they run on.
pub(crate) struct JobPool {
    handlers: BTreeMap<&'static str, Handler>,
    deadline: Duration,
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    /// None: there are no handlers.
    runtime: Option<Runtime>,
    metrics: Arc<Metrics>,
}

impl JobPool {
    /// Starts the threads, if there are handlers.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(crate) fn start(jobs: Jobs, metrics: Arc<Metrics>) -> io::Result<Arc<Self>> {
        let Jobs { handlers, deadline, .. } = jobs;
        let mut threads = Builder::new_multi_thread();
        threads.worker_threads(THREADS).max_blocking_threads(BLOCKING).thread_name("jobs").enable_all();
        let runtime = if handlers.is_empty() { None } else { Some(threads.build()?) };
        let (places, turns) = (Arc::new(Semaphore::new(MOST)), Arc::new(Semaphore::new(AT_ONCE)));
        Ok(Arc::new(Self { handlers, deadline, places, turns, runtime, metrics }))
    }

    /// Waits until all jobs that have begun are answered, for at most `most`.
    pub(crate) async fn finish(&self, most: Duration) {
        // An error would mean that it took too long.
        let _ = timeout(most, self.places.acquire_many(MOST as u32)).await;
    }

    fn try_begin(&self, asked: Asked, about: About, tell: RoomAddr) -> Result<(), JobError> {
        let Asked { id, job, payload } = asked;
        let payload = payload?;
        let (Some(handler), Some(runtime)) = (self.handlers.get(job), &self.runtime) else {
            return Err(JobError::NoHandler);
        };
        let place = self.places.clone().try_acquire_owned().map_err(|_| JobError::Busy)?;
        let (handler, turns) = (handler.clone(), self.turns.clone());
        let (deadline, metrics) = (self.deadline, self.metrics.clone());
        runtime.spawn(async move {
            let start = Instant::now();
            let result = within(deadline, turns, move || handler(payload, about)).await;
            metrics.rooms.job_duration.observe(start.elapsed());
            metrics.rooms.jobs_answered.inc(result.as_ref().err().map_or("done", JobError::name));
            tell.do_send(Answered(Answer { id, job: job.to_owned(), result }));
            drop::<OwnedSemaphorePermit>(place);
        });
        Ok(())
    }
}

/// Runs a handler when it is its turn, and no longer than its deadline. A panic counts as a failure.
async fn within<F>(
    deadline: Duration,
    turns: Arc<Semaphore>,
    handle: impl FnOnce() -> F + Send + 'static,
) -> Result<Bytes, JobError>
where
    F: Future<Output = Result<Bytes, JobError>> + Send + 'static,
{
    let mut handler = tokio::spawn(async move {
        // The semaphore is never closed.
        let _turn = turns.acquire_owned().await;
        handle().await
    });
    match timeout(deadline, &mut handler).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(failed(&format!("its handler: {error}"))),
        Err(_) => {
            handler.abort();
            Err(JobError::TimedOut)
        }
    }
}

impl Work for JobPool {
    fn begin(&self, asked: Asked, room: &RoomShared, tell: RoomAddr) -> Result<(), JobError> {
        self.metrics.rooms.jobs.inc();
        let about = About { room: room.name.clone(), kind: room.kind, id: asked.id };
        self.try_begin(asked, about, tell).inspect_err(|why| self.metrics.rooms.jobs_answered.inc(why.name()))
    }
}

impl Drop for JobPool {
    /// Handlers that are still running are not waited for.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
