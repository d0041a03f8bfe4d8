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
//! The relay's timer is that of tokio: what it passes on can be up to a millisecond later than the model says.

pub mod model;
pub mod relay;
pub mod scenario;
mod schedule;

use crate::{cli::LinkArgs, stop::Stop};
use relay::{Link, Relay, Transport};
use std::{process::ExitCode, time::Duration};

type Failure = Box<dyn std::error::Error>;

/// Relays until Ctrl-C, then says what it did.
pub fn run(args: &LinkArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::on_signals()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let link = Link::new(&args.scenario);
        let tcp = Relay::bind(Transport::Tcp, args.listen, args.to, &link).await?;
        // With port 0 TCP's choice is UDP's, too: clients know one port.
        let udp = Relay::bind(Transport::Udp, tcp.address(), args.to, &link).await?;
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
