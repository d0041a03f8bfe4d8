//! Which entities moved between two states, and whether one jumped.

use super::Violation;
use driftless_proto::{
    schema::Schema,
    snapshot::{Snapshot, Table},
};
use driftless_sim::games::arena::rules;

/// Where positions are in the snapshots of a game, and how fast entities may be. Made once from the schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MotionRules {
    kinds: Vec<KindRules>,
}

/// One kind with a group named "position".
#[derive(Debug, Clone, PartialEq, Eq)]
struct KindRules {
    kind: usize,
    name: String,
    /// Columns of the position's first two fields.
    x: usize,
    y: usize,
    /// Top speed, quanta per second. None: it may jump.
    speed: Option<i32>,
    /// Column that changes when an entity is teleported.
    spawns: Option<usize>,
}

/// What happened between two states.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Motion {
    /// Entities that are in both, at different places.
    pub moved: u64,
    /// The first entity that moved farther than it can.
    pub jump: Option<Violation>,
}

impl MotionRules {
    /// The rules of a game: all of the arena's; of others only where positions are.
    pub fn new(kind: &str, schema: &Schema) -> Self {
        let mut kinds = Vec::new();
        for (index, shape) in schema.kinds().iter().enumerate() {
            let column = |group: &str, field: &str| {
                let mut fields =
                    shape.groups().iter().flat_map(|g| g.fields().iter().map(move |f| (g.name(), f.name())));
                fields.position(|(g, f)| g == group && f == field)
            };
            let (Some(x), Some(y)) = (column("position", "x"), column("position", "y")) else { continue };
            let speed = match (kind, shape.name()) {
                ("arena", "player") => Some(rules::MAX_SPEED),
                ("arena", "projectile") => Some(rules::PROJECTILE_SPEED),
                _ => None,
            };
            let spawns = column("status", "spawns");
            kinds.push(KindRules { kind: index, name: shape.name().to_owned(), x, y, speed, spawns });
        }
        Self { kinds }
    }
    /// Compares a state with the one applied before it.
    pub fn compare(&self, before: &Snapshot, after: &Snapshot, tick_rate: u32) -> Motion {
        let ticks = after.tick().saturating_sub(before.tick());
        let mut motion = Motion::default();
        for rules in &self.kinds {
            if let (Some(before), Some(after)) =
                (before.tables().get(rules.kind), after.tables().get(rules.kind))
            {
                rules.compare(before, after, ticks, tick_rate, &mut motion);
            }
        }
        motion
    }
}

impl KindRules {
    fn compare(&self, before: &Table, after: &Table, ticks: u32, tick_rate: u32, motion: &mut Motion) {
        // As `rules::max_distance`, for any speed: places are rounded down to a quantum on both axes, twice.
        let allowed =
            self.speed.map(|speed| i64::from(speed) * i64::from(ticks) / i64::from(tick_rate.max(1)) + 3);
        let (from_x, from_y) = (before.column(self.x), before.column(self.y));
        let (to_x, to_y) = (after.column(self.x), after.column(self.y));
        let mut old = 0;
        for (new, &id) in after.ids().iter().enumerate() {
            while before.ids().get(old).is_some_and(|&other| other < id) {
                old += 1;
            }
            if before.ids().get(old) != Some(&id) {
                continue;
            }
            let (dx, dy) = (
                i64::from(to_x[new]) - i64::from(from_x[old]),
                i64::from(to_y[new]) - i64::from(from_y[old]),
            );
            if dx == 0 && dy == 0 {
                continue;
            }
            motion.moved += 1;
            let Some(allowed) = allowed else { continue };
            let moved_elsewhere = self.spawns.is_some_and(|c| before.column(c)[old] != after.column(c)[new]);
            if dx * dx + dy * dy > allowed * allowed && !moved_elsewhere && motion.jump.is_none() {
                let distance = (dx * dx + dy * dy).isqrt();
                motion.jump = Some(Violation::Jump { kind: self.name.clone(), id, distance, allowed });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_sim::{Simulation, games::arena::Arena};

    fn arena(tick: u32, players: &[(u32, i32, i32, i32)]) -> Snapshot {
        let mut snapshot = Snapshot::new(&Arena::schema());
        snapshot.clear(tick);
        for &(id, x, y, spawns) in players {
            snapshot.table_mut(0).push(id, &[x, y, 0, 100, 0, spawns, 0]);
        }
        snapshot
    }

    fn compare(before: &Snapshot, after: &Snapshot) -> Motion {
        MotionRules::new("arena", &Arena::schema()).compare(before, after, 20)
    }

    #[test]
    fn only_those_who_moved_and_were_there_count() {
        let before = arena(10, &[(1, 0, 0, 1), (2, 5, 5, 1), (3, 9, 9, 1)]);
        let after = arena(11, &[(1, 0, 1, 1), (3, 9, 9, 1), (4, 7, 7, 1)]);
        assert_eq!(compare(&before, &after), Motion { moved: 1, jump: None });
    }

    #[test]
    fn a_player_that_jumps_is_caught() {
        let before = arena(10, &[(1, 0, 0, 1), (2, 0, 0, 1)]);
        // 10 m/s at 20 Hz: 50 cm a tick, and 3 for rounding.
        assert_eq!(compare(&before, &arena(11, &[(1, 53, 0, 1), (2, 0, 0, 1)])).jump, None);
        let motion = compare(&before, &arena(11, &[(1, 0, 0, 1), (2, 54, 0, 1)]));
        assert_eq!(
            motion.jump,
            Some(Violation::Jump { kind: "player".into(), id: 2, distance: 54, allowed: 53 })
        );
        assert_eq!(
            compare(&before, &arena(13, &[(1, 0, 0, 1), (2, 54, 0, 1)])).jump,
            None,
            "three ticks are enough"
        );
    }

    #[test]
    fn a_player_that_enters_again_may_be_anywhere() {
        let before = arena(10, &[(1, 0, 0, 1)]);
        assert_eq!(compare(&before, &arena(11, &[(1, 9000, 0, 2)])), Motion { moved: 1, jump: None });
    }

    #[test]
    fn a_projectile_may_be_faster_than_a_player() {
        let at = |tick, x| {
            let mut snapshot = arena(tick, &[]);
            snapshot.table_mut(1).push(8, &[x, 0, 1]);
            snapshot
        };
        assert_eq!(compare(&at(1, 0), &at(2, 128)).jump, None);
        assert!(compare(&at(1, 0), &at(2, 129)).jump.is_some());
    }

    #[test]
    fn entities_of_an_unknown_game_may_jump() {
        use driftless_sim::games::cursors::Cursors;
        let rules = MotionRules::new("cursors", &Cursors::schema());
        let at = |tick, x| {
            let mut snapshot = Snapshot::new(&Cursors::schema());
            snapshot.clear(tick);
            snapshot.table_mut(0).push(1, &[x, 0]);
            snapshot
        };
        assert_eq!(rules.compare(&at(1, 0), &at(2, i32::MAX), 20), Motion { moved: 1, jump: None });
    }
}
