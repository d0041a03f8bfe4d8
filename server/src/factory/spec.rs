//! Requirements for a room, and why there is none.

use crate::{
    ground::{
        api_error::{ApiError, TRY_AGAIN},
        close::GOING_DOWN,
        durability::Durability,
        refusal::Refusal,
        source::Source,
        trace::TraceParent,
        unique::{Unique, object_text},
        whole::whole,
    },
    nodes::{Node, NotHere, Unavailable},
};
use actix_web::http::StatusCode;
use driftless_proto::{code::CloseCode, names::ROOM_NAME, wire};
use driftless_sim::step::{MAX_INFO, MAX_INFO_KEY, MAX_INFO_VALUE};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use utoipa::ToSchema;

/// What a creator requires of a room. Absent values are the configuration's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomSpec {
    /// Kind of game.
    pub kind: Option<String>,
    /// Name, as [`is_room_name`](driftless_proto::names::is_room_name) allows. Absent: one is generated.
    #[schema(pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
    pub name: Option<String>,
    /// Ticks a second, 1 to 128.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 128)]
    pub tick_rate: Option<u32>,
    /// Most players.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 10000)]
    pub max_players: Option<u32>,
    /// Most spectators.
    #[serde(default, deserialize_with = "whole")]
    #[schema(maximum = 100_000)]
    pub max_spectators: Option<u32>,
    /// How long ago what spectators are shown was, milliseconds. Where everybody can make rooms, at most what
    /// is the default.
    #[serde(default, deserialize_with = "whole")]
    #[schema(maximum = 300_000)]
    pub spectate_delay_ms: Option<u32>,
    /// Seed of the simulation. Absent: random.
    #[serde(default, deserialize_with = "whole")]
    #[schema(format = "uint64")]
    pub seed: Option<u64>,
    /// What of it survives a failure of the server. Absent: as configured for its kind.
    pub durability: Option<Durability>,
    /// Options of its game, as JSON text. Empty: the game's defaults.
    #[serde(default, deserialize_with = "object_text")]
    #[schema(value_type = Object)]
    pub options: String,
    /// What it publishes until its game says otherwise: texts, numbers, true or false.
    #[serde(default, deserialize_with = "info")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub info: BTreeMap<String, String>,
    /// Of which span its start is a part.
    #[serde(skip)]
    pub trace: Option<TraceParent>,
}

/// Texts, and what can be written as one.
fn info<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let Unique(Value::Object(given)) = Unique::deserialize(from)? else {
        return Err(D::Error::custom("info must be an object"));
    };
    let text = |(key, value): (String, Value)| {
        let text = match value {
            Value::String(text) => text,
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return Err(format!("info has values that are texts, numbers, true or false: not {key:?}")),
        };
        Ok((key, text))
    };
    given.into_iter().map(text).collect::<Result<_, _>>().map_err(D::Error::custom)
}

/// At most as much as a game may publish.
pub(super) fn check_info(info: &BTreeMap<String, String>) -> Result<(), FactoryError> {
    if info.len() > MAX_INFO {
        return Err(FactoryError::BadInfo(format!("it may have at most {MAX_INFO} keys")));
    }
    match info.iter().find(|(key, text)| key.len() > MAX_INFO_KEY || text.len() > MAX_INFO_VALUE) {
        None => Ok(()),
        Some((key, _)) => Err(FactoryError::BadInfo(format!(
            "keys have at most {MAX_INFO_KEY} bytes and values {MAX_INFO_VALUE}: not {key:?}"
        ))),
    }
}

