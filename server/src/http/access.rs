//! Access control for what only operators may do: watch, inspect, make, close, remove, drain.

use super::{ApiError, HttpState};
use crate::{
    config::AdminToken,
    door::Knock,
    ground::{rate::Rate, source::Source, transport_kind::TransportKind},
    metrics::ByReason,
};
use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use futures_util::future::LocalBoxFuture;
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::warn;

/// The rule: a request with the admin token (`Authorization: Bearer …`) is an operator's, wherever it comes
/// from; no other request is. The address of a request is not a credential, because behind a proxy on the
/// same machine everybody seems to come from loopback.
///
/// A wrong token is counted, logged, and answered late: the more of them come from an address, the later. The
/// right token is accepted at once, whatever others from the same address do, because they may share a proxy.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    token: AdminToken,
    wrong: Arc<Mutex<Rate>>,
    refused: ByReason,
}

/// Interval of wrong tokens per address; faster ones are answered late.
const WRONG_INTERVAL: Duration = Duration::from_secs(1);
/// Wrong tokens per address that are answered at once, because people mistype.
const WRONG_AT_ONCE: u32 = 5;
/// Longest delay of an answer. It occupies only the connection, and is shorter than the time limit of a
/// request.
const WRONG_LONGEST: Duration = Duration::from_secs(5);
/// Reason label in the metric `requests_refused`.
const WRONG_TOKEN: &str = "wrong_token";

/// Proof that a request is an operator's. A handler that takes this as an argument is called only for
/// operators.
pub(super) struct Operator;

/// The credentials in a request.
enum Said {
    Right,
    Wrong,
    Nothing,
}

impl Access {
    /// Requires this token. `refused` counts wrong ones.
    pub(crate) fn new(token: AdminToken, refused: ByReason) -> Self {
        let wrong = Rate::new(WRONG_INTERVAL, WRONG_AT_ONCE);
        Self { token, wrong: Arc::new(Mutex::new(wrong)), refused }
    }

    /// Whether a request is an operator's. (A token that is not the admin's is not wrong yet: it may be a
    /// user's.)
    pub(super) fn is_operator(&self, request: &HttpRequest) -> bool {
        matches!(self.said(request), Said::Right)
    }

    fn said(&self, request: &HttpRequest) -> Said {
        match bearer(request) {
            Some(sent) if self.token.is(sent) => Said::Right,
            Some(_) => Said::Wrong,
            None => Said::Nothing,
        }
    }

    /// Counts a wrong token. Returns how long to delay the answer.
    fn wrong(&self, from: Source) -> Duration {
        self.refused.inc(WRONG_TOKEN);
        warn!(%from, "wrong admin token");
        self.wrong.lock().hold(Instant::now(), from, WRONG_LONGEST)
    }
}

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(state) = request.app_data::<web::Data<HttpState>>() else {
            // A server without the state has no such routes.
            return Box::pin(async { Err(ApiError::unavailable("the server")) });
        };
        let held = match state.access.said(request) {
            Said::Right => return Box::pin(async { Ok(Operator) }),
            Said::Nothing => None,
            Said::Wrong => Some(state.access.wrong(source(state, request))),
        };
        Box::pin(async move {
            let Some(held) = held else {
                return Err(ApiError::unauthorized(
                    "this is for operators: send the admin token (Authorization: Bearer TOKEN)",
                ));
            };
            actix_rt::time::sleep(held).await;
            Err(ApiError::unauthorized("wrong admin token"))
        })
    }
}

/// The source of a request.
pub(super) fn source(state: &HttpState, request: &HttpRequest) -> Source {
    state.door.source(request.peer_addr(), request.headers())
}

/// What somebody shows who is no operator. (Whoever has a way of its own to find out who players are sees
/// them come as by a page's connection.)
pub(super) fn knock(state: &HttpState, request: &HttpRequest) -> Result<Knock, ApiError> {
    let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let knock = Knock::new(TransportKind::WebSocket, source(state, request));
    knock.of_request(headers, request.query_string())
}

fn bearer(request: &HttpRequest) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use actix_web::test::TestRequest;

    const SECRET: &str = "0123456789abcdef";

    fn access() -> Access {
        Access::new(AdminToken::new(SECRET).unwrap(), Metrics::new().requests_refused)
    }

    fn is_operator(headers: &[(&str, &str)]) -> bool {
        let request =
            headers.iter().fold(TestRequest::default(), |request, header| request.insert_header(*header));
        let request = request.peer_addr("127.0.0.1:5".parse().unwrap()).to_http_request();
        matches!(access().said(&request), Said::Right)
    }

    #[test]
    fn the_token_alone_counts() {
        for sent in ["Bearer 0123456789abcdef", "bearer  0123456789abcdef"] {
            assert!(is_operator(&[("authorization", sent)]), "{sent:?}");
        }
        for sent in ["", "Bearer", "Bearer ", "Bearer 0123456789abcdeF", "Basic 0123456789abcdef", SECRET] {
            assert!(!is_operator(&[("host", "localhost:7777"), ("authorization", sent)]), "{sent:?}");
        }
        assert!(!is_operator(&[("host", "localhost:7777")]));
    }
}
