//! Where everybody really was: what an observer with a perfect link got for every tick.
//!
//! Where nobody sees all, there are many observers, who play too, and each says where it is itself.

use driftless_client::{Clock, Connection, Event, Step};
use driftless_proto::{schema::Schema, snapshot::Snapshot, wire};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Instant};

/// A place, quanta; and in which life an entity was there, if its kind has lives: see
/// [`driftless_proto::schema::Kind::life`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub at: [i32; 2],
    /// 0 in a kind without lives.
    pub life: i32,
}

/// The states of a room, and its server's clock.
#[derive(Debug, Default)]
pub struct Truth {
    clock: Option<Clock>,
    epoch_us: i64,
    tick_us: i64,
    layout: Option<Layout>,
    /// For each tick, by id.
    states: BTreeMap<u32, Vec<(u32, Place)>>,
}

/// Which part of the truth an observer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It sees all.
    Everybody,
    /// Of this player, whose own place no zone keeps from it.
    Oneself(u32),
}

/// Where in the snapshots the positions of players are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Kind of entity.
    pub kind: usize,
    /// Columns.
    pub columns: [usize; 2],
    /// The column that counts lives.
    pub life: Option<usize>,
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
                            truth.push(snapshot, Told::Everybody);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

impl Truth {
    /// An observer has joined.
    pub fn welcome(&mut self, welcome: &wire::Welcome, schema: Option<&Schema>) {
        self.epoch_us = welcome.epoch_us;
        self.tick_us = 1_000_000 / i64::from(welcome.tick_rate.max(1));
        self.layout = schema.and_then(Layout::find);
    }
    /// An observer's clock has moved.
    pub fn set_clock(&mut self, clock: &Clock) {
        self.clock = Some(clock.clone());
    }
    /// An observer got a state.
    pub fn push(&mut self, snapshot: &Snapshot, told: Told) {
        let Some(layout) = self.layout else { return };
        let Some(table) = snapshot.tables().get(layout.kind) else { return };
        let state = self.states.entry(snapshot.tick()).or_default();
        let place = |row: usize| Place {
            at: layout.columns.map(|column| table.column(column)[row]),
            life: layout.life.map_or(0, |life| table.column(life)[row]),
        };
        match told {
            Told::Everybody => {
                state.clear();
                state.extend(table.ids().iter().enumerate().map(|(row, &id)| (id, place(row))));
            }
            Told::Oneself(id) => {
                if let (Some(row), Err(at)) = (table.row(id), state.binary_search_by_key(&id, |&(id, _)| id))
                {
                    state.insert(at, (id, place(row)));
                }
            }
        }
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
        Some(Moment { truth: self, tick, before, after, part })
    }
}

/// Everybody's places at one time.
#[derive(Debug)]
pub struct Moment<'a> {
    truth: &'a Truth,
    tick: u32,
    before: &'a [(u32, Place)],
    after: &'a [(u32, Place)],
    part: f64,
}

/// How far off an entity was shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Error {
    /// Quanta.
    Distance(f64),
    /// In an earlier life: it had been elsewhere for so many microseconds.
    Late(i64),
}

impl Moment<'_> {
    /// How far an entity was shown from where it was. None: it was not there, or nobody said so.
    pub fn error(&self, id: u32, shown: Place) -> Option<Error> {
        let (from, to) = (find(self.before, id)?, find(self.after, id)?);
        if shown.life != from.life {
            // Since the first state in which it was elsewhere.
            let is_elsewhere = |state: &Vec<_>| find(state, id).is_some_and(|it| it.life != shown.life);
            let states = self.truth.states.range(..=self.tick).rev();
            let since = states.take_while(|(_, state)| is_elsewhere(state)).last();
            let since_us = self.truth.due_us(since.map_or(self.tick, |(&tick, _)| tick));
            let part_us = (self.part * self.truth.tick_us as f64) as i64;
            return Some(Error::Late(self.truth.due_us(self.tick) + part_us - since_us));
        }
        let part = if from.life == to.life { self.part } else { 0.0 };
        let off = |axis: usize| {
            let [from, to, shown] = [from, to, shown].map(|place| f64::from(place.at[axis]));
            shown - (from + (to - from) * part)
        };
        Some(Error::Distance(off(0).hypot(off(1))))
    }
}

fn find(state: &[(u32, Place)], id: u32) -> Option<Place> {
    let index = state.binary_search_by_key(&id, |&(id, _)| id).ok()?;
    Some(state[index].1)
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
            Some(Self { kind, columns, life: shape.life_column(), per_unit })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(x: i32, y: i32, life: i32) -> Place {
        Place { at: [x, y], life }
    }

    fn truth() -> Truth {
        let states = [
            (4, vec![(1, place(0, 0, 1)), (2, place(0, 0, 1))]),
            (5, vec![(1, place(30, 40, 1)), (2, place(5000, 0, 2))]),
            (6, vec![(1, place(60, 80, 1)), (2, place(5000, 0, 2))]),
        ];
        Truth { epoch_us: 1000, tick_us: 50_000, states: states.into(), ..Truth::default() }
    }

    #[test]
    fn between_two_states_everybody_is_on_the_way() {
        let truth = truth();
        let moment = truth.at(1000 + 4 * 50_000 + 25_000).unwrap();
        assert_eq!(moment.error(1, place(15, 20, 1)), Some(Error::Distance(0.0)));
        assert_eq!(moment.error(1, place(15, 30, 1)), Some(Error::Distance(10.0)));
        assert_eq!(moment.error(3, place(0, 0, 1)), None);
    }

    #[test]
    fn who_was_placed_elsewhere_was_nowhere_in_between_and_is_late_where_he_was() {
        let truth = truth();
        let error = |us: i64, shown| truth.at(1000 + 4 * 50_000 + us).unwrap().error(2, shown);
        assert_eq!(error(49_000, place(0, 0, 1)), Some(Error::Distance(0.0)));
        assert_eq!(error(51_000, place(0, 0, 1)), Some(Error::Late(1_000)));
        assert_eq!(error(99_000, place(0, 0, 1)), Some(Error::Late(49_000)));
        assert_eq!(error(51_000, place(5000, 7, 2)), Some(Error::Distance(7.0)));
    }

    #[test]
    fn many_observers_each_tell_of_themselves() {
        let schema = Schema::new().kind("cart", |kind| {
            kind.linear("position", &["x", "y"], 100).hold("lives", &["spawns"], 1).life("spawns")
        });
        let mut truth = Truth { tick_us: 50_000, layout: Layout::find(&schema), ..Truth::default() };
        let mut state = Snapshot::new(&schema);
        for tick in [1, 2] {
            state.clear(tick);
            [3, 5, 9].into_iter().for_each(|id| state.table_mut(0).push(id, &[id as i32, 0, 1]));
            [5, 3, 3].into_iter().for_each(|id| truth.push(&state, Told::Oneself(id)));
        }
        let moment = truth.at(60_000).unwrap();
        let error = |id| moment.error(id, place(0, 0, 1));
        let off = [3.0, 5.0].map(|off| Some(Error::Distance(off)));
        assert_eq!([error(3), error(5), error(9)], [off[0], off[1], None]);
    }

    #[test]
    fn without_the_states_around_it_a_moment_has_no_truth() {
        let truth = truth();
        assert!(truth.at(1000 + 3 * 50_000).is_none() && truth.at(1000 + 6 * 50_000).is_none());
        assert!(truth.covers(1000 + 6 * 50_000) && !truth.covers(1001 + 6 * 50_000));
    }
}
