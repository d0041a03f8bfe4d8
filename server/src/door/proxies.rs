//! Which address counts when a proxy connects on behalf of a client.

use crate::{
    config::{Networks, ProxyHeader},
    ground::source::Source,
};
use actix_web::http::header::{self, HeaderMap};
use std::{
    iter,
    net::{IpAddr, SocketAddr},
};

/// The proxies that are trusted to name their clients, and the header in which they do.
#[derive(Debug, Clone)]
pub struct Proxies {
    trusted: Networks,
    header: ProxyHeader,
}

impl Proxies {
    /// Trusts the proxies in these networks.
    pub fn new(trusted: Networks, header: ProxyHeader) -> Self {
        Self { trusted, header }
    }

    /// Whether this address is a trusted proxy.
    pub fn trust(&self, address: IpAddr) -> bool {
        self.trusted.contain(address)
    }

    /// The source of a request that came from `peer` with these headers.
    ///
    /// Every proxy appends its peer to the list, so the list is read from its end for as long as it names
    /// trusted proxies. Anything before that may be invented, and need not even be text. A client that cannot
    /// be determined is [unknown](Source::UNKNOWN), never the proxy itself, which may have no limits. Only a
    /// proxy that sends no such header counts as its own client.
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> Source {
        if !self.trust(peer) {
            return Source::of(peer);
        }
        let name = match self.header {
            ProxyHeader::XForwardedFor => header::X_FORWARDED_FOR,
            ProxyHeader::Forwarded => header::FORWARDED,
        };
        let address_of = |hop| match self.header {
            ProxyHeader::XForwardedFor => node(hop),
            ProxyHeader::Forwarded => forwarded_for(hop),
        };
        let lines: Vec<_> = headers.get_all(name).collect();
        let hops = lines.iter().rev().flat_map(|line| from_end(line.as_bytes(), b','));
        let mut source = Source::of(peer);
        for hop in hops {
            let Some(address) = address_of(hop) else { return Source::UNKNOWN };
            // A client that claims to be this machine is limited all the same.
            source = if address.is_loopback() { Source::UNKNOWN } else { Source::of(address) };
            if !self.trust(address) {
                break;
            }
        }
        source
    }
}

/// The parts of a text between separators, the last one first. A separator within a quoted string is none
/// (RFC 9110, section 5.6.4). A quote that a client has left open before what its proxy adds hides nothing of
/// that, because it is read from its end.
fn from_end(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let at = (0..text.len()).rev().find(|at| {
            let is_escaped = || text[..*at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
            quoted ^= text[*at] == b'"' && !is_escaped();
            text[*at] == separator && !quoted
        });
        rest = at.map(|at| &text[..at]);
        Some(at.map_or(text, |at| &text[at + 1..]))
    })
}

/// The `for` of one element of `Forwarded` (RFC 7239, section 4), which may be there once.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let pairs = from_end(element, b';').filter_map(|pair| str::from_utf8(pair).ok()?.split_once('='));
    let mut values = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case("for")).map(|(_, value)| value);
    let (value, more) = (values.next()?.trim(), values.next());
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let value = quoted.map_or_else(|| value.to_owned(), unescaped);
    node(value.as_bytes()).filter(|_| more.is_none())
}

/// What is in a quoted string.
fn unescaped(quoted: &str) -> String {
    let mut chars = quoted.chars();
    iter::from_fn(|| chars.next().and_then(|char| if char == '\\' { chars.next() } else { Some(char) }))
        .collect()
}

