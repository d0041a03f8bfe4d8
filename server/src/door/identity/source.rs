//! Reads keys from where they are.

use super::keys::{Key, KeyError, Keys};
use crate::ground::{
    key_source::{KeySource, without_query},
    unreadable::unreadable,
};
use std::{fs::File, io::Read, sync::Arc, time::Duration};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Longest file or answer, bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Time limit of a request for keys.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What to do about a certificate of an authority that this system does not know.
const PRIVATE_AUTHORITY: &str = ": have the system trust the authority that has signed its certificate \
                                 (update-ca-certificates), or name its file in SSL_CERT_FILE";

/// Why a source gives no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("{}", unreadable(.0))]
    Read(#[from] std::io::Error),
    #[error("longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("{0}")]
    Request(String),
    #[error("the certificates of the system's authorities cannot be read: {0}")]
    Authorities(rustls_native_certs::Error),
    #[error("it leads elsewhere{}, which is not followed: name the address that has the keys", to(.0))]
    Redirected(Option<String>),
    #[error("{0}")]
    Keys(#[from] KeyError),
}

/// The keys that are there now. May wait for an answer: not to be called where players are served.
pub(crate) fn read(source: &KeySource) -> Result<Keys, SourceError> {
    match source {
        KeySource::File(path) => Ok(Key::read(&limited(File::open(path)?)?)?),
        KeySource::Secret(path) => Ok(Keys::of(Key::read_secret(&limited(File::open(path)?)?)?)),
        KeySource::Url(url) => Ok(Key::read_jwks(&fetch(url)?)?),
    }
}

/// No redirect is followed: the operator has named who is trusted, and an answer from there must not name
/// another host, this machine's own network, or a connection that is not encrypted.
fn fetch(url: &str) -> Result<Vec<u8>, SourceError> {
    let trusted = TlsConfig::builder().root_certs(authorities()?).build();
    let config = ureq::Agent::config_builder().timeout_global(Some(REQUEST_TIMEOUT)).max_redirects(0);
    let config = config.tls_config(trusted).build();
    // Without what may be secret, if it should quote the address.
    let failed = |error: ureq::Error| {
        let said = error.to_string().replace(url, without_query(url));
        let unknown = if said.contains("UnknownIssuer") { PRIVATE_AUTHORITY } else { "" };
        SourceError::Request(said + unknown)
    };
    let answer = config.new_agent().get(url).call().map_err(failed)?;
    if answer.status().is_redirection() {
        let location = answer.headers().get("location").and_then(|location| location.to_str().ok());
        return Err(SourceError::Redirected(location.map(|to| without_query(to).to_owned())));
    }
    limited(answer.into_body().into_reader())
}

/// Those that the system trusts, or that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, as for other connections of
/// the server. A system that has none, such as an empty container, trusts those that browsers do.
fn authorities() -> Result<RootCerts, SourceError> {
    let found = rustls_native_certs::load_native_certs();
    match (found.certs.is_empty(), found.errors.into_iter().next()) {
        (true, Some(error)) => Err(SourceError::Authorities(error)),
        (true, None) => Ok(RootCerts::WebPki),
        (false, _) => {
            let certificates = found.certs.iter().map(|found| Certificate::from_der(found).to_owned());
            Ok(RootCerts::Specific(Arc::new(certificates.collect())))
        }
    }
}

fn to(location: &Option<String>) -> String {
    location.as_ref().map(|to| format!(", to {to:?}")).unwrap_or_default()
}

fn limited(reader: impl Read) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES { Err(SourceError::TooLong) } else { Ok(bytes) }
}
