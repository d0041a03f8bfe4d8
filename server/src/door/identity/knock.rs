//! What a client shows at the door, and why it is not let in.

use super::token::TokenError;
use crate::ground::{
    api_error::ApiError, refusal::Refusal, source::Source, trace::TraceParent, transport_kind::TransportKind,
};
use actix_web::{
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use driftless_proto::code::CloseCode;
use serde::Deserialize;
use std::{fmt, time::Duration};

/// Before a token in the list of subprotocols, which is where pages can put one.
pub(crate) const TOKEN_PROTOCOL: &str = "driftless.token.";

/// A client that wants to come in: what it shows, as yet unchecked.
#[derive(Clone)]
pub struct Knock {
    /// The token, wherever the client put it. None: it shows none.
    pub token: Option<String>,
    /// The room that it asks for. None: it has not said so yet (a WebSocket or WebTransport may).
    pub room: Option<String>,
    /// The kind of game, likewise.
    pub kind: Option<String>,
    /// How it is connected.
    pub transport: TransportKind,
    /// Where it comes from.
    pub source: Source,
    /// The trace of which this is a part.
    pub(crate) trace: Option<TraceParent>,
    headers: Vec<(String, String)>,
}

impl Knock {
    pub(crate) fn new(transport: TransportKind, source: Source) -> Self {
        Self { token: None, room: None, kind: None, transport, source, trace: None, headers: Vec::new() }
    }

    /// That of an HTTP request with these headers and this query, for WebSocket or WebTransport. The token is
    /// that of `Authorization: Bearer`, or else in the list of subprotocols, or else in the query. The trace
    /// is that of the header `traceparent`, or else in the query.
    ///
    /// # Errors
    /// If the query cannot be read.
    pub(crate) fn of_request<'a>(
        mut self,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
        query: &str,
    ) -> Result<Self, ApiError> {
        let text = |value: &[u8]| str::from_utf8(value).map(str::to_owned).ok();
        self.headers =
            headers.filter_map(|(name, value)| Some((name.to_ascii_lowercase(), text(value)?))).collect();
        let Query { token, room, kind, traceparent } =
            web::Query::<Query>::from_query(query).map_err(|_| bad_query())?.into_inner();
        let token = self.bearer().or_else(|| self.in_protocols()).map(str::to_owned).or(token);
        let trace = match (self.only("traceparent"), traceparent) {
            (Some(header), _) => TraceParent::parse(header),
            (None, in_query) => in_query.as_deref().and_then(TraceParent::parse),
        };
        Ok(Self { token: token.filter(|token| !token.is_empty()), room, kind, trace, ..self })
    }

    /// The value of the HTTP header with this name, in lower case. None: there is none; on QUIC there are no
    /// headers.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The value of a header that occurs once.
    fn only(&self, name: &str) -> Option<&str> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(of, _)| of == name).map(|(_, value)| &**value)
    }

    fn bearer(&self) -> Option<&str> {
        let mut all = self.all(header::AUTHORIZATION.as_str());
        all.find_map(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        })
    }

    fn in_protocols(&self) -> Option<&str> {
        let mut names = self.all(header::SEC_WEBSOCKET_PROTOCOL.as_str()).flat_map(|list| list.split(','));
        names.find_map(|name| name.trim().strip_prefix(TOKEN_PROTOCOL))
    }
}

/// The parts of the query that are read here.
#[derive(Deserialize)]
struct Query {
    token: Option<String>,
    room: Option<String>,
    kind: Option<String>,
    traceparent: Option<String>,
}

/// Without the query itself, which may have a token in it.
fn bad_query() -> ApiError {
    let message = "the query may have token, room, kind and traceparent, each once";
    ApiError::new(StatusCode::BAD_REQUEST, "bad_query", message)
}

/// Never shows the token, nor headers, which may have one.
impl fmt::Debug for Knock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, room, kind, transport, source, .. } = self;
        f.debug_struct("Knock")
            .field("token", &token.as_ref().map(|_| ".."))
            .field("room", room)
            .field("kind", kind)
            .field("transport", transport)
            .field("source", source)
            .finish_non_exhaustive()
    }
}

/// When to come again to what cannot be found out now.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Why a client is not let in, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denied {
    why: Why,
    name: &'static str,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Nobody knows who it is.
    Unauthenticated,
    /// It is known, and may not.
    Forbidden,
    /// That cannot be found out now, but perhaps after this time.
    Unavailable(Duration),
    /// Too many from its address were refused: it may try again after this time.
    TooFast(Duration),
}

