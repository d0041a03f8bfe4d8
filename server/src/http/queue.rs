//! Waiting for a match: tickets.

use super::{
    ApiError, HttpState,
    access::source,
    body::Object,
    event_stream::{self, wants_events},
    matching::{allowed, allowed_everywhere, party_of, player, reader_place},
};
use crate::{
    ground::{
        api_error::TRY_AGAIN,
        whole::{WholeText, whole, wholes},
    },
    matching::{
        Look, QueueError, QueueTicket, Watch,
        desk::{Assignment, Seen},
        filter::Filter,
        ticket::{MAX_ATTRIBUTE, MAX_KEY, MAX_KEYS, TicketId},
    },
    transport::lease,
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, convert::Infallible, time::Duration};
use utoipa::ToSchema;

/// Farthest that a skill is from 0.
const MOST_SKILL: f64 = 1e9;
/// Longest wait for an answer, seconds.
const LONGEST_WAIT: u64 = 25;
/// Time between two events for one who waits, at most.
const NEWS: Duration = Duration::from_secs(5);

/// A party that wants a match.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TicketRequest {
    /// Kind of game. Absent: the server's default kind.
    kind: Option<String>,
    /// How many play. They stay together. Default: 1.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 64)]
    party: Option<u32>,
    /// How good they are, on average. Default: 0.
    #[serde(default)]
    skill: f64,
    /// Milliseconds to regions in which they can play, at most 16. Empty: all.
    #[serde(default, deserialize_with = "wholes")]
    latencies: BTreeMap<String, u32>,
    /// What is known of them besides, at most 16: texts, numbers, true or false.
    #[serde(default)]
    #[schema(value_type = Object)]
    attributes: BTreeMap<String, Value>,
    /// What must be true of everybody they play with, as `mode = "ctf"`: of their attributes, `skill` and
    /// `party`; or of a running room that they come to.
    #[schema(max_length = 512)]
    filter: Option<String>,
}

/// A ticket that was taken.
#[derive(Serialize, ToSchema)]
pub(super) struct TicketAnswer {
    /// Its id. Nobody else can guess it: whoever has it has the seats.
    id: String,
}

/// What is known of a ticket.
#[derive(Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(super) enum TicketState {
    /// It waits.
    Waiting {
        /// How long it has, milliseconds.
        waited_ms: u64,
        /// How much longer it will, as far as recent matches tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        estimate_ms: Option<u64>,
    },
    /// It has a match.
    Matched {
        /// The room.
        room: String,
        /// Its kind of game.
        kind: String,
        /// The team, from 0.
        team: u32,
        /// One for each player, for `Join.reservation`. The first is for the user who has asked.
        reservations: Vec<String>,
        /// How much longer the seats are kept, milliseconds.
        expires_ms: u64,
        /// Where WebSockets to its server go, if there are several.
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// Where QUIC and WebTransport to its server go.
        #[serde(skip_serializing_if = "Option::is_none")]
        quic: Option<String>,
    },
}

/// There is no match for a ticket, and it waits no longer.
pub(super) struct Refused {
    code: &'static str,
    reason: String,
}

impl TryFrom<Look> for TicketState {
    type Error = Refused;

    fn try_from(Look { seen, waited_ms, estimate_ms }: Look) -> Result<Self, Refused> {
        match seen {
            Seen::Waiting(_) => Ok(Self::Waiting { waited_ms, estimate_ms }),
            Seen::Matched(Assignment { room, kind, team, reservations, url, quic, .. }, expires_ms) => {
                Ok(Self::Matched { room, kind, team, reservations, expires_ms, url, quic })
            }
            Seen::Refused(reason) => Err(Refused { code: "bad_options", reason }),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(Refused { code, reason }: Refused) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, reason)
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        let (status, code) = match error {
            QueueError::NoQueue(_) => (StatusCode::NOT_FOUND, "no_queue"),
            QueueError::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            QueueError::Full(_) => (StatusCode::SERVICE_UNAVAILABLE, "queue_full"),
            QueueError::SourceFull { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_tickets"),
            QueueError::PartyTooLarge { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "party_too_large"),
            QueueError::TooLarge(_) => (StatusCode::UNPROCESSABLE_ENTITY, "ticket_too_large"),
            QueueError::NotNow(why) => return why.into(),
            QueueError::Random(_) | QueueError::Away(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "queue_unavailable")
            }
        };
        let answer = Self::new(status, code, error.to_string());
        match status {
            StatusCode::SERVICE_UNAVAILABLE => answer.retry_after(TRY_AGAIN),
            _ => answer,
        }
    }
}

/// Waits for a match: takes a ticket. It is given up when nobody has looked at it for half a minute, or when
/// its user takes another one for the same kind of game.
#[utoipa::path(post, path = "/v1/queue", tag = "matches", operation_id = "queue",
    request_body = TicketRequest, security((), ("player" = [])),
    responses((status = 201, description = "The ticket is taken", body = TicketAnswer,
        headers(("location" = String, description = "Where it is")))))]
