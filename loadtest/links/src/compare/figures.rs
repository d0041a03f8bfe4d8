//! What a comparison found: the JSON object that scripts rely on. Keys are added, never renamed.

use super::{Comparison, links::Traffic, measured::Measured};
use crate::histogram::Quantiles;
use driftless_client::transport::TransportKind;
use serde::Serialize;
use std::time::Duration;

/// The figures of a comparison. `None` (null): could not be measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct CompareFigures {
    /// The scenario's name. None: there were no relays.
    pub scenario: Option<String>,
    /// Its random seed.
    pub seed: Option<u64>,
    /// Players on each transport.
    pub players: u64,
    /// Players in their room when measuring began, over all transports.
    pub connected: u64,
    /// Ticks per second.
    pub tick_rate: u32,
    /// How long it measured, seconds.
    pub seconds: f64,
    /// Players that could not connect or were disconnected.
    pub errors: u64,
    /// States that the server replaced with newer ones before sending them, over all transports: its send
    /// gate at work.
    pub stale_dropped: Option<u64>,
    /// The p99 of a state's age over QUIC, divided by that over WebSocket.
    pub quic_age_p99_over_websocket: Option<f64>,
    /// The same for WebTransport.
    pub webtransport_age_p99_over_websocket: Option<f64>,
    /// Each transport's.
    pub websocket: Option<TransportFigures>,
    /// See above.
    pub quic: Option<TransportFigures>,
    /// See above.
    pub webtransport: Option<TransportFigures>,
}

/// One transport's.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TransportFigures {
    /// Players that stayed to the end.
    pub stayed: u64,
    /// Players that could not connect or were disconnected.
    pub errors: u64,
    /// A few of them.
    #[serde(skip)]
    pub examples: Vec<String>,
    /// Time from when a state's tick was due, on the server's clock, to its arrival.
    pub age_ms: Option<Quantiles>,
    /// Age of the moment shown, sampled 60 times per second: includes interpolation delay and time when the
    /// picture is frozen.
    pub shown_age_ms: Option<Quantiles>,
    /// Age of what a player knows of the zone that its own entity is in, sampled 60 times per second: what is
    /// nearest to it, which goes first where the link is too narrow for all zones. (A game without zones has
    /// one.)
    pub own_zone_age_ms: Option<Quantiles>,
    /// From the time an input should have been sent to the first state that contains it.
    pub input_to_state_ms: Option<Quantiles>,
    /// Distance between where entities were shown and where they really were at that time, in units of the
    /// game (metres in the arena). Not of those that had begun another life elsewhere.
    pub error_now: Option<Quantiles>,
    /// Distance from where they were at the moment shown: the error of interpolation and extrapolation.
    pub error_shown: Option<Quantiles>,
    /// Of those that at the moment shown had begun another life elsewhere, and were shown in the earlier one:
    /// for how long they had.
    pub life_late_ms: Option<Quantiles>,
    /// Longest time between two states of a player.
    pub longest_gap_ms: f64,
    /// The same in ticks, minus the one between any two states: how long a picture could freeze.
    pub longest_freeze_ticks: u64,
    /// Longest time that a picture was in fact frozen, after extrapolating for 100 ms without a state.
    pub longest_standstill_ms: f64,
    /// States applied, divided by ticks due.
    pub delivered_ratio: Option<f64>,
    /// Ticks for which no state was applied: replaced with a newer one before being sent, or lost.
    pub ticks_missed: u64,
    /// States that arrived after a newer one and were dropped.
    pub late_dropped: u64,
    /// Bytes on the link from the server, including IP, UDP and TCP headers, per second per player.
    pub bytes_down_per_client_s: Option<f64>,
    /// Bytes to the server.
    pub bytes_up_per_client_s: Option<f64>,
    /// Packets on the link, both ways, per second per player.
    pub packets_per_client_s: Option<f64>,
    /// Packets lost on the wire, divided by all packets, both ways. For TCP: segments retransmitted.
    pub lost_ratio: Option<f64>,
    /// Packets that found a full queue, both ways.
    pub overflowed: Option<u64>,
    /// After a blackout, the worst of all players.
    pub after_black_out: Option<AfterBlackOutFigures>,
}

