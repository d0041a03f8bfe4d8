//! Checks on every request, and headers of every answer. Nothing else sets these headers.
//!
//! Refused are: a head that is too large (431), a foreign host name (421) or page (403, see [`Origins`]), an
//! upgrade where there is none, and too many requests from one address (429). An admitted page from elsewhere
//! may read (CORS), but write only what is its player's own affair. A body has a deadline.
//!
//! Input that is not HTTP does not get here: actix-http answers it with 400, 408 or 431 without a body, and
//! closes.

use super::{
    ApiError, HttpState,
    access::{Operator, source},
};
use crate::{
    ground::origin::{Foreign, Page},
    transport::{self, lease},
};
use actix_http::{ConnectionType, Payload};
use actix_web::{
    Error, FromRequest as _, HttpMessage as _, HttpRequest, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::{
        Method, StatusCode, Version,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};
use futures_util::{StreamExt as _, stream::unfold};
use std::{
    io,
    time::{Duration, Instant},
};
use tokio::time::timeout_at;
use tracing::info;

/// Longest head of a request, bytes: request line and headers, with separators.
const MAX_HEAD: usize = 16 * 1024;
/// Average interval of costly requests per address. (Loopback is not limited: a proxy there has one address
/// for all its clients.)
pub(super) const COSTLY_INTERVAL: Duration = Duration::from_millis(100);
/// Costly requests that an address may send at once.
pub(super) const COSTLY_AT_ONCE: u32 = 30;
/// Time limit for reading an answer to a request whose body was not read to its end.
const UNREAD: Duration = Duration::from_secs(1);
/// Paths that have limits of their own: topics.
const TOPICS: &str = "/v1/topics/";
/// Request headers that a page from elsewhere may send in addition to those always allowed.
const MAY_SEND: &str = "authorization, cache-control, last-event-id";
/// Request headers that it may send with what players may write.
const MAY_SEND_PLAYERS: &str = "authorization, cache-control, content-type, last-event-id";
/// Answer headers that such a page may read in addition to those always allowed: what was made, and when to
/// ask again.
const MAY_READ: &str = "location, retry-after";
/// How long a browser may remember that, seconds.
const MAY_REMEMBER: &str = "600";
/// What an answer may do in a browser that shows it as a page, unless it is one.
const NO_PAGE: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Half a year.
const TLS_ONLY: &str = "max-age=15768000";

/// Admits a request, and adds the common headers to its answer.
pub(crate) async fn front(
    state: web::Data<HttpState>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let unread = request.headers().contains_key(header::TRANSFER_ENCODING);
    let is_old = request.version() < Version::HTTP_11;
    lease::begin(unread || request.headers().get(header::CONTENT_LENGTH).is_some_and(|length| length != "0"));
    let origin = request.headers().get(header::ORIGIN).cloned();
    let guest;
    let mut response = match admit(&state, request.request()).await {
        Err(refused) => {
            state.metrics.requests_refused.inc(refused.code());
            // A page that may read must also be able to read why it got nothing.
            guest = origin.filter(|_| page_of(&state, request.request()) == Ok(Page::Guest));
            request.into_response(HttpResponse::from_error(refused))
        }
        Ok(Page::Guest) if is_preflight(request.request()) => {
            guest = origin;
            let write = is_players(routed(request.request()));
            request.into_response(preflight(write))
        }
        Ok(page) => {
            guest = origin.filter(|_| page == Page::Guest);
            limit_body(&mut request, Instant::now() + state.request_timeout);
            next.call(request).await?.map_into_boxed_body()
        }
    };
    let last = lease::answered();
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    dress(response.headers_mut(), guest, state.certificates.http.is_none());
    // HTTP/1.0 has no chunks (RFC 9112, section 7): what is streamed ends with the connection.
    let unbounded = is_old && response.response().body().size() == BodySize::Stream;
    response.response_mut().head_mut().no_chunking(unbounded);
    if unread || last || unbounded {
        // actix-http would go on reading a chunked body for as long as it comes.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    lease::prolong(if unread { UNREAD } else { state.answer_timeout });
    Ok(response)
}

async fn admit(state: &HttpState, request: &HttpRequest) -> Result<Page, ApiError> {
    let head: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if head + request.uri().path().len() + request.query_string().len() > MAX_HEAD {
        let message = format!("the head of a request may have at most {MAX_HEAD} bytes");
        return Err(ApiError::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", message));
    }
    let path = routed(request);
    let page = match path {
        // Health checks may use any host name. What `/v1/certificate` says, everybody who connects is told.
        "/livez" | "/healthz" | "/readyz" | "/v1/certificate" => Page::Own,
        _ => page_of(state, request).map_err(|foreign| {
            info!(from = %source(state, request), reason = %foreign, "refused a page");
            let status = match foreign {
                Foreign::Origin { .. } => StatusCode::FORBIDDEN,
                Foreign::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            };
            ApiError::new(status, foreign.name(), foreign.to_string())
        })?,
    };
    if path != transport::PATH && asks_for_websocket(request.headers()) {
        let message = format!("there is no WebSocket at {path}, only at {}", transport::PATH);
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "no_upgrade", message));
    }
    let from = source(state, request);
    if is_costly(path) && !from.is_loopback() {
        let taken = state.costly.0.lock().take(Instant::now(), from);
        // Others may share the operator's address.
        if let Err(wait) = taken
            && !state.access.is_operator(request)
        {
            // Guessing tokens is no faster here than elsewhere.
            if request.headers().contains_key(header::AUTHORIZATION) && !is_players(path) {
                Operator::extract(request).await?;
            }
            return Err(ApiError::too_often(wait));
        }
    }
    Ok(page)
}

/// The path by which a request is routed: of several ways to write it (`/%76%31/match`), the plain one. What
/// a request is for is decided by this path alone.
pub(super) fn routed(request: &HttpRequest) -> &str {
    request.match_info().as_str()
}

fn page_of(state: &HttpState, request: &HttpRequest) -> Result<Page, Foreign> {
    state.door.origins().check(&host(request), origin(request).as_deref())
}

/// Whether a request takes some work and is not limited in other ways.
fn is_costly(path: &str) -> bool {
    // A client that comes by WebTransport requests the certificate first.
    let cheap = [transport::PATH, "/v1/certificate"];
    let limited = cheap.contains(&path) || path.starts_with(TOPICS);
    path == "/metrics" || (path.starts_with("/v1/") && !limited)
}

/// Whether a request there may be a player's, who has no admin token.
fn is_players(path: &str) -> bool {
    let below = ["/v1/queue/", "/v1/presence/"].iter().any(|start| path.starts_with(start));
    ["/v1/match", "/v1/queue", "/v1/presence"].contains(&path) || below
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::UPGRADE);
    values.any(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// The host name in the request, with the port if it has one.
pub(super) fn host(request: &HttpRequest) -> String {
    // If both are present, the request line counts (RFC 9112, section 3.2.2).
    if let Some(authority) = request.uri().authority() {
        return authority.to_string();
    }
    let host = request.headers().get(header::HOST).map(HeaderValue::as_bytes);
    String::from_utf8_lossy(host.unwrap_or_default()).into_owned()
}

/// The page's origin. If there are two, nobody knows which is true, so the result matches no allowed one.
fn origin(request: &HttpRequest) -> Option<String> {
    let mut all =
        request.headers().get_all(header::ORIGIN).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let first = all.next()?;
    Some(all.fold(first, |text, next| text + ", " + &next))
}

fn is_preflight(request: &HttpRequest) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// `write`: what it asks for is a player's own affair, for which the page must have the player's token.
fn preflight(write: bool) -> HttpResponse {
    let methods = if write { "GET, HEAD, POST, DELETE" } else { "GET, HEAD" };
    let may_send = if write { MAY_SEND_PLAYERS } else { MAY_SEND };
    HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, may_send))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAY_REMEMBER))
        .finish()
}

/// Makes a body that is not complete by `until` end with an error.
fn limit_body(request: &mut ServiceRequest, until: Instant) {
    let body = request.take_payload();
    if matches!(body, Payload::None) {
        return;
    }
    let limited = unfold(body, move |mut body| async move {
        let next = timeout_at(until.into(), body.next()).await;
        let next = next.unwrap_or_else(|_| Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))));
        Some((next?, body))
    });
    request.set_payload(Payload::Stream { payload: Box::pin(limited) });
}

/// Headers of all answers that do not set them themselves.
fn dress(headers: &mut HeaderMap, guest: Option<HeaderValue>, plain: bool) {
    let mut always = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    always(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    always(header::REFERRER_POLICY, "no-referrer");
    always(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if !plain {
        always(header::STRICT_TRANSPORT_SECURITY, TLS_ONLY);
    }
    for (name, value) in [(header::CONTENT_SECURITY_POLICY, NO_PAGE), (header::CACHE_CONTROL, "no-store")] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if let Some(origin) = guest {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(MAY_READ));
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}
