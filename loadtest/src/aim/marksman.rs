//! Who aims at what is shown, and counts what comes of it. Without sockets and clocks.
//!
//! One shot at a time: until it is known what became of it, on the screen and in the room, there is no other.
//! So whoever loses health in the room was hit by this shot, because nobody else shoots there.

use super::screen::{Fate, Flight, LIFE, Picture, RADIUS, SPEED, Vector};
use driftless_links::Micros;
use driftless_sim::{
    Moment, PlayerId, Snapshot,
    games::arena::{Map, Obstacle, PLAYERS},
};
use std::collections::BTreeMap;

/// The longest flight that it dares, seconds.
const PATIENCE: f64 = 0.6;
/// It aims at anywhere within this part of the target's radius.
const CARELESS: f64 = 0.8;
/// How long after the end of a flight a hit may be told of, seconds of the room's time.
const SETTLED: f64 = 1.0;
/// Pictures nearer to each other than this say nothing of speeds, seconds.
const NEXT_PICTURE: f64 = 0.004;

/// A shooter's eye and memory.
#[derive(Debug)]
pub struct Marksman {
    random: fastrand::Rng,
    tick_rate: u32,
    own: PlayerId,
    boxes: Vec<Obstacle>,
    /// The last two pictures.
    pictures: Option<(Picture, Picture)>,
    /// Spawns and health of the others in the newest state.
    health: BTreeMap<PlayerId, (i32, i32)>,
    shot: Option<Shot>,
    /// What came of all shots.
    pub tally: Tally,
}

#[derive(Debug)]
struct Shot {
    flight: Flight,
    counts: bool,
    on_screen: Option<Fate>,
    in_room: Option<PlayerId>,
    /// By this tick everything is known.
    settled: u32,
}

/// What came of shots.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Fired.
    pub shots: u64,
    /// Hit on the screen.
    pub shown: u64,
    /// Of these, hit the same player in the room.
    pub confirmed: u64,
    /// Of these, hit another one.
    pub another: u64,
    /// Hit in the room only.
    pub unseen: u64,
    /// How old the picture was in which a shot was fired.
    pub picture_age: Micros,
    /// How far shots that killed were rewound.
    pub rewound: Micros,
}

impl Tally {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.shots += other.shots;
        self.shown += other.shown;
        self.confirmed += other.confirmed;
        self.another += other.another;
        self.unseen += other.unseen;
        self.picture_age.add(&other.picture_age);
        self.rewound.add(&other.rewound);
    }
}

impl Marksman {
    /// For a player, whose misses are chosen by `seed`.
    pub fn new(own: PlayerId, tick_rate: u32, seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            tick_rate,
            own,
            boxes: Vec::new(),
            pictures: None,
            health: BTreeMap::new(),
            shot: None,
            tally: Tally::default(),
        }
    }

    /// A state has come.
    pub fn learn(&mut self, state: &Snapshot) {
        if self.boxes.is_empty() {
            self.boxes = Map::from_snapshot(state).obstacles().to_vec();
        }
        let Some(players) = state.tables().get(PLAYERS) else { return };
        for (row, &player) in players.ids().iter().enumerate().filter(|&(_, &player)| player != self.own) {
            let [health, spawns] = [3, 5].map(|column| players.column(column)[row]);
            let before = self.health.insert(player, (spawns, health));
            let is_hit = before.is_some_and(|before| before.0 == spawns && health < before.1);
            if let Some(shot) = self.shot.as_mut().filter(|_| is_hit) {
                shot.in_room.get_or_insert(player);
            }
        }
        self.settle(state.tick());
    }

    /// A picture is shown.
    pub fn look(&mut self, picture: Picture) {
        let Some((before, now)) = &mut self.pictures else {
            self.pictures = Some((picture.clone(), picture));
            return;
        };
        if let Some(shot) = self.shot.as_mut().filter(|shot| shot.on_screen.is_none()) {
            shot.on_screen = shot.flight.go_on(now, &picture, &self.boxes);
        }
        let last = std::mem::replace(now, picture);
        if now.seconds - last.seconds >= NEXT_PICTURE {
            *before = last;
        }
    }

    /// Which way to shoot now from this place. None: not now. `counts`: whether it is part of what is
    /// measured.
    pub fn shoot(&mut self, from: Vector, counts: bool) -> Option<Vector> {
        let (before, now) = self.pictures.as_ref().filter(|_| self.shot.is_none())?;
        let span = now.seconds - before.seconds;
        if span < NEXT_PICTURE {
            return None;
        }
        // Whoever is nearest, aimed at not quite in the middle.
        let target = now.targets.iter().filter(|target| before.place(target.player).is_some());
        let target = target.min_by(|a, b| {
            let [a, b] = [a, b].map(|target| (target.place - from).length());
            a.total_cmp(&b)
        })?;
        let way = target.place - from;
        let off = (self.random.f64() * 2.0 - 1.0) * CARELESS * RADIUS / way.length().max(RADIUS);
        let aimed = way + Vector { x: -way.y, y: way.x } * off;
        let speed = (target.place - before.place(target.player)?) * (1.0 / span);
        let time = meeting(aimed, speed).filter(|&time| time < PATIENCE)?;
        let aim = aimed + speed * time;
        let velocity = aim * (SPEED / aim.length());
        let seconds = now.seconds;
        let flight = Flight { place: from, seconds, velocity, end: seconds + LIFE };
        // Everybody goes on as shown.
        let mut then = now.clone();
        then.seconds += PATIENCE;
        for target in &mut then.targets {
            let was = before.place(target.player).unwrap_or(target.place);
            target.place = target.place + (target.place - was) * (PATIENCE / span);
        }
        if flight.clone().go_on(now, &then, &self.boxes) != Some(Fate::Hit(target.player)) {
            return None;
        }
        let ticks = (LIFE + SETTLED) * f64::from(self.tick_rate);
        let settled = now.moment.tick() + ticks as u32;
        self.shot = Some(Shot { flight, counts, on_screen: None, in_room: None, settled });
        Some(aim)
    }

    /// What is shown now.
    pub fn moment(&self) -> Option<Moment> {
        self.pictures.as_ref().map(|(_, now)| now.moment)
    }

    fn settle(&mut self, tick: u32) {
        let known =
            |shot: &mut Shot| shot.on_screen.is_some() && (shot.in_room.is_some() || tick > shot.settled);
        let Some(shot) = self.shot.take_if(known).filter(|shot| shot.counts) else { return };
        let tally = &mut self.tally;
        tally.shots += 1;
        match (shot.on_screen, shot.in_room) {
            (Some(Fate::Hit(shown)), hit) => {
                tally.shown += 1;
                tally.confirmed += u64::from(hit == Some(shown));
                tally.another += u64::from(hit.is_some_and(|hit| hit != shown));
            }
            (_, hit) => tally.unseen += u64::from(hit.is_some()),
        }
    }
}

