//! Shots, health, death, score and respawning in the arena.

mod common;

use common::arena::{Room, fire, stick};
use driftless_sim::games::arena::{arena_event, rules};

/// Two players three metres apart along the lower wall, with nothing between them.
fn duel(tick_rate: u32) -> Room {
    let mut room = Room::new(21, tick_rate);
    room.join(1);
    room.join(2);
    room.walk(&[(1, 100, 100), (2, 400, 100)]);
    room.events();
    room
}

/// Player 1 shoots player 2 until it is dead.
fn kill(room: &mut Room) {
    for _ in 0..room.tick_rate * 5 {
        room.step(&[(1, fire(1, 0))]);
        if room.player(2).health == 0 {
            return;
        }
    }
    panic!("player 2 is still alive");
}

#[test]
fn a_hit_takes_health_and_the_projectile() {
    let mut room = duel(20);
    room.step(&[(1, fire(1, 0))]);
    assert_eq!(room.projectiles().len(), 1);
    room.idle(3);
    assert_eq!(room.player(2).health, i32::from(rules::MAX_HEALTH - rules::DAMAGE));
    assert_eq!(room.player(1).health, i32::from(rules::MAX_HEALTH));
    assert!(room.projectiles().is_empty());
}

#[test]
fn a_kill_is_told_and_scores() {
    for tick_rate in [1, 20, 128] {
        let mut room = duel(tick_rate);
        kill(&mut room);
        assert_eq!((room.player(1).score, room.player(2).score), (1, 0));
        let respawn_ms = rules::RESPAWN_MS;
        let kill = arena_event::Kill { killer: 1, victim: 2, respawn_ms, rewound_ms: 0 };
        assert_eq!(room.events(), [arena_event::Body::Kill(kill)]);
    }
}

#[test]
fn the_dead_enter_again_after_the_delay() {
    for tick_rate in [1, 20, 60] {
        let mut room = duel(tick_rate);
        kill(&mut room);
        let dead = room.player(2);
        // The tick of the death counts.
        room.idle(rules::RESPAWN_MS * tick_rate / 1_000 - 2);
        assert_eq!((room.player(2).health, room.player(2).spawns), (0, 1));
        room.idle(1);
        let alive = room.player(2);
        assert_eq!((alive.health, alive.spawns), (i32::from(rules::MAX_HEALTH), 2));
        assert_ne!((alive.x, alive.y), (dead.x, dead.y));
    }
}

#[test]
fn the_dead_neither_move_nor_shoot_nor_stop_projectiles() {
    let mut room = duel(20);
    kill(&mut room);
    room.idle(40);
    let dead = room.player(2);
    assert_eq!(dead.health, 0);
    for _ in 0..10 {
        room.step(&[(1, fire(1, 0)), (2, fire(-1, 0)), (2, stick(127, 127))]);
        assert_eq!((room.player(2).x, room.player(2).y), (dead.x, dead.y));
        assert!(room.projectiles().values().all(|&(_, _, owner)| owner == 1));
    }
    assert!(room.projectiles().values().any(|&(x, _, _)| x > dead.x + rules::PLAYER_RADIUS));
}

#[test]
fn a_projectile_ends_by_time() {
    for tick_rate in [5, 20, 128] {
        let mut room = duel(tick_rate);
        room.leave(2);
        room.step(&[(1, fire(1, 0))]);
        let life = (rules::PROJECTILE_LIFE_MS * tick_rate).div_ceil(1_000);
        room.idle(life - 2);
        assert_eq!(room.projectiles().len(), 1, "{tick_rate} Hz");
        room.idle(1);
        assert!(room.projectiles().is_empty());
    }
}

#[test]
fn a_projectile_ends_at_a_wall() {
    let mut room = duel(20);
    room.step(&[(1, fire(-1, 0))]);
    room.idle(2);
    assert!(room.projectiles().is_empty());
}

#[test]
fn the_nearest_of_two_is_hit() {
    let mut room = duel(20);
    room.join(3);
    room.walk(&[(3, 450, 100)]);
    room.step(&[(1, fire(1, 0))]);
    room.idle(5);
    assert!(room.player(2).health < room.player(3).health);
}

