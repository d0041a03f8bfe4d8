//! Work that is too slow for a tick: a database, a service, anything that waits.
//!
//! A game asks with [`Step::ask`](crate::Step::ask); the server has a handler of the job's name do it, away from all rooms; the answer
//! comes back by [`Simulation::answer`](crate::Simulation::answer) in a later tick. It is recorded, so that a replay needs no handler.
//!
//! Every job is answered once, if only by a [`JobError`], as long as its room is there. It is done at most once: when the server dies or
//! the time is over, nobody knows how far a handler came, and it is not done again. A game that asks again should have the handler
//! find out by itself (a key that is unique, an update that may come twice).

use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most jobs that are done for what a game asks in one tick. More are answered with [`JobError::Busy`].
pub const JOBS_A_TICK: u32 = 16;
/// Longest job, and longest answer, bytes encoded. Longer ones have [failed](JobError::Failed).
pub const MAX_JOB: usize = 64 * 1024;

/// Something to be done away from the room: what to do, and what comes back.
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
    /// What the server's handler is found by.
    const NAME: &'static str;
    /// What comes back.
    type Answer: Message + Default;
}

/// Names a job within its room: the tick in which it was asked, and which of that tick's it is, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    /// The tick.
    pub tick: u32,
    /// Which of its jobs.
    pub index: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tick, self.index)
    }
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Of which.
    pub id: JobId,
    /// The job's name.
    pub job: String,
    /// The answer's message, encoded.
    pub result: Result<Bytes, JobError>,
}

impl Answer {
    /// The answer, if it is to a job of this type. One that cannot be read has [failed](JobError::Failed).
    pub fn of<J: Job>(&self) -> Option<Result<J::Answer, JobError>> {
        let decode = |bytes: &Bytes| {
            J::Answer::decode(&bytes[..])
                .map_err(|e| JobError::Failed(format!("the answer makes no sense: {e}")))
        };
        (self.job == J::NAME).then(|| self.result.as_ref().map_err(JobError::clone).and_then(decode))
    }
}

/// Why there is no answer to a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The server has nobody for it: its program names no handler with `Jobs::on`.
    #[error("the server has no handler for it")]
    NoHandler,
    /// Too much is being done already, for this room or for all. It was not begun.
    #[error("too much is being done already")]
    Busy,
    /// It took too long. What was done of it is not known.
    #[error("it took too long")]
    TimedOut,
    /// In the handler's words, why it failed.
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
