//! The nodes, and what operators ask of them at whichever node they are.

use super::{ApiError, HttpState, access::Operator, body::optional};
use crate::nodes::{Busiest, Errand, Node, Overview, Unavailable};
use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{self, Bytes},
};
use driftless_proto::names::is_room_name;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Instant};
use tracing::info;
use utoipa::ToSchema;

/// All nodes that have a lease, as this one has seen them.
#[derive(Serialize, ToSchema)]
struct NodeList {
    /// Whether there can be others: the server was started with `--redis`.
    many: bool,
    /// How long a lease lasts if it is not renewed, milliseconds.
    lease_ms: u64,
    nodes: Vec<Seen>,
}

/// A node.
#[derive(Serialize, ToSchema)]
#[schema(as = NodeSeen)]
struct Seen {
    #[serde(flatten)]
    node: Node,
    /// How long ago it was seen to have a lease, milliseconds.
    seen_ms: u64,
    /// How long ago it had renewed its lease when it was seen, milliseconds. (It does so each fifth of
    /// `lease_ms`.)
    lease_age_ms: u64,
    /// Whether it is the one that answers.
    this: bool,
}

/// All nodes, with their load.
#[utoipa::path(get, path = "/v1/nodes", tag = "operators", operation_id = "list_nodes", security(("operator" = [])),
    responses((status = 200, description = "The nodes", body = NodeList)))]
pub(super) async fn nodes(_: Operator, state: web::Data<HttpState>) -> HttpResponse {
    let lease = state.config.lease;
    let seen = state.nodes.as_ref().map(|nodes| nodes.seen(Instant::now())).unwrap_or_default();
    let nodes = seen.into_iter().map(|(node, ago, left, this)| {
        let (seen_ms, age) = (ago.as_millis() as u64, lease.saturating_sub(left));
        Seen { node, seen_ms, lease_age_ms: age.as_millis() as u64, this }
    });
    let (many, lease_ms) = (state.nodes.is_some(), lease.as_millis() as u64);
    HttpResponse::Ok().json(NodeList { many, lease_ms, nodes: nodes.collect() })
}

/// The rooms of all nodes.
#[derive(Serialize, ToSchema)]
struct RoomsOfNodes {
    nodes: Vec<RoomsOfNode>,
}

/// The rooms of a node.
#[derive(Serialize, ToSchema)]
struct RoomsOfNode {
    /// The node.
    node: String,
    #[serde(flatten)]
    busiest: Busiest,
}

/// The rooms of each node with the most players, at most 50 of each. The first answer has none yet: nodes say
/// which rooms they have once a second, while somebody asks.
#[utoipa::path(get, path = "/v1/nodes/rooms", tag = "operators", operation_id = "list_rooms_of_nodes",
    security(("operator" = [])), responses((status = 200, description = "The rooms", body = RoomsOfNodes)))]
pub(super) async fn rooms(_: Operator, state: web::Data<HttpState>) -> Result<HttpResponse, ApiError> {
    let rooms = overview(&state)?.rooms().await.map_err(away)?;
    let nodes = rooms.into_iter().map(|(node, busiest)| RoomsOfNode { node, busiest }).collect();
    Ok(HttpResponse::Ok().json(RoomsOfNodes { nodes }))
}

/// Has a node drain, as POST /v1/drain does there.
#[utoipa::path(post, path = "/v1/nodes/{node}/drain", tag = "operators", operation_id = "drain_node",
    security(("operator" = [])), params(("node" = String, Path, description = "The name of the node")),
    responses((status = 202, description = "It is asked to: whether it does, GET /v1/nodes says")))]
pub(super) async fn drain(
    _: Operator,
    node: web::Path<String>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    ask(&state, &node, Errand::Drain).await
}

/// Which room is to go, and where to.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MoveFrom {
    /// The room.
    room: String,
    /// The name of the node that is to have it. Absent: the one that has least to do.
    to: Option<String>,
}

/// Has a node give a room to another one, as POST /v1/rooms/{name}/move does there.
#[utoipa::path(post, path = "/v1/nodes/{node}/move", tag = "operators", operation_id = "move_room_of_node",
    security(("operator" = [])), params(("node" = String, Path, description = "The name of the node that has the room")),
    request_body = MoveFrom,
    responses((status = 202, description = "It is asked to: whether it does, GET /v1/nodes/rooms says")))]
pub(super) async fn move_room(
    _: Operator,
    node: web::Path<String>,
    body: Bytes,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let MoveFrom { room, to } = optional(&body)?;
    if !is_room_name(&room) {
        return Err(ApiError::no_such_room(&room));
    }
    if let Some(to) = &to
        && !known(&state, to)
    {
        return Err(no_such_node(to));
    }
    ask(&state, &node, Errand::Move { room: room.as_str().into(), to }).await
}

async fn ask(state: &HttpState, node: &str, errand: Errand) -> Result<HttpResponse, ApiError> {
    let overview = overview(state)?;
    let Some(nodes) = &state.nodes else { return Err(single_node()) };
    info!(node, ?errand, "an operator asks a node");
    match overview.tell(nodes, node, errand).await.map_err(away)? {
        true => Ok(HttpResponse::Accepted().finish()),
        false => Err(no_such_node(node)),
    }
}

fn known(state: &HttpState, node: &str) -> bool {
    let seen = state.nodes.as_ref().map(|nodes| nodes.seen(Instant::now())).unwrap_or_default();
    seen.iter().any(|(seen, ..)| seen.name == node)
}

fn overview(state: &HttpState) -> Result<&Arc<Overview>, ApiError> {
    state.overview.as_ref().ok_or_else(single_node)
}

/// What is asked of other nodes, where there are none.
pub(super) fn single_node() -> ApiError {
    let message = "there are no other nodes: this server was started without --redis";
    ApiError::new(StatusCode::CONFLICT, "single_node", message)
}

fn no_such_node(node: &str) -> ApiError {
    let message = format!("there is no node {node:?}: GET /v1/nodes lists them");
    ApiError::new(StatusCode::NOT_FOUND, "no_such_node", message)
}

fn away(Unavailable { why, wait }: Unavailable) -> ApiError {
    let message = format!("the other nodes cannot be asked now: {why}");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message).retry_after(wait)
}
