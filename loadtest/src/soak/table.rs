//! A soak as a table.

use super::{
    figures::{SoakFigures, TrendFigures},
    trend::Verdict,
};
use crate::report::table::{Table, optional};

const MIB: f64 = 1024.0 * 1024.0;

/// The table of a soak.
pub fn soak(figures: &SoakFigures) -> String {
    let mut table = Table::default();
    let SoakFigures { clients, spectators, rooms, rooms_replaced, bots, left_behind, .. } = figures;
    table.row("bots", format!("{clients} play, {spectators} watch, in {rooms} rooms over all transports"));
    table.row(
        "measured",
        format!(
            "{:.1} min, {} samples, {} missing",
            figures.seconds / 60.0,
            figures.samples,
            figures.samples_missing
        ),
    );
    table.row("CPU, cores", format!("server {:.2}, bots {:.2}", figures.server_cpu, figures.swarm_cpu));
    table.row("errors", figures.errors.to_string());
    for (kind, count) in &figures.errors_by_kind {
        table.row(&format!("  {kind}"), count.to_string());
    }
    table.heading("the bots", &[]);
    let counts = [
        ("joined", bots.joined),
        ("left", bots.left),
        ("resumed after a cut", bots.resumed),
        ("vanished", bots.vanished),
        ("did not read for a while", bots.stalled),
        ("began to watch", bots.watched),
        ("lost their room", bots.rooms_closed),
        ("rooms replaced", *rooms_replaced),
        ("states", bots.states),
    ];
    counts.iter().for_each(|(what, count)| table.row(&format!("  {what}"), count.to_string()));
    table.heading("growth per hour", &["mean", "slope", "95 % from", "to", "% from", "to", ""]);
    figures.trends.iter().for_each(|(name, trend)| trend_row(&mut table, name, trend));
    table.row("", format!("tolerated: {} % of the mean per hour", figures.tolerance));
    table.heading("left behind", &[]);
    let left = [
        ("connections", left_behind.connections),
        ("seats", left_behind.players),
        ("spectators", left_behind.spectators),
        ("rooms", left_behind.rooms),
        ("threads", left_behind.threads),
        ("descriptors", left_behind.descriptors),
    ];
    left.iter().for_each(|(what, count)| table.row(&format!("  {what}"), count.to_string()));
    table.text
}

fn trend_row(table: &mut Table, name: &str, trend: &TrendFigures) {
    let (label, unit) = match name.strip_suffix("_bytes") {
        Some(name) => (format!("  {name}, MiB"), MIB),
        None => (format!("  {}", name.replace('_', " ")), 1.0),
    };
    let number = |value: f64| format!("{:.3}", value / unit);
    let percent = |value: f64| format!("{:+.2}", 100.0 * value / trend.mean);
    let verdict = match trend.verdict {
        Some(Verdict::Flat) => "flat",
        Some(Verdict::Grows) => "GROWS",
        Some(Verdict::Unclear) | None => "unclear",
    };
    table.cells(
        &label,
        &[
            number(trend.mean),
            number(trend.slope),
            optional(trend.low, number),
            optional(trend.high, number),
            optional(trend.low, percent),
            optional(trend.high, percent),
            verdict.to_owned(),
        ],
    );
}
