//! All zones that a player sees, as one state.

use super::contents::Contents;
use crate::{
    delta::{Decoder, References},
    schema::Schema,
    snapshot::Snapshot,
    view::ZoneId,
};
use std::collections::BTreeMap;

/// The union of the zones, now and before.
///
/// A zone whose newest content is from an earlier tick is shown as predicted, for a while. An entity that has
/// vanished from one zone may just have moved to such a zone, so it stays until all zones are known for a
/// tick at which it had gone.
#[derive(Debug)]
pub(super) struct Union {
    /// The newest, and the one of the tick before it.
    states: [Snapshot; 2],
    has_previous: bool,
    /// Entities that may have moved to a zone of which this end has not heard yet.
    moving: Vec<Moving>,
    /// For each kind, its columns of texts. A number means a text in one zone only.
    text_columns: Box<[Box<[usize]>]>,
    /// Scratch memory.
    order: Vec<(u32, ZoneId)>,
    predicted: Vec<Snapshot>,
    rows: UnionRows,
}

/// What a union is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present {
    pub(super) tick: u32,
    /// For so many ticks at most, zones that are behind are predicted.
    pub(super) predict_for: u32,
    /// There is a zone in view of which nothing has come yet.
    pub(super) awaits: bool,
}

/// Most entities that are on their way between two zones.
const MAX_MOVING: usize = 4096;

#[derive(Debug)]
struct Moving {
    kind: usize,
    id: u32,
    values: Vec<i32>,
    texts: Vec<Box<[u8]>>,
    zone: ZoneId,
    /// Tick at which its zone did not have it any more.
    since: u32,
}

impl Union {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            states: [Snapshot::new(schema), Snapshot::new(schema)],
            has_previous: false,
            moving: Vec::new(),
            text_columns: schema.kinds().iter().map(|kind| kind.text_columns().collect()).collect(),
            order: Vec::new(),
            predicted: Vec::new(),
            rows: UnionRows::default(),
        }
    }

    pub(super) fn current(&self) -> &Snapshot {
        &self.states[0]
    }

    pub(super) fn previous(&self) -> Option<&Snapshot> {
        self.has_previous.then_some(&self.states[1])
    }

    /// No entity is on its way between two zones.
    pub(super) fn clear_moving(&mut self) {
        self.moving.clear();
    }

    /// The player does not see a zone any more, nor what was in it last.
    pub(super) fn left(&mut self, zone: ZoneId) {
        self.moving.retain(|entity| entity.zone != zone);
    }

    /// A zone is about to get another content.
    pub(super) fn changed(&mut self, zone: ZoneId, before: Option<&Snapshot>, now: &Snapshot) {
        let Some(content) = before else { return };
        for (kind, (before, after)) in content.tables().iter().zip(now.tables()).enumerate() {
            if before.ids() == after.ids() {
                continue;
            }
            for (row, &id) in before.ids().iter().enumerate() {
                if after.row(id).is_none() {
                    if self.moving.len() == MAX_MOVING {
                        self.moving.remove(0);
                    }
                    let value = |column: usize| before.column(column)[row];
                    let texts = self.text_columns[kind].iter();
                    let texts = texts.map(|&column| content.bytes_of(value(column)).into()).collect();
                    let values = (0..before.width()).map(value).collect();
                    self.moving.push(Moving { kind, id, values, texts, zone, since: now.tick() });
                }
            }
        }
    }

    /// Makes it the union of these zones.
    pub(super) fn update(
        &mut self,
        schema: &Schema,
        decoder: &mut Decoder,
        Present { tick, predict_for, awaits }: Present,
        zone_0: &Contents,
        zones: &BTreeMap<ZoneId, Contents>,
    ) {
        if self.states[0].tick() != tick {
            self.has_previous = self.states[0].tick() != 0;
            self.states.swap(0, 1);
        }
        let Self { states: [state, _], moving, text_columns, order, predicted, rows, .. } = self;
        state.clear(tick);
        order.clear();
        order.extend(zone_0.known_until().map(|until| (until, 0)));
        order.extend(zones.iter().filter_map(|(zone, contents)| Some((contents.known_until()?, *zone))));
        // What is known of the later tick counts, then the zone with the higher number.
        order.sort_unstable();
        let oldest = order.first().map_or(tick, |(until, _)| *until);
        let behind = order.iter().take_while(|(until, _)| *until < tick).count();
        predicted.resize_with(behind.max(predicted.len()), || Snapshot::new(schema));
        let mut shown: Vec<&Snapshot> = Vec::with_capacity(order.len());
        let mut predictions = predicted.iter_mut();
        for &(until, zone) in &*order {
            let contents = zones.get(&zone).unwrap_or(zone_0);
            let Some(newest) = contents.newest() else { continue };
            let movement = contents.movement().filter(|_| until < tick);
            shown.push(match movement.zip(predictions.next()) {
                Some(([(baseline, at), (prior, before)], out)) => {
                    let to = tick.min(until.saturating_add(predict_for));
                    let references = References { baseline: Some(baseline), prior: Some(prior) };
                    let ticks = (Some(at), Some(before));
                    match decoder.apply_at(schema, references, ticks, to, &[], out) {
                        Ok(()) => {
                            hold_new_lives(schema, baseline, prior, out);
                            out
                        }
                        Err(_) => newest,
                    }
                }
                None => newest,
            });
        }
        moving.retain(|entity| awaits || entity.since > oldest);
        for (kind, text_columns) in text_columns.iter().enumerate() {
            rows.find(kind, &shown, order, moving);
            rows.write(kind, &shown, moving, text_columns, state);
        }
    }
}

