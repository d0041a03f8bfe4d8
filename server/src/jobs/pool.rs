//! Where jobs are done.

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

/// Jobs of all rooms that are being done or wait for it.
const MOST: usize = 1_024;
/// Jobs that are being done at a time; the others wait for their turn.
const AT_ONCE: usize = 64;
/// Threads for those that do not block.
const THREADS: usize = 2;

/// The handlers, and the threads that they run on.
pub(crate) struct JobPool {
    handlers: BTreeMap<&'static str, Handler>,
    deadline: Duration,
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    /// None: there is no handler.
    runtime: Option<Runtime>,
    metrics: Arc<Metrics>,
}

impl JobPool {
    /// Starts the threads, if there is a handler.
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

    /// Waits until all jobs that were begun are answered, or for so long.
    pub(crate) async fn finish(&self, most: Duration) {
        // An error would say that it took too long.
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
            metrics.job_duration.observe(start.elapsed());
            metrics.jobs_answered.inc(result.as_ref().err().map_or("done", JobError::name));
            tell.do_send(Answered(Answer { id, job: job.to_owned(), result }));
            drop::<OwnedSemaphorePermit>(place);
        });
        Ok(())
    }
}

/// Runs a handler when it is its turn, and no longer than the deadline allows. If it panics, it has failed.
async fn within<F>(
    deadline: Duration,
    turns: Arc<Semaphore>,
    handle: impl FnOnce() -> F + Send + 'static,
) -> Result<Bytes, JobError>
where
    F: Future<Output = Result<Bytes, JobError>> + Send + 'static,
{
    let mut handler = tokio::spawn(async move {
        // Nobody closes it.
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
        self.metrics.jobs.inc();
        let about = About { room: room.name.clone(), kind: room.kind, id: asked.id };
        self.try_begin(asked, about, tell).inspect_err(|why| self.metrics.jobs_answered.inc(why.name()))
    }
}

impl Drop for JobPool {
    /// Those that still run are not waited for.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
