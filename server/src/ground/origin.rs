//! Which web pages may use the server. With each cross-origin request, WebSocket and WebTransport session, a
//! browser says where the page came from (RFC 6454, section 7; Fetch, section 3.2).

use std::{fmt, net::IpAddr, str::FromStr};

/// The rules for origins. A program that is not a browser sends no origin and is admitted: the rules protect
/// players' browsers from other people's pages, not the server from programs.
///
/// - Admitted are the server's own pages, and those that match a pattern.
/// - While the server listens on loopback, pages from loopback are admitted too, on any port: those of a
///   development server.
/// - While the server listens on loopback without TLS, the host name in the request must be a loopback name
///   or match a pattern. Otherwise a page whose own name was made to resolve to 127.0.0.1 (DNS rebinding)
///   would have the same origin as the server. Addresses and names without a dot cannot be made to, and no
///   certificate used here is valid for such a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    allowed: Vec<OriginPattern>,
    on_loopback: bool,
    tls: bool,
}

/// Origins to admit: `https://example.com`, `https://*.example.com:8443` (subdomains, but not the domain
/// itself), that of an app's pages (`capacitor://localhost`), `null` (pages without an origin, such as
/// files), or `*` (all).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Any,
    /// Compared as a whole: `null`, or one with a scheme of its own.
    Whole(String),
    Of {
        scheme: Scheme,
        host: String,
        below: bool,
        port: u16,
    },
}

/// Where an admitted request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// No page, or one of the server's own, which needs no permission to read the answer.
    Own,
    /// An admitted page from elsewhere, which has to be told so (CORS).
    Guest,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// The page is from elsewhere.
    #[error(
        "pages from {origin} may not use this server (requested as {host}): start it with --allow-origin {origin}"
    )]
    Origin {
        /// The page's origin.
        origin: String,
        /// The host name in the request.
        host: String,
    },
    /// The host name in the request may be anybody's.
    #[error(
        "this server listens on loopback and does not know the host name {0}: start it with \
         --allow-origin https://{0}, or make the proxy send the host name localhost"
    )]
    Host(String),
}

impl Foreign {
    /// Name in metrics and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Foreign::Origin { .. } => "foreign_origin",
            Foreign::Host(_) => "foreign_host",
        }
    }
}

/// The text is not a pattern of origins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an origin: write https://example.com, https://*.example.com, that of an app's pages \
     (capacitor://localhost), null (pages without an origin, such as files) or *"
)]
pub struct BadOrigin(String);

impl Origins {
    /// Admits what these patterns name. `on_loopback`: the server listens on a loopback address; `tls`: it
    /// has a certificate.
    pub fn new(allowed: Vec<OriginPattern>, on_loopback: bool, tls: bool) -> Self {
        Self { allowed, on_loopback, tls }
    }

    /// Whether a request is admitted. `host` is the host name in the request, with the port if it has one;
    /// `origin` is the page's origin, if there is one.
    ///
    /// # Errors
    /// Why the request is refused.
    pub fn check(&self, host: &str, origin: Option<&str>) -> Result<Page, Foreign> {
        self.decide(host, origin, |page, asked| {
            asked.port.unwrap_or(page.scheme.default_port()) == page.port()
        })
    }

    /// Like [`check`](Self::check), but ignores the port, because QUIC may have another one than the server's
    /// pages.
    ///
    /// # Errors
    /// Why the request is refused.
    pub fn check_any_port(&self, host: &str, origin: Option<&str>) -> Result<Page, Foreign> {
        self.decide(host, origin, |_, _| true)
    }