impl Denied {
    /// It is not known who the client is: no token, or one that is not valid. HTTP status 401, close code
    /// 4514.
    pub fn unauthenticated(reason: impl Into<String>) -> Self {
        Self { why: Why::Unauthenticated, name: "unauthenticated", reason: reason.into() }
    }

    /// The client is known, and not allowed to do what it wants. HTTP status 403, close code 4515.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self { why: Why::Forbidden, name: "forbidden", reason: reason.into() }
    }

    /// That cannot be found out at present: the client may try again. HTTP status 503, close code 4006.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self { why: Why::Unavailable(TRY_AGAIN), name: "identity_unavailable", reason: reason.into() }
    }

    /// Too many from the client's address were refused in too short a time. HTTP status 429, close code 4010.
    pub(in crate::door) fn too_fast(name: &'static str, reason: &impl ToString, wait: Duration) -> Self {
        Self { why: Why::TooFast(wait), name, reason: reason.to_string() }
    }

    /// The same, to be tried again after this time.
    pub(super) fn until(self, wait: Duration) -> Self {
        Self { why: Why::Unavailable(wait), ..self }
    }

    /// The same with a name of its own, for programs.
    pub(super) fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The name, in HTTP answers and metrics.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether an honest client may have shown it instead of a good one: this server cannot judge it yet, or
    /// a login was slow, or answered with what it had answered before.
    pub(crate) fn may_pass(&self) -> bool {
        let honest = [TokenError::UnknownKey, TokenError::Expired].map(|error| error.name());
        matches!(self.why, Why::Unavailable(_) | Why::TooFast(_)) || honest.contains(&self.name)
    }

    /// The status with which an upgrade is refused.
    pub(crate) fn status(&self) -> StatusCode {
        match self.why {
            Why::Unauthenticated => StatusCode::UNAUTHORIZED,
            Why::Forbidden => StatusCode::FORBIDDEN,
            Why::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Why::TooFast(_) => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

impl From<TokenError> for Denied {
    fn from(error: TokenError) -> Self {
        Self::unauthenticated(error.to_string()).named(error.name())
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let error = ApiError::new(denied.status(), denied.name, denied.reason);
        match denied.why {
            Why::Unauthenticated => {
                let challenge = HeaderValue::from_static("Bearer realm=\"driftless\"");
                error.with(header::WWW_AUTHENTICATE, challenge)
            }
            Why::TooFast(wait) | Why::Unavailable(wait) => error.retry_after(wait),
            Why::Forbidden => error,
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let (code, wait) = match denied.why {
            Why::Unauthenticated => (CloseCode::Unauthenticated, Duration::ZERO),
            Why::Forbidden => (CloseCode::Forbidden, Duration::ZERO),
            Why::Unavailable(wait) => (CloseCode::Internal, wait),
            Why::TooFast(wait) => (CloseCode::AddressLimit, wait),
        };
        Self { wait, ..Self::new(code, &denied.reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(headers: &[(&str, &str)], query: &str) -> Option<String> {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let knock = Knock::new(TransportKind::WebSocket, Source::UNKNOWN).of_request(headers, query).unwrap();
        assert!(!format!("{knock:?}").contains("a.b.c"), "a secret is never shown");
        knock.token
    }

    #[test]
    fn a_token_is_found_wherever_a_client_can_put_it() {
        let protocols = ("Sec-WebSocket-Protocol", "driftless.v1, driftless.token.a.b.c");
        for (headers, query) in [
            (&[("Authorization", "Bearer a.b.c")][..], ""),
            (&[("authorization", "bearer  a.b.c"), protocols][..], "token=x"),
            (&[("authorization", "Basic x"), protocols][..], "token=x"),
            (&[("authorization", "Bearer")][..], "room=a&token=a.b.c&kind=b"),
            (&[][..], "token=a%2Eb.c"),
        ] {
            assert_eq!(token(headers, query).as_deref(), Some("a.b.c"), "{headers:?} {query}");
        }
        for (headers, query) in
            [(&[][..], ""), (&[("sec-websocket-protocol", "driftless.token.")][..], "token=")]
        {
            assert_eq!(token(headers, query), None, "{headers:?} {query}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_is_read_or_refused(
            authorization in any::<Vec<u8>>(), protocols in ".{0,64}", query in ".{0,64}",
        ) {
            let headers = [("authorization", &*authorization), ("sec-websocket-protocol", protocols.as_bytes())];
            let knock = Knock::new(TransportKind::WebSocket, Source::UNKNOWN);
            let _ = knock.of_request(headers.into_iter(), &query);
        }
    }
}
