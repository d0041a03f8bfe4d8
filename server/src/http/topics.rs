//! Topics: reading them as Server-Sent Events (WHATWG HTML, section 9.2), and publishing.

mod stream;

use super::{
    ApiError, HttpState,
    access::{knock, source},
    event_stream,
};
use crate::{
    door::Denied,
    ground::{identity::TopicRights, tenure::Tenure},
    topics::{Author, CannotRead, EventKind, Message, NotPublished, Reader, Since},
};
use actix_web::{
    HttpRequest, HttpResponse,
    error::PayloadError,
    http::{Method, StatusCode},
    web,
};
use driftless_proto::{limits::MAX_TOPIC_EVENT, names::is_room_name};
use serde::{Deserialize, Serialize};
use std::{io, time::Duration};
use stream::Events;
use utoipa::{IntoParams, ToSchema};

/// How long whoever is refused for want of a place may wait before trying again.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How long if Redis is away.
const UNAVAILABLE: Duration = Duration::from_millis(500);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// Begin after the event with this id; 0: with everything that is kept. One that is no id of this server
    /// is a `gap`. The header `Last-Event-ID` counts instead, if there is one.
    after: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct As {
    /// The kind of event, for readers who listen to several: 1 to 64 of A-Z, a-z, 0-9, ., _ and -
    #[param(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    event: Option<String>,
    /// Whether it replaces the event before it of which this was said, too: readers then get only the newest.
    #[serde(default)]
    latest: bool,
}

/// What was published.
#[derive(Serialize, ToSchema)]
pub(super) struct Published {
    /// The id of the event, as readers get it.
    id: String,
}

/// Reads a topic.
///
/// The answer has no end. It begins with the id from which to go on; a new reader then gets the newest of the
/// events that replace each other, and what is published from now on. An event `gap` says that events were
/// missed that are no longer kept; an event `goodbye` says why the stream ends. What a user has published
/// comes with two more fields, `user` and, if the token has a name, `name`.
#[utoipa::path(get, path = "/v1/topics/{name}", tag = "topics", operation_id = "read_topic",
    security((), ("player" = []), ("operator" = [])), params(
    ("name" = String, Path, description = "The topic"),
    ("last-event-id" = Option<String>, Header, description = "Go on after this event"), From,
), responses((status = 200, description = "Events, as they are published", content_type = "text/event-stream", body = String)))]
pub(super) async fn read(
    request: HttpRequest,
    name: web::Path<String>,
    from: web::Query<From>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    check_name(&name)?;
    let tenure = who(&state, &request, &name, Right::Read).await?;
    let header = request.headers().get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()));
    let header = header.as_deref().filter(|id| !id.is_empty());
    let since = Since::of(header.or(from.after.as_deref()).unwrap_or_default());
    let reader = match request.method() {
        &Method::HEAD => None,
        _ => Some(state.topics.read(&name, &since, tenure, source(&state, &request))?),
    };
    Ok(follow(reader))
}

/// What a reader gets, as it comes. None: only the head is asked for.
pub(super) fn follow(reader: Option<Reader>) -> HttpResponse {
    match reader {
        Some(reader) => event_stream::stream(Events::new(reader)),
        None => event_stream::head().finish(),
    }
}

/// Publishes something to all who read the topic.
#[utoipa::path(post, path = "/v1/topics/{name}", tag = "topics", operation_id = "publish",
    security(("player" = []), ("operator" = [])), params(("name" = String, Path, description = "The topic"), As),
    request_body(content = String, description = "What it says: text, at most 16 KiB", content_type = "text/plain"),
    responses((status = 200, description = "It is published", body = Published)))]
pub(super) async fn publish(
    request: HttpRequest,
    name: web::Path<String>,
    said: web::Query<As>,
    body: web::Payload,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    check_name(&name)?;
    // An operator may publish as fast as the server can.
    let of = (!state.access.is_operator(&request)).then(|| source(&state, &request));
    let mut author = None;
    if let Some(of) = of {
        state.topics.may_publish(of).map_err(ApiError::too_often)?;
        let tenure = who(&state, &request, &name, Right::Write).await?;
        author = tenure.map(|tenure| Author::of(tenure.identity()));
    }
    let As { event, latest } = said.into_inner();
    let kind = event.map(|name| {
        let error = || bad("bad_event", format!("no event can be called {name:?}"));
        EventKind::new(&name).ok_or_else(error)
    });
    let kind = kind.transpose()?;
    let text = read_body(body).await?;
    state.may_change()?;
    let id = state.topics.publish(&name, Message { text, kind, latest, author }, of).await?;
    Ok(HttpResponse::Ok().json(Published { id: id.to_string() }))
}

