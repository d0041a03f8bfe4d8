//! What all bots of one thread share, and when measuring begins and ends.

use crate::{
    check::{MotionRules, Violations},
    measure::Measure,
};
use bytes::BytesMut;
use driftless_client::Options;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What all bots of one thread share.
#[derive(Debug)]
pub struct Crowd {
    /// How to join each room.
    pub rooms: Vec<Options>,
    /// Kind of game.
    pub kind: String,
    /// Ticks per second.
    pub tick_rate: u32,
    /// What is measured.
    pub measure: Measure,
    /// What went wrong.
    pub violations: Violations,
    /// Servers end and connections break: bots come back.
    pub outages: bool,
    /// Connections that ended before their bot left, by close code.
    pub disconnects: BTreeMap<u16, u64>,
    /// Bots that were away and came back to their seats.
    pub resumed: u64,
    /// Those that came back and got new seats.
    pub rejoined: u64,
    /// How often bots were sent to another node.
    pub moved: u64,
    /// Bots that play now.
    pub playing: u64,
    /// Bots whose connection has ended.
    pub gone: u64,
    /// States applied since the start.
    pub states: u64,
    /// Ticks due while measuring, by room.
    pub due_by_room: Vec<u64>,
    /// Where positions are in the snapshots; known with the first welcome.
    pub motion: Option<MotionRules>,
    /// Memory for inputs.
    pub arena: BytesMut,
    stage: Stage,
}

/// What is being measured now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Before,
    Measuring { since: Instant },
    After { since: Instant, until: Instant },
}

impl Crowd {
    /// For bots in these rooms.
    pub fn new(rooms: Vec<Options>, kind: &str, tick_rate: u32, duration: Duration) -> Self {
        Self {
            due_by_room: vec![0; rooms.len()],
            rooms,
            kind: kind.to_owned(),
            tick_rate,
            measure: Measure::new(duration),
            violations: Violations::default(),
            outages: false,
            disconnects: BTreeMap::new(),
            resumed: 0,
            rejoined: 0,
            moved: 0,
            playing: 0,
            gone: 0,
            states: 0,
            stage: Stage::Before,
            motion: None,
            arena: BytesMut::with_capacity(64 * 1024),
        }
    }
    /// The measured time begins. Each bot needs its `begin`, too.
    pub fn begin(&mut self, now: Instant) {
        self.stage = Stage::Measuring { since: now };
        self.measure.timeline.begin(now);
    }
    /// Takes what was measured so far, and starts over.
    pub fn cut(&mut self, now: Instant, duration: Duration) -> Measure {
        let mut next = Measure::new(duration);
        next.timeline.begin(now);
        std::mem::replace(&mut self.measure, next)
    }
    /// The measured time ends. Each bot needs its `finish`, too. States of ticks already due may still
    /// arrive.
    pub fn finish(&mut self, now: Instant) {
        if let Stage::Measuring { since } = self.stage {
            self.stage = Stage::After { since, until: now };
        }
    }
    /// Whether it is measuring now.
    pub fn is_measuring(&self) -> bool {
        matches!(self.stage, Stage::Measuring { .. })
    }
    /// Whether what was due at this time counts.
    pub fn counts(&self, at: Instant) -> bool {
        match self.stage {
            Stage::Before => false,
            Stage::Measuring { since } => at >= since,
            Stage::After { since, until } => at >= since && at < until,
        }
    }
}
