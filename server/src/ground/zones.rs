//! The zones of a published tick: when each last changed, its encoded deltas, and who sees which.

use super::{
    published::{Encodings, Watched},
    sight::Sight,
};
use driftless_proto::{
    delta::MAX_AGE, limits::MAX_ZONES_IN_VIEW, schema::Schema, session::server::ZoneContent,
    snapshot::Snapshot, view::InView,
};
use driftless_sim::{PlayerId, ZoneId, view::DEFAULT_PRIORITY};

/// The zones, other than zone 0, of a room's state at one tick.
#[derive(Debug)]
pub struct Zones {
    /// Those that are not empty, or have become so lately: ascending.
    all: Vec<Zone>,
    /// Memory to reuse.
    spare: Vec<Zone>,
    views: Views,
    /// The content of an empty zone.
    nothing: Snapshot,
}

/// One zone.
#[derive(Debug)]
pub(super) struct Zone {
    zone: ZoneId,
    content: ZoneContent,
    pub(super) checksum: Option<u32>,
    pub(super) encoded: Encodings,
}

/// Who sees which zones.
#[derive(Debug, Default)]
struct Views {
    /// For each seat index: its player, and where its zones are in `zones`.
    seats: Vec<(PlayerId, u32, u32)>,
    zones: Vec<InView>,
    /// What spectators see, if there are any.
    spectators: Vec<InView>,
    /// Everything, if there are admins.
    everything: Vec<InView>,
    /// Scratch memory.
    one: Vec<InView>,
}

impl Zones {
    pub(super) fn new(schema: &Schema) -> Self {
        Self { all: Vec::new(), spare: Vec::new(), views: Views::default(), nothing: Snapshot::new(schema) }
    }

    /// Makes these the zones of `state`. `before` is the tick before, with its zones.
    pub(super) fn fill(
        &mut self,
        state: &Snapshot,
        before: Option<(&Snapshot, &Zones)>,
        with_checksum: bool,
    ) {
        let tick = state.tick();
        self.nothing.clear(tick);
        std::mem::swap(&mut self.all, &mut self.spare);
        let Self { all, spare, .. } = self;
        all.clear();
        let mut add = |zone, content, checksum| {
            let mut encoded = spare.pop().map(|zone| zone.encoded).unwrap_or_default();
            encoded.clear();
            all.push(Zone { zone, content, checksum, encoded });
        };
        let mut earlier = before.map_or(&[][..], |(_, zones)| &zones.all).iter().peekable();
        let vanished = |zone: &Zone| {
            let changed = if zone.content.is_empty { zone.content.changed } else { tick };
            ZoneContent { changed, is_empty: true }
        };
        let lately = |content: &ZoneContent| tick.saturating_sub(content.changed) <= MAX_AGE;
        for (zone, content) in state.zones() {
            while let Some(gone) = earlier.next_if(|earlier| earlier.zone < zone) {
                let content = vanished(gone);
                if lately(&content) {
                    add(gone.zone, content, None);
                }
            }
            let was = earlier.next_if(|earlier| earlier.zone == zone).filter(|was| !was.content.is_empty);
            let same = was.filter(|_| {
                let had = before.and_then(|(state, _)| state.content(zone));
                had.is_some_and(|had| had.has_content_of(content))
            });
            let changed = same.map_or(tick, |same| same.content.changed);
            let checksum = with_checksum.then(|| content.checksum());
            add(zone, ZoneContent { changed, is_empty: false }, checksum);
        }
        for gone in earlier {
            let content = vanished(gone);
            if lately(&content) {
                add(gone.zone, content, None);
            }
        }
    }

    /// Asks what the players in these seats see (none: the seat is free, or its player away). `see` writes it
    /// to its last argument, and is given what the player saw the tick `before`.
    pub(super) fn look(
        &mut self,
        seats: impl Iterator<Item = Option<PlayerId>>,
        before: Option<&Zones>,
        mut see: impl FnMut(PlayerId, &[InView], &mut Vec<InView>),
    ) {
        let Views { seats: all, zones, one, .. } = &mut self.views;
        all.clear();
        zones.clear();
        for (index, player) in seats.enumerate() {
            let start = zones.len() as u32;
            if let Some(player) = player {
                see(player, before.map_or(&[], |before| before.view(index, player)), one);
                zones.extend_from_slice(one);
            }
            all.push((player.unwrap_or_default(), start, zones.len() as u32));
        }
    }

    /// Asks what spectators see, if there may be any; and notes everything, if there are admins. `see` is
    /// given what spectators saw the tick `before`.
    pub(super) fn look_on(
        &mut self,
        watched: Watched,
        before: Option<&Zones>,
        see: impl FnOnce(&[InView], &mut Vec<InView>),
    ) {
        let Views { spectators, everything, .. } = &mut self.views;
        spectators.clear();
        if watched.by_spectators {
            see(before.map_or(&[], |before| before.shown(Sight::Spectator)), spectators);
        }
        everything.clear();
        if watched.by_admins {
            let there = self.all.iter().filter(|zone| !zone.content.is_empty).take(MAX_ZONES_IN_VIEW);
            everything.extend(there.map(|zone| InView { zone: zone.zone, priority: DEFAULT_PRIORITY }));
        }
    }

    /// What those who watch see.
    pub fn shown(&self, sight: Sight) -> &[InView] {
        match sight {
            Sight::Player => &[],
            Sight::Spectator => &self.views.spectators,
            Sight::Everything => &self.views.everything,
        }
    }

    /// What a player sees, whose seat has this index.
    pub fn view(&self, index: usize, player: PlayerId) -> &[InView] {
        match self.views.seats.get(index) {
            Some(&(at, start, end)) if at == player => &self.views.zones[start as usize..end as usize],
            _ => &[],
        }
    }

    /// What a player sees, whatever its seat. None: it has no connection.
    pub fn view_of(&self, player: PlayerId) -> Option<&[InView]> {
        let index = self.views.seats.iter().position(|(of, ..)| *of == player)?;
        Some(self.view(index, player))
    }

    /// What became of a zone's content.
    pub fn content(&self, zone: ZoneId) -> ZoneContent {
        self.find(zone).map_or(ZoneContent { changed: 0, is_empty: true }, |found| found.content)
    }

    pub(super) fn find(&self, zone: ZoneId) -> Option<&Zone> {
        let at = self.all.binary_search_by_key(&zone, |zone| zone.zone).ok()?;
        Some(&self.all[at])
    }

    /// The content of an empty zone.
    pub(super) fn nothing(&self) -> &Snapshot {
        &self.nothing
    }

    /// Drops the encoded deltas. Returns how many there were of the zone that had the most.
    pub(super) fn retire(&self) -> usize {
        self.all.iter().map(|zone| zone.encoded.retire()).max().unwrap_or(0)
    }
}
