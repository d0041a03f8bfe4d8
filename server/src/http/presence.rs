//! Who is here.

use super::{ApiError, HttpState};
use crate::presence::Query;
use actix_web::{HttpResponse, web};
use serde::Deserialize;

/// Most members listed, and those listed when the request does not say. The presence actor makes the list, and does nothing else
/// meanwhile.
const MAX_LIMIT: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    room: Option<String>,
    limit: Option<usize>,
}

/// A picture of one room (`?room=NAME`) or of all.
pub(super) async fn presence(
    asked: web::Query<Asked>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let Asked { room, limit } = asked.into_inner();
    let limit = limit.unwrap_or(MAX_LIMIT).min(MAX_LIMIT);
    let query = Query { room: room.map(Into::into), limit };
    let view = state.presence.send(query).await.map_err(|_| ApiError::unavailable("presence"))?;
    Ok(HttpResponse::Ok().json(view))
}
