//! How a command reaches a running server: a Unix socket with an abstract name, which has the number of the
//! server's process and is gone with it. The kernel says who is at the other end, so a server listens to its
//! own user and to root, and a command believes only the process that it means.
//!
//! One JSON object each way, in a line. Only Linux has such sockets; elsewhere there is SIGUSR2.

#![allow(unsafe_code, reason = "calls of the kernel that no crate here wraps")]

use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};

/// Longest request or answer, bytes.
const LONGEST: u64 = 16 << 10;
/// How long a request may take to arrive.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How long an upgrade may take, from the command's point of view.
const ANSWER_LIMIT: Duration = Duration::from_secs(180);
/// What the sockets' names begin with, before the number.
const NAME: &str = "driftless-";

/// What a server is asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Asked {
    /// To be followed by the program in this file. None: in the same file as now.
    Upgrade(Option<PathBuf>),
    /// To have a room go on at a node, or at any other.
    Move(String, Option<String>),
}

/// Its answer: the number of the new process, or how long the room stood still, milliseconds; or why neither.
pub(crate) type Answer = Result<u32, String>;

#[cfg(target_os = "linux")]
pub(crate) use linux::{Control, Request, ask, owner_of, servers};

#[cfg(not(target_os = "linux"))]
pub(crate) use other::{Control, Request, ask, owner_of, servers};

#[cfg(target_os = "linux")]
mod linux {
    use super::{super::line, ANSWER_LIMIT, Answer, Asked, LONGEST, NAME, REQUEST_LIMIT};
    use std::{
        fs,
        io::{self, BufReader},
        os::{
            fd::AsRawFd,
            linux::net::SocketAddrExt,
            unix::{
                fs::MetadataExt,
                net::{SocketAddr, UnixListener, UnixStream},
            },
        },
        path::Path,
        process,
        sync::{Arc, OnceLock},
        thread,
    };
    use tokio::sync::mpsc::{self, error::SendError};
    use tracing::warn;

    /// The socket of this process.
    #[derive(Debug)]
    pub(crate) struct Control {
        requests: mpsc::Receiver<Request>,
        /// What all hear who ask, from some time on.
        refused: Arc<OnceLock<Answer>>,
    }

    /// A request that wants an answer.
    #[derive(Debug)]
    pub(crate) struct Request {
        pub(crate) asked: Asked,
        from: UnixStream,
    }

    impl Control {
        /// Listens from now on, on a thread of its own.
        pub(crate) fn listen() -> io::Result<Self> {
            let listener = UnixListener::bind_addr(&name_of(process::id())?)?;
            // One at a time: whoever comes meanwhile waits in the socket.
            let (requests, received) = mpsc::channel(1);
            let refused = Arc::<OnceLock<Answer>>::default();
            let control = Self { requests: received, refused: refused.clone() };
            thread::Builder::new().name("control".to_owned()).spawn(move || {
                for stream in listener.incoming().flatten() {
                    match Request::of(stream).map(|request| requests.blocking_send(request)) {
                        Ok(Ok(())) => {}
                        Ok(Err(SendError(request))) => match refused.get() {
                            Some(why) => request.answer(why),
                            None => return,
                        },
                        Err(error) => warn!(%error, "a request of the control socket is refused"),
                    }
                }
            })?;
            Ok(control)
        }

        /// The next request. None: there will be none.
        pub(crate) async fn next(&mut self) -> Option<Request> {
            self.requests.recv().await
        }

        /// Answers all who have asked, and from now on all who ask.
        pub(crate) async fn refuse(mut self, why: Answer) {
            let _ = self.refused.set(why.clone()); // once
            self.requests.close();
            while let Some(request) = self.next().await {
                request.answer(&why);
            }
            // They are answered in their order: when this process is, all who came before have been.
            let last = tokio::task::spawn_blocking(|| ask(process::id(), &Asked::Upgrade(None)));
            if let Ok(Err(error)) = last.await {
                warn!(%error, "some commands may have no answer");
            }
        }
    }

