//! The metrics of the server, for `/metrics`.
//!
//! Every metric is a field with a handle that is cheap to update: an atomic, without locks or label look-ups.
//! Threads that handle messages count in [`LocalCounters`] and add them a few times per second. Names follow
//! OpenMetrics: base units in the name, and `_total` at the end of counters.

mod histogram;
mod local;
mod process;
mod text;

pub use histogram::DurationHistogram;
pub use local::LocalCounters;
pub use process::{ProcessCollector, ProcessStats};

use crate::{ground::transport_kind::TransportKind, telemetry};
use driftless_proto::code::CloseCode;
use driftless_sim::replay::EndReason;
use prometheus_client::{
    encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Metric, Registry, Unit},
};

/// All metrics of a server. One instance, shared by `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    by_transport: [TransportMetrics; TransportKind::ALL.len()],
    /// Sessions that ended, by close code, or "lost" when the connection broke without one.
    pub disconnects: ByReason,
    /// Upgrades and connections refused before there was a session.
    pub refused: ByReason,
    /// Parts of the server that are not well: 1, or 0.
    failing: Family<Label, Gauge>,
    /// When the certificate ends, seconds since 1970, by where it comes from.
    certificate_expires: Family<Label, Gauge>,
    /// HTTP requests refused before they reached a route, and wrong admin tokens.
    pub requests_refused: ByReason,
    /// Current number of rooms.
    pub rooms: Gauge,
    /// Seats currently taken.
    pub players: Gauge,
    /// Spectators, including admins.
    pub spectators: Gauge,
    /// Rooms made.
    pub rooms_created: Counter,
    /// Rooms that ended.
    pub rooms_ended: ByReason,
    /// Matches asked for, by result.
    pub matches: ByReason,
    /// Parties that wait for a match, if this server makes the matches.
    pub tickets_waiting: Gauge,
    /// Matches made from the queue.
    pub queue_matches: Counter,
    /// How long parties have waited for a match.
    pub queue_wait: DurationHistogram,
    /// Time to find all matches that are possible.
    pub match_round: DurationHistogram,
    /// Rooms that moved to another thread.
    pub rooms_moved: Counter,
    /// From the start of a room's tick to the end of its publishing.
    pub room_tick_duration: DurationHistogram,
    /// From the deadline of a tick to its start.
    pub room_tick_lateness: DurationHistogram,
    /// Ticks run.
    pub ticks: Counter,
    /// Ticks not run because the one before was late.
    pub ticks_skipped: Counter,
    /// States handed to a transport. Updated by `add`.
    pub states_sent: Counter,
    /// States that a newer one replaced before they were sent. Updated by `add`.
    pub stale_states_dropped: Counter,
    /// Deltas encoded. Updated by `add`.
    pub deltas_encoded: Counter,
    /// States sent with bytes encoded for another connection. Updated by `add`.
    pub deltas_shared: Counter,
    /// Time to encode one delta.
    pub encode: DurationHistogram,
    /// Inputs taken from players. Updated by `add`.
    pub inputs: Counter,
    /// Inputs, commands and pings beyond what a player may send: dropped, or refused. Updated by `add`, and
    /// by rooms.
    pub excess_dropped: Counter,
    /// Inputs that never reached a game, which gets one per player and tick: they came too late, or were too
    /// many.
    pub late_inputs_dropped: Counter,
    /// Commands taken from players.
    pub commands: Counter,
    /// Events sent by games, counted per recipient.
    pub events: Counter,
    /// Inputs for which games have reported their players.
    pub player_reports: Counter,
    /// Resume attempts, by result.
    pub resumes: ByReason,
    /// Jobs requested by games.
    pub jobs: Counter,
    /// Jobs answered, by result.
    pub jobs_answered: ByReason,
    /// Time from the request of a job to its answer, including its wait for a turn.
    pub job_duration: DurationHistogram,
    /// Events of rooms that were not told to those who hear them.
    pub room_events_dropped: Counter,
    /// Rooms that are being recorded.
    pub recordings: Gauge,
    /// Recordings that ended or could not begin, by the reason in their end marker.
    pub recordings_ended: ByReason,
    /// Bytes of recordings written.
    pub recorded: Counter,
    /// Time that a tick takes longer for a checkpoint.
    pub checkpoint_duration: DurationHistogram,
    /// Checkpoints written.
    pub checkpoints: Counter,
    /// Bytes of checkpoints written.
    pub checkpoint_bytes: Counter,
    /// Bytes of the journal that may not be on the disk yet.
    pub journal_unsynchronised: Gauge,
    /// Attempts to write to the store that failed.
    pub store_failures: ByReason,
    /// Nodes with a lease, as this one has seen them last.
    pub nodes: Gauge,
    /// Renewals of this node's lease, by result.
    pub lease_renewals: ByReason,
    /// From when a renewal was due to when it was confirmed.
    pub lease_lateness: DurationHistogram,
    /// Leases that ended because they could not be renewed.
    pub leases_lost: Counter,
    /// Joins to rooms that were not here, by what was found out.
    pub claims: ByReason,
    /// Rooms of other nodes that go on here, by why.
    pub takeovers: ByReason,
    /// Time until one does.
    pub takeover_duration: DurationHistogram,
    /// Batches of what is kept of rooms, in Redis.
    pub kept_batches: Counter,
    /// Bytes of that.
    pub kept_bytes: Counter,
    /// Time until it is there.
    pub kept_lateness: DurationHistogram,
    /// Clients that were sent to another node.
    pub moved: Counter,
    /// Time until Redis has answered.
    pub redis_duration: DurationHistogram,
    /// Batches of changes of users' whereabouts that Redis has taken.
    pub presence_batches: Counter,
    /// Changes in them.
    pub presence_changes: Counter,
    /// Questions where users are, by what became of them.
    pub presence_questions: ByReason,
    /// Users that somebody watches here.
    pub presence_watched: Gauge,
    /// Topics that have a history or readers here.
    pub topics: Gauge,
    /// Those who read topics over HTTP.
    pub topic_readers: Gauge,
    /// Events published here.
    pub topic_events: Counter,
    /// Events handed to readers.
    pub topic_events_sent: Counter,
    /// From when Redis has taken an event until it is here, by the clocks of both.
    pub topic_lateness: DurationHistogram,
    /// Readers that the server has closed, by reason.
    pub topic_readers_closed: ByReason,
    /// Rooms that were to go to another node, by what became of them.
    pub migrations: ByReason,
    /// From the last tick of a room at another node to its first one here.
    pub migration_gap: DurationHistogram,
}

