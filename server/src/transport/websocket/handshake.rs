//! The upgrade of an HTTP request to a WebSocket.

use super::upgrade::Accepted;
use crate::{
    connection::LocalConnections,
    door::{Door, Refused},
    ground::transport_kind::TransportKind,
    http::ApiError,
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};
use actix_web_actors::ws;
use driftless_proto::{limits::SUBPROTOCOL, session::Delivery};
use std::{rc::Rc, sync::Arc};

/// `GET /v1/connect`: upgrades to the subprotocol `driftless.v1`, or says by name why not.
pub async fn connect(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let connections = part::<Rc<LocalConnections>>(&request)?;
    let worker = connections.worker();
    let door = part::<Arc<Door>>(&request)?;
    let refused = |reason: &'static str| worker.metrics().refused.inc(reason);

    check_subprotocol(&request).inspect_err(|_| refused("subprotocol"))?;
    let mut response = ws::handshake_with_protocols(&request, &[SUBPROTOCOL]).map_err(|e| {
        refused("handshake");
        ApiError::new(StatusCode::BAD_REQUEST, "bad_handshake", e.to_string())
    })?;
    // The library looks at the first header of that name alone; RFC 6455, section 11.3.4, allows several.
    response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL));
    let address = request
        .peer_addr()
        .ok_or_else(|| {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "no_address", "the connection has no address")
        })?
        .ip();
    let admission = door.admit(address, TransportKind::WebSocket).map_err(|e| {
        let status = match e {
            Refused::Draining | Refused::ServerFull(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refused::AddressFull { .. } => StatusCode::TOO_MANY_REQUESTS,
        };
        ApiError::new(status, e.name(), e.to_string())
    })?;

    let peer = door.open(admission, Delivery::Ordered, connections.clone());
    let mut response = response.finish();
    let max_message = door.limits().message_bytes;
    response.extensions_mut().insert(Accepted { peer, worker: worker.clone(), max_message });
    Ok(response)
}

/// A client that offers subprotocols must offer ours; one that offers none would not know what it speaks.
fn check_subprotocol(request: &HttpRequest) -> Result<(), ApiError> {
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut names = Vec::new();
    for value in offered {
        names.extend(value.to_str().unwrap_or("?").split(',').map(str::trim));
    }
    if names.contains(&SUBPROTOCOL) {
        return Ok(());
    }
    let message = match names.is_empty() {
        true => format!("offer the WebSocket subprotocol {SUBPROTOCOL:?} (Sec-WebSocket-Protocol)"),
        false => format!("none of the subprotocols {names:?} is spoken here: offer {SUBPROTOCOL:?}"),
    };
    Err(ApiError::new(StatusCode::BAD_REQUEST, "unknown_subprotocol", message))
}

fn part<T: 'static>(request: &HttpRequest) -> Result<&T, ApiError> {
    request.app_data::<T>().ok_or_else(|| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "misconfigured", "the route is not set up")
    })
}
