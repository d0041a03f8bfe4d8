//! The one list of metrics: what a running server tells a scraper.

use super::{
    cell,
    util::{TestServer, config, http},
};
use driftless_server::health::PartName;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// A metric with all its labels.
#[derive(Debug, Clone, Default)]
pub(super) struct Family {
    /// Its name in queries, without `_bucket`, `_sum` and `_count`.
    pub name: String,
    /// Counter, gauge, histogram or info.
    pub kind: String,
    /// What it counts.
    pub help: String,
    /// Label and values.
    pub labels: BTreeMap<String, BTreeSet<String>>,
}

/// A part of the reference and of the dashboard, and how the names of its metrics begin (without
/// `driftless_`). What fits nowhere is in the last one.
const SECTIONS: [(&str, &[&str]); 10] = [
    ("Health", &["failing", "log_", "room_events_dropped", "certificate", "build"]),
    ("Ticks", &["room_tick_", "ticks", "encode"]),
    ("Rooms and players", &["rooms", "players", "resumes", "disconnects"]),
    ("Connections and traffic", &["connections", "received_", "sent_"]),
    ("States", &["states_", "stale_", "deltas_"]),
    ("What players do", &["inputs", "excess_", "late_inputs_", "commands", "events"]),
    ("Refused", &["refused", "requests_refused"]),
    ("Topics", &["topic"]),
    (
        "Many machines",
        &["lease", "claims", "takeover", "stored_", "moved", "migration", "redis_", "presence_"],
    ),
    ("Recordings, jobs, process", &[]),
];

impl Family {
    /// Whether a name in a query is one of its samples.
    pub(super) fn has(&self, name: &str) -> bool {
        let rest = name.strip_prefix(&*self.name);
        match &*self.kind {
            "histogram" => matches!(rest, Some("_bucket" | "_sum" | "_count")),
            _ => rest == Some(""),
        }
    }
}

/// All metrics of a server, by name.
pub(super) fn families() -> Vec<Family> {
    let server = TestServer::start(config());
    let accept = "accept: application/openmetrics-text\r\n";
    let text = http::send(server.address(), "GET", "/metrics", accept, "").body;
    let mut families = Vec::<Family>::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.push(Family { name: name.into(), help: help.into(), ..Family::default() });
        } else if let Some((_, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let family = families.last_mut().unwrap();
            family.kind = kind.into();
            family.name += match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
        } else if let (Some((_, rest)), Some(family)) = (line.split_once('{'), families.last_mut()) {
            let (labels, _) = rest.rsplit_once('}').unwrap();
            for (key, value) in labels.split(',').filter_map(|pair| pair.split_once('=')) {
                let value = value.trim_matches('"').to_owned();
                family.labels.entry(key.to_owned()).or_default().insert(value);
            }
        }
    }
    for family in &mut families {
        family.labels.remove("le");
        if family.kind == "info" {
            family.labels.values_mut().for_each(|values| *values = BTreeSet::from(["…".to_owned()]));
        }
        // This server has neither store nor keys nor other nodes.
        if let Some(parts) = family.labels.get_mut("part") {
            parts.extend(PartName::ALL.map(|part| part.text().to_owned()));
        }
    }
    families.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(families.len() > 40, "{families:?}");
    families
}

/// The sections, with their metrics.
pub(super) fn sections(families: &[Family]) -> Vec<(&'static str, Vec<&Family>)> {
    let section = |family: &Family| {
        let name = family.name.trim_start_matches("driftless_");
        let of = |(_, starts): &(&str, &[&str])| starts.iter().any(|start| name.starts_with(start));
        SECTIONS.iter().position(of).unwrap_or(SECTIONS.len() - 1)
    };
    let all = SECTIONS.iter().enumerate().map(|(n, (title, _))| {
        (*title, families.iter().filter(|family| section(family) == n).collect::<Vec<_>>())
    });
    all.collect()
}

/// The chapter of the guide.
pub(super) fn chapter(families: &[Family]) -> String {
    let mut text = String::from(
        "# Reference: metrics\n\n\
         What `GET /metrics` tells, in OpenMetrics for scrapers that ask for it and in the older Prometheus text for all others. \
         `server/deploy/prometheus` has alerts with tests, `server/deploy/grafana` a dashboard with every one of these. \
         This page is generated from the code.\n",
    );
    for (title, families) in sections(families) {
        write!(text, "\n## {title}\n\n| metric | type | what |\n| --- | --- | --- |\n").unwrap();
        for Family { name, kind, help, labels } in families {
            let labels = labels.iter().map(|(key, values)| {
                let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
                format!(" By `{key}`: {}.", values.join(", "))
            });
            writeln!(text, "| `{name}` | {kind} | {}{} |", cell(help), labels.collect::<String>()).unwrap();
        }
    }
    text
}