/// Metrics of one transport.
#[derive(Debug, Clone, Default)]
pub struct TransportMetrics {
    /// Current number of connections.
    pub connections: Gauge,
    /// Connections made.
    pub connections_total: Counter,
    /// Bytes of messages from clients, without framing. Updated by `Metrics::add`.
    pub received_bytes: Counter,
    /// Bytes of messages to clients, without framing. Updated by `Metrics::add`.
    pub sent_bytes: Counter,
    /// Messages from clients. Updated by `Metrics::add`.
    pub received_messages: Counter,
    /// Messages to clients. Updated by `Metrics::add`.
    pub sent_messages: Counter,
}

/// A counter for each reason. Not for the hot path: `inc` looks the reason up.
#[derive(Debug, Clone)]
pub struct ByReason {
    key: &'static str,
    family: Family<Label, Counter>,
}

impl ByReason {
    /// With these reasons at zero, so that their first occurrence shows as an increase.
    fn new(key: &'static str, reasons: impl IntoIterator<Item = &'static str>) -> Self {
        let new = Self { key, family: Family::default() };
        for reason in reasons {
            new.counter(reason);
        }
        new
    }

    /// Counts one. Reasons are words in the program, never text from a peer: one of those that it began with.
    pub fn inc(&self, reason: &'static str) {
        debug_assert!(self.get_known(reason).is_some(), "{reason:?} is not listed among the reasons");
        self.counter(reason).inc();
    }

    fn get_known(&self, reason: &'static str) -> Option<u64> {
        self.family.get(&Label { key: self.key, value: reason }).map(|counter| counter.get())
    }

    /// The count for this reason.
    pub fn get(&self, reason: &'static str) -> u64 {
        self.counter(reason).get()
    }

    /// The counter of a reason, to keep.
    pub fn counter(&self, reason: &'static str) -> Counter {
        self.family.get_or_create_owned(&Label { key: self.key, value: reason })
    }
}

