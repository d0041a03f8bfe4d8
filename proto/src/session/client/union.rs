//! All zones that a player sees, as one state.

use super::contents::Contents;
use crate::{
    delta::{Decoder, References},
    merge::Merge,
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
    /// For each kind, its columns of texts.
    text_columns: Box<[Box<[usize]>]>,
    /// Scratch memory.
    order: Vec<(u32, ZoneId)>,
    predicted: Vec<Snapshot>,
    movers: Snapshot,
    merge: Merge,
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
            movers: Snapshot::new(schema),
            merge: Merge::new(schema),
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
        let Self { states: [state, _], moving, text_columns, order, predicted, movers, merge, .. } = self;
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
        moving.retain(|entity| (awaits || entity.since > oldest) && !entity.is_in(&shown, order));
        if !moving.is_empty() {
            movers.clear(tick);
            for Moving { kind, id, values, texts, .. } in moving.iter_mut() {
                for (&column, text) in text_columns[*kind].iter().zip(texts) {
                    values[column] = movers.bytes(text);
                }
                movers.table_mut(*kind).push(*id, values);
            }
            shown.push(&*movers);
        }
        merge.merge(&shown, state);
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

impl Moving {
    /// Whether it has arrived: a content of no earlier than when it vanished has it. (An older one is
    /// outdated.) `known`: until when each is known.
    fn is_in(&self, contents: &[&Snapshot], known: &[(u32, ZoneId)]) -> bool {
        let mut newer = contents.iter().zip(known).filter(|(_, (until, _))| *until >= self.since);
        newer.any(|(content, _)| content.tables()[self.kind].row(self.id).is_some())
    }
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
