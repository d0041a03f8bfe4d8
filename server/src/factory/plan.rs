//! What a room is to be, checked against kinds and limits, and its share of what the server has.

use super::{Factory, FactoryError, RoomSpec, spec, ticks::Ticks};
use crate::{
    ground::{
        durability::Durability,
        id::RoomId,
        made_with::{MadeWith, Maker},
        members::Members,
        shared::RoomShared,
        shares::Share,
        sight::Spectating,
        trace::TraceParent,
    },
    nodes::{Grant, Hold, Unavailable},
    registry::Listed,
};
use driftless_proto::limits::{MAX_PLAYERS, MAX_SPECTATORS};
use driftless_sim::{Setup, TICK_RATES, game::GameKind};
use std::{ops::RangeInclusive, sync::Arc, time::Duration};

/// A room's share of the server's totals. Given back when it is dropped.
pub(super) struct Budget {
    _ticks: Ticks,
    /// The permit of the source whose join made it.
    _share: Option<Share>,
    /// It is this node's.
    pub hold: Option<Hold>,
}

/// What a room is to be.
pub(super) struct Plan {
    pub id: RoomId,
    pub name: Arc<str>,
    pub kind: GameKind,
    pub made_with: MadeWith,
    pub members: Members,
    pub spectating: Spectating,
    /// Its name is this node's.
    pub hold: Option<Hold>,
    pub provenance: Provenance,
}

/// Where a room comes from, which decides whether it has its share of the server already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provenance {
    /// It is made: by somebody who may make one more, on a server that has enough for it.
    New,
    /// It comes from another node, where its maker was allowed to make it. There must be enough for it here.
    Arrives,
    /// It has its share within limits that may have been others, and keeps it whatever they are now.
    GoesOn,
}

/// A room that has not started yet.
pub(super) struct Made {
    pub shared: Arc<RoomShared>,
    pub kind: GameKind,
    pub made_with: Arc<MadeWith>,
    pub budget: Budget,
    pub trace: Option<TraceParent>,
}

impl Factory {
    /// A room that has not started yet, checked against kinds and limits.
    pub(super) fn make(
        &self,
        id: RoomId,
        name: Arc<str>,
        spec: &RoomSpec,
        maker: Maker,
        hold: Option<Hold>,
    ) -> Result<Made, FactoryError> {
        let kind = self.kind(spec.kind.as_deref().unwrap_or(&self.default_kind))?;
        let setup = Setup {
            seed: spec.seed.unwrap_or_else(|| random_seed(id)),
            tick_rate: spec.tick_rate.unwrap_or(self.config.tick_rate),
            max_players: spec.max_players.unwrap_or(self.config.max_players),
            options: spec.options.clone(),
        };
        if let Some(why) = self.waiting.lock().get(&*name) {
            return Err(FactoryError::Waits { room: name.to_string(), why: why.clone() });
        }
        let durability = spec.durability.unwrap_or_else(|| self.config.durability.of(kind.name()));
        if durability != Durability::None && !self.keeps() {
            return Err(FactoryError::NoStore);
        }
        spec::check_info(&spec.info)?;
        let spectating = self.spectating(&kind, spec)?;
        let (members, provenance) = (Members::default(), Provenance::New);
        let made_with = MadeWith { setup, maker, durability };
        let plan = Plan { id, name, kind, made_with, members, spectating, hold, provenance };
        let made = self.admit(plan)?;
        spec.info.iter().for_each(|(key, value)| made.shared.notice.set_info(key.clone(), value.clone()));
        Ok(Made { trace: spec.trace, ..made })
    }

