//! Networks by prefix.

use ipnet::{IpNet, Ipv4Net};
use std::{fmt, net::IpAddr, str::FromStr};

/// Networks, such as `10.0.0.0/8, 2001:db8::/32`. A single address is a network of one. IPv4-mapped ones
/// (`::ffff:10.0.0.0/104`) are those of IPv4, as addresses are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether an address is in one of them. IPv4-mapped addresses count as IPv4.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = |text: &str| {
            text.parse().or_else(|error| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| error))
        };
        text.split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(|text| network(text).map(canonical))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// The network of IPv4 that an IPv4-mapped one maps.
fn canonical(network: IpNet) -> IpNet {
    let mapped = || match network {
        IpNet::V6(mapped) => {
            Ipv4Net::new(mapped.addr().to_ipv4_mapped()?, mapped.prefix_len().checked_sub(96)?).ok()
        }
        IpNet::V4(_) => None,
    };
    mapped().map_or(network, IpNet::V4)
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_network_is_the_one_that_it_maps() {
        for (written, address, inside) in [
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1", true),
            ("::ffff:127.0.0.1", "127.0.0.2", false),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "11.0.0.1", false),
            ("::ffff:0:0/96", "203.0.113.1", true),
            ("::/0", "2001:db8::1", true),
            ("::/0", "203.0.113.1", false),
        ] {
            let networks: Networks = written.parse().unwrap();
            assert_eq!(networks.contain(address.parse().unwrap()), inside, "{written} {address}");
        }
        assert_eq!("::ffff:10.0.0.0/104".parse::<Networks>().unwrap().to_string(), "10.0.0.0/8");
    }
}
