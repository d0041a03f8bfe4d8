//! The keys of all sources, and the thread that reads them again.

use super::{
    cache::{Cached, Pace},
    jwk::Skipped,
    keys::{Key, KeyError},
    source::{SourceError, read},
};
use crate::{
    ground::key_source::KeySource,
    health::{Health, Matters, Part, PartName},
};
use parking_lot::{Mutex, RwLock};
use std::{
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

/// How long somebody waits for keys that are being read.
const PATIENCE: Duration = Duration::from_secs(6);

/// The keys that tokens are checked with.
#[derive(Debug)]
pub(crate) struct Keyring {
    keys: RwLock<Arc<[Key]>>,
    /// Asks the thread for keys that are not there. Holds one request, which serves all who ask meanwhile.
    ask: SyncSender<()>,
    /// Whether the next request is for all sources, however lately they were read.
    all: AtomicBool,
    /// Rises with each request that the thread has seen to.
    read: watch::Receiver<u64>,
    /// Until the thread takes it.
    reader: Mutex<Option<Reader>>,
}

/// What the thread has.
#[derive(Debug)]
struct Reader {
    secret: Option<Key>,
    sources: Vec<(KeySource, Cached)>,
    /// Of files that were read before there was a log: which keys are not used.
    skipped: Vec<(KeySource, Vec<Skipped>)>,
    pace: Pace,
    asked: Receiver<()>,
    done: watch::Sender<u64>,
}

impl Keyring {
    /// Reads files, so that what is wrong with them is known. `secret` is a key that needs no source.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub(crate) fn open(
        secret: Option<Key>,
        sources: &[KeySource],
        pace: Pace,
    ) -> Result<Arc<Self>, (KeySource, SourceError)> {
        let now = Instant::now();
        let (mut cached, mut skipped) = (Vec::new(), Vec::new());
        for source in sources {
            let mut cache = Cached::default();
            if !matches!(source, KeySource::Url(_)) {
                let keys = read(source).map_err(|error| (source.clone(), error))?;
                cache.take(now, Ok(keys.used));
                skipped.push((source.clone(), keys.skipped));
            }
            cached.push((source.clone(), cache));
        }
        let (ask, asked) = sync_channel(1);
        let (done, read) = watch::channel(0);
        let reader = Reader { secret, sources: cached, skipped, pace, asked, done };
        let keys = RwLock::new(reader.keys(now));
        let (all, reader) = (AtomicBool::new(false), Mutex::new(Some(reader)));
        Ok(Arc::new(Self { keys, ask, all, read, reader }))
    }

    /// Starts the thread that reads the sources again, and addresses for the first time, and that says in
    /// `health` which of them fail. `matters`: what it is needed for that there is any key.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(self: &Arc<Self>, health: &Health, matters: Matters) -> io::Result<()> {
        let Some(reader) = self.reader.lock().take().filter(|reader| !reader.sources.is_empty()) else {
            return Ok(());
        };
        for (source, _) in reader.sources.iter().filter(|(source, _)| source.is_exposed()) {
            warn!(%source, "keys come over plain HTTP: whoever can change them can be anybody here");
        }
        reader.skipped.iter().for_each(|(source, skipped)| tell_skipped(source, skipped));
        let judge = Judge {
            sources: health.part(PartName::TokenSources, Matters::ToOperators),
            keys: health.part(PartName::TokenKeys, matters),
        };
        let keyring = Arc::downgrade(self);
        let run = move || reader.run(&keyring, &judge);
        thread::Builder::new().name("keys".to_owned()).spawn(run).map(drop)
    }

    /// The keys.
    pub(crate) fn keys(&self) -> Arc<[Key]> {
        self.keys.read().clone()
    }

    /// Has all sources read again, and does not wait for it.
    pub(crate) fn read_all(&self) {
        self.all.store(true, Ordering::Release);
        let _ = self.ask.try_send(()); // a request that waits will do
    }

    /// Has the sources read again, if they have not been lately, and waits for it. True: there may be others
    /// now.
    pub(crate) async fn look_again(&self) -> bool {
        let mut read = self.read.clone();
        read.mark_unchanged();
        let _ = self.ask.try_send(()); // if somebody else has asked, this waits for the same
        timeout(PATIENCE, read.changed()).await.is_ok_and(|changed| changed.is_ok())
    }
}

