//! Metrics of the process, read from `/proc` when they are requested. On systems other than Linux there are
//! none.

#![allow(unsafe_code, reason = "asks the C library")]

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};
use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

/// Collects memory, CPU time, open files and start time of this process.
#[derive(Debug)]
pub struct ProcessCollector {
    ticks_per_second: f64,
    start_time: f64,
}

/// One reading.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessStats {
    /// Resident memory, bytes.
    pub resident_bytes: Option<u64>,
    /// CPU time in user and kernel mode, seconds.
    pub cpu_seconds: Option<f64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// Limit of open file descriptors.
    pub max_fds: Option<u64>,
}

impl ProcessCollector {
    /// Reads what does not change, once.
    pub fn new() -> Self {
        // SAFETY: sysconf takes a number and returns one; it touches no memory of ours.
        let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        let ticks_per_second = if hz > 0 { hz as f64 } else { 100.0 };
        // By the clock: in a sandbox (systemd's ProcSubset=pid), `/proc` does not tell when the system
        // booted, from which it counts.
        let start_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self { ticks_per_second, start_time }
    }

    /// Resident memory, bytes, and CPU time, seconds: cheap to read, whatever the number of open files.
    pub fn memory_and_cpu(&self) -> (Option<u64>, Option<f64>) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let cpu = cpu_ticks(&stat).map(|ticks| ticks as f64 / self.ticks_per_second);
        (line_number(&status, "VmRSS:").map(|kib| kib * 1024), cpu)
    }

    /// Reads the metrics. None: the system does not report it.
    pub fn read(&self) -> ProcessStats {
        let (resident_bytes, cpu_seconds) = self.memory_and_cpu();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        ProcessStats {
            resident_bytes,
            cpu_seconds,
            open_fds: open_files(),
            max_fds: line_number(&limits, "Max open files"),
        }
    }
}

impl Default for ProcessCollector {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let stats = self.read();
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
        };
        let count = |n: Option<u64>| n.map(|n| n as f64);
        let memory = count(stats.resident_bytes);
        gauge("process_resident_memory", "Resident memory.", Some(&Unit::Bytes), memory)?;
        gauge("process_open_fds", "Open file descriptors.", None, count(stats.open_fds))?;
        gauge("process_max_fds", "Most open file descriptors allowed.", None, count(stats.max_fds))?;
        let start = Some(self.start_time);
        gauge("process_start_time", "Start of the process since 1970.", Some(&Unit::Seconds), start)?;
        if let Some(seconds) = stats.cpu_seconds {
            let metric = ConstCounter::new(seconds);
            let help = "CPU time in user and kernel mode.";
            let unit = Some(&Unit::Seconds);
            metric.encode(encoder.encode_descriptor("process_cpu", help, unit, metric.metric_type())?)?;
        }
        Ok(())
    }
}

/// Number of open files. Linux reports it since 6.2; before, each has to be looked at, which takes 8 ms for
/// 10,000.
fn open_files() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        // The listing itself keeps one open.
        0 => fs::read_dir(FOLDER).ok().map(|folder| (folder.count() as u64).saturating_sub(1)),
        told => Some(told),
    }
}

/// The first number after `key` at the start of a line.
fn line_number(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Fields of `/proc/PID/stat` after the command, which is in parentheses and may contain anything. The first
/// is number 3 of proc(5).
fn stat_fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.get(stat.rfind(')')? + 1..)?.split_whitespace())
}

/// Fields 14 and 15: time in user and kernel mode.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat_fields(stat)?.skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(user + kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_spaces_and_parentheses_is_skipped() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0 4 0 1234 rest";
        assert_eq!(cpu_ticks(stat), Some(100));
        assert_eq!(stat_fields(stat).and_then(|mut f| f.nth(19)), Some("1234"));
    }

    #[test]
    fn nonsense_is_nothing() {
        for text in ["", "x", "1 (a", "1 (a) S", ")"] {
            assert_eq!(cpu_ticks(text), None);
        }
        assert_eq!(line_number("VmRSS: many kB", "VmRSS:"), None);
        assert_eq!(line_number("Max open files   1024 4096 files", "Max open files"), Some(1024));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_figures() {
        let stats = ProcessCollector::new().read();
        assert!(stats.resident_bytes > Some(100_000), "{stats:?}");
        assert!(
            stats.cpu_seconds.is_some() && stats.open_fds > Some(2) && stats.max_fds > Some(2),
            "{stats:?}"
        );
        // The reported number matches a count of the files, give or take those of other tests' threads.
        let listed = fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        assert!(stats.open_fds.unwrap().abs_diff(listed) < 64, "{stats:?}, {listed} listed");
    }

    /// It comes from nothing that a sandbox hides.
    #[test]
    fn the_start_is_what_the_clock_says() {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let (before, started, after) = (now(), ProcessCollector::new().start_time, now());
        assert!((before..=after).contains(&started), "{started} is not between {before} and {after}");
    }
}
