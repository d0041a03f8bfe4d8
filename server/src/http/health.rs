//! Whether the process works, and whether it accepts clients.

use super::HttpState;
use actix_web::{HttpResponse, web};
use serde_json::json;

/// 200: this thread answers.
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// 200: send clients here. 503: the server is draining.
pub(super) async fn readyz(state: web::Data<HttpState>) -> HttpResponse {
    if state.registry.is_draining() {
        HttpResponse::ServiceUnavailable().json(json!({ "status": "draining" }))
    } else {
        HttpResponse::Ok().json(json!({ "status": "ready" }))
    }
}
