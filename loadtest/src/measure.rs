//! What is measured on every state and input, and how it is put together.
//!
//! Each thread has histograms of its own; they are added up at the end.
//!
//! No coordinated omission: bots act on a schedule, whatever the server does. An input's latency counts from
//! when it should have been sent, and one that was never answered counts with the time it had waited by the
//! end. Gaps between states include the one that is open when measuring ends.

use driftless_links::Micros;
use std::time::{Duration, Instant};

/// Most intervals of the timeline.
const MAX_INTERVALS: usize = 120;

/// Everything that one thread's bots measure.
#[derive(Debug, Clone)]
pub struct Measure {
    /// State's age on arrival.
    pub age: Micros,
    /// Input to the state that contains it.
    pub input: Micros,
    /// Between states applied.
    pub gap: Micros,
    /// The same where a bot was sent to another node in between.
    pub moved_gap: Micros,
    /// The same where a bot came back, other than from one node to another.
    pub away: Micros,
    /// Age of what a bot knows of a zone, when it acts.
    pub zone_age: Micros,
    /// The same of the zone that its own entity is in.
    pub near_zone_age: Micros,
    /// How late the swarm itself sent inputs.
    pub late: Micros,
    /// The run, cut in intervals.
    pub timeline: Timeline,
    /// What is simply counted.
    pub counts: Counts,
}

/// What is counted while measuring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// States applied whose tick was due in the measured time.
    pub states: u64,
    /// Ticks that were due.
    pub due: u64,
    /// Bytes of deltas (states with a baseline), without framing.
    pub delta_bytes: u64,
    /// Entities that moved in them.
    pub moved: u64,
    /// State messages.
    pub state_messages: u64,
    /// Bytes of all states, without framing.
    pub state_bytes: u64,
    /// Messages received.
    pub messages_down: u64,
    /// Bytes of frames received.
    pub bytes_down: u64,
    /// Messages sent.
    pub messages_up: u64,
    /// Bytes of frames sent.
    pub bytes_up: u64,
    /// Bots that acted, each time.
    pub looks: u64,
    /// Zones (other than zone 0) that they knew then.
    pub zones: u64,
    /// Of these, zones known only up to a tick before that of the newest state.
    pub zones_behind: u64,
    /// Inputs that the swarm did not send because it was a tick late.
    pub inputs_left_out: u64,
}

/// State's age and gaps for each stretch of the measured time.
#[derive(Debug, Clone)]
pub struct Timeline {
    start: Option<Instant>,
    /// How long one interval is.
    pub step: Duration,
    /// In order of time.
    pub intervals: Vec<Interval>,
}

/// A stretch of the measured time.
#[derive(Debug, Clone)]
pub struct Interval {
    /// State's age on arrival.
    pub age: Micros,
    /// Between states applied.
    pub gap: Micros,
    /// States that arrived.
    pub states: u64,
}

impl Measure {
    /// For a run of this length. All memory is allocated here.
    pub fn new(duration: Duration) -> Self {
        Self {
            age: Micros::fine(),
            input: Micros::fine(),
            gap: Micros::fine(),
            moved_gap: Micros::fine(),
            away: Micros::fine(),
            zone_age: Micros::fine(),
            near_zone_age: Micros::fine(),
            late: Micros::fine(),
            timeline: Timeline::new(duration),
            counts: Counts::default(),
        }
    }
    /// Adds what another thread measured.
    pub fn add(&mut self, other: &Measure) {
        self.age.add(&other.age);
        self.input.add(&other.input);
        self.gap.add(&other.gap);
        self.moved_gap.add(&other.moved_gap);
        self.away.add(&other.away);
        self.zone_age.add(&other.zone_age);
        self.near_zone_age.add(&other.near_zone_age);
        self.late.add(&other.late);
        self.timeline.add(&other.timeline);
        self.counts.add(&other.counts);
    }
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.states += other.states;
        self.due += other.due;
        self.delta_bytes += other.delta_bytes;
        self.moved += other.moved;
        self.state_messages += other.state_messages;
        self.state_bytes += other.state_bytes;
        self.messages_down += other.messages_down;
        self.bytes_down += other.bytes_down;
        self.messages_up += other.messages_up;
        self.bytes_up += other.bytes_up;
        self.looks += other.looks;
        self.zones += other.zones;
        self.zones_behind += other.zones_behind;
        self.inputs_left_out += other.inputs_left_out;
    }
}

impl Timeline {
    fn new(duration: Duration) -> Self {
        let step = Duration::from_secs(1).max(duration / MAX_INTERVALS as u32);
        let count = duration.as_nanos().div_ceil(step.as_nanos()).max(1) as usize;
        let empty = Interval { age: Micros::coarse(), gap: Micros::coarse(), states: 0 };
        Self { start: None, step, intervals: vec![empty; count] }
    }
    /// The measured time begins.
    pub fn begin(&mut self, now: Instant) {
        self.start = Some(now);
    }
    /// The interval that a time is in.
    pub fn at(&mut self, now: Instant) -> Option<&mut Interval> {
        let since = now.checked_duration_since(self.start?)?;
        self.intervals.get_mut((since.as_nanos() / self.step.as_nanos()) as usize)
    }
    fn add(&mut self, other: &Timeline) {
        for (mine, theirs) in self.intervals.iter_mut().zip(&other.intervals) {
            mine.age.add(&theirs.age);
            mine.gap.add(&theirs.gap);
            mine.states += theirs.states;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeline_covers_the_run_and_nothing_else() {
        let mut timeline = Timeline::new(Duration::from_millis(2500));
        let start = Instant::now();
        assert!(timeline.at(start).is_none());
        timeline.begin(start);
        assert_eq!(timeline.intervals.len(), 3);
        timeline.at(start + Duration::from_millis(2400)).unwrap().states = 7;
        assert_eq!(timeline.intervals[2].states, 7);
        assert!(timeline.at(start + Duration::from_secs(3)).is_none());
        assert_eq!(Timeline::new(Duration::from_secs(7200)).intervals.len(), MAX_INTERVALS);
    }
}
