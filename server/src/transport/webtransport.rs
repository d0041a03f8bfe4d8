//! WebTransport over HTTP/3 (draft-ietf-webtrans-http3): from a QUIC connection with ALPN `h3` to a session
//! at `/v1/connect` that speaks the subprotocol `driftless.v1`. Clients without support for subprotocols
//! (Firefox, at least 140) offer none; they are assumed to mean it, and their `Join` states the version.
//! There is one session per connection. Everything after that is as with [`quic`](super::quic).

use super::{CLOSE_LIMIT, PATH};
use crate::{
    door::{Denied, Door, Knock},
    ground::{
        origin::Foreign, refusal::Refusal, source::Source, tenure::Tenure, trace::TraceParent,
        transport_kind::TransportKind,
    },
    spans::Span,
};
use driftless_proto::{code::CloseCode, limits::SUBPROTOCOL};
use quinn::{Connection, VarInt};
use std::time::Duration;
use tokio::time::timeout;
use tracing::{debug, info};
use web_transport_quinn::{
    Request, ServerError, Session,
    http::{StatusCode, header::ORIGIN},
    proto::ConnectResponse,
};

/// H3_GENERAL_PROTOCOL_ERROR (RFC 9114, section 8.1).
const H3_GENERAL_PROTOCOL_ERROR: u32 = 0x101;

/// Why there is no session.
pub(super) enum Refused {
    /// It is not a WebTransport request, or it ended too soon.
    Handshake(ServerError),
    /// Its path is another one.
    NotFound(Request),
    /// It comes from a page that is not allowed.
    Foreign(Request, Foreign),
    /// It offers subprotocols, but not ours.
    Subprotocol(Request),
    /// Its query cannot be read.
    Query(Request),
    /// It has no token that is good for what it wants.
    Denied(Request, Denied),
}

/// Receives the settings and the request, and accepts it if it is valid.
pub(super) async fn accept(
    connection: Connection,
    door: &Door,
) -> Result<(Session, Tenure, Option<TraceParent>), Refused> {
    let source = Source::of(connection.remote_address().ip());
    let request = Request::accept(connection).await.map_err(Refused::Handshake)?;
    if request.url.path() != PATH {
        return Err(Refused::NotFound(request));
    }
    if let Err(foreign) = door.origins().check_any_port(request.url.authority(), origin(&request).as_deref())
    {
        return Err(Refused::Foreign(request, foreign));
    }
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let query = request.url.query().unwrap_or_default();
    let Ok(mut knock) = Knock::new(TransportKind::WebTransport, source).of_request(headers, query) else {
        return Err(Refused::Query(request));
    };
    let mut connect = Span::of_request("connect", knock.trace);
    connect.set("transport", TransportKind::WebTransport.name());
    knock.trace = connect.here();
    let tenure = match door.identify(knock).await {
        Ok(tenure) => tenure,
        Err(denied) => {
            connect.fails(denied.name());
            return Err(Refused::Denied(request, denied));
        }
    };
    let answer = if request.protocols.is_empty() {
        ConnectResponse::OK
    } else if request.protocols.iter().any(|protocol| protocol == SUBPROTOCOL) {
        ConnectResponse::OK.with_protocol(SUBPROTOCOL)
    } else {
        return Err(Refused::Subprotocol(request));
    };
    let session = request.respond(answer).await.map_err(Refused::Handshake)?;
    Ok((session, tenure, connect.here()))
}

/// The page's origin. (If there are two, nobody knows which is true, so the result matches no allowed one.)
fn origin(request: &Request) -> Option<String> {
    let mut all =
        request.headers.get_all(ORIGIN).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = all.next()?.into_owned();
    Some(all.fold(first, |text, next| text + ", " + &next))
}

/// Refuses with an HTTP status, and waits a moment for the peer to receive it.
pub(super) async fn refuse(connection: Connection, refused: Refused) {
    let (request, status) = match refused {
        Refused::Handshake(error) => {
            debug!(%error, "not a WebTransport request");
            let code = VarInt::from_u32(H3_GENERAL_PROTOCOL_ERROR);
            return connection.close(code, b"not a WebTransport request");
        }
        Refused::Foreign(request, foreign) => {
            info!(from = %connection.remote_address(), reason = %foreign, "refused a page");
            (request, StatusCode::FORBIDDEN)
        }
        Refused::NotFound(request) => (request, StatusCode::NOT_FOUND),
        Refused::Subprotocol(request) | Refused::Query(request) => (request, StatusCode::BAD_REQUEST),
        Refused::Denied(request, denied) => {
            debug!(reason = %denied, "denied");
            // From one version of the crate `http` to another.
            (request, StatusCode::from_u16(denied.status().as_u16()).unwrap_or(StatusCode::FORBIDDEN))
        }
    };
    // Without the query, which may have a token in it.
    debug!(path = request.url.path(), %status, "refused");
    let heard = async {
        if request.reject(status).await.is_ok() {
            connection.closed().await;
        }
    };
    let _ = timeout(CLOSE_LIMIT, heard).await;
}

/// Closes a connection whose request did not come, with our code as WebTransport encodes it outside a
/// session.
pub(super) fn close_late(connection: &Connection, within: Duration) {
    let ending = Refusal::new(CloseCode::HandshakeTimeout, &format!("no request within {within:?}"));
    let code = web_transport_quinn::proto::error_to_http3(ending.code.number().into());
    connection.close(VarInt::from_u64(code).unwrap_or_default(), ending.reason.as_bytes());
}

impl Refused {
    /// Name in metrics. None: the door has counted it.
    pub(super) fn name(&self) -> Option<&'static str> {
        match self {
            Refused::Handshake(_) | Refused::Query(_) => Some("handshake"),
            Refused::Foreign(_, foreign) => Some(foreign.name()),
            Refused::NotFound(_) => Some("not_found"),
            Refused::Subprotocol(_) => Some("subprotocol"),
            Refused::Denied(..) => None,
        }
    }
}
