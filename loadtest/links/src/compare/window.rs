//! The measured time, and where in the scenario it is. Shared by all players, which are on one thread.

use crate::scenario::Scenario;
use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// How long to measure if neither the user nor the scenario says.
const DEFAULT: Duration = Duration::from_secs(20);
/// How much longer than the scenario's phases to measure.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// The measured time.
#[derive(Debug, Default)]
pub struct Window {
    began: Cell<Option<Instant>>,
    ended: Cell<Option<Instant>>,
    closed: Cell<bool>,
    /// Players in their room.
    pub playing: Cell<usize>,
    /// Players that have left.
    pub gone: Cell<usize>,
    /// Ends of blackouts, since the beginning.
    black_outs: Vec<Duration>,
    /// Total of all phases that have an end.
    phases: Duration,
}

impl Window {
    /// For a scenario, or for an unknown link.
    pub fn new(scenario: Option<&Scenario>) -> Self {
        let mut window = Self::default();
        let phases = scenario.map_or(&[][..], |scenario| &scenario.phases);
        let mut dark = false;
        for (index, phase) in phases.iter().enumerate() {
            let was_dark = std::mem::replace(&mut dark, phase.down.black_out);
            if was_dark && !dark {
                window.black_outs.push(window.phases);
            }
            if index + 1 < phases.len() {
                window.phases += phase.duration.unwrap_or_default();
            }
        }
        window
    }
    /// How long to measure to see all of it.
    pub fn whole(&self) -> Duration {
        if self.phases.is_zero() { DEFAULT } else { self.phases + AFTERWARDS }
    }
    /// The measured time begins.
    pub fn begin(&self, now: Instant) {
        self.began.set(Some(now));
    }
    /// It ends.
    pub fn end(&self, now: Instant) {
        self.ended.set(Some(now));
    }
    /// The players should leave.
    pub fn close(&self) {
        self.closed.set(true);
    }
    /// Whether they should.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }
    /// Whether a time is in it.
    pub fn contains(&self, at: Instant) -> bool {
        self.began.get().is_some_and(|began| at >= began) && self.ended.get().is_none_or(|ended| at < ended)
    }
    /// When it began, if it has.
    pub fn began(&self) -> Option<Instant> {
        self.began.get()
    }
    /// When it ended, if it has.
    pub fn ended(&self) -> Option<Instant> {
        self.ended.get()
    }
    /// How long it was, seconds.
    pub fn seconds(&self) -> f64 {
        let (began, ended) = (self.began.get(), self.ended.get());
        began.zip(ended).map_or(0.0, |(began, ended)| (ended - began).as_secs_f64())
    }
    /// When the last blackout that is over by now ended.
    pub fn last_black_out(&self, now: Instant) -> Option<Instant> {
        let began = self.began.get()?;
        self.black_outs.iter().map(|&end| began + end).rfind(|&end| end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(name: &str) -> Window {
        Window::new(Some(&name.parse().unwrap()))
    }

    #[test]
    fn a_black_out_is_over_when_its_phase_is() {
        let window = window("blackout-5s");
        let began = Instant::now();
        window.begin(began);
        assert_eq!(window.last_black_out(began + Duration::from_millis(9_999)), None);
        let over = began + Duration::from_secs(10);
        assert_eq!(window.last_black_out(over + Duration::from_secs(3)), Some(over));
        assert_eq!(window.whole(), Duration::from_secs(20));
    }

    #[test]
    fn a_scenario_without_an_end_is_measured_for_the_default_time() {
        assert_eq!(window("rtt60-loss5").whole(), DEFAULT);
        assert_eq!(Window::new(None).whole(), DEFAULT);
    }

    #[test]
    fn only_what_is_between_begin_and_end_counts() {
        let window = Window::default();
        let now = Instant::now();
        assert!(!window.contains(now));
        window.begin(now);
        assert!(window.contains(now) && window.contains(now + DEFAULT));
        window.end(now + Duration::from_secs(1));
        assert!(!window.contains(now + Duration::from_secs(1)));
        assert_eq!(window.seconds(), 1.0);
    }
}
