//! The producer of the events.

use super::{Feed, Topic, sample::Sampler};
use crate::{
    clock::{self, Clock},
    health::Health,
    metrics::Metrics,
    registry::Registry,
};
use actix_rt::time::interval;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::MissedTickBehavior;

/// How long a change of presence may wait for others.
const FLUSH: Duration = Duration::from_millis(100);
/// Flushes per sample of the figures, which is one per second.
const FLUSHES_A_SAMPLE: u32 = 10;

/// Where the producer gets its data.
pub struct Watched {
    /// The server's clock.
    pub clock: Clock,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// The rooms.
    pub registry: Arc<Registry>,
    /// What is wrong.
    pub health: Arc<Health>,
}

/// Produces events for as long as somebody holds the feed.
pub async fn produce(feed: Weak<Feed>, watched: Watched) {
    let Watched { clock, metrics, registry, health } = watched;
    // Among nodes, the server's clock has not begun with the server.
    let (mut sampler, started) = (Sampler::new(), clock::now());
    let mut flushes = interval(FLUSH);
    // After a pause of the process, one event is as good as many.
    flushes.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for n in (0..FLUSHES_A_SAMPLE).cycle() {
        flushes.tick().await;
        let Some(feed) = feed.upgrade() else { return };
        feed.flush();
        if n == 0 {
            let now = clock.now();
            feed.push(
                Topic::Server,
                &sampler.server(
                    clock.unix_ms(now),
                    clock::now() - started,
                    &metrics,
                    registry.drain_state(),
                    &health,
                ),
            );
            if feed.readers() > 0 {
                feed.push(Topic::Rooms, &sampler.rooms(&registry));
            }
        }
    }
}
