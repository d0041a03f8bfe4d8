//! Inspection of a room, for operators. The room hands out data that it shares anyway; the caller turns it
//! into text.

use super::{npcs::Npc, seats::Taken};
use crate::ground::{published::Published, shared::RoomShared};
use actix::Message;
use driftless_proto::schema::Schema;
use driftless_sim::PlayerId;
use std::sync::Arc;

/// Asks a room what is in it.
#[derive(Debug, Message)]
#[rtype(result = "Inspected")]
pub struct Inspect;

/// What is in a room.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The room.
    pub room: Arc<RoomShared>,
    /// Schema of its state.
    pub schema: Arc<Schema>,
    /// Its newest state. None: it has not ticked yet.
    pub state: Option<Arc<Published>>,
    /// The seats.
    pub seats: Vec<SeatView>,
}

/// A seat.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct SeatView {
    /// The player's number.
    #[schema(value_type = u32)]
    pub player: PlayerId,
    /// The user.
    pub user: Arc<str>,
    /// Display name.
    pub name: Arc<str>,
    /// Whether the game plays it.
    pub npc: bool,
    /// Whether there is a connection. (An NPC has none.)
    pub connected: bool,
    /// Round-trip time, microseconds. None: not measured yet.
    pub rtt_us: Option<u32>,
    /// Sequence of the last input that the game got.
    pub input: u32,
}

impl SeatView {
    pub(super) fn of(taken: &Taken) -> Self {
        let seat = &taken.seat;
        Self {
            player: seat.player,
            user: seat.user.clone(),
            name: seat.name.clone(),
            npc: false,
            connected: taken.connection.is_some(),
            rtt_us: seat.vitals.rtt(),
            input: taken.applied,
        }
    }

    pub(super) fn of_npc(npc: &Npc) -> Self {
        let Npc { player, user, name } = npc.clone();
        Self { player, user, name, npc: true, connected: false, rtt_us: None, input: 0 }
    }
}
