//! Scheduling of our threads.

#![allow(unsafe_code, reason = "calls of the kernel that no crate here wraps")]

use std::{io, thread, time::Duration};
use tokio::runtime::Builder;

/// Time slice requested by a thread that runs briefly and must run soon, nanoseconds: the minimum that Linux
/// accepts.
#[cfg(target_os = "linux")]
const SHORT_SLICE: u64 = 100_000;

/// Asks the scheduler to run the calling thread soon after it wakes, for short turns: for threads that keep
/// time. Needs no privilege: Linux's EEVDF scheduler gives a task with a shorter slice an earlier deadline
/// (since 6.12; older kernels and other systems ignore it). This is best effort: without it, ticks start a
/// little later on a busy machine.
pub(crate) fn prefer_latency() {
    #[cfg(target_os = "linux")]
    // SAFETY: all zeroes are a valid value of this struct; sched_setattr reads it, up to the size that is in
    // it; getpriority and prctl take integers.
    unsafe {
        let mut attributes: libc::sched_attr = std::mem::zeroed();
        attributes.size = size_of::<libc::sched_attr>() as u32;
        attributes.sched_policy = libc::SCHED_OTHER as u32;
        attributes.sched_nice = libc::getpriority(libc::PRIO_PROCESS, 0);
        attributes.sched_runtime = SHORT_SLICE;
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
        // Otherwise timers of this thread may be delayed by up to 50 µs to coincide with others.
        libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0);
    }
}

/// Starts a thread with a runtime of its own, which does this and ends.
///
/// # Errors
/// If the system gives none.
pub(crate) fn runs(name: &str, work: impl AsyncFnOnce() + Send + 'static) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(work()))?;
    Ok(())
}

/// Names the calling thread, for people who inspect the process.
pub(crate) fn set_name(name: &str) {
    #[cfg(target_os = "linux")]
    if let Ok(name) = std::ffi::CString::new(name) {
        // SAFETY: reads the name up to its zero, or 15 bytes of it.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = name;
}

/// CPU time that the calling thread has used.
pub(crate) fn cpu_time() -> Duration {
    // SAFETY: all zeroes are a valid value of this struct.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: writes the struct.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What a thread has used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// CPU time used.
    worked: Duration,
    /// How often the thread waited for something voluntarily.
    waits: i64,
}

impl Usage {
    /// The usage of the calling thread.
    #[cfg(target_os = "linux")]
    pub(crate) fn now() -> Self {
        // SAFETY: all zeroes are a valid value of this struct.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: writes the struct.
        unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
        let time = |time: libc::timeval| {
            Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
        };
        Self { worked: time(usage.ru_utime) + time(usage.ru_stime), waits: usage.ru_nvcsw }
    }

    /// The usage of the calling thread.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn now() -> Self {
        Self { worked: cpu_time(), waits: 0 }
    }

    /// The part of `took` that the thread itself is responsible for since `before`, as opposed to the
    /// machine, which ran others meanwhile.
    pub(crate) fn own_part(self, before: Self, took: Duration) -> Duration {
        // A thread that waited, slept or took a lock is itself responsible for the time.
        if self.waits != before.waits { took } else { took.min(self.worked.saturating_sub(before.worked)) }
    }
}

/// The cores that the process may use.
#[derive(Clone)]
pub(crate) struct Cores(#[cfg(target_os = "linux")] Vec<usize>);

#[cfg(target_os = "linux")]
impl Cores {
    /// Call this on a thread that is not pinned.
    ///
    /// # Errors
    /// If the kernel does not report them, or the system does not support pinning.
    pub(crate) fn allowed() -> io::Result<Self> {
        // SAFETY: all zeroes are a valid value of this set, whose size is correct; the macro reads within it.
        let allowed = unsafe {
            let mut allowed: libc::cpu_set_t = std::mem::zeroed();
            if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut allowed) != 0 {
                return Err(io::Error::last_os_error());
            }
            (0..libc::CPU_SETSIZE as usize).filter(|core| libc::CPU_ISSET(*core, &allowed)).collect()
        };
        Ok(Self(allowed))
    }

    /// Pins the calling thread to the `n`th core, counting again from the first after the last. None: unpins
    /// it.
    ///
    /// # Errors
    /// If the kernel does not allow it.
    pub(crate) fn run_here(&self, n: Option<usize>) -> io::Result<()> {
        let own = n.map(|n| self.0[n % self.0.len()]);
        // SAFETY: as above: the macro writes within the set, as these numbers are from one of the same size.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            for core in self.0.iter().filter(|core| own.is_none_or(|own| own == **core)) {
                libc::CPU_SET(*core, &mut set);
            }
            if libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl Cores {
    pub(crate) fn allowed() -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "threads cannot be pinned on this system"))
    }
    pub(crate) fn run_here(&self, _: Option<usize>) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_and_sleep_are_a_threads_own_and_waiting_for_a_core_is_not() {
        let took = Duration::from_millis(20);
        let at = |worked, waits| Usage { worked: Duration::from_millis(worked), waits };
        assert_eq!(at(119, 3).own_part(at(100, 3), took), Duration::from_millis(19));
        assert_eq!(at(101, 3).own_part(at(100, 3), took), Duration::from_millis(1));
        assert_eq!(at(100, 4).own_part(at(100, 3), took), took);
        let before = Usage::now();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(Usage::now().own_part(before, took), took);
    }

    #[test]
    fn a_thread_that_a_pinned_one_starts_can_be_on_any_core_again() {
        let all = Cores::allowed().unwrap();
        for n in 0..all.0.len() + 1 {
            let all = all.clone();
            let pinned = std::thread::spawn(move || {
                all.run_here(Some(n)).unwrap();
                assert_eq!(Cores::allowed().unwrap().0, [all.0[n % all.0.len()]]);
                let free = std::thread::spawn(move || {
                    all.run_here(None).unwrap();
                    (Cores::allowed().unwrap().0, all.0)
                });
                free.join().unwrap()
            });
            let (free, all) = pinned.join().unwrap();
            assert_eq!(free, all);
        }
    }
}
