//! The server clock: microseconds since the server started.
//!
//! It is what travels on the wire (`Welcome.server_time_us`, `Pong`, `Member.at_us`) and what the pure parts take as
//! `now_us`. It never goes back, and says nothing about the time of day except through `system_time`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The server clock. Copies of one clock agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    wall: SystemTime,
}

impl Clock {
    /// A clock that is zero now.
    pub fn start() -> Self {
        Self { origin: Instant::now(), wall: SystemTime::now() }
    }

    /// Microseconds since the start.
    pub fn now(&self) -> u64 {
        self.micros(Instant::now())
    }

    /// The server time of an instant, microseconds. Instants before the start are 0.
    pub fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.origin).as_micros() as u64
    }

    /// The instant of a server time.
    pub fn instant(&self, us: u64) -> Instant {
        self.origin + Duration::from_micros(us)
    }

    /// The time of day of a server time, as the system's clock was when the server started.
    pub fn system_time(&self, us: u64) -> SystemTime {
        self.wall + Duration::from_micros(us)
    }

    /// As `system_time`, in milliseconds since 1970.
    pub fn unix_ms(&self, us: u64) -> u64 {
        self.system_time(us).duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micros_and_instant_agree() {
        let clock = Clock::start();
        assert_eq!(clock.micros(clock.instant(1_500_000)), 1_500_000);
        assert_eq!(clock.micros(clock.origin), 0);
        assert_eq!(clock.unix_ms(2_000_000) - clock.unix_ms(0), 2_000);
    }

    #[test]
    fn an_instant_before_the_start_is_zero() {
        let early = Instant::now();
        let clock = Clock::start();
        assert_eq!(clock.micros(early), 0);
    }
}
