//! Puts together what the teams, the server and the kernel say.

use super::team::Outcome;
use crate::{
    check::Violations,
    cli::{RunArgs, TransportChoice},
    figures::{Figures, ServerFigures, SwarmFigures},
    measure::Measure,
    server::Scrape,
};
use driftless_proto::code::CloseCode;
use std::{collections::BTreeMap, time::Duration};

/// Everything that a run found out.
#[derive(Debug)]
pub struct Tally {
    /// What the bots measured.
    pub measure: Measure,
    /// The rooms, by name.
    pub rooms: Vec<String>,
    clients: u64,
    spectators: u64,
    transport: TransportChoice,
    tick_rate: u32,
    threads: u16,
    connected: u64,
    seconds: f64,
    empty: Edge,
    before: Edge,
    after: Edge,
    /// By room.
    skipped: Option<Vec<u64>>,
    due_by_room: Vec<u64>,
    violations: Violations,
    /// Whether it was given tokens, and an authority to trust.
    has_tokens: bool,
    has_ca: bool,
    disconnects: BTreeMap<u16, u64>,
    returned: (u64, u64),
    moved: u64,
}

/// What the outside of the bots looked like at one moment.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    /// The server's metrics.
    pub scrape: Scrape,
    /// The server's CPU time.
    pub server_cpu: Option<Duration>,
    /// The server's memory, bytes.
    pub server_rss: Option<u64>,
    /// This program's CPU time.
    pub swarm_cpu: Duration,
    /// This program's memory, bytes.
    pub swarm_rss: u64,
}

