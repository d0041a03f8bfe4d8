//! Where users are, at all nodes.

use super::super::{
    ApiError, HttpState,
    access::{knock, source},
    event_stream::wants_events,
    topics::follow,
};
use crate::{door::Denied, ground::tenure::Tenure, nodes::Unavailable, presence::Whereabouts};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode},
    web,
};
use driftless_proto::{limits::MAX_WATCHED_USERS, names::is_user_id};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Of whom it is asked where they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AskedUsers {
    /// Their ids: `sub` of their tokens. At least one.
    #[schema(min_items = 1, max_items = 100)]
    users: Vec<String>,
}

/// Where users are, in the order of the question.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Users {
    users: Vec<Whereabouts>,
}

/// Where a user is, at any node; or for `Accept: text/event-stream`, that and whatever becomes of it.
///
/// Everybody may ask of himself, of others those whose token names them in `presence`, and operators of all.
/// Each event of the stream is the same as the answer without one; only the newest counts.
#[utoipa::path(get, path = "/v1/presence/{user}", tag = "rooms", operation_id = "find_user",
    security(("player" = []), ("operator" = [])),
    params(("user" = String, Path, description = "The user: `sub` of the token")),
    responses((status = 200, description = "Where the user is", content(
        (Whereabouts = "application/json"), (Whereabouts = "text/event-stream"))),
        (status = 503, description = "Redis does not answer, or may have forgotten who is where: ask again")))]
pub(in crate::http) async fn find_user(
    request: HttpRequest,
    user: web::Path<String>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let users = [checked(&user)?];
    let tenure = who(&state, &request, &users).await?;
    if wants_events(&request) {
        return watch(&state, &request, &users, tenure);
    }
    let mut found = state.finder.find(&users).await?;
    let found = found.pop().ok_or_else(|| ApiError::unavailable("presence"))?;
    Ok(HttpResponse::Ok().json(found))
}

/// Where several users are, at any nodes: at most 100; or for `Accept: text/event-stream`, that and whatever
/// becomes of it, an event for each user.
#[utoipa::path(post, path = "/v1/presence", tag = "rooms", operation_id = "find_users",
    security(("player" = []), ("operator" = [])), request_body = AskedUsers,
    responses((status = 200, description = "Where they are", content(
        (Users = "application/json"), (Whereabouts = "text/event-stream"))),
        (status = 503, description = "Redis does not answer, or may have forgotten who is where: ask again")))]
pub(in crate::http) async fn find_users(
    request: HttpRequest,
    asked: web::Json<AskedUsers>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let AskedUsers { users } = asked.into_inner();
    if !(1..=MAX_WATCHED_USERS).contains(&users.len()) {
        let message = format!("{} users are asked of, outside 1..={MAX_WATCHED_USERS}", users.len());
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "out_of_range", message));
    }
    let users: Vec<_> = users.iter().map(|user| checked(user)).collect::<Result<_, _>>()?;
    let tenure = who(&state, &request, &users).await?;
    if wants_events(&request) {
        return watch(&state, &request, &users, tenure);
    }
    Ok(HttpResponse::Ok().json(Users { users: state.finder.find(&users).await? }))
}

fn watch(
    state: &HttpState,
    request: &HttpRequest,
    users: &[Arc<str>],
    tenure: Option<Tenure>,
) -> Result<HttpResponse, ApiError> {
    let reader = match request.method() {
        &Method::HEAD => None,
        _ => Some(state.topics.watch(users, tenure, source(state, request))?),
    };
    Ok(follow(reader))
}

fn checked(user: &str) -> Result<Arc<str>, ApiError> {
    if is_user_id(user) {
        return Ok(user.into());
    }
    let message = format!("there can be no user {user:?}: an id is 1 to 255 visible ASCII characters");
    Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_user", message))
}

/// Who asks, if they may. None: an operator.
async fn who(
    state: &HttpState,
    request: &HttpRequest,
    users: &[Arc<str>],
) -> Result<Option<Tenure>, ApiError> {
    if state.access.is_operator(request) {
        return Ok(None);
    }
    let tenure = state.door.identify(knock(state, request)?).await?;
    let identity = tenure.identity();
    if identity.user.is_guest() {
        let reason = "where users are is for those with a token: see \"presence\" in the guide";
        return Err(Denied::unauthenticated(reason).into());
    }
    if let Some(user) = users.iter().find(|user| !identity.may_find(user)) {
        return Err(Denied::forbidden(format!("{} may not know where {user:?} is", identity.user)).into());
    }
    Ok(Some(tenure))
}

impl From<Unavailable> for ApiError {
    fn from(Unavailable { why, wait }: Unavailable) -> Self {
        let message = format!("nobody knows now where users are: {why}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "presence_unavailable", message).retry_after(wait)
    }
}
