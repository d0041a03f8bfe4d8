//! A UDP socket for QUIC, shared by any number of connections.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

/// Bytes that the kernel may keep for a socket until it is read. (It allows at most `net.core.rmem_max`.) The
/// states of a thousand bots on one socket come in bursts.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// A UDP socket and the task that reads it. Clones share the socket.
///
/// It lives in the tokio runtime in which it was made. Without one in [`Options`](crate::Options::endpoint),
/// each client makes its own.
#[derive(Debug, Clone)]
pub struct Endpoint {
    inner: quinn::Endpoint,
}

impl Endpoint {
    /// A socket on any free port, for IPv6 and IPv4 if the machine has both.
    ///
    /// # Errors
    /// The system's error, or that there is no tokio runtime.
    pub fn new() -> io::Result<Self> {
        let runtime =
            quinn::default_runtime().ok_or_else(|| io::Error::other("an endpoint needs a tokio runtime"))?;
        let inner = quinn::Endpoint::new(quinn::EndpointConfig::default(), None, any_port()?, runtime)?;
        Ok(Self { inner })
    }

    /// Moves all connections to another port, as a change of network does. The server continues with them
    /// once it has validated the new address (RFC 9000 section 9).
    ///
    /// # Errors
    /// The system's error. The socket is then unchanged.
    pub fn rebind(&self) -> io::Result<()> {
        self.inner.rebind(any_port()?)
    }

    /// The socket's own address. If it is bound to all addresses, only the port is meaningful.
    ///
    /// # Errors
    /// The system's error.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Number of open connections.
    pub fn connections(&self) -> usize {
        self.inner.open_connections()
    }

    /// Starts a handshake.
    pub(super) fn connect(
        &self,
        tls: Arc<quinn::crypto::rustls::QuicClientConfig>,
        address: SocketAddr,
        name: &str,
    ) -> Result<quinn::Connecting, quinn::ConnectError> {
        let mut config = quinn::ClientConfig::new(tls);
        config.transport_config(Arc::new(transport()));
        self.inner.connect_with(config, address, name)
    }
}

/// QUIC settings of this end.
fn transport() -> quinn::TransportConfig {
    let mut config = driftless_quic::transport_config();
    // The server opens only unidirectional streams: HTTP/3's own three, and one for each state that is too
    // large for a datagram.
    config.max_concurrent_bidi_streams(0u32.into());
    config.max_concurrent_uni_streams(32u32.into());
    config
}

fn any_port() -> io::Result<UdpSocket> {
    let both = bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    both.or_else(|_| bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))))
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A smaller buffer is not an error: more is lost when the process is late.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}
