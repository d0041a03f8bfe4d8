//! The server's certificate: one for QUIC, WebTransport, HTTPS and secure WebSockets, unless QUIC has its own
//! (`Pair`).
//!
//! | | development | production |
//! | --- | --- | --- |
//! | source | made by the server when it starts | PEM files: `--tls-certificate`, `--tls-key`; or `--quic-certificate`, `--quic-key` |
//! | kind | self-signed, ECDSA P-256, valid for 13 days | whatever an authority has signed |
//! | trusted by clients | by its SHA-256, from `GET /v1/certificate` | like any certificate on the web |
//! | renewed | by the server, 3 days before it expires | by whoever writes the files, which are read every few seconds |
//!
//! 13 days, because browsers accept a certificate by its hash (`serverCertificateHashes`) only if it is ECDSA
//! P-256 and valid for at most 14 days (W3C WebTransport, section 6.9; Chromium requires the same).
//!
//! TLS asks for the certificate at each handshake ([`Certificates::resolver`]) and gets the newest. So a new
//! certificate needs no restart, and open connections keep the keys that they have agreed on. Files that are
//! broken, half written or do not belong together are logged once, and the working certificate stays.
//!
//! All checks take the time as an argument. Only the thread of [`Certificates::start`] looks at the clock.

mod files;
mod self_signed;

pub use files::PemFiles;

use files::Files;
use parking_lot::{Mutex, RwLock};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use self_signed::SelfSigned;
use std::{
    convert::Infallible,
    fmt, io,
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, SystemTime},
};
use tracing::{info, warn};

/// Time between two checks of the files, and of whether a self-signed certificate has to be renewed.
const LOOK: Duration = Duration::from_secs(3);
/// A certificate that ends within this time should have been replaced.
const SOON: Duration = Duration::from_secs(24 * 3600);

/// The certificates of a server.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// That of HTTPS and secure WebSockets. None: they are not encrypted.
    pub http: Option<Arc<Certificates>>,
    /// That of QUIC and WebTransport, mostly the same.
    pub quic: Arc<Certificates>,
}

impl Pair {
    /// From these files, at this time; or for QUIC, made here for this address.
    ///
    /// # Errors
    /// If there is none in a file.
    pub(crate) fn new(
        http: Option<PemFiles>,
        quic: Option<PemFiles>,
        address: IpAddr,
        now: SystemTime,
    ) -> Result<Self, TlsError> {
        let of_files = |files| Certificates::new(&TlsConfig::Files(files), now);
        let http = http.map(of_files).transpose()?;
        let quic = match (quic, &http) {
            (Some(files), _) => of_files(files)?,
            (None, Some(http)) => http.clone(),
            (None, None) => Certificates::new(&TlsConfig::SelfSigned { addresses: vec![address] }, now)?,
        };
        Ok(Self { http, quic })
    }

    /// Each once.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Certificates>> {
        let others = self.http.iter().filter(|http| !Arc::ptr_eq(http, &self.quic));
        [&self.quic].into_iter().chain(others)
    }
}

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsConfig {
    /// Made here, for `localhost`, 127.0.0.1, ::1 and these addresses (an unspecified one such as 0.0.0.0
    /// adds nothing).
    SelfSigned {
        /// Addresses under which clients reach the server.
        addresses: Vec<IpAddr>,
    },
    /// Provided as files.
    Files(PemFiles),
}

/// The certificate being served, and those that may still be trusted.
pub struct Certificates {
    current: RwLock<Current>,
    source: Mutex<Source>,
    self_signed: bool,
    /// The thread, if there is one, ends when this is dropped.
    thread: OnceLock<mpsc::Sender<Infallible>>,
}

/// What identifies a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// SHA-256 of the certificate in DER.
    pub sha256: [u8; 32],
    /// The end of its validity.
    pub valid_until: SystemTime,
}

/// Why there is no certificate, or no newer one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: String,
    },
    /// A file has the wrong content.
    #[error("{}: {reason}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key belongs to another certificate.
    #[error("{} is not the key of the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate has expired, or is not valid yet.
    #[error("{}: the certificate is valid from {from} to {until}, but now it is {now}", path.display())]
    NotValidNow {
        /// The file.
        path: PathBuf,
        /// Start of its validity (RFC 3339).
        from: String,
        /// End of its validity.
        until: String,
        /// The time of the check.
        now: String,
    },
    /// A certificate could not be made. The fault is the server's.
    #[error("cannot make a self-signed certificate: {0}")]
    Generate(String),
    /// The TLS library refuses its own defaults. The fault is the server's.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
    /// The system provides no thread.
    #[error("cannot start the thread that renews the certificate: {0}")]
    NoThread(String),
}

/// The certificate being served, and the list of trusted ones.
struct Current {
    key: Arc<CertifiedKey>,
    /// The last one is being served.
    listed: Vec<Fingerprint>,
}

/// Where newer certificates come from.
enum Source {
    SelfSigned(SelfSigned),
    Files(Files),
}

