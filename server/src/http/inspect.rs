//! The contents of a room, whatever its game is.

use super::{ApiError, HttpState, access::Operator, rooms};
use crate::{
    ground::published::Published,
    room::inspect::{Inspect, Inspected, SeatView},
};
use actix_web::{HttpResponse, web};
use driftless_proto::{
    schema::{FieldType, Kind, Predictor, Schema},
    snapshot::Snapshot,
};
use driftless_sim::{PlayerId, ZoneId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;

/// Most entities listed, of all kinds together.
const MAX_ENTITIES: usize = 5_000;

/// Whose view is asked for.
#[derive(Deserialize)]
pub(super) struct InspectParams {
    /// Only what this player sees. None: everything.
    player: Option<String>,
}

/// The newest state of a room.
#[derive(Serialize, ToSchema)]
#[schema(as = RoomState)]
struct State<'a> {
    room: &'a str,
    kind: &'static str,
    tick_rate: u32,
    tick: u32,
    seats: &'a [SeatView],
    /// Whether there are more entities than are listed.
    truncated: bool,
    /// Whether the room has zones other than zone 0, which all players see.
    zoned: bool,
    tables: Vec<TableView<'a>>,
}

/// The entities of one kind, by columns, in order of zone and id.
#[derive(Serialize, ToSchema)]
#[schema(as = Table)]
struct TableView<'a> {
    kind: &'a str,
    fields: Vec<FieldView<'a>>,
    /// Number of entities of this kind.
    count: usize,
    ids: Vec<u32>,
    /// The zone of each entity. Empty if the room has only zone 0.
    #[schema(value_type = Vec<u32>)]
    zones: Vec<ZoneId>,
    /// A column for each field.
    #[schema(value_type = Vec<Vec<serde_json::Value>>)]
    columns: Vec<Vec<Value<'a>>>,
}

#[derive(Serialize, Clone)]
#[serde(untagged)]
enum Value<'a> {
    /// In quanta.
    Number(i32),
    Text(Cow<'a, str>),
    /// In hexadecimal.
    Bytes(String),
}

/// A column.
#[derive(Serialize, ToSchema)]
#[schema(as = Field)]
struct FieldView<'a> {
    name: &'a str,
    group: &'a str,
    quanta_per_unit: u32,
    predictor: &'static str,
    #[serde(rename = "type")]
    field_type: &'static str,
}

/// The newest state of a room, with its schema.
#[utoipa::path(get, path = "/v1/rooms/{name}/state", tag = "operators", operation_id = "room_state",
    security(("operator" = [])),
    params(("name" = String, Path, description = "The room"),
        ("player" = Option<u32>, Query, description = "Only what this player sees")),
    responses((status = 200, description = "Schema, seats and entities", body = State<'static>)))]
pub(super) async fn state(
    _: Operator,
    name: web::Path<String>,
    asked: web::Query<InspectParams>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let room = rooms::find(&state, &name).await?;
    let inspected = room.room.send(Inspect).await.map_err(|_| ApiError::no_such_room(&name))?;
    let player = asked.player.as_deref().map(|player| {
        let number = player.parse().ok().filter(|number| inspected.seats.iter().any(|s| s.player == *number));
        number.ok_or_else(|| ApiError::no_such_player(&name, player))
    });
    Ok(HttpResponse::Ok().json(view(&inspected, player.transpose()?)))
}

fn view(inspected: &Inspected, player: Option<PlayerId>) -> State<'_> {
    let Inspected { room, schema, state, seats } = inspected;
    let contents = state.as_ref().map_or_else(Vec::new, |state| contents(state, player));
    let mut left = MAX_ENTITIES;
    let tables: Vec<_> =
        (0..).zip(schema.kinds()).map(|(n, kind)| table(n, kind, &contents, &mut left)).collect();
    State {
        room: &room.name,
        kind: room.kind,
        tick_rate: room.tick_rate,
        tick: state.as_ref().map_or(0, |state| state.snapshot().tick()),
        seats,
        truncated: tables.iter().any(|table| table.ids.len() < table.count),
        zoned: state.as_ref().is_some_and(|state| state.zones().is_some()),
        tables,
    }
}

/// The entities of a state, whatever its game is.
pub(crate) fn entities(schema: &Schema, state: &Snapshot) -> serde_json::Value {
    let contents: Vec<_> = std::iter::once((0, state)).chain(state.zones()).collect();
    let mut left = usize::MAX;
    let tables = (0..).zip(schema.kinds()).map(|(n, kind)| table(n, kind, &contents, &mut left));
    serde_json::to_value(tables.collect::<Vec<_>>()).unwrap_or_default()
}

/// The zones of a state, or those of them that a player sees.
fn contents(state: &Published, player: Option<PlayerId>) -> Vec<(ZoneId, &Snapshot)> {
    let view = player.and_then(|player| state.zones()?.view_of(player));
    let seen = |zone| {
        player.is_none()
            || view.is_some_and(|view| view.binary_search_by_key(&zone, |seen| seen.zone).is_ok())
    };
    let zones = state.snapshot().zones().filter(|(zone, _)| seen(*zone));
    std::iter::once((0, state.snapshot())).chain(zones).collect()
}

fn table<'a>(
    index: usize,
    kind: &'a Kind,
    contents: &[(ZoneId, &'a Snapshot)],
    left: &mut usize,
) -> TableView<'a> {
    let mut view = TableView {
        kind: kind.name(),
        fields: fields(kind),
        count: 0,
        ids: Vec::new(),
        zones: Vec::new(),
        columns: vec![Vec::new(); kind.columns()],
    };
    for &(zone, content) in contents {
        let table = &content.tables()[index];
        let shown = table.len().min(*left);
        *left -= shown;
        view.count += table.len();
        view.ids.extend(&table.ids()[..shown]);
        if contents.len() > 1 {
            view.zones.resize(view.ids.len(), zone);
        }
        let fields = kind.groups().iter().flat_map(|group| group.fields());
        for ((n, field), column) in fields.enumerate().zip(&mut view.columns) {
            let numbers = &table.column(n)[..shown];
            column.extend(numbers.iter().map(|&number| value(content, field.field_type(), number)));
        }
    }
    view
}

fn value(content: &Snapshot, field_type: FieldType, number: i32) -> Value<'_> {
    let bytes = content.bytes_of(number);
    match field_type {
        FieldType::Number => Value::Number(number),
        FieldType::Text => Value::Text(String::from_utf8_lossy(bytes)),
        FieldType::Bytes => Value::Bytes(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

fn fields(kind: &Kind) -> Vec<FieldView<'_>> {
    let of_group = kind.groups().iter().flat_map(|group| {
        group.fields().iter().map(|field| FieldView {
            name: field.name(),
            group: group.name(),
            quanta_per_unit: field.quanta_per_unit(),
            predictor: match group.predictor() {
                Predictor::Hold => "hold",
                Predictor::Linear => "linear",
            },
            field_type: match field.field_type() {
                FieldType::Number => "number",
                FieldType::Text => "text",
                FieldType::Bytes => "bytes",
            },
        })
    });
    of_group.collect()
}
