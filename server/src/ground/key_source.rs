//! Where keys come from: files, and the addresses of sets of keys (JWKS, RFC 7517).

use actix_web::http::Uri;
use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

/// A place with keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file: a public key in PEM, or a JWKS.
    File(PathBuf),
    /// A file with a secret for HS256: `secret:FILE`. Said, because everybody may know what else a file has
    /// that was to be a public key and is none.
    Secret(PathBuf),
    /// The address of a JWKS.
    Url(String),
}

impl KeySource {
    /// Whether its keys come over a network on which they could be exchanged for others.
    pub(crate) fn is_exposed(&self) -> bool {
        let KeySource::Url(url) = self else { return false };
        let host = url.parse::<Uri>().ok().and_then(|url| url.host().map(str::to_owned)).unwrap_or_default();
        let host = host.trim_matches(['[', ']']);
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
        url.starts_with("http://") && !loopback
    }

    fn of_url(text: &str) -> Result<Self, ()> {
        let url: Uri = text.parse().map_err(drop)?;
        let fits = matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some();
        // A password would be printed with the setting.
        let plain = !url.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if fits && plain { Ok(KeySource::Url(text.to_owned())) } else { Err(()) }
    }
}

impl FromStr for KeySource {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (text, of_file): (_, fn(PathBuf) -> Self) = match text.strip_prefix("secret:") {
            Some(file) => (file, KeySource::Secret),
            None if text.contains("://") => return Self::of_url(text),
            None => (text, KeySource::File),
        };
        if text.is_empty() || text.contains("://") { Err(()) } else { Ok(of_file(text.into())) }
    }
}

/// Without the query, in which there may be a secret.
impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::File(path) => path.display().fmt(f),
            KeySource::Secret(path) => write!(f, "secret:{}", path.display()),
            KeySource::Url(url) => without_query(url).fmt(f),
        }
    }
}

/// An address up to its query or fragment.
pub(crate) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_file_or_an_address() {
        assert_eq!("a/b.pem".parse(), Ok(KeySource::File("a/b.pem".into())));
        assert_eq!("secret:a/b.key".parse(), Ok(KeySource::Secret("a/b.key".into())));
        let url = "https://id.example/.well-known/jwks.json";
        assert_eq!(url.parse(), Ok(KeySource::Url(url.to_owned())));
        for bad in [
            "",
            "ftp://x/y",
            "https://",
            "https://user:pass@x/y",
            "file:///etc/passwd",
            "secret:",
            "secret:https://x/y",
        ] {
            assert_eq!(bad.parse::<KeySource>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn a_query_is_not_shown() {
        let source: KeySource = "https://id.example/jwks?key=s3cret".parse().unwrap();
        assert_eq!(source.to_string(), "https://id.example/jwks");
    }

    #[test]
    fn keys_that_come_unprotected_are_told_apart() {
        for (url, exposed) in [
            ("http://id.example/jwks", true),
            ("https://id.example/jwks", false),
            ("http://127.0.0.1:9/jwks", false),
            ("http://[::1]/jwks", false),
            ("http://localhost/jwks", false),
            ("http://localhost.example/jwks", true),
        ] {
            assert_eq!(url.parse::<KeySource>().unwrap().is_exposed(), exposed, "{url}");
        }
    }
}
