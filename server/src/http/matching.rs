//! Finding a room to play in: matches and the lobby.

use super::{
    ApiError, HttpState,
    access::{knock, source},
    body::Object,
    event_stream::{self, wants_events},
    page::Limit,
};
use crate::{
    clock,
    ground::{
        api_error::TRY_AGAIN,
        identity::{Identity, Role},
        places::{NoPlace, Place, Places},
        shared::RoomShared,
        tenure::{Tenancy, Tenure},
        unique::object_text,
        whole::whole,
    },
    matching::{
        MAX_PARTY, Match, MatchQuery,
        filter::{Filter, FilterError},
        lobby::{Changes, LivePage, LobbyQuery, Page, PageReader},
        open_room::OpenRoom,
    },
};
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use bytes::Bytes;
use driftless_proto::limits::MAX_OPTIONS;
use futures_util::stream::unfold;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

/// After this much silence a comment is sent, as on the stream of events.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What a party wants.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MatchRequest {
    /// Kind of game. Absent: the server's default kind.
    kind: Option<String>,
    /// Which rooms, as `mode = "ctf" and players < 8`: see the guide (/guide/matches). Absent: any.
    #[schema(max_length = 512)]
    filter: Option<String>,
    /// How many seats. Default: 1.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 64)]
    party: Option<u32>,
    /// Whether a room is made if none fits. Default: true.
    create: Option<bool>,
    /// Options of the game for a room that is made, if the server takes them from joins (`join_options`).
    #[serde(default, deserialize_with = "object_text")]
    #[schema(value_type = Object)]
    options: String,
}

/// A room in which seats are kept.
#[derive(Serialize, ToSchema)]
pub(super) struct MatchAnswer {
    /// The room.
    room: OpenRoom,
    /// Whether it was made for this.
    made: bool,
    /// One for each seat, for `Join.reservation`. The first is for the user who asks; the others are for
    /// whoever shows them.
    reservations: Vec<String>,
    /// How long the seats are kept, milliseconds.
    expires_ms: u64,
    /// Where WebSockets to its server go, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Where QUIC and WebTransport to its server go.
    #[serde(skip_serializing_if = "Option::is_none")]
    quic: Option<String>,
}

impl From<Match> for MatchAnswer {
    fn from(Match { room, made, tokens, lasts, at }: Match) -> Self {
        let (url, quic) = at.unzip();
        Self {
            url,
            quic: quic.flatten(),
            room,
            made,
            reservations: tokens.into_iter().map(|token| token.to_text()).collect(),
            expires_ms: u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Finds a room with seats for a party, or makes one, and keeps the seats for a moment.
///
/// Who asks is known as at the door: from a token (`Authorization: Bearer …`, or `?token=`), or as a guest.
#[utoipa::path(post, path = "/v1/match", tag = "matches", operation_id = "find_match",
    request_body = MatchRequest, security((), ("player" = [])),
    responses((status = 200, description = "Seats are kept", body = MatchAnswer)))]
pub(super) async fn find(
    request: HttpRequest,
    body: web::Json<Object<MatchRequest>>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let identity = player(&state, &request).await?;
    let Object(MatchRequest { kind, filter, party, create, options }) = body.into_inner();
    let kind = kind.or_else(|| identity.entry.kind.as_deref().map(str::to_owned));
    let kind = kind.unwrap_or_else(|| state.matchmaker.default_kind().to_owned());
    if options.len() > MAX_OPTIONS {
        let message = format!("options of {} bytes; at most {MAX_OPTIONS} are allowed", options.len());
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_options", message));
    }
    let query = MatchQuery {
        filter: filter.as_deref().map(Filter::parse).transpose()?,
        options,
        party: party_of(party)?,
        create: create.unwrap_or(true),
        user: (!identity.user.is_guest()).then(|| identity.user.id().clone()),
        entry: identity.entry.clone(),
        source: source(&state, &request),
        kind: allowed(&identity, kind)?,
    };
    let found = state.matchmaker.join_or_create(query).await?;
    Ok(HttpResponse::Ok().json(MatchAnswer::from(found)))
}

/// Who asks, and is to play.
pub(super) async fn player(state: &HttpState, request: &HttpRequest) -> Result<Arc<Identity>, ApiError> {
    let tenure = state.door.identify(knock(state, request)?).await?;
    let identity = tenure.identity().clone();
    match identity.role {
        Role::Player => Ok(identity),
        other => Err(forbidden(format!("a seat is a player's, and this token is of a {other}"))),
    }
}

pub(super) fn allowed(identity: &Identity, kind: String) -> Result<String, ApiError> {
    if identity.entry.allows_kind(&kind) {
        return Ok(kind);
    }
    Err(forbidden(format!("{} may not enter rooms of kind {kind:?}", identity.user)))
}

/// Nobody knows the name of the room that a match will have.
pub(super) fn allowed_everywhere(identity: &Identity, kind: String) -> Result<String, ApiError> {
    if identity.entry.allows_all_rooms() {
        return Ok(kind);
    }
    let user = &identity.user;
    Err(forbidden(format!("{user} may enter only some rooms, and nobody knows which one a match will have")))
}

/// Somebody who may see which rooms there are.
pub(super) enum Viewer {
    /// An operator, who sees all.
    Operator,
    /// Whoever may come in, for as long as that is so.
    Player(Tenure),
}

impl Viewer {
    pub(super) async fn of(state: &HttpState, request: &HttpRequest) -> Result<Self, ApiError> {
        if state.access.is_operator(request) {
            return Ok(Self::Operator);
        }
        Ok(Self::Player(state.door.identify(knock(state, request)?).await?))
    }

