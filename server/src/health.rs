//! Whether the server does what it promises, and if not, why.
//!
//! A [`Part`] of the server is well until it says what is wrong with it, and again when it says so. What is
//! judged here, once a second (`watch`): ticks, the system's files for new connections, the log. Others add
//! themselves with [`Health::part`]: what keeps rooms, for example.
//!
//! | who asks | path | red when |
//! | --- | --- | --- |
//! | whoever would kill the process | `/livez` | it does not answer |
//! | whoever sends clients | `/readyz` | the server drains, or a part is not well without which [nobody can come](Matters::ToNewcomers) |
//! | whoever is to be woken | `/healthz` | any part is not well, or the server drains |
//!
//! Late ticks make nobody unready: who plays here, and comes back after a lost connection, can only come back
//! here. And nothing but silence is a reason to kill all matches.

mod log;
mod name;
mod ticks;
mod watch;

pub use name::PartName;
pub(crate) use watch::watch;

use crate::metrics::Metrics;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Nobody judges any more if it was that long ago.
const STALE: Duration = Duration::from_secs(5);

/// The parts of the server, and what is wrong with them.
#[derive(Debug)]
pub struct Health {
    metrics: Arc<Metrics>,
    parts: Mutex<Vec<Arc<Part>>>,
    /// When the parts that are judged were judged last.
    judged: Mutex<Instant>,
}

/// What a part is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matters {
    /// Somebody should know.
    ToOperators,
    /// Without it, nobody who comes can be taken.
    ToNewcomers,
}

/// A part of the server that may fail while the process goes on.
#[derive(Debug)]
pub struct Part {
    name: PartName,
    matters: Matters,
    failing: Gauge,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    /// None: it is well.
    why: Option<String>,
}

/// A part as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartReport {
    /// Its name, which is also that of its metric.
    pub name: &'static str,
    /// What it is needed for.
    pub matters: Matters,
    /// How long it has been as it is.
    pub since: Duration,
    /// What is wrong and what to do. None: it is well.
    pub why: Option<String>,
}

impl Health {
    /// Nothing is wrong, as there are no parts yet.
    pub fn new(metrics: Arc<Metrics>, now: Instant) -> Arc<Self> {
        Arc::new(Self { metrics, parts: Mutex::default(), judged: Mutex::new(now) })
    }

    /// Adds a part, which is well. Its metric is `driftless_failing{part="NAME"}`.
    pub fn part(&self, name: PartName, matters: Matters) -> Arc<Part> {
        self.add(name, matters, None)
    }

    /// Adds a part that is not well yet, which nobody has to be told of.
    pub fn part_to_be(&self, name: PartName, matters: Matters, why: &str) -> Arc<Part> {
        self.add(name, matters, Some(why.to_owned()))
    }

    fn add(&self, name: PartName, matters: Matters, why: Option<String>) -> Arc<Part> {
        let failing = self.metrics.failing(name.text());
        failing.set(why.is_some().into());
        let state = State { since: Instant::now(), why };
        let part = Arc::new(Part { name, matters, failing, state: Mutex::new(state) });
        self.parts.lock().push(part.clone());
        part
    }

    /// Every part, in the order in which they were added.
    pub fn report(&self, now: Instant) -> Vec<PartReport> {
        let mut reports: Vec<_> = self.parts.lock().iter().map(|part| part.report(now)).collect();
        let silent = now.saturating_duration_since(*self.judged.lock());
        if silent > STALE {
            let why = format!("the main thread has judged nothing for {} s: it is stuck", silent.as_secs());
            reports.push(PartReport {
                name: "main_thread",
                matters: Matters::ToOperators,
                since: silent,
                why: Some(why),
            });
        }
        reports
    }

    /// The parts that are judged were judged.
    fn judged(&self, now: Instant) {
        *self.judged.lock() = now;
    }
}

impl Part {
    /// It is well.
    pub fn is_well(&self) {
        self.set(None);
    }

    /// It fails. `why` says what is wrong and what to do, in one line, without secrets.
    pub fn fails(&self, why: impl Into<String>) {
        self.set(Some(why.into()));
    }

    fn set(&self, why: Option<String>) {
        let mut state = self.state.lock();
        if state.why.is_some() != why.is_some() {
            state.since = Instant::now();
            match &why {
                Some(why) => tracing::warn!(part = self.name.text(), "not well: {why}"),
                None => tracing::info!(part = self.name.text(), "well again"),
            }
        }
        self.failing.set(why.is_some().into());
        state.why = why;
    }

    fn report(&self, now: Instant) -> PartReport {
        let state = self.state.lock();
        PartReport {
            name: self.name.text(),
            matters: self.matters,
            since: now.saturating_duration_since(state.since),
            why: state.why.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> (Arc<Health>, Instant) {
        let now = Instant::now();
        (Health::new(Arc::new(Metrics::new()), now), now)
    }

    #[test]
    fn a_part_says_what_is_wrong_and_that_it_is_well_again() {
        let (health, now) = health();
        let store = health.part(PartName::Store, Matters::ToNewcomers);
        let reason = |health: &Health| health.report(now).pop().and_then(|report| report.why);
        let metric = "driftless_failing{part=\"store\"}";
        assert_eq!(reason(&health), None);
        assert!(health.metrics.encode().contains(&format!("{metric} 0\n")), "known before it fails");
        store.fails("the disk is full");
        assert_eq!(reason(&health).as_deref(), Some("the disk is full"));
        assert!(health.metrics.encode().contains(&format!("{metric} 1\n")));
        store.is_well();
        assert_eq!(reason(&health), None);
        assert!(health.metrics.encode().contains(&format!("{metric} 0\n")));
    }

    #[test]
    fn what_is_no_longer_judged_is_not_well() {
        let (health, now) = health();
        assert_eq!(health.report(now + STALE), []);
        let stuck = health.report(now + STALE * 2);
        assert!(stuck[0].why.as_deref().is_some_and(|why| why.contains("10 s")), "{stuck:?}");
        health.judged(now + STALE * 2);
        assert_eq!(health.report(now + STALE * 2), []);
    }
}
