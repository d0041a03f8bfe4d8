//! The real binary as a child process, for tests about a whole process: memory, signals, exit codes.

#![allow(unsafe_code, reason = "limits and signals for a child")]

use super::{PATIENCE, until};
use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A running `driftless serve` on a free port. Killed when dropped.
pub struct Process {
    child: Child,
    errors: Option<thread::JoinHandle<String>>,
    address: SocketAddr,
    /// The last line, which has the dashboard's URL.
    dashboard: String,
}

/// The binary with these arguments, unaffected by the environment's settings.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("DRIFTLESS_")) {
        command.env_remove(key);
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// The same, with this limit of open files.
pub fn limited(files: u64, args: &[&str]) -> Command {
    let mut command = command(args);
    let limit = libc::rlimit { rlim_cur: files, rlim_max: files };
    // SAFETY: setrlimit is async-signal-safe and reads a struct that the closure owns.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_NOFILE, &limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    command
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Output {
    command(args).output().expect("the binary runs")
}

impl Process {
    /// Starts it and waits until it listens.
    pub fn start(args: &[&str]) -> Self {
        let mut command = command(&["--listen", "127.0.0.1:0", "--log", "error"]);
        command.args(args);
        Self::of(command)
    }

    /// Runs a command that becomes such a server, and waits until it listens.
    pub fn of(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        out.read_line(&mut line).expect("a line that says where it listens");
        let mut dashboard = String::new();
        out.read_line(&mut dashboard).expect("a line that says where the dashboard is");
        // Keeps reading, so that its output can never block it.
        thread::spawn(move || out.read_to_end(&mut Vec::new()));
        let mut errors = child.stderr.take().expect("a pipe");
        let errors = thread::spawn(move || {
            let mut said = String::new();
            let _ = errors.read_to_string(&mut said);
            eprint!("{said}");
            said
        });
        let address =
            line.trim().split_once(" http://").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
        let errors = Some(errors);
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { child, errors, address, dashboard: dashboard.trim().to_owned() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The dashboard's URL as it was printed.
    pub fn dashboard(&self) -> &str {
        self.dashboard.strip_prefix("dashboard: ").expect("it says what it is")
    }

    /// The header that identifies an operator, with its line end.
    pub fn authorization(&self) -> String {
        let token = self.dashboard.split_once("#token=").expect("a token of the server's making").1;
        format!("authorization: Bearer {token}\r\n")
    }

    /// Resident memory, bytes.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: kill has no preconditions; the child has not been waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "the process is there");
    }

    /// Has it stop in order. Returns what it wrote to standard error.
    pub fn stop(mut self) -> String {
        self.signal(libc::SIGTERM);
        self.wait();
        self.kill()
    }

    /// Kills it at once. Returns what it wrote to standard error.
    pub fn kill(mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.errors.take().expect("once").join().expect("it only reads")
    }

    /// How it ended, and how long that took from now.
    #[track_caller]
    pub fn wait(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        let mut status = None;
        until("the process ends", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        assert!(start.elapsed() < PATIENCE);
        (status.expect("it has ended"), start.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = self.errors.take().map(thread::JoinHandle::join);
        if !thread::panicking() {
            let said = said.map_or_else(String::new, |said| said.expect("it only reads"));
            assert!(!said.contains("panicked at"), "{said}");
        }
    }
}
