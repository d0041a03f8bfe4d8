//! The upgrade of an HTTP request to a WebSocket.

use super::{
    hub::Hub,
    upgrade::{Accepted, Upgradable},
};
use crate::{
    connection::LocalConnections,
    door::{Door, Knock, TOKEN_PROTOCOL},
    ground::{api_error::ApiError, transport_kind::TransportKind},
    spans::Span,
};
use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse,
    http::{
        StatusCode, Version,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};
use actix_web_actors::ws;
use base64::{Engine, engine::general_purpose::STANDARD};
use driftless_proto::{limits::SUBPROTOCOL, session::Delivery};
use std::{rc::Rc, sync::Arc};

/// The WebSocket version of RFC 6455.
const VERSION: &str = "13";
/// Bytes of a key.
const KEY: usize = 16;

/// `GET /v1/connect`: upgrades to the subprotocol `driftless.v1`, or answers with an error that says why not.
pub(crate) async fn connect(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let connections = part::<Option<Rc<LocalConnections>>>(&request)?.as_ref().ok_or_else(misconfigured)?;
    let worker = connections.worker();
    let hub = Hub::here().ok_or_else(misconfigured)?;
    let door = part::<Arc<Door>>(&request)?;
    let refused = |reason: &'static str| worker.metrics().refused.inc(reason);

    // First, so that a page can ask without an upgrade why one would fail: browsers do not say.
    let source = door.source(request.peer_addr(), request.headers());
    let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let knock = Knock::new(TransportKind::WebSocket, source).of_request(headers, request.query_string());
    let mut knock = knock.inspect_err(|_| refused("handshake"))?;
    let mut connect = Span::of_request("connect", knock.trace);
    connect.set("transport", TransportKind::WebSocket.name());
    knock.trace = connect.here();
    let tenure = door.identify(knock).await.inspect_err(|denied| connect.fails(denied.name()))?;
    check_upgrade(&request).inspect_err(|_| refused("handshake"))?;
    check_subprotocol(&request).inspect_err(|_| refused("subprotocol"))?;
    let mut response = ws::handshake_with_protocols(&request, &[SUBPROTOCOL]).map_err(|e| {
        refused("handshake");
        bad_handshake(&e.to_string())
    })?;
    // The library looks only at the first header of that name; RFC 6455, section 11.3.4, allows several.
    response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL));
    let peer = match door.admit(source, TransportKind::WebSocket, Some(tenure)) {
        Ok(admission) => {
            let admission = admission.in_trace(connect.here());
            door.open(admission, Delivery::Ordered, connections.clone())
        }
        // A page is not told why an upgrade failed, so the upgrade succeeds and the goodbye says why.
        Err(refused) => {
            connect.fails(refused.name());
            door.turn_away(refused, source, TransportKind::WebSocket, Delivery::Ordered)
        }
    };
    let mut response = response.finish();
    let max_message = door.limits().message_bytes;
    response.extensions_mut().insert(Accepted { peer, hub, max_message });
    Ok(response)
}

/// Checks that a request may become a WebSocket (RFC 6455, section 4.2.1).
fn check_upgrade(request: &HttpRequest) -> Result<(), ApiError> {
    let headers = request.headers();
    let has_body =
        headers.get_all(header::CONTENT_LENGTH).any(|length| length.as_bytes().trim_ascii() != b"0");
    if has_body || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(bad_handshake("a request for an upgrade must not have a body"));
    }
    // An older request cannot ask for an upgrade (RFC 9110, section 7.8).
    let asks = request.version() >= Version::HTTP_11
        && names(headers, &header::CONNECTION).any(|name| name.eq_ignore_ascii_case("upgrade"))
        && names(headers, &header::UPGRADE).any(|name| name.eq_ignore_ascii_case("websocket"));
    if !asks {
        let message = "this is a WebSocket: request an upgrade with GET, HTTP/1.1, Connection: Upgrade and Upgrade: websocket";
        return Err(upgrade_required("upgrade_required", message));
    }
    if request.extensions().get::<Upgradable>().is_none() {
        return Err(bad_handshake("request only websocket: Upgrade: websocket"));
    }
    if only(headers, &header::SEC_WEBSOCKET_VERSION) != Some(VERSION.as_bytes()) {
        let message = "this server speaks only version 13 of WebSocket (Sec-WebSocket-Version)";
        return Err(upgrade_required("unknown_version", message)
            .with(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION)));
    }
    let key = only(headers, &header::SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key).ok());
    match key {
        Some(key) if key.len() == KEY => Ok(()),
        _ => Err(bad_handshake("Sec-WebSocket-Key must occur once, with 16 bytes in base64")),
    }
}

fn bad_handshake(message: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_handshake", message)
}

fn upgrade_required(code: &'static str, message: &str) -> ApiError {
    ApiError::new(StatusCode::UPGRADE_REQUIRED, code, message)
        .with(header::UPGRADE, HeaderValue::from_static("websocket"))
}

/// The value of a header that must occur exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name);
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes().trim_ascii())
}

/// The names in all headers that are lists of names.
fn names<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).flat_map(|value| value.to_str().unwrap_or("?").split(',').map(str::trim))
}

/// A client must offer our subprotocol; one that offers none would not know what it speaks.
fn check_subprotocol(request: &HttpRequest) -> Result<(), ApiError> {
    let names: Vec<_> = names(request.headers(), &header::SEC_WEBSOCKET_PROTOCOL).collect();
    if names.contains(&SUBPROTOCOL) {
        return Ok(());
    }
    let names: Vec<_> = names.into_iter().filter(|name| !name.starts_with(TOKEN_PROTOCOL)).collect();
    let message = match names.is_empty() {
        true => format!("offer the WebSocket subprotocol {SUBPROTOCOL:?} (Sec-WebSocket-Protocol)"),
        false => format!("this server speaks none of the subprotocols {names:?}: offer {SUBPROTOCOL:?}"),
    };
    Err(ApiError::new(StatusCode::BAD_REQUEST, "unknown_subprotocol", message))
}

fn part<T: 'static>(request: &HttpRequest) -> Result<&T, ApiError> {
    request.app_data::<T>().ok_or_else(misconfigured)
}

fn misconfigured() -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "misconfigured", "the route is not set up")
}
