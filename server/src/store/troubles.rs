//! What of the store fails at present.

use crate::{health::Part, metrics::Metrics};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tracing::{error, info, warn};

/// What of the store fails at present, for the log, the metrics, and whoever asks how the server is.
#[derive(Debug)]
pub(super) struct Troubles {
    folder: PathBuf,
    metrics: Arc<Metrics>,
    health: Arc<Part>,
    present: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    /// Why, by what fails.
    failing: BTreeMap<Task, String>,
    /// A thread has failed.
    broken: bool,
    /// Why the next server could not begin, while nothing fails here.
    short: Option<String>,
}

/// Something that a store does again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Rooms in the database.
    Checkpoints,
    /// The next segment of the journal.
    Segments,
    /// The journal on the disk.
    Synchronisation,
    /// Whose access was revoked.
    Revoked,
}

impl Task {
    /// The name of the thread that does it.
    pub(super) fn thread(self) -> &'static str {
        match self {
            Task::Checkpoints => "checkpoints",
            Task::Segments => "segments",
            Task::Synchronisation => "journal",
            Task::Revoked => "revoked",
        }
    }

    /// In the metric.
    fn label(self) -> &'static str {
        match self {
            Task::Checkpoints => "checkpoint",
            Task::Segments | Task::Synchronisation => "journal",
            Task::Revoked => "revoked",
        }
    }

    fn failure(self) -> &'static str {
        match self {
            Task::Checkpoints => "checkpoints cannot be written",
            Task::Segments => "the journal cannot be continued",
            Task::Synchronisation => "the disk does not take the journal",
            Task::Revoked => "whose access was revoked cannot be written",
        }
    }
}

impl Troubles {
    pub(super) fn new(folder: &Path, metrics: Arc<Metrics>, health: Arc<Part>) -> Self {
        Self { folder: folder.to_owned(), metrics, health, present: Mutex::default() }
    }

    /// Something could not be written. The log says where, and what everybody can read does not.
    pub(super) fn fails(&self, task: Task, why: &io::Error) {
        self.metrics.store.failures.inc(task.label());
        let (mut present, failure) = (self.present.lock(), task.failure());
        if present.failing.insert(task, format!("{failure}: {why}")).is_none() {
            warn!(folder = %self.folder.display(), error = %why, "{failure}");
        }
        self.tell(&present);
    }

    /// It could be written.
    pub(super) fn is_well(&self, task: Task) {
        let mut present = self.present.lock();
        if present.failing.remove(&task).is_none() {
            return;
        }
        info!(folder = %self.folder.display(), "no longer: {}", task.failure());
        self.tell(&present);
    }

    /// There is so much space, and the next server needs so much.
    pub(super) fn space(&self, (free, needed): (u64, u64)) {
        const MIB: u64 = 1 << 20;
        let short = || {
            let (free, needed) = (free / MIB, needed.div_ceil(MIB));
            format!(
                "{free} MiB are free, and a server that follows this one needs {needed} MiB to begin: an upgrade or \
                 a restart would fail; make space"
            )
        };
        let mut present = self.present.lock();
        let short = (free < needed).then(short);
        if present.short.is_some() || short.is_some() {
            present.short = short;
            self.tell(&present);
        }
    }

    /// A thread has failed, and does nothing any more.
    pub(super) fn is_broken(&self, task: Task) {
        let line = format!("{}: a thread of the store has failed, which is a bug", task.failure());
        error!(folder = %self.folder.display(), "{line}");
        let mut present = self.present.lock();
        present.failing.insert(task, line);
        present.broken = true;
        self.tell(&present);
    }

    /// Whether something fails.
    pub(super) fn are_there(&self) -> bool {
        !self.present.lock().failing.is_empty()
    }

    /// The first of them.
    pub(super) fn first(&self) -> Option<String> {
        self.present.lock().failing.values().next().cloned()
    }

    fn tell(&self, Present { failing, broken, short }: &Present) {
        let failing: Vec<_> = failing.values().map(String::as_str).collect();
        let advice = if *broken { "restart the server" } else { "make space for it" };
        let lost = || format!("{}: rooms go on, but would not survive; {advice}", failing.join("; "));
        let lost = (!failing.is_empty()).then(lost);
        let all: Vec<_> = lost.into_iter().chain(short.clone()).collect();
        match all.is_empty() {
            true => self.health.is_well(),
            false => self.health.fails(all.join("; ")),
        }
    }
}
