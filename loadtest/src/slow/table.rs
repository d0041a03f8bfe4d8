//! A stall as a table.

use super::figures::SlowFigures;
use crate::report::table::{Table, optional};

/// The table of a stall.
pub fn slow(figures: &SlowFigures) -> String {
    let mut table = Table::default();
    let ms = |value: Option<f64>| optional(value, |ms| format!("{ms:.1} ms"));
    table.row("players", format!("{} of {} at {} Hz", figures.connected, figures.clients, figures.tick_rate));
    table.row("one did not read for", format!("{:.2} s", figures.stall_s));
    table.row("errors", figures.errors.to_string());
    table.row("stale states after it", figures.stale_after_resume.to_string());
    table.row(
        "  in its own kernel's buffer",
        format!("{} ({} bytes unread)", figures.stale_in_own_buffers, figures.own_buffer_bytes),
    );
    let gate = optional(figures.gate, |gate| format!("in flight by the gate: {gate}"));
    table.row("  beyond it", format!("{} ({gate})", figures.stale_beyond_own_buffers));
    table.row("age of the first state", ms(figures.first_state_age_ms));
    table.row("first fresh state after", ms(figures.first_fresh_after_ms));
    table.row("  and its age", ms(figures.first_fresh_age_ms));
    table.row(
        "server's memory grew by",
        optional(figures.server_rss_growth_bytes, |b| format!("{:.1} KiB", b as f64 / 1024.0)),
    );
    table.heading("gap of the others, ms", &["p50", "p99", "p99.9", "max"]);
    table.quantiles("before", figures.others_gap_before_ms, 2);
    table.quantiles("during", figures.others_gap_during_ms, 2);
    table.quantiles("after", figures.others_gap_after_ms, 2);
    table.text
}
