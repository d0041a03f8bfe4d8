//! When each bot acts: once a tick, at a phase of its own, on one wheel.

use std::time::{Duration, Instant};

/// A tick divided into slots of about a millisecond; each bot has a place in one of them. One wheel for the
/// whole swarm instead of a timer per bot: the swarm wakes once per slot, however many bots there are.
#[derive(Debug)]
pub struct Wheel {
    start: Instant,
    period: Duration,
    slots: Vec<Vec<u32>>,
    /// Slots gone by since `start`.
    turned: u64,
}

impl Wheel {
    /// A wheel that turns once in `period`, from `start` on.
    pub fn new(start: Instant, period: Duration) -> Self {
        let slots = period.as_millis().clamp(1, 10_000) as usize;
        Self { start, period, slots: vec![Vec::new(); slots], turned: 0 }
    }
    /// Gives a bot a random place.
    pub fn add(&mut self, bot: u32, random: &mut fastrand::Rng) {
        let slot = random.usize(..self.slots.len());
        self.slots[slot].push(bot);
    }
    /// When the next slot is due.
    pub fn next(&self) -> Instant {
        let slots = self.slots.len() as u64;
        let whole = self.period.as_nanos() as u64 * (self.turned / slots);
        let part = self.period.as_nanos() as u64 * (self.turned % slots) / slots;
        self.start + Duration::from_nanos(whole + part)
    }
    /// The next slot, if it is due: when it was, and its number. A late caller gets every slot that went by,
    /// with the time at which it should have been.
    pub fn turn(&mut self, now: Instant) -> Option<(Instant, usize)> {
        let due = self.next();
        if due > now {
            return None;
        }
        let slot = (self.turned % self.slots.len() as u64) as usize;
        self.turned += 1;
        Some((due, slot))
    }
    /// Who is in a slot.
    pub fn slot(&self, slot: usize) -> &[u32] {
        &self.slots[slot]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bot_acts_once_a_tick_at_its_own_phase() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start, Duration::from_millis(50));
        let mut random = fastrand::Rng::with_seed(1);
        (0..1000).for_each(|bot| wheel.add(bot, &mut random));
        let mut acted = vec![Vec::new(); 1000];
        // Asked only every 10 ms: nobody may be left out, and the due times must not depend on when we ask.
        for now in (0..=100).step_by(10).map(|ms| start + Duration::from_millis(ms)) {
            while let Some((due, slot)) = wheel.turn(now) {
                assert!(due <= now);
                wheel.slot(slot).iter().for_each(|&bot| acted[bot as usize].push(due));
            }
        }
        for times in &acted {
            assert!(times.len() >= 2);
            assert_eq!(times[1] - times[0], Duration::from_millis(50));
        }
        let phases: std::collections::BTreeSet<_> = acted.iter().map(|times| times[0]).collect();
        assert!(phases.len() > 45, "{} phases", phases.len());
    }
}