/// Whoever began another life between `before` and `newest` was placed where it is, and has not moved there:
/// in `predicted` it stays.
fn hold_new_lives(schema: &Schema, newest: &Snapshot, before: &Snapshot, predicted: &mut Snapshot) {
    for (kind, shape) in schema.kinds().iter().enumerate() {
        let Some(life) = shape.life_column() else { continue };
        let (table, before) = (&newest.tables()[kind], &before.tables()[kind]);
        for (&id, &lives) in table.ids().iter().zip(table.column(life)) {
            if before.value(id, life).is_some_and(|lives_before| lives_before != lives) {
                let value = |column| table.value(id, column).unwrap_or_default();
                let values: Vec<i32> = (0..table.width()).map(value).collect();
                predicted.table_mut(kind).push(id, &values);
            }
        }
    }
}

/// The rows of one kind, from all contents. Scratch memory.
#[derive(Debug, Default)]
struct UnionRows {
    /// Ascending by id: id, index of the content (`MOVING`: none), and row in it.
    rows: Vec<(u32, u32, u32)>,
    ids: Vec<u32>,
    /// The values of a column of texts.
    texts: Vec<i32>,
}

/// Instead of the index of a content: the row is the index of an entity that may have moved.
const MOVING: u32 = u32::MAX;

impl UnionRows {
    /// Finds the entities: of those that several contents have, the row in the last. What may have moved has
    /// arrived if it is in a content of later than when it vanished; an older one is outdated. `known`: until
    /// when each content is known.
    fn find(&mut self, kind: usize, shown: &[&Snapshot], known: &[(u32, ZoneId)], moving: &mut Vec<Moving>) {
        let Self { rows, ids, .. } = self;
        rows.clear();
        for (content, state) in (0..).zip(shown) {
            rows.extend((0..).zip(state.tables()[kind].ids()).map(|(row, &id)| (id, content, row)));
        }
        rows.sort_unstable();
        keep_last(rows);
        let has_arrived = |entity: &Moving| {
            let found = rows.binary_search_by_key(&entity.id, |row| row.0);
            found.is_ok_and(|at| known[rows[at].1 as usize].0 >= entity.since)
        };
        moving.retain(|entity| entity.kind != kind || !has_arrived(entity));
        let here = (0..).zip(&*moving).filter(|(_, entity)| entity.kind == kind);
        let vanished = rows.len();
        rows.extend(here.map(|(at, entity)| (entity.id, MOVING, at)));
        if rows.len() > vanished {
            rows.sort_unstable();
            keep_last(rows);
        }
        ids.clear();
        ids.extend(rows.iter().map(|row| row.0));
    }

    /// Makes them the table of a state.
    fn write(
        &mut self,
        kind: usize,
        shown: &[&Snapshot],
        moving: &[Moving],
        text_columns: &[usize],
        state: &mut Snapshot,
    ) {
        let Self { rows, ids, texts } = self;
        // A number means a text only within one content.
        texts.clear();
        for (n, &column) in text_columns.iter().enumerate() {
            texts.extend(rows.iter().map(|&(_, content, row)| match shown.get(content as usize) {
                Some(content) => {
                    let number = content.tables()[kind].column(column)[row as usize];
                    state.bytes(content.bytes_of(number))
                }
                None => state.bytes(&moving[row as usize].texts[n]),
            }));
        }
        let table = state.table_mut(kind);
        let width = table.width();
        let mut columns = table.fill(ids);
        for column in 0..width {
            let out = columns.column(column);
            if let Some(n) = text_columns.iter().position(|&of| of == column) {
                out.copy_from_slice(&texts[n * ids.len()..][..ids.len()]);
                continue;
            }
            for (out, &(_, content, row)) in out.iter_mut().zip(&*rows) {
                *out = match shown.get(content as usize) {
                    Some(content) => content.tables()[kind].column(column)[row as usize],
                    None => moving[row as usize].values[column],
                };
            }
        }
    }
}

/// Keeps the last of the rows of each id.
fn keep_last(rows: &mut Vec<(u32, u32, u32)>) {
    rows.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            *kept = *later;
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_placed_elsewhere_is_not_continued_and_others_are() {
        let schema = Schema::new().kind("boat", |kind| {
            kind.linear("place", &["x"], 1).hold("status", &["spawns"], 1).life("spawns")
        });
        let state = |rows: &[(u32, [i32; 2])]| {
            let mut state = Snapshot::new(&schema);
            rows.iter().for_each(|(id, row)| state.table_mut(0).push(*id, row));
            state
        };
        let before = state(&[(1, [0, 1]), (2, [0, 1])]);
        let newest = state(&[(1, [5_000, 2]), (2, [10, 1]), (3, [7, 1])]);
        let mut predicted = state(&[(1, [10_000, 2]), (2, [20, 1]), (3, [7, 1])]);
        hold_new_lives(&schema, &newest, &before, &mut predicted);
        assert_eq!(predicted, state(&[(1, [5_000, 2]), (2, [20, 1]), (3, [7, 1])]));
    }
}
