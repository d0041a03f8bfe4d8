//! The figures as one self-contained page: styles and plots are inline, and it follows the reader's light or
//! dark mode.

use super::plot::{Line, Plot, escape, number};
use crate::{
    figures::Figures,
    measure::{Measure, Timeline},
};
use driftless_links::{Micros, Quantiles};
use std::fmt::Write;

/// The whole page. `command` is what was asked for; `doubt`, why the figures may not be the server's.
pub fn page(figures: &Figures, measure: &Measure, command: &str, doubt: Option<&str>) -> String {
    let mut body = format!(
        "<h1>Driftless load test</h1>\n<p><code>{}</code></p>\n<p>{} of {} bots in {} rooms at {} Hz, measured for {:.1} s.</p>\n",
        escape(command),
        figures.connected,
        figures.clients,
        figures.rooms,
        figures.tick_rate,
        figures.seconds
    );
    if let Some(doubt) = doubt {
        // Writing to a string does not fail.
        let _ = writeln!(body, "<p class=\"bad\">Warning: {}.</p>", escape(doubt));
    }
    body += &tiles(figures);
    body += &quantile_table(figures);
    body += &section(
        "How late is what arrives?",
        "Each line shows how many milliseconds a share of all values stays below.",
        &distribution(measure).svg(),
    );
    body += &section(
        "Over the run",
        "A line that rises says that something ran full. One point an interval.",
        &(over_time(&measure.timeline).svg() + &states_over_time(figures, &measure.timeline).svg()),
    );
    body += &cost(figures);
    body += &problems(figures);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Driftless load test</title>\n<style>{STYLE}</style>\n<main>\n{body}</main>\n</html>\n"
    )
}

const STYLE: &str = "
:root { --ground: #fcfcfb; --card: #f2f2ef; --ink: #1d1d1b; --soft: #6a6a66; --grid: #dcdcd7; --s0: #2069c9; --s1: #c2551a; --s2: #13806b; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #161615; --card: #222220; --ink: #ecece8; --soft: #a3a39d; --grid: #3a3a37; --s0: #6ba5f2; --s1: #ee9052; --s2: #4fc2a8; --bad: #f2877f; }
}
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 0; }
p { margin: .4rem 0; color: var(--soft); } code { overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .6rem; margin: 1.2rem 0; }
.tiles div { background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }
.tiles b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; } .tiles span { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .5rem; border-bottom: 1px solid var(--grid); } th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child { text-align: left; }
.bad { color: var(--bad); }
svg { width: 100%; height: auto; margin: .6rem 0; } svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
svg .y { text-anchor: end; } svg .x { text-anchor: middle; } svg .end { fill: var(--ink); }
.grid { stroke: var(--grid); fill: none; } .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.s0 { stroke: var(--s0); } .s1 { stroke: var(--s1); } .s2 { stroke: var(--s2); }
.bar { stroke: none; } .bar.s0 { fill: var(--s0); } .bar.s1 { fill: var(--s1); } .bar.s2 { fill: var(--s2); }
";

fn tiles(figures: &Figures) -> String {
    let mut html = "<div class=\"tiles\">".to_owned();
    let mut tile = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = write!(html, "<div><b>{value}</b><span>{name}</span></div>");
    };
    tile("of due ticks delivered", optional(figures.delivered_ratio, |r| format!("{:.2} %", r * 100.0)));
    tile("errors", figures.errors.to_string());
    tile("ms input to state, median", optional(figures.input_to_state_ms, |q| format!("{:.1}", q.p50)));
    tile("bytes a moving entity a tick", optional(figures.bytes_per_entity_tick, |b| format!("{b:.2}")));
    tile("kB/s down a client", optional(figures.bytes_down_per_client_s, |b| format!("{:.2}", b / 1000.0)));
    tile("kB/s up a client", optional(figures.bytes_up_per_client_s, |b| format!("{:.2}", b / 1000.0)));
    tile("stale states dropped", optional(figures.stale_dropped, |n| n.to_string()));
    tile("ticks skipped", optional(figures.ticks_skipped, |n| n.to_string()));
    html + "</div>\n"
}

