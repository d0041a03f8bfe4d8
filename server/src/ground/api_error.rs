//! Errors of the HTTP API: problems (RFC 9457), with a code for programs and a text for people.

use actix_web::{
    HttpRequest, HttpResponse, Responder, ResponseError,
    body::BoxBody,
    error::{JsonPayloadError, PayloadError, QueryPayloadError},
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use serde::Serialize;
use std::{io, time::Duration};
use utoipa::ToSchema;

/// When to try again what cannot be done now, if nothing better is known.
pub const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The media type of an error.
const PROBLEM: &str = "application/problem+json";

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Headers that the status requires: how to authenticate, which methods are allowed.
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// An error answer, as it is sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem<'a> {
    /// Always `about:blank`: `code` says more than the status.
    r#type: &'static str,
    /// The name of the status.
    title: &'a str,
    status: u16,
    /// What is wrong, for people. The words may change.
    detail: &'a str,
    /// What is wrong, for programs: a word that stays.
    code: &'a str,
}

impl ApiError {
    /// An error with this status. `code` is for programs, `message` for people.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), headers: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Code for programs.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// There is nothing at this path.
    pub fn no_such_path(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_such_path", format!("there is nothing at {path}"))
    }

    /// The game's own page is not where the server was told it would be.
    pub fn no_page() -> Self {
        let message = "the game's page is not there yet: build it; the server's log says where it should be";
        Self::new(StatusCode::NOT_FOUND, "no_page", message)
    }

    /// There is no room with this name.
    pub fn no_such_room(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_such_room", format!("there is no room {name:?}"))
    }

    /// The operator's token is missing or wrong.
    pub fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"driftless admin\""))
    }

    /// Too many requests. Try again after `wait`.
    pub fn too_often(wait: Duration) -> Self {
        let message = format!("too many requests from this address: try again in {} s", whole_seconds(wait));
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_often", message).retry_after(wait)
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        self.with(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)))
    }

    /// The request was not completed in time.
    pub fn timeout() -> Self {
        let message = "the request was not complete in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    }

    /// There is no such seat in the room.
    pub fn no_such_player(room: &str, player: &str) -> Self {
        let message = format!("there is no player {player:?} in room {room:?}");
        Self::new(StatusCode::NOT_FOUND, "no_such_player", message)
    }

    /// The path exists, but not for this method.
    pub fn method_not_allowed(method: &Method, allow: &'static str) -> Self {
        let message = format!("{method} is not allowed here, only {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
            .with(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// The query string does not fit the path.
    pub fn bad_query(error: &QueryPayloadError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_query", error.to_string())
    }

    /// A part of the server does not answer.
    pub fn unavailable(what: &str) -> Self {
        let message = format!("{what} does not answer; try again");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}

/// So that whoever waits for so long has waited long enough.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}

impl From<JsonPayloadError> for ApiError {
    fn from(error: JsonPayloadError) -> Self {
        if let JsonPayloadError::Payload(PayloadError::Io(cause)) = &error
            && cause.kind() == io::ErrorKind::TimedOut
        {
            return Self::timeout();
        }
        let (status, code) = match error {
            JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
            }
            _ => (StatusCode::BAD_REQUEST, "malformed_json"),
        };
        let message = match &error {
            JsonPayloadError::Deserialize(error) => error.to_string(),
            error => error.to_string(),
        };
        Self::new(status, code, message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for header in &self.headers {
            response.insert_header(header.clone());
        }
        response.content_type(PROBLEM).json(Problem {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.message,
            code: self.code,
        })
    }
}

impl Responder for ApiError {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}
