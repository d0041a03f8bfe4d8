//! Where clients reach a server that is behind a proxy, or whose ports are mapped.

use actix_web::http::uri::{Authority, Uri};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    str::FromStr,
};

/// `https://HOST[:PORT]`, or `http://…`: the address that clients use for HTTP and WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    secure: bool,
    authority: Authority,
}

impl PublicUrl {
    /// The same as the beginning of a WebSocket's address.
    pub fn websocket(&self) -> String {
        format!("{}://{}", if self.secure { "wss" } else { "ws" }, self.authority)
    }

    /// Whether only this machine reaches it.
    pub fn is_loopback(&self) -> bool {
        let host = self.authority.host();
        host == "localhost" || address(host).is_some_and(|address| address.is_loopback())
    }

    /// Whether nobody reaches it, because it stands for all addresses of a machine.
    pub fn is_unspecified(&self) -> bool {
        address(self.authority.host()).is_some_and(|address| address.is_unspecified())
    }
}

/// `HOST:PORT` or `PORT`: the address that clients use for QUIC and WebTransport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicQuic {
    host: Option<String>,
    port: NonZeroU16,
}

impl PublicQuic {
    /// Whether nobody reaches it, because it stands for all addresses of a machine.
    pub fn is_unspecified(&self) -> bool {
        self.host.as_deref().and_then(address).is_some_and(|address| address.is_unspecified())
    }
}

/// Where clients should connect with QUIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// None: the host that they used for HTTP.
    pub host: Option<String>,
    /// The UDP port.
    pub port: u16,
}

impl Reached {
    /// The address for a client that calls the server `asked`, whose QUIC listens on `at`. The configured
    /// address comes first. Otherwise, a QUIC that shares HTTP's port number (`shares_port`) is assumed to be
    /// where the client found HTTP, if the client had to name that port: ports are mapped alike for TCP and
    /// UDP, while a proxy on 80 or 443 does not forward UDP.
    ///
    /// None: behind a proxy on this machine, a QUIC on loopback has no clients. They would try it first, and
    /// wait.
    pub fn new(
        url: Option<&PublicUrl>,
        quic: Option<&PublicQuic>,
        at: SocketAddr,
        shares_port: bool,
        asked: Option<&Authority>,
    ) -> Option<Self> {
        if at.ip().is_loopback() && quic.is_none() && url.is_some_and(|url| !url.is_loopback()) {
            return None;
        }
        let named = url.map(|url| &url.authority).or(asked).and_then(|named| named.port_u16());
        let mapped = named.filter(|port| shares_port && *port != 0);
        let host = quic.and_then(|quic| quic.host.clone());
        Some(Self {
            host: host.or_else(|| url.map(|url| url.authority.host().to_owned())),
            port: quic.map(|quic| quic.port.get()).or(mapped).unwrap_or(at.port()),
        })
    }
}

impl FromStr for PublicUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let uri: Uri = text.parse().map_err(drop)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(()),
        };
        if uri.path() != "/" || uri.query().is_some() {
            return Err(());
        }
        let authority = uri.authority().filter(|authority| is_host(authority.host())).ok_or(())?;
        // The parser above treats a port that it cannot parse as none.
        let port_fits = authority.port().is_none() || authority.port_u16().is_some_and(|port| port != 0);
        let plain = port_fits && !authority.as_str().contains('@') && !authority.as_str().ends_with(':');
        plain.then(|| Self { secure, authority: authority.clone() }).ok_or(())
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

impl FromStr for PublicQuic {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (Some(host), port),
            None => (None, text),
        };
        let port = port.parse().map_err(drop)?;
        match host {
            Some(host) if !is_host(host) => Err(()),
            host => Ok(Self { host: host.map(str::to_owned), port }),
        }
    }
}

impl fmt::Display for PublicQuic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{host}:{}", self.port),
            None => self.port.fmt(f),
        }
    }
}

