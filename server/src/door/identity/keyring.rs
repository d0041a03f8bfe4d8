//! The keys of all sources, and the threads that read them again: one for each source, so that one that does
//! not answer delays no other.

use super::{
    cache::{Cached, Pace, SOONEST},
    jwk::Skipped,
    keys::{Key, KeyError, Keys},
    source::{SourceError, read},
};
use crate::{
    ground::key_source::KeySource,
    health::{Health, Matters, Part, PartName},
};
use parking_lot::{Condvar, Mutex, RwLock};
use std::{
    io, mem,
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::timeout_at};
use tracing::{info, warn};

/// How long somebody waits for keys that are being read.
const PATIENCE: Duration = Duration::from_secs(6);

/// The keys that tokens are checked with.
#[derive(Debug)]
pub(crate) struct Keyring {
    secret: Option<Key>,
    sources: Vec<Arc<Source>>,
    pace: Pace,
    keys: RwLock<Arc<[Key]>>,
    /// Told of each read.
    read: watch::Sender<()>,
    /// Of files that were read before there was a log: which keys are not used. Until it is told.
    skipped: Mutex<Vec<(KeySource, Vec<Skipped>)>>,
}

/// A source, and what it has given.
#[derive(Debug)]
struct Source {
    at: KeySource,
    state: Mutex<State>,
    /// Its thread waits here.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    cached: Cached,
    /// It is to be read now.
    asked: bool,
    reading: bool,
    /// How often it was read, and everybody has what it gave.
    reads: u64,
    /// Nobody has the keyring any more.
    over: bool,
}

/// Somebody who waits for a key.
pub(crate) struct Asked<'a> {
    read: watch::Receiver<()>,
    until: Instant,
    /// The sources that are being read for it, and how often they had been before.
    waits_for: Vec<(&'a Source, u64)>,
    /// When the first of the others may be read.
    next_in: Option<Duration>,
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
        let (mut opened, mut skipped) = (Vec::new(), Vec::new());
        for at in sources {
            let mut cached = Cached::default();
            if !matches!(at, KeySource::Url(_)) {
                let keys = read(at).map_err(|error| (at.clone(), error))?;
                cached.take(now, Ok(keys.used));
                skipped.push((at.clone(), keys.skipped));
            }
            let state = Mutex::new(State { cached, ..State::default() });
            opened.push(Arc::new(Source { at: at.clone(), state, changed: Condvar::new() }));
        }
        let keyring = Self {
            secret,
            sources: opened,
            pace,
            keys: RwLock::new([].into()),
            read: watch::channel(()).0,
            skipped: Mutex::new(skipped),
        };
        *keyring.keys.write() = keyring.collect(now);
        Ok(Arc::new(keyring))
    }

    /// Starts the threads that read the sources again, and addresses for the first time, and that say in
    /// `health` which of them fail. `matters`: what it is needed for that there is any key.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(self: &Arc<Self>, health: &Health, matters: Matters) -> io::Result<()> {
        if self.sources.is_empty() {
            return Ok(());
        }
        for Source { at, .. } in
            self.sources.iter().map(|source| &**source).filter(|source| source.at.is_exposed())
        {
            warn!(source = %at, "keys come over plain HTTP: whoever can change them can be anybody here");
        }
        mem::take(&mut *self.skipped.lock()).iter().for_each(|(at, skipped)| tell_skipped(at, skipped));
        let judge = Arc::new(Judge {
            sources: health.part(PartName::TokenSources, Matters::ToOperators),
            keys: health.part(PartName::TokenKeys, matters),
        });
        for source in &self.sources {
            let (source, keyring, judge, pace) =
                (source.clone(), Arc::downgrade(self), judge.clone(), self.pace);
            let run = move || look_after(&source, &keyring, &judge, pace);
            thread::Builder::new().name("keys".to_owned()).spawn(run)?;
        }
        Ok(())
    }

    /// The keys.
    pub(crate) fn keys(&self) -> Arc<[Key]> {
        self.keys.read().clone()
    }

    /// Has all sources read again, however lately they were, and does not wait for it.
    pub(crate) fn read_all(&self) {
        self.sources.iter().for_each(|source| source.change(|state| state.asked = true));
    }

    /// Has the sources read again that may be, for a key that is not there.
    pub(crate) fn ask(&self) -> Asked<'_> {
        let now = Instant::now();
        let (read, until) = (self.read.subscribe(), now + PATIENCE);
        let mut asked = Asked { read, until, waits_for: Vec::new(), next_in: None };
        for source in &self.sources {
            match source.ask(now) {
                Ok(reads) => asked.waits_for.push((source, reads)),
                // What is in a file is known anyway when its operator says that it has changed.
                Err(wait) if matches!(source.at, KeySource::Url(_)) => asked.may_ask_in(wait),
                Err(_) => {}
            }
        }
        asked
    }

    /// A source has been read.
    fn publish(&self, judge: &Judge) {
        let now = Instant::now();
        // What comes later has seen more.
        let mut keys = self.keys.write();
        *keys = self.collect(now);
        judge.say(self, keys.is_empty(), now);
    }

    fn collect(&self, now: Instant) -> Arc<[Key]> {
        let mut keys: Vec<_> = self.secret.iter().cloned().collect();
        for source in &self.sources {
            keys.extend_from_slice(source.state.lock().cached.keys(now, self.pace));
        }
        keys.into()
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        self.sources.iter().for_each(|source| source.change(|state| state.over = true));
    }
}

