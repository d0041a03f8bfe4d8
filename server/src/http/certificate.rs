//! Where QUIC and WebTransport are served, and which certificate to trust there.

use super::HttpState;
use crate::config::{QuicListen, Reached};
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
    /// Whether the certificate is trusted only by its hash. If not, clients verify it as usual.
    hashes_needed: bool,
    /// Certificates to trust now; the last one is being served.
    certificates: Vec<Trusted>,
    quic: Option<Quic>,
}

#[derive(Serialize)]
struct Trusted {
    /// SHA-256 of the certificate in DER, base64, for `serverCertificateHashes`.
    sha256: String,
    /// The same, hexadecimal.
    sha256_hex: String,
    /// RFC 3339.
    valid_until: String,
}

#[derive(Serialize)]
struct Quic {
    /// Absent: the host that the request named.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    port: u16,
    /// ALPN of native QUIC.
    alpn: &'static str,
    webtransport: WebTransport,
}

#[derive(Serialize)]
struct WebTransport {
    url: String,
    subprotocol: &'static str,
}

/// Any page may read it: everybody who connects is told the same.
pub(super) async fn certificate(request: HttpRequest, state: web::Data<HttpState>) -> HttpResponse {
    let certificates = state.certificates.fingerprints().into_iter().map(|fingerprint| Trusted {
        sha256: STANDARD.encode(fingerprint.sha256),
        sha256_hex: fingerprint.hex(),
        valid_until: humantime::format_rfc3339_seconds(fingerprint.valid_until).to_string(),
    });
    let quic = state.quic.map(|address| {
        let (asked, config) = (asked(&request), &state.config);
        let (url, quic) = (config.public_url.as_ref(), config.public_quic.as_ref());
        let shares_port = config.quic == QuicListen::AsHttp;
        let Reached { host, port } = Reached::new(url, quic, address.port(), shares_port, asked.as_ref());
        let named = asked.as_ref().map_or("localhost", |authority| authority.host());
        let url = format!("https://{}:{port}/v1/connect", host.as_deref().unwrap_or(named));
        Quic { host, port, alpn: ALPN, webtransport: WebTransport { url, subprotocol: SUBPROTOCOL } }
    });
    let answer = Answer {
        hashes_needed: state.certificates.is_self_signed(),
        certificates: certificates.collect(),
        quic,
    };
    HttpResponse::Ok().insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")).json(answer)
}

/// The host name in the request.
fn asked(request: &HttpRequest) -> Option<Authority> {
    request.headers().get(header::HOST)?.to_str().ok()?.parse().ok()
}
