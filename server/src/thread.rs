//! What the scheduler is told of our threads.

use std::{io, time::Duration};

/// Slice that a thread asks for which runs briefly and must run soon, nanoseconds: the least that Linux takes.
#[cfg(target_os = "linux")]
const SHORT_SLICE: u64 = 100_000;

/// Asks the scheduler to run the calling thread soon after it wakes, for short turns: for threads that keep time. Needs no privilege:
/// Linux's EEVDF scheduler gives a task with a shorter slice an earlier deadline (from 6.12; older kernels and other systems ignore it).
/// Best effort: where it cannot be had, ticks start a little later on a busy machine.
pub(crate) fn prefer_latency() {
    #[cfg(target_os = "linux")]
    // SAFETY: sched_setattr reads the struct it is given, of the size that is in it; prctl takes integers.
    unsafe {
        let mut attributes: libc::sched_attr = std::mem::zeroed();
        attributes.size = size_of::<libc::sched_attr>() as u32;
        attributes.sched_policy = libc::SCHED_OTHER as u32;
        attributes.sched_nice = libc::getpriority(libc::PRIO_PROCESS, 0);
        attributes.sched_runtime = SHORT_SLICE;
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
        // Timers of this thread may otherwise be put together with others' for 50 µs.
        libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0);
    }
}

/// Names the calling thread, for those who look at the process.
pub(crate) fn set_name(name: &str) {
    #[cfg(target_os = "linux")]
    if let Ok(name) = std::ffi::CString::new(name) {
        // SAFETY: reads the name, of which it takes 15 bytes.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = name;
}

/// How long the calling thread has worked.
pub(crate) fn cpu_time() -> Duration {
    // SAFETY: all zeroes are a value of this struct.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: writes the struct.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Has the calling thread run on one core alone: the `n`th of those that the process may use, from the first again after the last.
///
/// # Errors
/// If the kernel does not allow it, or the system has no such thing.
pub(crate) fn pin(n: usize) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: the set is ours, and as large as we say; its macros read and write within it.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut allowed) != 0 {
            return Err(io::Error::last_os_error());
        }
        let cores = (0..libc::CPU_SETSIZE as usize).filter(|core| libc::CPU_ISSET(*core, &allowed));
        let cores: Vec<_> = cores.collect();
        let mut own: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cores[n % cores.len().max(1)], &mut own);
        if libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const own) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = n;
        Err(io::ErrorKind::Unsupported.into())
    }
}