pub(super) async fn enter(
    request: HttpRequest,
    body: web::Json<Object<TicketRequest>>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let identity = player(&state, &request).await?;
    let Object(asked) = body.into_inner();
    let TicketRequest { kind, party, skill, latencies, attributes, filter } = asked;
    let kind = kind.or_else(|| identity.entry.kind.as_deref().map(str::to_owned));
    let kind = kind.unwrap_or_else(|| state.matchmaker.default_kind().to_owned());
    let filter = filter.unwrap_or_default();
    if !filter.is_empty() {
        Filter::parse(&filter)?;
    }
    if !skill.is_finite() || skill.abs() > MOST_SKILL {
        return Err(out_of_range(format!("skill is {skill}, more than {MOST_SKILL:e} from 0")));
    }
    if latencies.len() > MAX_KEYS || attributes.len() > MAX_KEYS {
        return Err(out_of_range(format!("latencies and attributes have at most {MAX_KEYS} keys each")));
    }
    if let Some(long) = latencies.keys().chain(attributes.keys()).find(|key| key.len() > MAX_KEY) {
        return Err(out_of_range(format!("keys have at most {MAX_KEY} bytes: not {long:?}")));
    }
    let ticket = QueueTicket {
        user: (!identity.user.is_guest()).then(|| identity.user.id().clone()),
        kind: allowed_everywhere(&identity, allowed(&identity, kind)?)?,
        party: party_of(party)?,
        attributes: attributes.into_iter().map(attribute).collect::<Result<_, _>>()?,
        skill,
        latencies,
        filter,
        source: Some(source(&state, &request)),
    };
    let id = state.queue.add(ticket).await?.to_string();
    let location = format!("/v1/queue/{id}");
    Ok(HttpResponse::Created().insert_header((header::LOCATION, location)).json(TicketAnswer { id }))
}

fn attribute((key, value): (String, Value)) -> Result<(String, String), ApiError> {
    let text = match value {
        Value::String(text) => text,
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(out_of_range(format!("attributes are texts, numbers, true or false: not {key:?}"))),
    };
    if text.len() > MAX_ATTRIBUTE {
        return Err(out_of_range(format!("attributes have at most {MAX_ATTRIBUTE} bytes: not {key:?}")));
    }
    Ok((key, text))
}

fn out_of_range(message: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "out_of_range", message)
}

#[derive(Deserialize)]
pub(super) struct QueueParams {
    /// Seconds.
    wait: Option<WholeText<u64>>,
}

/// What is known of a ticket; or for `Accept: text/event-stream`, what becomes of it: events `waiting`, and
/// at last `matched`, `refused` or `gone`. A ticket whose match the game refuses is answered with 422
/// `bad_options`.
#[utoipa::path(get, path = "/v1/queue/{ticket}", tag = "matches", operation_id = "show_ticket", params(
    ("ticket" = String, Path, description = "The ticket"),
    ("wait" = Option<u64>, Query, maximum = 25, description = "Answer when there is a match, after so many seconds at most. Default: 0"),
), responses((status = 200, description = "What is known", content(
    (TicketState = "application/json"), (TicketState = "text/event-stream")))))]
pub(super) async fn show(
    request: HttpRequest,
    id: web::Path<String>,
    asked: web::Query<QueueParams>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let id = TicketId::parse(&id).ok_or_else(no_such_ticket)?;
    if !wants_events(&request) {
        let wait = asked.wait.map_or(0, |WholeText(seconds)| seconds);
        let wait = Duration::from_secs(wait.min(LONGEST_WAIT));
        lease::prolong(wait + state.answer_timeout);
        let look = state.queue.look(id, wait).await?.ok_or_else(no_such_ticket)?;
        return Ok(HttpResponse::Ok().json(TicketState::try_from(look)?));
    }
    state.queue.look(id, Duration::ZERO).await?.ok_or_else(no_such_ticket)?;
    let place = reader_place(&state.queue_readers, &state, &request)?;
    let reader = (state.queue.watch(id), place);
    // Up to its last event.
    let events = unfold(Some((reader, Duration::ZERO)), |reading| async move {
        let (reader, wait) = reading?;
        let (text, next) = news(&reader.0, wait).await;
        Some((Ok::<_, Infallible>(text), next.map(|wait| (reader, wait))))
    });
    Ok(event_stream::stream(events))
}

/// The next event of a ticket, and how long to wait for the one after. None: it was the last.
async fn news(ticket: &Watch, wait: Duration) -> (Bytes, Option<Duration>) {
    let (name, data, next) = match ticket.look(wait).await {
        Ok(Some(look)) => {
            let text = |state: &TicketState| serde_json::to_string(state).unwrap_or_default();
            match TicketState::try_from(look) {
                Ok(waiting @ TicketState::Waiting { .. }) => ("waiting", text(&waiting), Some(NEWS)),
                Ok(matched @ TicketState::Matched { .. }) => ("matched", text(&matched), None),
                Err(Refused { code, reason }) => {
                    ("refused", json!({ "code": code, "reason": reason }).to_string(), None)
                }
            }
        }
        Ok(None) | Err(QueueError::Draining) => ("gone", "{}".to_owned(), None),
        // Redis does not answer: nobody knows, and the ticket waits there.
        Err(_) => return (Bytes::from_static(b": not known now\n\n"), Some(NEWS)),
    };
    (format!("event: {name}\ndata: {data}\n\n").into(), next)
}

/// Takes a ticket back. If it has a match by now, the answer says so (409 `matched`), and the seats are kept
/// up to their deadline.
#[utoipa::path(delete, path = "/v1/queue/{ticket}", tag = "matches", operation_id = "leave_queue",
    params(("ticket" = String, Path, description = "The ticket")),
    responses((status = 204, description = "It waits no more")))]
pub(super) async fn leave(
    id: web::Path<String>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let id = TicketId::parse(&id).ok_or_else(no_such_ticket)?;
    match state.queue.cancel(id).await?.ok_or_else(no_such_ticket)? {
        Seen::Waiting(_) | Seen::Refused(_) => Ok(HttpResponse::NoContent().finish()),
        Seen::Matched(..) => {
            Err(ApiError::new(StatusCode::CONFLICT, "matched", "the ticket has a match already"))
        }
    }
}

fn no_such_ticket() -> ApiError {
    let message = "there is no such ticket: it was taken back, its user has taken another one, its match is over, or \
                   nobody has looked at it";
    ApiError::new(StatusCode::NOT_FOUND, "no_such_ticket", message)
}
