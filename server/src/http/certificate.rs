//! Where WebSocket, QUIC and WebTransport are served, and which certificate to trust there.

use super::{HttpState, front::host};
use crate::{
    config::{PublicUrl, QuicListen, Reached},
    transport,
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{header, uri::Authority},
    web,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use driftless_proto::limits::{ALPN, SUBPROTOCOL};
use serde::Serialize;
use utoipa::ToSchema;

/// Where a client finds the server.
#[derive(Serialize, ToSchema)]
#[schema(as = Certificates)]
struct Answer {
    /// Whether the certificate is trusted only by its hash. If not, clients verify it as usual.
    hashes_needed: bool,
    /// Certificates to trust now; the last one is being served.
    certificates: Vec<Trusted>,
    websocket: WebSocket,
    quic: Option<Quic>,
}

/// Where WebSocket is.
#[derive(Serialize, ToSchema)]
struct WebSocket {
    url: String,
    subprotocol: &'static str,
}

/// A certificate to trust.
#[derive(Serialize, ToSchema)]
#[schema(as = Certificate)]
struct Trusted {
    /// SHA-256 of the certificate in DER, base64, for `serverCertificateHashes`.
    sha256: String,
    /// SHA-256 of the certificate, hexadecimal.
    sha256_hex: String,
    /// RFC 3339.
    valid_until: String,
}

/// Where QUIC is.
#[derive(Serialize, ToSchema)]
struct Quic {
    /// Absent: the host that the request named.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    port: u16,
    /// ALPN of native QUIC.
    alpn: &'static str,
    webtransport: WebTransport,
}

/// Where WebTransport is.
#[derive(Serialize, ToSchema)]
struct WebTransport {
    url: String,
    subprotocol: &'static str,
}

/// Any page may read it: everybody who connects is told the same.
#[utoipa::path(get, path = "/v1/certificate", tag = "rooms", responses(
    (status = 200, description = "Where QUIC and WebTransport are, and what to trust there", body = Answer),
))]
pub(super) async fn certificate(request: HttpRequest, state: web::Data<HttpState>) -> HttpResponse {
    let certificates = state.certificates.quic.fingerprints().into_iter().map(|fingerprint| Trusted {
        sha256: STANDARD.encode(fingerprint.sha256),
        sha256_hex: fingerprint.hex(),
        valid_until: humantime::format_rfc3339_seconds(fingerprint.valid_until).to_string(),
    });
    let asked = host(&request).parse::<Authority>().ok();
    let quic = state.quic.and_then(|address| {
        let (asked, config) = (asked.as_ref(), &state.config);
        let (url, quic) = (config.public_url.as_ref(), config.public_quic.as_ref());
        let shares_port = config.quic == QuicListen::AsHttp;
        let Reached { host, port } = Reached::new(url, quic, address, shares_port, asked)?;
        let named = asked.map_or("localhost", |authority| authority.host());
        let url = format!("https://{}:{port}/v1/connect", host.as_deref().unwrap_or(named));
        Some(Quic { host, port, alpn: ALPN, webtransport: WebTransport { url, subprotocol: SUBPROTOCOL } })
    });
    let websocket = state.config.public_url.as_ref().map(PublicUrl::websocket).unwrap_or_else(|| {
        let asked = asked.as_ref().map_or("localhost", Authority::as_str);
        format!("{}://{asked}", if state.certificates.http.is_none() { "ws" } else { "wss" })
    });
    let answer = Answer {
        hashes_needed: state.certificates.quic.is_self_signed(),
        certificates: certificates.collect(),
        websocket: WebSocket { url: websocket + transport::PATH, subprotocol: SUBPROTOCOL },
        quic,
    };
    HttpResponse::Ok().insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")).json(answer)
}
