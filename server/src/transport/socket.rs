//! Options of a TCP socket, set when it is accepted.

use actix_rt::net::TcpStream;
use socket2::SockRef;
use std::{io, time::Duration};

/// Bytes that the kernel takes before it reports the socket as full, in addition to what is already in
/// flight. Small, so that the choice of what to send is made late; large enough for several states.
const NOT_SENT_LOW_WATER: u32 = 16 * 1024;
/// The send buffer (the kernel doubles it): the most that a peer that does not read can cost.
const SEND_BUFFER: usize = 64 * 1024;

/// Sets the options. `user_timeout` is how long sent bytes may stay unacknowledged before the kernel ends the
/// connection, at least 10 s. Nothing else ends the connection of a stalled reader.
pub(super) fn tune(stream: &TcpStream, user_timeout: Duration) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_notsent_lowat(NOT_SENT_LOW_WATER)?;
        socket.set_tcp_user_timeout(Some(user_timeout.max(Duration::from_secs(10))))?;
    }
    Ok(())
}
