//! A program that runs for as long as it is wanted.

#![allow(unsafe_code, reason = "signals for a group of processes")]

use crate::shutdown::{Interrupted, Signals};
use std::{
    io::{self, Read},
    os::unix::process::CommandExt as _,
    process::{self, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often it is looked at whether a program has ended.
const LOOK: Duration = Duration::from_millis(30);
/// How long a program has to end once it is asked to: longer than a server needs to say goodbye.
const PATIENCE: Duration = Duration::from_secs(12);

/// A program in a process group of its own.
pub(super) struct Child {
    process: process::Child,
    /// Reads what it prints, if that is piped.
    printed: Option<thread::JoinHandle<String>>,
}

impl Child {
    /// Starts it, with nothing to read.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        command.stdin(Stdio::null()).process_group(0);
        #[cfg(target_os = "linux")]
        // SAFETY: prctl is async-signal-safe and takes integers.
        unsafe {
            command.pre_exec(|| {
                // Whatever becomes of us, it does not stay behind and keep the port.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        let mut process = command.spawn()?;
        let printed = process.stdout.take().map(|mut stdout| {
            thread::spawn(move || {
                let mut text = Vec::new();
                let _ = stdout.read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        Ok(Self { process, printed })
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Waits for its end: whether it succeeded, and what it printed. Ends it when we are to end.
    pub(super) async fn finish(mut self, signals: &mut Signals) -> Result<(bool, String), Interrupted> {
        loop {
            if let Some(status) = self.ended() {
                let printed = self.printed.take().and_then(|thread| thread.join().ok());
                return Ok((status.success(), printed.unwrap_or_default()));
            }
            if signals.none_for(LOOK).await.is_err() {
                self.end().await;
                return Err(Interrupted);
            }
        }
    }

    /// Asks it and all that it has started to end, and waits until it has: not for ever.
    pub(super) async fn end(mut self) {
        self.signal(libc::SIGTERM);
        let asked = Instant::now();
        while self.ended().is_none() {
            if asked.elapsed() > PATIENCE {
                self.signal(libc::SIGKILL);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn signal(&self, signal: i32) {
        if let Ok(group) = i32::try_from(self.process.id()) {
            // SAFETY: kill takes two numbers. The process has not been waited for, so its group is its own.
            unsafe { libc::kill(-group, signal) };
        }
    }
}
