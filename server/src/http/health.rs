//! Whether the process answers, whether it takes clients, and whether all is well.

use super::HttpState;
use crate::health::{Matters, PartReport};
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use serde::{Deserialize, Serialize};
use std::time::Instant;
use utoipa::ToSchema;

/// Whether reasons are asked for: `?verbose`, with any value.
#[derive(Deserialize)]
pub(super) struct HealthParams {
    verbose: Option<String>,
}

/// That it answers.
#[derive(Serialize, ToSchema)]
struct Alive {
    /// `ok`.
    status: &'static str,
}

/// Whether clients should be sent here.
#[derive(Serialize, ToSchema)]
struct Ready {
    /// `ready`, `failing` or `draining`.
    status: &'static str,
    /// The parts that are not well, without which nobody can come.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failing: Vec<&'static str>,
}

/// Whether all is well.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
struct Answer {
    /// `ok`, `failing` or `draining`.
    status: &'static str,
    /// The parts that are not well.
    failing: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<Vec<PartView>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = HealthPart)]
struct PartView {
    name: &'static str,
    well: bool,
    /// How long it has been so, seconds.
    since_s: u64,
    /// What is wrong, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// 200: this thread answers.
#[utoipa::path(get, path = "/livez", tag = "health", responses(
    (status = 200, description = "The process answers", body = Alive),
))]
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "ok" })
}

/// 200: send clients here. 503: the server drains, or cannot take anybody.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "Send clients here", body = Ready),
    (status = 503, description = "Send them elsewhere", body = Ready),
))]
pub(super) async fn readyz(state: web::Data<HttpState>) -> HttpResponse {
    if state.registry.is_draining() {
        return HttpResponse::ServiceUnavailable().json(Ready { status: "draining", failing: Vec::new() });
    }
    let needed = |part: &PartReport| part.why.is_some() && part.matters == Matters::ToNewcomers;
    let failing: Vec<_> = state.health.report(Instant::now()).into_iter().filter(needed).collect();
    let failing: Vec<_> = failing.iter().map(|part| part.name).collect();
    if failing.is_empty() {
        HttpResponse::Ok().json(Ready { status: "ready", failing })
    } else {
        HttpResponse::ServiceUnavailable().json(Ready { status: "failing", failing })
    }
}

/// 200: all is well. 503: something is not, or the server drains. `?verbose` says what, and why.
#[utoipa::path(get, path = "/healthz", tag = "health", params(
    ("verbose" = Option<String>, Query, description = "With any value: say what is wrong, and why"),
), responses(
    (status = 200, description = "All is well", body = Answer),
    (status = 503, description = "Something is not, or the server drains", body = Answer),
))]
pub(super) async fn healthz(asked: web::Query<HealthParams>, state: web::Data<HttpState>) -> HttpResponse {
    let parts = state.health.report(Instant::now());
    let failing: Vec<_> = parts.iter().filter(|part| part.why.is_some()).map(|part| part.name).collect();
    let status = match (state.registry.is_draining(), failing.is_empty()) {
        (true, _) => "draining",
        (false, false) => "failing",
        (false, true) => "ok",
    };
    let parts = asked.verbose.is_some().then(|| parts.into_iter().map(PartView::from).collect());
    answer(status).json(Answer { status, failing, parts })
}

fn answer(status: &str) -> HttpResponseBuilder {
    if status == "ok" { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() }
}

impl From<PartReport> for PartView {
    fn from(PartReport { name, since, why, .. }: PartReport) -> Self {
        Self { name, well: why.is_none(), since_s: since.as_secs(), why }
    }
}
