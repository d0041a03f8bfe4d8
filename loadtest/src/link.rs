//! `loadtest link`: a bad link between players and a server that anyone can reproduce, without root.
//!
//! It listens on one port with UDP and TCP and passes all of it on to the server, as late, as broken and as
//! slow as a scenario says.
//!
//! Native clients and browsers ask the server for its QUIC port (`GET /v1/certificate`). Its answer must be
//! this link's port, or they would bypass the link: that is checked at the start. A server whose QUIC and
//! HTTP ports have the same number answers with the port it was asked on, which is this one.

use crate::{
    cli::LinkArgs,
    server::{Api, ApiError, QuicPort},
    stop::Stop,
};
use driftless_links::{Link, Relay, Transport};
use std::{net::SocketAddr, process::ExitCode, time::Duration};

type Failure = Box<dyn std::error::Error>;

/// Relays until Ctrl-C, then says what it did.
pub fn run(args: &LinkArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::on_signals()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let link = Link::new(&args.scenario);
        let tcp = Relay::bind(Transport::Tcp, args.listen, args.to, &link).await?;
        // With port 0, UDP takes the port chosen for TCP: clients know one port.
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

/// Whether QUIC clients go over the link that listens here, judging by what the server tells clients that
/// come through it. Returns a warning if that is unknown.
fn check(here: SocketAddr, quic: Result<Option<QuicPort>, ApiError>) -> Result<Option<String>, Failure> {
    let port = here.port();
    match quic {
        Ok(Some(quic)) if quic.port == port => Ok(None),
        Ok(Some(quic)) => Err(format!(
            "the server sends QUIC clients to port {}, bypassing this link: start it with --public-quic {port}",
            quic.port
        )
        .into()),
        Ok(None) => Ok(Some("the server has no QUIC: only WebSockets go over this link".to_owned())),
        Err(error) => {
            Ok(Some(format!("cannot tell whether QUIC clients bypass this link: {error}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_sends_quic_around_the_link_is_refused() {
        let here = SocketAddr::from(([127, 0, 0, 1], 7700));
        let at = |port| Ok(Some(QuicPort { hashes: Vec::new(), host: None, port }));
        assert_eq!(check(here, at(7700)).unwrap(), None);
        let refused = check(here, at(7777)).unwrap_err().to_string();
        assert!(refused.contains("port 7777") && refused.contains("--public-quic 7700"), "{refused}");
        assert!(check(here, Ok(None)).unwrap().is_some(), "it is said");
    }
}
