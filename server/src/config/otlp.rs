//! Where traces are sent.

use crate::ground::key_source::without_query;
use actix_web::http::Uri;
use std::{fmt, str::FromStr};

/// The address of a collector of traces: OTLP over HTTP, without `/v1/traces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpUrl(String);

impl OtlpUrl {
    /// Where it takes traces.
    pub fn traces(&self) -> String {
        format!("{}/v1/traces", self.0.trim_end_matches('/'))
    }
}

impl FromStr for OtlpUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let url: Uri = text.parse().map_err(drop)?;
        let fits = matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some();
        // A password would be printed with the setting: OTEL_EXPORTER_OTLP_HEADERS is for those.
        let plain =
            without_query(text) == text && !url.authority().is_some_and(|of| of.as_str().contains('@'));
        if fits && plain { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for OtlpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_a_collector_and_has_no_secret() {
        for url in ["http://127.0.0.1:4318", "http://127.0.0.1:4318/"] {
            assert_eq!(url.parse::<OtlpUrl>().unwrap().traces(), "http://127.0.0.1:4318/v1/traces");
        }
        assert_eq!(
            "https://a.example/otlp".parse::<OtlpUrl>().unwrap().traces(),
            "https://a.example/otlp/v1/traces"
        );
        for bad in ["", "127.0.0.1:4318", "grpc://a", "http://a?key=x", "http://user:pass@a", "http://a#x"] {
            assert_eq!(bad.parse::<OtlpUrl>(), Err(()), "{bad}");
        }
    }
}
