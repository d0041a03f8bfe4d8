//! Metrics of this node among others.

use super::{ByReason, DurationHistogram, bounds::JOB_DURATION, scope::Scope};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// Why a room has not gone to another node.
pub const MIGRATIONS_FAILED: [&str; 6] =
    ["node_unable", "room_busy", "room_late", "room_too_large", "stayed", "lost"];

/// What concerns other nodes, and Redis.
#[derive(Debug)]
#[allow(missing_docs, reason = "what scrapers are told of each says what it is")]
pub struct NodeMetrics {
    pub alive: Gauge,
    pub lease_renewals: ByReason,
    pub lease_lateness: DurationHistogram,
    pub leases_lost: Counter,
    pub claims: ByReason,
    pub takeovers: ByReason,
    pub takeover_duration: DurationHistogram,
    pub stored_batches: Counter,
    pub stored_bytes: Counter,
    pub stored_lateness: DurationHistogram,
    pub moved: Counter,
    pub redis_duration: DurationHistogram,
    pub migrations: ByReason,
    pub migration_gap: DurationHistogram,
    pub presence_batches: Counter,
    pub presence_changes: Counter,
    pub presence_questions: ByReason,
    pub presence_watched: Gauge,
}

impl NodeMetrics {
    pub(super) fn new(scope: &mut Scope<'_>) -> Self {
        Self {
            alive: scope.count(
                "nodes",
                "Nodes with a lease, this one among them, as it has seen them last. 0: it has none \
                 itself, or there are no others.",
            ),
            lease_renewals: scope.by_reason(
                "lease_renewals",
                "Renewals of this node's lease, by result.",
                "result",
                ["renewed", "failed"],
            ),
            lease_lateness: scope.durations(
                "lease_lateness",
                "Time from when a renewal of the lease was due to when it was confirmed.",
                JOB_DURATION,
            ),
            leases_lost: scope.count(
                "leases_lost",
                "Leases that ended with all rooms, because they could not be renewed in time.",
            ),
            claims: scope.by_reason(
                "claims",
                "Joins to rooms that were not here, by what was found out.",
                "result",
                ["ours", "elsewhere", "unknown"],
            ),
            takeovers: scope.by_reason(
                "takeovers",
                "Rooms of other nodes that go on here, because somebody has knocked or this node has \
                 looked; or that could not.",
                "by",
                ["knock", "look", "failed"],
            ),
            takeover_duration: scope.durations(
                "takeover_duration",
                "Time from when a room is this node's until it goes on from what is stored.",
                JOB_DURATION,
            ),
            stored_batches: scope
                .count("stored_batches", "Batches of what is stored of rooms that Redis has taken."),
            stored_bytes: scope.bytes("stored", "Bytes of checkpoints and journals that Redis has taken."),
            stored_lateness: scope.durations(
                "stored_lateness",
                "Time from when something of a room was to be stored until Redis has taken it.",
                JOB_DURATION,
            ),
            moved: scope.count("moved", "Clients that were sent to another node."),
            redis_duration: scope.durations("redis_duration", "Time until Redis has answered.", JOB_DURATION),
            migrations: scope.by_reason(
                "migrations",
                "Rooms of this node that were to go to another one, by what became of them.",
                "result",
                ["moved"].into_iter().chain(MIGRATIONS_FAILED),
            ),
            migration_gap: scope.durations(
                "migration_gap",
                "Time between the last tick of a room at another node and its first one here.",
                JOB_DURATION,
            ),
            presence_batches: scope
                .count("presence_batches", "Batches of changes of where users are that Redis has taken."),
            presence_changes: scope
                .count("presence_changes", "Changes of where users are that Redis has taken."),
            presence_questions: scope.by_reason(
                "presence_questions",
                "Questions where users are, by what became of them.",
                "result",
                ["answered", "unavailable"],
            ),
            presence_watched: scope.count("presence_watched", "Users that somebody watches here."),
        }
    }
}
