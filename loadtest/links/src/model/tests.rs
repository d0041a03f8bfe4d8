//! The models in virtual time.

mod bottleneck;
mod datagrams;
mod loss;
mod segments;

use super::{Conditions, Path, Phase, Timeline, Way};
use std::{sync::Arc, time::Duration};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The way down of a link whose both ways are like this.
fn path(both: Conditions) -> Path {
    phases(vec![(None, both)])
}

/// The way down of a link, from 0 on.
fn phases(phases: Vec<(Option<Duration>, Conditions)>) -> Path {
    let phase =
        |(duration, both): (Option<Duration>, Conditions)| Phase { duration, up: both.clone(), down: both };
    let timeline = Timeline::new(phases.into_iter().map(phase).collect());
    timeline.begin(Duration::ZERO);
    Path::new(Arc::new(timeline), Way::Down)
}

#[test]
fn phases_follow_each_other_and_the_last_one_stays() {
    let with = |latency| Conditions { latency: ms(latency), ..Conditions::default() };
    let path = phases(vec![(Some(ms(100)), with(1)), (Some(ms(50)), with(2)), (Some(ms(1)), with(3))]);
    let latencies: Vec<_> = [0, 99, 100, 149, 150, 10_000].map(|t| path.at(ms(t)).latency.as_millis()).into();
    assert_eq!(latencies, [1, 1, 2, 2, 3, 3]);
}

#[test]
fn the_first_phase_holds_until_the_timeline_begins() {
    let phase = |latency, duration| Phase {
        duration,
        down: Conditions { latency: ms(latency), ..Conditions::default() },
        ..Phase::default()
    };
    let timeline = Arc::new(Timeline::new(vec![phase(1, Some(ms(10))), phase(2, None)]));
    let path = Path::new(timeline.clone(), Way::Down);
    assert_eq!(path.at(ms(500)).latency, ms(1));
    timeline.begin(ms(600));
    assert_eq!([path.at(ms(609)).latency, path.at(ms(610)).latency], [ms(1), ms(2)]);
    assert_eq!(path.back(ms(610)).latency, Duration::ZERO);
}
