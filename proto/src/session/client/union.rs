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
    predicted: Snapshot,
    row: Vec<i32>,
}

#[derive(Debug)]
struct Moving {
    kind: usize,
    id: u32,
    values: Vec<i32>,
    texts: Vec<Box<[u8]>>,
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
            predicted: Snapshot::new(schema),
            row: Vec::new(),
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

    /// A zone is about to get another content.
    pub(super) fn changed(&mut self, before: Option<&Snapshot>, now: &Snapshot) {
        let Some(content) = before else { return };
        for (kind, (before, after)) in content.tables().iter().zip(now.tables()).enumerate() {
            if before.ids() == after.ids() {
                continue;
            }
            for (row, &id) in before.ids().iter().enumerate() {
                if after.row(id).is_none() {
                    let value = |column: usize| before.column(column)[row];
                    let texts = self.text_columns[kind].iter();
                    let texts = texts.map(|&column| content.bytes_of(value(column)).into()).collect();
                    let values = (0..before.width()).map(value).collect();
                    self.moving.push(Moving { kind, id, values, texts, since: now.tick() });
                }
            }
        }
    }

    /// Makes it the union of these zones at `tick`. Zones that are behind are predicted for at most
    /// `predict_for` ticks.
    pub(super) fn update(
        &mut self,
        schema: &Schema,
        decoder: &mut Decoder,
        tick: u32,
        predict_for: u32,
        zone_0: &Contents,
        zones: &BTreeMap<ZoneId, Contents>,
    ) {
        if self.states[0].tick() != tick {
            self.has_previous = self.states[0].tick() != 0;
            self.states.swap(0, 1);
        }
        let Self { states: [state, _], moving, text_columns, order, predicted, row, .. } = self;
        state.clear(tick);
        order.clear();
        order.extend(zone_0.known_until().map(|until| (until, 0)));
        order.extend(zones.iter().filter_map(|(zone, contents)| Some((contents.known_until()?, *zone))));
        // What is known of the later tick counts, then the zone with the higher number.
        order.sort_unstable();
        let oldest = order.first().map_or(tick, |(until, _)| *until);
        for &(until, zone) in &*order {
            let contents = zones.get(&zone).unwrap_or(zone_0);
            let Some(newest) = contents.newest() else { continue };
            let content = match contents.movement().filter(|_| until < tick) {
                Some([(baseline, at), (prior, before)]) => {
                    let to = tick.min(until.saturating_add(predict_for));
                    let references = References { baseline: Some(baseline), prior: Some(prior) };
                    let ticks = (Some(at), Some(before));
                    match decoder.apply_at(schema, references, ticks, to, &[], predicted) {
                        Ok(()) => &*predicted,
                        Err(_) => newest,
                    }
                }
                None => newest,
            };
            add(state, content, text_columns, row);
        }
        moving.retain(|entity| entity.since > oldest && state.tables()[entity.kind].row(entity.id).is_none());
        for Moving { kind, id, values, texts, .. } in moving {
            for (&column, text) in text_columns[*kind].iter().zip(texts) {
                values[column] = state.bytes(text);
            }
            state.table_mut(*kind).push(*id, values);
        }
    }
}

/// Adds the entities of a zone.
fn add(state: &mut Snapshot, content: &Snapshot, text_columns: &[Box<[usize]>], row: &mut Vec<i32>) {
    for (kind, table) in content.tables().iter().enumerate() {
        for (n, &id) in table.ids().iter().enumerate() {
            row.clear();
            row.extend((0..table.width()).map(|column| table.column(column)[n]));
            for &column in &text_columns[kind] {
                row[column] = state.bytes(content.bytes_of(row[column]));
            }
            state.table_mut(kind).push(id, row);
        }
    }
}