/// The address that a host is, if it is no name.
fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(url: &str, quic: &str, shares_port: bool, asked: &str) -> (Option<String>, u16) {
        let (url, quic) = (url.parse().ok(), quic.parse().ok());
        let at = SocketAddr::from(([0, 0, 0, 0], 7777));
        let Reached { host, port } =
            Reached::new(url.as_ref(), quic.as_ref(), at, shares_port, asked.parse().ok().as_ref()).unwrap();
        (host, port)
    }

    #[test]
    fn clients_behind_a_proxy_are_not_sent_to_loopback() {
        let told = |url: &str, quic: &str, at: &str| {
            let (url, quic) = (url.parse().ok(), quic.parse().ok());
            Reached::new(url.as_ref(), quic.as_ref(), at.parse().unwrap(), true, None).is_some()
        };
        for at in ["127.0.0.1:7777", "[::1]:7777"] {
            assert!(!told("https://play.example.org", "", at), "they would wait for nothing");
            assert!(told("https://play.example.org", "7777", at), "a port that is mapped");
            assert!(told("http://localhost:7777", "", at) && told("http://127.0.0.1:7777", "", at));
            assert!(told("http://[::1]:7777", "", at) && told("", "", at));
        }
        assert!(told("https://play.example.org", "", "0.0.0.0:7777"));
    }

    #[test]
    fn nobody_is_sent_to_all_addresses_of_a_machine() {
        let url = |text: &str| text.parse::<PublicUrl>().unwrap().is_unspecified();
        let quic = |text: &str| text.parse::<PublicQuic>().unwrap().is_unspecified();
        assert!(url("http://0.0.0.0:7777") && url("https://[::]") && quic("0.0.0.0:7777") && quic("[::]:1"));
        assert!(!url("http://10.0.0.7:7777") && !url("https://a.example") && !quic("7777") && !quic("a:1"));
    }

    #[test]
    fn a_port_that_the_client_had_to_name_is_mapped_for_both() {
        assert_eq!(reached("", "", true, "127.0.0.1:8080"), (None, 8080), "-p 8080:7777");
        assert_eq!(reached("", "", true, "[::1]:8080"), (None, 8080));
        assert_eq!(reached("", "", true, "example.org"), (None, 7777), "a proxy carries no UDP");
        assert_eq!(reached("", "", false, "127.0.0.1:8080"), (None, 7777), "its port is its own");
        assert_eq!(reached("", "", true, "127.0.0.1:0"), (None, 7777));
    }

    #[test]
    fn what_is_set_counts_whatever_the_client_said() {
        let host = |name: &str| Some(name.to_owned());
        assert_eq!(reached("https://a.example:8443", "", true, "b:1"), (host("a.example"), 8443));
        assert_eq!(reached("https://a.example", "", true, "b:1"), (host("a.example"), 7777));
        assert_eq!(reached("", "9000", true, "b:1"), (None, 9000));
        assert_eq!(reached("", "9000", false, "b:1"), (None, 9000));
        assert_eq!(reached("https://a.example", "q.example:9000", true, "b:1"), (host("q.example"), 9000));
        assert_eq!(reached("", "[::1]:9000", true, "b:1"), (host("[::1]"), 9000));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "example.org",
            "ws://x",
            "https://",
            "https://x/y",
            "https://x?y",
            "https://u@x",
            "http://x:0",
            "http://x:",
        ] {
            assert!(bad.parse::<PublicUrl>().is_err(), "{bad:?}");
        }
        for bad in ["", "0", "65536", ":7777", "x:", "x:0", "::1:7", "a b:7", "x/y:7"] {
            assert!(bad.parse::<PublicQuic>().is_err(), "{bad:?}");
        }
        assert_eq!("https://x:8443/".parse::<PublicUrl>().unwrap().to_string(), "https://x:8443");
        assert_eq!("[::1]:7777".parse::<PublicQuic>().unwrap().to_string(), "[::1]:7777");
    }
}
