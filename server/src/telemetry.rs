//! Log lines: `tracing` to standard error, for people or as JSON.
//!
//! Every line within a connection or a room carries its span: `connection{id=7}`, `room{name="lobby"}`.
//!
//! Logging never blocks. A line is put into `Lines`, and one thread writes them: if nobody reads standard
//! error, that thread waits, and lines that no longer fit are dropped and counted. Nothing else may write to
//! standard error while the server runs, not even the report of a panic. Each place in the code writes at
//! most ten lines per second (`Sampler`), because strangers can cause most of them as often as they like.
//! Lines of the levels `debug` and `trace` are not sampled: they are for people who are looking for
//! something.

mod filter;
mod lines;
mod sampler;

pub(crate) use filter::filter;

use lines::Lines;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use sampler::{Place, Sampler};
use serde_json::json;
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt,
    io::{self, IsTerminal, Write},
    panic,
    sync::LazyLock,
    thread,
    time::{Duration, Instant, SystemTime},
};
use tracing::{Event, Level, Subscriber, error, info, warn};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

// A process has one standard error, and `tracing` has one subscriber.
static LINES: LazyLock<Lines> = LazyLock::new(Lines::default);
static SAMPLER: LazyLock<Mutex<Sampler>> = LazyLock::new(Mutex::default);

/// How long an exit waits for lines to be written.
const FLUSH: Duration = Duration::from_millis(500);
/// Longest time between two checks for dropped lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Libraries that write what clients send, with their tokens in it, whatever the operator wants to read.
const UNSAFE_TO_WRITE: [&str; 1] = ["web_transport_quinn::connect=info"];

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// A line that is not the log's, in the form of its lines: whoever collects both reads one form.
    pub(crate) fn line(self, level: Level, message: &str) -> String {
        match self {
            Self::Human => message.to_owned(),
            Self::Json => {
                let timestamp = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
                let level = level.as_str();
                json!({ "timestamp": timestamp, "level": level, "message": message, "target": "driftless" })
                    .to_string()
            }
        }
    }
}

/// Log lines are written while this lives. When it is dropped, waiting lines are flushed.
#[derive(Debug)]
pub struct Telemetry(LogFormat);

/// Starts writing log lines. Call once.
///
/// # Errors
/// If `filter` cannot be read, logging has already been started, or its thread cannot be
/// started.
pub fn init(filter: &str, format: LogFormat) -> Result<Telemetry, String> {
    let registry = tracing_subscriber::registry().with(self::filter(filter)?).with(Sampled);
    let layer = tracing_subscriber::fmt::layer().with_writer(|| &*LINES);
    let started = match format {
        LogFormat::Human => registry.with(layer.with_ansi(io::stderr().is_terminal())).try_init(),
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false).with_span_list(true);
            registry.with(layer).try_init()
        }
    };
    started.map_err(|error| error.to_string())?;
    thread::Builder::new().name("log".to_owned()).spawn(write_lines).map_err(|error| error.to_string())?;
    panic::set_hook(Box::new(|panic| {
        let trace = Backtrace::capture();
        match trace.status() {
            BacktraceStatus::Captured => error!("{panic}\n{trace}"),
            _ => error!("{panic}"),
        }
    }));
    Ok(Telemetry(format))
}

impl Telemetry {
    /// Adds the last line to the log: why the server ends.
    pub fn say(&self, line: fmt::Arguments<'_>) {
        LINES.put(format!("{}\n", self.0.line(Level::ERROR, &line.to_string())).as_bytes());
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        flush();
    }
}

/// Waits until all lines are written, but not for long.
pub fn flush() {
    tell_what_was_left_out(Instant::now() + PAUSE);
    LINES.flush(FLUSH);
}

/// Lines that were not written, because nobody read the earlier ones or because of an error.
pub fn lines_dropped() -> &'static Counter {
    LINES.dropped()
}

/// Prints a line on standard output without waiting for a reader.
pub fn print_line(line: String) {
    // Whoever started the server may have closed its output by now, which is no reason not to serve.
    let _ = thread::Builder::new().name("print".to_owned()).spawn(move || writeln!(io::stdout(), "{line}"));
}

fn write_lines() {
    let mut stderr = io::stderr();
    loop {
        let dropped = LINES.pass_on(&mut stderr, PAUSE);
        if dropped > 0 {
            warn!(lines = dropped, "log lines were dropped: nobody read standard error");
        }
        tell_what_was_left_out(Instant::now());
    }
}

fn tell_what_was_left_out(now: Instant) {
    let left_out = SAMPLER.lock().left_out(now);
    for (Place { target, line, level }, more) in left_out {
        // At the same level, so that whoever sees the lines learns of the omission.
        match level {
            Level::INFO => info!(more, "more lines from {target}:{line} were left out"),
            _ => warn!(more, "more lines from {target}:{line} were left out"),
        }
    }
}

/// Drops lines that the sampler does not admit.
struct Sampled;

impl<S: Subscriber> Layer<S> for Sampled {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let from = event.metadata();
        let place = Place { target: from.target(), line: from.line().unwrap_or(0), level: *from.level() };
        place.level > Level::INFO
            || place.target == module_path!()
            || SAMPLER.lock().admit(place, Instant::now())
    }
}
