//! What a stall showed: the JSON object of `loadtest slow`.

use driftless_links::Quantiles;
use serde::Serialize;
use std::collections::BTreeMap;

/// The figures of a stall. `None` (null): could not be measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct SlowFigures {
    /// Players, the slow one included.
    pub clients: u64,
    /// Of these, those who had a seat when it began.
    pub connected: u64,
    /// Ticks per second.
    pub tick_rate: u32,
    /// Everything that went wrong: see `errors_by_kind`.
    pub errors: u64,
    /// How long the slow player did not read, seconds.
    pub stall_s: f64,
    /// States that the slow player got after it and that were older than the newest tick due when it read
    /// again.
    pub stale_after_resume: u64,
    /// Of these, those that were complete in this machine's buffers.
    pub stale_in_own_buffers: u64,
    /// Of these, the others: sent, or kept by the server and its kernel.
    pub stale_beyond_own_buffers: u64,
    /// States that the server's gate lets be in flight, from the shortest round trip: ceil(rtt / tick) + 1.
    pub gate: Option<u64>,
    /// Bytes that lay in this machine's buffers when it read again.
    pub own_buffer_bytes: u64,
    /// Age of the first state it got then, milliseconds.
    pub first_state_age_ms: Option<f64>,
    /// Time until it got the first state that was not stale, milliseconds.
    pub first_fresh_after_ms: Option<f64>,
    /// Age of that state, milliseconds.
    pub first_fresh_age_ms: Option<f64>,
    /// Peak growth of the server's memory during and after the stall, bytes.
    pub server_rss_growth_bytes: Option<u64>,
    /// Time between states of the other players before the stall, milliseconds.
    pub others_gap_before_ms: Option<Quantiles>,
    /// During it.
    pub others_gap_during_ms: Option<Quantiles>,
    /// After it.
    pub others_gap_after_ms: Option<Quantiles>,
    /// Connections that ended early, by close code.
    pub disconnects: BTreeMap<u16, u64>,
    /// `errors`, by what went wrong.
    pub errors_by_kind: BTreeMap<String, u64>,
}

impl SlowFigures {
    /// Figures in which nothing is null, so that the keys are known before anything is measured.
    pub fn specimen() -> Self {
        let quantiles = Some(Quantiles::default());
        Self {
            gate: Some(0),
            first_state_age_ms: Some(0.0),
            first_fresh_after_ms: Some(0.0),
            first_fresh_age_ms: Some(0.0),
            server_rss_growth_bytes: Some(0),
            others_gap_before_ms: quantiles,
            others_gap_during_ms: quantiles,
            others_gap_after_ms: quantiles,
            ..Self::default()
        }
    }
}