impl Tally {
    /// Adds up the teams.
    #[allow(clippy::too_many_arguments)] // each is one thing that a run finds out, and they meet only here
    pub fn new(
        args: &RunArgs,
        rooms: Vec<String>,
        connected: u64,
        seconds: f64,
        empty: Edge,
        before: Edge,
        after: Edge,
        skipped: Option<Vec<u64>>,
        outcomes: Vec<Outcome>,
    ) -> Self {
        let mut tally = Self {
            measure: Measure::new(args.duration),
            clients: args.bots() as u64,
            spectators: args.spectators.into(),
            transport: args.transport,
            tick_rate: args.game.tick_rate,
            threads: args.threads,
            connected,
            seconds,
            empty,
            before,
            after,
            skipped,
            due_by_room: vec![0; rooms.len()],
            rooms,
            violations: Violations::default(),
            has_tokens: args.tokens.token_key.is_some(),
            has_ca: args.ca.is_some(),
            disconnects: BTreeMap::new(),
            returned: (0, 0),
            moved: 0,
        };
        for outcome in outcomes {
            tally.returned.0 += outcome.returned.0;
            tally.returned.1 += outcome.returned.1;
            tally.moved += outcome.moved;
            tally.measure.add(&outcome.measure);
            tally.violations.merge(outcome.violations);
            for (code, count) in outcome.disconnects {
                *tally.disconnects.entry(code).or_default() += count;
            }
            for (sum, due) in tally.due_by_room.iter_mut().zip(outcome.due_by_room) {
                *sum += due;
            }
        }
        tally
    }
    /// What went wrong, a line each.
    pub fn violations(&self) -> impl Iterator<Item = String> {
        self.violations.examples()
    }
    /// What to do about what went wrong, where that is known.
    pub fn advice(&self) -> impl Iterator<Item = &'static str> {
        const ADDRESS: &str = "to the server all bots have one address, and it limits each: start it with \
                               --max-connections-per-address 5000 --joins-per-second-per-address 1000";
        const OTHERS: &str = "the server does not take the tokens, and says above why: is --token-key one of its token_keys, are --token-issuer and --token-audience what it wants, and does its Redis answer, if it has one (GET /readyz)?";
        const TOKENS: &str = "the server wants tokens: give --token-key FILE, one of its token_keys, or let guests in (--guests yes)";
        const FULL: &str = "the server is full: start it with more --max-connections";
        const CA: &str = "--ca FILE names the authority that has signed the server's certificate";
        let said: Vec<String> = self.violations().collect();
        let any = |code: CloseCode, texts: &[&str]| {
            let closed = self.disconnects.contains_key(&code.number());
            closed || texts.iter().any(|text| said.iter().any(|line| line.contains(text)))
        };
        [
            any(CloseCode::AddressLimit, &["address_full", "too_fast"]).then_some(ADDRESS),
            any(CloseCode::Unauthenticated, &[" 401"]).then_some(if self.has_tokens {
                OTHERS
            } else {
                TOKENS
            }),
            any(CloseCode::ServerFull, &["server_full"]).then_some(FULL),
            (!self.has_ca && said.iter().any(|line| line.contains("is not trusted"))).then_some(CA),
        ]
        .into_iter()
        .flatten()
    }
    /// A warning if the swarm was short of CPU time, so that the figures are as much its own as the server's.
    pub fn doubt(&self) -> Option<String> {
        let late = self.measure.late.at_ms(0.99).unwrap_or(0.0);
        (self.busy() > 0.9 || late > 5.0).then(|| {
            format!(
                "the swarm itself was short of CPU time (busy {:.0} %, 1 of 100 inputs {late:.1} ms late or more, {} skipped): use fewer \
                 clients, more --threads, or a quieter machine",
                self.busy() * 100.0,
                self.measure.counts.inputs_left_out
            )
        })
    }
    /// Share of the time of its threads that the swarm worked.
    fn busy(&self) -> f64 {
        let worked = self.after.swarm_cpu.saturating_sub(self.before.swarm_cpu).as_secs_f64();
        ratio(worked, self.seconds * f64::from(self.threads)).unwrap_or(0.0)
    }
    /// Bytes from the server for each state, all messages and no framing.
    pub fn down_bytes_per_state(&self) -> Option<f64> {
        let counts = &self.measure.counts;
        let header = 4.0_f64.min(if counts.bytes_down > counts.messages_down * 128 { 4.0 } else { 2.0 });
        ratio(counts.bytes_down as f64 - header * counts.messages_down as f64, counts.states as f64)
    }
    /// Bytes of a message to the server, without framing (two bytes and a mask of four).
    pub fn up_bytes_per_message(&self) -> Option<f64> {
        let counts = &self.measure.counts;
        ratio(counts.bytes_up as f64, counts.messages_up as f64).map(|bytes| bytes - 6.0)
    }
    /// The figures.
    pub fn figures(&self) -> Figures {
        let counts = &self.measure.counts;
        let states = counts.states as f64;
        let client_seconds = self.connected as f64 * self.seconds;
        let cpu = |after: Duration, before: Duration| {
            ratio((after.saturating_sub(before)).as_secs_f64() * 1e6, states)
        };
        let rss = |after: u64, empty: u64| ratio(after.saturating_sub(empty) as f64, self.connected as f64);
        Figures {
            clients: self.clients,
            spectators: self.spectators,
            connected: self.connected,
            errors: self.violations.total(),
            seconds: self.seconds,
            delivered_ratio: ratio(states, counts.due.saturating_sub(self.due_but_skipped()) as f64),
            state_age_ms: self.measure.age.quantiles_ms(),
            input_to_state_ms: self.measure.input.quantiles_ms(),
            gap_ms: self.measure.gap.quantiles_ms(),
            moved_gap_ms: self.measure.moved_gap.quantiles_ms(),
            away_ms: self.measure.away.quantiles_ms(),
            bytes_down_per_client_s: ratio(counts.bytes_down as f64, client_seconds),
            bytes_up_per_client_s: ratio(counts.bytes_up as f64, client_seconds),
            bytes_per_entity_tick: ratio(counts.delta_bytes as f64, counts.moved as f64),
            zone_age_ms: self.measure.zone_age.quantiles_ms(),
            near_zone_age_ms: self.measure.near_zone_age.quantiles_ms(),
            zones_in_view: ratio(counts.zones as f64, counts.looks as f64),
            zones_behind: ratio(counts.zones_behind as f64, counts.looks as f64),
            stale_dropped: Option::zip(self.after.scrape.stale_dropped, self.before.scrape.stale_dropped)
                .map(|(after, before)| after.saturating_sub(before)),
            ticks_skipped: self.skipped.as_ref().map(|rooms| rooms.iter().sum()),
            tick_lateness_us: Option::zip(
                self.after.scrape.lateness.as_ref(),
                self.before.scrape.lateness.as_ref(),
            )
            .and_then(|(after, before)| after.since(before).quantiles(1e6)),
            server: ServerFigures {
                cpu_us_per_client_tick: Option::zip(self.after.server_cpu, self.before.server_cpu)
                    .and_then(|(after, before)| cpu(after, before)),
                rss_bytes_per_client: Option::zip(self.after.server_rss, self.empty.server_rss)
                    .and_then(|(after, empty)| rss(after, empty)),
            },
            disconnects: self.disconnects.clone(),
            resumed: self.returned.0,
            rejoined: self.returned.1,
            moved: self.moved,
            transport: self.transport.name(),
            rooms: self.rooms.len() as u64,
            tick_rate: self.tick_rate,
            states_applied: counts.states,
            messages_down_per_client_s: ratio(counts.messages_down as f64, client_seconds),
            messages_up_per_client_s: ratio(counts.messages_up as f64, client_seconds),
            state_bytes: ratio(counts.state_bytes as f64, counts.state_messages as f64),
            input_bytes: self.up_bytes_per_message(),
            errors_by_kind: self.violations.counts(),
            swarm: SwarmFigures {
                cpu_us_per_client_tick: cpu(self.after.swarm_cpu, self.before.swarm_cpu),
                rss_bytes_per_client: rss(self.after.swarm_rss, self.empty.swarm_rss),
                busy_ratio: self.busy(),
                inputs_left_out: counts.inputs_left_out,
                send_lateness_ms: self.measure.late.quantiles_ms(),
            },
            floor: None,
            server_over_floor: None,
        }
    }

    /// Client-ticks that were due but skipped: when a room skips a tick, all its bots miss it.
    fn due_but_skipped(&self) -> u64 {
        let Some(skipped) = &self.skipped else { return 0 };
        let ticks = self.seconds * f64::from(self.tick_rate);
        let missed = |(&skipped, &due): (&u64, &u64)| {
            let bots = due as f64 / ticks.max(1.0);
            (skipped as f64 * bots).round() as u64
        };
        skipped.iter().zip(&self.due_by_room).map(missed).sum()
    }
}

