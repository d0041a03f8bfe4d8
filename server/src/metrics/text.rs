//! Converts OpenMetrics text to the Prometheus text format 0.0.4.
//!
//! A scraper that does not ask for OpenMetrics (`curl`, `promtool check metrics`, old agents) gets the older
//! format, as the official client libraries do. The differences are small: in the old format a counter's
//! family has the suffix of its samples, and there is no `info`, `UNIT` or `EOF`.

/// Converts OpenMetrics text, as `prometheus_client` writes it, to the Prometheus text format.
pub(super) fn from_openmetrics(openmetrics: &str) -> String {
    let mut out = String::with_capacity(openmetrics.len());
    // HELP comes before TYPE, and its name depends on the type.
    let mut help: Option<(&str, &str)> = None;
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            if let Some((_, help)) = help.take().filter(|(of, _)| *of == name) {
                out.extend(["# HELP ", name, suffix, " ", help, "\n"]);
            }
            out.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            out.extend([line, "\n"]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_infos_carry_their_suffix() {
        let openmetrics = "# HELP a_bytes Bytes.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total 1\n\
                           # HELP b B.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
                           # HELP c C.\n# TYPE c gauge\nc 2\n# EOF\n";
        let text = "# HELP a_bytes_total Bytes.\n# TYPE a_bytes_total counter\na_bytes_total 1\n\
                    # HELP b_info B.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n\
                    # HELP c C.\n# TYPE c gauge\nc 2\n";
        assert_eq!(from_openmetrics(openmetrics), text);
    }
}
