//! Work that is too slow for a tick: a database, a service, anything that waits.
//!
//! A game requests it with [`Step::ask`](crate::Step::ask); the server lets the handler of that name do it,
//! away from all rooms; the answer arrives in [`Simulation::answer`](crate::Simulation::answer) in a later
//! tick. The answer is recorded, so a replay needs no handler.
//!
//! Every job is answered once, if only with a [`JobError`], as long as its room exists. It is done at most
//! once: if the server dies or the time runs out, it is unknown how far the handler got, and the job is not
//! repeated. If a game asks again, the handler should detect that itself (a unique key, an update that may be
//! applied twice).

use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most jobs that a game can request in one tick. More are answered with [`JobError::Busy`].
pub const JOBS_A_TICK: u32 = 16;
/// Longest job, and longest answer, encoded, bytes. Longer ones [fail](JobError::Failed).
pub const MAX_JOB: usize = 64 * 1024;

/// Something to be done away from the room: the request, and the type of its answer.
///
/// ```
/// use driftless_sim::job::Job;
///
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct SaveScore {
///     #[prost(string, tag = "1")]
///     name: String,
///     #[prost(uint32, tag = "2")]
///     score: u32,
/// }
///
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct Rank {
///     #[prost(uint32, tag = "1")]
///     rank: u32,
/// }
///
/// impl Job for SaveScore {
///     const NAME: &'static str = "save_score";
///     type Answer = Rank;
/// }
/// ```
pub trait Job: Message + Default {
    /// The name by which the server finds the handler.
    const NAME: &'static str;
    /// The answer.
    type Answer: Message + Default;
}

/// Identifies a job within its room: the tick in which it was requested, and its index among that tick's
/// jobs, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    /// The tick.
    pub tick: u32,
    /// Its index among the tick's jobs.
    pub index: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tick, self.index)
    }
}

/// The answer to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The job.
    pub id: JobId,
    /// The job's name.
    pub job: String,
    /// The answer's message, encoded.
    pub result: Result<Bytes, JobError>,
}

impl Answer {
    /// The answer, if the job is of this type. One that cannot be decoded has [failed](JobError::Failed).
    pub fn of<J: Job>(&self) -> Option<Result<J::Answer, JobError>> {
        let decode = |bytes: &Bytes| {
            J::Answer::decode(&bytes[..])
                .map_err(|e| JobError::Failed(format!("the answer makes no sense: {e}")))
        };
        (self.job == J::NAME).then(|| self.result.as_ref().map_err(JobError::clone).and_then(decode))
    }
}

/// Why there is no answer to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JobError {
    /// The server has no handler: its program registers none with `Jobs::on`.
    #[error("the server has no handler for it")]
    NoHandler,
    /// Too many jobs are running or waiting already, of this room or in total. It was not started.
    #[error("too much is being done already")]
    Busy,
    /// It took too long. It is unknown how much of it was done.
    #[error("it took too long")]
    TimedOut,
    /// It failed, with the handler's reason.
    #[error("it failed: {0}")]
    Failed(String),
}

impl JobError {
    /// Name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            JobError::NoHandler => "no_handler",
            JobError::Busy => "busy",
            JobError::TimedOut => "timed_out",
            JobError::Failed(_) => "failed",
        }
    }
}
