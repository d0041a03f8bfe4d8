//! The process after this one, as the old one sees it.

#![allow(unsafe_code, reason = "calls of the kernel that no crate here wraps")]

use super::{Abilities, INHERITED, LONGEST, LeftLine, Said, Sockets, line};
use crate::ground::once::Id;
use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, BufReader, Write},
    net::Shutdown,
    os::{
        fd::{AsRawFd, RawFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

/// How long a new process may take until it is ready: it may wait for a database of the game.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take from then on until it serves.
const SERVING_LIMIT: Duration = Duration::from_secs(30);
/// How long a process may take to end that has closed its line.
const END_LIMIT: Duration = Duration::from_secs(2);
/// Time between two looks whether it has.
const END_POLL: Duration = Duration::from_millis(10);
/// The program of this process, also after its file was replaced.
const ITSELF: &str = "/proc/self/exe";

/// Why there is no new process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    /// The program cannot be started.
    #[error("{} cannot be started: {error}{}", binary.display(), hidden(error))]
    Binary {
        /// Its file.
        binary: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// It has said why it does not start.
    #[error("the new server does not start: {0}")]
    Refused(String),
    /// It has ended.
    #[error("the new server has ended ({0}): its log says why")]
    Ended(ExitStatus),
    /// It takes too long, or says what makes no sense.
    #[error("the new server does not answer: {0}")]
    Silent(io::Error),
    /// The rooms cannot go on there.
    #[error("{0}: restart the server instead, and these rooms begin anew")]
    Unfit(String),
    /// It cannot read what the store may still have.
    #[error(
        "this server's journal has the format {here}, and the new one reads {there}: restart the server instead"
    )]
    Journal {
        /// The format here.
        here: u8,
        /// The format there.
        there: String,
    },
    /// It would not have the store.
    #[error("store has changed, and this server's rooms are where it was: restart the server instead")]
    OtherStore,
    /// The store cannot be written, so rooms would be undone.
    #[error("{0}: rooms would be lost. Upgrade when the store is well again")]
    Store(String),
    /// It would end with this process.
    #[error(
        "this is the main process of a container, which would end with it, and all matches, too: start a new \
         container and drain this one"
    )]
    Container,
    /// Other nodes may have its rooms.
    #[error("a node of several (--redis) has no successor: drain it, and start the new one")]
    Node,
    /// This server stops.
    #[error("the server is stopping")]
    Stopping,
    /// Another process has it already.
    #[error("process {0} has followed it already")]
    Followed(u32),
    /// The rooms have stopped, and nobody goes on with them.
    #[error("this server has stopped, and nobody goes on with its rooms: {0}")]
    Lost(String),
    /// A socket cannot be handed over.
    #[error("the sockets cannot be handed over: {0}")]
    Sockets(#[from] io::Error),
}

/// How this process was started.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    name: OsString,
    file: PathBuf,
    args: Vec<OsString>,
}

/// A process that is to follow this one. When it is dropped before that, it is killed with all that it has
/// started, for they have the sockets, and nothing is heard of it any more.
#[derive(Debug)]
pub(crate) struct Successor {
    child: Option<Child>,
    line: UnixStream,
}

/// What is said to it and heard of it.
#[derive(Debug)]
pub(crate) struct Line(BufReader<UnixStream>);

impl Program {
    /// Of this process. Call it when the process starts, because its file may be replaced later.
    pub(crate) fn here() -> io::Result<Self> {
        let mut args = env::args_os();
        let name = args.next().unwrap_or_default();
        // As it was called, because a link may lead elsewhere by then.
        let called = Path::new(&name);
        let file = if called.components().count() > 1 {
            called.to_owned()
        } else {
            let (folders, itself) = (env::var_os("PATH").unwrap_or_default(), env::current_exe()?);
            found_as(called, &folders, &itself).unwrap_or(itself)
        };
        Ok(Self { name, file, args: args.collect() })
    }

    /// Where it is.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The same in another file.
    pub(crate) fn in_file(self, file: PathBuf) -> Self {
        Self { file, ..self }
    }

    /// The one that runs here.
    pub(crate) fn itself(self) -> Self {
        self.in_file(ITSELF.into())
    }
}

/// The file of this name in `folders` that leads to the program that runs, `itself`.
fn found_as(name: &Path, folders: &OsStr, itself: &Path) -> Option<PathBuf> {
    let mut files = env::split_paths(folders).map(|folder| folder.join(name));
    files.find(|file| file.canonicalize().is_ok_and(|file| file == itself))
}

/// What may be in the way of a file that is there.
fn hidden(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
            ": what counts is what the server sees, as its own user; a service of systemd may have a /tmp of its own \
             (PrivateTmp) and see no /root and /home (ProtectHome), so put the file elsewhere, as into /usr/local/bin"
        }
        _ => "",
    }
}

