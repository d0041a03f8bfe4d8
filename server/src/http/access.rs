//! Who may do what only operators may: watch, look into rooms, drain, close, remove.

use super::{ApiError, HttpState};
use crate::config::AdminToken;
use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::{
        header::{self, HeaderMap},
        uri::{Authority, Uri},
    },
    web,
};
use std::{
    future::{Ready, ready},
    net::{IpAddr, SocketAddr},
};

/// The rule.
///
/// With an admin token (`--admin-token`): whoever sends it (`Authorization: Bearer …`), from anywhere; nobody else, from nowhere.
///
/// Without one: whoever connects from this machine, except a web page or a proxy that does so for somebody else. For a page of another
/// site can make the operator's browser send requests to `localhost`, so
/// - `Host` must name this machine. A page whose own name was made to resolve to 127.0.0.1 (DNS rebinding) sends its own name.
/// - `Origin` and `Sec-Fetch-Site`, where a browser sends them, must say that the page came from this server (CSRF).
/// - There must be no header that proxies add (`Forwarded`, `Via`, `X-Forwarded-For`, `X-Real-IP`). A proxy that adds none cannot be told
///   from the operator: behind one, set a token.
#[derive(Debug, Clone, Default)]
pub struct Access {
    token: Option<AdminToken>,
}

/// Whoever asks may do what operators do. A handler that takes this as an argument is only called for those.
pub(super) struct Operator;

impl Access {
    /// With this token, or for this machine only.
    pub fn new(token: Option<AdminToken>) -> Self {
        Self { token }
    }

    fn check(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Result<Operator, ApiError> {
        match &self.token {
            Some(token) => match bearer(headers) {
                Some(sent) if token.is(sent) => Ok(Operator),
                Some(_) => Err(ApiError::unauthorized("this is not the admin token")),
                None => Err(ApiError::unauthorized("send the admin token: Authorization: Bearer TOKEN")),
            },
            None => from_here(peer, headers).map(|()| Operator).map_err(|why| {
                ApiError::forbidden(format!("{why}; start the server with --admin-token to allow more"))
            }),
        }
    }
}

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let access = request.app_data::<web::Data<HttpState>>().map(|state| &state.access);
        // A server without the state has no such routes.
        ready(access.unwrap_or(&Access::default()).check(request.peer_addr(), request.headers()))
    }
}

/// Why a request is not one that the operator made on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("this is only for those on the same machine")]
    Elsewhere,
    #[error("this request came through a proxy")]
    Proxy,
    #[error("the Host header must name this machine, as localhost or 127.0.0.1")]
    OtherHost,
    #[error("a page of another site has sent this request")]
    OtherOrigin,
}

fn from_here(peer: Option<SocketAddr>, headers: &HeaderMap) -> Result<(), Refused> {
    if !peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
        return Err(Refused::Elsewhere);
    }
    if PROXY.iter().any(|name| headers.contains_key(*name)) {
        return Err(Refused::Proxy);
    }
    let host = text(headers, header::HOST).and_then(|host| host.parse::<Authority>().ok());
    let host = host.filter(|host| is_this_machine(host.host())).ok_or(Refused::OtherHost)?;
    if headers.contains_key(header::ORIGIN) {
        let origin = text(headers, header::ORIGIN).and_then(|origin| origin.parse::<Uri>().ok());
        if origin.as_ref().and_then(Uri::authority) != Some(&host) {
            return Err(Refused::OtherOrigin);
        }
    }
    match headers.get("sec-fetch-site").map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Refused::OtherOrigin),
    }
}

/// Headers that proxies add.
const PROXY: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// `localhost`, a name below it (RFC 6761, section 6.3), or an address of loopback.
fn is_this_machine(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    // Two of a kind are one too many: which of them counts?
    let mut values = headers.get_all(name);
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    const SECRET: &str = "0123456789abcdef";

    fn check(token: Option<&str>, peer: &str, headers: &[(&str, &str)]) -> Result<(), u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let access = Access::new(token.map(|token| AdminToken::new(token).unwrap()));
        let checked = access.check(Some(peer.parse().unwrap()), &map);
        use actix_web::ResponseError;
        checked.map(drop).map_err(|e| e.status_code().as_u16())
    }

    #[test]
    fn the_operator_on_this_machine_needs_no_token() {
        for host in
            ["localhost:7777", "127.0.0.1:7777", "LOCALHOST", "a.localhost:1", "[::1]:7777", "127.9.8.7"]
        {
            for peer in ["127.0.0.1:5", "[::1]:5", "[::ffff:127.0.0.1]:5"] {
                assert_eq!(check(None, peer, &[("host", host)]), Ok(()), "{host} {peer}");
            }
        }
        let page = [
            ("host", "localhost:7777"),
            ("origin", "http://localhost:7777"),
            ("sec-fetch-site", "same-origin"),
        ];
        assert_eq!(check(None, "127.0.0.1:5", &page), Ok(()));
    }

    #[test]
    fn others_are_refused_without_a_token() {
        for peer in ["192.0.2.1:5", "10.0.0.1:5", "[2001:db8::1]:5"] {
            assert_eq!(check(None, peer, &[("host", "localhost:7777")]), Err(403), "{peer}");
        }
    }

    #[test]
    fn a_name_that_was_made_to_mean_this_machine_is_refused() {
        for host in
            ["evil.example:7777", "localhost.evil.example", "notlocalhost", "192.0.2.1", "", "a b", "0.0.0.0"]
        {
            assert_eq!(check(None, "127.0.0.1:5", &[("host", host)]), Err(403), "{host:?}");
        }
        assert_eq!(check(None, "127.0.0.1:5", &[]), Err(403), "no host");
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(check(None, "127.0.0.1:5", &two), Err(403));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        for origin in
            ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:7777", "", "?"]
        {
            let headers = [("host", "localhost:7777"), ("origin", origin)];
            assert_eq!(check(None, "127.0.0.1:5", &headers), Err(403), "{origin:?}");
        }
        for site in ["cross-site", "same-site", "?"] {
            let headers = [("host", "localhost:7777"), ("sec-fetch-site", site)];
            assert_eq!(check(None, "127.0.0.1:5", &headers), Err(403), "{site}");
        }
    }

    #[test]
    fn whoever_comes_through_a_proxy_is_refused() {
        for name in PROXY {
            let headers = [("host", "localhost:7777"), (name, "127.0.0.1")];
            assert_eq!(check(None, "127.0.0.1:5", &headers), Err(403), "{name}");
        }
    }

    #[test]
    fn with_a_token_it_alone_counts() {
        let bearer = format!("Bearer {SECRET}");
        assert_eq!(check(Some(SECRET), "192.0.2.1:5", &[("authorization", &bearer)]), Ok(()));
        assert_eq!(
            check(Some(SECRET), "192.0.2.1:5", &[("authorization", &format!("bearer  {SECRET}"))]),
            Ok(())
        );
        for sent in ["", "Bearer", "Bearer ", "Bearer 0123456789abcdeF", "Basic 0123456789abcdef", SECRET] {
            let headers = [("host", "localhost:7777"), ("authorization", sent)];
            assert_eq!(check(Some(SECRET), "127.0.0.1:5", &headers), Err(401), "{sent:?}");
        }
        assert_eq!(check(Some(SECRET), "127.0.0.1:5", &[("host", "localhost:7777")]), Err(401));
    }
}
