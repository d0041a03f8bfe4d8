//! Certificates as an operator has them, and a client of TLS.

use super::Socket;
use base64::{Engine, engine::general_purpose::STANDARD};
use driftless_server::{config::Config, tls::PemFiles};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
    time_provider::TimeProvider,
};
use std::{
    fs, io,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    str,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

pub const DAY: Duration = Duration::from_secs(24 * 3600);
/// The name that the certificates are for.
pub const NAME: &str = "game.example";

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

impl Issued {
    /// Valid for 90 days, of which this is the second.
    pub fn at(now: SystemTime) -> Self {
        let mut params = CertificateParams::new([NAME.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.not_before = (now - DAY).into();
        params.not_after = (now + 89 * DAY).into();
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { certificate: pem("CERTIFICATE", &der), key: pem("PRIVATE KEY", &key.serialize_der()), der }
    }
}

/// Files of a certificate. Removed when dropped.
pub struct Files {
    pub paths: PemFiles,
    _folder: TempDir,
}

impl Files {
    pub fn of(issued: &Issued) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths =
            PemFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let files = Self { paths, _folder: folder };
        files.write(&issued.certificate, &issued.key);
        files
    }

    /// The configuration of a server with this certificate.
    pub fn served_by(&self, config: Config) -> Config {
        let PemFiles { certificate, key } = self.paths.clone();
        Config { tls_certificate: Some(certificate), tls_key: Some(key), ..config }
    }

    pub fn write(&self, certificate: &str, key: &str) {
        fs::write(&self.paths.certificate, certificate).unwrap();
        fs::write(&self.paths.key, key).unwrap();
    }
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A connection within TLS.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Who trusts this certificate, and no other, and believes that it is `now`.
pub struct Trusting {
    config: Arc<ClientConfig>,
}

impl Trusting {
    pub fn of(der: &CertificateDer<'static>) -> Self {
        Self::at(der, SystemTime::now())
    }

    pub fn at(der: &CertificateDer<'static>, now: SystemTime) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(der.clone()).unwrap();
        Self::roots(roots, now)
    }

    /// Trusts nobody.
    pub fn nobody() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(Issued::at(SystemTime::now()).der).unwrap();
        Self::roots(roots, SystemTime::now())
    }

    /// Who speaks these protocols, preferred first.
    pub fn with_protocols(&self, protocols: &[&str]) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { config: Arc::new(config) }
    }

    /// For another client of TLS.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    fn roots(roots: RootCertStore, now: SystemTime) -> Self {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_details(provider, Arc::new(Fixed(now)));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.resumption = Resumption::disabled(); // which would show no certificate
        Self { config: Arc::new(config) }
    }

    /// Connects and shakes hands.
    pub fn connect(&self, address: SocketAddr) -> io::Result<Tls> {
        self.shake_hands(TcpStream::connect(address).expect("the server listens"))
    }

    pub fn shake_hands(&self, stream: TcpStream) -> io::Result<Tls> {
        stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let session = ClientConnection::new(self.config.clone(), name).unwrap();
        let mut tls = StreamOwned::new(session, stream);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        Ok(tls)
    }

    /// The certificate that the server shows.
    pub fn shown(&self, address: SocketAddr) -> io::Result<CertificateDer<'static>> {
        let tls = self.connect(address)?;
        Ok(tls.conn.peer_certificates().expect("a server shows one")[0].clone())
    }

    /// A WebSocket within TLS.
    #[track_caller]
    pub fn socket(&self, address: SocketAddr) -> Socket {
        self.socket_on(TcpStream::connect(address).expect("the server listens"))
    }

    #[track_caller]
    pub fn socket_on(&self, stream: TcpStream) -> Socket {
        let tcp = stream.try_clone().unwrap();
        let tls = self.shake_hands(stream).expect("the server is trusted");
        Socket::upgrade_over(tcp, Box::new(tls)).unwrap_or_else(|refused| panic!("refused: {refused:?}"))
    }

    /// A request, and the whole answer.
    pub fn get(&self, address: SocketAddr, path: &str) -> io::Result<super::http::Response> {
        let mut tls = self.connect(address)?;
        write!(tls, "GET {path} HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        tls.read_to_end(&mut answer)?; // an error if the end is not announced as TLS demands
        Ok(super::http::parse(&answer))
    }
}

/// A clock that stands still.
#[derive(Debug)]
struct Fixed(SystemTime);

impl TimeProvider for Fixed {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}
