//! What players were shown: the room's last states, for games that judge what a player did by what it saw.
//!
//! A player aims at what its screen shows: a state that has travelled to it, and then waited for the next
//! one, so that there was something to show in between. Meanwhile the room has gone on. With
//! [`Simulation::REWIND_MS`](crate::Simulation::REWIND_MS) a room keeps the states of that time, and
//! [`Step::past`](crate::Step::past) shows them as that player's client did. (Yahn Bernier, "Latency
//! Compensating Methods in Client/Server In-game Protocol Design and Optimization", Valve, 2001.)

use crate::{Schema, Snapshot};
use driftless_proto::{
    merge::Merge,
    moment::{Moment, PARTS},
    schema::Predictor,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Version of what [`History::save`] writes.
const VERSION: u32 = 2;

/// The last states of a room, oldest first. Once it is full it makes no new ones.
#[derive(Debug)]
pub(crate) struct History {
    states: VecDeque<Snapshot>,
    /// If the game has zones: where they are written, before all becomes one.
    zoned: Option<Snapshot>,
    merge: Merge,
    schema: Schema,
    /// For each kind, whether its columns are interpolated.
    linear: Vec<Box<[bool]>>,
    /// For each kind, the column that counts lives.
    lives: Vec<Option<usize>>,
    tick_rate: u32,
    rewind_ms: u32,
    most: usize,
}

/// A room as one of its players was shown it, between two of its states: see
/// [`Step::past`](crate::Step::past).
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    linear: &'a [Box<[bool]>],
    lives: &'a [Option<usize>],
    base: &'a Snapshot,
    /// The state after the moment, unless it is that of `base`.
    next: Option<&'a Snapshot>,
    moment: Moment,
    clamped: u64,
    jump: u32,
}

impl History {
    /// Of a room of so many ticks a second, long enough for `rewind_ms`.
    pub(crate) fn new(schema: &Schema, rewind_ms: u32, tick_rate: u32) -> Self {
        let linear = schema.kinds().iter().map(|kind| {
            let groups = kind.groups().iter();
            groups
                .flat_map(|group| group.fields().iter().map(|_| group.predictor() == Predictor::Linear))
                .collect()
        });
        let mut history = Self {
            linear: linear.collect(),
            lives: schema.kinds().iter().map(|kind| kind.life_column()).collect(),
            states: VecDeque::new(),
            zoned: None,
            merge: Merge::new(schema),
            schema: schema.clone(),
            tick_rate,
            rewind_ms: 0,
            most: 0,
        };
        history.keep(rewind_ms);
        history
    }

    /// Keeps the states of so much time from now on; none if it is 0.
    pub(crate) fn keep(&mut self, rewind_ms: u32) {
        // As many as there are in that time, and one before them.
        let states = (u64::from(rewind_ms) * u64::from(self.tick_rate)).div_ceil(1_000) as usize;
        (self.rewind_ms, self.most) = (rewind_ms, if states > 0 { states + 1 } else { 0 });
        self.states.drain(..self.states.len().saturating_sub(self.most));
    }

    /// Takes the state of a tick, which `write` writes, perhaps into zones.
    pub(crate) fn push(&mut self, tick: u32, write: impl FnOnce(&mut Snapshot)) {
        if self.most == 0 {
            return;
        }
        // A copy of the newest shares with it what never changes: a map is there once.
        let oldest = if self.states.len() < self.most { None } else { self.states.pop_front() };
        let copy = || self.states.back().cloned();
        let mut state = oldest.or_else(copy).unwrap_or_else(|| Snapshot::new(&self.schema));
        state.clear(tick);
        match &mut self.zoned {
            Some(zoned) => {
                zoned.clear(tick);
                write(zoned);
                self.merge(&mut state);
            }
            None => {
                write(&mut state);
                if state.zones().next().is_some() {
                    let mut merged = Snapshot::new(&self.schema);
                    merged.clear(tick);
                    self.zoned = Some(std::mem::replace(&mut state, merged));
                    self.merge(&mut state);
                }
            }
        }
        self.states.push_back(state);
    }

    /// Writes the entities of all zones into one.
    fn merge(&mut self, state: &mut Snapshot) {
        let Some(zoned) = &self.zoned else { return };
        let contents: Vec<_> =
            std::iter::once(zoned).chain(zoned.zones().map(|(_, content)| content)).collect();
        self.merge.merge(&contents, state);
    }

