//! `loadtest netns`: a server and its clients with the kernel's own network stack on both sides of a bad link.
//!
//! Two network namespaces are joined by a TUN device in each; this program is the wire between them ([`wire`]) and treats every IP packet as
//! the [scenario](crate::link::scenario) says. So TCP here is the kernel's TCP, with its congestion control and its
//! retransmissions, which the relay of `loadtest link` can only imitate. It is one link for all clients, where the relay gives each its own.
//!
//! ```text
//! loadtest netns --scenario rtt60-loss5 --ready 7777 --server 'driftless serve --listen 198.18.0.2:7777 --insecure' -- loadtest compare --direct --url ws://198.18.0.2:7777
//! ```
//!
//! Both get an admin token by the environment, a random one if there is none: without it the server makes no rooms.
//!
//! It needs to be root (or to have CAP_SYS_ADMIN and CAP_NET_ADMIN) on Linux with /dev/net/tun. The namespaces have no
//! name and go with the processes in them, however those end. (It stands where `tc netem` would, which not every kernel has.)

mod namespace;
mod wire;

use crate::{cli::NetnsArgs, link::relay::Link, server::ADMIN_TOKEN, stop::Stop};
use namespace::Namespace;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Child, Command, ExitCode},
    time::{Duration, Instant},
};

/// Of the network that is set aside for such measurements (RFC 2544, appendix C.2.2).
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// See above.
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// How long the server may take to listen.
const START: Duration = Duration::from_secs(10);
/// How long it may take to end.
const END: Duration = Duration::from_secs(5);
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(20);

type Failure = Box<dyn std::error::Error>;

/// Starts both, and ends as the client's command does.
pub fn run(args: &NetnsArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::on_signals()?;
    let [client, server] = [Namespace::new(CLIENT)?, Namespace::new(SERVER)?];
    if args.check {
        return Ok(ExitCode::SUCCESS);
    }
    let link = Link::new(&args.scenario);
    let wire = wire::Wire::start(&link, client.tun()?, server.tun()?)?;
    let token = admin_token();
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("exec {}", args.server)).env(ADMIN_TOKEN, &token);
    let mut running = Running(server.spawn(&mut command)?);
    wait_until_ready(&client, args.ready, &mut running.0, &stop)?;
    link.begin();
    let (program, rest) = args.command.split_first().ok_or("no command for the client")?;
    let mut playing = Running(client.spawn(Command::new(program).args(rest).env(ADMIN_TOKEN, &token))?);
    let status = loop {
        if let Some(status) = playing.0.try_wait()? {
            break status;
        }
        if let Some(status) = running.0.try_wait()? {
            return Err(format!("the server ended before the client: {status}").into());
        }
        if stop.is_set() {
            return Ok(ExitCode::from(130));
        }
        std::thread::sleep(LOOK);
    };
    eprintln!("link: {}", wire.counts());
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The environment's, or one that only this run knows. It guards a server that nobody else can reach.
fn admin_token() -> String {
    let given = std::env::var(ADMIN_TOKEN).ok();
    given.unwrap_or_else(|| format!("{:032x}", fastrand::u128(..)))
}

/// A process that ends when this is dropped: by SIGTERM, and if that does not help, by SIGKILL.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Some(pid) = Pid::from_raw(self.0.id() as i32) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let until = Instant::now() + END;
        while Instant::now() < until {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the server's port takes connections, as seen from the client's namespace.
fn wait_until_ready(client: &Namespace, port: u16, server: &mut Child, stop: &Stop) -> Result<(), Failure> {
    let until = Instant::now() + START;
    let address = SocketAddr::from((SERVER, port));
    while !client.run(move || TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok())? {
        if let Some(status) = server.try_wait()? {
            return Err(format!("the server ended at once: {status}").into());
        }
        if Instant::now() > until || stop.is_set() {
            return Err(format!("nobody listens on {address} (TCP) after {START:?}").into());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
