//! `driftless serve`: a server, from the configuration to the exit.

use super::{EXIT_FAILED, EXIT_USAGE, fail};
use crate::{
    config::Config,
    open_files,
    server::{Prepared, Running, Server, StartError},
    shutdown, systemd, telemetry,
};
use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
};
use tracing::info;

/// Runs until SIGTERM or SIGINT has drained the server. Prints its URL on standard output when it listens,
/// and on a second line the dashboard's, with the admin token if the server generated it.
pub(super) fn serve(program: &str, server: Server, config: Config) -> ExitCode {
    let (filter, format, players) = (config.log.clone(), config.log_format, config.max_connections);
    // Before anything is started, so that an error is one line and has no other effect.
    let prepared = match server.prepare(config) {
        Ok(prepared) => prepared,
        Err(e) => return fail(program, if e.is_usage() { EXIT_USAGE } else { EXIT_FAILED }, &e),
    };
    let telemetry = match telemetry::init(&filter, format) {
        Ok(telemetry) => telemetry,
        Err(e) => return fail(program, EXIT_USAGE, &e),
    };
    open_files::prepare_for(players);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .map_err(|e| StartError::System(e).into())
        .and_then(|runtime| actix_rt::System::with_tokio_rt(|| runtime).block_on(run(program, prepared)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            telemetry.say(format_args!("{program}: {e}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

async fn run(program: &str, prepared: Prepared) -> Result<(), Box<dyn Error>> {
    // The start takes the rooms of the server before, which must not end with a signal.
    let signals = shutdown::Signals::watch().map_err(StartError::System)?;
    let (running, serving) = prepared.start()?;
    tell(program, &running);
    systemd::ready();
    let hurried = running.clone();
    let hurry = running.carries().then_some(move || hurried.hurry());
    actix_rt::spawn(shutdown::drain_on_signal(signals, async move { running.drain().await }, hurry));
    Ok(serving.await?)
}

fn tell(program: &str, running: &Running) {
    let scheme = if running.is_secure() { "https" } else { "http" };
    let quic = running.quic_address().map_or_else(String::new, |quic| format!("quic://{quic} and "));
    let public = running.public_url();
    let public = public.map_or_else(String::new, |url| format!(", for clients at {url}"));
    let line = format!("{program} listens on {quic}{scheme}://{}{public}", running.address());
    info!("{line}");
    // The token must not be in the log, which others may read.
    let dashboard = reachable(running.address());
    let token = running.made_token().map_or_else(String::new, |token| format!("#token={token}"));
    telemetry::print_line(format!("{line}\ndashboard: {scheme}://{dashboard}/dashboard{token}"));
}

/// The address at which a browser on this machine finds a server that listens on this one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(loopback, address.port())
}
