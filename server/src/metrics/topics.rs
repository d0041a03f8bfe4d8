//! Metrics of topics.

use super::{ByReason, DurationHistogram, bounds::JOB_DURATION, scope::Scope};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// What concerns topics.
#[derive(Debug)]
#[allow(missing_docs, reason = "what scrapers are told of each says what it is")]
pub struct TopicMetrics {
    pub known: Gauge,
    pub readers: Gauge,
    pub events: Counter,
    pub events_sent: Counter,
    pub lateness: DurationHistogram,
    pub readers_closed: ByReason,
}

impl TopicMetrics {
    pub(super) fn new(scope: &mut Scope<'_>) -> Self {
        Self {
            known: scope.count("topics", "Topics that have a history or readers here."),
            readers: scope.count("topic_readers", "Current number of readers of topics over HTTP."),
            events: scope.count("topic_events", "Events published in topics here."),
            events_sent: scope.count("topic_events_sent", "Events of topics handed to readers."),
            lateness: scope.durations(
                "topic_lateness",
                "Time from when Redis has taken an event of a topic until it is here, by the clocks of \
                 both.",
                JOB_DURATION,
            ),
            readers_closed: scope.by_reason(
                "topic_readers_closed",
                "Readers of topics that the server has closed, by reason.",
                "reason",
                ["draining", "slow_consumer", "token_expired", "revoked"],
            ),
        }
    }
}