/// After a blackout, the worst of all players.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct AfterBlackOutFigures {
    /// Players that got a state after it.
    pub players: u64,
    /// Age of the first state applied.
    pub first_age_ms: f64,
    /// States applied that are of ticks before its end.
    pub stale: u64,
    /// States that the server's gate allows in flight (K), as far as a client can tell.
    pub gate: Option<u64>,
    /// `stale` minus `gate`: should be 0 or less.
    pub stale_over_gate: Option<i64>,
    /// From its end to the first state of a later tick.
    pub fresh_after_ms: f64,
}

impl CompareFigures {
    /// Figures in which nothing is null, so that the keys are known before anything is measured.
    pub fn specimen() -> Self {
        let transport = Some(TransportFigures::specimen());
        Self {
            scenario: Some(String::new()),
            seed: Some(0),
            stale_dropped: Some(0),
            quic_age_p99_over_websocket: Some(0.0),
            webtransport_age_p99_over_websocket: Some(0.0),
            websocket: transport.clone(),
            quic: transport.clone(),
            webtransport: transport,
            ..Self::default()
        }
    }
    /// Figures without any transport yet.
    pub(super) fn new(plan: &Comparison, connected: u64, seconds: f64) -> Self {
        let scenario = plan.scenario.as_ref();
        Self {
            scenario: scenario.map(|scenario| scenario.name.clone()),
            seed: scenario.map(|scenario| scenario.seed),
            players: plan.clients.into(),
            connected,
            tick_rate: plan.tick_rate,
            seconds,
            ..Self::default()
        }
    }
    /// Adds those of a transport.
    pub(super) fn add(&mut self, kind: TransportKind, figures: TransportFigures) {
        self.errors += figures.errors;
        let place = match kind {
            TransportKind::WebSocket => &mut self.websocket,
            TransportKind::Quic => &mut self.quic,
            TransportKind::WebTransport => &mut self.webtransport,
        };
        *place = Some(figures);
        let p99 = |figures: &Option<TransportFigures>| Some(figures.as_ref()?.age_ms?.p99);
        let over = |figures| Some(p99(figures)? / p99(&self.websocket)?);
        self.quic_age_p99_over_websocket = over(&self.quic);
        self.webtransport_age_p99_over_websocket = over(&self.webtransport);
    }
    /// Those that were compared, with their names.
    pub(super) fn transports(&self) -> impl Iterator<Item = (&'static str, &TransportFigures)> {
        let all =
            [("websocket", &self.websocket), ("quic", &self.quic), ("webtransport", &self.webtransport)];
        all.into_iter().filter_map(|(name, figures)| Some((name, figures.as_ref()?)))
    }
    /// A few examples of what went wrong on each transport.
    pub fn examples(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.transports().flat_map(|(name, figures)| figures.examples.iter().map(move |e| (name, e.as_str())))
    }
}