impl Successor {
    /// Starts a program with these sockets. `token`: what this server's operators have been told.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(
        program: &Program,
        sockets: &Sockets,
        token: Option<&str>,
    ) -> Result<(Self, Line), UpgradeError> {
        let Program { name, file, args } = program;
        let (line, other) = UnixStream::pair()?;
        let mut descriptors = vec![other.as_raw_fd(), sockets.tcp.as_raw_fd()];
        descriptors.extend(sockets.udp.iter().map(AsRawFd::as_raw_fd));
        let numbers = descriptors.iter().map(|number| format!(" {number}"));
        let mut command = Command::new(file);
        command.arg0(name).args(args).process_group(0);
        command.env(INHERITED, [process::id().to_string()].into_iter().chain(numbers).collect::<String>());
        if let Some(token) = token {
            command.env("DRIFTLESS_ADMIN_TOKEN", token);
        }
        let inherit = move || descriptors.iter().try_for_each(|descriptor| inherit(*descriptor));
        // SAFETY: it makes system calls with numbers only, and neither allocates nor takes locks.
        unsafe { command.pre_exec(inherit) };
        let started = command.spawn();
        let child = started.map_err(|error| UpgradeError::Binary { binary: file.clone(), error })?;
        let successor = Self { child: Some(child), line: line.try_clone()? };
        Ok((successor, Line::over(line)))
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// It follows: from now on it is on its own.
    pub(crate) fn follows(mut self) -> u32 {
        self.child.take().map_or(0, |child| child.id())
    }

    /// What has become of it, if its line has ended.
    pub(crate) fn explain(mut self, error: UpgradeError) -> UpgradeError {
        match (&error, self.child.take()) {
            (UpgradeError::Silent(silent), Some(mut child))
                if silent.kind() == io::ErrorKind::UnexpectedEof =>
            {
                match wait(&mut child) {
                    Some(status) => UpgradeError::Ended(status),
                    None => {
                        self.child = Some(child); // which kills it
                        error
                    }
                }
            }
            (_, child) => {
                self.child = child;
                error
            }
        }
    }
}

/// Waits for the end of a process that has closed its line. None: it does not end.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let until = Instant::now() + END_LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => thread::sleep(END_POLL),
            Ok(None) | Err(_) => return None,
        }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // SAFETY: kill has no preconditions. The group is the child's own, which has not been waited for.
            unsafe { libc::kill(-child.id().cast_signed(), libc::SIGKILL) };
            let _ = child.wait();
            // Who waits for what it says hears the end, even if somebody else still has the other one.
            let _ = self.line.shutdown(Shutdown::Both);
        }
    }
}

impl Line {
    /// A line over this socket.
    pub(super) fn over(stream: UnixStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// Waits until the new process is ready.
    pub(crate) fn ready(&mut self) -> Result<Abilities, UpgradeError> {
        match self.hear(READY_LIMIT)? {
            Said::Ready(abilities) => Ok(abilities),
            Said::Failed(why) => Err(UpgradeError::Refused(why)),
            Said::Serving => Err(UpgradeError::Silent(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Leaves it the rooms, the revoked users and the used tokens, and waits until it serves.
    pub(crate) fn leave(
        &mut self,
        rooms: &[u8],
        revoked: &[(String, u64)],
        used: &[(Id, u64)],
    ) -> Result<(), UpgradeError> {
        let mut say = || {
            let (revoked, used) = (serde_json::to_vec(revoked)?, serde_json::to_vec(used)?);
            let to = self.0.get_mut();
            to.set_write_timeout(Some(SERVING_LIMIT))?;
            let count = |bytes: &[u8]| bytes.len() as u64;
            let left = LeftLine { rooms: count(rooms), revoked: count(&revoked), used: count(&used) };
            line::say(&mut *to, &left)?;
            [rooms, &revoked, &used].into_iter().try_for_each(|bytes| to.write_all(bytes))
        };
        say().map_err(UpgradeError::Silent)?;
        match self.hear(SERVING_LIMIT)? {
            Said::Serving => Ok(()),
            Said::Failed(why) => Err(UpgradeError::Refused(why)),
            Said::Ready(_) => Err(UpgradeError::Silent(io::ErrorKind::InvalidData.into())),
        }
    }

    fn hear(&mut self, within: Duration) -> Result<Said, UpgradeError> {
        let mut hear = || {
            self.0.get_ref().set_read_timeout(Some(within))?;
            line::hear(&mut self.0, LONGEST)
        };
        hear().map_err(UpgradeError::Silent)
    }
}

/// In the new process, before its program begins.
fn inherit(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: fcntl with F_SETFD takes numbers and touches no memory.
    match unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn a_bare_name_is_the_link_in_the_path_that_led_to_the_program() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let [empty, other, bin] = ["empty", "other", "bin"].map(|name| root.join(name));
        for folder in [&empty, &other, &bin] {
            fs::create_dir(folder).unwrap();
        }
        let itself = root.join("rel-1");
        fs::write(&itself, "").unwrap();
        fs::write(other.join("driftless"), "of somebody else").unwrap();
        symlink(&itself, bin.join("driftless")).unwrap();
        let folders = env::join_paths([&empty, &other, &bin]).unwrap();
        let found = |name: &str| found_as(Path::new(name), &folders, &itself);
        assert_eq!(found("driftless"), Some(bin.join("driftless")));
        assert_eq!(found("nothing"), None);
    }
}
