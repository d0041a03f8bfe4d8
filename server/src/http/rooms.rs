//! Listing, showing and making rooms.

use super::{ApiError, HttpState, access::Operator, body::Object, matching::Viewer, page::Limit};
use crate::{
    factory::{FactoryError, RoomSpec},
    ground::shared::RoomShared,
    registry::{Listed, RoomSummary},
};
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, http::header, web};
use driftless_proto::names::is_room_name;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use utoipa::ToSchema;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoomsParams {
    after: Option<String>,
    limit: Option<Limit>,
    /// Read where it is found out who asks.
    #[serde(rename = "token")]
    _token: Option<IgnoredAny>,
}

/// A page of rooms, by name.
#[derive(Serialize, ToSchema)]
struct RoomList {
    rooms: Vec<RoomSummary>,
    /// The `after` of the next page (`?after=`). None: there are no more.
    next: Option<String>,
}

/// A page of the rooms, by name, for whoever may come in (with a token, where guests may not): of those that
/// the token allows, without private ones. For operators, of all.
#[utoipa::path(get, path = "/v1/rooms", tag = "rooms", operation_id = "list_rooms", params(
    ("after" = Option<String>, Query, description = "Begin after this name: the `next` of the page before"),
    ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "Most rooms, at most 1,000; default: 100"),
), security((), ("player" = []), ("operator" = [])),
    responses((status = 200, description = "Rooms", body = RoomList)))]
pub(super) async fn list(
    request: HttpRequest,
    asked: web::Query<RoomsParams>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let viewer = Viewer::of(&state, &request).await?;
    let Limit(limit) = asked.limit.unwrap_or_default();
    let shown = |room: &RoomShared| viewer.may_list(room);
    let (rooms, more) = state.registry.page(asked.after.as_deref(), limit, shown);
    let next = rooms.last().filter(|_| more).map(|room| room.name.clone());
    Ok(HttpResponse::Ok().json(RoomList { rooms, next }))
}

/// One room, for whoever may see the list. A private one is shown to those who know its name.
#[utoipa::path(get, path = "/v1/rooms/{name}", tag = "rooms", operation_id = "show_room",
    params(("name" = String, Path, description = "The room")),
    security((), ("player" = []), ("operator" = [])),
    responses((status = 200, description = "The room", body = RoomSummary)))]
pub(super) async fn show(
    request: HttpRequest,
    name: web::Path<String>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    Viewer::of(&state, &request).await?.check_name(&name)?;
    let room = find(&state, &name).await?;
    Ok(HttpResponse::Ok().json(RoomSummary::of(&room.shared)))
}

/// The room with this name. If it is on another node, the error says where.
pub(super) async fn find(state: &HttpState, name: &str) -> Result<Listed, ApiError> {
    if let Some(listed) = state.registry.get(name) {
        return Ok(listed);
    }
    let Some(nodes) = state.nodes.as_ref().filter(|_| is_room_name(name)) else {
        return Err(ApiError::no_such_room(name));
    };
    Err(match nodes.find(name).await {
        Ok(Some(node)) => FactoryError::Elsewhere(Box::new(node)).into(),
        Ok(None) => ApiError::no_such_room(name),
        Err(unavailable) => FactoryError::Unavailable(unavailable).into(),
    })
}

/// Makes a room, for operators or for everybody. The body must be declared as JSON, which a foreign web page
/// cannot do without a preflight (CORS).
#[utoipa::path(post, path = "/v1/rooms", tag = "rooms", operation_id = "make_room", request_body = RoomSpec,
    security((), ("operator" = [])),
    responses((status = 201, description = "It is made", body = RoomSummary,
        headers(("location" = String, description = "Where it is")))))]
pub(super) async fn create(
    request: HttpRequest,
    body: web::Payload,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, actix_web::Error> {
    let mut body = body.into_inner();
    if !state.open_rooms {
        Operator::from_request(&request, &mut body).await?;
    }
    let web::Json(Object(spec)) = web::Json::<Object<RoomSpec>>::from_request(&request, &mut body).await?;
    let room = state.factory.create(spec).await.map_err(ApiError::from)?;
    let location = format!("/v1/rooms/{}", room.name);
    Ok(HttpResponse::Created().insert_header((header::LOCATION, location)).json(room))
}
