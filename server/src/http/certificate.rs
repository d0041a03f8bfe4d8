//! Where QUIC and WebTransport are served, and which certificate to trust there.

use super::HttpState;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{header, uri::Authority},
    web,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use driftless_proto::limits::{ALPN, SUBPROTOCOL};
use serde::Serialize;

#[derive(Serialize)]
struct Answer {
    /// Whether the certificate is trusted by its hash alone. If not, a client checks it as any other.
    hashes_needed: bool,
    /// Those to trust now; the last one is served.
    certificates: Vec<Trusted>,
    quic: Option<Quic>,
}

#[derive(Serialize)]
struct Trusted {
    /// SHA-256 of the certificate in DER, base64: for `serverCertificateHashes`.
    sha256: String,
    /// The same, hexadecimal.
    sha256_hex: String,
    /// RFC 3339.
    valid_until: String,
}

#[derive(Serialize)]
struct Quic {
    port: u16,
    /// Of native QUIC.
    alpn: &'static str,
    webtransport: WebTransport,
}

#[derive(Serialize)]
struct WebTransport {
    /// On the host that the request named.
    url: String,
    subprotocol: &'static str,
}

/// Any page may read it: what it tells, anybody who connects is told.
pub(super) async fn certificate(request: HttpRequest, state: web::Data<HttpState>) -> HttpResponse {
    let certificates = state.certificates.fingerprints().into_iter().map(|fingerprint| Trusted {
        sha256: STANDARD.encode(fingerprint.sha256),
        sha256_hex: fingerprint.hex(),
        valid_until: humantime::format_rfc3339_seconds(fingerprint.valid_until).to_string(),
    });
    let quic = state.quic.map(|address| Quic {
        port: address.port(),
        alpn: ALPN,
        webtransport: WebTransport {
            url: format!("https://{}:{}/v1/connect", host(&request), address.port()),
            subprotocol: SUBPROTOCOL,
        },
    });
    let answer = Answer {
        hashes_needed: state.certificates.is_self_signed(),
        certificates: certificates.collect(),
        quic,
    };
    HttpResponse::Ok().insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")).json(answer)
}

/// The host that the client used, without its port.
fn host(request: &HttpRequest) -> String {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = named.and_then(|host| host.parse::<Authority>().ok());
    authority.map_or_else(|| "localhost".to_owned(), |authority| authority.host().to_owned())
}
