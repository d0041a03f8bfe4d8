//! Operators' actions: drain the server, close a room, remove a player.

use super::{ApiError, HttpState, access::Operator};
use crate::room::{CloseRoom, Kick};
use actix_web::{HttpResponse, web};
use serde_json::json;
use tracing::info;

/// The reason given to a removed player.
const KICKED: &str = "an operator removed the player";

/// Like SIGTERM: refuses newcomers, says goodbye to everybody (close code 4000), and ends the process when
/// they are gone.
pub(super) async fn drain(_: Operator, state: web::Data<HttpState>) -> HttpResponse {
    info!("an operator requested a drain");
    state.drain.notify_one();
    HttpResponse::Accepted().json(json!({ "status": "draining" }))
}

/// Ends a room; its players get close code 4004.
pub(super) async fn close_room(
    _: Operator,
    name: web::Path<String>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let listed = state.registry.get(&name).ok_or_else(|| ApiError::no_such_room(&name))?;
    info!(room = %name, "an operator closed the room");
    listed.room.send(CloseRoom).await.map_err(|_| ApiError::no_such_room(&name))?;
    Ok(HttpResponse::NoContent().finish())
}

/// Removes a player, with close code 4510. The seat is not kept.
pub(super) async fn kick(
    _: Operator,
    path: web::Path<(String, String)>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let (name, player) = path.into_inner();
    let listed = state.registry.get(&name).ok_or_else(|| ApiError::no_such_room(&name))?;
    let number = player.parse().map_err(|_| ApiError::no_such_player(&name, &player))?;
    let kick = Kick { player: number, reason: KICKED.to_owned() };
    if !listed.room.send(kick).await.map_err(|_| ApiError::no_such_room(&name))? {
        return Err(ApiError::no_such_player(&name, &player));
    }
    info!(room = %name, player, "an operator removed a player");
    Ok(HttpResponse::NoContent().finish())
}
