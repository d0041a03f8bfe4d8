//! The nodes.

use super::{HttpState, access::Operator};
use crate::nodes::Node;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use std::time::Instant;
use utoipa::ToSchema;

/// All nodes that have a lease, as this one has seen them.
#[derive(Serialize, ToSchema)]
struct NodeList {
    /// Whether there can be others: the server was started with `--redis`.
    many: bool,
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
    /// Whether it is the one that answers.
    this: bool,
}

/// All nodes, with their load.
#[utoipa::path(get, path = "/v1/nodes", tag = "operators", operation_id = "list_nodes", security(("operator" = [])),
    responses((status = 200, description = "The nodes", body = NodeList)))]
pub(super) async fn nodes(_: Operator, state: web::Data<HttpState>) -> HttpResponse {
    let seen = state.nodes.as_ref().map(|nodes| nodes.seen(Instant::now())).unwrap_or_default();
    let nodes = seen.into_iter();
    let nodes = nodes.map(|(node, ago, this)| Seen { node, seen_ms: ago.as_millis() as u64, this });
    HttpResponse::Ok().json(NodeList { many: state.nodes.is_some(), nodes: nodes.collect() })
}