/// Why a room has not gone to another node.
pub const MIGRATIONS_FAILED: [&str; 6] =
    ["node_unable", "room_busy", "room_late", "room_too_large", "kept", "lost"];

/// Bounds of `room_tick_duration`, nanoseconds: 10 µs to 100 ms.
const TICK_DURATION: &[u64] = &[
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
];

/// Bounds of `room_tick_lateness`, nanoseconds: 10 µs to 1 s, fine up to the promised 1 ms.
const TICK_LATENESS: &[u64] = &[
    10_000,
    20_000,
    30_000,
    50_000,
    75_000,
    100_000,
    150_000,
    200_000,
    300_000,
    400_000,
    500_000,
    600_000,
    700_000,
    800_000,
    900_000,
    1_000_000,
    1_250_000,
    1_500_000,
    2_000_000,
    3_000_000,
    5_000_000,
    7_500_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
];

/// Bounds of `job_duration`, nanoseconds: 100 µs to 5 s.
const JOB_DURATION: &[u64] = &[
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
];

/// Bounds of `queue_wait`, nanoseconds: 1 s to 10 min.
const QUEUE_WAIT: &[u64] = &[
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    20_000_000_000,
    30_000_000_000,
    60_000_000_000,
    120_000_000_000,
    300_000_000_000,
    600_000_000_000,
];

/// Bounds of `encode`, nanoseconds: 100 ns to 1 ms.
const ENCODE: &[u64] =
    &[100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];

