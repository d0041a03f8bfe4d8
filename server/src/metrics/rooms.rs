//! Metrics of rooms, and of what is played in them.

use super::{
    ByReason, DurationHistogram,
    bounds::{ENCODE, JOB_DURATION, TICK_DURATION, TICK_LATENESS},
    scope::Scope,
};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// What rooms and their players do. Threads count states, deltas, inputs and what is in excess, and
/// [add](super::Metrics::add) it.
#[derive(Debug)]
#[allow(missing_docs, reason = "what scrapers are told of each says what it is")]
pub struct RoomMetrics {
    pub current: Gauge,
    pub players: Gauge,
    pub spectators: Gauge,
    pub created: Counter,
    pub moved: Counter,
    pub ended: ByReason,
    pub tick_duration: DurationHistogram,
    pub tick_lateness: DurationHistogram,
    pub ticks: Counter,
    pub ticks_skipped: Counter,
    pub states_sent: Counter,
    pub stale_states_dropped: Counter,
    pub deltas_encoded: Counter,
    pub deltas_shared: Counter,
    pub encode: DurationHistogram,
    pub inputs: Counter,
    pub excess_dropped: Counter,
    pub late_inputs_dropped: Counter,
    pub commands: Counter,
    pub events: Counter,
    pub player_reports: Counter,
    pub resumes: ByReason,
    pub jobs: Counter,
    pub jobs_answered: ByReason,
    pub job_duration: DurationHistogram,
    pub room_events_dropped: Counter,
}

impl RoomMetrics {
    pub(super) fn new(scope: &mut Scope<'_>) -> Self {
        Self {
            current: scope.count("rooms", "Current number of rooms."),
            players: scope.count("players", "Seats currently taken."),
            spectators: scope.count("spectators", "Current number of spectators."),
            created: scope.count("rooms_created", "Rooms made."),
            moved: scope.count("rooms_moved", "Rooms that moved to another thread."),
            ended: scope.by_reason(
                "rooms_ended",
                "Rooms that ended, by reason.",
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
            tick_duration: scope.durations(
                "room_tick_duration",
                "Time from the start of a room's tick to the end of its publishing.",
                TICK_DURATION,
            ),
            tick_lateness: scope.durations(
                "room_tick_lateness",
                "Time from the deadline of a room's tick to its start.",
                TICK_LATENESS,
            ),
            ticks: scope.count("ticks", "Ticks run by all rooms."),
            ticks_skipped: scope.count("ticks_skipped", "Ticks not run because the room was late."),
            states_sent: scope.count("states_sent", "States handed to a transport."),
            stale_states_dropped: scope
                .count("stale_states_dropped", "States that a newer one replaced before they were sent."),
            deltas_encoded: scope.count("deltas_encoded", "Deltas encoded."),
            deltas_shared: scope
                .count("deltas_shared", "States sent with bytes encoded for another connection."),
            encode: scope.durations("encode", "Time to encode one delta.", ENCODE),
            inputs: scope.count("inputs", "Inputs taken from players."),
            excess_dropped: scope.count(
                "excess_dropped",
                "Inputs, commands and pings beyond what a player may send: dropped, or refused.",
            ),
            late_inputs_dropped: scope.count(
                "late_inputs_dropped",
                "Inputs that never reached a game, which gets one per player and tick: they came too \
                 late, or were too many.",
            ),
            commands: scope.count("commands", "Commands taken from players."),
            events: scope.count("events", "Events sent by games, counted per recipient."),
            player_reports: scope
                .count("player_reports", "Inputs for which games have reported their players."),
            resumes: scope.by_reason(
                "resumes",
                "Resume attempts, by result.",
                "result",
                ["resumed", "unknown"],
            ),
            jobs: scope.count("jobs", "Jobs requested by games."),
            jobs_answered: scope.by_reason(
                "jobs_answered",
                "Jobs answered, by result.",
                "result",
                ["done", "no_handler", "busy", "timed_out", "failed"],
            ),
            job_duration: scope.durations(
                "job_duration",
                "Time from the request of a job to its answer, including its wait for a turn.",
                JOB_DURATION,
            ),
            room_events_dropped: scope.count(
                "room_events_dropped",
                "Events of rooms that were not told, as those who hear them were too slow.",
            ),
        }
    }
}