/// Why there is no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FactoryError {
    /// No game of this kind is offered.
    #[error("unknown kind of game {0:?}")]
    UnknownKind(String),
    /// The room exists and is of another kind.
    #[error("room {room:?} is of kind {is:?}, not {asked:?}")]
    OtherKind {
        /// The room.
        room: String,
        /// Its kind.
        is: String,
        /// The kind asked for.
        asked: String,
    },
    /// There is no room of this name to watch.
    #[error("there is no room {0:?} to watch: it is made by who plays in it")]
    NoSuchRoom(String),
    /// The seat that was reserved is gone, with its room.
    #[error("room {0:?} is no longer there, nor the seat in it: find another match")]
    MatchOver(String),
    /// A room of this name exists (asked to create it).
    #[error("room {0:?} exists")]
    Exists(String),
    /// No room may have this name.
    #[error("bad room name {0:?}: it is not {ROOM_NAME}")]
    BadName(String),
    /// A number is out of range.
    #[error("{key} is {value}, outside {min}..={max}")]
    OutOfRange {
        /// Which.
        key: &'static str,
        /// Its value.
        value: u64,
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// What spectators are shown would be older than it may be in a room that anybody can make.
    #[error("spectate_delay_ms is {asked}: where everybody may make rooms, it is at most {most}")]
    DelayTooLong {
        /// What was asked for.
        asked: u32,
        /// What may be.
        most: u32,
    },
    /// The game does not accept these options.
    #[error("bad options: {0}")]
    BadOptions(String),
    /// It is to publish more than a game may.
    #[error("bad info: {0}")]
    BadInfo(String),
    /// A join brought options.
    #[error("this server accepts no options in joins: start it with --join-options")]
    NoJoinOptions,
    /// There are as many rooms as allowed.
    #[error("all {0} rooms are in use")]
    TooManyRooms(usize),
    /// The joins of one address have made as many rooms as one address may.
    #[error("{of} has made as many rooms that still exist as one address may: {max}")]
    TooManyRoomsOfAddress {
        /// Who.
        of: Source,
        /// The limit.
        max: usize,
    },
    /// The existing rooms use all ticks per second that the server allows.
    #[error("all {0} ticks per second are in use by other rooms")]
    TooManyTicks(u32),
    /// A room is to survive, and there is nothing to keep it in.
    #[error("this server keeps no rooms: start it with --store FOLDER or --redis URL")]
    NoStore,
    /// A stored room has this name, and cannot go on here.
    #[error("room {room:?} waits in the store for a server that can go on with it: {why}")]
    Waits {
        /// The room.
        room: String,
        /// Why this server cannot.
        why: String,
    },
    /// The room is on another node.
    #[error("the room is on node {}, at {}", .0.name, .0.url)]
    Elsewhere(Box<Node>),
    /// It cannot be found out which node has the room.
    #[error("it cannot be found out where the room is: {}", .0.why)]
    Unavailable(Unavailable),
    /// The server is shutting down.
    #[error("{GOING_DOWN}")]
    Draining,
}

