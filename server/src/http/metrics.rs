//! The figures, for scrapers.

use super::HttpState;
use actix_web::{HttpRequest, HttpResponse, http::header, web};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// OpenMetrics to those who accept it by name, as Prometheus does. The older format to all others, as the official
/// client libraries do: `promtool check metrics` reads nothing else.
pub(super) async fn metrics(request: HttpRequest, state: web::Data<HttpState>) -> HttpResponse {
    let accepts = |value: &header::HeaderValue| {
        value.to_str().is_ok_and(|accept| accept.contains("application/openmetrics-text"))
    };
    let mut response = HttpResponse::Ok();
    response.insert_header((header::VARY, "accept"));
    if request.headers().get_all(header::ACCEPT).any(accepts) {
        response.content_type(OPENMETRICS).body(state.metrics.encode())
    } else {
        response.content_type(PROMETHEUS).body(state.metrics.encode_prometheus())
    }
}