impl Asked<'_> {
    /// Waits until one more source has been read. False: all have been, or it takes too long.
    pub(crate) async fn next(&mut self) -> bool {
        let waits_for = self.waits_for.len();
        if waits_for == 0 {
            return false;
        }
        loop {
            let mut failed = false;
            self.waits_for.retain(|(source, reads)| {
                let state = source.state.lock();
                failed |= state.reads != *reads && state.cached.has_failed();
                state.reads == *reads
            });
            if failed {
                self.may_ask_in(SOONEST);
            }
            if self.waits_for.len() < waits_for {
                return true;
            }
            if !timeout_at(self.until.into(), self.read.changed()).await.is_ok_and(|changed| changed.is_ok())
            {
                self.may_ask_in(SOONEST);
                return false;
            }
        }
    }

    /// When there may be other keys, if not all sources have said what they have.
    pub(crate) fn next_in(&self) -> Option<Duration> {
        self.next_in
    }

    fn may_ask_in(&mut self, wait: Duration) {
        self.next_in = Some(self.next_in.map_or(wait, |first| first.min(wait)));
    }
}

impl Source {
    /// Has it read for somebody, if it may be. Returns how often it was read before; or when it may be.
    fn ask(&self, now: Instant) -> Result<u64, Duration> {
        let mut state = self.state.lock();
        if !state.asked && !state.reading {
            state.cached.hurry(now)?;
            state.asked = true;
            self.changed.notify_one();
        }
        Ok(state.reads)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_one();
    }

    /// Waits until it is to be read. False: nobody wants it any more.
    fn wait(&self, pace: Pace) -> bool {
        let mut state = self.state.lock();
        while !state.over {
            let now = Instant::now();
            let due = state.cached.due(now, pace);
            if state.asked || due <= now {
                (state.asked, state.reading) = (false, true);
                return true;
            }
            self.changed.wait_until(&mut state, due);
        }
        false
    }

    fn take(&self, read: Result<Keys, SourceError>) {
        let (now, mut state) = (Instant::now(), self.state.lock());
        match read {
            // The issuer says so: only what cannot be read at all leaves the old keys good.
            Err(error @ SourceError::Keys(KeyError::NoneUsable(_))) => {
                state.cached.withdraw(now, error.to_string());
            }
            read => state.cached.take(now, read.map(|keys| keys.used).map_err(|error| error.to_string())),
        }
    }
}

/// Reads a source whenever it is to be, until nobody has the keyring any more.
fn look_after(source: &Source, keyring: &Weak<Keyring>, judge: &Judge, pace: Pace) {
    while source.wait(pace) {
        let (at, read) = (&source.at, read(&source.at));
        match &read {
            Ok(keys) => {
                info!(source = %at, keys = keys.used.len(), "read the keys of tokens");
                tell_skipped(at, &keys.skipped);
            }
            Err(error) => warn!(source = %at, %error, "cannot read the keys of tokens"),
        }
        source.take(read);
        let Some(keyring) = keyring.upgrade() else { return };
        keyring.publish(judge);
        // Whoever has waited for it finds its keys.
        source.change(|state| (state.reading, state.reads) = (false, state.reads + 1));
        keyring.read.send_replace(());
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
    fn say(&self, Keyring { sources, pace, .. }: &Keyring, no_key: bool, now: Instant) {
        let failing = sources.iter().filter_map(|source| {
            let state = source.state.lock();
            let (why, left) = state.cached.failure(now, *pace)?;
            let until = match left.as_secs() {
                0 => "tokens with its keys are refused".to_owned(),
                seconds @ ..120 => format!("its old keys are used for {seconds} s more"),
                seconds => format!("its old keys are used for {} min more", seconds / 60),
            };
            Some(format!("the keys of tokens at {} cannot be read ({why}): {until}", source.at))
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
