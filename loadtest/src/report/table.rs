//! The figures as a table on standard output.

use crate::{figures::Figures, floor::FloorFigures};
use driftless_links::Quantiles;
use std::fmt::Write;

/// The table of a run.
pub fn run(figures: &Figures) -> String {
    let mut table = Table::default();
    table.row(
        "clients connected",
        format!(
            "{} of {} in {} rooms over {}",
            figures.connected, figures.clients, figures.rooms, figures.transport
        ),
    );
    table.row("measured", format!("{:.1} s at {} Hz", figures.seconds, figures.tick_rate));
    table.row("errors", figures.errors.to_string());
    for (kind, count) in &figures.errors_by_kind {
        table.row(&format!("  {kind}"), count.to_string());
    }
    for (code, count) in &figures.disconnects {
        table.row(&format!("  disconnects {code}"), count.to_string());
    }
    if figures.resumed + figures.rejoined > 0 {
        table.row("came back: resumed, anew", format!("{}, {}", figures.resumed, figures.rejoined));
    }
    if figures.moved > 0 {
        table.row("sent to another node", figures.moved.to_string());
    }
    table
        .row("ticks delivered", optional(figures.delivered_ratio, |ratio| format!("{:.3} %", ratio * 100.0)));
    table.heading("", &["p50", "p99", "p99.9", "max"]);
    table.quantiles("state age on arrival, ms", figures.state_age_ms, 2);
    table.quantiles("input to state, ms", figures.input_to_state_ms, 2);
    table.quantiles("gap between states, ms", figures.gap_ms, 2);
    if figures.moved_gap_ms.is_some() {
        table.quantiles("  on the way to another node", figures.moved_gap_ms, 2);
    }
    if figures.away_ms.is_some() {
        table.quantiles("  of those who came back", figures.away_ms, 2);
    }
    if figures.zone_age_ms.is_some() {
        table.quantiles("age of a zone, ms", figures.zone_age_ms, 2);
        table.quantiles("age of one's own zone, ms", figures.near_zone_age_ms, 2);
    }
    table.quantiles("tick lateness, µs", figures.tick_lateness_us, 0);
    table.quantiles("swarm's own lateness, ms", figures.swarm.send_lateness_ms, 2);
    table.heading("a client", &["bytes/s", "messages/s"]);
    let pair = |a: Option<f64>, b: Option<f64>| [optional(a, one), optional(b, one)];
    table.cells("down", &pair(figures.bytes_down_per_client_s, figures.messages_down_per_client_s));
    table.cells("up", &pair(figures.bytes_up_per_client_s, figures.messages_up_per_client_s));
    table.row("bytes a moving entity a tick", optional(figures.bytes_per_entity_tick, |b| format!("{b:.2}")));
    if let (Some(zones), Some(behind)) = (figures.zones_in_view.filter(|n| *n > 0.0), figures.zones_behind) {
        table.row("zones in view, behind", format!("{zones:.1}, {behind:.2}"));
    }
    table.row("stale states dropped", optional(figures.stale_dropped, |n| n.to_string()));
    table.row("ticks skipped", optional(figures.ticks_skipped, |n| n.to_string()));
    table.heading("a client-tick, a client", &["CPU µs", "RSS KiB"]);
    let kib = |bytes: Option<f64>| optional(bytes, |b| format!("{:.1}", b / 1024.0));
    let cpu = |us: Option<f64>| optional(us, |us| format!("{us:.2}"));
    table.cells(
        "server",
        &[cpu(figures.server.cpu_us_per_client_tick), kib(figures.server.rss_bytes_per_client)],
    );
    table.cells(
        "swarm",
        &[cpu(figures.swarm.cpu_us_per_client_tick), kib(figures.swarm.rss_bytes_per_client)],
    );
    if let Some(floor) = &figures.floor {
        table.cells(
            "floor",
            &[cpu(Some(floor.cpu_us_per_client_tick)), kib(Some(floor.rss_bytes_per_client))],
        );
        table
            .cells("server / floor", &[optional(figures.server_over_floor, |ratio| format!("{ratio:.2} ×"))]);
    }
    table.text
}

/// The table of a floor.
pub fn floor(figures: &FloorFigures) -> String {
    let mut table = Table::default();
    table.row("clients", format!("{} in {} rooms", figures.clients, figures.rooms));
    table.row(
        "traffic",
        format!("{} Hz, {} B down, {} B up", figures.tick_rate, figures.frame_bytes, figures.input_bytes),
    );
    table.row(
        "measured",
        format!("{:.1} s, {:.3} % delivered", figures.seconds, figures.delivered_ratio * 100.0),
    );
    table.row("server, CPU µs a client-tick", format!("{:.2}", figures.cpu_us_per_client_tick));
    table.row("swarm, CPU µs a client-tick", format!("{:.2}", figures.swarm_cpu_us_per_client_tick));
    table.row("server, KiB RSS a client", format!("{:.2}", figures.rss_bytes_per_client / 1024.0));
    table.text
}

fn one(value: f64) -> String {
    format!("{value:.1}")
}

/// A value, or that there is none.
pub fn optional<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "not measured".to_owned(), show)
}

/// Labels, and cells beside them.
#[derive(Debug, Default)]
pub struct Table {
    /// The lines so far.
    pub text: String,
}

impl Table {
    const LABEL: usize = 30;
    const CELL: usize = 14;

    /// A label and what stands beside it.
    pub fn row(&mut self, label: &str, value: String) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{label:<width$}{value}", width = Self::LABEL);
    }
    pub fn cells(&mut self, label: &str, cells: &[String]) {
        let cells: String = cells.iter().map(|cell| format!("{cell:<width$}", width = Self::CELL)).collect();
        self.row(label, cells.trim_end().to_owned());
    }
    /// An empty line, and the heads of the cells below.
    pub fn heading(&mut self, label: &str, cells: &[&str]) {
        self.text.push('\n');
        self.cells(label, &cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>());
    }
    /// Quantiles in four cells.
    pub fn quantiles(&mut self, label: &str, quantiles: Option<Quantiles>, digits: usize) {
        match quantiles {
            None => self.row(label, "not measured".into()),
            Some(q) => {
                self.cells(label, &[q.p50, q.p99, q.p999, q.max].map(|value| format!("{value:.digits$}")));
            }
        }
    }
}
