//! Certificates in PEM files, which something else writes and replaces.

use super::{Current, Fingerprint, TlsError, provider};
use crate::ground::unreadable::unreadable;
use rustls::{
    Error as RustlsError, InconsistentKeys,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error as PemError, PemObject},
    },
    sign::CertifiedKey,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};
use x509_cert::{
    certificate::{Rfc5280, Version},
    der::Decode,
};

/// Longest file that is read, bytes. A chain of certificates takes a few thousand.
const MAX_FILE: u64 = 1 << 20;

/// What a PEM file has somewhere whose key is encrypted, in either of the two ways (RFC 1421, RFC 7468).
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// The files of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemFiles {
    /// The certificate, followed by the intermediate ones up to an authority that clients know.
    pub certificate: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key: PathBuf,
}

impl PemFiles {
    /// Checks that the files contain a certificate that could be served at this time.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn check(&self, now: SystemTime) -> Result<(), TlsError> {
        Files::new(self, now).map(drop)
    }
}

/// Reads the files repeatedly.
///
/// Changes are detected by content, not by the time of modification: the files are small, and this also
/// notices a file that is replaced within one tick of the file system's clock, or by a link to another folder
/// (as Kubernetes does).
pub(super) struct Files {
    paths: PemFiles,
    /// What is being served.
    served: Content,
    /// The error found at the last check. Reported once.
    trouble: Option<TlsError>,
}

#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    pub(super) fn new(paths: &PemFiles, now: SystemTime) -> Result<(Self, Current), TlsError> {
        let served = Content::read(paths)?;
        let current = served.load(paths, now)?;
        Ok((Self { paths: paths.clone(), served, trouble: None }, current))
    }

    /// The certificate in the files, if it has changed. An error is returned once, until it changes or is
    /// fixed.
    pub(super) fn refresh(&mut self, now: SystemTime) -> Result<Option<Current>, TlsError> {
        match self.look(now) {
            Ok(found) => {
                self.trouble = None;
                Ok(found)
            }
            Err(error) if self.trouble.as_ref().is_some_and(|told| told.same_as(&error)) => Ok(None),
            Err(error) => {
                self.trouble = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Why what is in the files now is not served.
    pub(super) fn trouble(&self) -> Option<&TlsError> {
        self.trouble.as_ref()
    }

    fn look(&mut self, now: SystemTime) -> Result<Option<Current>, TlsError> {
        let content = Content::read(&self.paths)?;
        if content == self.served {
            return Ok(None);
        }
        let current = content.load(&self.paths, now)?;
        self.served = content;
        Ok(Some(current))
    }
}

impl Content {
    fn read(paths: &PemFiles) -> Result<Self, TlsError> {
        Ok(Self { certificate: read(&paths.certificate)?, key: read(&paths.key)? })
    }

    fn load(&self, paths: &PemFiles, now: SystemTime) -> Result<Current, TlsError> {
        let bad_certificate = |reason: String| bad(&paths.certificate, reason);
        let bad_key = |reason: String| bad(&paths.key, reason);

        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|e| bad_certificate(said(&e)))?;
        let first =
            chain.first().ok_or_else(|| bad_certificate("it contains no certificate (PEM)".to_owned()))?;
        let parsed = x509_cert::certificate::CertificateInner::<Rfc5280>::from_der(first)
            .map_err(|e| bad_certificate(format!("the certificate is malformed: {e}")))?;
        if parsed.tbs_certificate().version() != Version::V3 {
            let old = "the certificate is an old one (X.509 version 1 or 2): it needs version 3, with the names of the server";
            return Err(bad_certificate(old.to_owned()));
        }
        let validity = parsed.tbs_certificate().validity();
        let (from, until) = (validity.not_before.to_system_time(), validity.not_after.to_system_time());

        if self.key.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED) {
            let encrypted =
                "the key is encrypted: write one that is not, as with `openssl pkey -in FILE -out FILE`";
            return Err(bad_key(encrypted.to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|e| match e {
            PemError::NoItemsFound => bad_key("it contains no private key (PEM, unencrypted)".to_owned()),
            e => bad_key(said(&e)),
        })?;
        let key = CertifiedKey::from_der(chain.clone(), key, &provider()).map_err(|e| match e {
            RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch { certificate: paths.certificate.clone(), key: paths.key.clone() }
            }
            e => bad_key(format!("the key cannot be used: {e}")),
        })?;
        if !(from..until).contains(&now) {
            let time = |at| humantime::format_rfc3339_seconds(at).to_string();
            let path = paths.certificate.clone();
            return Err(TlsError::NotValidNow { path, from: time(from), until: time(until), now: time(now) });
        }
        Ok(Current { key: Arc::new(key), listed: vec![Fingerprint::of(first, until)] })
    }
}

impl TlsError {
    /// Whether both are the same error, apart from the time.
    fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NotValidNow { from, until, .. }, Self::NotValidNow { from: f, until: u, .. }) => {
                (from, until) == (f, u)
            }
            _ => self == other,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |reason: String| TlsError::Unreadable { path: path.to_owned(), reason };
    let meta = fs::metadata(path).map_err(|e| failed(unreadable(&e)))?;
    // A pipe or a device would make the reader wait.
    if !meta.is_file() {
        return Err(failed("it is not a file".to_owned()));
    }
    if meta.len() > MAX_FILE {
        return Err(bad(path, format!("it has {} bytes; at most {MAX_FILE} are allowed", meta.len())));
    }
    fs::read(path).map_err(|e| failed(unreadable(&e)))
}

fn bad(path: &Path, reason: String) -> TlsError {
    TlsError::BadFile { path: path.to_owned(), reason }
}

fn said(error: &PemError) -> String {
    format!("it is not a PEM file: {error}")
}
