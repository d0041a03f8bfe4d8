//! Whose address counts when a proxy stands between: what proxies that are trusted say.

use crate::{config::Networks, ground::source::Source};
use actix_web::http::header::{self, HeaderMap, HeaderName};
use std::net::{IpAddr, SocketAddr};

/// The proxies that are trusted to say for whom they ask.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Networks);

impl Proxies {
    /// Those in these networks.
    pub fn new(trusted: Networks) -> Self {
        Self(trusted)
    }

    /// Whether this is one of them.
    pub fn trust(&self, address: IpAddr) -> bool {
        self.0.contain(address)
    }

    /// Whose request it is that came from `peer` with these headers.
    ///
    /// Every proxy adds its peer at the end of `Forwarded` (RFC 7239) or `X-Forwarded-For`, so the lists are read from there, as far as they
    /// name proxies that are trusted; what is before that may be anybody's invention. Where both headers are there and disagree, the proxy
    /// knows only one of them and the client has sent the other: neither is believed. A client that cannot be told is
    /// [unknown](Source::UNKNOWN), never the proxy itself, which may have no limits.
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> Source {
        if !self.trust(peer) {
            return Source::of(peer);
        }
        let lines = |name: HeaderName| {
            let lines = headers.get_all(name).map(|line| line.to_str().unwrap_or("?"));
            lines.collect::<Vec<_>>().into_iter().rev()
        };
        let forwarded = lines(header::FORWARDED).flat_map(|line| line.rsplit(',').map(forwarded_for));
        let x_forwarded_for = lines(header::X_FORWARDED_FOR).flat_map(|line| line.rsplit(',').map(node));
        match (self.furthest(forwarded), self.furthest(x_forwarded_for)) {
            (Client::Nobody, Client::Nobody) => Source::of(peer),
            (Client::At(client), Client::Nobody) | (Client::Nobody, Client::At(client)) => Source::of(client),
            (Client::At(one), Client::At(other)) if one == other => Source::of(one),
            _ => Source::UNKNOWN,
        }
    }

    /// The first that is no trusted proxy, from the nearest on.
    fn furthest(&self, nearest_first: impl Iterator<Item = Option<IpAddr>>) -> Client {
        let mut client = Client::Nobody;
        for hop in nearest_first {
            let Some(hop) = hop else { return Client::Unreadable };
            client = Client::At(hop);
            if !self.trust(hop) {
                break;
            }
        }
        client
    }
}

/// What a header says of the client.
enum Client {
    /// Nothing.
    Nobody,
    /// Its address.
    At(IpAddr),
    /// Something else.
    Unreadable,
}

/// The `for` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case("for")).map(|(_, value)| value);
    node(values.next()?.trim().trim_matches('"'))
}

/// An address, with or without a port, in brackets or not.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
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

    fn client(peer: &str, forwarded: &[&str], x_forwarded_for: &[&str]) -> Source {
        let proxies = Proxies::new("10.0.0.0/8, 127.0.0.1, 2001:db8:1::/48".parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, lines) in [(header::FORWARDED, forwarded), (header::X_FORWARDED_FOR, x_forwarded_for)] {
            lines.iter().for_each(|line| headers.append(name.clone(), HeaderValue::from_str(line).unwrap()));
        }
        proxies.source(peer.parse().unwrap(), &headers)
    }

    fn of(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    #[test]
    fn what_a_stranger_says_of_himself_counts_for_nothing() {
        assert_eq!(client("192.0.2.9", &["for=192.0.2.1"], &["192.0.2.1"]), of("192.0.2.9"));
        // A stranger's invention comes before what the proxy adds.
        assert_eq!(client(PROXY, &[], &["1.1.1.1, 192.0.2.9"]), of("192.0.2.9"));
        assert_eq!(client(PROXY, &[], &["1.1.1.1", "192.0.2.9"]), of("192.0.2.9"));
        assert_eq!(client(PROXY, &["for=1.1.1.1", "for=192.0.2.9"], &[]), of("192.0.2.9"));
    }

    #[test]
    fn a_chain_of_trusted_proxies_is_followed_to_its_end() {
        assert_eq!(client(PROXY, &[], &["1.1.1.1, 192.0.2.9, 10.0.0.3, 10.0.0.2"]), of("192.0.2.9"));
        assert_eq!(client("::ffff:10.0.0.1", &[], &["192.0.2.9, 2001:db8:1::5"]), of("192.0.2.9"));
        assert_eq!(client(PROXY, &[], &["10.0.0.3"]), of("10.0.0.3"), "nobody but proxies");
    }

    #[test]
    fn all_ways_to_write_an_address_are_read() {
        for (header, address) in [
            ("for=192.0.2.9", "192.0.2.9"),
            ("For=\"192.0.2.9:4711\";proto=https;by=203.0.113.43", "192.0.2.9"),
            ("proto=http; for=\"[2001:db8:2::17]:4711\"", "2001:db8:2::17"),
            ("for=\"[2001:db8:2::17]\"", "2001:db8:2::17"),
        ] {
            assert_eq!(client(PROXY, &[header], &[]), of(address), "{header}");
        }
        for (header, address) in [
            ("192.0.2.9:80", "192.0.2.9"),
            ("[2001:db8:2::1]:80", "2001:db8:2::1"),
            ("::ffff:192.0.2.9", "192.0.2.9"),
        ] {
            assert_eq!(client(PROXY, &[], &[header]), of(address), "{header}");
        }
    }

    #[test]
    fn a_client_that_cannot_be_told_is_unknown_and_never_the_proxy() {
        for header in ["for=unknown", "for=_hidden", "for=", "by=1.2.3.4", "", "for=1.2.3"] {
            assert_eq!(client(PROXY, &[header], &[]), Source::UNKNOWN, "{header}");
        }
        assert_eq!(client(PROXY, &[], &["192.0.2.9, nonsense"]), Source::UNKNOWN);
    }

    #[test]
    fn a_proxy_that_says_nothing_asks_for_itself() {
        assert_eq!(client(PROXY, &[], &[]), of(PROXY));
    }

    #[test]
    fn two_headers_that_disagree_are_not_believed() {
        assert_eq!(client(PROXY, &["for=1.1.1.1"], &["192.0.2.9"]), Source::UNKNOWN);
        assert_eq!(client(PROXY, &["for=192.0.2.9"], &["192.0.2.9"]), of("192.0.2.9"));
    }
}
