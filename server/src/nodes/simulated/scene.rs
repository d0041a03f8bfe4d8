//! What all nodes and their Redis have in common.

use super::{post::Post, promises::Promises, story::Setting};
use crate::nodes::{ask::Incarnation, model::Time};
use fastrand::Rng;
use std::{
    fmt::{self, Write as _},
    time::{Duration, Instant},
};

pub(super) struct Scene {
    pub setting: Setting,
    pub origin: Instant,
    pub now: Time,
    pub dice: Rng,
    pub post: Post,
    pub promises: Promises,
    /// What the nodes are now.
    pub names: Vec<Incarnation>,
    /// Nothing fails any more.
    pub is_calm: bool,
    /// Until then, what is on its way to Redis, or back, is so for long.
    pub slow_until: Time,
    /// What has happened, in words, if that is told.
    pub tale: String,
    aloud: bool,
}

impl Scene {
    pub(super) fn new(seed: u64, setting: Setting, aloud: bool) -> Self {
        Self {
            setting,
            origin: Instant::now(),
            now: Time::ZERO,
            dice: Rng::with_seed(seed ^ 0x5eed),
            post: Post::default(),
            promises: Promises::default(),
            names: Vec::new(),
            is_calm: false,
            slow_until: Time::ZERO,
            tale: String::new(),
            aloud,
        }
    }

    /// At most so many milliseconds.
    pub(super) fn span(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.dice.u64(0..=most))
    }

    /// How long something takes to Redis, or back.
    pub(super) fn way(&mut self) -> Duration {
        self.span(if self.now < self.slow_until { 700 } else { 20 })
    }

    /// One of so many.
    pub(super) fn one_in(&mut self, many: u32) -> bool {
        self.dice.u32(..many) == 0
    }

    pub(super) fn tell(&mut self, what: fmt::Arguments<'_>) {
        if self.aloud {
            let _ = writeln!(self.tale, "{:>7.3} {what}", self.now.as_secs_f64());
        }
    }
}
