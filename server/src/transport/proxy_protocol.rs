//! The PROXY protocol, version 2 (HAProxy's specification, section 2.2), which names the client before the
//! first byte of the connection itself.

use actix_rt::net::TcpStream;
use ppp::v2::{Addresses, Header};
use std::{io, net::SocketAddr};
use tokio::io::AsyncReadExt;

/// How a header begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What follows in one of a connection of the proxy's own: version 2, command LOCAL.
const LOCAL: u8 = 0x20;
/// Bytes of a header that precede its addresses.
const FIXED: usize = 16;
/// Most bytes of addresses and other data that a proxy may send.
const MAX_REST: usize = 1024;

/// Reads the header. None: the proxy connects on its own behalf (a health check), or the client does not use
/// IP.
pub(super) async fn client(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; FIXED];
    stream.read_exact(&mut header).await?;
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if rest > MAX_REST {
        return Err(bad("it is too long"));
    }
    header.resize(FIXED + rest, 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    parse(&header)
}

pub(super) fn parse(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    // Of a connection of the proxy's own, family and addresses are ignored, whatever they are.
    if header.starts_with(&SIGNATURE) && header.get(SIGNATURE.len()) == Some(&LOCAL) {
        return Ok(None);
    }
    let header = Header::try_from(header).map_err(|error| bad(&error.to_string()))?;
    Ok(match header.addresses {
        Addresses::IPv4(of) => Some((of.source_address, of.source_port).into()),
        Addresses::IPv6(of) => Some((of.source_address, of.source_port).into()),
        Addresses::Unspecified | Addresses::Unix(_) => None,
    })
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a PROXY protocol header, version 2: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    #[test]
    fn the_client_is_who_the_header_says() {
        let v4 = header(0x21, 0x11, &[192, 0, 2, 9, 10, 0, 0, 1, 0x12, 0x34, 0, 80]);
        assert_eq!(parse(&v4).unwrap(), Some("192.0.2.9:4660".parse().unwrap()));
        let local = header(0x20, 0x00, &[]);
        assert_eq!(parse(&local).unwrap(), None);
        // Their family and length count for nothing, as long as all is read.
        assert_eq!(parse(&header(0x20, 0x11, &[])).unwrap(), None);
        assert_eq!(parse(&header(0x20, 0xff, &[1, 2, 3])).unwrap(), None);
        assert!(parse(&header(0x21, 0x11, &[1, 2, 3])).is_err());
        assert!(parse(b"GET / HTTP/1.1\r\n").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(command: u8, family: u8, rest in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&header(command, family, &rest));
        }
    }
}
