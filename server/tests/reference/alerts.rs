//! The alerts, as rules of Prometheus. `promtool test rules` plays them through (deploy/prometheus).

use std::fmt::Write;

/// An alert.
pub(super) struct Alert {
    name: &'static str,
    /// When it is to be raised.
    pub expr: &'static str,
    /// For how long that must be so.
    wait: &'static str,
    severity: Severity,
    /// What is so. May name labels and the value, as templates.
    summary: &'static str,
    /// What to do.
    action: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Severity {
    /// Now.
    Page,
    /// Tomorrow.
    Ticket,
}

/// All of them, the most urgent first.
pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "DriftlessDown",
        expr: r#"up{job="driftless"} == 0"#,
        wait: "1m",
        severity: Severity::Page,
        summary: "{{ $labels.instance }} does not answer",
        action: "Look whether the process is there and what its log says last; when it starts again, rooms that a store keeps go on, and others are gone.",
    },
    Alert {
        name: "DriftlessAcceptsNobody",
        expr: r#"driftless_failing{part="accept"} == 1"#,
        wait: "30s",
        severity: Severity::Page,
        summary: "{{ $labels.instance }} can accept no connection",
        action: "Raise LimitNOFILE (ulimit -n), or lower max_connections; /healthz?verbose says which limit was reached.",
    },
    Alert {
        name: "DriftlessFailing",
        expr: r#"driftless_failing{part!="accept"} == 1"#,
        wait: "2m",
        severity: Severity::Page,
        summary: "{{ $labels.part }} of {{ $labels.instance }} is not well",
        action: "Ask /healthz?verbose, which says why and what to do.",
    },
    Alert {
        name: "DriftlessTicksLate",
        expr: "histogram_quantile(0.99, sum by (instance, le) (rate(driftless_room_tick_lateness_seconds_bucket[5m]))) > 0.005",
        wait: "5m",
        severity: Severity::Ticket,
        summary: "1 % of the ticks of {{ $labels.instance }} begin more than {{ $value | humanizeDuration }} late",
        action: "It has no reserve left: see which rooms are heavy (/dashboard), send new rooms elsewhere, or give it more cores.",
    },
    Alert {
        name: "DriftlessTicksSkipped",
        expr: "rate(driftless_ticks_skipped_total[5m]) / (rate(driftless_ticks_total[5m]) + rate(driftless_ticks_skipped_total[5m])) > 0.01",
        wait: "5m",
        severity: Severity::Page,
        summary: "{{ $labels.instance }} skips {{ $value | humanizePercentage }} of its ticks",
        action: "It is overloaded, and players see it; drain it or take rooms from it, and look for a game whose ticks are long.",
    },
    Alert {
        name: "DriftlessRoomsFail",
        expr: r#"increase(driftless_rooms_ended_total{reason="failed"}[10m]) > 0"#,
        wait: "0m",
        severity: Severity::Ticket,
        summary: "rooms of {{ $labels.instance }} end because their game fails",
        action: "The log has the panic; a recording of the room replays it.",
    },
    Alert {
        name: "DriftlessConnectionsLost",
        expr: r#"sum by (instance) (increase(driftless_disconnects_total{reason=~"lost|timed_out"}[5m])) > 20 and sum by (instance) (increase(driftless_disconnects_total{reason=~"lost|timed_out"}[5m])) > 0.2 * sum by (instance) (driftless_players)"#,
        wait: "0m",
        severity: Severity::Page,
        summary: "{{ $labels.instance }} has lost {{ $value | humanize }} connections in five minutes",
        action: "Look at what is between it and its players: a proxy that was restarted, a network that is full.",
    },
    Alert {
        name: "DriftlessFull",
        expr: r#"increase(driftless_refused_total{reason="server_full"}[10m]) > 0"#,
        wait: "0m",
        severity: Severity::Page,
        summary: "{{ $labels.instance }} turns players away: it is full",
        action: "Start another server, or raise max_connections if this one has reserves.",
    },
    Alert {
        name: "DriftlessLeaseLost",
        expr: "increase(driftless_leases_lost_total[10m]) > 0",
        wait: "0m",
        severity: Severity::Page,
        summary: "{{ $labels.instance }} has lost its lease in Redis, and its rooms have ended there",
        action: "See whether Redis was away or slow (driftless_redis_duration_seconds), or the machine stood still; rooms that are kept go on at other nodes.",
    },
    Alert {
        name: "DriftlessLeaseLate",
        expr: "histogram_quantile(0.99, sum by (instance, le) (rate(driftless_lease_lateness_seconds_bucket[5m]))) > 0.5",
        wait: "5m",
        severity: Severity::Ticket,
        summary: "{{ $labels.instance }} renews its lease up to {{ $value | humanizeDuration }} late",
        action: "When that comes near the lease, its rooms end: find out what is slow, Redis or the machine, or raise lease on all nodes.",
    },
    Alert {
        name: "DriftlessRedisSlow",
        expr: "histogram_quantile(0.99, sum by (instance, le) (rate(driftless_redis_duration_seconds_bucket[5m]))) > 0.1",
        wait: "5m",
        severity: Severity::Ticket,
        summary: "Redis answers {{ $labels.instance }} within {{ $value | humanizeDuration }} only",
        action: "See what else it does (SLOWLOG GET), whether it writes to its disk, and the network between.",
    },
    Alert {
        name: "DriftlessRoomsDoNotMove",
        expr: r#"sum by (instance) (increase(driftless_migrations_total{result!="moved"}[10m])) > 0"#,
        wait: "0m",
        severity: Severity::Ticket,
        summary: "rooms of {{ $labels.instance }} could not move to another node",
        action: "The log says why: nodes that are full, that drain, or that have not the game.",
    },
    Alert {
        name: "DriftlessTakeoversFail",
        expr: r#"increase(driftless_takeovers_total{by="failed"}[10m]) > 0"#,
        wait: "0m",
        severity: Severity::Page,
        summary: "{{ $labels.instance }} cannot go on with rooms of another node",
        action: "The log says why: most often another version of the game wrote what is kept (store_mismatch).",
    },
    Alert {
        name: "DriftlessCertificateExpires",
        expr: r#"driftless_certificate_expires_seconds{source="files"} - time() < 7 * 86400"#,
        wait: "10m",
        severity: Severity::Ticket,
        summary: "the certificate of {{ $labels.instance }} expires in {{ $value | humanizeDuration }}",
        action: "Put a newer one in its place (tls_certificate, tls_key): it is read within seconds. If one is there, /healthz?verbose says what is wrong with it.",
    },
    Alert {
        name: "DriftlessFilesRunOut",
        expr: r#"process_open_fds{job="driftless"} / process_max_fds{job="driftless"} > 0.85"#,
        wait: "5m",
        severity: Severity::Ticket,
        summary: "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its files open",
        action: "Raise LimitNOFILE (ulimit -n) before nobody can come in any more.",
    },
    Alert {
        name: "DriftlessTokensGuessed",
        expr: r#"increase(driftless_requests_refused_total{reason="wrong_token"}[10m]) > 20"#,
        wait: "0m",
        severity: Severity::Ticket,
        summary: "somebody tries admin tokens at {{ $labels.instance }}",
        action: "The log names the addresses. A token that is long enough is not guessed; keep /v1 from the internet if nobody needs it there.",
    },
    Alert {
        name: "DriftlessRecordingsEnd",
        expr: r#"increase(driftless_recordings_ended_total{reason!~"room_ended|room_failed|server_stopped"}[10m]) > 0"#,
        wait: "0m",
        severity: Severity::Ticket,
        summary: "recordings of {{ $labels.instance }} end early: {{ $labels.reason }}",
        action: "Make room on the disk, raise record_quota, or remove old recordings.",
    },
    Alert {
        name: "DriftlessJobsFail",
        expr: r#"sum by (instance) (increase(driftless_jobs_answered_total{result!="done"}[10m])) > 0.1 * sum by (instance) (increase(driftless_jobs_answered_total[10m]))"#,
        wait: "5m",
        severity: Severity::Ticket,
        summary: "more than a tenth of the jobs of {{ $labels.instance }} fail",
        action: "See what they need (a database, another service) and what the log says of it.",
    },
    Alert {
        name: "DriftlessEventsDropped",
        expr: "increase(driftless_room_events_dropped_total[10m]) > 0",
        wait: "0m",
        severity: Severity::Ticket,
        summary: "room events of {{ $labels.instance }} were dropped",
        action: "What hears them (Server::on) is too slow: have it put them into a queue of its own.",
    },
    Alert {
        name: "DriftlessNodeMissing",
        expr: "max(driftless_nodes) < max(max_over_time(driftless_nodes[15m]))",
        wait: "2m",
        severity: Severity::Ticket,
        summary: "there are {{ $value }} nodes, fewer than a quarter of an hour ago",
        action: "If you have not taken one away: the logs of the others name it; start it again, or see whether it is frozen or cut off from Redis.",
    },
    Alert {
        name: "DriftlessRestarts",
        expr: r#"changes(process_start_time_seconds{job="driftless"}[15m]) > 2"#,
        wait: "0m",
        severity: Severity::Page,
        summary: "{{ $labels.instance }} was started {{ $value }} times in a quarter of an hour",
        action: "The log of the process before says why it ended.",
    },
];

/// The file of rules.
pub(super) fn rules() -> String {
    let mut text = String::from(
        "# Alerts for Driftless. Generated from server/tests/reference/alerts.rs; alerts.test.yml beside it plays them\n\
         # through. CHECKED by .ci/deploy with promtool.\n\
         groups:\n  - name: driftless\n    rules:\n",
    );
    for Alert { name, expr, wait, severity, summary, action } in ALERTS {
        let severity = match severity {
            Severity::Page => "page",
            Severity::Ticket => "ticket",
        };
        // In single quotes, in which nothing but themselves is special.
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        write!(
            text,
            "      - alert: {name}\n        expr: {}\n        for: {wait}\n        labels:\n          severity: {severity}\n        \
             annotations:\n          summary: {}\n          action: {}\n",
            quoted(expr),
            quoted(summary),
            quoted(action)
        )
        .unwrap();
    }
    text
}