impl TransportFigures {
    fn specimen() -> Self {
        let quantiles = Some(Quantiles::default());
        Self {
            age_ms: quantiles,
            shown_age_ms: quantiles,
            own_zone_age_ms: quantiles,
            input_to_state_ms: quantiles,
            error_now: quantiles,
            error_shown: quantiles,
            life_late_ms: quantiles,
            delivered_ratio: Some(0.0),
            bytes_down_per_client_s: Some(0.0),
            bytes_up_per_client_s: Some(0.0),
            packets_per_client_s: Some(0.0),
            lost_ratio: Some(0.0),
            overflowed: Some(0),
            after_black_out: Some(AfterBlackOutFigures {
                gate: Some(0),
                stale_over_gate: Some(0),
                ..AfterBlackOutFigures::default()
            }),
            ..Self::default()
        }
    }
    /// From what its players measured and what passed through its relay.
    pub(super) fn new(plan: &Comparison, sum: Measured, traffic: Option<Traffic>, seconds: f64) -> Self {
        let player_seconds = f64::from(plan.clients) * seconds;
        // The observer of a direct comparison has the same link as the players it would be compared with.
        let has_truth = plan.scenario.is_some();
        let rate = |count: fn(&Traffic) -> u64| {
            traffic.filter(|_| player_seconds > 0.0).map(|traffic| count(&traffic) as f64 / player_seconds)
        };
        let packets = |traffic: &Traffic| traffic.packets_down + traffic.packets_up;
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let after_black_out = sum.after_black_out.map(|after| AfterBlackOutFigures {
            players: after.players,
            first_age_ms: after.first_age_us as f64 / 1000.0,
            stale: after.stale,
            gate: sum.gate,
            stale_over_gate: sum.gate.map(|gate| after.stale as i64 - gate as i64),
            fresh_after_ms: ms(after.fresh_after),
        });
        Self {
            stayed: sum.stayed,
            errors: sum.errors.len() as u64,
            examples: sum.errors.into_iter().take(3).collect(),
            age_ms: sum.age.quantiles_ms(),
            shown_age_ms: sum.shown_age.quantiles_ms(),
            own_zone_age_ms: sum.own_zone_age.quantiles_ms(),
            input_to_state_ms: sum.input.quantiles_ms(),
            error_now: sum.error_now.quantiles().filter(|_| has_truth),
            error_shown: sum.error_shown.quantiles().filter(|_| has_truth),
            life_late_ms: sum.life_late.quantiles_ms().filter(|_| has_truth),
            longest_gap_ms: ms(sum.longest_gap),
            longest_freeze_ticks: freeze_ticks(sum.longest_gap, plan.tick()),
            longest_standstill_ms: ms(sum.longest_standstill),
            delivered_ratio: (sum.due > 0).then(|| sum.states as f64 / sum.due as f64),
            ticks_missed: sum.due.saturating_sub(sum.states),
            late_dropped: sum.late,
            bytes_down_per_client_s: rate(|traffic| traffic.bytes_down),
            bytes_up_per_client_s: rate(|traffic| traffic.bytes_up),
            packets_per_client_s: rate(|traffic| traffic.packets_down + traffic.packets_up),
            lost_ratio: traffic
                .filter(|traffic| packets(traffic) > 0)
                .map(|traffic| traffic.lost as f64 / packets(&traffic) as f64),
            overflowed: traffic.map(|traffic| traffic.overflowed),
            after_black_out,
        }
    }
}

/// A gap in whole ticks, rounded, minus the one that is always there.
fn freeze_ticks(gap: Duration, tick: Duration) -> u64 {
    let ticks = (gap.as_secs_f64() / tick.as_secs_f64()).round() as u64;
    ticks.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_is_a_gap_less_the_tick_that_is_always_between_two_states() {
        let tick = Duration::from_millis(50);
        let freeze = |ms| freeze_ticks(Duration::from_millis(ms), tick);
        assert_eq!([0, 50, 70, 80, 200, 224, 226].map(freeze), [0, 0, 0, 1, 3, 3, 4]);
    }

    #[test]
    fn the_ratio_is_there_once_both_are() {
        let with = |p99: f64| TransportFigures {
            age_ms: Some(Quantiles { p50: 1.0, p99, p999: p99, max: p99 }),
            ..TransportFigures::default()
        };
        let mut figures = CompareFigures::default();
        figures.add(TransportKind::Quic, with(40.0));
        assert_eq!(figures.quic_age_p99_over_websocket, None);
        figures.add(TransportKind::WebSocket, with(160.0));
        assert_eq!(figures.quic_age_p99_over_websocket, Some(0.25));
        assert_eq!(figures.webtransport_age_p99_over_websocket, None);
    }
}
