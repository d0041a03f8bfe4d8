//! What the kernel knows about a process: CPU time, memory, threads, files; and how many files this process
//! may open.

#![allow(unsafe_code, reason = "the clock of another process")]

mod running;

pub use running::{Running, shell};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{io, time::Duration};

/// A process on this machine, watched from outside.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    pid: u32,
    clock: libc::clockid_t,
}

/// The highest number a process can have on Linux (PID_MAX_LIMIT). 0 would mean this process, and higher ones
/// would overflow in the clock's number.
const MAX_PID: u32 = 4 << 20;

/// The process is gone, or was never there.
#[derive(Debug, thiserror::Error)]
#[error("process {pid}: {error}")]
pub struct ProcessError {
    pid: u32,
    error: io::Error,
}

impl Process {
    /// The process of this number.
    pub fn find(pid: u32) -> Result<Self, ProcessError> {
        if !(1..=MAX_PID).contains(&pid) {
            return Err(ProcessError { pid, error: io::Error::from_raw_os_error(libc::ESRCH) });
        }
        let mut clock = 0;
        // SAFETY: the call writes to `clock`, which outlives it, and to nothing else.
        let result = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &raw mut clock) };
        if result != 0 {
            return Err(ProcessError { pid, error: io::Error::from_raw_os_error(result) });
        }
        let process = Self { pid, clock };
        process.cpu()?;
        Ok(process)
    }
    /// This process.
    pub fn own() -> Result<Self, ProcessError> {
        Self::find(std::process::id())
    }
    /// CPU time of all its threads, including ended ones. From the process's CPU clock: to the nanosecond,
    /// where `/proc/PID/stat` counts in hundredths of a second.
    pub fn cpu(&self) -> Result<Duration, ProcessError> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes to `time`, which outlives it, and to nothing else.
        if unsafe { libc::clock_gettime(self.clock, &raw mut time) } != 0 {
            return Err(ProcessError { pid: self.pid, error: io::Error::last_os_error() });
        }
        Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }
    /// Resident memory, bytes.
    pub fn rss(&self) -> Result<u64, ProcessError> {
        self.holdings().map(|holdings| holdings.rss)
    }
    /// What it holds.
    pub fn holdings(&self) -> Result<Holdings, ProcessError> {
        let error = |error| ProcessError { pid: self.pid, error };
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).map_err(error)?;
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).map_err(error)?;
        let read = |name| {
            number(&status, name).ok_or_else(|| error(io::Error::other(format!("no {name} in its status"))))
        };
        Ok(Holdings {
            rss: read("VmRSS")? * 1024,
            anonymous: read("RssAnon")? * 1024,
            threads: read("Threads")?,
            descriptors: files.count() as u64,
        })
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Resident memory, bytes.
    pub rss: u64,
    /// Of this, what is no file's: heap and stacks.
    pub anonymous: u64,
    /// Threads.
    pub threads: u64,
    /// Open files and sockets.
    pub descriptors: u64,
}

/// A number of a `/proc/PID/status`, which counts memory in KiB.
fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().trim_end_matches("kB").trim_end().parse().ok()
}

/// Files that this program opens besides its connections.
const OTHER_FILES: u64 = 64;

/// Too few files may be open at once.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{clients} clients need {need} open files and the hard limit is {limit}: raise it with `ulimit -Hn {need}` as root \
     (or `sudo prlimit --pid $$ --nofile={need}:{need}`, or LimitNOFILE= in the unit), or take at most {fit} clients"
)]
pub struct TooFewFiles {
    clients: usize,
    need: u64,
    limit: u64,
    fit: u64,
}

/// Raises the limit of open files to the hard limit, and checks that it is enough for this many connections.
pub fn raise_open_files(clients: usize) -> Result<(), TooFewFiles> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Without the raise the limit stays as it was, and is checked below.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    check_open_files(clients, getrlimit(Resource::Nofile).current)
}

fn check_open_files(clients: usize, limit: Option<u64>) -> Result<(), TooFewFiles> {
    let need = clients as u64 + OTHER_FILES;
    match limit {
        Some(limit) if limit < need => {
            Err(TooFewFiles { clients, need, limit, fit: limit.saturating_sub(OTHER_FILES) })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cpu_time_grows_with_work() {
        let own = Process::own().unwrap();
        let before = own.cpu().unwrap();
        let mut sum = 0u64;
        while own.cpu().unwrap() - before < Duration::from_millis(2) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(own.rss().unwrap() > 100_000);
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        for pid in [0, MAX_PID, u32::MAX] {
            let error = Process::find(pid).unwrap_err().to_string();
            assert_eq!(error, format!("process {pid}: No such process (os error 3)"));
        }
    }

    #[test]
    fn numbers_of_a_status_are_found_by_their_name() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t7\n";
        assert_eq!(number(status, "VmRSS"), Some(1234));
        assert_eq!(number(status, "Threads"), Some(7));
        assert_eq!((number(status, "Vm"), number(status, "RssAnon")), (None, None));
    }

    #[test]
    fn a_file_that_is_opened_is_held() {
        let own = Process::own().unwrap();
        let files: Vec<_> = (0..100).map(|_| std::fs::File::open("/proc/self/status").unwrap()).collect();
        let held = own.holdings().unwrap();
        drop(files);
        // Other tests of this process open and close some, too.
        assert!(held.descriptors >= own.holdings().unwrap().descriptors + 50);
        assert!(held.threads >= 2 && held.anonymous <= held.rss);
    }

    #[test]
    fn too_few_files_says_how_many_are_needed() {
        assert_eq!(check_open_files(100, Some(164)), Ok(()));
        assert_eq!(check_open_files(100, None), Ok(()));
        let error = check_open_files(5000, Some(1024)).unwrap_err().to_string();
        assert!(error.contains("5064 open files") && error.contains("at most 960"), "{error}");
    }
}
