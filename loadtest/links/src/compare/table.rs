//! A comparison as a table: a row for each figure, a column for each transport.

use super::figures::{CompareFigures, TransportFigures};
use crate::histogram::Quantiles;
use std::fmt::Write;

const LABEL: usize = 34;
const CELL: usize = 22;

/// The table.
pub fn compare(figures: &CompareFigures) -> String {
    let mut table = String::new();
    let link = match (&figures.scenario, figures.seed) {
        (Some(name), Some(seed)) => format!("{name}, seed {seed}"),
        _ => "as it is".to_owned(),
    };
    // Writing to a string does not fail.
    let _ = writeln!(
        table,
        "{:LABEL$}{link}\n{:LABEL$}{} of {} on each transport, {} Hz, {:.1} s",
        "link", "players", figures.players, figures.players, figures.tick_rate, figures.seconds
    );
    let transports: Vec<&TransportFigures> = figures.transports().map(|(_, figures)| figures).collect();
    let names = figures.transports().map(|(name, _)| name.to_owned());
    row(&mut table, "", names);
    for (label, show) in ROWS {
        row(&mut table, label, transports.iter().map(|transport| show(transport)));
    }
    let ratios = [
        ("age p99, quic / websocket", figures.quic_age_p99_over_websocket),
        ("age p99, webtransport / websocket", figures.webtransport_age_p99_over_websocket),
    ];
    for (label, ratio) in ratios {
        if let Some(ratio) = ratio {
            let _ = writeln!(table, "{label:LABEL$}{ratio:.2}");
        }
    }
    if let Some(dropped) = figures.stale_dropped {
        let _ = writeln!(table, "{:LABEL$}{dropped} (all transports)", "replaced before they were sent");
    }
    table
}

type Row = (&'static str, fn(&TransportFigures) -> String);

const ROWS: [Row; 19] = [
    ("stayed, errors", |t| format!("{}, {}", t.stayed, t.errors)),
    ("ms, units:", |_| "p50 / p99 / max".to_owned()),
    ("state's age on arrival", |t| quantiles(t.age_ms, 0)),
    ("age of what is shown", |t| quantiles(t.shown_age_ms, 0)),
    ("age of the own zone", |t| quantiles(t.own_zone_age_ms, 0)),
    ("input to state", |t| quantiles(t.input_to_state_ms, 0)),
    ("error to the truth now", |t| quantiles(t.error_now, 2)),
    ("error at the moment shown", |t| quantiles(t.error_shown, 2)),
    ("  respawns shown late, ms", |t| quantiles(t.life_late_ms, 0)),
    ("longest freeze, ticks", |t| format!("{} ({:.0} ms)", t.longest_freeze_ticks, t.longest_gap_ms)),
    ("longest standstill shown, ms", |t| format!("{:.0}", t.longest_standstill_ms)),
    ("ticks applied", |t| optional(t.delivered_ratio, |ratio| format!("{:.2} %", ratio * 100.0))),
    ("late states dropped", |t| t.late_dropped.to_string()),
    ("bytes/s a player, down + up", |t| {
        let pair = t.bytes_down_per_client_s.zip(t.bytes_up_per_client_s);
        optional(pair, |(down, up)| format!("{down:.0} + {up:.0}"))
    }),
    ("packets/s a player", |t| optional(t.packets_per_client_s, |packets| format!("{packets:.1}"))),
    ("lost (TCP: sent again), overflow", |t| {
        let pair = t.lost_ratio.zip(t.overflowed);
        optional(pair, |(lost, overflowed)| format!("{:.2} %, {overflowed}", lost * 100.0))
    }),
    ("after blackout: first age, ms", |t| {
        after(t, |after| format!("{:.0} ({} players)", after.first_age_ms, after.players))
    }),
    ("  stale states (K)", |t| {
        after(t, |after| format!("{} ({})", after.stale, optional(after.gate, |gate| gate.to_string())))
    }),
    ("  fresh after, ms", |t| after(t, |after| format!("{:.0}", after.fresh_after_ms))),
];

fn after(
    transport: &TransportFigures,
    show: impl Fn(&super::figures::AfterBlackOutFigures) -> String,
) -> String {
    transport.after_black_out.as_ref().map_or_else(|| "-".to_owned(), show)
}

fn row(table: &mut String, label: &str, cells: impl Iterator<Item = String>) {
    let cells: String = cells.map(|cell| format!("{cell:CELL$}")).collect();
    let _ = writeln!(table, "{label:LABEL$}{}", cells.trim_end());
}

fn quantiles(quantiles: Option<Quantiles>, digits: usize) -> String {
    optional(quantiles, |q| format!("{:.digits$} / {:.digits$} / {:.digits$}", q.p50, q.p99, q.max))
}

fn optional<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "not measured".to_owned(), show)
}
