//! A precise timer for a thread's future. (tokio's own timers round to a millisecond.)

#![allow(unsafe_code, reason = "a timer of the kernel")]

use std::{
    io,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// A timer that can be set repeatedly.
pub(crate) struct Alarm {
    at: Option<Instant>,
    timer: Timer,
}

impl Alarm {
    /// A timer that is not set. Call this within a runtime.
    ///
    /// # Errors
    /// If there is no file descriptor left for it.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { at: None, timer: Timer::new()? })
    }

    /// Sets the timer to this moment; None: clears it. Costs a system call if the moment differs from the
    /// current setting.
    pub(crate) fn set(&mut self, at: Option<Instant>) {
        if self.at != at {
            self.at = at;
            self.timer.set(at.map(|at| at.saturating_duration_since(Instant::now())));
        }
    }

    /// Ready when the moment has come; the timer is then cleared. (It may occasionally be ready for a moment
    /// that was set before.)
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let rung = self.timer.poll(cx);
        if rung.is_ready() {
            self.at = None;
        }
        rung
    }
}

#[cfg(target_os = "linux")]
use linux::Timer;
#[cfg(not(target_os = "linux"))]
use other::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use super::*;
    use crate::readable::Readable;
    use std::{
        os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        ptr,
    };

    /// A `timerfd`. It is never read, because the runtime reports the moment when it expires.
    pub(super) struct Timer(Readable);

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            // SAFETY: takes two integers and returns a descriptor or -1.
            let fd = unsafe {
                libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC)
            };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: it was just opened, and nobody else has it.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            Ok(Self(Readable::watch(fd)?))
        }

        pub(super) fn set(&mut self, within: Option<Duration>) {
            // Zero would disarm the timer.
            let within = within.map_or(Duration::ZERO, |within| within.max(Duration::from_nanos(1)));
            // SAFETY: all zeroes are a valid value of this struct.
            let mut setting: libc::itimerspec = unsafe { std::mem::zeroed() };
            setting.it_value.tv_sec = libc::time_t::try_from(within.as_secs()).unwrap_or(libc::time_t::MAX);
            setting.it_value.tv_nsec = within.subsec_nanos().into();
            // SAFETY: the descriptor is ours and open, and the struct is read before the call returns.
            let result = unsafe {
                libc::timerfd_settime(self.0.as_fd().as_raw_fd(), 0, &raw const setting, ptr::null_mut())
            };
            debug_assert_eq!(result, 0, "{}", io::Error::last_os_error());
        }

        pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
            self.0.poll(cx).map(|mut ready| ready.clear_ready())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::*;
    use actix_rt::time::{Sleep, sleep};
    use std::{future::Future, pin::Pin};

    /// The runtime's timer, which rounds to a millisecond.
    pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self(None))
        }

        pub(super) fn set(&mut self, within: Option<Duration>) {
            self.0 = within.map(|within| Box::pin(sleep(within)));
        }

        pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
            let Some(sleep) = &mut self.0 else { return Poll::Pending };
            let rung = sleep.as_mut().poll(cx);
            if rung.is_ready() {
                self.0 = None;
            }
            rung
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[actix::test]
    async fn it_rings_for_each_moment_once_and_never_early() {
        let mut alarm = Alarm::new().unwrap();
        for n in 1..=20 {
            let at = Instant::now() + Duration::from_micros(n * 200);
            alarm.set(Some(at));
            poll_fn(|cx| alarm.poll(cx)).await;
            assert!(Instant::now() >= at);
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx).is_pending())).await);
        }
    }

    #[actix::test]
    async fn it_can_be_set_to_an_earlier_moment_and_to_one_that_is_past() {
        let mut alarm = Alarm::new().unwrap();
        alarm.set(Some(Instant::now() + Duration::from_secs(3600)));
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx).is_pending())).await);
        alarm.set(Some(Instant::now()));
        poll_fn(|cx| alarm.poll(cx)).await;
    }
}
