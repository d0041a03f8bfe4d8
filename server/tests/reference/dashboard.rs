//! The Grafana dashboard: a row for each section of the metrics, a panel for each metric, drawn as its type
//! asks for.

use super::metrics::{Family, sections};
use serde_json::{Value, json};

/// Panels side by side, of the 24 columns that Grafana has.
const WIDTH: u32 = 8;
const HEIGHT: u32 = 7;
/// Which servers are shown.
const OF: &str = r#"instance=~"$instance""#;

/// The dashboard, and the expressions in it.
pub(super) fn dashboard(families: &[Family]) -> (String, Vec<String>) {
    let (mut panels, mut expressions) = (Vec::new(), Vec::new());
    let mut y = 0;
    for (title, families) in sections(families) {
        panels.push(json!({
            "id": panels.len() + 1, "type": "row", "title": title, "collapsed": false, "panels": [],
            "gridPos": { "h": 1, "w": 24, "x": 0, "y": y },
        }));
        y += 1;
        for (n, family) in (0..).zip(&families) {
            let (x, y) = (n % 3 * WIDTH, y + n / 3 * HEIGHT);
            let queries = queries(family);
            expressions.extend(queries.iter().map(|(expression, _)| expression.clone()));
            panels.push(panel(panels.len() + 1, family, &queries, (x, y)));
        }
        y += u32::try_from(families.len()).unwrap().div_ceil(3) * HEIGHT;
    }
    let dashboard = json!({
        "title": "Driftless",
        "uid": "driftless",
        "tags": ["driftless"],
        "description": "Every metric of Driftless. Generated from server/tests/reference/dashboard.rs.",
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "refresh": "10s",
        "time": { "from": "now-1h", "to": "now" },
        "templating": { "list": [
            { "name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source" },
            {
                "name": "instance", "type": "query", "label": "Server", "multi": true, "includeAll": true,
                "datasource": { "type": "prometheus", "uid": "${datasource}" },
                "query": { "query": "label_values(driftless_build_info, instance)", "refId": "instance" },
                "current": { "text": "All", "value": "$__all" },
            },
        ] },
        "annotations": { "list": [{
            "name": "Starts", "enable": true, "iconColor": "blue",
            "datasource": { "type": "prometheus", "uid": "${datasource}" },
            "expr": format!("changes(process_start_time_seconds{{{OF}}}[1m]) > 0"),
        }] },
        "panels": panels,
    });
    expressions.push(format!("changes(process_start_time_seconds{{{OF}}}[1m]) > 0"));
    (serde_json::to_string_pretty(&dashboard).unwrap() + "\n", expressions)
}

/// Expressions, and what each line is called.
fn queries(family: &Family) -> Vec<(String, String)> {
    let Family { name, kind, labels, .. } = family;
    let label = labels.keys().next();
    let (by, legend) = match label {
        Some(label) => (format!("instance, {label}"), format!("{{{{{label}}}}} {{{{instance}}}}")),
        None => ("instance".to_owned(), "{{instance}}".to_owned()),
    };
    match &**kind {
        "histogram" => [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)]
            .map(|(quantile, q)| {
                let rate = format!("sum by (instance, le) (rate({name}_bucket{{{OF}}}[$__rate_interval]))");
                (format!("histogram_quantile({q}, {rate})"), format!("{quantile} {{{{instance}}}}"))
            })
            .to_vec(),
        "counter" => vec![(format!("sum by ({by}) (rate({name}{{{OF}}}[$__rate_interval]))"), legend)],
        // Moments: how far away, or as Grafana counts.
        _ if name.ends_with("_expires_seconds") => {
            vec![(format!("min by ({by}) ({name}{{{OF}}}) - time()"), legend)]
        }
        _ if name.ends_with("_start_time_seconds") => {
            vec![(format!("max by ({by}) ({name}{{{OF}}}) * 1000"), legend)]
        }
        _ => vec![(format!("sum by ({by}) ({name}{{{OF}}})"), legend)],
    }
}

fn panel(id: usize, family: &Family, queries: &[(String, String)], (x, y): (u32, u32)) -> Value {
    let Family { name, kind, help, .. } = family;
    let unit = match (name.contains("_bytes"), name.contains("_seconds"), &**kind) {
        (true, _, "counter") => "Bps",
        (true, ..) => "bytes",
        (_, true, "counter") => "percentunit",
        (_, true, _) if name.contains("start_time") => "dateTimeAsIso",
        (_, true, _) => "s",
        (.., "counter") => "cps",
        _ => "short",
    };
    let targets: Vec<_> = ('A'..)
        .zip(queries)
        .map(|(id, (expression, legend))| {
            json!({ "refId": id.to_string(), "expr": expression, "legendFormat": legend })
        })
        .collect();
    json!({
        "id": id, "type": "timeseries", "title": name.trim_start_matches("driftless_"), "description": help,
        "datasource": { "type": "prometheus", "uid": "${datasource}" },
        "gridPos": { "h": HEIGHT, "w": WIDTH, "x": x, "y": y },
        "fieldConfig": { "defaults": { "unit": unit, "min": 0 }, "overrides": [] },
        "options": { "legend": { "displayMode": "list", "placement": "bottom" }, "tooltip": { "mode": "multi" } },
        "targets": targets,
    })
}
