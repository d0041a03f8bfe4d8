//! What a run measured: the JSON object that scripts rely on. Keys are added, never renamed.

use crate::floor::FloorFigures;
use driftless_links::Quantiles;
use serde::Serialize;
use std::collections::BTreeMap;

/// The figures of a run. `None` (null): could not be measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Figures {
    /// Bots asked for.
    pub clients: u64,
    /// Of these, those that only watch.
    pub spectators: u64,
    /// Bots that were in their room when measuring began.
    pub connected: u64,
    /// Everything that went wrong, in the whole run: see `errors_by_kind`.
    pub errors: u64,
    /// How long it measured, seconds.
    pub seconds: f64,
    /// States applied, divided by the ticks that were due while the bots were connected; ticks that the
    /// server says it skipped do not count.
    pub delivered_ratio: Option<f64>,
    /// Arrival of a state less the time its tick was due on the server's clock, milliseconds.
    pub state_age_ms: Option<Quantiles>,
    /// From the time an input should have been sent to the first state that contains it, milliseconds.
    pub input_to_state_ms: Option<Quantiles>,
    /// Time between two applied states, and from the last one to the end, milliseconds.
    pub gap_ms: Option<Quantiles>,
    /// The same where a bot was sent to another node in between, milliseconds.
    pub moved_gap_ms: Option<Quantiles>,
    /// The same where a bot was away in between: told to come again, or without a connection. Milliseconds.
    pub away_ms: Option<Quantiles>,
    /// From the server, bytes per second per bot: WebSocket frames or UDP payloads, in both cases with
    /// everything in them besides messages.
    pub bytes_down_per_client_s: Option<f64>,
    /// To the server, bytes per second per bot.
    pub bytes_up_per_client_s: Option<f64>,
    /// Bytes of all state messages, divided by the entities in view that moved in them.
    pub bytes_per_entity_tick: Option<f64>,
    /// Age of what a bot knows of a zone other than zone 0, milliseconds: of each one in view, each time that
    /// it acts.
    pub zone_age_ms: Option<Quantiles>,
    /// The same, only of the zone that the bot's own entity is in: that of the first kind whose id is the
    /// player's number.
    pub near_zone_age_ms: Option<Quantiles>,
    /// Zones other than zone 0 that a bot has in view, on average.
    pub zones_in_view: Option<f64>,
    /// Of these, zones of which its newest state has no news, though they have changed.
    pub zones_behind: Option<f64>,
    /// States that the server replaced with newer ones before sending them.
    pub stale_dropped: Option<u64>,
    /// Ticks that the server skipped in the rooms of this run.
    pub ticks_skipped: Option<u64>,
    /// How late ticks began, microseconds, from the server's histogram: interpolated within its buckets;
    /// `max` is the upper edge of the last bucket that is not empty.
    pub tick_lateness_us: Option<Quantiles>,
    /// The server's process.
    pub server: ServerFigures,
    /// Connections that ended before the run did, by close code.
    pub disconnects: BTreeMap<u16, u64>,
    /// Bots that were told to go (4000), or to another node (4014), or lost their connection in an outage,
    /// and that came back to their seats.
    pub resumed: u64,
    /// Those that came back and got new seats.
    pub rejoined: u64,
    /// How often bots were sent to another node (4014), when they joined or later.
    pub moved: u64,

    /// What the bots connected over: websocket, quic, webtransport or mix.
    pub transport: &'static str,
    /// Rooms.
    pub rooms: u64,
    /// Ticks per second.
    pub tick_rate: u32,
    /// States applied in the measured time: the client-ticks of the two CPU figures.
    pub states_applied: u64,
    /// Messages from the server, per second per bot.
    pub messages_down_per_client_s: Option<f64>,
    /// Messages to the server, per second per bot.
    pub messages_up_per_client_s: Option<f64>,
    /// Mean bytes of a state message.
    pub state_bytes: Option<f64>,
    /// Mean bytes of a message to the server.
    pub input_bytes: Option<f64>,
    /// `errors`, by what went wrong.
    pub errors_by_kind: BTreeMap<String, u64>,
    /// This swarm's own cost.
    pub swarm: SwarmFigures,
    /// The floor of the same traffic, with `--floor`.
    pub floor: Option<FloorFigures>,
    /// The server's CPU time per client-tick, divided by the floor's.
    pub server_over_floor: Option<f64>,
}

impl Figures {
    /// Figures in which nothing is null, so that the keys are known before anything is measured.
    pub fn specimen() -> Self {
        let quantiles = Some(Quantiles::default());
        Self {
            delivered_ratio: Some(0.0),
            state_age_ms: quantiles,
            input_to_state_ms: quantiles,
            gap_ms: quantiles,
            moved_gap_ms: quantiles,
            away_ms: quantiles,
            bytes_down_per_client_s: Some(0.0),
            bytes_up_per_client_s: Some(0.0),
            bytes_per_entity_tick: Some(0.0),
            zone_age_ms: quantiles,
            near_zone_age_ms: quantiles,
            zones_in_view: Some(0.0),
            zones_behind: Some(0.0),
            stale_dropped: Some(0),
            ticks_skipped: Some(0),
            tick_lateness_us: quantiles,
            server: ServerFigures { cpu_us_per_client_tick: Some(0.0), rss_bytes_per_client: Some(0.0) },
            messages_down_per_client_s: Some(0.0),
            messages_up_per_client_s: Some(0.0),
            state_bytes: Some(0.0),
            input_bytes: Some(0.0),
            swarm: SwarmFigures {
                cpu_us_per_client_tick: Some(0.0),
                rss_bytes_per_client: Some(0.0),
                send_lateness_ms: quantiles,
                ..SwarmFigures::default()
            },
            floor: Some(FloorFigures::default()),
            server_over_floor: Some(0.0),
            ..Self::default()
        }
    }
    /// Compares them with the floor of their traffic.
    pub fn set_floor(&mut self, floor: FloorFigures) {
        self.server_over_floor =
            self.server.cpu_us_per_client_tick.map(|server| server / floor.cpu_us_per_client_tick);
        self.floor = Some(floor);
    }
}

/// What the server's process took.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ServerFigures {
    /// CPU time divided by states applied by clients, microseconds.
    pub cpu_us_per_client_tick: Option<f64>,
    /// Growth of resident memory since before the first client, bytes per client.
    pub rss_bytes_per_client: Option<f64>,
}

/// What the swarm took.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct SwarmFigures {
    /// As of the server.
    pub cpu_us_per_client_tick: Option<f64>,
    /// As of the server.
    pub rss_bytes_per_client: Option<f64>,
    /// CPU time divided by measured time and threads: near 1, the swarm itself is what is measured.
    pub busy_ratio: f64,
    /// Inputs that it skipped because it was a tick late.
    pub inputs_left_out: u64,
    /// How late the swarm sent inputs, milliseconds: its own share of `input_to_state_ms`.
    pub send_lateness_ms: Option<Quantiles>,
}
