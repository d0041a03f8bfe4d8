//! Whose address counts when a proxy stands between: what proxies that are trusted say.

use crate::config::Networks;
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

    /// The client of a request that came from `peer` with these header lines: `Forwarded` (RFC 7239) and `X-Forwarded-For`, each line as it
    /// stands, in order.
    ///
    /// Every proxy adds its peer at the end, so the lists are read from there, as far as they name proxies that are trusted; what is before
    /// that may be anybody's invention. Where both headers are there and disagree, the proxy knows only one of them and the client has
    /// sent the other: neither is believed, and the proxy's own address counts.
    fn client<'a>(
        &self,
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
        x_forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        if !self.trust(peer) {
            return peer;
        }
        let forwarded = self.furthest(forwarded.rev().flat_map(|line| line.rsplit(',').map(forwarded_for)));
        let x_forwarded_for =
            self.furthest(x_forwarded_for.rev().flat_map(|line| line.rsplit(',').map(node)));
        match (forwarded, x_forwarded_for) {
            (Some(one), Some(other)) if one != other => peer,
            (one, other) => one.or(other).unwrap_or(peer),
        }
    }

    /// The client of an HTTP request from `peer`.
    pub fn client_of_request(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trust(peer) {
            return peer;
        }
        let lines = |name: HeaderName| {
            let lines = headers.get_all(name).map(|line| line.to_str().unwrap_or_default());
            lines.collect::<Vec<_>>().into_iter()
        };
        self.client(peer, lines(header::FORWARDED), lines(header::X_FORWARDED_FOR))
    }

    /// The first that is no trusted proxy, from the nearest on. None: there is none, or it is not said by its address.
    fn furthest(&self, nearest_first: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        let mut last = None;
        for hop in nearest_first {
            last = Some(hop?);
            if !self.trust(hop?) {
                break;
            }
        }
        last
    }
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

    const PROXY: &str = "10.0.0.1";

    fn client(peer: &str, forwarded: &[&str], x_forwarded_for: &[&str]) -> String {
        let proxies = Proxies::new("10.0.0.0/8, 127.0.0.1, 2001:db8:1::/48".parse().unwrap());
        let (forwarded, other) = (forwarded.iter().copied(), x_forwarded_for.iter().copied());
        proxies.client(peer.parse().unwrap(), forwarded, other).to_string()
    }

    #[test]
    fn what_a_stranger_says_of_himself_counts_for_nothing() {
        assert_eq!(client("192.0.2.9", &["for=192.0.2.1"], &["192.0.2.1"]), "192.0.2.9");
        // A stranger's invention comes before what the proxy adds.
        assert_eq!(client(PROXY, &[], &["1.1.1.1, 192.0.2.9"]), "192.0.2.9");
        assert_eq!(client(PROXY, &[], &["1.1.1.1", "192.0.2.9"]), "192.0.2.9");
        assert_eq!(client(PROXY, &["for=1.1.1.1", "for=192.0.2.9"], &[]), "192.0.2.9");
    }

    #[test]
    fn a_chain_of_trusted_proxies_is_followed_to_its_end() {
        assert_eq!(client(PROXY, &[], &["1.1.1.1, 192.0.2.9, 10.0.0.3, 10.0.0.2"]), "192.0.2.9");
        assert_eq!(client("::ffff:10.0.0.1", &[], &["192.0.2.9, 2001:db8:1::5"]), "192.0.2.9");
        assert_eq!(client(PROXY, &[], &["10.0.0.3"]), "10.0.0.3", "nobody but proxies");
    }

    #[test]
    fn all_ways_to_write_an_address_are_read() {
        for (header, address) in [
            ("for=192.0.2.9", "192.0.2.9"),
            ("For=\"192.0.2.9:4711\";proto=https;by=203.0.113.43", "192.0.2.9"),
            ("proto=http; for=\"[2001:db8:2::17]:4711\"", "2001:db8:2::17"),
            ("for=\"[2001:db8:2::17]\"", "2001:db8:2::17"),
        ] {
            assert_eq!(client(PROXY, &[header], &[]), address, "{header}");
        }
        for (header, address) in [
            ("192.0.2.9:80", "192.0.2.9"),
            ("[2001:db8:2::1]:80", "2001:db8:2::1"),
            ("::ffff:192.0.2.9", "192.0.2.9"),
        ] {
            assert_eq!(client(PROXY, &[], &[header]), address, "{header}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_the_proxy_s() {
        for header in ["for=unknown", "for=_hidden", "for=", "by=1.2.3.4", "", "for=1.2.3", "\u{fffd}"] {
            assert_eq!(client(PROXY, &[header], &[]), PROXY, "{header}");
        }
        assert_eq!(client(PROXY, &[], &["192.0.2.9, nonsense"]), PROXY);
    }

    #[test]
    fn two_headers_that_disagree_are_not_believed() {
        assert_eq!(client(PROXY, &["for=1.1.1.1"], &["192.0.2.9"]), PROXY);
        assert_eq!(client(PROXY, &["for=192.0.2.9"], &["192.0.2.9"]), "192.0.2.9");
    }
}