/// Why somebody gets no session: what the door says, and what connections lack.
const REFUSED: [&str; 33] = [
    "address_full",
    "draining",
    "forbidden",
    "foreign_host",
    "foreign_origin",
    "handshake",
    "handshakes",
    "identity_unavailable",
    "kind_forbidden",
    "no_token",
    "not_found",
    "proxy_protocol",
    "revoked",
    "room_forbidden",
    "server_full",
    "sockets",
    "subprotocol",
    "tls",
    "tls_handshakes",
    "token_algorithm",
    "token_audience",
    "token_claims",
    "token_expired",
    "token_in_use",
    "token_issuer",
    "token_long_lived",
    "token_malformed",
    "token_not_valid_yet",
    "token_signature",
    "token_unknown_key",
    "token_used",
    "too_fast",
    "unauthenticated",
];

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let closes = CloseCode::ALL.iter().map(|code| code.name());
        let mut metrics = Self {
            registry: Registry::default(),
            by_transport: Default::default(),
            disconnects: ByReason::new("reason", closes.chain([LOST])),
            refused: ByReason::new("reason", REFUSED),
            failing: Family::default(),
            certificate_expires: Family::default(),
            requests_refused: ByReason::new(
                "reason",
                [
                    "address_full",
                    "wrong_token",
                    "foreign_origin",
                    "foreign_host",
                    "too_often",
                    "no_upgrade",
                    "head_too_large",
                    "unauthorized",
                ],
            ),
            rooms: Gauge::default(),
            players: Gauge::default(),
            spectators: Gauge::default(),
            rooms_created: Counter::default(),
            matches: ByReason::new("result", ["found", "made", "refused"]),
            tickets_waiting: Gauge::default(),
            queue_matches: Counter::default(),
            queue_wait: DurationHistogram::new(QUEUE_WAIT),
            match_round: DurationHistogram::new(TICK_DURATION),
            rooms_moved: Counter::default(),
            rooms_ended: ByReason::new(
                "reason",
                [
                    "empty",
                    "failed",
                    "drained",
                    "closed",
                    "out_of_ticks",
                    "refused",
                    "game_ended",
                    "node_lost",
                    "moved",
                ],
            ),
            room_tick_duration: DurationHistogram::new(TICK_DURATION),
            room_tick_lateness: DurationHistogram::new(TICK_LATENESS),
            ticks: Counter::default(),
            ticks_skipped: Counter::default(),
            states_sent: Counter::default(),
            stale_states_dropped: Counter::default(),
            deltas_encoded: Counter::default(),
            deltas_shared: Counter::default(),
            encode: DurationHistogram::new(ENCODE),
            inputs: Counter::default(),
            excess_dropped: Counter::default(),
            late_inputs_dropped: Counter::default(),
            commands: Counter::default(),
            events: Counter::default(),
            player_reports: Counter::default(),
            resumes: ByReason::new("result", ["resumed", "unknown"]),
            jobs: Counter::default(),
            jobs_answered: ByReason::new("result", ["done", "no_handler", "busy", "timed_out", "failed"]),
            job_duration: DurationHistogram::new(JOB_DURATION),
            room_events_dropped: Counter::default(),
            recordings: Gauge::default(),
            recordings_ended: ByReason::new("reason", EndReason::ALL.map(EndReason::name)),
            recorded: Counter::default(),
            checkpoint_duration: DurationHistogram::new(TICK_DURATION),
            checkpoints: Counter::default(),
            checkpoint_bytes: Counter::default(),
            journal_unsynchronised: Gauge::default(),
            store_failures: ByReason::new(
                "what",
                ["checkpoint", "damaged", "frame", "journal", "refused", "revoked"],
            ),
            nodes: Gauge::default(),
            lease_renewals: ByReason::new("result", ["renewed", "failed"]),
            lease_lateness: DurationHistogram::new(JOB_DURATION),
            leases_lost: Counter::default(),
            claims: ByReason::new("result", ["ours", "elsewhere", "unknown"]),
            takeovers: ByReason::new("by", ["knock", "look", "failed"]),
            takeover_duration: DurationHistogram::new(JOB_DURATION),
            kept_batches: Counter::default(),
            kept_bytes: Counter::default(),
            kept_lateness: DurationHistogram::new(JOB_DURATION),
            moved: Counter::default(),
            redis_duration: DurationHistogram::new(JOB_DURATION),
            presence_batches: Counter::default(),
            presence_changes: Counter::default(),
            presence_questions: ByReason::new("result", ["answered", "unavailable"]),
            presence_watched: Gauge::default(),
            topics: Gauge::default(),
            topic_readers: Gauge::default(),
            topic_events: Counter::default(),
            topic_events_sent: Counter::default(),
            topic_lateness: DurationHistogram::new(JOB_DURATION),
            topic_readers_closed: ByReason::new(
                "reason",
                ["draining", "slow_consumer", "token_expired", "revoked"],
            ),
            migrations: ByReason::new("result", ["moved"].into_iter().chain(MIGRATIONS_FAILED)),
            migration_gap: DurationHistogram::new(JOB_DURATION),
        };
        metrics.register();
        metrics
    }

    /// The handles of one transport.
    pub fn transport(&self, kind: TransportKind) -> &TransportMetrics {
        &self.by_transport[kind as usize]
    }

    /// Whether a part of the server is not well: 1, or 0. There must be few parts.
    pub fn failing(&self, part: &'static str) -> Gauge {
        self.failing.get_or_create_owned(&Label { key: "part", value: part })
    }

    /// When the certificate that is served ends, seconds since 1970. `source` is where it comes from.
    pub fn certificate_expires(&self, source: &'static str) -> Gauge {
        self.certificate_expires.get_or_create_owned(&Label { key: "source", value: source })
    }

    /// Counts a session that ended. None: the connection broke without a close code.
    pub fn disconnected(&self, code: Option<CloseCode>) {
        self.disconnects.inc(code.map_or(LOST, CloseCode::name));
    }

    /// Adds what a thread has counted for one transport.
    pub fn add(&self, transport: TransportKind, local: &LocalCounters) {
        let transport = self.transport(transport);
        for (counter, n) in [
            (&transport.received_bytes, local.bytes_in),
            (&transport.sent_bytes, local.bytes_out),
            (&transport.received_messages, local.messages_in),
            (&transport.sent_messages, local.messages_out),
            (&self.states_sent, local.states_sent),
            (&self.stale_states_dropped, local.stale_states_dropped),
            (&self.deltas_encoded, local.deltas_encoded),
            (&self.deltas_shared, local.deltas_shared),
            (&self.inputs, local.inputs),
            (&self.excess_dropped, local.excess_dropped),
        ] {
            if n > 0 {
                counter.inc_by(n);
            }
        }
    }

    /// All metrics as OpenMetrics text 1.0.
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        // Writing to a String does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut out, &self.registry);
        out
    }

    /// All metrics in the Prometheus text format 0.0.4, for clients that do not read OpenMetrics.
    pub fn encode_prometheus(&self) -> String {
        text::from_openmetrics(&self.encode())
    }

    fn register(&mut self) {
        self.register_transports();
        let mut registry = std::mem::take(&mut self.registry);
        let r = registry.sub_registry_with_prefix("driftless");
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        r.register("build", "Version of the server", Info::new(build.to_vec()));

        put(r, "disconnects", "Sessions that ended, by close code, or lost.", &self.disconnects.family);
        put(r, "refused", "Connections refused before there was a session.", &self.refused.family);
        let help = "HTTP requests refused before they reached a route, and wrong admin tokens.";
        put(r, "requests_refused", help, &self.requests_refused.family);
        let help = "Whether a part of the server is not well: 1, or 0. /healthz?verbose says why.";
        put(r, "failing", help, &self.failing);
        let help = "When the certificate that is served expires, since 1970: one from files, or a self_signed one, which the server renews by itself.";
        put_unit(r, "certificate_expires", help, Unit::Seconds, &self.certificate_expires);
        put(r, "rooms", "Current number of rooms.", &self.rooms);
        put(r, "players", "Seats currently taken.", &self.players);
        put(r, "spectators", "Current number of spectators.", &self.spectators);
        put(r, "rooms_created", "Rooms made.", &self.rooms_created);
        put(r, "rooms_moved", "Rooms that moved to another thread.", &self.rooms_moved);
        let help = "Matches asked for, by result: in a room that was found, or made for it, or none.";
        put(r, "matches", help, &self.matches.family);
        self.register_queue(r);
        put(r, "rooms_ended", "Rooms that ended, by reason.", &self.rooms_ended.family);
        let help = "Time from the start of a room's tick to the end of its publishing.";
        put_unit(r, "room_tick_duration", help, Unit::Seconds, &self.room_tick_duration);
        let help = "Time from the deadline of a room's tick to its start.";
        put_unit(r, "room_tick_lateness", help, Unit::Seconds, &self.room_tick_lateness);
        put(r, "ticks", "Ticks run by all rooms.", &self.ticks);
        put(r, "ticks_skipped", "Ticks not run because the room was late.", &self.ticks_skipped);
        put(r, "states_sent", "States handed to a transport.", &self.states_sent);
        let help = "States that a newer one replaced before they were sent.";
        put(r, "stale_states_dropped", help, &self.stale_states_dropped);
        put(r, "deltas_encoded", "Deltas encoded.", &self.deltas_encoded);
        let help = "States sent with bytes encoded for another connection.";
        put(r, "deltas_shared", help, &self.deltas_shared);
        put_unit(r, "encode", "Time to encode one delta.", Unit::Seconds, &self.encode);
        put(r, "inputs", "Inputs taken from players.", &self.inputs);
        let help = "Inputs, commands and pings beyond what a player may send: dropped, or refused.";
        put(r, "excess_dropped", help, &self.excess_dropped);
        let help = "Inputs that never reached a game, which gets one per player and tick: they came too late, or were too many.";
        put(r, "late_inputs_dropped", help, &self.late_inputs_dropped);
        put(r, "commands", "Commands taken from players.", &self.commands);
        put(r, "events", "Events sent by games, counted per recipient.", &self.events);
        let help = "Inputs for which games have reported their players.";
        put(r, "player_reports", help, &self.player_reports);
        let help =
            "Log lines that were not written, because nobody read the earlier ones or because of an error.";
        put(r, "log_lines_dropped", help, telemetry::lines_dropped());
        put(r, "resumes", "Resume attempts, by result.", &self.resumes.family);
        put(r, "jobs", "Jobs requested by games.", &self.jobs);
        put(r, "jobs_answered", "Jobs answered, by result.", &self.jobs_answered.family);
        let help = "Time from the request of a job to its answer, including its wait for a turn.";
        put_unit(r, "job_duration", help, Unit::Seconds, &self.job_duration);
        let help = "Events of rooms that were not told, as those who hear them were too slow.";
        put(r, "room_events_dropped", help, &self.room_events_dropped);
        put(r, "recordings", "Rooms that are being recorded.", &self.recordings);
        let help = "Recordings that ended or could not begin, by reason.";
        put(r, "recordings_ended", help, &self.recordings_ended.family);
        put_unit(r, "recorded", "Bytes of recordings written.", Unit::Bytes, &self.recorded);
        let help = "Time that a tick takes longer for a checkpoint of its room.";
        put_unit(r, "checkpoint_duration", help, Unit::Seconds, &self.checkpoint_duration);
        put(r, "checkpoints", "Checkpoints written to the store.", &self.checkpoints);
        put_unit(r, "checkpoint", "Bytes of checkpoints written.", Unit::Bytes, &self.checkpoint_bytes);
        let help = "Journal that may not be on the disk yet.";
        put_unit(r, "journal_unsynchronised", help, Unit::Bytes, &self.journal_unsynchronised);
        let help = "Attempts to write to the store that failed, and what of it could not be read (damaged).";
        put(r, "store_failures", help, &self.store_failures.family);
        self.register_nodes(r);
        self.register_presence(r);
        self.register_topics(r);
        registry.register_collector(Box::new(ProcessCollector::new()));
        self.registry = registry;
    }

    /// What concerns the queue for matches.
    fn register_queue(&self, r: &mut Registry) {
        let help = "Parties that wait for a match, on the server that makes the matches.";
        put(r, "tickets_waiting", help, &self.tickets_waiting);
        put(r, "queue_matches", "Matches made from the queue.", &self.queue_matches);
        let help = "Time that parties have waited for their match.";
        put_unit(r, "queue_wait", help, Unit::Seconds, &self.queue_wait);
        let help = "Time to find all matches that are possible at a moment.";
        put_unit(r, "match_round", help, Unit::Seconds, &self.match_round);
    }

    /// What concerns other nodes.
    fn register_nodes(&self, r: &mut Registry) {
        let help = "Nodes with a lease, this one among them, as it has seen them last. 0: it has none itself, or \
                    there are no others.";
        put(r, "nodes", help, &self.nodes);
        put(r, "lease_renewals", "Renewals of this node's lease, by result.", &self.lease_renewals.family);
        let help = "Time from when a renewal of the lease was due to when it was confirmed.";
        put_unit(r, "lease_lateness", help, Unit::Seconds, &self.lease_lateness);
        let help = "Leases that ended with all rooms, because they could not be renewed in time.";
        put(r, "leases_lost", help, &self.leases_lost);
        let help = "Joins to rooms that were not here, by what was found out.";
        put(r, "claims", help, &self.claims.family);
        let help = "Rooms of other nodes that go on here, because somebody has knocked or this node has \
                    looked; or that could not.";
        put(r, "takeovers", help, &self.takeovers.family);
        let help = "Time from when a room is this node's until it goes on from what is kept.";
        put_unit(r, "takeover_duration", help, Unit::Seconds, &self.takeover_duration);
        put(r, "kept_batches", "Batches of what is kept of rooms that Redis has taken.", &self.kept_batches);
        let help = "Bytes of checkpoints and journals that Redis has taken.";
        put_unit(r, "kept", help, Unit::Bytes, &self.kept_bytes);
        let help = "Time from when something of a room was to be kept until Redis has taken it.";
        put_unit(r, "kept_lateness", help, Unit::Seconds, &self.kept_lateness);
        put(r, "moved", "Clients that were sent to another node.", &self.moved);
        put_unit(r, "redis_duration", "Time until Redis has answered.", Unit::Seconds, &self.redis_duration);
        let help = "Rooms of this node that were to go to another one, by what became of them.";
        put(r, "migrations", help, &self.migrations.family);
        let help = "Time between the last tick of a room at another node and its first one here.";
        put_unit(r, "migration_gap", help, Unit::Seconds, &self.migration_gap);
    }

    fn register_presence(&self, r: &mut Registry) {
        let help = "Batches of changes of where users are that Redis has taken.";
        put(r, "presence_batches", help, &self.presence_batches);
        let help = "Changes of where users are that Redis has taken.";
        put(r, "presence_changes", help, &self.presence_changes);
        let help = "Questions where users are, by what became of them.";
        put(r, "presence_questions", help, &self.presence_questions.family);
        put(r, "presence_watched", "Users that somebody watches here.", &self.presence_watched);
    }

    fn register_topics(&self, r: &mut Registry) {
        put(r, "topics", "Topics that have a history or readers here.", &self.topics);
        put(r, "topic_readers", "Current number of readers of topics over HTTP.", &self.topic_readers);
        put(r, "topic_events", "Events published in topics here.", &self.topic_events);
        put(r, "topic_events_sent", "Events of topics handed to readers.", &self.topic_events_sent);
        let help =
            "Time from when Redis has taken an event of a topic until it is here, by the clocks of both.";
        put_unit(r, "topic_lateness", help, Unit::Seconds, &self.topic_lateness);
        let help = "Readers of topics that the server has closed, by reason.";
        put(r, "topic_readers_closed", help, &self.topic_readers_closed.family);
    }

    fn register_transports(&mut self) {
        let connections = Family::<Label, Gauge>::default();
        let connections_total = Family::<Label, Counter>::default();
        let [received_bytes, sent_bytes, received_messages, sent_messages] =
            std::array::from_fn(|_| Family::<Label, Counter>::default());
        self.by_transport = TransportKind::ALL.map(|kind| {
            let label = Label { key: "transport", value: kind.name() };
            TransportMetrics {
                connections: connections.get_or_create_owned(&label),
                connections_total: connections_total.get_or_create_owned(&label),
                received_bytes: received_bytes.get_or_create_owned(&label),
                sent_bytes: sent_bytes.get_or_create_owned(&label),
                received_messages: received_messages.get_or_create_owned(&label),
                sent_messages: sent_messages.get_or_create_owned(&label),
            }
        });
        let r = self.registry.sub_registry_with_prefix("driftless");
        put(r, "connections", "Current number of connections.", &connections);
        // A family's name must not be another's sample name: "connections_total" would be a sample of
        // "connections".
        put(r, "connections_opened", "Connections made.", &connections_total);
        let help = "Bytes of messages from clients, without framing.";
        put_unit(r, "received", help, Unit::Bytes, &received_bytes);
        put(r, "received_messages", "Messages from clients.", &received_messages);
        put_unit(r, "sent", "Bytes of messages to clients, without framing.", Unit::Bytes, &sent_bytes);
        put(r, "sent_messages", "Messages to clients.", &sent_messages);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

const LOST: &str = "lost";

/// A label whose value is a word in the program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Label {
    key: &'static str,
    value: &'static str,
}

