//! Shots of players who are shown others as they were, by virtual players.

mod common;

use common::arena::{Room, fire, stick};
use driftless_sim::{
    Moment,
    games::arena::{Map, Obstacle, arena_event, rules},
};

/// 1 stands, and 2 runs to the left or to the right, above it.
struct Duel {
    room: Room,
    shooter: (i32, i32),
    /// How far above it the other is, centimetres.
    up: i32,
    /// 1: to the right.
    way: i32,
    /// Where 2 was at each tick, centimetres.
    xs: Vec<i32>,
}

impl Duel {
    /// Along the lower wall, where no box is, to the right, until 2 is shown nearly above 1 in a picture that
    /// is so old.
    fn new(tick_rate: u32, rewind_ms: u32, age_ms: u32) -> Self {
        let mut room = Room::with_options(21, tick_rate, &format!(r#"{{"rewind_ms": {rewind_ms}}}"#));
        room.join(1);
        room.join(2);
        room.walk(&[(1, 3_000, 60), (2, 2_000, 240)]);
        let mut duel = Self::at(room, (3_000, 60), 180, 1);
        duel.run_until_shown_at(2_947, age_ms);
        duel
    }

    /// Where they stand.
    fn at(mut room: Room, shooter: (i32, i32), up: i32, way: i32) -> Self {
        room.idle(1); // they stand
        room.events();
        Self { xs: vec![room.player(2).x; room.tick as usize + 1], room, shooter, up, way }
    }

    /// Until 2 has come to this x in a picture that is so old.
    fn run_until_shown_at(&mut self, x: i32, age_ms: u32) {
        while (self.shown(self.moment(age_ms)) - f64::from(x)) * f64::from(self.way) < 0.0 {
            self.run(None);
        }
    }

    /// The next tick, in which 1 may shoot.
    fn run(&mut self, shot: Option<(Moment, (i32, i32))>) {
        let shot = shot.map(|(moment, (x, y))| (1, Some(moment), fire(x, y)));
        let inputs: Vec<_> = shot.into_iter().chain([(2, None, stick(127 * self.way, 0))]).collect();
        self.room.step_seen(&inputs);
        self.xs.push(self.room.player(2).x);
    }

    /// What is shown this long after the newest state.
    fn moment(&self, age_ms: u32) -> Moment {
        let parts = u64::from(age_ms) * u64::from(self.room.tick_rate) * 128 / 1_000;
        Moment::at(self.room.tick).before(parts)
    }

    /// Where 2 is shown at a moment, between two states.
    fn shown(&self, moment: Moment) -> f64 {
        let tick = moment.tick() as usize;
        let (here, next) =
            (f64::from(self.xs[tick]), f64::from(*self.xs.get(tick + 1).unwrap_or(&self.xs[tick])));
        here + (next - here) * f64::from(moment.part()) / 128.0
    }

    /// 1 shoots at where 2 will be when the projectile is there, going by what it is shown at `moment`, and
    /// says that it was shown `told`. How much health that takes.
    fn shoot(&mut self, moment: Moment, told: Moment) -> i32 {
        // Behind the middle, so that a few centimetres more are a miss.
        self.shoot_behind(moment, told, 46.0)
    }

    /// The same, at so many centimetres behind the middle of 2.
    fn shoot_behind(&mut self, moment: Moment, told: Moment, behind: f64) -> i32 {
        let (up, way) = (f64::from(self.up), f64::from(self.way));
        let off = self.shown(moment) - f64::from(self.shooter.0) - behind * way;
        let (run, fly) = (f64::from(rules::RUN_SPEED) * way, f64::from(rules::PROJECTILE_SPEED));
        // off + run·t and up, together as far as fly·t.
        let (a, b, c) = (fly * fly - run * run, off * run, off * off + up * up);
        let time = (b + (b * b + a * c).sqrt()) / a;
        let aim = ((off + run * time) * 10.0, up * 10.0);
        self.run(Some((told, (aim.0 as i32, aim.1 as i32))));
        (0..self.room.tick_rate).for_each(|_| self.run(None));
        i32::from(rules::MAX_HEALTH) - self.room.player(2).health
    }
}

/// Whether a shot hits that is right on the shooter's screen, whose picture is so old.
fn right_on_screen(tick_rate: u32, rewind_ms: u32, age_ms: u32) -> bool {
    let mut duel = Duel::new(tick_rate, rewind_ms, age_ms);
    let moment = duel.moment(age_ms);
    let taken = duel.shoot(moment, moment);
    assert!([0, i32::from(rules::DAMAGE)].contains(&taken), "{taken}");
    taken > 0
}

#[test]
fn a_shot_that_is_right_on_the_shooters_screen_hits() {
    for tick_rate in [20, 30, 60, 128] {
        for age_ms in [0, 60, 150, 250] {
            assert!(right_on_screen(tick_rate, 250, age_ms), "{tick_rate} Hz, {age_ms} ms");
            // The test can fail.
            assert_eq!(
                right_on_screen(tick_rate, 0, age_ms),
                age_ms == 0,
                "{tick_rate} Hz, {age_ms} ms, off"
            );
        }
    }
}

#[test]
fn nobody_is_hit_where_he_was_longer_ago_than_the_limit() {
    for age_ms in [350, 500, 2_000] {
        assert!(!right_on_screen(20, 250, age_ms), "{age_ms} ms");
        assert_eq!(right_on_screen(20, 500, age_ms), age_ms <= 500, "{age_ms} ms, where 500 are allowed");
    }
    // Whatever is said: one that is right at the limit hits, with a moment of any age.
    let mut duel = Duel::new(20, 250, 250);
    let moment = duel.moment(250);
    assert!(duel.shoot(moment, Moment::at(1)) > 0);
}

#[test]
fn a_kill_tells_how_far_it_was_rewound() {
    for (age_ms, rewound_ms) in [(0, 0), (150, 150), (400, 250)] {
        let mut room = Room::new(21, 20);
        room.join(1);
        room.join(2);
        room.walk(&[(1, 100, 100), (2, 400, 100)]);
        room.events();
        let kill = loop {
            let moment = Moment::at(room.tick).before(age_ms * 20 * 128 / 1_000);
            room.step_seen(&[(1, Some(moment), fire(1, 0))]);
            if let Some(arena_event::Body::Kill(kill)) = room.events().pop() {
                break kill;
            }
        };
        assert_eq!((kill.killer, kill.victim, kill.rewound_ms), (1, 2, rewound_ms), "{age_ms} ms");
    }
}

#[test]
fn a_rewound_shot_ends_at_what_it_meets_first() {
    // A wall behind the shooter, and somebody nearer than the target.
    let mut room = Room::new(21, 20);
    (1..=3).for_each(|player| room.join(player));
    room.walk(&[(1, 100, 100), (2, 600, 100), (3, 400, 100)]);
    let moment = Some(Moment::at(room.tick - 5));
    room.step_seen(&[(1, moment, fire(-1, 0))]);
    assert!(room.projectiles().is_empty());
    room.idle(10);
    let moment = Some(Moment::at(room.tick - 5));
    room.step_seen(&[(1, moment, fire(1, 0))]);
    assert_eq!([2, 3].map(|player| room.player(player).health), [100, 75]);
}

#[test]
fn the_dead_are_not_hit_in_their_last_life() {
    let mut room = Room::with_options(21, 20, r#"{"rewind_ms": 500, "respawn_s": 1}"#);
    room.join(1);
    room.join(2);
    room.walk(&[(1, 100, 100), (2, 400, 100)]);
    while room.player(2).spawns == 1 {
        room.step(&[(1, fire(1, 0))]);
    }
    let alive = room.player(2);
    // Where 2 stood ten ticks ago, dead, there is nobody; and it is not there now.
    room.idle(6);
    let moment = Some(Moment::at(room.tick - 10));
    room.step_seen(&[(1, moment, fire(1, 0))]);
    room.idle(6);
    assert_eq!(room.player(2).health, alive.health);
}

/// A box, with room at its upper left corner, and below that down to the lower wall: 1 stands at its left
/// side, so that its view of the upper side ends at the corner, and 2 on the line of its upper side. Both
/// have been there already.
fn corner(rewind_ms: u32, start: i32) -> (Duel, i32) {
    let options = format!(r#"{{"rewind_ms": {rewind_ms}}}"#);
    for seed in 1..200 {
        let mut room = Room::with_options(seed, 20, &options);
        (1..=2).for_each(|player| room.join(player));
        let map = Map::from_snapshot(&room.seen);
        let is_in_strip = |b: &&Obstacle, of: &Obstacle| {
            b.x < of.x + 700 && b.x + b.width > of.x - 350 && b.y < of.y + of.height + 150
        };
        let found = map.obstacles().iter().find(|of| {
            map.obstacles().iter().filter(|b| is_in_strip(b, of)).count() == 1 && of.y + of.height < 9_000
        });
        let Some(&Obstacle { x, y, height, .. }) = found else { continue };
        let top = y + height;
        let (shooter, above) = ((x - 60, top - 150), top + 60);
        // By the lower wall, then up beside the box.
        let legs: [&[_]; 4] = [
            &[(1, shooter.0, 60), (2, x - 240, 60)],
            &[(1, shooter.0, shooter.1), (2, x - 240, above)],
            &[(2, x + start, above)],
            &[],
        ];
        if legs.into_iter().all(|leg| room.get(leg)) {
            let up = above - shooter.1;
            let way = if start < 0 { 1 } else { -1 };
            return (Duel::at(room, shooter, up, way), x);
        }
    }
    panic!("no map has such a corner");
}

#[test]
fn who_was_shown_in_the_open_is_hit_although_he_is_behind_a_box_now() {
    for (rewind_ms, is_hit) in [(250, true), (0, false)] {
        let (mut duel, x) = corner(rewind_ms, -240);
        duel.run_until_shown_at(x - 100, 250);
        let moment = duel.moment(250);
        // From the shooter to where the target is now, the line passes through the box.
        let now = duel.room.player(2).x;
        let at_top = duel.shooter.0 + (now - duel.shooter.0) * 150 / duel.up;
        assert!(at_top > x + 20, "behind the box: {at_top}, {x}");
        assert_eq!(duel.shoot_behind(moment, moment, 0.0) > 0, is_hit, "{rewind_ms} ms");
    }
}

#[test]
fn who_was_shown_behind_a_box_is_not_hit_although_he_is_in_the_open_now() {
    for rewind_ms in [250, 0] {
        let (mut duel, x) = corner(rewind_ms, 400);
        duel.run_until_shown_at(x + 130, 250);
        let moment = duel.moment(250);
        assert!(duel.room.player(2).x < duel.shooter.0 + 20, "in the open: {}", duel.room.player(2).x);
        // At where he is shown, and will be: into the box.
        assert_eq!(duel.shoot_behind(moment, moment, 0.0), 0, "{rewind_ms} ms");
    }
}
