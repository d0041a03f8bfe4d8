//! Rooms that go to other nodes.

use super::{ApiError, HttpState, access::Operator, body::optional, nodes::single_node};
use crate::moving::{Gone, MoveError};
use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{self, Bytes},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a room is to go.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MoveTo {
    /// The name of the node. Absent: the one that has least to do.
    node: Option<String>,
}

/// A room that has gone.
#[derive(Serialize, ToSchema)]
struct Moved {
    room: String,
    /// The name of its node.
    node: String,
    /// Where that takes WebSockets.
    url: String,
    /// From its last tick here until its players were told to go there, milliseconds. Its first tick there
    /// follows when they have come, or 150 ms later.
    stood_ms: u64,
}

/// Has a room go on at another node, with all who are in it.
#[utoipa::path(post, path = "/v1/rooms/{name}/move", tag = "operators", operation_id = "move_room",
    security(("operator" = [])), params(("name" = String, Path, description = "The room")),
    request_body(content = Option<MoveTo>, description = "Where to; may be left out"),
    responses((status = 200, description = "It is there", body = Moved)))]
pub(super) async fn move_room(
    _: Operator,
    name: web::Path<String>,
    body: Bytes,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let MoveTo { node } = optional(&body)?;
    let Some(mover) = &state.mover else {
        return Err(single_node());
    };
    let room = name.into_inner();
    let Gone { node, stood } = mover.give(&room, node).await.map_err(refused)?;
    let stood_ms = stood.as_millis() as u64;
    Ok(HttpResponse::Ok().json(Moved { room, node: node.name, url: node.url, stood_ms }))
}

fn refused(error: MoveError) -> ApiError {
    let status = match &error {
        MoveError::NoSuchRoom(_) => StatusCode::NOT_FOUND,
        MoveError::Lost(_) | MoveError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    };
    ApiError::new(status, error.name(), error.to_string())
}