fn quantile_table(figures: &Figures) -> String {
    let mut html = "<div class=\"scroll\"><table><tr><th><th>median<th>99 %<th>99.9 %<th>most\n".to_owned();
    let mut row = |name: &str, q: Option<Quantiles>| {
        let cells = match q {
            Some(q) => format!("<td>{:.2}<td>{:.2}<td>{:.2}<td>{:.2}", q.p50, q.p99, q.p999, q.max),
            None => "<td colspan=\"4\">not measured".to_owned(),
        };
        let _ = writeln!(html, "<tr><td>{name}{cells}");
    };
    row("state's age on arrival, ms", figures.state_age_ms);
    row("input to state, ms", figures.input_to_state_ms);
    row("gap between states, ms", figures.gap_ms);
    row("tick's lateness on the server, µs", figures.tick_lateness_us);
    html + "</table></div>\n"
}

fn section(title: &str, what: &str, content: &str) -> String {
    format!("<h2>{title}</h2>\n<p>{what}</p>\n{content}")
}

/// The horizontal axis has as much room from 90 to 99 % as from 99 to 99.9 %: that is where servers differ.
fn distribution(measure: &Measure) -> Plot {
    const NINES: f64 = 4.0;
    let line = |name, micros: &Micros| {
        let point = |step: u32| {
            let place = f64::from(step) / 200.0;
            (place, micros.at_ms(1.0 - 10f64.powf(-place * NINES)))
        };
        Line { name, points: (0..=200).map(point).collect() }
    };
    let mark = |share: f64| (-(1.0 - share).log10() / NINES, format!("{} %", share * 100.0));
    let mut x_marks: Vec<_> = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999].map(mark).into();
    x_marks[5].1 = "99.99 %".to_owned();
    Plot {
        title: "Distribution of state age, input to state, and gap between states",
        unit: "ms",
        x_label: "share of all values",
        x_marks,
        lines: vec![
            line("state's age", &measure.age),
            line("input to state", &measure.input),
            line("gap", &measure.gap),
        ],
    }
}

fn over_time(timeline: &Timeline) -> Plot {
    let line = |name, value: &dyn Fn(usize) -> Option<f64>| Line { name, points: points(timeline, value) };
    Plot {
        title: "State age and gap between states over the run",
        unit: "ms",
        x_label: "seconds",
        x_marks: seconds(timeline),
        lines: vec![
            line("age, median", &|at| timeline.intervals[at].age.at_ms(0.5)),
            line("age, 99 %", &|at| timeline.intervals[at].age.at_ms(0.99)),
            line("gap, 99 %", &|at| timeline.intervals[at].gap.at_ms(0.99)),
        ],
    }
}

fn states_over_time(figures: &Figures, timeline: &Timeline) -> Plot {
    let due = figures.connected as f64 * f64::from(figures.tick_rate);
    // The last interval may be cut short by the end of the run: its rate is over the time it had.
    let step = timeline.step.as_secs_f64();
    let had = |at: usize| step.min(figures.seconds - at as f64 * step);
    let arrived = |at: usize| (had(at) > 0.1 * step).then(|| timeline.intervals[at].states as f64 / had(at));
    Plot {
        title: "States that arrived, a second",
        unit: "states a second",
        x_label: "seconds",
        x_marks: seconds(timeline),
        lines: vec![
            Line { name: "arrived", points: points(timeline, &arrived) },
            Line { name: "due", points: vec![(0.0, Some(due)), (1.0, Some(due))] },
        ],
    }
}

/// One point in the middle of each interval.
fn points(timeline: &Timeline, value: &dyn Fn(usize) -> Option<f64>) -> Vec<(f64, Option<f64>)> {
    let count = timeline.intervals.len();
    (0..count).map(|at| ((at as f64 + 0.5) / count as f64, value(at))).collect()
}

