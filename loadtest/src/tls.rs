//! Whom the swarm trusts, when the server has TLS: the same for HTTP and for the bots.

use crate::url::Url;
use driftless_client::Trust;
use std::{io, path::Path};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// An authority's certificates cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The file cannot be read.
    #[error("--ca {file}: {error}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// It has none.
    #[error("--ca {0}: it has no certificate in PEM")]
    Nothing(String),
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, Default)]
pub enum Authorities {
    /// Those that the system trusts.
    #[default]
    System,
    /// These, in PEM.
    Own(Vec<u8>),
}

impl Authorities {
    /// Those in a file, or those of the system.
    pub fn read(file: Option<&Path>) -> Result<Self, CaError> {
        let Some(file) = file else { return Ok(Self::System) };
        let name = file.display().to_string();
        let pem = std::fs::read(file).map_err(|error| CaError::Read { file: name.clone(), error })?;
        if certificates(&pem).is_empty() {
            return Err(CaError::Nothing(name));
        }
        Ok(Self::Own(pem))
    }
    /// For the bots.
    pub fn trust(&self, url: &Url) -> Trust {
        match self {
            _ if !url.is_secure() => Trust::Fetch,
            // Each node has a certificate of its own for QUIC.
            Self::System => Trust::Fetch,
            Self::Own(pem) => Trust::FetchWith(pem.clone()),
        }
    }
    /// For HTTP.
    pub fn of_http(&self) -> TlsConfig {
        let roots: Vec<_> = match self {
            // What cannot be read is no authority; who is not trusted for that is named in the error.
            Self::System => rustls_native_certs::load_native_certs()
                .certs
                .iter()
                .map(|certificate| Certificate::from_der(certificate).to_owned())
                .collect(),
            Self::Own(pem) => certificates(pem),
        };
        TlsConfig::builder().root_certs(RootCerts::from(roots)).build()
    }
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    parse_pem(pem).filter_map(certificate).collect()
}
