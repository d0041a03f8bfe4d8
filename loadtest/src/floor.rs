//! The floor: what the kernel alone charges for the traffic of a game server.
//!
//! A child process of this program is a bare epoll server ([`server`]) with the same shape of traffic as the
//! real one: one input up and one state down per client per tick, inputs at random phases, states written
//! room by room with the rooms' phases spread over the tick. It decodes nothing and plays nothing, so its CPU
//! time per client-tick is a lower bound for any server that reads and writes once per tick over TCP. The
//! ratio of the real server's cost to it carries over from machine to machine; microseconds do not.

pub mod server;

use crate::{
    process::{Process, ProcessError},
    stop::Stop,
    swarm::{Drive, End, Frames, Peer, Plan, Swarm, Target},
    ws,
};
use bytes::Bytes;
use serde::Serialize;
use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    ops::ControlFlow,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The traffic to measure.
#[derive(Debug, Clone)]
pub struct FloorSpec {
    /// Clients.
    pub clients: usize,
    /// Ticks per second.
    pub tick_rate: u32,
    /// Bytes of a message down.
    pub frame_bytes: usize,
    /// Bytes of a message up.
    pub input_bytes: usize,
    /// Rooms that the clients are spread over.
    pub rooms: usize,
    /// How long to measure, after the warm-up.
    pub duration: Duration,
}

/// What it cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct FloorFigures {
    /// Clients that were connected.
    pub clients: usize,
    /// Ticks per second.
    pub tick_rate: u32,
    /// Bytes of a message down.
    pub frame_bytes: usize,
    /// Bytes of a message up.
    pub input_bytes: usize,
    /// Rooms.
    pub rooms: usize,
    /// How long it measured, seconds.
    pub seconds: f64,
    /// Frames that arrived, over those that were due.
    pub delivered_ratio: f64,
    /// The server's CPU time for a frame delivered, microseconds.
    pub cpu_us_per_client_tick: f64,
    /// The swarm's own, microseconds.
    pub swarm_cpu_us_per_client_tick: f64,
    /// Growth of the server's memory since before the first client, bytes per client.
    pub rss_bytes_per_client: f64,
}

/// Why there is no floor.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// The child could not be started or has ended.
    #[error("floor server: {0}")]
    Child(String),
    /// Some clients could not connect.
    #[error("only {connected} of {clients} clients connected to the floor server: {reason}")]
    Connect {
        /// How many did.
        connected: usize,
        /// How many should have.
        clients: usize,
        /// Why one of the others did not.
        reason: String,
    },
    /// The kernel does not tell.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The swarm's own sockets failed.
    #[error("swarm: {0}")]
    Io(#[from] std::io::Error),
    /// The user ended it.
    #[error("stopped before there was anything to measure")]
    Stopped,
}