    /// Whom a room lets watch, as its maker, its game or the configuration says.
    fn spectating(&self, kind: &GameKind, spec: &RoomSpec) -> Result<Spectating, FactoryError> {
        let configured = u32::try_from(self.config.spectate_delay.as_millis()).unwrap_or(u32::MAX);
        let default = kind.spectate_delay_ms().unwrap_or(configured).min(Spectating::MAX_DELAY_MS);
        // What is kept for a delay takes memory.
        let longest = if self.config.open_rooms { default } else { Spectating::MAX_DELAY_MS };
        let delay_ms = spec.spectate_delay_ms.unwrap_or(default);
        let delay_ms = in_range("spectate_delay_ms", delay_ms, 0..=Spectating::MAX_DELAY_MS)?;
        if delay_ms > longest {
            return Err(FactoryError::DelayTooLong { asked: delay_ms, most: longest });
        }
        Ok(Spectating {
            delay_ms,
            max: in_range(
                "max_spectators",
                spec.max_spectators.unwrap_or(self.config.max_spectators),
                0..=MAX_SPECTATORS,
            )?,
        })
    }

    pub(super) fn kind(&self, name: &str) -> Result<GameKind, FactoryError> {
        self.kinds.get(name).cloned().ok_or_else(|| FactoryError::UnknownKind(name.to_owned()))
    }

    /// Takes a room's share of what the server has.
    pub(super) fn admit(&self, plan: Plan) -> Result<Made, FactoryError> {
        let Plan { id, name, kind, made_with, members, spectating, hold, provenance } = plan;
        let MadeWith { setup, maker, .. } = &made_with;
        if self.registry.is_draining() {
            return Err(FactoryError::Draining);
        }
        if self.services.nodes.is_some() && hold.is_none() {
            let why = "this node does not hold its name".to_owned();
            return Err(FactoryError::Unavailable(Unavailable { why, wait: Duration::ZERO }));
        }
        if provenance != Provenance::GoesOn && self.registry.len() >= self.config.max_rooms {
            return Err(FactoryError::TooManyRooms(self.config.max_rooms));
        }
        let tick_rate = in_range("tick_rate", setup.tick_rate, TICK_RATES)?;
        let max_players = in_range("max_players", setup.max_players, 1..=MAX_PLAYERS)?;
        let shared = RoomShared::new(id, name, kind.name(), tick_rate, max_players);
        let owned = hold.as_ref().map(|hold| hold.owned().clone());
        let shared = Arc::new(RoomShared { members: Arc::new(members), spectating, owned, ..shared });
        let by_join = matches!(maker, Maker::Joiner(_));
        let share = match (*maker, provenance) {
            (Maker::Operator, _) => None,
            (Maker::Joiner(source), Provenance::New) => {
                Some(self.by_source.take(source).ok_or_else(|| FactoryError::TooManyRoomsOfAddress {
                    of: source,
                    max: self.by_source.max(),
                })?)
            }
            (Maker::Joiner(source), _) => Some(self.by_source.go_on(source)),
        };
        let ticks = match provenance {
            Provenance::GoesOn => self.ticks.go_on(tick_rate, by_join),
            Provenance::New | Provenance::Arrives => {
                self.ticks.take(tick_rate, by_join).ok_or_else(|| {
                    let max = if by_join { self.ticks.max_of_joins() } else { self.ticks.max() };
                    FactoryError::TooManyTicks(max)
                })?
            }
        };
        let budget = Budget { _ticks: ticks, _share: share, hold };
        Ok(Made { shared, kind, made_with: made_with.into(), budget, trace: None })
    }
}

/// By which a room is this node's, where it could be another's.
pub(crate) fn grant_of(listed: &Listed) -> Option<Grant> {
    listed.budget.downcast_ref::<Budget>()?.hold.as_ref().map(|hold| hold.grant().clone())
}

fn in_range(key: &'static str, value: u32, range: RangeInclusive<u32>) -> Result<u32, FactoryError> {
    if range.contains(&value) {
        Ok(value)
    } else {
        let (min, max) = range.into_inner();
        Err(FactoryError::OutOfRange { key, value: value.into(), min: min.into(), max: max.into() })
    }
}

/// A seed that nobody can guess; or if the system has no random bytes, one that is at least different for
/// each room.
fn random_seed(id: RoomId) -> u64 {
    getrandom::u64().unwrap_or(id.0)
}
