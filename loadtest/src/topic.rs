//! `loadtest topic`: many read a topic over HTTP (Server-Sent Events), one publishes in it. How long does an
//! event take to each of them, and what does that cost the server?
//!
//! All readers are in this process, on one thread; the time until they have read an event includes their own
//! turn of reading.

use crate::{
    cli::TopicArgs,
    process::{Process, raise_open_files},
    report::{self, table::Table},
    server::Api,
    stop::Stop,
    tls::Authorities,
};
use driftless_links::{Micros, Quantiles};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
};
use serde::Serialize;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::fd::OwnedFd,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

type Failure = Box<dyn std::error::Error>;

/// How long all readers may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long what was published last may take to arrive.
const LAST: Duration = Duration::from_secs(3);
/// Before the time in an event's text, microseconds.
const MARK: &[u8] = b"data: @";
/// Connections from one loopback source address before the next is used: Linux has 28,232 ephemeral ports by
/// default.
const PER_SOURCE: usize = 25_000;

/// The figures: the JSON object.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TopicFigures {
    /// Readers that were to read.
    pub readers: u64,
    /// Of these, those that still read at the end.
    pub reading: u64,
    /// Events published.
    pub published: u64,
    /// Events published, of which each reader was to get one.
    pub delivered_ratio: f64,
    /// How long was measured, seconds.
    pub seconds: f64,
    /// From just before an event was published until a reader has read it, milliseconds.
    pub latency_ms: Option<Quantiles>,
    /// Of one core, of the server with the readers.
    pub cpu_percent: Option<f64>,
    /// CPU time of the server for an event and a reader, microseconds.
    pub cpu_us_per_delivery: Option<f64>,
    /// Growth of the server's memory since before the first reader, for each, bytes.
    pub rss_bytes_per_reader: Option<f64>,
    /// This process itself, of one core.
    pub own_cpu_percent: f64,
}

/// A connection that reads.
struct Reader {
    stream: Option<TcpStream>,
    /// The beginning of an event.
    part: Vec<u8>,
    begun: bool,
}

/// All of them.
struct Readers {
    all: Vec<Reader>,
    poll: OwnedFd,
    start: Instant,
    begun: usize,
    delivered: u64,
    latency: Micros,
}

