//! Metrics of what is written to disk.

use super::{ByReason, DurationHistogram, bounds::TICK_DURATION, scope::Scope};
use driftless_sim::replay::EndReason;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// What is written to disk.
#[derive(Debug)]
#[allow(missing_docs, reason = "what scrapers are told of each says what it is")]
pub struct StoreMetrics {
    pub recordings: Gauge,
    pub recordings_ended: ByReason,
    pub recorded: Counter,
    pub checkpoint_duration: DurationHistogram,
    pub checkpoints: Counter,
    pub checkpoint_bytes: Counter,
    pub journal_unsynchronised: Gauge,
    pub failures: ByReason,
}

impl StoreMetrics {
    pub(super) fn new(scope: &mut Scope<'_>) -> Self {
        Self {
            recordings: scope.count("recordings", "Rooms that are being recorded."),
            recordings_ended: scope.by_reason(
                "recordings_ended",
                "Recordings that ended or could not begin, by reason.",
                "reason",
                EndReason::ALL.map(EndReason::name),
            ),
            recorded: scope.bytes("recorded", "Bytes of recordings written."),
            checkpoint_duration: scope.durations(
                "checkpoint_duration",
                "Time that a tick takes longer for a checkpoint of its room.",
                TICK_DURATION,
            ),
            checkpoints: scope.count("checkpoints", "Checkpoints written to the store."),
            checkpoint_bytes: scope.bytes("checkpoint", "Bytes of checkpoints written."),
            journal_unsynchronised: scope
                .bytes("journal_unsynchronised", "Journal that may not be on the disk yet."),
            failures: scope.by_reason(
                "store_failures",
                "Attempts to write to the store that failed, and what of it could not be read (damaged).",
                "what",
                ["checkpoint", "damaged", "frame", "journal", "refused", "revoked"],
            ),
        }
    }
}
