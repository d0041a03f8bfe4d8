//! Work that games request because it would be too slow for a tick: see [`driftless_sim::job`].
//!
//! Handlers run on threads of their own, never on a thread of rooms or connections. The number of waiting
//! jobs is bounded, per room and in total; jobs beyond that are refused at once. A job that is not answered
//! by its deadline is answered with [`JobError::TimedOut`], and its handler is dropped at its next await.

mod pool;

pub(crate) use pool::JobPool;

use bytes::Bytes;
use driftless_sim::{
    Job, JobId,
    job::{JobError, MAX_JOB},
};
use futures_util::future::BoxFuture;
use prost::Message as _;
use std::{collections::BTreeMap, error::Error, fmt, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Longest reason of a failed job, bytes. Longer ones are truncated.
const MAX_REASON: usize = 256;
/// Default time from the request of a job to its answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Blocking handlers that may run at a time.
const BLOCKING: usize = 16;

/// The result of a handler. An error reaches the game as text.
pub type Done<J> = Result<<J as Job>::Answer, Box<dyn Error + Send + Sync>>;

/// The handlers of a server, by the names of their jobs.
///
/// ```
/// # #[derive(Clone, PartialEq, prost::Message)]
/// # struct SaveScore { #[prost(uint32, tag = "1")] score: u32 }
/// # #[derive(Clone, PartialEq, prost::Message)]
/// # struct Rank { #[prost(uint32, tag = "1")] rank: u32 }
/// # impl driftless_sim::Job for SaveScore {
/// #     const NAME: &'static str = "save_score";
/// #     type Answer = Rank;
/// # }
/// use driftless_server::jobs::Jobs;
///
/// let jobs = Jobs::new().on(async |job: SaveScore, about| {
///     println!("{} asks in {}", about.room, about.id);
///     Ok(Rank { rank: 1_000 - job.score })
/// });
/// # let _ = jobs;
/// ```
#[must_use = "to be given to a server"]
#[derive(Clone)]
pub struct Jobs {
    handlers: BTreeMap<&'static str, Handler>,
    deadline: Duration,
    /// For blocking handlers. They continue after their deadline, so the turns they hold must be their own.
    blocking: Arc<Semaphore>,
}

type Handler = Arc<dyn Fn(Bytes, About) -> BoxFuture<'static, Result<Bytes, JobError>> + Send + Sync>;

/// Where a job comes from.
#[derive(Debug, Clone)]
pub struct About {
    /// Name of the room.
    pub room: Arc<str>,
    /// Its kind of game.
    pub kind: &'static str,
    /// The job within the room.
    pub id: JobId,
}

impl Jobs {
    /// Without handlers: all jobs are answered with [`JobError::NoHandler`].
    pub fn new() -> Self {
        Self { handlers: BTreeMap::new(), deadline: DEADLINE, blocking: Arc::new(Semaphore::new(BLOCKING)) }
    }

    /// Lets `handler` do the jobs of a type. It must not block its thread: for that there is
    /// [`on_blocking`](Self::on_blocking).
    ///
    /// It runs once for each job, many at a time, and until its deadline at most; a panic counts as a
    /// failure. When the server stops, handlers that have begun have until their deadline, or until the
    /// server's time limit for stopping.
    pub fn on<J, F, Fut>(mut self, handler: F) -> Self
    where
        J: Job + 'static,
        F: Fn(J, About) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Done<J>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handler: Handler = Arc::new(move |job, about| {
            let handler = handler.clone();
            Box::pin(async move {
                let job = J::decode(job).map_err(|e| failed(&e))?;
                encoded::<J>(handler(job, about).await)
            })
        });
        self.handlers.insert(J::NAME, handler);
        self
    }

    /// Lets `handler` do the jobs of a type on a thread that may be blocked, for databases and files. At most
    /// sixteen run at a time. After its deadline it continues, and what it does still takes effect, but its
    /// answer is lost.
    pub fn on_blocking<J, F>(self, handler: F) -> Self
    where
        J: Job + 'static,
        F: Fn(J, About) -> Done<J> + Send + Sync + 'static,
    {
        let (handler, turns) = (Arc::new(handler), self.blocking.clone());
        self.on(move |job: J, about| {
            let (handler, turns) = (handler.clone(), turns.clone());
            async move {
                let turn = turns.acquire_owned().await?;
                let work = move || {
                    let _turn = turn;
                    handler(job, about)
                };
                tokio::task::spawn_blocking(work).await?
            }
        })
    }

    /// How long the answer to a job may take from its request. Default: 5 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

impl Default for Jobs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.handlers.keys()).finish()
    }
}

fn encoded<J: Job>(done: Done<J>) -> Result<Bytes, JobError> {
    let answer = done.map_err(|e| failed(&*e))?.encode_to_vec();
    if answer.len() > MAX_JOB {
        return Err(failed(&format!("the answer has {} bytes, more than {MAX_JOB}", answer.len())));
    }
    Ok(answer.into())
}

fn failed(why: &(impl fmt::Display + ?Sized)) -> JobError {
    let mut why = why.to_string();
    why.truncate(why.floor_char_boundary(MAX_REASON));
    JobError::Failed(why)
}