#[test]
fn shots_keep_their_interval_whatever_the_tick_rate() {
    for tick_rate in [4, 20, 100] {
        let mut room = duel(tick_rate);
        room.leave(2);
        let mut shots = 0;
        for _ in 0..tick_rate * 2 {
            room.step(&[(1, fire(1, 0)), (1, fire(0, 0))]);
            shots = shots.max(room.projectiles().keys().last().copied().unwrap_or(0));
        }
        assert_eq!(shots, 2_000 / rules::FIRE_INTERVAL_MS, "{tick_rate} Hz");
    }
}

#[test]
fn a_projectile_outlives_its_owner_without_a_score() {
    let mut room = duel(20);
    room.step(&[(1, fire(1, 0))]);
    room.leave(1);
    room.idle(5);
    assert!(room.player(2).health < i32::from(rules::MAX_HEALTH));
}

#[test]
fn fire_counts_if_it_is_in_any_input_of_the_tick() {
    let mut room = duel(20);
    room.step(&[(1, fire(1, 0)), (1, stick(0, 0))]);
    assert_eq!(room.projectiles().len(), 1);
}

#[test]
fn ids_ascend_and_are_never_used_again() {
    let mut room = Room::new(2, 20);
    (1..=20).for_each(|player| room.join(player));
    let (mut greatest, mut living) = (0, std::collections::BTreeSet::new());
    for n in 0..600 {
        let inputs: Vec<_> =
            (1..=20).map(|player| (player, fire(n - 300, player as i32 * 20 - 200))).collect();
        room.step(&inputs);
        let now: std::collections::BTreeSet<_> = room.projectiles().into_keys().collect();
        assert!(now.difference(&living).all(|&id| id > greatest), "an id came back");
        greatest = greatest.max(now.last().copied().unwrap_or(0));
        living = now;
        for table in room.seen.tables() {
            assert!(table.ids().is_sorted_by(|a, b| a < b));
        }
    }
    assert!(greatest > 1_000);
}

#[test]
fn players_enter_apart_from_each_other() {
    let mut room = Room::new(77, 20);
    (1..=30).for_each(|player| room.join(player));
    for a in 1..=30 {
        for b in 1..a {
            let (a, b) = (room.player(a), room.player(b));
            assert!((a.x - b.x).abs().max((a.y - b.y).abs()) >= 2 * rules::PLAYER_RADIUS, "{a:?} {b:?}");
        }
    }
}

#[test]
fn who_leaves_is_gone_and_who_joins_twice_is_there_once() {
    let mut room = duel(20);
    let before = room.player(1);
    room.join(1);
    assert_eq!(room.player(1), before);
    room.leave(1);
    room.leave(1);
    assert_eq!(room.find(1), None);
    room.step(&[(1, fire(1, 0))]);
    assert_eq!(room.find(1), None);
}

#[test]
fn a_room_of_a_hundred_and_more_plays() {
    let mut room = Room::new(77, 20);
    (1..=200).for_each(|player| room.join(player));
    for n in 0..100 {
        let inputs: Vec<_> = (1..=200)
            .map(|p: u32| {
                let input = fire((p as i32 * 37 + n) % 200 - 100, (p as i32 * 91) % 200 - 100);
                (
                    p,
                    driftless_sim::games::arena::ArenaInput {
                        move_x: input.aim_y,
                        move_y: input.aim_x,
                        ..input
                    },
                )
            })
            .collect();
        room.step(&inputs);
    }
    let kills = room.events().len();
    let score: i32 = (1..=200).map(|p| room.player(p).score).sum();
    assert!(kills > 0 && score as usize == kills, "{kills} kills, {score} scored");
}

#[test]
fn the_makers_options_say_how_long_the_dead_wait() {
    let mut room = Room::with_options(1, 20, r#"{"respawn_s": 1}"#);
    room.join(1);
    room.join(2);
    room.walk(&[(1, 100, 50), (2, 400, 50)]);
    kill(&mut room);
    room.idle(20 - 2);
    assert_eq!(room.player(2).health, 0);
    room.idle(1);
    assert_eq!(room.player(2).health, i32::from(rules::MAX_HEALTH));
}