impl EncodeLabelSet for Label {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        (self.key, self.value).encode(encoder.encode_label())
    }
}

fn put<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: &M) {
    // The library appends a full stop to the help.
    registry.register(name, help.trim_end_matches('.'), metric.clone());
}

fn put_unit<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, unit: Unit, metric: &M) {
    registry.register_with_unit(name, help.trim_end_matches('.'), unit, metric.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_counted_is_added_once() {
        let metrics = Metrics::new();
        let mut local = LocalCounters { bytes_in: 5, messages_in: 1, states_sent: 2, ..Default::default() };
        metrics.add(TransportKind::WebSocket, &local.take());
        metrics.add(TransportKind::WebSocket, &local.take());
        assert_eq!(metrics.transport(TransportKind::WebSocket).received_bytes.get(), 5);
        assert_eq!(metrics.states_sent.get(), 2);
    }

    #[test]
    fn every_close_code_is_a_reason() {
        let metrics = Metrics::new();
        metrics.disconnected(Some(CloseCode::SlowConsumer));
        metrics.disconnected(None);
        let text = metrics.encode();
        assert!(text.contains("driftless_disconnects_total{reason=\"slow_consumer\"} 1\n"), "{text}");
        assert!(text.contains("driftless_disconnects_total{reason=\"lost\"} 1\n"), "{text}");
        assert!(text.contains("driftless_disconnects_total{reason=\"kicked\"} 0\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_older_format_names_counters_by_their_samples() {
        let text = Metrics::new().encode_prometheus();
        assert!(text.contains("# TYPE driftless_ticks_total counter\ndriftless_ticks_total 0\n"), "{text}");
        assert!(text.contains("# TYPE driftless_sent_bytes_total counter\n"), "{text}");
        assert!(!text.contains("EOF") && !text.contains("UNIT"), "{text}");
    }
}
