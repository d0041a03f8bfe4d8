//! What is written down about the server is generated from it: the reference in the guide, alerts, the
//! Grafana dashboard. These tests generate it again and compare. After a change:
//!
//! ```sh
//! UPDATE_REFERENCE=1 cargo test -p driftless-server --test reference
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

#[path = "../util/mod.rs"]
mod util;

mod alerts;
mod dashboard;
mod limits;
mod metrics;
mod options;

use driftless_server::health::PartName;
use metrics::Family;
use std::{env, fs};

/// Compares a file with what it should be, or writes it.
fn compare(path: &str, should: &str) {
    if env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(path, should).unwrap();
        return;
    }
    let is = fs::read_to_string(path).unwrap_or_default();
    if is == should {
        return;
    }
    let line = is.lines().zip(should.lines()).position(|(a, b)| a != b);
    let n = line.unwrap_or_else(|| is.lines().count().min(should.lines().count()));
    panic!(
        "{path} is not what the code says, from line {}: {:?} should be {:?}\n\
         UPDATE_REFERENCE=1 cargo test -p driftless-server --test reference",
        n + 1,
        is.lines().nth(n),
        should.lines().nth(n)
    );
}

/// Replaces what is between two comments of a file that is written by hand.
fn compare_part(path: &str, name: &str, should: &str) {
    let is = fs::read_to_string(path).unwrap();
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), format!("<!-- end of {name} -->"));
    let from = is.find(&begin).unwrap_or_else(|| panic!("{path} has no {begin:?}")) + begin.len();
    let to = from + is[from..].find(&end).unwrap_or_else(|| panic!("{path} has no {end:?}"));
    compare(path, &format!("{}{should}{}", &is[..from], &is[to..]));
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[test]
fn the_options_are_those_of_the_guide() {
    compare("guide/91-options.md", &options::chapter());
}

#[test]
fn the_metrics_are_those_of_the_guide() {
    compare("guide/92-metrics.md", &metrics::chapter(&metrics::families()));
}

#[test]
fn the_limits_are_those_of_the_guide() {
    compare("guide/93-limits.md", &limits::chapter());
}

#[test]
fn the_close_codes_are_those_of_the_guide() {
    compare_part("guide/90-protocol.md", "close codes", &limits::close_codes());
}

#[test]
fn the_alerts_are_those_of_the_code_and_use_metrics_that_exist() {
    let families = metrics::families();
    for alert in alerts::ALERTS {
        exist(alert.expr, &families);
    }
    compare("deploy/prometheus/alerts.yml", &alerts::rules());
}

#[test]
fn the_dashboard_is_that_of_the_code_and_shows_every_metric() {
    let families = metrics::families();
    let (text, expressions) = dashboard::dashboard(&families);
    for expression in &expressions {
        exist(expression, &families);
    }
    for family in &families {
        let shown = expressions.iter().any(|expression| expression.contains(&*family.name));
        assert!(shown, "{} is on no panel", family.name);
    }
    serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON");
    compare("deploy/grafana/driftless.json", &text);
}

#[test]
fn every_part_of_the_health_is_in_the_guide() {
    let chapter = fs::read_to_string("guide/87-watching.md").unwrap();
    for part in PartName::ALL {
        let row = format!("\n| `{}` |", part.text());
        assert!(chapter.contains(&row), "guide/87-watching.md does not have {row:?}");
    }
}

/// Every metric in an expression is one that the server has, or that Prometheus makes itself.
fn exist(expression: &str, families: &[Family]) {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !word(c));
    let mut found = 0;
    for name in words.filter(|name| name.starts_with("driftless_") || name.starts_with("process_")) {
        assert!(families.iter().any(|family| family.has(name)), "there is no metric {name} ({expression})");
        found += 1;
    }
    assert!(found > 0 || expression.contains("up{"), "{expression} uses no metric");
}
