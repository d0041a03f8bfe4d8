//! What came of aimed shots as a table.

use super::{figures::AimFigures, verdict::Misses};
use crate::report::table::{Table, optional};

/// The table.
pub fn aim(figures: &AimFigures) -> String {
    let mut table = Table::default();
    table.row("link", figures.scenario.clone());
    table.row("measured", format!("{:.1} s at {} Hz", figures.seconds, figures.tick_rate));
    table.row("shooters", format!("{} of each kind, {} runners each", figures.shooters, figures.runners));
    table.row("errors", figures.errors.to_string());
    for (transport, both) in figures.transports() {
        table.heading(transport, &["on", "off"]);
        let both = [&both.on, &both.off];
        table.cells("shots", &both.map(|of| of.shots.to_string()));
        table.cells("hit on the screen", &both.map(|of| of.shown.to_string()));
        table.cells("of these, hit in the room", &both.map(|of| of.hits.to_string()));
        table.cells("", &both.map(|of| optional(of.hit_ratio, |ratio| format!("{:.1} %", ratio * 100.0))));
        table.cells("of these, hit another", &both.map(|of| of.another.to_string()));
        let misses = |of: fn(&Misses) -> u64| both.map(|both| of(&both.misses).to_string());
        table.cells("missed: not fired", &misses(|of| of.not_fired));
        table.cells("missed: dead already", &misses(|of| of.dead));
        table.cells("missed: not rewound enough", &misses(|of| of.late));
        table.cells("missed: shown elsewhere", &misses(|of| of.off));
        table.cells("missed otherwise", &misses(|of| of.other));
        table.cells("hit in the room only", &both.map(|of| of.unseen.to_string()));
        let ms = |ms: Option<driftless_links::Quantiles>| {
            optional(ms, |ms| format!("{:.0} / {:.0}", ms.p50, ms.p99))
        };
        table.cells("picture's age, ms, p50 / p99", &both.map(|of| ms(of.picture_age_ms)));
        table.cells("rewound, ms, p50 / p99", &both.map(|of| ms(of.rewound_ms)));
        let m =
            |m: Option<driftless_links::Quantiles>| optional(m, |m| format!("{:.3} / {:.3}", m.p50, m.p99));
        table.cells("shown off by, m, p50 / p99", &both.map(|of| m(of.shown_off_m)));
    }
    table.text
}
