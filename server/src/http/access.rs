//! Who may do what only operators may: watch, look into rooms, make, close, remove, drain.

use super::{ApiError, HttpState};
use crate::{
    config::AdminToken,
    ground::{rate::Rate, source::Source},
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

/// The rule: whoever sends the admin token (`Authorization: Bearer …`), from anywhere; nobody else, from nowhere. Where a request seems
/// to come from is no credential: behind a proxy on the same machine everybody comes from loopback.
///
/// A wrong token is counted, told in the log, and answered late, the later the more of them come from an address. The right one is let
/// in at once whatever others of its address do, who may be behind the same proxy.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    token: AdminToken,
    wrong: Arc<Mutex<Rate>>,
    refused: ByReason,
}

/// From one wrong token of an address to the next, from which on answers are held back.
const WRONG_INTERVAL: Duration = Duration::from_secs(1);
/// Wrong tokens of an address that are answered at once: people mistype.
const WRONG_AT_ONCE: u32 = 5;
/// Longest that an answer is held back. It holds the connection only, and is shorter than what a connection has for a request.
const WRONG_LONGEST: Duration = Duration::from_secs(5);
/// In `requests_refused`.
const WRONG_TOKEN: &str = "wrong_token";

/// Whoever asks may do what operators do. A handler that takes this as an argument is only called for those.
pub(super) struct Operator;

/// What a request says of who sends it.
enum Said {
    Right,
    Wrong,
    Nothing,
}

impl Access {
    /// With this token. `refused`: where wrong ones are counted.
    pub(crate) fn new(token: AdminToken, refused: ByReason) -> Self {
        let wrong = Rate::new(WRONG_INTERVAL, WRONG_AT_ONCE);
        Self { token, wrong: Arc::new(Mutex::new(wrong)), refused }
    }

    fn said(&self, request: &HttpRequest) -> Said {
        match bearer(request) {
            Some(sent) if self.token.is(sent) => Said::Right,
            Some(_) => Said::Wrong,
            None => Said::Nothing,
        }
    }

    /// Notes a wrong token. How long to hold the answer back.
    fn wrong(&self, from: Source) -> Duration {
        self.refused.inc(WRONG_TOKEN);
        warn!(%from, "a wrong admin token");
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
                return Err(ApiError::unauthorized("send the admin token: Authorization: Bearer TOKEN"));
            };
            actix_rt::time::sleep(held).await;
            Err(ApiError::unauthorized("this is not the admin token"))
        })
    }
}

/// Where a request came from.
pub(super) fn source(state: &HttpState, request: &HttpRequest) -> Source {
    state.door.source(request.peer_addr(), request.headers())
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
