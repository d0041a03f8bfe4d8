//! A room that goes from this node to another, or comes from one.
//!
//! The one that goes stands still after a tick, with all its connections, until it is known whose it is. The
//! one that comes is ready meanwhile, and does not tick either. Once it may, it waits a moment for those who
//! were connected, so that nobody misses an event; and the game is not told that they were away, unless they
//! do not come soon.

use super::{Shell, clock};
use crate::{
    ground::{
        close::Close,
        report::{LeaveReason, LostReason, Report},
    },
    room::{
        core::{Carried, WaitingSeat},
        moving::{Frozen, Goes, Stands},
    },
};
use driftless_proto::{code::CloseCode, wire};
use driftless_sim::PlayerId;
use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tracing::info;

/// How long a room that has come waits for its players and spectators before it ticks.
const HOLD: Duration = Duration::from_millis(150);
/// How long a player may take to come before the game is told that it is away.
const GRACE: Duration = Duration::from_secs(2);
/// How long a room looks for a tick after which it can stand still.
const FREEZE_LIMIT: Duration = Duration::from_secs(1);
/// What players are told whose room is not this node's any more, if nobody knows whose it is.
const ADRIFT: &str = "the room is no longer this node's: come back, another may have it";

/// Where a room is on its way.
#[derive(Debug, Default)]
pub(super) enum Journey {
    /// It is none.
    #[default]
    Stays,
    /// It is to stand still after its next tick.
    Stops { since: Instant, tell: oneshot::Sender<Result<Frozen, Goes>> },
    /// It stands still. `left`: whose seats have ended since, of which the other node knows nothing.
    Frozen { left: Vec<(PlayerId, LeaveReason)> },
    /// It was made from what another node has frozen.
    Ready { since: Instant, spectators: u32 },
    /// It is this node's, and waits for its players and spectators.
    Waits { since: Instant, until: Instant, spectators: u32 },
    /// It ticks, and some of its players have yet to come.
    Begun { since: Instant },
}

impl Shell {
    /// Whether it is not known yet which node it goes on at.
    pub(in crate::room) fn is_on_its_way(&self) -> bool {
        matches!(self.journey, Journey::Frozen { .. } | Journey::Ready { .. })
    }

    /// It is to stand still after its next tick.
    pub(in crate::room) fn freeze(&mut self, tell: oneshot::Sender<Result<Frozen, Goes>>) {
        let stays = matches!(self.journey, Journey::Stays | Journey::Begun { .. });
        if self.ended || !stays || self.refused.is_some() || self.ending.is_some() || self.carry.is_some() {
            let _ = tell.send(Err(Goes::Busy));
            return;
        }
        self.journey = Journey::Stops { since: clock::now(), tell };
    }

    /// After a tick: stands still, if it is to.
    pub(super) fn stop_on_the_way(&mut self) {
        let Journey::Stops { .. } = self.journey else { return };
        // If it does not: players may have yet to come from another node.
        let begun = Journey::Begun { since: clock::now() };
        let Journey::Stops { since, tell } = mem::replace(&mut self.journey, begun) else { return };
        let goes = match since.elapsed() > FREEZE_LIMIT || tell.is_closed() {
            _ if self.ended || self.ending.is_some() => Some(Goes::Busy),
            true => Some(Goes::Late),
            false => None,
        };
        if let Some(goes) = goes {
            let _ = tell.send(Err(goes));
            return;
        }
        let Some(mut carried) = self.guarded(|core| core.checkpoint()).flatten() else {
            if !self.ended {
                self.journey = Journey::Stops { since, tell }; // the next tick may be one for it
            }
            return;
        };
        carried.still_told();
        let due = self.core.schedule().deadline(self.core.tick_number().into());
        let spectators = u32::try_from(self.core.spectators().len()).unwrap_or(u32::MAX);
        let stands = Stands::still(self.address.clone());
        if tell.send(Ok(Frozen { carried, due, spectators, stands })).is_ok() {
            self.journey = Journey::Frozen { left: Vec::new() };
        }
    }

    /// It goes on here after all.
    pub(in crate::room) fn thaw(&mut self) {
        if let Journey::Frozen { .. } = self.journey {
            self.journey = Journey::Begun { since: clock::now() };
        }
    }