    impl Request {
        fn of(from: UnixStream) -> io::Result<Self> {
            let (_, user) = peer_of(&from)?;
            // SAFETY: geteuid has no preconditions.
            if user != 0 && user != unsafe { libc::geteuid() } {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            from.set_read_timeout(Some(REQUEST_LIMIT))?;
            let asked = line::hear(&mut BufReader::new(&from), LONGEST)?;
            Ok(Self { asked, from })
        }

        pub(crate) fn answer(self, answer: &Answer) {
            // Who has gone away does not want it.
            let _ = line::say(&self.from, answer);
        }
    }

    /// Asks the server that is this process.
    ///
    /// # Errors
    /// It is none, or does not answer.
    pub(crate) fn ask(server: u32, asked: &Asked) -> io::Result<Answer> {
        let stream = UnixStream::connect_addr(&name_of(server)?).map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => io::Error::other("it is no Driftless server"),
            _ => error,
        })?;
        let (process, user) = peer_of(&stream)?;
        if process != server {
            return Err(io::Error::other("another process answers in its name"));
        }
        // SAFETY: geteuid has no preconditions.
        if ![0, user].contains(&unsafe { libc::geteuid() }) {
            return Err(io::Error::other(format!("only root and its own user ({user}) may ask it")));
        }
        line::say(&stream, asked)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        line::hear(&mut BufReader::new(&stream), LONGEST).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("it has ended without an answer"),
            _ => error,
        })
    }

    /// The processes that listen here.
    pub(crate) fn servers() -> Vec<u32> {
        let names = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let number = |line: &str| line.rsplit_once(&format!("@{NAME}"))?.1.trim().parse().ok();
        let mut servers: Vec<u32> = names.lines().filter_map(number).collect();
        servers.sort_unstable();
        servers.dedup();
        servers
    }

    /// The process that has locked a file, if the kernel says.
    pub(crate) fn owner_of(file: &Path) -> Option<u32> {
        let inode = format!(":{}", fs::metadata(file).ok()?.ino());
        let locks = fs::read_to_string("/proc/locks").ok()?;
        locks.lines().find_map(|line| {
            let mut words = line.split_whitespace().filter(|word| *word != "->").skip(1);
            let (kind, owner) = (words.next()?, words.nth(2)?);
            (kind == "FLOCK" && words.next()?.ends_with(&inode)).then(|| owner.parse().ok())?
        })
    }

    fn name_of(server: u32) -> io::Result<SocketAddr> {
        SocketAddr::from_abstract_name(format!("{NAME}{server}"))
    }

    /// The process and the user at the other end.
    fn peer_of(stream: &UnixStream) -> io::Result<(u32, u32)> {
        let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
        let mut length = size_of::<libc::ucred>() as libc::socklen_t;
        // SAFETY: getsockopt writes at most `length` bytes to `peer`, which lives until the call returns.
        let got = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut peer).cast(),
                &raw mut length,
            )
        };
        match got {
            0 => Ok((peer.pid.unsigned_abs(), peer.uid)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::{Answer, Asked};
    use std::{convert::Infallible, future::pending, io, path::Path};

    #[derive(Debug)]
    pub(crate) struct Control(Infallible);

    #[derive(Debug)]
    pub(crate) struct Request {
        pub(crate) asked: Asked,
        never: Infallible,
    }

    impl Control {
        pub(crate) fn listen() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }
        pub(crate) async fn next(&mut self) -> Option<Request> {
            pending().await
        }
        pub(crate) async fn refuse(self, _: Answer) {
            match self.0 {}
        }
    }

    impl Request {
        pub(crate) fn answer(self, _: &Answer) {
            match self.never {}
        }
    }

    pub(crate) fn ask(_: u32, _: &Asked) -> io::Result<Answer> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn servers() -> Vec<u32> {
        Vec::new()
    }

    pub(crate) fn owner_of(_: &Path) -> Option<u32> {
        None
    }
}
