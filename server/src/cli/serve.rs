//! `driftless serve`: a server, from the configuration to the exit.

use super::{EXIT_FAILED, EXIT_USAGE, attend::Orders, fail, fail_in};
use crate::{
    clock,
    config::{Config, Guests, OtlpUrl},
    open_files,
    server::{Prepared, Running, Server, StartError},
    shutdown, spans, systemd, telemetry, upgrade,
};
use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
};
use tracing::{Level, info, warn};

/// Runs until SIGTERM or SIGINT has drained the server, or another process has followed it. Prints its URL on
/// standard output when it listens, and on a second line the dashboard's, with the admin token if the server
/// generated it.
pub(super) fn serve(program: &str, server: Server, config: Config) -> ExitCode {
    let (filter, format, players) = (config.log.clone(), config.log_format, config.max_connections);
    let (collector, percent) = (config.otlp.as_ref().map(OtlpUrl::traces), config.otlp_percent);
    // Before anything is started, so that an error is one line and has no other effect.
    let prepared = match server.prepare(config) {
        Ok(prepared) => prepared,
        Err(e) => {
            let code = if e.is_usage() { EXIT_USAGE } else { EXIT_FAILED };
            return fail_in(format, program, code, &e);
        }
    };
    let telemetry = match telemetry::init(&filter, format) {
        Ok(telemetry) => telemetry,
        Err(e) => return fail(program, EXIT_USAGE, &e),
    };
    let _exporter = match spans::export(collector, percent) {
        Ok(exporter) => exporter,
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
            upgrade::tell_failed(&e);
            telemetry.say(format_args!("{program}: {e}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

async fn run(program: &str, prepared: Prepared) -> Result<(), Box<dyn Error>> {
    // The start takes the rooms of the server before, which must not end with a signal.
    let orders = Orders::watch().map_err(StartError::System)?;
    let hangups = shutdown::Hangups::watch().map_err(StartError::System)?;
    let (running, serving) = prepared.start()?;
    tell(program, &running);
    systemd::ready();
    upgrade::predecessor().inspect(|before| before.serving());
    let reloaded = running.clone();
    actix_rt::spawn(hangups.each(move || {
        info!("SIGHUP: reading the certificate and the keys of tokens again");
        reloaded.reload();
    }));
    actix_rt::spawn(orders.attend(running));
    Ok(serving.await?)
}

fn tell(program: &str, running: &Running) {
    let scheme = if running.is_secure() { "https" } else { "http" };
    let quic = running.quic_address().map_or_else(String::new, |quic| format!("quic://{quic} and "));
    let public = running.public_url();
    let at = format!("{quic}{scheme}://{}", running.address());
    let (config, players) = (running.config(), players(running));
    let rooms = match &config.store {
        Some(folder) => format!("kept in {} ({})", folder.display(), config.durability),
        None if config.redis.is_some() => format!("kept in Redis ({})", config.durability),
        None => "end with the server".to_owned(),
    };
    info!(players, rooms, "serving on {at}");
    if let Some(url) = public.filter(|url| !url.is_loopback())
        && running.keys() == Some(0)
        && config.guests == Guests::Auto
        && !config.insecure
    {
        warn!(
            "everybody who reaches {url} may play as a guest: set token_keys, or guests = \"yes\" if that is how it \
             should be"
        );
    }
    if config.store.is_some() && clock::boot().is_empty() {
        warn!(
            "this process cannot see /proc/sys/kernel/random/boot_id: when the server was killed, it will be taken for a \
             death of the machine, and ticks jump ahead. Let it see that file (systemd: no ProcSubset=pid)"
        );
    }
    // The token must not be in the log, which others may read.
    let dashboard =
        public.map_or_else(|| format!("{scheme}://{}", reachable(running.address())), ToString::to_string);
    let token = running.made_token().map_or_else(String::new, |token| format!("#token={token}"));
    let public = public.map_or_else(String::new, |url| format!(", for clients at {url}"));
    let lines =
        [format!("{program} listens on {at}{public}"), format!("dashboard: {dashboard}/dashboard{token}")];
    let lines = lines.map(|line| config.log_format.line(Level::INFO, &line));
    telemetry::print_line(lines.join("\n"));
}

/// Who may play.
fn players(running: &Running) -> String {
    let guests = running.config().takes_guests();
    match running.keys() {
        None => "as the program says".to_owned(),
        Some(_) if !running.config().has_token_keys() => "everybody, as guests".to_owned(),
        // (Those at addresses are read a moment later.)
        Some(keys) => {
            format!("with tokens ({keys} keys read){}", if guests { ", and guests" } else { ", no guests" })
        }
    }
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