/// Reads, publishes, and reports.
pub fn run(args: &TopicArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::on_signals()?;
    let count = args.readers as usize;
    raise_open_files(count)?;
    let (process, own) = (args.server_pid.map(Process::find).transpose()?, Process::own()?);
    let before = process.map(|process| process.rss()).transpose()?;
    let to = args.publish_url.as_ref().unwrap_or(&args.url);
    let api = Api::new(to.plain()?, &args.operator, &Authorities::default());
    let token = args.operator.admin_token.as_deref().unwrap_or_default();
    let host = args.url.plain()?.authority();
    let request = format!(
        "GET /v1/topics/{} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n",
        args.topic
    );
    let mut readers = Readers::connect(args.url.resolve()?, &request, count, &stop)?;
    let patience = Instant::now() + PATIENCE;
    while readers.begun < count && Instant::now() < patience && !stop.is_set() {
        readers.turn(Duration::from_millis(50))?;
    }
    if readers.begun < count {
        let said = readers.refusal().unwrap_or_else(|| "the others were told nothing".to_owned());
        return Err(format!("only {} of {count} readers could begin: {said}", readers.begun).into());
    }
    let after = process.map(|process| process.rss()).transpose()?;

    let (over, published) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let start = Instant::now();
    let (cpu, own_cpu) = (process.map(|process| process.cpu()).transpose()?, own.cpu()?);
    let publisher = {
        let (over, published, origin) = (over.clone(), published.clone(), readers.start);
        let Publish { topic, padding, every, latest } = Publish::of(args);
        thread::spawn(move || {
            let mut due = Instant::now();
            while !over.load(Relaxed) {
                let text = format!("@{} {}", origin.elapsed().as_micros(), "x".repeat(padding));
                api.publish(&topic, latest, &text)?;
                published.fetch_add(1, Relaxed);
                due += every;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            Ok::<_, crate::server::ApiError>(())
        })
    };
    while start.elapsed() < args.duration && !stop.is_set() && !publisher.is_finished() {
        readers.turn(Duration::from_millis(50))?;
    }
    over.store(true, Relaxed);
    let seconds = start.elapsed().as_secs_f64();
    let spent = process.map(|process| process.cpu()).transpose()?.zip(cpu).map(|(now, then)| now - then);
    let own_spent = own.cpu()? - own_cpu;
    let last = Instant::now() + LAST;
    let due = |readers: &Readers| published.load(Relaxed) * count as u64 > readers.delivered;
    while (due(&readers) || !publisher.is_finished()) && Instant::now() < last {
        readers.turn(Duration::from_millis(50))?;
    }
    publisher.join().map_err(|_| "the publisher panicked")??;

    let published = published.load(Relaxed);
    let all = (published * count as u64).max(1) as f64;
    let figures = TopicFigures {
        readers: count as u64,
        reading: readers.all.iter().filter(|reader| reader.stream.is_some()).count() as u64,
        published,
        delivered_ratio: readers.delivered as f64 / all,
        seconds,
        latency_ms: readers.latency.quantiles_ms(),
        cpu_percent: spent.map(|spent| spent.as_secs_f64() / seconds * 100.0),
        cpu_us_per_delivery: spent.map(|spent| spent.as_secs_f64() * 1e6 / readers.delivered.max(1) as f64),
        rss_bytes_per_reader: after
            .zip(before)
            .map(|(after, before)| after.saturating_sub(before) as f64 / count as f64),
        own_cpu_percent: own_spent.as_secs_f64() / seconds * 100.0,
    };
    report::print_table(&table(&figures), args.json.as_deref());
    if let Some(path) = &args.json {
        report::write_json(path, &figures)?;
    }
    let well = figures.reading == figures.readers;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What is published.
struct Publish {
    topic: String,
    padding: usize,
    every: Duration,
    latest: bool,
}

impl Publish {
    fn of(args: &TopicArgs) -> Self {
        Self {
            topic: args.topic.clone(),
            padding: args.bytes as usize,
            every: Duration::from_secs_f64(1.0 / f64::from(args.rate)),
            latest: args.latest,
        }
    }
}

impl Readers {
    fn connect(at: SocketAddr, request: &str, count: usize, stop: &Stop) -> Result<Self, Failure> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut readers = Self {
            all: Vec::with_capacity(count),
            poll,
            start: Instant::now(),
            begun: 0,
            delivered: 0,
            latency: Micros::fine(),
        };
        for index in 0..count {
            if stop.is_set() {
                return Err("stopped before there was anything to measure".into());
            }
            let mut stream = connect(at, index / PER_SOURCE)?;
            stream.write_all(request.as_bytes())?;
            stream.set_nonblocking(true)?;
            epoll::add(&readers.poll, &stream, EventData::new_u64(index as u64), EventFlags::IN)?;
            readers.all.push(Reader { stream: Some(stream), part: Vec::new(), begun: false });
            if index % 64 == 0 {
                readers.turn(Duration::ZERO)?;
            }
        }
        Ok(readers)
    }

    /// What the server has said to the first of those who could not begin: status and body.
    fn refusal(&self) -> Option<String> {
        let refused = self.all.iter().find(|reader| !reader.begun && !reader.part.is_empty())?;
        let answer = String::from_utf8_lossy(&refused.part);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.lines().next().unwrap_or_default().trim_start_matches("HTTP/1.1 ");
        Some(format!("the server said {status} {}", body.trim()))
    }

    /// Reads what has arrived, or waits for it.
    fn turn(&mut self, most: Duration) -> Result<(), Failure> {
        let mut events = Vec::with_capacity(1024);
        let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(most.subsec_nanos()) };
        match epoll::wait(&self.poll, spare_capacity(&mut events), Some(&wait)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in events {
            self.read(event.data.u64() as usize);
        }
        Ok(())
    }

    fn read(&mut self, index: usize) {
        let reader = &mut self.all[index];
        let Some(stream) = &mut reader.stream else { return };
        let mut bytes = [0; 16 << 10];
        match stream.read(&mut bytes) {
            Ok(0) => reader.stream = None,
            Ok(read) => reader.part.extend_from_slice(&bytes[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => reader.stream = None,
        }
        let Some(end) = reader.part.windows(2).rposition(|two| two == b"\n\n") else { return };
        let whole = reader.part.drain(..end + 2).collect::<Vec<_>>();
        if !reader.begun && whole.windows(6).any(|six| six == b"retry:") {
            reader.begun = true;
            self.begun += 1;
        }
        let now = self.start.elapsed();
        for at in whole.windows(MARK.len()).enumerate().filter(|(_, part)| *part == MARK).map(|(at, _)| at) {
            let digits = whole[at + MARK.len()..].split(|b| !b.is_ascii_digit()).next();
            let sent = digits.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
            if let Some(sent) = sent.map(Duration::from_micros) {
                self.latency.record(now.saturating_sub(sent));
                self.delivered += 1;
            }
        }
    }
}

fn connect(at: SocketAddr, source: usize) -> Result<TcpStream, Failure> {
    use socket2::{Domain, SockAddr, Socket, Type};
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    if source > 0 && at.ip() == Ipv4Addr::LOCALHOST {
        let ip = Ipv4Addr::new(127, 0, (source >> 8) as u8, source as u8 + 1);
        socket.bind(&SockAddr::from(SocketAddr::from((ip, 0))))?;
    }
    socket.connect(&SockAddr::from(at)).map_err(|error| format!("cannot connect to {at}: {error}"))?;
    Ok(socket.into())
}

fn table(figures: &TopicFigures) -> String {
    let mut table = Table::default();
    let optional = |value: Option<f64>, unit: &str| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} {unit}"))
    };
    table.row("readers", format!("{} of {}", figures.reading, figures.readers));
    table.row("events", format!("{} in {:.1} s", figures.published, figures.seconds));
    table.row("delivered", format!("{:.3} %", figures.delivered_ratio * 100.0));
    table.row("server's CPU, of a core", optional(figures.cpu_percent, "%"));
    table.row("  for an event and a reader", optional(figures.cpu_us_per_delivery, "µs"));
    let kib = figures.rss_bytes_per_reader.map(|bytes| bytes / 1024.0);
    table.row("server's memory a reader", optional(kib, "KiB"));
    table.row("the readers' own CPU", format!("{:.1} %", figures.own_cpu_percent));
    table.heading("", &["p50", "p99", "p99.9", "max"]);
    table.quantiles("published to read, ms", figures.latency_ms, 2);
    table.text
}
