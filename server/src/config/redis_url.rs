//! Where Redis is.

use std::{fmt, str::FromStr};

/// Port of a Redis, if none is named.
const PORT: u16 = 6379;
/// Port of a Sentinel, if none is named.
const SENTINEL_PORT: u16 = 26379;

/// `redis://[USER:PASSWORD@]HOST[:PORT]`, `rediss://` with TLS, or
/// `redis+sentinel://[USER:PASSWORD@]HOST[:PORT],…/NAME` for the master called NAME that these Sentinels know
/// (`rediss+sentinel://` with TLS to all of them).
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// TLS.
    pub(crate) secure: bool,
    /// The user, if it is not the default one.
    pub(crate) user: Option<String>,
    /// The user's password.
    pub(crate) password: Option<String>,
    /// Hosts and ports.
    pub(crate) hosts: Vec<(String, u16)>,
    /// What answers there.
    pub(crate) at: At,
}

/// What answers at the hosts of an address.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum At {
    /// The one Redis.
    Redis,
    /// Sentinels, who know where the master with this name is.
    Sentinels(String),
    /// Members of a Redis Cluster.
    Cluster,
}

impl FromStr for RedisUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (scheme, rest) = text.split_once("://").ok_or(())?;
        let (transport, way) = scheme.split_once('+').unwrap_or((scheme, ""));
        let secure = match transport {
            "redis" => false,
            "rediss" => true,
            _ => return Err(()),
        };
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, rest),
        };
        let (user, password) = match credentials.map(|text| text.split_once(':').ok_or(())).transpose()? {
            Some((user, password)) => (Some(decoded(user)?), Some(decoded(password)?)),
            None => (None, None),
        };
        let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
        let at = match (way, path) {
            ("", "") => At::Redis,
            ("sentinel", name) if !name.is_empty() => At::Sentinels(name.to_owned()),
            ("cluster", "") => At::Cluster,
            _ => return Err(()),
        };
        let default = if way == "sentinel" { SENTINEL_PORT } else { PORT };
        let hosts = hosts.split(',').map(|host| address(host, default)).collect::<Result<Vec<_>, ()>>()?;
        let user = user.filter(|user| !user.is_empty());
        let fits = at != At::Redis || hosts.len() == 1;
        fits.then_some(Self { secure, user, password, hosts, at }).ok_or(())
    }
}

fn address(text: &str, default: u16) -> Result<(String, u16), ()> {
    let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(drop)?),
        _ => (text, default),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    (!host.is_empty() && host.chars().all(plain)).then(|| (bare(host), port)).ok_or(())
}

/// A part of a URL, without its percent signs.
fn decoded(text: &str) -> Result<String, ()> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = more.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or(())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(drop)?);
        rest = &more[2..];
    }
    String::from_utf8(bytes).map_err(drop)
}

/// Without the password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secure, hosts, at, .. } = self;
        let tls = if *secure { "s" } else { "" };
        let (way, path) = match at {
            At::Redis => ("", String::new()),
            At::Sentinels(name) => ("+sentinel", format!("/{name}")),
            At::Cluster => ("+cluster", String::new()),
        };
        let hosts: Vec<_> = hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        write!(f, "redis{tls}{way}://{}{path}", hosts.join(","))
    }
}

/// Without the password.
impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_shown_without_its_password() {
        let url: RedisUrl = "redis://game:s%40cret@db.example".parse().unwrap();
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("game"), Some("s@cret")));
        assert_eq!(format!("{url} {url:?}"), "redis://db.example:6379 redis://db.example:6379");
        let url: RedisUrl = "rediss+sentinel://:x@a,b:7/main".parse().unwrap();
        assert_eq!(url.to_string(), "rediss+sentinel://a:26379,b:7/main");
        assert_eq!((url.user, url.password.as_deref()), (None, Some("x")));
        let url: RedisUrl = "redis+cluster://a,b:7".parse().unwrap();
        assert_eq!(url.to_string(), "redis+cluster://a:6379,b:7");
        assert_eq!("redis://[::1]:7000".parse::<RedisUrl>().unwrap().hosts, [("::1".to_owned(), 7000)]);
        assert_eq!("redis://[::1]".parse::<RedisUrl>().unwrap().hosts, [("::1".to_owned(), 6379)]);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "db.example",
            "http://x",
            "redis://",
            "redis://a,b",
            "redis://a/0",
            "redis://x@a",
            "redis://:%zz@a",
            "redis+sentinel://a,b",
            "redis+cluster://a/main",
            "redis+more://a",
            "redis://a:b",
            "redis://a b",
        ] {
            assert!(bad.parse::<RedisUrl>().is_err(), "{bad:?}");
        }
    }
}