fn seconds(timeline: &Timeline) -> Vec<(f64, String)> {
    let all = timeline.step.as_secs_f64() * timeline.intervals.len() as f64;
    (0..=5)
        .map(|fifth| (f64::from(fifth) / 5.0, number((all * f64::from(fifth) * 2.0).round() / 10.0)))
        .collect()
}

/// CPU time of server, floor and swarm as bars.
fn cost(figures: &Figures) -> String {
    let mut bars = Vec::new();
    let mut bar = |name, us: Option<f64>, rss: Option<f64>| {
        if let Some(us) = us {
            bars.push((name, us, rss));
        }
    };
    bar("server", figures.server.cpu_us_per_client_tick, figures.server.rss_bytes_per_client);
    if let Some(floor) = &figures.floor {
        bar("floor", Some(floor.cpu_us_per_client_tick), Some(floor.rss_bytes_per_client));
    }
    bar("this swarm", figures.swarm.cpu_us_per_client_tick, figures.swarm.rss_bytes_per_client);
    let most = bars.iter().fold(0.0_f64, |most, (_, us, _)| most.max(*us)).max(f64::MIN_POSITIVE);
    let height = bars.len() * 34 + 8;
    let mut svg =
        format!("<svg viewBox=\"0 0 720 {height}\" role=\"img\" aria-label=\"CPU time per client-tick\">\n");
    for (index, (name, us, rss)) in bars.iter().enumerate() {
        let (y, width) = (index * 34 + 4, us / most * 380.0);
        let rss = rss.map_or(String::new(), |bytes| format!(", {:.1} KiB RSS a client", bytes / 1024.0));
        let _ = writeln!(
            svg,
            "<text class=\"y\" x=\"86\" y=\"{}\">{name}</text><rect class=\"bar s{index}\" x=\"96\" y=\"{y}\" width=\"{width:.1}\" height=\"24\" rx=\"3\"/>\
             <text class=\"end\" x=\"{:.1}\" y=\"{}\">{us:.2} µs{rss}</text>",
            y + 17,
            width + 104.0,
            y + 17
        );
    }
    svg.push_str("</svg>\n");
    let over = figures.server_over_floor.map_or(String::new(), |ratio| {
        format!(" The server takes {ratio:.2} times what the kernel alone charges (the floor).")
    });
    section(
        "What a client-tick costs",
        &format!("CPU time for one state delivered and one input taken.{over}"),
        &svg,
    )
}

fn problems(figures: &Figures) -> String {
    if figures.errors_by_kind.is_empty() && figures.disconnects.is_empty() {
        return String::new();
    }
    let mut rows = "<table>".to_owned();
    for (kind, count) in &figures.errors_by_kind {
        let _ = writeln!(rows, "<tr><td class=\"bad\">{}<td>{count}", escape(kind));
    }
    for (code, count) in &figures.disconnects {
        let _ = writeln!(rows, "<tr><td class=\"bad\">disconnected with code {code}<td>{count}");
    }
    section("What went wrong", "In the whole run, not only in the measured time.", &(rows + "</table>\n"))
}

fn optional<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), show)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_run_without_any_figure_still_makes_a_page() {
        let page = page(
            &Figures::default(),
            &Measure::new(Duration::from_secs(3)),
            "loadtest run --trace '<x>'",
            None,
        );
        assert!(page.contains("--trace '&lt;x&gt;'") && page.contains("not measured"));
        assert!(!page.contains("NaN") && !page.contains("inf"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let figures = Figures { errors_by_kind: [("gap".to_owned(), 2)].into(), ..Figures::default() };
        let page = page(&figures, &Measure::new(Duration::from_secs(3)), "loadtest run", Some("it was late"));
        assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("http"));
        assert!(page.contains("What went wrong") && page.contains("Warning: it was late."));
    }
}
