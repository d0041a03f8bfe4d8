//! The contents of a room, whatever its game is.

use super::{ApiError, HttpState, access::Operator};
use crate::room::inspect::{Inspect, Inspected, SeatView};
use actix_web::{HttpResponse, web};
use driftless_proto::{
    schema::{Kind, Predictor, Schema},
    snapshot::{Snapshot, Table},
};
use serde::Serialize;

/// Most entities listed, of all kinds together.
const MAX_ENTITIES: usize = 5_000;

#[derive(Serialize)]
struct State<'a> {
    room: &'a str,
    kind: &'static str,
    tick_rate: u32,
    tick: u32,
    seats: &'a [SeatView],
    /// Whether there are more entities than are listed.
    truncated: bool,
    tables: Vec<TableView<'a>>,
}

/// The entities of one kind, by columns.
#[derive(Serialize)]
struct TableView<'a> {
    kind: &'a str,
    fields: Vec<FieldView<'a>>,
    /// Number of entities of this kind.
    count: usize,
    ids: &'a [u32],
    /// A column for each field, in quanta.
    columns: Vec<&'a [i32]>,
}

#[derive(Serialize)]
struct FieldView<'a> {
    name: &'a str,
    group: &'a str,
    quanta_per_unit: u32,
    predictor: &'static str,
}

/// The newest state of a room, with its schema.
pub(super) async fn state(
    _: Operator,
    name: web::Path<String>,
    state: web::Data<HttpState>,
) -> Result<HttpResponse, ApiError> {
    let room = state.registry.get(&name).ok_or_else(|| ApiError::no_such_room(&name))?;
    let inspected = room.room.send(Inspect).await.map_err(|_| ApiError::no_such_room(&name))?;
    Ok(HttpResponse::Ok().json(view(&inspected)))
}

fn view(inspected: &Inspected) -> State<'_> {
    let Inspected { room, schema, state, seats } = inspected;
    let snapshot = state.as_ref().map(|state| state.snapshot());
    let total: usize = snapshot.map_or(0, |s| s.tables().iter().map(Table::len).sum());
    State {
        room: &room.name,
        kind: room.kind,
        tick_rate: room.tick_rate,
        tick: snapshot.map_or(0, Snapshot::tick),
        seats,
        truncated: total > MAX_ENTITIES,
        tables: snapshot.map(|snapshot| tables(schema, snapshot)).unwrap_or_default(),
    }
}

fn tables<'a>(schema: &'a Schema, snapshot: &'a Snapshot) -> Vec<TableView<'a>> {
    let mut left = MAX_ENTITIES;
    let table = |(kind, table): (&'a Kind, &'a Table)| {
        let shown = table.len().min(left);
        left -= shown;
        TableView {
            kind: kind.name(),
            fields: fields(kind),
            count: table.len(),
            ids: &table.ids()[..shown],
            columns: (0..table.width()).map(|column| &table.column(column)[..shown]).collect(),
        }
    };
    schema.kinds().iter().zip(snapshot.tables()).map(table).collect()
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
        })
    });
    of_group.collect()
}
