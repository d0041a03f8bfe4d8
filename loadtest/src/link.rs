//! `loadtest link`: a bad link between players and a server that anyone can repeat, without root.
//!
//! It listens on one port with UDP and TCP and passes all of it on to the server, as late, as broken and as slow as a
//! [`scenario`] says. Each client (an address for UDP, a connection for TCP) gets a link of its own with its own queue and dice, as
//! players at home have: fifty players on a link of 12 kB/s have 12 kB/s each.
//!
//! - [`model`] decides what becomes of each datagram and each byte: pure, in virtual time, seeded.
//! - [`scenario`] reads the conditions and their phases from TOML.
//! - [`relay`] is the shell: sockets and a timer around the model.
//!
//! Datagrams lost here are lost for the application. TCP cannot be treated so from user space; read in [`model::Segments`] what is done
//! instead and what that leaves out. `loadtest netns` is the check with the kernel's own TCP on both sides.
//!
//! Native clients and browsers ask the server where its QUIC is (`GET /v1/certificate`). What it answers here must be this link's port,
//! or they would go around the link: that is seen to at the start. A server whose QUIC has the port number of its HTTP names the port it
//! was asked at, which is this one's.
//!
//! The relay's timer is that of tokio: what it passes on can be up to a millisecond later than the model says.

pub mod model;
pub mod relay;
pub mod scenario;
mod schedule;

use crate::{
    server::{Api, ApiError, QuicPort},
    stop::Stop,
};
use clap::Args;
use relay::{Link, Relay, Transport};
use scenario::Scenario;
use std::{net::SocketAddr, process::ExitCode, time::Duration};

type Failure = Box<dyn std::error::Error>;

/// `loadtest link`.
#[derive(Debug, Clone, Args)]
pub struct LinkArgs {
    /// Where clients connect, UDP and TCP. Port 0: any free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:7700")]
    pub listen: SocketAddr,
    /// The server.
    #[arg(long, default_value = "127.0.0.1:7777")]
    pub to: SocketAddr,
    /// Where the server takes QUIC, if that is another port.
    #[arg(long, value_name = "ADDR:PORT")]
    pub quic_to: Option<SocketAddr>,
    /// What the link is like.
    #[arg(long, help = scenario::help())]
    pub scenario: Scenario,
}

/// Relays until Ctrl-C, then says what it did.
pub fn run(args: &LinkArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::on_signals()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let link = Link::new(&args.scenario);
        let tcp = Relay::bind(Transport::Tcp, args.listen, args.to, &link).await?;
        // With port 0 TCP's choice is UDP's, too: clients know one port.
        let udp = Relay::bind(Transport::Udp, tcp.address(), args.quic_to.unwrap_or(args.to), &link).await?;
        let (here, server) = (tcp.address(), args.to.to_string());
        let asked = move || Api::at(&server).quic_as(Some(&here.to_string()));
        if let Some(note) = check(here, tokio::task::spawn_blocking(asked).await?)? {
            eprintln!("warning: {note}");
        }
        link.begin();
        println!("{} relays to {}, UDP and TCP: {}", tcp.address(), args.to, args.scenario);
        while !stop.is_set() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for (name, relay) in [("UDP", &udp), ("TCP", &tcp)] {
            println!("{name}: {}", relay.counts());
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Whether QUIC goes over the link that listens here, by what the server says to those who come by it. A warning, if that cannot be
/// told.
fn check(here: SocketAddr, quic: Result<Option<QuicPort>, ApiError>) -> Result<Option<String>, Failure> {
    let port = here.port();
    match quic {
        Ok(Some(quic)) if quic.port == port => Ok(None),
        Ok(Some(quic)) => Err(format!(
            "the server sends QUIC clients to port {}, around this link: start it with --public-quic {port}",
            quic.port
        )
        .into()),
        Ok(None) => Ok(Some("the server has no QUIC: only its WebSockets go over this link".to_owned())),
        Err(error) => {
            Ok(Some(format!("nobody knows whether QUIC clients are sent around this link: {error}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_sends_quic_around_the_link_is_refused() {
        let here = SocketAddr::from(([127, 0, 0, 1], 7700));
        let at = |port| Ok(Some(QuicPort { hashes: Vec::new(), port }));
        assert_eq!(check(here, at(7700)).unwrap(), None);
        let refused = check(here, at(7777)).unwrap_err().to_string();
        assert!(refused.contains("port 7777") && refused.contains("--public-quic 7700"), "{refused}");
        assert!(check(here, Ok(None)).unwrap().is_some(), "it is said");
    }
}