impl FactoryError {
    /// The error code in answers of the HTTP API.
    pub fn name(&self) -> &'static str {
        match self {
            FactoryError::UnknownKind(_) => "unknown_kind",
            FactoryError::OtherKind { .. } => "other_kind",
            FactoryError::NoSuchRoom(_) => "no_such_room",
            FactoryError::MatchOver(_) => "match_over",
            FactoryError::Exists(_) => "room_exists",
            FactoryError::BadName(_) => "bad_name",
            FactoryError::OutOfRange { .. } | FactoryError::DelayTooLong { .. } => "out_of_range",
            FactoryError::BadOptions(_) | FactoryError::NoJoinOptions => "bad_options",
            FactoryError::BadInfo(_) => "bad_info",
            FactoryError::TooManyRooms(_) => "too_many_rooms",
            FactoryError::TooManyRoomsOfAddress { .. } => "too_many_rooms_of_address",
            FactoryError::TooManyTicks(_) => "too_many_ticks",
            FactoryError::NoStore => "no_store",
            FactoryError::Waits { .. } => "room_waits",
            FactoryError::Elsewhere(_) => "room_elsewhere",
            FactoryError::Unavailable(_) => "registry_unavailable",
            FactoryError::Draining => "draining",
        }
    }

    /// The close code with which a join is refused.
    pub fn code(&self) -> CloseCode {
        match self {
            FactoryError::UnknownKind(_) | FactoryError::OtherKind { .. } => CloseCode::UnknownKind,
            FactoryError::BadName(_) => CloseCode::BadName,
            FactoryError::NoSuchRoom(_) | FactoryError::MatchOver(_) => CloseCode::NoSuchRoom,
            FactoryError::BadOptions(_) | FactoryError::NoJoinOptions => CloseCode::BadOptions,
            FactoryError::TooManyRooms(_) | FactoryError::TooManyTicks(_) => CloseCode::ServerFull,
            FactoryError::TooManyRoomsOfAddress { .. } => CloseCode::AddressLimit,
            FactoryError::Draining | FactoryError::Waits { .. } => CloseCode::Draining,
            FactoryError::Elsewhere(_) => CloseCode::Moved,
            FactoryError::Unavailable(_) => CloseCode::RegistryUnavailable,
            // The server's own fault: these come from creating a room by name and numbers, which a join does
            // not do.
            FactoryError::Exists(_)
            | FactoryError::OutOfRange { .. }
            | FactoryError::DelayTooLong { .. }
            | FactoryError::BadInfo(_)
            | FactoryError::NoStore => CloseCode::Internal,
        }
    }
}

impl From<NotHere> for FactoryError {
    fn from(why: NotHere) -> Self {
        match why {
            NotHere::At(node) => FactoryError::Elsewhere(node),
            NotHere::Nowhere => FactoryError::Unavailable(Unavailable {
                why: "nobody has it".to_owned(),
                wait: Duration::ZERO,
            }),
            NotHere::Unknown(why) => FactoryError::Unavailable(why),
        }
    }
}

impl From<FactoryError> for ApiError {
    fn from(error: FactoryError) -> Self {
        let wait = match &error {
            FactoryError::Unavailable(unavailable) => Some(unavailable.wait),
            FactoryError::Draining => Some(TRY_AGAIN),
            _ => None,
        };
        let status = match error {
            // Against the description of the API.
            FactoryError::UnknownKind(_) | FactoryError::BadName(_) | FactoryError::OutOfRange { .. } => {
                StatusCode::BAD_REQUEST
            }
            // As described, and not for this game or this server.
            FactoryError::BadOptions(_)
            | FactoryError::DelayTooLong { .. }
            | FactoryError::BadInfo(_)
            | FactoryError::NoStore
            | FactoryError::NoJoinOptions => StatusCode::UNPROCESSABLE_ENTITY,
            FactoryError::OtherKind { .. }
            | FactoryError::Exists(_)
            | FactoryError::Waits { .. }
            | FactoryError::Elsewhere(_) => StatusCode::CONFLICT,
            FactoryError::TooManyRooms(_)
            | FactoryError::TooManyTicks(_)
            | FactoryError::Unavailable(_)
            | FactoryError::Draining => StatusCode::SERVICE_UNAVAILABLE,
            FactoryError::TooManyRoomsOfAddress { .. } => StatusCode::TOO_MANY_REQUESTS,
            FactoryError::NoSuchRoom(_) | FactoryError::MatchOver(_) => StatusCode::NOT_FOUND,
        };
        let answer = Self::new(status, error.name(), error.to_string());
        match wait {
            Some(wait) => answer.retry_after(wait),
            None => answer,
        }
    }
}

impl From<FactoryError> for Refusal {
    fn from(e: FactoryError) -> Self {
        let refusal = Self::new(e.code(), &e);
        match e {
            FactoryError::Elsewhere(node) => {
                Self { moved: Some(Box::new(wire::Moved::from(*node))), ..refusal }
            }
            FactoryError::Unavailable(Unavailable { wait, .. }) => Self { wait, ..refusal },
            _ => refusal,
        }
    }
}
