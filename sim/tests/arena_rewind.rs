//! Shots of players who are shown others as they were, by virtual players.

mod common;

use common::arena::{Room, fire, stick};
use driftless_sim::{
    Moment,
    games::arena::{arena_event, rules},
};

/// Where the target was at each tick, centimetres; its row is 1.8 m above the shooter.
struct Duel {
    room: Room,
    xs: Vec<i32>,
}

const SHOOTER: (i32, i32) = (3_000, 60);
const TARGET_Y: i32 = 240;

impl Duel {
    /// 2 runs to the right, along the lower wall, where no box is, until it is shown nearly above 1 in a
    /// picture that is so old.
    fn new(tick_rate: u32, rewind_ms: u32, age_ms: u32) -> Self {
        let mut room = Room::with_options(21, tick_rate, &format!(r#"{{"rewind_ms": {rewind_ms}}}"#));
        room.join(1);
        room.join(2);
        room.walk(&[(1, SHOOTER.0, SHOOTER.1), (2, SHOOTER.0 - 1_000, TARGET_Y)]);
        room.idle(1); // they stand
        room.events();
        let mut duel = Self { xs: vec![0; room.tick as usize + 1], room };
        while duel.shown(duel.view(age_ms)) < f64::from(SHOOTER.0 - 53) {
            duel.run(None);
        }
        duel
    }

    /// The next tick, in which 1 may shoot.
    fn run(&mut self, shot: Option<(Moment, (i32, i32))>) {
        let shot = shot.map(|(view, (x, y))| (1, Some(view), fire(x, y)));
        let inputs: Vec<_> = shot.into_iter().chain([(2, None, stick(127, 0))]).collect();
        self.room.step_seen(&inputs);
        self.xs.push(self.room.player(2).x);
    }

    /// What is shown this long after the newest state.
    fn view(&self, age_ms: u32) -> Moment {
        let parts = u64::from(age_ms) * u64::from(self.room.tick_rate) * 128 / 1_000;
        Moment::at(self.room.tick).before(parts)
    }

    /// Where 2 is shown at a moment, between two states.
    fn shown(&self, view: Moment) -> f64 {
        let tick = view.tick() as usize;
        let (here, next) =
            (f64::from(self.xs[tick]), f64::from(*self.xs.get(tick + 1).unwrap_or(&self.xs[tick])));
        here + (next - here) * f64::from(view.part()) / 128.0
    }

    /// 1 shoots at where 2 will be when the projectile is there, going by what it is shown at `view`, and
    /// says that it was shown `told`. How much health that takes.
    fn shoot(&mut self, view: Moment, told: Moment) -> i32 {
        let up = f64::from(TARGET_Y - SHOOTER.1);
        // Behind the middle, so that a few centimetres more are a miss. A tick's flight is compared with
        // where the target is at its end.
        let behind = 46.0 - f64::from(rules::RUN_SPEED) / f64::from(self.room.tick_rate);
        let off = self.shown(view) - f64::from(SHOOTER.0) - behind;
        let (run, fly) = (f64::from(rules::RUN_SPEED), f64::from(rules::PROJECTILE_SPEED));
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
    let view = duel.view(age_ms);
    let taken = duel.shoot(view, view);
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
    // Whatever is said: one that is right at the limit hits, with a view of any age.
    let mut duel = Duel::new(20, 250, 250);
    let view = duel.view(250);
    assert!(duel.shoot(view, Moment::at(1)) > 0);
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
            let view = Moment::at(room.tick).before(age_ms * 20 * 128 / 1_000);
            room.step_seen(&[(1, Some(view), fire(1, 0))]);
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
    let view = Some(Moment::at(room.tick - 5));
    room.step_seen(&[(1, view, fire(-1, 0))]);
    assert!(room.projectiles().is_empty());
    room.idle(10);
    let view = Some(Moment::at(room.tick - 5));
    room.step_seen(&[(1, view, fire(1, 0))]);
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
    let view = Some(Moment::at(room.tick - 10));
    room.step_seen(&[(1, view, fire(1, 0))]);
    room.idle(6);
    assert_eq!(room.player(2).health, alive.health);
}
