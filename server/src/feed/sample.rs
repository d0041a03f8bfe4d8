//! The figures of one second.

use crate::{
    ground::{
        drain::{Drain, Step},
        id::RoomId,
        shared::RoomShared,
        transport_kind::TransportKind,
    },
    health::Health,
    metrics::{DurationHistogram, Metrics, ProcessCollector, TransportMetrics},
    registry::Registry,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Most rooms in one event: those with the most players.
const ROOMS: usize = 100;

/// Figures of the whole server. Counters are sent as totals, as in `/metrics`, so that a reader that missed
/// some still computes correct rates.
#[derive(Debug, Serialize)]
pub(super) struct ServerSample {
    at_unix_ms: u64,
    uptime_ms: u64,
    draining: bool,
    /// How far a drain is.
    drain: Step,
    /// The longest time that this still takes.
    drain_left_ms: Option<u64>,
    /// What is wrong, by part.
    failing: BTreeMap<&'static str, String>,
    rooms: i64,
    players: i64,
    spectators: i64,
    connections: BTreeMap<&'static str, i64>,
    received_bytes: u64,
    sent_bytes: u64,
    received_messages: u64,
    sent_messages: u64,
    inputs: u64,
    commands: u64,
    events: u64,
    states_sent: u64,
    stale_states_dropped: u64,
    deltas_encoded: u64,
    deltas_shared: u64,
    ticks: u64,
    ticks_skipped: u64,
    /// Since the previous sample.
    tick_duration: Quantiles,
    /// Since the previous sample.
    tick_lateness: Quantiles,
    /// Since the previous sample: until Redis has answered. None: there are no other nodes.
    redis: Option<Quantiles>,
    cpu_seconds: Option<f64>,
    resident_bytes: Option<u64>,
}

/// Quantiles, as the upper bounds of the histogram's buckets in which they lie, microseconds. None: nothing
/// was measured, or the quantile is above all bounds.
#[derive(Debug, Serialize)]
struct Quantiles {
    p50_us: Option<f64>,
    p99_us: Option<f64>,
}

/// Figures of the rooms.
#[derive(Debug, Serialize)]
pub(super) struct RoomsSample {
    /// Number of rooms; `rooms` lists at most a hundred.
    total: usize,
    rooms: Vec<RoomSample>,
}

#[derive(Debug, Serialize)]
struct RoomSample {
    name: Arc<str>,
    kind: &'static str,
    tick_rate: u32,
    tick: u32,
    players: u32,
    npcs: u32,
    connected: u32,
    max_players: u32,
    spectators: u32,
    joins_closed: bool,
    /// What its game shows, by key.
    info: BTreeMap<String, String>,
    ticks_skipped: u64,
    sent_bytes: u64,
    stale_states_dropped: u64,
    /// Since the previous sample: from the start of a tick to the end of its publishing.
    tick_duration: MeanAndMax,
    /// Since the previous sample: from the deadline of a tick to its start.
    tick_lateness: MeanAndMax,
}

#[derive(Debug, Serialize)]
struct MeanAndMax {
    mean_us: f64,
    max_us: f64,
}

/// Takes samples, and remembers the previous ones.
pub(super) struct Sampler {
    process: ProcessCollector,
    durations: Vec<u64>,
    lateness: Vec<u64>,
    redis: Vec<u64>,
    rooms: HashMap<RoomId, Before>,
}

#[derive(Clone, Copy, Default)]
struct Before {
    ticks: u64,
    busy_ns: u64,
    late_ns: u64,
}

impl Sampler {
    pub(super) fn new() -> Self {
        Self {
            process: ProcessCollector::new(),
            durations: Vec::new(),
            lateness: Vec::new(),
            redis: Vec::new(),
            rooms: HashMap::new(),
        }
    }

    pub(super) fn server(
        &mut self,
        at_unix_ms: u64,
        uptime: Duration,
        metrics: &Metrics,
        drain: &Drain,
        health: &Health,
    ) -> ServerSample {
        let transports = TransportKind::ALL.map(|kind| (kind, metrics.transport(kind)));
        let sum = |count: fn(&TransportMetrics) -> u64| {
            transports.iter().map(|(_, transport)| count(transport)).sum()
        };
        let (resident_bytes, cpu_seconds) = self.process.memory_and_cpu();
        ServerSample {
            at_unix_ms,
            uptime_ms: uptime.as_millis() as u64,
            draining: drain.step() > Step::Serving,
            drain: drain.step(),
            drain_left_ms: drain.left(Instant::now()).map(|left| left.as_millis() as u64),
            failing: health
                .report(Instant::now())
                .into_iter()
                .filter_map(|p| Some((p.name, p.why?)))
                .collect(),
            rooms: metrics.rooms.current.get(),
            players: metrics.rooms.players.get(),
            spectators: metrics.rooms.spectators.get(),
            connections: transports.iter().map(|(kind, t)| (kind.name(), t.connections.get())).collect(),
            received_bytes: sum(|t| t.received_bytes.get()),
            sent_bytes: sum(|t| t.sent_bytes.get()),
            received_messages: sum(|t| t.received_messages.get()),
            sent_messages: sum(|t| t.sent_messages.get()),
            inputs: metrics.rooms.inputs.get(),
            commands: metrics.rooms.commands.get(),
            events: metrics.rooms.events.get(),
            states_sent: metrics.rooms.states_sent.get(),
            stale_states_dropped: metrics.rooms.stale_states_dropped.get(),
            deltas_encoded: metrics.rooms.deltas_encoded.get(),
            deltas_shared: metrics.rooms.deltas_shared.get(),
            ticks: metrics.rooms.ticks.get(),
            ticks_skipped: metrics.rooms.ticks_skipped.get(),
            tick_duration: Quantiles::since(&metrics.rooms.tick_duration, &mut self.durations),
            tick_lateness: Quantiles::since(&metrics.rooms.tick_lateness, &mut self.lateness),
            redis: self.redis(metrics),
            cpu_seconds,
            resident_bytes,
        }
    }

    fn redis(&mut self, metrics: &Metrics) -> Option<Quantiles> {
        let quantiles = Quantiles::since(&metrics.nodes.redis_duration, &mut self.redis);
        self.redis.iter().any(|count| *count > 0).then_some(quantiles)
    }

    pub(super) fn rooms(&mut self, registry: &Registry) -> RoomsSample {
        let (total, listed) = registry.busiest(ROOMS);
        let mut before = std::mem::take(&mut self.rooms);
        let rooms = listed.iter().map(|room| self.room(room, before.remove(&room.id))).collect();
        RoomsSample { total, rooms }
    }

    fn room(&mut self, room: &RoomShared, before: Option<Before>) -> RoomSample {
        let figures = &room.figures;
        let now = Before {
            ticks: figures.ticks.load(Relaxed),
            busy_ns: figures.busy_ns.load(Relaxed),
            late_ns: figures.late_ns.load(Relaxed),
        };
        self.rooms.insert(room.id, now);
        let before = before.unwrap_or_default();
        let ticks = now.ticks.saturating_sub(before.ticks).max(1) as f64;
        let mean_us = |now: u64, before: u64| now.saturating_sub(before) as f64 / ticks / 1_000.0;
        let max_us = |max: &std::sync::atomic::AtomicU64| max.swap(0, Relaxed) as f64 / 1_000.0;
        RoomSample {
            name: room.name.clone(),
            kind: room.kind,
            tick_rate: room.tick_rate,
            tick: room.tick.load(Relaxed),
            players: room.players.load(Relaxed),
            npcs: room.npcs.load(Relaxed),
            connected: room.connected.load(Relaxed),
            max_players: room.max_players,
            spectators: room.spectators.load(Relaxed),
            joins_closed: room.notice.joins_closed(),
            info: room.notice.info(),
            ticks_skipped: room.ticks_skipped.load(Relaxed),
            sent_bytes: figures.sent_bytes.load(Relaxed),
            stale_states_dropped: figures.stale_states_dropped.load(Relaxed),
            tick_duration: MeanAndMax {
                mean_us: mean_us(now.busy_ns, before.busy_ns),
                max_us: max_us(&figures.longest_busy_ns),
            },
            tick_lateness: MeanAndMax {
                mean_us: mean_us(now.late_ns, before.late_ns),
                max_us: max_us(&figures.longest_late_ns),
            },
        }
    }
}

impl Quantiles {
    /// Quantiles of what was observed since `before`, which is set to the current counts.
    fn since(histogram: &DurationHistogram, before: &mut Vec<u64>) -> Self {
        let now = histogram.counts();
        let since: Vec<u64> =
            now.iter().enumerate().map(|(n, count)| count - before.get(n).copied().unwrap_or(0)).collect();
        *before = now;
        let quantile = |q| histogram.bound_of(&since, q).map(|bound| bound.as_nanos() as f64 / 1_000.0);
        Self { p50_us: quantile(0.5), p99_us: quantile(0.99) }
    }
}