    /// Until when a stream may be read, if that is known.
    fn ends_at(&self) -> Option<std::time::Instant> {
        match self {
            Viewer::Operator => None,
            Viewer::Player(tenure) => tenure.ends_at(),
        }
    }

    /// The last event of a stream, once it may be read no longer. Said once.
    fn goodbye(&mut self) -> Option<Bytes> {
        let Viewer::Player(tenure) = self else { return None };
        match tenure.poll(clock::now()) {
            Tenancy::Over(code, reason) => {
                Some(event("goodbye", &json(&serde_json::json!({ "code": code.name(), "reason": reason }))))
            }
            Tenancy::Goes | Tenancy::Ask(_) => None,
        }
    }

    /// Whether a list shows this room.
    pub(super) fn may_list(&self, room: &RoomShared) -> bool {
        match self {
            Viewer::Operator => true,
            Viewer::Player(tenure) => {
                !room.notice.is_private() && tenure.identity().entry.allows_room(&room.name)
            }
        }
    }

    /// Refuses to show a room that the token does not allow.
    pub(super) fn check_name(&self, name: &str) -> Result<(), ApiError> {
        match self {
            Viewer::Player(tenure) if !tenure.identity().entry.allows_room(name) => {
                Err(forbidden(format!("{} may not enter room {name:?}", tenure.identity().user)))
            }
            _ => Ok(()),
        }
    }
}

fn forbidden(message: String) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", message)
}

pub(super) fn party_of(party: Option<u32>) -> Result<u32, ApiError> {
    let party = party.unwrap_or(1);
    if (1..=MAX_PARTY).contains(&party) {
        return Ok(party);
    }
    let message = format!("party is {party}, outside 1..={MAX_PARTY}");
    Err(ApiError::new(StatusCode::BAD_REQUEST, "out_of_range", message))
}

impl From<FilterError> for ApiError {
    fn from(error: FilterError) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_filter", error.to_string())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LobbyParams {
    kind: Option<String>,
    filter: Option<String>,
    after: Option<String>,
    limit: Option<Limit>,
    /// Read where it is found out who asks.
    #[serde(rename = "token")]
    _token: Option<IgnoredAny>,
}

/// A page of open rooms, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct LobbyPage<'a> {
    rooms: Vec<&'a OpenRoom>,
    /// The `after` of the next page (`?after=`). None: there are no more.
    next: Option<&'a str>,
}

/// A page of the rooms that anybody can enter now, by name, for whoever may come in (the token is shown as
/// for a match) and for operators; or for `Accept: text/event-stream`, that page and
/// what changes in it.
///
/// The stream begins with the event `rooms`, which is a page; each event `changes` has rooms that are new or
/// other than they were, and names of those that are gone. It ends with `goodbye`, when the token has expired
/// or the user's access is revoked.
#[utoipa::path(get, path = "/v1/lobby", tag = "matches", operation_id = "lobby", params(
    ("kind" = Option<String>, Query, description = "Only rooms of this kind of game"),
    ("filter" = Option<String>, Query, description = "Only rooms that fit, as `mode = \"ctf\" and players < 8`"),
    ("after" = Option<String>, Query, description = "Begin after this name: the `next` of the page before"),
    ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "Most rooms, at most 1,000; default: 100"),
), security((), ("player" = []), ("operator" = [])), responses((status = 200, description = "Rooms", content(
    (LobbyPage<'_> = "application/json"), (Changes<'_> = "text/event-stream")))))]
