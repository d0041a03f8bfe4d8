//! The listening sockets.

use super::{BACKLOG, StartError};
use crate::{
    config::{Config, QuicListen},
    systemd::{self, SocketError},
    tls::Certificates,
    transport::quic::Quic,
    upgrade::Sockets,
};
use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

/// Ports that are tried if any will do.
const FREE_PORT_TRIES: u32 = 16;

/// The listening sockets of HTTP and QUIC, whose ports are known before the first worker starts.
pub(super) fn listen(
    config: &Config,
    certificates: &Arc<Certificates>,
) -> Result<(TcpListener, Option<Arc<Quic>>), StartError> {
    let mut tries = if config.listen.port() == 0 { FREE_PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let failed = |error| StartError::Listen { address: config.listen, option: "--listen", error };
        let listener = match systemd::listener(config.listen)? {
            Some(listener) => listener,
            None => listen_tcp(config.listen).map_err(failed)?,
        };
        let address = listener.local_addr()?;
        match Quic::bind(config, address, certificates.resolver()) {
            // A port that is free for TCP may be in use for UDP.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            Err(error) => {
                let (address, option) = match config.quic {
                    QuicListen::At(address) => (address, "--quic"),
                    _ => (address, "--listen, for QUIC"),
                };
                return Err(StartError::Listen { address, option, error });
            }
            Ok(quic) => return Ok((listener, quic)),
        }
    }
}

/// The same with the sockets of the process before.
pub(super) fn inherit(
    Sockets { tcp, udp }: Sockets,
    config: &Config,
    certificates: &Arc<Certificates>,
) -> Result<(TcpListener, Option<Arc<Quic>>), StartError> {
    let at = tcp.local_addr()?;
    let mut asked = config.listen;
    if asked.port() == 0 {
        asked.set_port(at.port());
    }
    let listener = systemd::listening(tcp.into(), asked).map_err(|error| match error {
        SocketError::Elsewhere { .. } => StartError::Inherited("--listen"),
        error => error.into(),
    })?;
    match Quic::inherit(udp, config, at, certificates.resolver()) {
        Ok(quic) => Ok((listener, quic)),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Err(StartError::Inherited("--quic")),
        Err(error) if error.kind() == ErrorKind::InvalidInput => Err(StartError::Inherited("--threads")),
        Err(error) => Err(StartError::Listen { address: at, option: "--quic", error }),
    }
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG as i32)?;
    Ok(socket.into())
}
