//! Judges the parts that do not judge themselves.

use super::{
    Health, Matters, Part, PartName,
    log::Log,
    ticks::{LATE_NS, Ticks, Totals},
};
use crate::{metrics::Metrics, telemetry, tls};
use actix_rt::time::interval;
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};
use tokio::time::MissedTickBehavior;

/// Judges every second, for as long as somebody holds the health.
pub(crate) fn watch(health: &Arc<Health>, certificates: &tls::Pair) -> impl Future<Output = ()> + use<> {
    let ticks = health.part(PartName::Ticks, Matters::ToOperators);
    let accept = health.part(PartName::Accept, Matters::ToNewcomers);
    let log = health.part(PartName::Log, Matters::ToOperators);
    let certificate = health.part(PartName::Certificate, Matters::ToOperators);
    tell(&health.metrics, certificates);
    judge(Arc::downgrade(health), [ticks, accept, log, certificate], certificates.clone())
}

/// Says when the certificates expire: of those from files, the first one.
fn tell(metrics: &Metrics, certificates: &tls::Pair) {
    let mut first = BTreeMap::new();
    for certificates in certificates.all() {
        let source = if certificates.is_self_signed() { "self_signed" } else { "files" };
        let until = certificates.valid_until();
        let until = until.and_then(|until| until.duration_since(SystemTime::UNIX_EPOCH).ok());
        let first = first.entry(source).or_insert(Duration::MAX);
        *first = until.unwrap_or_default().min(*first);
    }
    for (source, until) in first {
        metrics.certificate_expires(source).set(until.as_secs().cast_signed());
    }
}

async fn judge(
    health: Weak<Health>,
    [ticks, accept, log, certificate]: [Arc<Part>; 4],
    certificates: tls::Pair,
) {
    let (mut late, mut lines) = (Ticks::default(), Log::default());
    let mut seconds = interval(Duration::from_secs(1));
    // After a pause of the process, one look is as good as many.
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        seconds.tick().await;
        let Some(health) = health.upgrade() else { return };
        let say = |part: &Part, why: Option<String>| match why {
            Some(why) => part.fails(why),
            None => part.is_well(),
        };
        say(&ticks, late.judge(totals(&health.metrics)));
        say(&accept, cannot_accept(File::open("/dev/null")));
        say(&log, lines.judge(telemetry::lines_dropped().get()));
        say(&certificate, certificates.all().find_map(|certificates| certificates.fault(SystemTime::now())));
        tell(&health.metrics, &certificates);
        health.judged(Instant::now());
    }
}

fn totals(metrics: &Metrics) -> Totals {
    Totals {
        run: metrics.rooms.ticks.get(),
        late: metrics.rooms.tick_lateness.count_above(LATE_NS),
        skipped: metrics.rooms.ticks_skipped.get(),
    }
}

/// A connection is a file: where none can be opened, none can be accepted (EMFILE, ENFILE).
fn cannot_accept(file: io::Result<File>) -> Option<String> {
    let error = file.err()?;
    match error.raw_os_error() {
        Some(libc::EMFILE) => Some(format!(
            "the process has as many files open as it may, and accepts nobody ({error}): raise `ulimit -n` or \
             LimitNOFILE, or lower max_connections"
        )),
        Some(libc::ENFILE | libc::ENOMEM) => {
            Some(format!("the system opens no more files, and nobody is accepted: {error}"))
        }
        // A sandbox without the file says nothing of connections.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_files_left_accepts_nobody() {
        let failing = |code| cannot_accept(Err(io::Error::from_raw_os_error(code)));
        assert!(failing(libc::EMFILE).is_some_and(|why| why.contains("LimitNOFILE")));
        assert!(failing(libc::ENFILE).is_some());
        assert_eq!(failing(libc::ENOENT), None);
        assert_eq!(cannot_accept(File::open("/dev/null")), None);
    }
}
