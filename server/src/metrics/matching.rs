//! Metrics of matches.

use super::{
    ByReason, DurationHistogram,
    bounds::{QUEUE_WAIT, TICK_DURATION},
    scope::Scope,
};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// What concerns matches.
#[derive(Debug)]
#[allow(missing_docs, reason = "what scrapers are told of each says what it is")]
pub struct MatchMetrics {
    pub matches: ByReason,
    pub tickets_waiting: Gauge,
    pub from_queue: Counter,
    pub wait: DurationHistogram,
    pub round: DurationHistogram,
}

impl MatchMetrics {
    pub(super) fn new(scope: &mut Scope<'_>) -> Self {
        Self {
            matches: scope.by_reason(
                "matches",
                "Matches asked for, by result: in a room that was found, or made for it, or none.",
                "result",
                ["found", "made", "refused"],
            ),
            tickets_waiting: scope.count(
                "tickets_waiting",
                "Parties that wait for a match, on the server that makes the matches.",
            ),
            from_queue: scope.count("queue_matches", "Matches made from the queue."),
            wait: scope.durations("queue_wait", "Time that parties have waited for their match.", QUEUE_WAIT),
            round: scope.durations(
                "match_round",
                "Time to find all matches that are possible at a moment.",
                TICK_DURATION,
            ),
        }
    }
}
