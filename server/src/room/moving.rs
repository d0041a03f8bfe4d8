//! A room on its way to another node: what its actor is told.

use super::{RoomAddr, actor::Room, address::Handled, core::Carried};
use crate::ground::report::LeaveReason;
use actix::{Context, Handler, Message};
use driftless_proto::wire;
use driftless_sim::PlayerId;
use std::{fmt, sync::Arc, time::Instant};
use tokio::sync::oneshot;

/// A room that stands still, and all of it.
#[derive(Debug)]
pub struct Frozen {
    /// All of it, after its last tick. Its players are connected.
    pub carried: Carried,
    /// When that tick was due.
    pub due: Instant,
    /// Those who watch it.
    pub spectators: u32,
    /// It goes on here when this is dropped.
    pub stands: Stands,
}

/// A room that stands still until this is dropped, whatever becomes of whoever has it: then it goes on where
/// it is.
pub struct Stands(Option<RoomAddr>);

impl Stands {
    pub(super) fn still(room: RoomAddr) -> Self {
        Self(Some(room))
    }

    /// From now on, only [`Thaw`] and [`Depart`] end it: another node may have the room.
    pub fn until_told(mut self) {
        self.0 = None;
    }
}

impl Drop for Stands {
    fn drop(&mut self) {
        if let Some(room) = &self.0 {
            room.do_send(Thaw);
        }
    }
}

impl fmt::Debug for Stands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stands")
    }
}

/// Why a room does not stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// It has ended, or is about to, or is on its way already.
    Busy,
    /// It has had no tick in time after which it could.
    Late,
}

/// The room stands still after its next tick. Then it waits for [`Thaw`] or [`Depart`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Freeze(pub oneshot::Sender<Result<Frozen, Goes>>);

/// The room goes on here after all.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Thaw;

/// A room that was another node's goes on here.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Begin;

/// The room goes on at another node, to which everybody is sent; or nobody knows where. The answer: whose
/// seats have ended since it stood still, of which the other node knows nothing.
#[derive(Debug, Message)]
#[rtype(result = "Vec<(PlayerId, LeaveReason)>")]
pub struct Depart(pub Option<Arc<wire::Moved>>);

impl Handler<Freeze> for Room {
    type Result = Handled<Freeze>;

    fn handle(&mut self, message: Freeze, ctx: &mut Context<Self>) -> Self::Result {
        self.handle(message, ctx, |shell, freeze| shell.freeze(freeze.0))
    }
}

impl Handler<Thaw> for Room {
    type Result = Handled<Thaw>;

    fn handle(&mut self, message: Thaw, ctx: &mut Context<Self>) -> Self::Result {
        self.handle(message, ctx, |shell, _| shell.thaw())
    }
}

impl Handler<Begin> for Room {
    type Result = Handled<Begin>;

    fn handle(&mut self, message: Begin, ctx: &mut Context<Self>) -> Self::Result {
        self.handle(message, ctx, |shell, _| shell.begin())
    }
}

impl Handler<Depart> for Room {
    type Result = Handled<Depart>;

    fn handle(&mut self, message: Depart, ctx: &mut Context<Self>) -> Self::Result {
        self.handle(message, ctx, |shell, depart| shell.depart(depart.0))
    }
}