    fn decide(
        &self,
        host: &str,
        origin: Option<&str>,
        same_port: impl Fn(&Origin<'_>, &Authority<'_>) -> bool,
    ) -> Result<Page, Foreign> {
        let asked = Authority::parse(host).unwrap_or_default();
        if self.on_loopback
            && !self.tls
            && may_be_anybodys(asked.host)
            && !self.allowed.iter().any(|p| p.names(asked.host))
        {
            return Err(Foreign::Host(asked.host.to_owned()));
        }
        let Some(text) = origin else { return Ok(Page::Own) };
        let foreign = || Foreign::Origin { origin: text.to_owned(), host: host.to_owned() };
        let Some(origin) = Origin::parse(text) else {
            let allowed = self.allowed.iter().any(|pattern| pattern.is(text));
            return if allowed { Ok(Page::Guest) } else { Err(foreign()) };
        };
        if origin.authority.host.eq_ignore_ascii_case(asked.host) && same_port(&origin, &asked) {
            return Ok(Page::Own);
        }
        let from_here = self.on_loopback && is_loopback(origin.authority.host);
        if from_here || self.allowed.iter().any(|pattern| pattern.matches(&origin)) {
            return Ok(Page::Guest);
        }
        Err(foreign())
    }
}

impl OriginPattern {
    fn matches(&self, origin: &Origin<'_>) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Whole(_) => false,
            Kind::Of { scheme, port, .. } => {
                *scheme == origin.scheme && *port == origin.port() && self.names(origin.authority.host)
            }
        }
    }

    /// Whether it names an origin that is neither HTTP's nor HTTPS's.
    fn is(&self, text: &str) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Whole(whole) => whole.eq_ignore_ascii_case(text),
            Kind::Of { .. } => false,
        }
    }

    fn names(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Whole(_) => false,
            Kind::Of { host, below: false, .. } => host.eq_ignore_ascii_case(name),
            Kind::Of { host, below: true, .. } => {
                let name = name.to_ascii_lowercase();
                name.strip_suffix(host.as_str()).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
            }
        }
    }
}

impl FromStr for OriginPattern {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        if text == "*" {
            return Ok(Self(Kind::Any));
        }
        let bad = || BadOrigin(text.to_owned());
        if text == "null" || is_an_apps(text) {
            return Ok(Self(Kind::Whole(text.to_ascii_lowercase())));
        }
        let origin = Origin::parse(text).ok_or_else(bad)?;
        let (below, host) = match origin.authority.host.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, origin.authority.host),
        };
        if host.is_empty() || host.contains('*') {
            return Err(bad());
        }
        // Browsers send names as they are in the DNS (RFC 5890): xn--….
        let host = match host.is_ascii() {
            true => host.to_ascii_lowercase(),
            false => url::Host::parse(host).map_err(|_| bad())?.to_string(),
        };
        let (scheme, port) = (origin.scheme, origin.port());
        Ok(Self(Kind::Of { scheme, host, below, port }))
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, below, port) = match &self.0 {
            Kind::Any => return f.write_str("*"),
            Kind::Whole(whole) => return f.write_str(whole),
            Kind::Of { scheme, host, below, port } => (scheme, host, below, port),
        };
        write!(f, "{}://{}{host}", scheme.name(), if *below { "*." } else { "" })?;
        if *port == scheme.default_port() { Ok(()) } else { write!(f, ":{port}") }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Scheme, host and port: what browsers mean by an origin.
struct Origin<'a> {
    scheme: Scheme,
    authority: Authority<'a>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme =
            [Scheme::Http, Scheme::Https].into_iter().find(|s| s.name().eq_ignore_ascii_case(scheme))?;
        Some(Self { scheme, authority: Authority::parse(rest)? })
    }

    fn port(&self) -> u16 {
        self.authority.port.unwrap_or(self.scheme.default_port())
    }
}

/// A host, and a port if there is one.
#[derive(Default)]
struct Authority<'a> {
    /// An IPv6 address is in brackets.
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let end =
            if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
        let (host, port) = text.split_at(end);
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*[:]".contains(&byte) || !byte.is_ascii();
        if host.is_empty() || !host.bytes().all(fits) {
            return None;
        }
        match port.strip_prefix(':') {
            None if port.is_empty() => Some(Self { host, port: None }),
            Some(port) => Some(Self { host, port: Some(port.parse().ok()?) }),
            None => None,
        }
    }
}

