//! What strangers show at the door.

use super::{Knock, Proxies};
use crate::{
    config::{Networks, ProxyHeader},
    ground::{
        origin::{OriginPattern, Origins},
        source::Source,
        trace::TraceParent,
        transport_kind::TransportKind,
    },
};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;

const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

/// An upgrade: the first line is its query, and the others are its headers.
pub(crate) fn fuzz(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let query = str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()));
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
            headers.append(name, value);
        }
    }
    let all = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    if let Ok(mut knock) = Knock::new(TransportKind::WebSocket, Source::UNKNOWN).of_request(all, query) {
        (knock.room, knock.kind) = (None, None);
        let shown = format!("{knock:?}");
        assert!(!knock.token.is_some_and(|token| token.len() > 20 && shown.contains(&token)), "a secret");
    }
    for header in [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded] {
        let trusted: Networks = "10.0.0.0/8".parse().unwrap_or_default();
        let source = Proxies::new(trusted, header).source(PROXY, &headers);
        assert!(!source.is_loopback(), "a client says that it is this machine");
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let pattern = text("x-pattern").unwrap_or("https://*.example.com").parse::<OriginPattern>();
    for (on_loopback, tls) in [(true, false), (false, true)] {
        let allowed = pattern.clone().into_iter().collect();
        let _ =
            Origins::new(allowed, on_loopback, tls).check(text("host").unwrap_or_default(), text("origin"));
    }
    if let Some(parent) = text("traceparent").and_then(TraceParent::parse) {
        assert_eq!(TraceParent::parse(&parent.to_string()).map(TraceParent::id), Some(parent.id()));
    }
}