/// Runs the floor server and a swarm of mute clients against it.
pub fn measure(spec: &FloorSpec, stop: &Stop) -> Result<FloorFigures, FloorError> {
    let server = FloorServer::start(spec)?;
    let process = Process::find(server.child.id())?;
    let own = Process::own()?;
    let empty = process.rss()?;
    let tick = Duration::from_secs(1) / spec.tick_rate;
    let ramp = Duration::from_secs_f64(spec.clients as f64 / 4000.0);
    let target = Target {
        address: server.address,
        request: ws::request(&server.address.to_string(), "/", driftless_proto::limits::SUBPROTOCOL),
        tokens: None,
        receive_buffer: None,
    };
    let plan = Plan { target, first: 0, start: Instant::now(), ramp, tick };
    let tally = Tally { input: vec![7; spec.input_bytes], frames: 0, failure: None };
    let mut swarm = Swarm::new(plan, tally, vec![Mute; spec.clients])?;

    let patience = Instant::now() + ramp + Duration::from_secs(10);
    while swarm.open() < spec.clients && Instant::now() < patience && !stop.is_set() {
        swarm.turn(Instant::now() + Duration::from_millis(50))?;
    }
    if stop.is_set() {
        return Err(FloorError::Stopped);
    }
    if swarm.open() < spec.clients {
        let reason = swarm.shared.failure.take().unwrap_or_else(|| "no answer within 10 s".into());
        return Err(FloorError::Connect { connected: swarm.open(), clients: spec.clients, reason });
    }
    swarm.run_until(Instant::now() + Duration::from_secs(1))?;

    let (start, cpu, own_cpu) = (Instant::now(), process.cpu()?, own.cpu()?);
    swarm.shared.frames = 0;
    let end = start + spec.duration;
    while Instant::now() < end && !stop.is_set() {
        swarm.turn(end.min(Instant::now() + Duration::from_millis(50)))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let frames = swarm.shared.frames as f64;
    if frames == 0.0 {
        return Err(FloorError::Stopped);
    }
    Ok(FloorFigures {
        clients: swarm.open(),
        tick_rate: spec.tick_rate,
        frame_bytes: spec.frame_bytes,
        input_bytes: spec.input_bytes,
        rooms: spec.rooms,
        seconds,
        delivered_ratio: frames / (spec.clients as f64 * f64::from(spec.tick_rate) * seconds),
        cpu_us_per_client_tick: (process.cpu()? - cpu).as_secs_f64() * 1e6 / frames,
        swarm_cpu_us_per_client_tick: (own.cpu()? - own_cpu).as_secs_f64() * 1e6 / frames,
        rss_bytes_per_client: process.rss()?.saturating_sub(empty) as f64 / spec.clients as f64,
    })
}

/// The child process. Dropping it ends it.
#[derive(Debug)]
struct FloorServer {
    child: Child,
    address: SocketAddr,
}

impl FloorServer {
    fn start(spec: &FloorSpec) -> Result<Self, FloorError> {
        let failed = |what: &str, error: std::io::Error| FloorError::Child(format!("{what}: {error}"));
        let program = std::env::current_exe().map_err(|e| failed("own program", e))?;
        let mut child = Command::new(program)
            .arg("floor-server")
            .args(["--clients", &spec.clients.to_string()])
            .args(["--tick-rate", &spec.tick_rate.to_string()])
            .args(["--frame-bytes", &spec.frame_bytes.to_string()])
            .args(["--rooms", &spec.rooms.to_string()])
            // Ctrl-C in a terminal goes to the whole process group; the child should end with its standard
            // input, not before.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed("start", e))?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line).map_err(|e| failed("its port", e))?;
        }
        match line.trim().parse() {
            Ok(port) => Ok(Self { child, address: (Ipv4Addr::LOCALHOST, port).into() }),
            Err(_) => Err(FloorError::Child(format!("said {line:?} instead of a port"))),
        }
    }
}

impl Drop for FloorServer {
    fn drop(&mut self) {
        // It ends when its standard input does; the kill is for one that hangs.
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that sends its input each tick and counts what comes.
#[derive(Debug, Clone)]
struct Mute;

#[derive(Debug)]
struct Tally {
    input: Vec<u8>,
    frames: u64,
    failure: Option<String>,
}

impl Peer for Mute {
    type Shared = Tally;
    fn opened(&mut self, _: &mut Tally, _: Instant, _: String, _: &mut Frames) {}
    fn message(
        &mut self,
        tally: &mut Tally,
        _: Instant,
        _: Bytes,
        _: usize,
        _: &mut Frames,
    ) -> ControlFlow<End> {
        tally.frames += 1;
        ControlFlow::Continue(())
    }
    fn due(&mut self, tally: &mut Tally, _: Instant, _: Instant, out: &mut Frames) -> ControlFlow<End> {
        out.push(&tally.input);
        ControlFlow::Continue(())
    }
    fn ended(&mut self, tally: &mut Tally, _: Instant, end: &End) -> Option<Instant> {
        tally.failure = Some(format!("{end:?}"));
        None
    }
}
