//! Operators' actions: drain the server, close a room, remove a player.

use super::{ApiError, HttpState, access::Operator, rooms};
use crate::{
    ground::drain::Step,
    room::{CloseRoom, Kick},
};
use actix_web::{HttpResponse, web};
use driftless_proto::code::CloseCode;
use serde::Serialize;
use std::time::Instant;
use tracing::info;
use utoipa::ToSchema;

/// The reason given to a removed player.
const KICKED: &str = "an operator removed the player";

/// How far the server is with its end.
#[derive(Serialize, ToSchema)]
#[schema(as = Drain)]
struct Drained {
    step: Step,
    /// The longest time that the step still takes, milliseconds. None: the server serves.
    left_ms: Option<u64>,
    rooms: usize,
    /// Seats that are taken.
    players: i64,
    /// Connections that are open.
    connections: usize,
}

/// Like SIGTERM: lets matches end, if so configured, refuses newcomers, says goodbye to everybody (close code
/// 4000), and ends the process when they are gone.
#[utoipa::path(post, path = "/v1/drain", tag = "operators", security(("operator" = [])),
    responses((status = 202, description = "It begins", body = Drained)))]
pub(super) async fn drain(_: Operator, state: web::Data<HttpState>) -> Result<HttpResponse, ApiError> {
    state.may_change()?;
    info!("an operator requested a drain");
    // So that the answer is true already. (The server goes on to the next step by itself.)
    let drain = state.registry.drain_state();
    if drain.step() == Step::Serving {
        let moves = state.mover.is_some() && !state.config.drain_in_place;
        let step = if moves { Step::Moving } else { Step::Matches };
        drain.take(step, Instant::now() + state.config.drain_wait);
    }
    state.drain.notify_one();
    Ok(HttpResponse::Accepted().json(drained(&state)))
}

/// How far a drain is.
#[utoipa::path(get, path = "/v1/drain", tag = "operators", security(("operator" = [])),
    responses((status = 200, description = "How far it is", body = Drained)))]
pub(super) async fn drain_state(_: Operator, state: web::Data<HttpState>) -> HttpResponse {
    HttpResponse::Ok().json(drained(&state))
}

fn drained(state: &HttpState) -> Drained {
    let drain = state.registry.drain_state();
    Drained {
        step: drain.step(),
        left_ms: drain.left(Instant::now()).map(|left| left.as_millis() as u64),
        rooms: state.registry.len(),
        players: state.metrics.rooms.players.get(),
        connections: state.door.connections(),
    }
}

/// Ends a room; its players get close code 4004.
#[utoipa::path(delete, path = "/v1/rooms/{name}", tag = "operators", security(("operator" = [])),
    params(("name" = String, Path, description = "The room")),
    responses((status = 204, description = "It has ended")))]
pub(super) async fn close_room(
    _: Operator,
    name: web::Path<String>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let listed = rooms::find(&state, &name).await?;
    state.may_change()?;
    info!(room = %name, "an operator closed the room");
    listed.room.send(CloseRoom).await.map_err(|_| ApiError::no_such_room(&name))?;
    Ok(HttpResponse::NoContent().finish())
}

/// Removes a player, with close code 4510. The seat is not kept.
#[utoipa::path(delete, path = "/v1/rooms/{name}/players/{player}", tag = "operators",
    operation_id = "remove_player", security(("operator" = [])),
    params(("name" = String, Path, description = "The room"), ("player" = u32, Path, description = "The player's number")),
    responses((status = 204, description = "The player is gone")))]
pub(super) async fn kick(
    _: Operator,
    path: web::Path<(String, String)>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let (name, player) = path.into_inner();
    let listed = rooms::find(&state, &name).await?;
    let number = player.parse().map_err(|_| ApiError::no_such_player(&name, &player))?;
    state.may_change()?;
    let kick = Kick { player: number, code: CloseCode::Kicked, reason: KICKED.to_owned() };
    if !listed.room.send(kick).await.map_err(|_| ApiError::no_such_room(&name))? {
        return Err(ApiError::no_such_player(&name, &player));
    }
    info!(room = %name, player, "an operator removed a player");
    Ok(HttpResponse::NoContent().finish())
}
