//! Counts of one thread that are not yet in the metrics.

/// Counts of one thread since they were last handed over: plain numbers, so that a message touches no shared
/// cache line. Hand them over with `Metrics::add(transport, &local.take())`, a few times per second and when
/// the thread ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LocalCounters {
    /// Bytes of messages from clients, without the transport's framing.
    pub bytes_in: u64,
    /// Bytes of messages to clients, without the transport's framing.
    pub bytes_out: u64,
    /// Messages from clients.
    pub messages_in: u64,
    /// Messages to clients.
    pub messages_out: u64,
    /// States handed to the transport.
    pub states_sent: u64,
    /// States that a newer one replaced before they were sent.
    pub stale_states_dropped: u64,
    /// Deltas encoded.
    pub deltas_encoded: u64,
    /// States sent with bytes that were encoded for another connection.
    pub deltas_shared: u64,
    /// Inputs taken from players.
    pub inputs: u64,
    /// Inputs, commands and pings beyond what a player may send: dropped, or refused.
    pub excess_dropped: u64,
}

impl LocalCounters {
    /// Takes the counts, leaving zeros.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}
