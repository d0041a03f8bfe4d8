//! Metrics, for scrapers.

use super::{ApiError, HttpState};
use actix_web::{HttpRequest, HttpResponse, http::header, web};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// OpenMetrics for clients that accept it by name, as Prometheus does, and the older format for all others,
/// as the official client libraries do: `promtool check metrics` reads nothing else. Written on a thread that
/// serves no players.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "The metrics", content(
        (String = "text/plain"), (String = "application/openmetrics-text"),
    )),
))]
pub(super) async fn metrics(
    request: HttpRequest,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let accepts = |value: &header::HeaderValue| {
        value.to_str().is_ok_and(|accept| accept.contains("application/openmetrics-text"))
    };
    let open = request.headers().get_all(header::ACCEPT).any(accepts);
    let metrics = state.metrics.clone();
    let text = web::block(move || if open { metrics.encode() } else { metrics.encode_prometheus() });
    let text = text.await.map_err(|_| ApiError::unavailable("the thread that writes metrics"))?;
    let content_type = if open { OPENMETRICS } else { PROMETHEUS };
    Ok(HttpResponse::Ok().insert_header((header::VARY, "accept")).content_type(content_type).body(text))
}
