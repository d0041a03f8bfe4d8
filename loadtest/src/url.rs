//! The server's address as a user writes it.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    str::FromStr,
};

/// `ws://HOST[:PORT][/PATH]`, or `wss://` for TLS. Without a port 7777, the server's default, or 443 with
/// TLS; without a path `/v1/connect`. (`http://` and `https://` mean the same.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    host: String,
    port: u16,
    path: String,
}

/// What is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `ws://` nor `wss://`.
    #[error("{0:?} does not start with ws:// or wss://")]
    Scheme(String),
    /// It has TLS, which what was asked for does not speak.
    #[error(
        "{0} has TLS, which only `run` speaks: give ws:// and the port of the server itself, without a proxy"
    )]
    Tls(String),
    /// Nothing after `ws://`.
    #[error("{0:?} names no host")]
    Host(String),
    /// The port is not a number from 1 to 65535.
    #[error("{0:?} is not a port (1 to 65535)")]
    Port(String),
}

impl Url {
    /// Host and port, as in a `Host:` header.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
    /// Whether it has TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }
    /// Itself, if it has no TLS.
    pub fn plain(&self) -> Result<&Self, UrlError> {
        if self.secure { Err(UrlError::Tls(self.to_string())) } else { Ok(self) }
    }
    /// Where its HTTP is.
    pub fn http(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
    /// The path that is asked for.
    pub fn path(&self) -> &str {
        &self.path
    }
    /// Where to connect: the first IPv4 address, or the first of any kind.
    pub fn resolve(&self) -> io::Result<SocketAddr> {
        let found: Vec<_> = self.authority().to_socket_addrs()?.collect();
        found
            .iter()
            .find(|address| address.is_ipv4())
            .or(found.first())
            .copied()
            .ok_or_else(|| io::Error::other(format!("{} has no address", self.host)))
    }
}

impl FromStr for Url {
    type Err = UrlError;
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let plain = text.strip_prefix("ws://").or_else(|| text.strip_prefix("http://"));
        let tls = text.strip_prefix("wss://").or_else(|| text.strip_prefix("https://"));
        let (secure, rest) = match (plain, tls) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(UrlError::Scheme(text.to_owned())),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) if !path.is_empty() => (authority, format!("/{path}")),
            Some((authority, _)) => (authority, "/v1/connect".to_owned()),
            None => (rest, "/v1/connect".to_owned()),
        };
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an address in brackets are not the port's.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        if host.is_empty() {
            return Err(UrlError::Host(text.to_owned()));
        }
        let port = match port {
            None => {
                if secure {
                    443
                } else {
                    7777
                }
            }
            Some(port) => {
                port.parse().ok().filter(|&p| p > 0).ok_or_else(|| UrlError::Port(port.to_owned()))?
            }
        };
        Ok(Self { secure, host: host.to_owned(), port, path })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_the_servers_default() {
        let show = |text: &str| text.parse::<Url>().map(|url| url.to_string());
        assert_eq!(show("ws://127.0.0.1:9000"), Ok("ws://127.0.0.1:9000/v1/connect".into()));
        assert_eq!(show("ws://localhost/"), Ok("ws://localhost:7777/v1/connect".into()));
        assert_eq!(show("ws://[::1]:80/x?y"), Ok("ws://[::1]:80/x?y".into()));
        assert_eq!(show("ws://[::1]"), Ok("ws://[::1]:7777/v1/connect".into()));
        assert_eq!(show("wss://play.example"), Ok("wss://play.example:443/v1/connect".into()));
        assert_eq!(show("https://play.example:8443/"), Ok("wss://play.example:8443/v1/connect".into()));
        assert_eq!(show("http://x"), Ok("ws://x:7777/v1/connect".into()));
    }

    /// Servers limit connections per address, except on loopback.
    #[test]
    fn this_machine_is_its_loopback_address() {
        for url in ["ws://localhost:9000", "ws://127.0.0.1:9000"] {
            let resolved = url.parse::<Url>().unwrap().resolve().unwrap();
            assert_eq!(resolved, SocketAddr::from(([127, 0, 0, 1], 9000)), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!("ftp://x".parse::<Url>(), Err(UrlError::Scheme("ftp://x".into())));
        let url: Url = "wss://x".parse().unwrap();
        assert_eq!(url.plain(), Err(UrlError::Tls("wss://x:443/v1/connect".into())));
        assert_eq!("ws://:80".parse::<Url>(), Err(UrlError::Host("ws://:80".into())));
        assert_eq!("ws://x:0".parse::<Url>(), Err(UrlError::Port("0".into())));
    }
}
