//! What the scheduler is told of our threads.

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
