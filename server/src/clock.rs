//! The server clock: microseconds since the server started; or if there are other nodes, since 1970, so that
//! those who go from one to another need not set theirs again.
//!
//! This is the time on the wire (`Welcome.server_time_us`, `Pong`, `Member.at_us`) and the `now_us` argument
//! of the pure parts. It never goes back and knows no time of day: that is read from the system when it is
//! shown, because the system's clock may be set while the server runs.

#![allow(unsafe_code, reason = "a clock of the kernel that no crate here wraps")]

use std::{
    cell::RefCell,
    fs,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The runtime's clock, which is virtual if a test has paused it. The pure parts are given the time as an
/// argument instead.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The machine that the calling thread is on, if that is a simulated one.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What tells its boots apart.
    pub boot: Arc<str>,
    /// A moment of it.
    pub at: Instant,
    /// What its clock shows then, as the time since 1970.
    pub shows: Duration,
    /// How long it has been running then.
    pub up: Duration,
}

thread_local! {
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

impl Machine {
    /// The calling thread is on it from now on.
    pub fn enter(self) {
        MACHINE.set(Some(self));
    }

    fn passed(&self) -> Duration {
        now().saturating_duration_since(self.at)
    }
}

/// The time of day, as the time since 1970. It may be set while the server runs.
pub(crate) fn time_of_day() -> Duration {
    MACHINE.with_borrow(|machine| match machine {
        Some(machine) => machine.shows + machine.passed(),
        None => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    })
}

/// How long the machine has been running, including the time during which it was asleep: a clock that nobody
/// sets. None: unknown.
pub(crate) fn uptime() -> Option<Duration> {
    let simulated =
        MACHINE.with_borrow(|machine| machine.as_ref().map(|machine| machine.up + machine.passed()));
    simulated.or_else(uptime_of_system)
}

/// From the kernel: a sandbox may hide `/proc/uptime`.
fn uptime_of_system() -> Option<Duration> {
    // SAFETY: a struct of two integers, for which zero is a value.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the clock is a constant of the kernel's, and the struct is there.
    let asked = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    (asked == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// A span in milliseconds.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Identifies the time since this machine was started. Empty: unknown, because a sandbox hides it.
pub(crate) fn boot() -> Arc<str> {
    static BOOT: OnceLock<Arc<str>> = OnceLock::new();
    let of_system = || {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().into()
    };
    let simulated = MACHINE.with_borrow(|machine| machine.as_ref().map(|machine| machine.boot.clone()));
    simulated.unwrap_or_else(|| BOOT.get_or_init(of_system).clone())
}

/// The server clock. Copies of a clock agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    /// What it shows at the origin.
    at_origin: u64,
}

impl Clock {
    /// A clock that is zero now.
    pub fn start() -> Self {
        Self { origin: now(), at_origin: 0 }
    }

    /// A clock that agrees with those of other nodes, as far as their systems' clocks do now.
    pub fn among_nodes() -> Self {
        Self { origin: now(), at_origin: u64::try_from(time_of_day().as_micros()).unwrap_or(0) }
    }

    /// What it shows now, microseconds.
    pub fn now(&self) -> u64 {
        self.micros(now())
    }

    /// The server time of an instant, microseconds. Instants before the start count as the start.
    pub fn micros(&self, at: Instant) -> u64 {
        self.at_origin + at.saturating_duration_since(self.origin).as_micros() as u64
    }

    /// The instant of a server time. Times before the start count as the start.
    pub fn instant(&self, us: u64) -> Instant {
        self.origin + Duration::from_micros(us.saturating_sub(self.at_origin))
    }

    /// The time of day, as the time since 1970.
    pub fn unix(&self) -> Duration {
        time_of_day()
    }

    /// The time of day at a server time, according to the system's current clock: milliseconds since 1970.
    pub fn unix_ms(&self, us: u64) -> u64 {
        unix_ms(us, self.now(), UNIX_EPOCH + time_of_day())
    }
}

/// The time of day at server time `us`, milliseconds since 1970, when the server time is `now_us` and the
/// system's clock shows `wall`.
pub fn unix_ms(us: u64, now_us: u64, wall: SystemTime) -> u64 {
    let wall_us = wall.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    let shown_us = (wall_us + u128::from(us)).saturating_sub(now_us.into());
    u64::try_from(shown_us / 1_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micros_and_instant_agree() {
        let clock = Clock::start();
        assert_eq!(clock.micros(clock.instant(1_500_000)), 1_500_000);
        assert_eq!(clock.micros(clock.origin), 0);
    }

    #[test]
    fn a_server_that_ran_for_years_counts_every_microsecond() {
        let clock = Clock::start();
        for days in [30, 380, 36_500] {
            let us = days * 24 * 60 * 60 * 1_000_000 + 1;
            assert_eq!(clock.micros(clock.instant(us)), us);
        }
    }

    #[test]
    fn a_time_of_day_follows_the_system_clock_when_that_is_set() {
        const HOUR: u64 = 60 * 60;
        let (started, up) = (UNIX_EPOCH + Duration::from_secs(500 * HOUR), Duration::from_secs(3 * HOUR));
        let now_us = up.as_micros() as u64;
        assert_eq!(unix_ms(0, now_us, started + up), 500 * HOUR * 1_000);
        assert_eq!(unix_ms(now_us, now_us, started + up), 503 * HOUR * 1_000);
        // An hour forward: what was three hours ago still is, according to the new setting.
        let set = started + up + Duration::from_secs(HOUR);
        assert_eq!(unix_ms(0, now_us, set), 501 * HOUR * 1_000);
        assert_eq!(unix_ms(now_us, now_us, set), 504 * HOUR * 1_000);
        // And back; at worst to before 1970.
        assert_eq!(unix_ms(now_us, now_us, started), 500 * HOUR * 1_000);
        assert_eq!(unix_ms(now_us, now_us, UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(unix_ms(u64::MAX, 0, started) / 1_000, u64::MAX / 1_000_000 + 500 * HOUR);
    }

    #[test]
    fn the_machine_says_for_how_long_it_has_been_running() {
        let told = || fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
        let (before, up, after): (f64, _, f64) = (told(), uptime().unwrap().as_secs_f64(), told());
        // (It is told in hundredths of a second.)
        assert!(before - 0.01 <= up && up <= after + 0.01, "{before} {up} {after}");
    }

    #[test]
    fn an_instant_before_the_start_is_zero() {
        let early = Instant::now();
        let clock = Clock::start();
        assert_eq!(clock.micros(early), 0);
    }
}