impl Certificates {
    /// Reads or makes the certificate, and starts a thread that keeps it current for as long as this lives.
    ///
    /// # Errors
    /// If there is no certificate, or the thread cannot be started.
    pub fn start(config: &TlsConfig) -> Result<Arc<Self>, TlsError> {
        let certificates = Self::new(config, SystemTime::now())?;
        certificates.watch()?;
        Ok(certificates)
    }

    /// Starts the thread, once.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn watch(self: &Arc<Self>) -> Result<(), TlsError> {
        let (sender, stopped) = mpsc::channel();
        if self.thread.set(sender).is_err() {
            return Ok(());
        }
        let watched = Arc::downgrade(self);
        let run = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK) {
                let Some(certificates) = watched.upgrade() else { return };
                certificates.refresh(SystemTime::now());
            }
        };
        let thread = thread::Builder::new().name("certificates".to_owned()).spawn(run);
        thread.map(drop).map_err(|e| TlsError::NoThread(e.to_string()))
    }

    /// Like `start`, at a given time and without the thread: call `watch` or `refresh`.
    ///
    /// # Errors
    /// If there is no certificate.
    pub fn new(config: &TlsConfig, now: SystemTime) -> Result<Arc<Self>, TlsError> {
        let (source, current) = match config {
            TlsConfig::SelfSigned { addresses } => {
                let (source, current) = SelfSigned::new(addresses, now)?;
                (Source::SelfSigned(source), current)
            }
            TlsConfig::Files(paths) => {
                let (source, current) = Files::new(paths, now)?;
                (Source::Files(source), current)
            }
        };
        Ok(Arc::new(Self {
            current: RwLock::new(current),
            self_signed: matches!(source, Source::SelfSigned(_)),
            source: Mutex::new(source),
            thread: OnceLock::new(),
        }))
    }

    /// Renews the certificate, or reads its files again, if it is time. Errors are logged.
    pub fn refresh(&self, now: SystemTime) {
        let newer = match &mut *self.source.lock() {
            Source::SelfSigned(source) => source.refresh(now),
            Source::Files(source) => source.refresh(now),
        };
        match newer {
            Ok(None) => {}
            Ok(Some(current)) => {
                if let Some(newest) = current.listed.last() {
                    let until = humantime::format_rfc3339_seconds(newest.valid_until);
                    info!(sha256 = %newest.hex(), %until, "serving a newer certificate");
                }
                *self.current.write() = current;
            }
            Err(error) => warn!(%error, "cannot use a newer certificate: the old one stays"),
        }
        self.current.write().forget_ended(now);
    }

    /// What is wrong with the files of the certificate, or soon will be. None: all is well, or it is
    /// self-signed, and renewed here.
    pub(crate) fn fault(&self, now: SystemTime) -> Option<String> {
        let until = self.valid_until()?;
        let told = humantime::format_rfc3339_seconds(until);
        let source = self.source.lock();
        let Source::Files(files) = &*source else { return None };
        match files.trouble() {
            Some(error) => Some(format!("{error}: the old certificate is served, until {told}")),
            None if until < now + SOON => {
                Some(format!("the certificate is valid until {told} only: put a newer one in its place"))
            }
            None => None,
        }
    }

    /// The end of the validity of the certificate being served.
    pub(crate) fn valid_until(&self) -> Option<SystemTime> {
        self.current.read().listed.last().map(|served| served.valid_until)
    }

    /// Gives TLS the newest certificate at each handshake.
    pub fn resolver(self: &Arc<Self>) -> Arc<dyn ResolvesServerCert> {
        self.clone()
    }

    /// TLS 1.2 and 1.3 with ring, without client certificates, for these protocols (ALPN), the preferred
    /// first.
    ///
    /// # Errors
    /// If the TLS library refuses its own defaults.
    pub fn server_config(self: &Arc<Self>, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|e| TlsError::Setup(e.to_string()))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.resolver());
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }

    /// SHA-256 of the certificates (in DER) to trust now; the last one is being served.
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        self.current.read().listed.iter().map(|listed| listed.sha256).collect()
    }

    /// Like `hashes`, with the end of their validity.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.current.read().listed.clone()
    }

    /// The certificate being served, DER.
    pub fn certificate(&self) -> Vec<u8> {
        self.current.read().key.end_entity_cert().map_or_else(|_| Vec::new(), |der| der.to_vec())
    }

    /// Whether clients trust the certificate only by its hash.
    pub fn is_self_signed(&self) -> bool {
        self.self_signed
    }
}

impl Current {
    /// Removes expired certificates from the list. The one being served stays: there is no other.
    fn forget_ended(&mut self, now: SystemTime) {
        if let Some(served) = self.listed.pop() {
            self.listed.retain(|old| old.valid_until > now);
            self.listed.push(served);
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().key.clone())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("listed", &self.fingerprints()).finish_non_exhaustive()
    }
}

impl Fingerprint {
    fn of(der: &[u8], valid_until: SystemTime) -> Self {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(::ring::digest::digest(&::ring::digest::SHA256, der).as_ref());
        Self { sha256, valid_until }
    }

    /// The hash in hexadecimal.
    pub fn hex(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        io::Error::other(error)
    }
}

/// Uses ring for all cryptography, whatever else is linked.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
