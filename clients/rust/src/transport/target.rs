//! Where to dial, from the URL that the user gives.

use super::DialError;
use tungstenite::http::Uri;

/// The path where servers accept connections.
const CONNECT_PATH: &str = "/v1/connect";

/// `ws://host[:port][/path]` or `wss://…`: one URL for all transports, which use the same port number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The URL as the user wrote it.
    given: String,
    secure: bool,
    host: String,
    port: u16,
    path: String,
    /// Host and port of QUIC, if they are not the same.
    quic: Option<(String, u16)>,
    /// It is a node to which the client was sent.
    node: bool,
}

impl Target {
    pub fn parse(url: &str) -> Result<Self, DialError> {
        let bad = |reason: &str| DialError::Url { url: url.to_owned(), reason: reason.to_owned() };
        let uri: Uri = url.parse().map_err(|e| bad(&format!("{e}")))?;
        let secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(bad("it must start with ws:// or wss://")),
        };
        let host = uri.host().filter(|h| !h.is_empty()).ok_or_else(|| bad("it names no host"))?;
        let path = match uri.path_and_query().map(|p| p.as_str()) {
            Some("") | Some("/") | None => CONNECT_PATH,
            Some(path) => path,
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self {
            given: url.to_owned(),
            secure,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
            quic: None,
            node: false,
        })
    }

    /// A node to which the server at this place has sent the client. Not from TLS to a place without.
    pub fn moved(&self, url: &str, quic: &str) -> Result<Self, DialError> {
        let moved = Self::parse(url)?;
        if self.secure && !moved.secure {
            return Err(moved.bad("a server with TLS must not send clients to one without: see --public-url"));
        }
        let quic = quic.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let quic = quic.map(|(host, port)| (host.trim_matches(['[', ']']).to_owned(), port));
        Ok(Self { quic, node: true, ..moved })
    }

    /// Whether it is a node to which the client was sent.
    pub fn is_node(&self) -> bool {
        self.node
    }

    /// Host and port of QUIC, unless the server says otherwise.
    pub fn quic(&self) -> (&str, u16) {
        self.quic.as_ref().map_or((self.name(), self.port), |(host, port)| (host, *port))
    }

    /// An error about the URL.
    pub fn bad(&self, reason: impl Into<String>) -> DialError {
        DialError::Url { url: self.given.clone(), reason: reason.into() }
    }

    /// An error: nobody answers at the address.
    pub fn unreachable(&self, reason: impl ToString) -> DialError {
        DialError::Unreachable { address: self.address(), reason: reason.to_string() }
    }

    /// Whether it says `wss://`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// `host:port`; an IPv6 address has its brackets.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host without brackets: the name in a certificate.
    pub fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The same place, naming what the client will ask for, so that a server can say at once that it may not.
    /// (Names that are not allowed have no effect here: the join will be refused.)
    pub fn asking(mut self, what: &[(&str, &str)]) -> Self {
        let plain = |name: &&str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        for (key, value) in what {
            if let Some(value) = Some(*value).filter(|value| !value.is_empty()).filter(plain) {
                let before = if self.path.contains('?') { '&' } else { '?' };
                self.path.push_str(&format!("{before}{key}={value}"));
            }
        }
        self
    }

    /// The path of another part of the server's API: beside that where it accepts connections.
    pub fn path_of(&self, name: &str) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{}/v1/{name}", path.strip_suffix(CONNECT_PATH).unwrap_or_default())
    }

    /// The same place with another scheme.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}{}", self.address(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_the_default() {
        let target = |url: &str| Target::parse(url).unwrap();
        assert_eq!(target("ws://example.org").url("ws"), "ws://example.org:80/v1/connect");
        assert_eq!(target("wss://example.org/").url("https"), "https://example.org:443/v1/connect");
        assert_eq!(target("ws://[::1]:7777/x?y=z").url("ws"), "ws://[::1]:7777/x?y=z");
        assert_eq!(
            target("ws://x").asking(&[("room", "a"), ("kind", "b")]).url("ws"),
            "ws://x:80/v1/connect?room=a&kind=b"
        );
        assert_eq!(
            target("ws://x/y?z").asking(&[("room", "a&b"), ("kind", "c")]).url("ws"),
            "ws://x:80/y?z&kind=c"
        );
        assert_eq!(target("ws://x").path_of("a"), "/v1/a");
        assert_eq!(target("ws://x/game/v1/connect?y=z").path_of("a"), "/game/v1/a");
        assert_eq!(target("ws://x/elsewhere").path_of("a"), "/v1/a");
        assert_eq!(target("ws://[::1]:7777").name(), "::1");
        assert_eq!(target("ws://[::1]:7777").address(), "[::1]:7777");
    }

    #[test]
    fn a_node_is_elsewhere_and_as_safe() {
        let (plain, secure) = (Target::parse("ws://a:1").unwrap(), Target::parse("wss://a/x").unwrap());
        let moved = plain.moved("ws://b:2", "c:3").unwrap();
        assert_eq!((moved.url("ws").as_str(), moved.quic()), ("ws://b:2/v1/connect", ("c", 3)));
        assert_eq!(secure.moved("wss://b", "[::1]:3").unwrap().quic(), ("::1", 3));
        assert_eq!(secure.moved("wss://b", "").unwrap().quic(), ("b", 443));
        assert!(matches!(secure.moved("ws://b", ""), Err(DialError::Url { .. })));
    }

    #[test]
    fn what_cannot_be_dialled_is_the_callers_fault() {
        for url in ["http://x", "example.org:7777", "ws://", "ws://:7777", "ws://x y"] {
            assert!(matches!(Target::parse(url), Err(DialError::Url { .. })), "{url}");
        }
    }
}
