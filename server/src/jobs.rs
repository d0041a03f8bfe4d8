//! Work that games ask for and that would be too slow for a tick: see [`driftless_sim::job`].
//!
//! Handlers run on threads of their own, never on one of rooms or connections. Who waits is bounded: so many jobs of a room, so many of
//! all rooms; what comes beyond is refused at once. A job that is not answered by its deadline is answered with
//! [`JobError::TimedOut`], and its handler is dropped where it waits.

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

/// Longest reason of a job that failed, bytes. Longer ones are cut.
const MAX_REASON: usize = 256;
/// Default time from when a job was asked for to its answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Handlers that may block their thread, at a time.
const BLOCKING: usize = 16;

/// What a handler makes of a job. Whatever it fails with, the game gets as text.
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
    /// Of those that may block their thread. What they do goes on after their deadline, so what waits for them must not be theirs.
    blocking: Arc<Semaphore>,
}

type Handler = Arc<dyn Fn(Bytes, About) -> BoxFuture<'static, Result<Bytes, JobError>> + Send + Sync>;

/// Who asks for a job.
#[derive(Debug, Clone)]
pub struct About {
    /// Name of the room.
    pub room: Arc<str>,
    /// Its kind of game.
    pub kind: &'static str,
    /// Which of the room's jobs.
    pub id: JobId,
}

impl Jobs {
    /// Without a handler: all jobs are answered with [`JobError::NoHandler`].
    pub fn new() -> Self {
        Self { handlers: BTreeMap::new(), deadline: DEADLINE, blocking: Arc::new(Semaphore::new(BLOCKING)) }
    }

    /// Has `handler` do the jobs of a type. It must not block its thread: what does is for [`on_blocking`](Self::on_blocking).
    ///
    /// It runs once for each job, many at a time, and until its deadline at most; a panic is a failure. When the server stops, those
    /// that have begun have until their deadline, or until the server's time for its end is over.
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

    /// Has `handler` do the jobs of a type, on a thread that may be blocked: for databases and files. At most sixteen run at a time.
    /// After its deadline it runs on, and what it does still happens, but nobody hears of it.
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

    /// How long the answer to a job may take, from when it was asked for. Default 5 s.
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
