//! A room at a node.

use super::scene::Scene;
use crate::nodes::{
    depot::simulated::{Depot, Page, State},
    grant::Grant,
    model::Time,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Time between two ticks, milliseconds; and between two checkpoints.
const TICK: u128 = 20;
const CHECKPOINT: Duration = Duration::from_millis(800);

pub(super) struct Room {
    pub grant: Grant,
    pub page: Page,
    pub state: State,
    pub does: Does,
    checkpoint_at: Time,
}

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    Plays,
    /// It is yet to go on from what is stored.
    Restores,
    /// It stands still, and another node is to have it. Redis had forgotten so often before.
    Stands {
        forgets: u32,
    },
}

/// What of it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    None,
    Checkpoint,
    Journal,
}

/// By its name.
pub(super) fn durability(room: &str) -> Durability {
    match room {
        "a" | "b" | "c" | "d" => Durability::Journal,
        "e" | "f" => Durability::Checkpoint,
        _ => Durability::None,
    }
}

impl Room {
    pub(super) fn new(name: &Arc<str>, number: u64, grant: Grant, state: State, does: Does) -> Self {
        let page = Page::new(name, number, &grant);
        Self { grant, page, state, does, checkpoint_at: Time::ZERO }
    }

    /// It may be time for its next tick.
    pub(super) fn play(&mut self, scene: &mut Scene, name: &str, now: Instant, depot: &Depot) {
        if !scene.now.as_millis().is_multiple_of(TICK) {
            return;
        }
        self.state.progress += 1;
        scene.promises.published(name, self.state);
        let durability = durability(name);
        if durability == Durability::None {
            return;
        }
        if durability == Durability::Journal {
            depot.append(&self.page, self.state);
        }
        if scene.now >= self.checkpoint_at || self.page.wants_checkpoint() {
            self.checkpoint_at = scene.now + CHECKPOINT;
            depot.put(&self.page, self.state, now);
        }
    }
}