impl Reader {
    /// Until nobody has the keyring any more.
    fn run(mut self, keyring: &Weak<Keyring>, judge: &Judge) {
        loop {
            let now = Instant::now();
            let due = self.sources.iter().map(|(_, cached)| cached.due(now, self.pace)).min();
            let wait = due.map_or(self.pace.refresh, |due| due.saturating_duration_since(now));
            let asked = match self.asked.recv_timeout(wait) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let Some(keyring) = keyring.upgrade() else { return };
            self.read(asked, keyring.all.swap(false, Ordering::Acquire));
            let now = Instant::now();
            let keys = self.keys(now);
            judge.say(&self, keys.is_empty(), now);
            *keyring.keys.write() = keys;
            self.done.send_modify(|times| *times += 1);
        }
    }

    /// Reads what is due, what may be read if it was asked for, or all.
    fn read(&mut self, asked: bool, all: bool) {
        for (source, cached) in &mut self.sources {
            let now = Instant::now();
            if cached.due(now, self.pace) > now && !all && !(asked && cached.may_hurry(now)) {
                continue;
            }
            let result = read(source);
            match &result {
                Ok(keys) => {
                    info!(%source, keys = keys.used.len(), "read the keys of tokens");
                    tell_skipped(source, &keys.skipped);
                }
                Err(error) => warn!(%source, %error, "cannot read the keys of tokens"),
            }
            let now = Instant::now();
            match result {
                // The issuer says so: only what cannot be read at all leaves the old keys good.
                Err(error @ SourceError::Keys(KeyError::NoneUsable(_))) => {
                    cached.withdraw(now, error.to_string())
                }
                read => cached.take(now, read.map(|keys| keys.used).map_err(|error| error.to_string())),
            }
        }
    }

    fn keys(&self, now: Instant) -> Arc<[Key]> {
        let of_sources = self.sources.iter().flat_map(|(_, cached)| cached.keys(now, self.pace));
        self.secret.iter().chain(of_sources).cloned().collect()
    }
}

fn tell_skipped(source: &KeySource, skipped: &[Skipped]) {
    for skipped in skipped {
        match skipped.is_fault() {
            true => warn!(%source, %skipped, "a key of tokens cannot be used"),
            false => info!(%source, %skipped, "a key is not for tokens"),
        }
    }
}

/// What the health of the server knows of keys.
struct Judge {
    /// Whether all sources can be read.
    sources: Arc<Part>,
    /// Whether there is any key.
    keys: Arc<Part>,
}

impl Judge {
    fn say(&self, Reader { sources, pace, .. }: &Reader, no_key: bool, now: Instant) {
        let failing = sources.iter().filter_map(|(source, cached)| {
            let (why, left) = cached.failure(now, *pace)?;
            let until = match left.as_secs() {
                0 => "tokens with its keys are refused".to_owned(),
                seconds @ ..120 => format!("its old keys are used for {seconds} s more"),
                seconds => format!("its old keys are used for {} min more", seconds / 60),
            };
            Some(format!("the keys of tokens at {source} cannot be read ({why}): {until}"))
        });
        let failing: Vec<_> = failing.collect();
        match failing.is_empty() {
            true => self.sources.is_well(),
            false => self.sources.fails(failing.join("; ")),
        }
        match no_key {
            true => self.keys.fails(format!("there is no key to check tokens with: {}", failing.join("; "))),
            false => self.keys.is_well(),
        }
    }
}