pub(super) async fn lobby(
    request: HttpRequest,
    asked: web::Query<LobbyParams>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let viewer = Viewer::of(&state, &request).await?;
    if state.matchmaker.is_cut_off() {
        let message = "the rooms of other servers are not known: Redis does not answer";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "lobby_unavailable", message)
            .retry_after(TRY_AGAIN));
    }
    let LobbyParams { kind, filter, after, limit, .. } = asked.into_inner();
    let Limit(limit) = limit.unwrap_or_default();
    let filter = filter.as_deref().map(Filter::parse).transpose()?;
    let wanted = LobbyQuery { kind, filter, after, limit };
    if !wants_events(&request) {
        let matchmaker = state.matchmaker.clone();
        let text = web::block(move || json(&LobbyPage::of(&wanted.of(&matchmaker.lobby())))).await;
        let text = text.map_err(|_| ApiError::unavailable("the lobby"))?;
        return Ok(HttpResponse::Ok().content_type("application/json").body(text));
    }
    let place = reader_place(&state.lobby_readers, &state, &request)?;
    let pages = state.matchmaker.read_lobby(wanted);
    let reader = LobbyReader { viewer, pages, had: None, is_over: false, _place: place };
    let events = unfold(reader, |mut reader| async move {
        let text = reader.next().await?;
        Some((Ok::<_, Infallible>(text), reader))
    });
    Ok(event_stream::stream(events))
}

/// A place among those who read something live, for as long as they do.
pub(super) fn reader_place(
    readers: &Arc<Places>,
    state: &HttpState,
    request: &HttpRequest,
) -> Result<Place, ApiError> {
    readers.take(source(state, request)).map_err(|full| {
        let (status, code, message) = match full {
            NoPlace::Full(max) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_readers",
                format!("{max} read this, as many as may: ask for it without a stream"),
            ),
            NoPlace::SourceFull { of, max } => (
                StatusCode::TOO_MANY_REQUESTS,
                "address_full",
                format!("{max} read this from {of}, as many as may from one address: ask without a stream"),
            ),
        };
        ApiError::new(status, code, message)
    })
}

impl<'a> LobbyPage<'a> {
    fn of(Page { rooms, more }: &'a Page) -> Self {
        let next = rooms.last().filter(|_| *more).map(|room| &*room.name);
        Self { rooms: rooms.iter().map(|room| &**room).collect(), next }
    }
}

/// Somebody who is told what changes.
struct LobbyReader {
    viewer: Viewer,
    pages: PageReader,
    /// What was told.
    had: Option<Arc<LivePage>>,
    /// The last event was told.
    is_over: bool,
    _place: Place,
}

impl LobbyReader {
    /// The next event. None: there are no more.
    async fn next(&mut self) -> Option<Bytes> {
        let heartbeat = Instant::now() + HEARTBEAT;
        while !self.is_over {
            let until = self.viewer.ends_at().map_or(heartbeat, |end| heartbeat.min(end.into()));
            let changed = timeout_at(until, self.pages.changed()).await;
            // Before anything else is told.
            if let Some(goodbye) = self.viewer.goodbye() {
                self.is_over = true;
                return Some(goodbye);
            }
            match changed {
                Ok(changed) => changed.ok()?,
                Err(_) => return Some(Bytes::from_static(b": still here\n\n")),
            }
            let Some(page) = self.pages.borrow_and_update().clone() else { continue };
            match self.had.replace(page.clone()) {
                None => return Some(event("rooms", &json(&LobbyPage::of(&page.page)))),
                Some(had) => {
                    if let Some(changes) = page.changes_since(&had) {
                        return Some(event("changes", &changes));
                    }
                }
            }
        }
        None
    }
}

fn event(name: &str, json: &[u8]) -> Bytes {
    [b"event: ", name.as_bytes(), b"\ndata: ", json, b"\n\n"].concat().into()
}

fn json(data: &impl Serialize) -> Bytes {
    serde_json::to_vec(data).unwrap_or_default().into()
}
