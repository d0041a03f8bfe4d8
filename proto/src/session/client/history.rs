//! The states applied last, which deltas refer to and a game shows.

use super::{
    ServerError,
    contents::Contents,
    union::{Present, Union},
};
use crate::{
    delta::{Decoder, References},
    limits::MAX_ZONES_IN_VIEW,
    schema::Schema,
    session::Delivery,
    snapshot::Snapshot,
    state::{
        StateHead,
        zones::{Parts, Ticks, ZonePart},
    },
    view::ZoneId,
};
use std::collections::BTreeMap;

/// What has been applied. Its memory is reused: without zones, nothing is allocated in steady state.
#[derive(Debug)]
pub(super) struct History {
    delivery: Delivery,
    /// Tick of the newest state.
    tick: Option<u32>,
    zone_0: Contents,
    /// The other zones that the player sees.
    zones: BTreeMap<ZoneId, Contents>,
    /// All of them together. None: there is only zone 0.
    union: Option<Box<Union>>,
    /// The zones are those of an earlier connection: the next message begins anew.
    outdated: bool,
    spare: Vec<Snapshot>,
    decoder: Decoder,
    /// Scratch memory: the zones in a message.
    fresh: Vec<(ZoneId, Snapshot)>,
    left: Vec<ZoneId>,
    deferred: Vec<ZoneId>,
}

impl History {
    pub(super) fn new(delivery: Delivery) -> Self {
        Self {
            delivery,
            tick: None,
            zone_0: Contents::default(),
            zones: BTreeMap::new(),
            union: None,
            outdated: false,
            spare: Vec::new(),
            decoder: Decoder::default(),
            fresh: Vec::new(),
            left: Vec::new(),
            deferred: Vec::new(),
        }
    }

    /// The next states come over another connection, whose server does not know what this end has.
    pub(super) fn reconnected(&mut self, delivery: Delivery) {
        self.delivery = delivery;
        self.outdated = true;
    }

    /// Tick of the newest state.
    pub(super) fn tick(&self) -> Option<u32> {
        self.tick
    }

    /// The newest state: all zones that the player sees.
    pub(super) fn current(&self) -> Option<&Snapshot> {
        match &self.union {
            Some(union) => Some(union.current()),
            None => self.zone_0.newest(),
        }
    }

    /// The state before it.
    pub(super) fn previous(&self) -> Option<&Snapshot> {
        match &self.union {
            Some(union) => union.previous(),
            None => self.zone_0.previous(),
        }
    }

    /// The zones other than zone 0, with their newest contents and the ticks until which these are known.
    pub(super) fn zones(&self) -> impl Iterator<Item = (ZoneId, &Snapshot, u32)> {
        self.zones
            .iter()
            .filter_map(|(zone, contents)| Some((*zone, contents.newest()?, contents.known_until()?)))
    }

    /// The newest content of a zone.
    pub(super) fn content(&self, zone: ZoneId) -> Option<&Snapshot> {
        match zone {
            0 => self.zone_0.newest(),
            zone => self.zones.get(&zone)?.newest(),
        }
    }

    /// Whether an entity is shown as of an earlier tick than that of the newest state.
    pub(super) fn is_late(&self, kind: usize, id: u32) -> bool {
        let has = |state: &Snapshot| state.tables().get(kind).is_some_and(|table| table.row(id).is_some());
        let zones = std::iter::once(&self.zone_0).chain(self.zones.values());
        let seen = zones.filter(|contents| contents.newest().is_some_and(has)).map(Contents::known_until);
        self.union.is_some() && seen.max().flatten() != self.tick && self.current().is_some_and(has)
    }

