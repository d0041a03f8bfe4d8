//! Asks the server for its certificates: `GET /v1/certificate`.

use super::{DialError, Trust, stream::Stream, target::Target};
use crate::runtime::now;
use serde::Deserialize;
use std::{io, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Most bytes of the answer.
const MAX_ANSWER: u64 = 16 * 1024;

/// What the server says about itself, as far as a client needs it.
#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(default)]
    hashes_needed: bool,
    certificates: Vec<Certificate>,
    quic: Option<Quic>,
}

#[derive(Debug, Deserialize)]
struct Certificate {
    sha256_hex: String,
}

#[derive(Debug, Deserialize)]
struct Quic {
    /// Absent: the host of the request.
    host: Option<String>,
    port: u16,
}

/// Where QUIC is, and which certificates to trust there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    /// No authority has signed the certificates.
    pub hashes_needed: bool,
    pub hashes: Vec<[u8; 32]>,
    /// None: the host that was asked.
    pub host: Option<String>,
    pub port: u16,
}

/// Asks the server. `round_trip` is called with the round trip as soon as it is known.
pub(super) async fn listed(
    target: &Target,
    trust: &Trust,
    round_trip: impl Fn(Duration),
) -> Result<Fetched, DialError> {
    let (address, began) = (target.address(), now());
    let answer = match Stream::connect(target, trust).await? {
        Stream::Plain(tcp) => {
            round_trip(now() - began);
            get(target, tcp).await
        }
        // How long its handshake took says little about the way.
        Stream::Tls(tls) => get(target, *tls).await,
    };
    let answer = answer.map_err(|e| target.unreachable(e))?;
    // It may just have ended.
    let (head, body) =
        answer.split_once("\r\n\r\n").ok_or_else(|| target.unreachable("closed before it had answered"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    if status != 200 {
        return Err(DialError::Refused { address, status, body: body.chars().take(200).collect() });
    }
    read(body).map_err(|reason| DialError::NotDriftless { address, reason })
}

async fn get(target: &Target, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<String> {
    // HTTP/1.0: the body comes in one piece and ends with the connection.
    let (path, address) = (target.path_of("certificate"), target.address());
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    match stream.take(MAX_ANSWER).read_to_end(&mut answer).await {
        // Some servers end TLS without saying so. If something is missing, it cannot be read.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn read(json: &str) -> Result<Fetched, String> {
    let listed: Listed =
        serde_json::from_str(json).map_err(|e| format!("its /v1/certificate cannot be read: {e}"))?;
    let quic = listed.quic.ok_or("it does not serve QUIC")?;
    let hashes = listed.certificates.iter().map(|certificate| hash(&certificate.sha256_hex));
    let hashes: Option<Vec<_>> = hashes.collect();
    let hashes = hashes.ok_or("its /v1/certificate lists something that is not a SHA-256")?;
    // An address in brackets is for use with a port; here it stands alone.
    let host = quic.host.map(|host| host.trim_matches(['[', ']']).to_owned());
    Ok(Fetched { hashes_needed: listed.hashes_needed, hashes, host, port: quic.port })
}

fn hash(hex: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    bytes.try_into().ok().filter(|_| digits.len() == 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise 9: "Honest clients are not punished for what the server, a proxy or the network did".
    #[tokio::test]
    async fn a_server_that_ends_before_it_has_answered_is_asked_again() {
        for begun in ["", "HTTP/1.1 200 OK\r\n"] {
            let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let target = Target::parse(&format!("ws://{}", server.local_addr().unwrap())).unwrap();
            let ends = async {
                let (mut tcp, _) = server.accept().await.unwrap();
                assert!(tcp.read(&mut [0; 1024]).await.unwrap() > 0);
                tcp.write_all(begun.as_bytes()).await.unwrap();
            };
            let (asked, ()) = tokio::join!(listed(&target, &Trust::Fetch, |_| ()), ends);
            let error = asked.unwrap_err();
            assert!(error.may_retry(), "{error}");
        }
    }

    #[test]
    fn hashes_and_port_are_read_and_what_else_there_is_does_not_matter() {
        let json = |hash: &str, quic: &str| {
            format!(
                r#"{{"hashes_needed":true,"certificates":[{{"sha256":"","sha256_hex":"{hash}"}}],"quic":{quic}}}"#
            )
        };
        let quic = r#"{"port":7777,"alpn":"driftless/1"}"#;
        assert_eq!(read(&json(&"0aFF".repeat(16), quic)).unwrap().port, 7777);
        assert_eq!(read(&json(&"0a".repeat(32), quic)).unwrap().hashes, [[0x0a; 32]]);
        let elsewhere = r#"{"host":"play.example","port":7778}"#;
        assert_eq!(read(&json(&"0a".repeat(32), elsewhere)).unwrap().host.as_deref(), Some("play.example"));
        assert_eq!(read(&json(&"0a".repeat(32), "null")).unwrap_err(), "it does not serve QUIC");
        for bad in ["0a".repeat(31), "0g".repeat(32), "0a".repeat(33), "é".repeat(64)] {
            assert!(read(&json(&bad, quic)).is_err(), "{bad}");
        }
        assert!(read("").is_err() && read("{}").is_err());
    }
}