    /// It was made from what another node has frozen, and is not this node's yet: nobody is told of it. Its
    /// ticks count on from this one.
    pub(crate) fn is_ready(
        &mut self,
        carried: Carried,
        seats: Vec<WaitingSeat>,
        tick: u32,
        since: Instant,
        spectators: u32,
    ) {
        self.take_up(carried, seats);
        self.core.count_on_from(tick);
        self.journey = Journey::Ready { since, spectators };
    }

    /// It is this node's.
    pub(in crate::room) fn begin(&mut self) {
        if let Journey::Ready { since, spectators } = self.journey {
            self.announce();
            self.journey = Journey::Waits { since, until: clock::now() + HOLD, spectators };
            // What the other node has written of it is of another epoch.
            self.write_checkpoint();
        }
    }

    /// Whether it does not tick now.
    pub(super) fn stands_still(&mut self, now: Instant) -> bool {
        match self.journey {
            Journey::Stays | Journey::Stops { .. } => false,
            Journey::Frozen { .. } | Journey::Ready { .. } => true,
            Journey::Waits { since, until, spectators } => {
                let all = self.core.absent() == 0 && self.core.spectators().len() >= spectators as usize;
                let waits = !all && now < until;
                if !waits {
                    self.journey = Journey::Begun { since };
                    let gap = now.saturating_duration_since(since);
                    self.settings.metrics.nodes.migration_gap.observe(gap);
                    let gap_ms = gap.as_millis() as u64;
                    self.span.in_scope(|| info!(gap_ms, all, "the room has come from another node"));
                }
                waits
            }
            Journey::Begun { since } => {
                if self.core.absent() == 0 || now.saturating_duration_since(since) >= GRACE {
                    self.settle_absent();
                    self.journey = Journey::Stays;
                }
                false
            }
        }
    }

    /// Those who have not come are away.
    pub(super) fn settle_absent(&mut self) {
        let absent = self.guarded(|core| core.settle_absent()).unwrap_or_default();
        let at = self.settings.clock.micros(clock::now());
        for player in absent {
            let (room, why) = (self.shared().name.clone(), LostReason::Disconnected);
            self.report(Report::Lost { room, player, why, at });
        }
    }

    /// A seat has ended: if it stands still, the other node has yet to end it.
    pub(super) fn left_on_the_way(&mut self, player: PlayerId, why: LeaveReason) {
        if let Journey::Frozen { left } = &mut self.journey {
            left.push((player, why));
        }
    }

    /// It goes on at another node, or nobody knows where. Nobody is told of an end: there is none. Returns
    /// whose seats have ended since it stood still.
    pub(in crate::room) fn depart(&mut self, to: Option<Arc<wire::Moved>>) -> Vec<(PlayerId, LeaveReason)> {
        let way = mem::take(&mut self.journey);
        match (to, &way) {
            (Some(to), _) => self.gone(&Close::moved(to), Some("moved")),
            // It has never been this node's.
            (None, Journey::Ready { .. }) => self.gone(&Close::new(CloseCode::NodeLost, ADRIFT), None),
            (None, _) => self.end(CloseCode::NodeLost, ADRIFT, "node_lost"),
        }
        if let Journey::Frozen { left } = way { left } else { Vec::new() }
    }

    /// `metric`: why it has ended, if it counts.
    fn gone(&mut self, close: &Close, metric: Option<&'static str>) {
        if mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(checkpoints) = self.checkpoints.take() {
            checkpoints.left();
        }
        self.settings.metrics.nodes.moved.inc_by(self.fanouts.len() as u64);
        self.settings.metrics.rooms.spectators.dec_by(self.core.spectators().len() as i64);
        if let Some(link) = self.record.take() {
            link.end(super::EndReason::RoomEnded, self.core.end_record());
        }
        let (room, id) = (self.shared().name.clone(), self.shared().id);
        self.report(Report::RoomMoved { room, id });
        if let Some(listing) = self.settings.listing.upgrade() {
            self.delist(&*listing, metric);
        }
        self.fanouts.close_all(close);
        self.address.do_send(super::Ended);
        self.address.end();
    }
}