    /// Forgets all states: those of another room may have another schema.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.delivery);
    }

    /// Applies a message. On error nothing changes. A state with the tick of the newest one adds to it.
    pub(super) fn apply(
        &mut self,
        schema: &Schema,
        head: StateHead,
        shared: &[u8],
        predict_for: u32,
    ) -> Result<(), ServerError> {
        let parts = Parts::split(shared)?;
        let zone_0 = match head.apart {
            true => None,
            false => Some(self.read_zone_0(schema, head, parts.zone_0)?),
        };
        let is_plain = parts.is_plain() && !head.apart && (self.zones.is_empty() || self.outdated);
        if !is_plain && let Err(error) = self.read_zones(schema, head, &parts) {
            self.spare.extend(zone_0);
            self.spare.extend(self.fresh.drain(..).map(|(_, content)| content));
            self.left.clear();
            self.deferred.clear();
            return Err(error);
        }
        self.tick = Some(head.tick);
        if let Some(content) = zone_0 {
            if let Some(union) = &mut self.union {
                union.changed(0, self.zone_0.newest(), &content);
            }
            self.zone_0.push(content, self.delivery, &mut self.spare);
        }
        let outdated = std::mem::take(&mut self.outdated);
        if is_plain && self.union.is_none() {
            return Ok(());
        }
        let union = self.union.get_or_insert_with(|| Box::new(Union::new(schema)));
        if outdated {
            self.zones.clear();
            union.clear_moving();
        }
        for zone in self.left.drain(..) {
            self.zones.remove(&zone);
            union.left(zone);
        }
        for (zone, content) in self.fresh.drain(..) {
            let contents = self.zones.entry(zone).or_default();
            union.changed(zone, contents.newest(), &content);
            contents.push(content, self.delivery, &mut self.spare);
        }
        for (zone, contents) in &mut self.zones {
            if self.deferred.binary_search(zone).is_err() {
                contents.unchanged(head.tick);
            }
        }
        let awaits = self.deferred.iter().any(|zone| !self.zones.contains_key(zone));
        self.deferred.clear();
        let Self { decoder, zone_0, zones, .. } = self;
        let present = Present { tick: head.tick, predict_for, awaits };
        union.update(schema, decoder, present, zone_0, zones);
        Ok(())
    }

    fn read_zone_0(
        &mut self,
        schema: &Schema,
        head: StateHead,
        body: &[u8],
    ) -> Result<Snapshot, ServerError> {
        let Self { zone_0, decoder, spare, .. } = self;
        read(schema, decoder, Some(zone_0), head.tick, (head.baseline, head.prior), body, spare)
    }

    /// Reads the zones into `fresh`, `left` and `deferred`.
    fn read_zones(&mut self, schema: &Schema, head: StateHead, parts: &Parts<'_>) -> Result<(), ServerError> {
        let Self { zones, decoder, spare, fresh, left, deferred, outdated, .. } = self;
        parts.left(left)?;
        parts.deferred(deferred)?;
        parts.zones(head.tick, (head.baseline, head.prior), |part| {
            let ZonePart { zone, baseline, prior, body } = part;
            if fresh.len() == MAX_ZONES_IN_VIEW {
                return Err(ServerError::TooManyZones(fresh.len() + 1));
            }
            let contents = zones.get(&zone).filter(|_| !*outdated);
            let content = read(schema, decoder, contents, head.tick, (baseline, prior), body, spare)?;
            fresh.push((zone, content));
            Ok::<_, ServerError>(())
        })?;
        let held = if *outdated { 0 } else { zones.len() };
        let new = fresh.iter().filter(|(zone, _)| *outdated || !zones.contains_key(zone)).count();
        let gone = left.iter().filter(|zone| !*outdated && zones.contains_key(zone)).count();
        if held + new - gone > MAX_ZONES_IN_VIEW {
            return Err(ServerError::TooManyZones(held + new - gone));
        }
        if fresh.iter().any(|(zone, _)| left.binary_search(zone).is_ok()) {
            return Err(ServerError::Unexpected("zone that has left and has not"));
        }
        Ok(())
    }
}

/// Applies a zone's delta.
fn read(
    schema: &Schema,
    decoder: &mut Decoder,
    contents: Option<&Contents>,
    tick: u32,
    ticks: Ticks,
    body: &[u8],
    spare: &mut Vec<Snapshot>,
) -> Result<Snapshot, ServerError> {
    let find = |reference: Option<u32>| match reference {
        None => Ok(None),
        Some(reference) => match contents.and_then(|contents| contents.at(reference)) {
            Some(state) => Ok(Some(state)),
            None => Err(ServerError::UnknownBaseline { tick, reference }),
        },
    };
    let references = References { baseline: find(ticks.0)?, prior: find(ticks.1)? };
    let mut state = spare.pop().unwrap_or_else(|| Snapshot::new(schema));
    match decoder.apply_at(schema, references, ticks, tick, body, &mut state) {
        Ok(()) => Ok(state),
        Err(error) => {
            spare.push(state);
            Err(error.into())
        }
    }
}