/// Whether it is the origin of the pages of an app: of a scheme that no page in a browser has.
fn is_an_apps(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    // Those of the Web, whose origins are of another form, or are none (URL Standard, section 4.7).
    let known =
        ["http", "https", "ws", "wss", "ftp", "file"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    !known
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(fits)
        && Authority::parse(rest).is_some_and(|authority| !authority.host.contains('*'))
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// `localhost`, a name below it (RFC 6761, section 6.3), or a loopback address.
fn is_loopback(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || address(&host).is_some_and(|address| address.to_canonical().is_loopback())
}

/// Whether somebody else may have made this name resolve to this machine.
fn may_be_anybodys(host: &str) -> bool {
    host.contains('.') && address(host).is_none() && !is_loopback(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(allowed: &[&str], on_loopback: bool) -> Origins {
        Origins::new(allowed.iter().map(|text| text.parse().unwrap()).collect(), on_loopback, false)
    }

    #[test]
    fn who_sends_no_origin_is_let_in() {
        for on_loopback in [true, false] {
            for host in ["localhost:7777", "127.0.0.1:7777", "[::1]:7777", "192.0.2.1", "gateway", ""] {
                assert_eq!(origins(&[], on_loopback).check(host, None), Ok(Page::Own), "{host}");
            }
        }
        assert_eq!(origins(&[], false).check("game.example", None), Ok(Page::Own));
    }

    #[test]
    fn pages_of_the_server_are_its_own() {
        let ours = origins(&[], false);
        for (host, origin) in [
            ("game.example", "https://game.example"),
            ("game.example", "http://game.example"),
            ("game.example:443", "https://game.example"),
            ("GAME.example:8443", "https://game.EXAMPLE:8443"),
            ("[2001:db8::1]:7777", "http://[2001:db8::1]:7777"),
        ] {
            assert_eq!(ours.check(host, Some(origin)), Ok(Page::Own), "{host} {origin}");
        }
        assert_eq!(origins(&[], true).check("localhost:7777", Some("http://localhost:7777")), Ok(Page::Own));
    }

    #[test]
    fn pages_from_elsewhere_are_not() {
        for on_loopback in [true, false] {
            for origin in [
                "https://evil.example",
                "http://localhost.evil.example:7777",
                "http://127.0.0.1.evil.example",
                "http://evil.example:7777",
                "null",
                "",
                "localhost:7777",
                "file://localhost",
                "http://localhost:7777, http://evil.example",
                "http://user@localhost:7777",
                "http://localhost:7777/",
                "http://:7777",
            ] {
                let checked =
                    origins(&["https://game.example"], on_loopback).check("localhost:7777", Some(origin));
                assert!(matches!(checked, Err(Foreign::Origin { .. })), "{origin:?}: {checked:?}");
            }
        }
    }

    #[test]
    fn a_development_server_is_a_guest_only_of_a_server_on_loopback() {
        for origin in
            ["http://localhost:5173", "http://127.0.0.1:3000", "https://[::1]:1", "http://a.localhost"]
        {
            assert_eq!(origins(&[], true).check("localhost:7777", Some(origin)), Ok(Page::Guest), "{origin}");
            assert!(origins(&[], false).check("192.0.2.1:7777", Some(origin)).is_err(), "{origin}");
        }
    }

    #[test]
    fn patterns_name_who_is_a_guest() {
        let open =
            origins(&["https://game.example", "https://*.games.example", "http://10.0.0.1:8080"], false);
        for (origin, guest) in [
            ("https://game.example", true),
            ("https://GAME.example:443", true),
            ("http://game.example", false),
            ("https://game.example:8443", false),
            ("https://www.game.example", false),
            ("https://a.games.example", true),
            ("https://a.b.games.example", true),
            ("https://games.example", false),
            ("https://.games.example", false),
            ("https://evilgames.example", false),
            ("http://10.0.0.1:8080", true),
            ("null", false),
        ] {
            assert_eq!(open.check("api.example", Some(origin)).is_ok(), guest, "{origin}");
        }
        for origin in ["https://evil.example", "null"] {
            assert_eq!(origins(&["*"], false).check("api.example", Some(origin)), Ok(Page::Guest));
        }
    }

    #[test]
    fn pages_of_apps_and_pages_without_an_origin_are_let_in_by_name() {
        for own in ["capacitor://localhost", "tauri://localhost", "ionic://localhost:8100", "null"] {
            let apps = origins(&[own], true);
            assert_eq!(apps.check("localhost:7777", Some(own)), Ok(Page::Guest), "{own}");
            assert_eq!(own.parse::<OriginPattern>().unwrap().to_string(), own);
            for other in
                ["app://localhost", "file://", "capacitor://evil.example", "https://evil.example", ""]
            {
                assert!(apps.check("localhost:7777", Some(other)).is_err(), "{own} {other}");
            }
            assert!(apps.check("evil.example:7777", None).is_err(), "it names no host");
            assert!(origins(&["https://game.example"], true).check("localhost:7777", Some(own)).is_err());
        }
    }

    // RFC 5891
    #[test]
    fn a_name_in_unicode_is_the_one_that_browsers_send() {
        for (written, sent) in [
            ("https://m\u{fc}nchen.example", "https://xn--mnchen-3ya.example"),
            ("https://M\u{dc}NCHEN.example", "https://xn--mnchen-3ya.example"),
            ("https://*.b\u{fc}cher.example:8443", "https://a.xn--bcher-kva.example:8443"),
        ] {
            assert_eq!(
                origins(&[written], false).check("api.example", Some(sent)),
                Ok(Page::Guest),
                "{written}"
            );
        }
        let shown = "https://m\u{fc}nchen.example".parse::<OriginPattern>().unwrap().to_string();
        assert_eq!(shown, "https://xn--mnchen-3ya.example");
    }

    #[test]
    fn a_name_that_was_made_to_mean_this_machine_is_refused() {
        for host in ["evil.example:7777", "localhost.evil.example", "127.0.0.1.evil.example", "a.b"] {
            let checked = origins(&[], true).check(host, None);
            assert!(matches!(checked, Err(Foreign::Host(_))), "{host}: {checked:?}");
            // The rebound page has the same origin as the address it requests.
            assert!(origins(&[], true).check(host, Some(&format!("http://{host}"))).is_err(), "{host}");
            // On a server that everybody can reach, the host name protects nothing.
            assert_eq!(origins(&[], false).check(host, None), Ok(Page::Own));
        }
        let tls = Origins::new(Vec::new(), true, true);
        assert_eq!(tls.check("evil.example", None), Ok(Page::Own), "no browser takes the certificate for it");
        let behind_a_proxy = origins(&["https://game.example"], true);
        assert_eq!(behind_a_proxy.check("game.example", Some("https://game.example")), Ok(Page::Own));
        assert_eq!(origins(&["*"], true).check("game.example", None), Ok(Page::Own));
    }

    #[test]
    fn another_port_of_the_same_host_is_its_own_where_ports_differ() {
        let ours = origins(&[], false);
        assert!(ours.check("game.example:4433", Some("https://game.example")).is_err());
        assert_eq!(ours.check_any_port("game.example:4433", Some("https://game.example")), Ok(Page::Own));
        assert!(ours.check_any_port("game.example:4433", Some("https://evil.example")).is_err());
    }

    #[test]
    fn a_pattern_reads_as_it_is_written() {
        for text in ["*", "https://example.com", "https://*.example.com:8443", "http://[::1]:5173"] {
            assert_eq!(text.parse::<OriginPattern>().unwrap().to_string(), text);
        }
        assert_eq!(
            "HTTPS://Example.com:443".parse::<OriginPattern>().unwrap().to_string(),
            "https://example.com"
        );
        for text in [
            "",
            "example.com",
            "https://",
            "https://*",
            "https://*.",
            "https://a.*.b",
            "ftp://a",
            "wss://a",
            "file://",
            "capacitor://*",
            "capacitor://",
            "://a",
            "https://a/b",
        ] {
            assert!(text.parse::<OriginPattern>().is_err(), "{text:?}");
        }
    }
}
