//! `loadtest netns`: a server and its clients with the kernel's own network stack at both ends of a bad link.
//!
//! Two network namespaces are joined by a TUN device in each; this program is the wire between them and
//! treats every IP packet as the scenario says. So TCP here is the kernel's TCP, with its congestion control
//! and its retransmissions, which the relay of `loadtest link` can only imitate. All clients share one link,
//! whereas the relay gives each its own.
//!
//! ```text
//! loadtest netns --scenario rtt60-loss5 --ready 7777 \
//!     --server 'driftless serve --listen 198.18.0.2:7777 --insecure' \
//!     -- loadtest compare --direct --url ws://198.18.0.2:7777
//! ```
//!
//! Both get an admin token in the environment, a random one if none is set: without it the server creates no
//! rooms.
//!
//! It needs to be root (or to have CAP_SYS_ADMIN and CAP_NET_ADMIN) on Linux with /dev/net/tun. The
//! namespaces have no name and go away with the processes in them, however those end. (This replaces `tc
//! netem`, which not every kernel has.)

use crate::{
    cli::NetnsArgs,
    process::{Running, shell},
    server::{ADMIN_TOKEN, random_token},
    stop::Stop,
};
use driftless_links::{Link, Namespace, Wire};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Command, ExitCode},
    time::Duration,
};

/// From the network reserved for such measurements (RFC 2544, appendix C.2.2).
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// See above.
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// How long one connection attempt may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two checks of a process.
const LOOK: Duration = Duration::from_millis(20);

type Failure = Box<dyn std::error::Error>;

/// Starts both, and exits with the code of the client's command.
pub fn run(args: &NetnsArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::on_signals()?;
    let [client, server] = [Namespace::new(CLIENT)?, Namespace::new(SERVER)?];
    if args.check {
        return Ok(ExitCode::SUCCESS);
    }
    let link = Link::new(&args.scenario);
    let wire = Wire::start(&link, client.tun()?, server.tun()?)?;
    let token = admin_token();
    let mut running = Running::new(server.spawn(shell(&args.server).env(ADMIN_TOKEN, &token))?);
    let address = SocketAddr::from((SERVER, args.ready));
    let listens = || client.run(move || TcpStream::connect_timeout(&address, PATIENCE).is_ok());
    running.wait_until(address, listens, &stop)?;
    link.begin();
    let (program, rest) = args.command.split_first().ok_or("no command for the client")?;
    let mut playing = Running::new(client.spawn(Command::new(program).args(rest).env(ADMIN_TOKEN, &token))?);
    let status = loop {
        if let Some(status) = playing.ended()? {
            break status;
        }
        if let Some(status) = running.ended()? {
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

/// The one in the environment, or a random one for this run.
fn admin_token() -> String {
    std::env::var(ADMIN_TOKEN).unwrap_or_else(|_| random_token())
}