/// An address, with or without a port, in brackets or not.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim();
    let address = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    const PROXY: &str = "10.0.0.1";

    fn said(header: ProxyHeader, peer: &str, lines: &[&[u8]]) -> Source {
        let proxies = Proxies::new("10.0.0.0/8, 127.0.0.1, 2001:db8:1::/48".parse().unwrap(), header);
        let mut headers = HeaderMap::new();
        for line in lines {
            for name in [header::FORWARDED, header::X_FORWARDED_FOR] {
                let ours = (name == header::FORWARDED) == (header == ProxyHeader::Forwarded);
                let line = if ours { *line } else { b"for=203.0.113.6" };
                headers.append(name, HeaderValue::from_bytes(line).unwrap());
            }
        }
        proxies.source(peer.parse().unwrap(), &headers)
    }

    fn client(peer: &str, lines: &[&str]) -> Source {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        said(ProxyHeader::XForwardedFor, peer, &lines)
    }

    fn of(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    #[test]
    fn what_a_stranger_says_of_himself_counts_for_nothing() {
        assert_eq!(client("192.0.2.9", &["192.0.2.1"]), of("192.0.2.9"));
        // What a stranger invents comes before what the proxy adds.
        for invented in ["1.1.1.1", "127.0.0.1", "nonsense", "", "a, b; c"] {
            assert_eq!(client(PROXY, &[&format!("{invented}, 192.0.2.9")]), of("192.0.2.9"), "{invented}");
            assert_eq!(client(PROXY, &[invented, "192.0.2.9"]), of("192.0.2.9"), "{invented}");
        }
        assert_eq!(said(ProxyHeader::XForwardedFor, PROXY, &[b"\xff, 192.0.2.9"]), of("192.0.2.9"));
        assert_eq!(said(ProxyHeader::Forwarded, PROXY, &[b"for=1.1.1.1", b"for=192.0.2.9"]), of("192.0.2.9"));
    }

    #[test]
    fn a_chain_of_trusted_proxies_is_followed_to_its_end() {
        assert_eq!(client(PROXY, &["1.1.1.1, 192.0.2.9, 10.0.0.3, 10.0.0.2"]), of("192.0.2.9"));
        assert_eq!(client("::ffff:10.0.0.1", &["192.0.2.9, 2001:db8:1::5"]), of("192.0.2.9"));
        assert_eq!(client(PROXY, &["10.0.0.3"]), of("10.0.0.3"), "nobody but proxies");
    }

    #[test]
    fn all_ways_to_write_an_address_are_read() {
        for (header, address) in [
            ("for=192.0.2.9", "192.0.2.9"),
            ("For=\"192.0.2.9:4711\";proto=https;by=203.0.113.43", "192.0.2.9"),
            ("proto=http; for=\"[2001:db8:2::17]:4711\"", "2001:db8:2::17"),
            ("for=\"[2001:db8:2::17]\"", "2001:db8:2::17"),
        ] {
            assert_eq!(said(ProxyHeader::Forwarded, PROXY, &[header.as_bytes()]), of(address), "{header}");
        }
        for (header, address) in [
            ("192.0.2.9:80", "192.0.2.9"),
            ("[2001:db8:2::1]:80", "2001:db8:2::1"),
            ("::ffff:192.0.2.9", "192.0.2.9"),
        ] {
            assert_eq!(client(PROXY, &[header]), of(address), "{header}");
        }
    }

    // RFC 7239, section 4; RFC 9110, section 5.6.4
    #[test]
    fn what_is_quoted_separates_nothing() {
        for (header, address) in [
            ("for=192.0.2.9;by=\"a,b\"", "192.0.2.9"),
            ("proto=https;for=192.0.2.9;host=\"a;b\"", "192.0.2.9"),
            ("host=\"x, for=203.0.113.9\";for=192.0.2.9", "192.0.2.9"),
            ("for=192.0.2.9;host=\"x, for=203.0.113.9\"", "192.0.2.9"),
            ("for=192.0.2.9;host=\"x;for=203.0.113.9\"", "192.0.2.9"),
            ("for=192.0.2.9;host=\"a\\\", for=203.0.113.9\"", "192.0.2.9"),
            ("for=192.0.2.9;host=\"a\\\\\"", "192.0.2.9"),
            ("for=\"\\192.0.2.9\"", "192.0.2.9"),
            // What a client has left open hides nothing that the proxy adds.
            ("for=\"203.0.113.9, for=192.0.2.9", "192.0.2.9"),
            ("for=\"203.0.113.9, for=\"192.0.2.9\"", "192.0.2.9"),
        ] {
            assert_eq!(said(ProxyHeader::Forwarded, PROXY, &[header.as_bytes()]), of(address), "{header}");
        }
    }

    #[test]
    fn a_client_that_cannot_be_told_is_unknown_and_never_the_proxy() {
        for header in [
            "for=unknown",
            "for=_hidden",
            "for=",
            "by=1.2.3.4",
            "",
            "for=1.2.3",
            "for=\"192.0.2.9",
            "for=192.0.2.9;for=192.0.2.8",
        ] {
            assert_eq!(
                said(ProxyHeader::Forwarded, PROXY, &[header.as_bytes()]),
                Source::UNKNOWN,
                "{header}"
            );
        }
        assert_eq!(client(PROXY, &["192.0.2.9, nonsense"]), Source::UNKNOWN);
        assert_eq!(client("127.0.0.1", &["127.0.0.1"]), Source::UNKNOWN, "loopback has no limits");
    }

    #[test]
    fn a_proxy_that_says_nothing_asks_for_itself() {
        assert_eq!(client(PROXY, &[]), of(PROXY));
    }
}
