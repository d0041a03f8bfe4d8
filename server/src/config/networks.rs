//! Networks by prefix.

use ipnet::IpNet;
use std::{fmt, net::IpAddr, str::FromStr};

/// Networks, such as `10.0.0.0/8, 2001:db8::/32`. A single address is a network of one.
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
            .map(network)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(", "))
    }
}
