//! Which certificates a client trusts, for QUIC, WebTransport and `wss://`.

use super::target::Target;
use ring::digest::{SHA256, digest};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use std::sync::{Arc, OnceLock};

/// Which certificates are the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// What the server itself says at `GET /v1/certificate`, requested before each dial of QUIC and
    /// WebTransport, which costs round trips: the hashes of its certificates, and where its QUIC is. A node
    /// to which the client was sent is asked itself. As safe as the URL: with `ws://` for development and
    /// servers on the same machine; with `wss://` the request goes over TLS, and the operating system says
    /// whom to trust for that, for the WebSocket, and for QUIC if an authority has signed its certificate.
    Fetch,
    /// The same, but these authorities (in PEM) say whom to trust, instead of the operating system.
    FetchWith(Vec<u8>),
    /// Certificates with one of these SHA-256 hashes (of the whole certificate, DER), while they are valid.
    /// The name in the certificate does not matter. This is what browsers call `serverCertificateHashes`.
    Sha256(Vec<[u8; 32]>),
    /// Certificates that the operating system trusts for the server's name.
    System,
    /// Certificates that these authorities (in PEM) have signed for the server's name.
    Authorities(Vec<u8>),
}

impl Trust {
    /// The setting in effect for this URL: plain HTTP must not decide about a server with TLS.
    pub(super) fn at(&self, target: &Target) -> &Self {
        if target.is_secure() && *self == Self::Fetch { &Self::System } else { self }
    }

    /// Whether the server is asked.
    pub(super) fn fetches(&self) -> bool {
        matches!(self, Self::Fetch | Self::FetchWith(_))
    }
}

/// TLS 1.3 with ring, or 1.2 where that is all that a proxy speaks (QUIC offers 1.3 only, whatever is set
/// here), for one ALPN protocol. Without session tickets: 0-RTT is not used, and storing tickets
/// for each of a thousand bots is not worth the memory.
pub(super) fn client_config(trust: &Trust, alpn: &[u8]) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    let builder = match trust {
        Trust::Fetch => return Err("the hashes were not fetched".to_owned()),
        Trust::Sha256(hashes) => {
            let pinned = Arc::new(Pinned::new(hashes.clone(), &provider));
            builder.dangerous().with_custom_certificate_verifier(pinned)
        }
        Trust::System => builder.with_root_certificates(system_roots()),
        Trust::Authorities(pem) | Trust::FetchWith(pem) => builder.with_root_certificates(authorities(pem)?),
    };
    let mut config = builder.with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}

/// Read once per process: it is a file with a few hundred certificates.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "cannot read one of the system's certificates");
        }
        let mut roots = RootCertStore::empty();
        let (_, ignored) = roots.add_parsable_certificates(found.certs);
        if ignored > 0 {
            tracing::debug!(ignored, "TLS cannot use some of the system's certificates");
        }
        Arc::new(roots)
    };
    ROOTS.get_or_init(load).clone()
}

fn authorities(pem: &[u8]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| format!("cannot read the authorities' PEM: {e}"))?;
        roots.add(certificate).map_err(|e| format!("cannot use an authority: {e}"))?;
    }
    if roots.is_empty() {
        return Err("the authorities' PEM contains no certificate".to_owned());
    }
    Ok(Arc::new(roots))
}

/// Trusts certificates by their hash.
#[derive(Debug)]
struct Pinned {
    hashes: Vec<[u8; 32]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn new(hashes: Vec<[u8; 32]>, provider: &CryptoProvider) -> Self {
        Self { hashes, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let hash = digest(&SHA256, certificate);
        if !self.hashes.iter().any(|pinned| pinned == hash.as_ref()) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        // Checks the validity period and the usages first, and then for an authority, of which there is none.
        let parsed = ParsedCertificate::try_from(certificate)?;
        let none = RootCertStore::empty();
        match verify_server_cert_signed_by_trust_anchor(&parsed, &none, &[], now, self.algorithms.all) {
            Ok(()) | Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                Ok(ServerCertVerified::assertion())
            }
            Err(error) => Err(error),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
