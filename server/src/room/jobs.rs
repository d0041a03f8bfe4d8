//! The jobs of a room's game: requested in one tick, answered in a later one.

use super::RoomAddr;
use crate::ground::shared::RoomShared;
use actix::Message;
use bytes::Bytes;
use driftless_sim::job::{Answer, JobError, JobId, MAX_JOB};
use std::mem;

/// Jobs of a room that may be in progress at a time. More are answered with [`JobError::Busy`].
const MOST: usize = 64;

/// The jobs of a room. Most rooms have none.
#[derive(Debug, Default)]
pub(super) struct RoomJobs(Option<Box<List>>);

#[derive(Debug, Default)]
struct List {
    /// The jobs in progress.
    pending: Vec<Pending>,
    /// The answers that the game gets in the next tick, in this order.
    answers: Vec<Answer>,
}

/// A job in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The job.
    pub id: JobId,
    /// Its name.
    pub job: &'static str,
}

/// A job that a game requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The job.
    pub id: JobId,
    /// Its name.
    pub job: &'static str,
    /// Its message, encoded; or why it must not be started.
    pub payload: Result<Bytes, JobError>,
}

/// Does jobs, on threads other than those of rooms.
pub trait Work: Send + Sync {
    /// Starts a job. The room gets its answer with [`Answered`].
    ///
    /// # Errors
    /// If it is not started: then nothing follows.
    fn begin(&self, asked: Asked, room: &RoomShared, tell: RoomAddr) -> Result<(), JobError>;
}

/// The answer to a job.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Answered(pub Answer);

impl RoomJobs {
    /// The game requests a job. One that must not be started is pending, too, until it is answered so.
    pub(super) fn ask(&mut self, id: JobId, job: &'static str, payload: Result<Bytes, JobError>) -> Asked {
        let pending = &mut self.0.get_or_insert_default().pending;
        let payload = payload.and_then(|payload| match payload.len() {
            long if long > MAX_JOB => {
                Err(JobError::Failed(format!("the job has {long} bytes, more than {MAX_JOB}")))
            }
            _ if pending.len() >= MOST => Err(JobError::Busy),
            _ => Ok(payload),
        });
        pending.push(Pending { id, job });
        Asked { id, job, payload }
    }

    /// A job was answered, if only because it was not started. An answer to an unknown job is ignored.
    pub(super) fn answered(&mut self, answer: Answer) {
        let Some(list) = &mut self.0 else { return };
        if let Some(at) = list.pending.iter().position(|pending| pending.id == answer.id) {
            list.pending.swap_remove(at);
            list.answers.push(answer);
        }
    }

    /// The game has had the answer to a job.
    pub(super) fn forget(&mut self, id: JobId) {
        let Some(list) = &mut self.0 else { return };
        list.pending.retain(|pending| pending.id != id);
        list.answers.retain(|answer| answer.id != id);
    }

    /// The answers that the game would get in the next tick, and failures for the jobs in progress: what it
    /// gets if the room goes on elsewhere.
    pub(super) fn given_up(&self, why: &str) -> Vec<Answer> {
        let Some(list) = &self.0 else { return Vec::new() };
        let given_up = |pending: &Pending| Answer {
            id: pending.id,
            job: pending.job.to_owned(),
            result: Err(JobError::Failed(why.to_owned())),
        };
        list.answers.iter().cloned().chain(list.pending.iter().map(given_up)).collect()
    }

    /// The answers that another process would have given the game in its next tick.
    pub(super) fn keep(&mut self, answers: Vec<Answer>) {
        if !answers.is_empty() {
            self.0.get_or_insert_default().answers = answers;
        }
    }

    /// The answers that the game gets now.
    pub(super) fn take_answers(&mut self) -> Vec<Answer> {
        self.0.as_mut().map(|list| mem::take(&mut list.answers)).unwrap_or_default()
    }
}
