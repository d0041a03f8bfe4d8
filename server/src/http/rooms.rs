//! Rooms: list, show, make.

use super::{ApiError, HttpState};
use crate::{factory::RoomSpec, registry::RoomSummary};
use actix_web::{HttpResponse, http::header, web};
use serde::Serialize;

#[derive(Serialize)]
struct RoomList {
    rooms: Vec<RoomSummary>,
}

/// All rooms, by name.
pub(super) async fn list(state: web::Data<HttpState>) -> HttpResponse {
    HttpResponse::Ok().json(RoomList { rooms: state.registry.list() })
}

/// One room.
pub(super) async fn show(
    name: web::Path<String>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let room = state.registry.list().into_iter().find(|room| room.name == *name);
    room.map(|room| HttpResponse::Ok().json(room)).ok_or_else(|| ApiError::no_such_room(&name))
}

/// Makes a room. The body must be declared as JSON, which a foreign web page cannot do without asking first (CORS).
pub(super) async fn create(
    spec: web::Json<RoomSpec>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let room = state.factory.create(spec.into_inner())?;
    let location = format!("/v1/rooms/{}", room.name);
    Ok(HttpResponse::Created().insert_header((header::LOCATION, location)).json(room))
}