/// None if there is nothing to divide by.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Violation;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RunArgs,
    }

    fn tally(skipped: Option<Vec<u64>>, cpu: Option<(u64, u64)>) -> Figures {
        with(skipped, cpu, Violations::default(), CloseCode::SlowConsumer).figures()
    }

    fn with(
        skipped: Option<Vec<u64>>,
        cpu: Option<(u64, u64)>,
        violations: Violations,
        code: CloseCode,
    ) -> Tally {
        let args =
            Line::parse_from(["loadtest", "--clients", "100", "--room-size", "50", "--duration", "10s"]).args;
        let mut measure = Measure::new(args.duration);
        (measure.counts.due, measure.counts.states) = (20_000, 19_000);
        (measure.counts.messages_down, measure.counts.bytes_down) = (20_000, 2_000_000);
        (measure.counts.delta_bytes, measure.counts.moved) = (1_900_000, 950_000);
        let outcome = Outcome {
            measure,
            violations,
            disconnects: [(code.number(), 1)].into(),
            returned: (2, 1),
            moved: 3,
            due_by_room: vec![10_000, 10_000],
        };
        let edge = |cpu: Option<u64>, rss| Edge {
            server_cpu: cpu.map(Duration::from_millis),
            server_rss: cpu.map(|_| rss),
            ..Edge::default()
        };
        let (before, after) = (edge(cpu.map(|c| c.0), 0), edge(cpu.map(|c| c.1), 3_000_000));
        let empty = edge(cpu.map(|_| 0), 1_000_000);
        let rooms = vec!["a".to_owned(), "b".to_owned()];
        Tally::new(&args, rooms, 100, 10.0, empty, before, after, skipped, vec![outcome])
    }

    #[test]
    fn what_is_in_the_way_is_told_with_the_option_that_removes_it() {
        let advice = |code, refused: &str| {
            let mut violations = Violations::default();
            violations.add(&Violation::Refused(refused.to_owned()));
            with(None, None, violations, code).advice().collect::<Vec<_>>().join("; ")
        };
        let none = CloseCode::SlowConsumer;
        assert!(advice(CloseCode::AddressLimit, "").contains("--max-connections-per-address 5000"));
        assert!(advice(CloseCode::Unauthenticated, "").contains("wants tokens"));
        assert!(advice(none, "HTTP/1.1 401 Unauthorized {}").contains("wants tokens"));
        assert!(advice(none, "a:1 refused with HTTP status 401: {}").contains("wants tokens"));
        assert!(advice(CloseCode::ServerFull, "").contains("--max-connections"));
        assert!(advice(none, "a:443 is not trusted: unknown").contains("--ca FILE"));
        assert_eq!(advice(none, "HTTP/1.1 502 Bad Gateway"), "");
    }

    #[test]
    fn ticks_that_the_server_says_it_skipped_are_not_missed() {
        assert_eq!(tally(None, None).delivered_ratio, Some(0.95));
        // 20 ticks of one room: each of its 50 bots misses them, which are the 1,000 that did not come.
        let figures = tally(Some(vec![20, 0]), None);
        assert_eq!((figures.delivered_ratio, figures.ticks_skipped), (Some(1.0), Some(20)));
    }

    #[test]
    fn the_servers_cost_is_over_states_that_arrived() {
        let figures = tally(None, Some((1_000, 1_380)));
        assert_eq!(figures.server.cpu_us_per_client_tick, Some(20.0));
        assert_eq!(figures.server.rss_bytes_per_client, Some(20_000.0));
    }

    #[test]
    fn what_was_not_measured_is_null_and_what_was_is_over_clients_and_time() {
        let figures = tally(None, None);
        assert_eq!(figures.server, ServerFigures::default());
        assert_eq!((figures.stale_dropped, figures.tick_lateness_us, figures.gap_ms), (None, None, None));
        assert_eq!(figures.bytes_down_per_client_s, Some(2_000.0));
        assert_eq!(figures.bytes_per_entity_tick, Some(2.0));
        let json = serde_json::to_value(&figures).unwrap();
        assert_eq!(json["server"]["cpu_us_per_client_tick"], serde_json::Value::Null);
        assert_eq!(json["disconnects"]["4002"], 1);
    }

    // Scripts rely on these names.
    #[test]
    fn the_keys_of_the_json_are_there() {
        let json = serde_json::to_value(tally(None, None)).unwrap();
        for key in [
            "clients",
            "connected",
            "errors",
            "seconds",
            "delivered_ratio",
            "state_age_ms",
            "input_to_state_ms",
            "gap_ms",
            "bytes_down_per_client_s",
            "bytes_up_per_client_s",
            "bytes_per_entity_tick",
            "zone_age_ms",
            "near_zone_age_ms",
            "zones_in_view",
            "zones_behind",
            "stale_dropped",
            "ticks_skipped",
            "tick_lateness_us",
            "server",
            "disconnects",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert!(json["server"].get("rss_bytes_per_client").is_some());
    }
}
