//! A server that this program starts.

use crate::stop::Stop;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io,
    net::SocketAddr,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

/// How long it may take to listen.
const START: Duration = Duration::from_secs(10);
/// How long it may take to end.
const END: Duration = Duration::from_secs(5);
/// Time between two checks.
const LOOK: Duration = Duration::from_millis(20);

/// A process that is ended on drop: by SIGTERM, then if need be by SIGKILL.
#[derive(Debug)]
pub struct Running(Child);

/// It does not serve.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// It has ended.
    #[error("the server ended at once: {0}")]
    Ended(ExitStatus),
    /// Nobody listens.
    #[error("nothing listens on TCP {0} after {START:?}")]
    Silent(SocketAddr),
    /// The kernel does not tell.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A shell command that replaces the shell, so that the process ID is the command's own.
pub fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("exec {line}"));
    command
}

impl Running {
    /// Takes a process that was started.
    pub fn new(child: Child) -> Self {
        Self(child)
    }
    /// Its number.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
    /// How it ended, if it has.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }
    /// Waits until its port takes connections.
    pub fn wait_until(
        &mut self,
        address: SocketAddr,
        listens: impl Fn() -> io::Result<bool>,
        stop: &Stop,
    ) -> Result<(), NotReady> {
        let until = Instant::now() + START;
        while !listens()? {
            if let Some(status) = self.ended()? {
                return Err(NotReady::Ended(status));
            }
            if Instant::now() > until || stop.is_set() {
                return Err(NotReady::Silent(address));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(Some(_))) {
            return;
        }
        if let Some(pid) = Pid::from_raw(self.0.id() as i32) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let until = Instant::now() + END;
        while Instant::now() < until {
            if matches!(self.ended(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
