//! Which connections the server attributes to one client, as far as addresses can tell.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// An origin of connections that counts as one stranger: an IPv4 address, or an IPv6 /64, the smallest
/// network that a site gets (RFC 6177), which has 2⁶⁴ addresses. IPv4-mapped addresses (RFC 4291, section
/// 2.5.5.2) count as IPv4.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source(IpAddr);

impl Source {
    /// All clients of which nothing better is known.
    pub const UNKNOWN: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    /// The source of an address.
    pub fn of(address: IpAddr) -> Self {
        match translated(address.to_canonical()) {
            IpAddr::V6(address) if !address.is_loopback() => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Self(Ipv6Addr::from(network).into())
            }
            address => Self(address),
        }
    }

    /// Whether it is this machine: a load test, or a proxy that was not named as one and has one address for
    /// all its clients.
    pub fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

/// The IPv4 address of a client whose network translates it (RFC 6052, section 2.1: 64:ff9b::/96). Clients
/// under this prefix are not one site.
fn translated(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => {
            let v4 = Ipv4Addr::from_bits(v6.to_bits() as u32);
            if v4.is_loopback() { address } else { v4.into() }
        }
        _ => address,
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            _ if *self == Self::UNKNOWN => f.write_str("an unknown address"),
            IpAddr::V6(network) if !network.is_loopback() => write!(f, "{network}/64"),
            address => address.fmt(f),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    #[test]
    fn all_addresses_of_a_site_are_one_source() {
        assert_eq!(source("2001:db8:0:1::1"), source("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(source("2001:db8:0:1::1"), source("2001:db8:0:2::1"));
        assert_eq!(source("2001:db8:0:1::1").to_string(), "2001:db8:0:1::/64");
    }

    #[test]
    fn a_mapped_address_is_the_one_that_is_mapped() {
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_eq!(source("64:ff9b::192.0.2.1"), source("192.0.2.1"));
        assert!(!source("64:ff9b::127.0.0.1").is_loopback());
        assert!(source("::ffff:127.0.0.1").is_loopback() && source("::1").is_loopback());
        assert!(!source("::2").is_loopback());
    }

    #[test]
    fn what_is_unknown_is_shown_as_no_address() {
        assert_eq!(Source::UNKNOWN.to_string(), "an unknown address");
    }
}