/// After how many seconds a shot from the origin can meet somebody at `place` with this speed.
fn meeting(place: Vector, speed: Vector) -> Option<f64> {
    let (a, b, c) = (SPEED * SPEED - speed.dot(speed), place.dot(speed), place.dot(place));
    let root = b * b + a * c;
    (a > 0.0 && root >= 0.0).then(|| (b + root.sqrt()) / a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aim::screen::Target;
    use driftless_sim::{Simulation, games::arena::Arena};

    const RATE: u32 = 20;

    /// Player 2, shown 5 m from 1, who runs up at 7 m/s until the shot is fired, and then at `then`. In the
    /// room, `hit` loses health at the end.
    fn tally(then: f64, hit: Option<PlayerId>) -> Tally {
        let mut eye = Marksman::new(1, RATE, 3);
        let mut state = Snapshot::new(&Arena::schema());
        let learn = |eye: &mut Marksman, state: &mut Snapshot, tick: u32, hit: Option<PlayerId>| {
            state.clear(tick);
            for player in [1, 2, 3] {
                let health = if Some(player) == hit { 75 } else { 100 };
                state.table_mut(PLAYERS).push(player, &[0, 0, 0, health, 0, 1, 0]);
            }
            eye.learn(state);
        };
        let (mut y, mut speed, mut aim) = (20.0, 7.0, None);
        for tick in 1..=60 {
            let targets = vec![Target { player: 2, place: Vector { x: 25.0, y } }];
            eye.look(Picture::at(Moment::at(tick), RATE, targets));
            learn(&mut eye, &mut state, tick, hit.filter(|_| tick > 30));
            if aim.is_none() && tick > 1 {
                aim = eye.shoot(Vector { x: 20.0, y: 20.0 }, true);
                speed = then;
            }
            y += speed / f64::from(RATE);
        }
        assert!(aim.is_some_and(|aim| aim.y > 0.5), "ahead of the runner: {aim:?}");
        eye.tally
    }

    #[test]
    fn a_hit_on_the_screen_is_one_if_the_same_player_is_hit_in_the_room() {
        for (hit, confirmed, another) in [(Some(2), 1, 0), (Some(3), 0, 1), (None, 0, 0)] {
            let tally = tally(7.0, hit);
            assert_eq!((tally.shots, tally.shown), (1, 1));
            assert_eq!((tally.confirmed, tally.another), (confirmed, another), "{hit:?}");
        }
    }

    #[test]
    fn a_runner_who_turns_is_missed_on_the_screen() {
        let missed = tally(-7.0, None);
        assert_eq!((missed.shots, missed.shown, missed.unseen), (1, 0, 0));
        let unseen = tally(-7.0, Some(2));
        assert_eq!((unseen.shots, unseen.shown, unseen.unseen), (1, 0, 1));
    }
}
