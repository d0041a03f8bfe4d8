//! UDP sockets that share one port.

use super::route;
use socket2::{Domain, Socket, Type};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
};
use tracing::{debug, info};

/// Bytes that the kernel may keep for a socket until its thread reads them. (Systems allow less, often 208
/// KiB: see `net.core.rmem_max`.)
const RECEIVE_BUFFER: usize = 4 << 20;
/// Bytes that may wait to be sent, likewise.
const SEND_BUFFER: usize = 4 << 20;

/// Binds a socket for each of `count` threads to one address (with port 0, all to one free port). Binds a
/// single one if the system cannot spread packets by connection ID.
///
/// # Errors
/// If the address cannot be bound.
pub(super) fn bind(address: SocketAddr, count: u16) -> io::Result<Vec<UdpSocket>> {
    let alone = open(address, false)?;
    if count <= 1 {
        return Ok(vec![alone]);
    }
    // Sockets that share a port would also share it with another server's. So the port must have been free.
    let address = alone.local_addr()?;
    drop(alone);
    let sockets = (0..count).map(|_| open(address, true)).collect::<io::Result<Vec<_>>>()?;
    if let Err(error) = route::by_connection_id(&sockets[0], count) {
        info!(%error, "one thread serves all of QUIC: this system cannot spread packets by connection ID");
        drop(sockets);
        return Ok(vec![open(address, false)?]);
    }
    Ok(sockets)
}

fn open(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // As TCP listeners do by default.
        if let Err(error) = socket.set_only_v6(false) {
            debug!(%error, "IPv6 only");
        }
    }
    #[cfg(unix)]
    socket.set_reuse_port(shared)?;
    let buffers = socket.set_recv_buffer_size(RECEIVE_BUFFER).and(socket.set_send_buffer_size(SEND_BUFFER));
    if let Err(error) = buffers {
        debug!(%error, "cannot set the socket's buffer sizes: the system's defaults stay");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
