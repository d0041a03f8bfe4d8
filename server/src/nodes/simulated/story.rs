//! A story: what happens to nodes and their Redis, and when. It comes from a seed, and can be made shorter.

use super::shrink::shortest;
use fastrand::Rng;
use std::{fmt, time::Duration};

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub seed: u64,
    pub setting: Setting,
    /// In order of time.
    pub acts: Vec<Act>,
}

/// What stays the same in a story.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub nodes: usize,
    /// How much of what is on its way is lost, per cent; and of rooms that are registered again.
    pub loss: u32,
    pub forgetful: u32,
    /// Nobody knocks any more from some time on, and rooms go on all the same.
    pub silent: bool,
}

/// Something happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act {
    /// Milliseconds since the beginning.
    pub at: u64,
    pub what: What,
}

/// What may happen. Times are milliseconds; nodes are numbered.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// Redis is emptied.
    Forgets,
    /// A replica takes its place that lacks what was written last, after some time; `late`: answers on
    /// their way come so much later. `after_claim`: as soon as one was answered.
    FailsOver { lag: u64, lasts: u64, late: u64, after_claim: bool },
    /// It cannot be reached.
    Away { lasts: u64 },
    /// It takes no writes.
    ReadOnly { lasts: u64 },
    /// It stands still, and does later what it was asked meanwhile.
    Hangs { lasts: u64 },
    /// It, or the network, is slow.
    Slow { lasts: u64 },
    /// A node's process stands still.
    Freezes { node: usize, lasts: u64 },
    /// It dies, and starts again.
    Dies { node: usize, lasts: u64 },
    /// Nothing gets from it to Redis, nor back.
    IsCut { node: usize, lasts: u64 },
    /// It gives its rooms away and leaves, and starts again.
    Drains { node: usize, lasts: u64 },
    /// One of its rooms is to go on at another node.
    Moves { node: usize, to: usize },
    /// One of its rooms ends.
    Ends { node: usize },
}

impl Act {
    pub(super) fn time(&self) -> Duration {
        Duration::from_millis(self.at)
    }
}

impl What {
    pub(super) fn lasts(self) -> u64 {
        match self {
            What::FailsOver { lasts, .. }
            | What::Away { lasts }
            | What::ReadOnly { lasts }
            | What::Hangs { lasts }
            | What::Slow { lasts }
            | What::Freezes { lasts, .. }
            | What::Dies { lasts, .. }
            | What::IsCut { lasts, .. }
            | What::Drains { lasts, .. } => lasts,
            What::Forgets | What::Moves { .. } | What::Ends { .. } => 0,
        }
    }
}

impl Story {
    /// The story of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let setting = Setting {
            nodes: rng.usize(2..=3),
            loss: [0, 1, 3][rng.usize(..3)],
            forgetful: [0, 0, 60][rng.usize(..3)],
            silent: rng.u32(..4) == 0,
        };
        let length = rng.u64(6_000..16_000);
        let mut acts = Vec::new();
        let mut add = |rng: &mut Rng, most: u64, what: fn(&mut Rng, usize) -> What| {
            for _ in 0..most * length / 10_000 {
                acts.push(Act { at: rng.u64(1_000..length), what: what(rng, setting.nodes) });
            }
        };
        // In ten seconds.
        let (faults, moves, ends) = (rng.u64(0..32), rng.u64(0..60), rng.u64(0..30));
        add(&mut rng, faults, fault);
        add(&mut rng, moves, |rng, nodes| What::Moves { node: rng.usize(..nodes), to: rng.usize(..nodes) });
        add(&mut rng, ends, |rng, nodes| What::Ends { node: rng.usize(..nodes) });
        acts.sort_by_key(|act| act.at);
        Self { seed, setting, acts }
    }

    /// When all is over that happens.
    pub(super) fn ends(&self) -> Duration {
        let ends = self.acts.iter().map(|act| act.at + act.what.lasts()).max();
        Duration::from_millis(ends.unwrap_or(0).max(5_000))
    }

    /// A shorter story of which `fails` is still true.
    pub(super) fn minimised(&self, fails: impl Fn(&Story) -> bool) -> Self {
        let story = |acts: &[Act]| Self { acts: acts.to_vec(), ..*self };
        story(&shortest(&self.acts, |acts| fails(&story(acts))))
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} {:?}", self.seed, self.setting)?;
        self.acts.iter().try_for_each(|act| writeln!(f, "  {:>6} ms  {:?}", act.at, act.what))
    }
}

fn fault(rng: &mut Rng, nodes: usize) -> What {
    let (node, lasts) = (rng.usize(..nodes), rng.u64(..5_000));
    match rng.u32(..32) {
        0..2 => What::Forgets,
        2..8 => What::FailsOver {
            lag: rng.u64(..900),
            lasts: [0, rng.u64(..2_500)][rng.usize(..2)],
            late: rng.u64(..480),
            after_claim: rng.u32(..3) == 0,
        },
        8..9 => What::Away { lasts: lasts * 4 / 5 },
        9..10 => What::ReadOnly { lasts },
        10..12 => What::Hangs { lasts: lasts * 4 / 5 },
        12..13 => What::Slow { lasts },
        13..18 => What::Freezes { node, lasts },
        18..23 => What::Dies { node, lasts: lasts / 5 },
        23..28 => What::IsCut { node, lasts: lasts * 4 / 5 },
        _ => What::Drains { node, lasts: lasts / 5 },
    }
}
