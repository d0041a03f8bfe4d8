//! Operators' actions on users: revoke their access, and give it back.

use super::{ApiError, HttpState, access::Operator, body::optional, page::Limit};
use crate::{clock, ground::whole::whole};
use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{self, Bytes},
};
use serde::{Deserialize, Serialize};
use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tracing::{error, info, warn};
use utoipa::ToSchema;

/// Longest time for which access can be revoked: ten years.
const LONGEST: u64 = 10 * 365 * 24 * 3600;

/// The body of a revocation, which may be left out.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Revocation {
    /// For how long, at most ten years. Default: as long as a token may be valid (`token_lifetime`).
    #[serde(default, deserialize_with = "whole")]
    #[schema(format = "uint64", minimum = 1)]
    seconds: Option<u64>,
}

/// What a revocation did.
#[derive(Serialize, ToSchema)]
struct Revoked {
    user: Arc<str>,
    /// When it runs out, milliseconds since 1970. (It does so by another clock, whatever becomes of this
    /// one.)
    until_unix_ms: u64,
    /// Seats that end.
    seats: usize,
    /// Whether a server that is started again still knows: it does if this one has a store, or other nodes.
    survives_restart: bool,
    /// Whether all nodes know. If not, Redis does not answer: say it again.
    all_nodes: bool,
}

/// Revokes a user's access, whatever token comes: every connection of the user ends with close code 4516, and
/// its seats are not kept.
#[utoipa::path(post, path = "/v1/users/{user}/revoke", tag = "operators", security(("operator" = [])),
    params(("user" = String, Path, description = "The user")),
    request_body(content = Option<Revocation>, description = "For how long; may be left out"),
    responses((status = 200, description = "It is revoked", body = Revoked)))]
pub(super) async fn revoke(
    _: Operator,
    user: web::Path<String>,
    body: Bytes,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let user: Arc<str> = user.into_inner().into();
    if !state.door.authenticator().may_be_user(&user) {
        let message = format!("{user:?} is not a valid user: nobody's token names one so");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_user", message));
    }
    let Revocation { seconds } = optional(&body)?;
    if seconds == Some(0) {
        let message = "seconds is 0, and access is revoked for 1 at least: DELETE gives it back";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "out_of_range", message));
    }
    let default = state.config.token_lifetime + state.config.token_leeway;
    let span = seconds.map_or(default, |seconds| Duration::from_secs(seconds.min(LONGEST)));
    state.may_change()?;
    if !state.door.revocations().revoke(user.clone(), span, clock::now()) {
        let message = "as many users are revoked as are kept: let some of them in again";
        return Err(ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "too_many_revoked", message));
    }
    // Connections without a seat look at the list by themselves (see `Tenure`), and so do those that are just
    // joining.
    let seats = state.registry.end_seats_of(&user);
    info!(%user, seats, "an operator revoked a user's access");
    let of = (state.clone(), user.clone());
    let saying = to_its_end(async move {
        let (state, user) = of;
        let all_nodes = tell_others(&state, &user, span).await;
        // What Redis has, a node learns when it starts.
        Ok((all_nodes, keep(&state).await || state.users.is_some() && all_nodes))
    });
    let (all_nodes, survives_restart) = saying.await?;
    if !survives_restart {
        let for_s = span.as_secs();
        warn!(%user, for_s, "a server that is started again lets the user in: the login must give no tokens");
    }
    let until = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + span;
    let until_unix_ms = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
    Ok(HttpResponse::Ok().json(Revoked { user, until_unix_ms, seats, survives_restart, all_nodes }))
}

/// Does this even if nobody waits for it any more. (The handler of a connection that is reset is dropped:
/// what is known here must not remain unknown elsewhere.)
async fn to_its_end<T: 'static>(
    doing: impl Future<Output = Result<T, ApiError>> + 'static,
) -> Result<T, ApiError> {
    actix_rt::spawn(doing).await.unwrap_or_else(|_| Err(ApiError::unavailable("the server")))
}

