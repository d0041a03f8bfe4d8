//! Where everybody really was: what an observer with a perfect link got for every tick.

use driftless_client::{Clock, Connection, Event, Step};
use driftless_proto::{schema::Schema, snapshot::Snapshot, wire};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Instant};

/// Farther than this in one tick, quanta: the entity was teleported, and was nowhere in between. (In the
/// arena, quanta are centimetres and nobody moves more than 50 in a tick at 20 Hz.)
pub const JUMP: u32 = 200;

/// A place, quanta.
pub type Place = [i32; 2];

/// The states of a room, and its server's clock.
#[derive(Debug, Default)]
pub struct Truth {
    clock: Option<Clock>,
    epoch_us: i64,
    tick_us: i64,
    layout: Option<Layout>,
    states: BTreeMap<u32, Vec<(u32, Place)>>,
}

/// Where in the snapshots the positions of players are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Kind of entity.
    pub kind: usize,
    /// Columns.
    pub columns: [usize; 2],
    /// Quanta per unit of the game's measure.
    pub per_unit: u32,
}

/// Records the truth until the connection ends.
pub async fn observe(mut connection: Connection, truth: Rc<RefCell<Truth>>) {
    loop {
        match connection.next(None).await {
            Step::Closed => return,
            Step::Woken => {}
            Step::Event(event) => {
                let core = connection.core();
                let mut truth = truth.borrow_mut();
                truth.clock = Some(core.clock().clone());
                match event {
                    Event::Welcome(welcome) => truth.welcome(&welcome, core.schema()),
                    Event::State { .. } => {
                        if let Some(snapshot) = core.snapshot() {
                            truth.push(snapshot);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

impl Truth {
    fn welcome(&mut self, welcome: &wire::Welcome, schema: Option<&Schema>) {
        self.epoch_us = welcome.epoch_us;
        self.tick_us = 1_000_000 / i64::from(welcome.tick_rate.max(1));
        self.layout = schema.and_then(Layout::find);
    }
    fn push(&mut self, snapshot: &Snapshot) {
        let Some(layout) = self.layout else { return };
        let Some(table) = snapshot.tables().get(layout.kind) else { return };
        let [x, y] = layout.columns.map(|column| table.column(column));
        let places = table.ids().iter().enumerate().map(|(row, &id)| (id, [x[row], y[row]])).collect();
        self.states.insert(snapshot.tick(), places);
    }
    /// The server's clock, microseconds.
    pub fn now_us(&self, now: Instant) -> Option<i64> {
        self.clock.as_ref()?.server_time_us(now).map(|us| us as i64)
    }
    /// When a tick was due, microseconds of the server's clock.
    pub fn due_us(&self, tick: u32) -> i64 {
        self.epoch_us + i64::from(tick) * self.tick_us
    }
    /// The newest tick that was due at a time.
    pub fn due_tick(&self, at_us: i64) -> u32 {
        let ticks = (at_us - self.epoch_us).checked_div(self.tick_us).unwrap_or(0);
        u32::try_from(ticks.max(0)).unwrap_or(u32::MAX)
    }
    /// See [`Layout`].
    pub fn layout(&self) -> Option<Layout> {
        self.layout
    }
    /// Whether the truth of this time is known.
    pub fn covers(&self, at_us: i64) -> bool {
        self.states.last_key_value().is_some_and(|(&tick, _)| self.due_us(tick) >= at_us)
    }
    /// Where everybody was at a time, interpolated between the two states around it. None: one of them is
    /// missing (the start of the game, a skipped tick).
    pub fn at(&self, at_us: i64) -> Option<Moment<'_>> {
        let tick = self.due_tick(at_us);
        let (before, after) = (self.states.get(&tick)?, self.states.get(&(tick + 1))?);
        let part = (at_us - self.due_us(tick)) as f64 / self.tick_us.max(1) as f64;
        Some(Moment { before, after, part })
    }
}

/// Everybody's places at one time.
#[derive(Debug)]
pub struct Moment<'a> {
    before: &'a [(u32, Place)],
    after: &'a [(u32, Place)],
    part: f64,
}

impl Moment<'_> {
    /// Distance from where an entity was, quanta. None: it was not there.
    pub fn distance(&self, id: u32, shown: Place) -> Option<f64> {
        let find = |state: &[(u32, Place)]| {
            let index = state.binary_search_by_key(&id, |&(id, _)| id).ok()?;
            Some(state[index].1)
        };
        let (from, to) = (find(self.before)?, find(self.after)?);
        let jumped = std::iter::zip(from, to).any(|(from, to)| from.abs_diff(to) > JUMP);
        let part = if jumped { 0.0 } else { self.part };
        let off = |axis: usize| {
            let real = f64::from(from[axis]) + f64::from(to[axis] - from[axis]) * part;
            f64::from(shown[axis]) - real
        };
        Some(off(0).hypot(off(1)))
    }
}

impl Layout {
    /// The first kind with a position of two coordinates.
    fn find(schema: &Schema) -> Option<Self> {
        schema.kinds().iter().enumerate().find_map(|(kind, shape)| {
            let fields = || {
                shape.groups().iter().flat_map(|group| group.fields().iter().map(move |field| (group, field)))
            };
            let column =
                |name| fields().position(|(group, field)| group.name() == "position" && field.name() == name);
            let columns = [column("x")?, column("y")?];
            let per_unit = fields().nth(columns[0])?.1.quanta_per_unit().max(1);
            Some(Self { kind, columns, per_unit })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth() -> Truth {
        let states = [(4, vec![(1, [0, 0]), (2, [0, 0])]), (5, vec![(1, [30, 40]), (2, [5000, 0])])];
        Truth { epoch_us: 1000, tick_us: 50_000, states: states.into(), ..Truth::default() }
    }

    #[test]
    fn between_two_states_everybody_is_on_the_way() {
        let truth = truth();
        let moment = truth.at(1000 + 4 * 50_000 + 25_000).unwrap();
        assert_eq!(moment.distance(1, [15, 20]), Some(0.0));
        assert_eq!(moment.distance(1, [15, 30]), Some(10.0));
        assert_eq!(moment.distance(3, [0, 0]), None);
    }

    #[test]
    fn who_jumped_was_nowhere_in_between() {
        let truth = truth();
        assert_eq!(truth.at(1000 + 4 * 50_000 + 49_000).unwrap().distance(2, [0, 0]), Some(0.0));
    }

    #[test]
    fn without_the_states_around_it_a_moment_has_no_truth() {
        let truth = truth();
        assert!(truth.at(1000 + 3 * 50_000).is_none() && truth.at(1000 + 5 * 50_000).is_none());
        assert!(truth.covers(1000 + 5 * 50_000) && !truth.covers(1001 + 5 * 50_000));
    }
}
