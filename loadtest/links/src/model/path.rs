//! How a link's conditions change with time.

use super::Conditions;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// One of the two ways of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// A stretch of time with the same conditions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Phase {
    /// How long it lasts. None, or the last phase: to the end.
    pub duration: Option<Duration>,
    /// From the client to the server.
    pub up: Conditions,
    /// From the server to the client.
    pub down: Conditions,
}

/// The phases of all links of a run, and when the first one began. Until then the first phase's conditions
/// hold.
#[derive(Debug)]
pub struct Timeline {
    phases: Vec<Phase>,
    began: OnceLock<Duration>,
}

/// One way of one link.
#[derive(Debug, Clone)]
pub struct Path {
    timeline: Arc<Timeline>,
    way: Way,
}

impl Timeline {
    /// A timeline of these phases. Without any, a perfect wire.
    pub fn new(mut phases: Vec<Phase>) -> Self {
        if phases.is_empty() {
            phases.push(Phase::default());
        }
        Self { phases, began: OnceLock::new() }
    }
    /// The first phase begins. Later calls change nothing.
    pub fn begin(&self, now: Duration) {
        let _ = self.began.set(now);
    }
    /// The phase at this time.
    pub fn at(&self, now: Duration) -> &Phase {
        let mut left = self.began.get().map_or(Duration::ZERO, |&began| now.saturating_sub(began));
        let last = self.phases.len() - 1;
        for phase in &self.phases[..last] {
            match phase.duration {
                Some(duration) if left >= duration => left -= duration,
                _ => return phase,
            }
        }
        &self.phases[last]
    }
}

impl Path {
    /// One way of a link with this timeline.
    pub fn new(timeline: Arc<Timeline>, way: Way) -> Self {
        Self { timeline, way }
    }
    /// What this way is like at this time.
    pub fn at(&self, now: Duration) -> &Conditions {
        of(self.timeline.at(now), self.way)
    }
    /// What the other way is like.
    pub fn back(&self, now: Duration) -> &Conditions {
        of(self.timeline.at(now), self.way.opposite())
    }
}

impl Way {
    /// The other way.
    pub fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

fn of(phase: &Phase, way: Way) -> &Conditions {
    match way {
        Way::Up => &phase.up,
        Way::Down => &phase.down,
    }
}