/// Has other nodes know of a revocation, or with zero, of its end. False: they do not.
async fn tell_others(state: &HttpState, user: &Arc<str>, span: Duration) -> bool {
    match &state.users {
        Some(users) => users.revoke(user.clone(), span).await,
        None => true,
    }
}

/// Has the next server know who is revoked. False: it will not.
async fn keep(state: &HttpState) -> bool {
    let Some(file) = state.revoked.clone() else { return false };
    let (door, now) = (state.door.clone(), clock::now());
    // The disk may be slow, and this thread has other clients.
    let written = web::block(move || file.write(door.revocations(), now)).await;
    match written.map_err(io::Error::other).flatten() {
        Ok(()) => true,
        Err(error) => {
            error!(%error, "who is revoked cannot be written to the store");
            false
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsersParams {
    after: Option<String>,
    limit: Option<Limit>,
}

/// A page of users whose access is revoked, by their ids.
#[derive(Serialize, ToSchema)]
struct RevokedPage {
    users: Vec<RevokedUser>,
    /// The `after` of the next page (`?after=`). None: there are no more.
    next: Option<Arc<str>>,
}

/// A user whose access is revoked.
#[derive(Serialize, ToSchema)]
struct RevokedUser {
    user: Arc<str>,
    /// For how much longer, milliseconds.
    left_ms: u64,
}

/// A page of the users whose access is revoked, by their ids, as this node knows them.
#[utoipa::path(get, path = "/v1/revoked", tag = "operators", operation_id = "list_revoked",
    security(("operator" = [])), params(
    ("after" = Option<String>, Query, description = "Begin after this user: the `next` of the page before"),
    ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "Most users, at most 1,000; default: 100"),
), responses((status = 200, description = "Users", body = RevokedPage)))]
pub(super) async fn list_revoked(
    _: Operator,
    asked: web::Query<UsersParams>,
    state: web::Data<HttpState>,
) -> HttpResponse {
    let UsersParams { after, limit } = asked.into_inner();
    let Limit(limit) = limit.unwrap_or_default();
    let mut revoked = state.door.revocations().current(clock::now());
    revoked.retain(|(user, _)| after.as_deref().is_none_or(|after| **user > *after));
    revoked.sort_unstable();
    let more = revoked.len() > limit;
    revoked.truncate(limit);
    let next = revoked.last().filter(|_| more).map(|(user, _)| user.clone());
    let shown = |(user, left): (Arc<str>, Duration)| RevokedUser {
        user,
        left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
    };
    HttpResponse::Ok().json(RevokedPage { users: revoked.into_iter().map(shown).collect(), next })
}

/// Lets a user in again.
#[utoipa::path(delete, path = "/v1/users/{user}/revoke", tag = "operators", security(("operator" = [])),
    params(("user" = String, Path, description = "The user")),
    responses((status = 204, description = "The user may come in"),
        (status = 503, description = "That cannot be written to the store: nothing has changed")))]
pub(super) async fn pardon(
    _: Operator,
    user: web::Path<String>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    state.may_change()?;
    to_its_end(async move { let_in(&state, &user).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Lets a user in everywhere, or nowhere.
async fn let_in(state: &HttpState, user: &str) -> Result<(), ApiError> {
    let (revocations, now) = (state.door.revocations(), clock::now());
    let revoked = revocations.current(now).into_iter().find(|(revoked, _)| **revoked == *user);
    let Some((user, left)) = revoked.filter(|_| revocations.pardon(user, now)) else {
        let message = format!("the access of {user:?} is not revoked");
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not_revoked", message));
    };
    if state.revoked.is_some() && !keep(state).await {
        // Otherwise the user would be revoked again after a restart, and nobody would know why.
        revocations.revoke(user, left, now);
        let message =
            "that cannot be written to the store, and the user stays revoked: see /healthz and the log";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "store_fails", message));
    }
    if !tell_others(state, &user, Duration::ZERO).await {
        revocations.revoke(user, left, now);
        keep(state).await;
        return Err(ApiError::unavailable("Redis"));
    }
    info!(%user, "an operator gave a user's access back");
    Ok(())
}
