//! What systemd and a service tell each other: a listening socket that systemd keeps (`sd_listen_fds(3)`),
//! and that the server serves or stops (`sd_notify(3)`). Without systemd nothing here does anything.

#![allow(unsafe_code, reason = "systemd hands over a descriptor by its number")]

use std::{env, io, net::SocketAddr, net::TcpListener, process};

/// Variables of `sd_listen_fds(3)` and `sd_notify(3)`.
const PROCESS: &str = "LISTEN_PID";
const COUNT: &str = "LISTEN_FDS";
const NOTIFY: &str = "NOTIFY_SOCKET";

/// Why the socket that systemd has handed over is not used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// There are several.
    #[error(
        "systemd hands over {0} sockets, but the server takes one: its unit should have one ListenStream"
    )]
    Several(u32),
    /// It is no listening TCP socket.
    #[error(
        "systemd hands over a socket that is no listening TCP socket ({0}): use ListenStream=ADDRESS:PORT"
    )]
    Other(io::Error),
    /// It listens somewhere else.
    #[error("systemd hands over a socket that listens on {at}, but --listen is {asked}: make them the same")]
    Elsewhere {
        /// Where it listens.
        at: SocketAddr,
        /// Where it should.
        asked: SocketAddr,
    },
}

/// The listening socket that systemd has opened for this process, if it has. Call it once.
///
/// # Errors
/// If what it has opened is not one TCP socket that listens on `asked`.
pub(crate) fn listener(asked: SocketAddr) -> Result<Option<TcpListener>, SocketError> {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    // The variables are inherited by whatever a service starts, to which they do not apply.
    if number(PROCESS) != Some(process::id()) {
        return Ok(None);
    }
    match number(COUNT) {
        None | Some(0) => Ok(None),
        Some(1) => listening(first()?, asked).map(Some),
        Some(more) => Err(SocketError::Several(more)),
    }
}

/// Says that the server serves.
pub(crate) fn ready() {
    notify("READY=1");
}

/// Says that the server drains, which it may do for as long as this.
pub(crate) fn stopping(within: std::time::Duration) {
    notify(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", within.as_micros()));
}

/// Says that another process is the service from now on.
pub(crate) fn followed_by(process: u32) {
    notify(&format!("MAINPID={process}"));
}

fn notify(state: &str) {
    if let Some(to) = env::var_os(NOTIFY)
        && let Err(error) = imp::send(&to, state.as_bytes())
    {
        tracing::warn!(%error, "cannot tell systemd {state:?}");
    }
}

/// A socket as a listener, if it listens on `asked`.
pub(crate) fn listening(socket: socket2::Socket, asked: SocketAddr) -> Result<TcpListener, SocketError> {
    let is_one = imp::listens(&socket).map_err(SocketError::Other)?;
    let at = socket.local_addr().map_err(SocketError::Other)?.as_socket();
    let (true, Some(at)) = (is_one, at) else {
        return Err(SocketError::Other(io::ErrorKind::InvalidInput.into()));
    };
    if at != asked {
        return Err(SocketError::Elsewhere { at, asked });
    }
    let set = socket.set_nonblocking(true).and(socket.set_cloexec(true));
    set.map_err(SocketError::Other)?;
    Ok(socket.into())
}

#[cfg(target_os = "linux")]
use linux as imp;
#[cfg(not(target_os = "linux"))]
use other as imp;

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        ffi::OsStr,
        io,
        os::{
            linux::net::SocketAddrExt,
            unix::{
                ffi::OsStrExt,
                net::{SocketAddr, UnixDatagram},
            },
        },
    };

    pub(super) fn send(to: &OsStr, state: &[u8]) -> io::Result<()> {
        let address = match to.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(to)?,
        };
        UnixDatagram::unbound()?.send_to_addr(state, &address)?;
        Ok(())
    }

    pub(super) fn listens(socket: &socket2::Socket) -> io::Result<bool> {
        Ok(socket.is_listener()? && socket.r#type()? == socket2::Type::STREAM)
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::{ffi::OsStr, io};

    pub(super) fn send(_: &OsStr, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn listens(_: &socket2::Socket) -> io::Result<bool> {
        Ok(false)
    }
}

/// The first descriptor that systemd hands over (`SD_LISTEN_FDS_START`).
#[cfg(unix)]
fn first() -> Result<socket2::Socket, SocketError> {
    use std::os::fd::FromRawFd;
    const START: i32 = 3;
    // SAFETY: fcntl with F_GETFD takes two numbers and touches no memory.
    if unsafe { libc::fcntl(START, libc::F_GETFD) } < 0 {
        return Err(SocketError::Other(io::Error::last_os_error()));
    }
    // SAFETY: it is open, and by the protocol it is this process's; this is called once, before anything
    // else could have taken the number, as it was open when the process started.
    Ok(unsafe { socket2::Socket::from_raw_fd(START) })
}

#[cfg(not(unix))]
fn first() -> Result<socket2::Socket, SocketError> {
    Err(SocketError::Other(io::ErrorKind::Unsupported.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};

    #[test]
    fn only_a_socket_that_listens_where_it_should_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let other: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let error = listening(listener.try_clone().unwrap().into(), other).unwrap_err().to_string();
        assert!(error.contains(&at.to_string()) && error.contains("--listen is 127.0.0.1:1"), "{error}");
        assert_eq!(listening(listener.into(), at).unwrap().local_addr().unwrap(), at);
        for wrong in [Type::STREAM, Type::DGRAM] {
            let socket = Socket::new(Domain::IPV4, wrong, None).unwrap();
            socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
            let error = listening(socket, other).unwrap_err();
            assert!(matches!(error, SocketError::Other(_)), "it does not listen: {error}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn states_are_told_by_path_and_by_abstract_name() {
        use std::os::{linux::net::SocketAddrExt, unix::net};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("driftless-test-{}", process::id());
        let abstract_name = net::SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, to) in [
            (net::UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (net::UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}").into()),
        ] {
            imp::send(&to, b"READY=1").unwrap();
            let mut told = [0; 16];
            let length = socket.recv(&mut told).unwrap();
            assert_eq!(&told[..length], b"READY=1");
        }
    }
}