    /// What was shown at a moment, or at the earliest that is kept. None: there is no state.
    pub(crate) fn at(&self, asked: Moment) -> Option<Past<'_>> {
        let limit = u64::from(self.rewind_ms) * u64::from(self.tick_rate) * u64::from(PARTS);
        let [oldest, newest] =
            [self.states.front()?, self.states.back()?].map(|state| Moment::at(state.tick()));
        let moment = asked.max(newest.before(limit / 1_000)).max(oldest).min(newest);
        let after = self.states.partition_point(|state| Moment::at(state.tick()) <= moment);
        let base = self.states.get(after.checked_sub(1)?)?;
        let next = self.states.get(after).filter(|_| moment > Moment::at(base.tick()));
        let Self { linear, lives, .. } = self;
        Some(Past { linear, lives, base, next, moment, clamped: moment.since(asked), jump: u32::MAX })
    }

    /// Itself, for a room that is to go on elsewhere.
    pub(crate) fn save(&self) -> Vec<u8> {
        let table = |table: &driftless_proto::snapshot::Table| SavedTable {
            ids: table.ids().to_vec(),
            columns: (0..table.width()).map(|column| table.column(column).to_vec()).collect(),
        };
        let states = self.states.iter();
        let states = states.map(|state| SavedState {
            tick: state.tick(),
            tables: state.tables().iter().map(table).collect(),
            texts: state.texts().map(|(_, bytes)| bytes.to_vec()).collect(),
        });
        let saved = Saved { version: VERSION, tick_rate: self.tick_rate, states: states.collect() };
        postcard::to_stdvec(&saved).unwrap_or_default() // numbers and lists are serialisable
    }

    /// What was saved, with its CRC-32C after it, from the front of `all`; and what follows.
    pub(crate) fn restore<'a>(
        schema: &Schema,
        rewind_ms: u32,
        all: &'a [u8],
    ) -> Result<(Self, &'a [u8]), String> {
        let bad = |what: &str| format!("its past {what}");
        let (saved, rest) = postcard::take_from_bytes::<Saved>(all)
            .map_err(|error| bad(&format!("is malformed: {error}")))?;
        let (crc, rest) = rest.split_first_chunk::<4>().ok_or_else(|| bad("ends too early"))?;
        if crc32c::crc32c(&all[..all.len() - rest.len() - 4]) != u32::from_le_bytes(*crc) {
            return Err(bad("is damaged: its CRC does not match"));
        }
        if saved.version != VERSION {
            return Err(bad(&format!("has version {}, not {VERSION}", saved.version)));
        }
        if !crate::TICK_RATES.contains(&saved.tick_rate) {
            return Err(bad(&format!("has a tick rate of {}", saved.tick_rate)));
        }
        let mut history = Self::new(schema, rewind_ms, saved.tick_rate);
        for SavedState { tick, tables, texts } in saved.states {
            let is_next = history.states.back().is_none_or(|last| last.tick() < tick);
            let is_of_schema = tables.len() == history.linear.len()
                && tables.iter().zip(&history.linear).all(|(table, kind)| {
                    table.columns.len() == kind.len()
                        && table.columns.iter().all(|column| column.len() == table.ids.len())
                        && table.ids.is_sorted_by(|a, b| a < b)
                });
            if !is_next || !is_of_schema {
                return Err(bad(&format!("has a state of tick {tick} that is not of this game")));
            }
            history.push(tick, |state| {
                for text in &texts {
                    state.bytes(text); // in this order they get their numbers again
                }
                for (kind, table) in tables.iter().enumerate() {
                    for (row, &id) in table.ids.iter().enumerate() {
                        let values: Vec<i32> = table.columns.iter().map(|column| column[row]).collect();
                        state.table_mut(kind).push(id, &values);
                    }
                }
            });
        }
        Ok((history, rest))
    }
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    tick_rate: u32,
    states: Vec<SavedState>,
}

#[derive(Serialize, Deserialize)]
struct SavedState {
    tick: u32,
    tables: Vec<SavedTable>,
    texts: Vec<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct SavedTable {
    ids: Vec<u32>,
    columns: Vec<Vec<i32>>,
}

impl Past<'_> {
    /// The same, but a number that changes by more than `quanta` from one state to the next stays as in the
    /// first: whoever it belongs to was placed elsewhere, and was never in between. As the option `jump` of
    /// clients; not needed where the schema says it, by [`life`](driftless_proto::schema::Kind::life).
    pub fn with_jump(self, quanta: u32) -> Self {
        Self { jump: quanta, ..self }
    }

    /// The moment that it shows.
    pub fn moment(&self) -> Moment {
        self.moment
    }

    /// How much later that is than what was asked for, because that was longer ago than is kept; 1/128 of a
    /// tick. 0: it is what was asked for.
    pub fn clamped(&self) -> u64 {
        self.clamped
    }

    /// The ids of a kind's entities, ascending: those of the last state that was not after the moment.
    pub fn ids(&self, kind: usize) -> &[u32] {
        self.base.tables().get(kind).map_or(&[], |table| table.ids())
    }

    /// The first `N` columns of an entity: those of linear groups between the two states, the others as in
    /// the earlier, and all as in the earlier if it began another life in between. None: there was no such
    /// entity, or it has fewer columns.
    pub fn row<const N: usize>(&self, kind: usize, id: u32) -> Option<[i32; N]> {
        let table = self.base.tables().get(kind)?;
        let row = table.row(id)?;
        let linear = self.linear.get(kind).filter(|linear| N <= linear.len())?;
        let next = self.next.and_then(|next| {
            let table = next.tables().get(kind)?;
            let there = table.row(id)?;
            let life = self.lives.get(kind).copied().flatten();
            let is_same = life
                .is_none_or(|life| self.base.tables()[kind].column(life)[row] == table.column(life)[there]);
            is_same.then_some((next.tick(), table, there))
        });
        Some(std::array::from_fn(|column| {
            let value = table.column(column)[row];
            match next {
                Some((tick, table, row)) if linear[column] => {
                    self.between(value, table.column(column)[row], tick)
                }
                _ => value,
            }
        }))
    }

    /// The text of a number in a row, as [`Snapshot::text_of`] gives it.
    pub fn text_of(&self, number: i32) -> &str {
        self.base.text_of(number)
    }

    /// The bytes of a number in a row.
    pub fn bytes_of(&self, number: i32) -> &[u8] {
        self.base.bytes_of(number)
    }

    /// Between a value of `base` and one of the state of `tick` after it.
    fn between(&self, value: i32, then: i32, tick: u32) -> i32 {
        if value.abs_diff(then) > self.jump {
            return value;
        }
        let part = i128::from(self.moment.since(Moment::at(self.base.tick())));
        let span = i128::from(tick - self.base.tick()) * i128::from(PARTS);
        let change = (i128::from(then) - i128::from(value)) * part / span;
        (i128::from(value) + change) as i32 // between two numbers of 32 bits
    }
}
