//! Why a shot that hit on its shooter's screen hit nobody in the room.

use super::{
    screen::{Picture, SPEED, Vector},
    witness::Witness,
};
use driftless_sim::{Moment, PlayerId};
use serde::Serialize;

/// Shown farther than this from where it really was, metres, somebody may be missed for that.
const OFF: f64 = 0.05;
/// Fired so much later in the room than on the screen, seconds, a shot may miss for that.
const LATE: f64 = 0.01;

/// Shots that hit on the screen and nobody in the room, by the first reason that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Misses {
    /// The room had no such shot, as far as states show: the shooter's gun was not loaded.
    pub not_fired: u64,
    /// The target was shown alive, and was not.
    pub dead: u64,
    /// The room did not go back as far as the picture was old.
    pub late: u64,
    /// The target was shown elsewhere than it was at the moment shown.
    pub off: u64,
    /// None of these.
    pub other: u64,
}

/// What is known of a shot that hit on the screen.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// How much later in the room it was fired than it was on the screen, seconds. None: no state has it.
    pub late: Option<f64>,
    /// How far from where it was the target was shown when it was hit, metres. None: it did not live then.
    pub off: Option<f64>,
}

impl Trial {
    /// Of a shot by `own`, fired from a place at a moment, that met `target` on the way to this picture.
    pub fn new(
        own: PlayerId,
        target: PlayerId,
        (from, moment): (Vector, Moment),
        picture: &Picture,
        witness: &Witness,
        tick_rate: u32,
    ) -> Self {
        let real = witness.place(target, picture.seconds);
        let off = real.zip(picture.place(target)).map(|(real, shown)| (real - shown).length());
        let late = witness.shot(own, moment.tick()).map(|(tick, place)| {
            let fired = f64::from(tick) / f64::from(tick_rate) - (place - from).length() / SPEED;
            fired - Picture::at(moment, tick_rate, Vec::new()).seconds
        });
        Self { late, off }
    }
}

impl Misses {
    /// Takes a miss.
    pub fn count(&mut self, trial: &Trial) {
        let class = match *trial {
            Trial { off: None, .. } => &mut self.dead,
            Trial { late: None, .. } => &mut self.not_fired,
            Trial { late: Some(late), .. } if late > LATE => &mut self.late,
            Trial { off: Some(off), .. } if off > OFF => &mut self.off,
            _ => &mut self.other,
        };
        *class += 1;
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.not_fired += other.not_fired;
        self.dead += other.dead;
        self.late += other.late;
        self.off += other.off;
        self.other += other.other;
    }
}
