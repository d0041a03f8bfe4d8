//! Who is here.

mod users;

pub(super) use users::{__path_find_user, __path_find_users, find_user, find_users};

use super::{ApiError, HttpState, access::Operator, page::Limit};
use crate::presence::{Query, view::PresenceView};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PresenceParams {
    room: Option<String>,
    after: Option<String>,
    limit: Option<Limit>,
}

/// Presence of one room (`?room=NAME`) or of all rooms, with a page of the members. Where nobody may play
/// without a token, only operators are told who is here.
#[utoipa::path(get, path = "/v1/presence", tag = "rooms", params(
    ("room" = Option<String>, Query, description = "Only this room"),
    ("after" = Option<String>, Query, description = "Begin after this member: the `next` of the page before"),
    ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "Most members, at most 1,000; default: 100"),
), responses((status = 200, description = "Who is here", body = PresenceView)))]
pub(super) async fn presence(
    request: HttpRequest,
    asked: web::Query<PresenceParams>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    if !state.config.takes_guests() {
        Operator::extract(&request).await?;
    }
    let PresenceParams { room, after, limit } = asked.into_inner();
    let Limit(limit) = limit.unwrap_or_default();
    let query = Query { room: room.map(Into::into), after: after.as_deref().map(Into::into), limit };
    let view = state.presence.send(query).await.map_err(|_| ApiError::unavailable("presence"))?;
    Ok(HttpResponse::Ok().json(view))
}