async fn read_body(body: web::Payload) -> Result<web::Bytes, ApiError> {
    let too_large = |_| {
        let message = format!("an event may have at most {MAX_TOPIC_EVENT} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    };
    let read = body.to_bytes_limited(MAX_TOPIC_EVENT).await.map_err(too_large)?;
    let text = read.map_err(|error| match error.as_error::<PayloadError>() {
        Some(PayloadError::Io(cause)) if cause.kind() == io::ErrorKind::TimedOut => ApiError::timeout(),
        _ => bad("malformed_body", error.to_string()),
    })?;
    match str::from_utf8(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(bad("not_text", format!("the body is not UTF-8: {error}"))),
    }
}

fn bad(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, code, message)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    match is_room_name(name) {
        true => Ok(()),
        false => {
            let message = format!("there can be no topic {name:?}: its name is like that of a room");
            Err(ApiError::new(StatusCode::NOT_FOUND, "no_such_topic", message))
        }
    }
}

/// What somebody wants to do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    Read,
    Write,
}

impl Right {
    fn is_in(self, rights: &TopicRights, topic: &str) -> bool {
        match self {
            Right::Read => rights.may_read(topic),
            Right::Write => rights.may_write(topic),
        }
    }
}

/// Who wants this, if they may. None: somebody who may as long as they like.
async fn who(
    state: &HttpState,
    request: &HttpRequest,
    topic: &str,
    right: Right,
) -> Result<Option<Tenure>, ApiError> {
    if state.access.is_operator(request) {
        return Ok(None);
    }
    let knock = knock(state, request)?;
    let open = right == Right::Read && state.topics.is_open(topic);
    if open && knock.token.is_none() {
        return Ok(None);
    }
    let tenure = state.door.identify(knock).await?;
    let identity = tenure.identity();
    if open || right.is_in(&identity.topics, topic) {
        return Ok(Some(tenure));
    }
    Err(match (identity.user.is_guest(), right) {
        (true, _) => {
            Denied::unauthenticated("this topic is for those with a token: see \"topics\" in the guide")
        }
        (false, Right::Read) => Denied::forbidden(format!("{} may not read topic {topic:?}", identity.user)),
        (false, Right::Write) => {
            Denied::forbidden(format!("{} may not publish in topic {topic:?}", identity.user))
        }
    }
    .into())
}

impl std::convert::From<CannotRead> for ApiError {
    fn from(refused: CannotRead) -> Self {
        let (status, code, wait) = match refused {
            CannotRead::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining", TRY_AGAIN),
            CannotRead::ServerFull(_) => (StatusCode::SERVICE_UNAVAILABLE, "too_many_readers", TRY_AGAIN),
            CannotRead::AddressFull(_) => (StatusCode::TOO_MANY_REQUESTS, "address_full", TRY_AGAIN),
            CannotRead::TooFast(wait) => (StatusCode::TOO_MANY_REQUESTS, "too_often", wait),
            CannotRead::TooManyUsersOfAddress(_) => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_users_of_address", TRY_AGAIN)
            }
            CannotRead::TooManyUsers(_) => (StatusCode::SERVICE_UNAVAILABLE, "too_many_users", TRY_AGAIN),
        };
        ApiError::new(status, code, refused.to_string()).retry_after(wait)
    }
}

impl std::convert::From<NotPublished> for ApiError {
    fn from(error: NotPublished) -> Self {
        let (status, wait) = match error {
            NotPublished::TooManyTopics(_) => (StatusCode::SERVICE_UNAVAILABLE, TRY_AGAIN),
            NotPublished::TooManyOfAddress { .. } => (StatusCode::TOO_MANY_REQUESTS, TRY_AGAIN),
            NotPublished::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE),
        };
        ApiError::new(status, error.code(), error.to_string()).retry_after(wait)
    }
}
