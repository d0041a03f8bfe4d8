//! Who aims at what is shown, and counts what comes of it. Without sockets and clocks.
//!
//! One shot at a time: until all is over that it could do, on the screen and in the room, there is no other.
//! So whoever loses health in the room was hit by this shot, because nobody else shoots there; the gun is
//! loaded again; whom it killed is shown dead; and a hit takes as long as a miss, which would otherwise make
//! hits more frequent than they are.

use super::{
    screen::{Fate, Flight, LIFE, Picture, RADIUS, SPEED, Target, Vector},
    verdict::{Misses, Trial},
    witness::Witness,
};
use driftless_links::Micros;
use driftless_sim::{
    Moment, PlayerId, Snapshot,
    games::arena::{Map, Obstacle, PLAYERS, rules},
};
use std::collections::BTreeMap;

/// The longest flight that it dares, seconds.
const PATIENCE: f64 = 0.6;
/// It aims at anywhere within this part of the target's radius.
const CARELESS: f64 = 0.8;
/// It leaves alone who runs across its line of sight more slowly than this, metres a second: whoever runs
/// straight at it is hit wherever on that line he is, which says nothing.
const ACROSS: f64 = rules::RUN_SPEED as f64 / 200.0;
/// How much later than on the screen a flight may end in the room, seconds of the room's time.
const SETTLED: f64 = 0.6;
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
    from: Vector,
    moment: Moment,
    flight: Flight,
    /// What became of it on the screen, and the picture that showed it.
    on_screen: Option<(Fate, Picture)>,
    in_room: Option<PlayerId>,
    /// Until this tick of the newest state it may do something.
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
    /// Of these, hit nobody, and why.
    pub misses: Misses,
    /// Hit in the room only.
    pub unseen: u64,
    /// How old the picture was in which a shot was fired.
    pub picture_age: Micros,
    /// How far shots that killed were rewound.
    pub rewound: Micros,
    /// How far from where it really was a target was shown when it was hit on the screen, thousandths of a
    /// metre.
    pub shown_off: Micros,
}

impl Tally {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.shots += other.shots;
        self.shown += other.shown;
        self.confirmed += other.confirmed;
        self.another += other.another;
        self.misses.add(&other.misses);
        self.unseen += other.unseen;
        self.picture_age.add(&other.picture_age);
        self.rewound.add(&other.rewound);
        self.shown_off.add(&other.shown_off);
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
    pub fn learn(&mut self, state: &Snapshot, witness: &Witness) {
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
        self.settle(state.tick(), witness);
    }

    /// A picture is shown.
    pub fn look(&mut self, picture: Picture) {
        let Some((before, now)) = &mut self.pictures else {
            self.pictures = Some((picture.clone(), picture));
            return;
        };
        if let Some(shot) = self.shot.as_mut().filter(|shot| shot.on_screen.is_none()) {
            let fate = shot.flight.go_on(now, &picture, &self.boxes);
            shot.on_screen = fate.map(|fate| (fate, picture.clone()));
        }
        let last = std::mem::replace(now, picture);
        if now.seconds - last.seconds >= NEXT_PICTURE {
            *before = last;
        }
    }

    /// Which way to shoot now from this place. None: not now.
    pub fn shoot(&mut self, from: Vector) -> Option<Vector> {
        let (before, now) = self.pictures.as_ref().filter(|_| self.shot.is_none())?;
        let span = now.seconds - before.seconds;
        if span < NEXT_PICTURE {
            return None;
        }
        // Whoever of those who run across is nearest, aimed at not quite in the middle.
        let runs = |target: &Target| {
            let speed = (target.place - before.place(target.player)?) * (1.0 / span);
            let way = target.place - from;
            let across = (way.x * speed.y - way.y * speed.x).abs() / way.length().max(RADIUS);
            (across >= ACROSS).then_some((*target, way, speed))
        };
        let running = now.targets.iter().filter_map(runs);
        let (target, way, speed) = running.min_by(|a, b| a.1.length().total_cmp(&b.1.length()))?;
        let off = (self.random.f64() * 2.0 - 1.0) * CARELESS * RADIUS / way.length().max(RADIUS);
        let aimed = way + Vector { x: -way.y, y: way.x } * off;
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
        let moment = now.moment;
        self.shot = Some(Shot { from, moment, flight, on_screen: None, in_room: None, settled });
        Some(aim)
    }

    /// What is shown now.
    pub fn moment(&self) -> Option<Moment> {
        self.pictures.as_ref().map(|(_, now)| now.moment)
    }

    fn settle(&mut self, tick: u32, witness: &Witness) {
        let is_over = |shot: &mut Shot| shot.on_screen.is_some() && tick > shot.settled;
        let Some(shot) = self.shot.take_if(is_over) else { return };
        let tally = &mut self.tally;
        tally.shots += 1;
        let hit = shot.in_room;
        let Some((Fate::Hit(shown), picture)) = shot.on_screen else {
            tally.unseen += u64::from(hit.is_some());
            return;
        };
        tally.shown += 1;
        tally.confirmed += u64::from(hit == Some(shown));
        tally.another += u64::from(hit.is_some_and(|hit| hit != shown));
        let trial = Trial::new(self.own, shown, (shot.from, shot.moment), &picture, witness, self.tick_rate);
        if let Some(off) = trial.off {
            tally.shown_off.record_us((off * 1_000.0) as i64);
        }
        if hit.is_none() {
            tally.misses.count(&trial);
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
            eye.learn(state, &Witness::new(RATE));
        };
        let (mut y, mut speed, mut aim) = (20.0, 7.0, None);
        for tick in 1..=60 {
            let targets = vec![Target { player: 2, place: Vector { x: 25.0, y } }];
            eye.look(Picture::at(Moment::at(tick), RATE, targets));
            learn(&mut eye, &mut state, tick, hit.filter(|_| tick > 30));
            if aim.is_none() && tick > 1 {
                aim = eye.shoot(Vector { x: 20.0, y: 20.0 });
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
