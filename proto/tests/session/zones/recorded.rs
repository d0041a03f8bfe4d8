//! Golden vectors of whole sessions, for other implementations: see `proto/vectors/README.md`.

use super::play::Play;
use crate::util::{Conditions, ms};
use driftless_proto::{
    schema::Schema,
    session::{Delivery, client::ClientSession},
};
use prost::Message as _;
use serde_json::{Value, json};
use std::{cell::RefCell, fmt::Write, fs, path::Path, rc::Rc};

#[test]
fn recorded_sessions_are_what_the_server_sends_and_the_client_shows() {
    let lossy =
        Conditions { delay: ms(40), jitter: ms(60), loss: 15, duplication: 10, ..Conditions::default() };
    let slow = Conditions { delay: ms(30), rate: 1_000, ..Conditions::default() };
    for (name, delivery, conditions, message_bytes) in [
        ("recorded_lossy", Delivery::Datagram, lossy, 160),
        ("recorded_narrow", Delivery::Datagram, slow, 1_200),
        ("recorded_ordered", Delivery::Ordered, slow, usize::MAX),
    ] {
        let recorded = record(delivery, conditions, message_bytes);
        let path = format!("{}/vectors/zones/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let path = Path::new(&path);
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            fs::write(path, recorded).unwrap();
            continue;
        }
        // Not the whole text: it is long.
        let file = fs::read_to_string(path).unwrap();
        let differs = recorded.lines().zip(file.lines()).position(|(now, then)| now != then);
        assert_eq!((differs, recorded.len()), (None, file.len()), "{name}: line and length");
    }
}

/// A session in a world whose boats come, go, and sail from zone to zone, as a vector.
fn record(delivery: Delivery, conditions: Conditions, message_bytes: usize) -> String {
    let mut play = Play::new(delivery, conditions, (message_bytes, usize::MAX), 6);
    let schema = play.room.schema.clone();
    let steps = Rc::new(RefCell::new(Vec::new()));
    let (out, of) = (Rc::clone(&steps), schema.clone());
    play.taken = Some(Box::new(move |message, client| {
        out.borrow_mut().push(format!(
            "    {{\"message\": \"{}\",\n     \"shown\": {}}}",
            hex(message),
            shown(client, &of)
        ));
    }));
    (0..40).for_each(|_| play.step());
    let delivery = if delivery == Delivery::Ordered { "ordered" } else { "datagram" };
    let about =
        "A whole session, as our server sends it; another may choose other zones, baselines and codings.";
    format!(
        "{{\n  \"about\": {},\n  \"schema\": {},\n  \"schema_message\": \"{}\",\n  \"delivery\": \"{delivery}\",\n  \
         \"tick_rate\": 20,\n  \"steps\": [\n{}\n  ]\n}}\n",
        json!(about),
        schema_of(&schema),
        hex(&schema.to_wire().encode_to_vec()),
        steps.borrow().join(",\n"),
    )
}

fn schema_of(schema: &Schema) -> Value {
    use driftless_proto::schema::{FieldType, Predictor};
    let kinds = schema.kinds().iter().map(|kind| {
        let groups = kind.groups().iter().map(|group| {
            let fields = group.fields();
            let names: Vec<_> = fields.iter().map(|field| field.name()).collect();
            let predictor = if group.predictor() == Predictor::Linear { "linear" } else { "hold" };
            let quanta = fields[0].quanta_per_unit();
            let mut out = json!({
                "name": group.name(), "fields": names, "predictor": predictor, "quanta_per_unit": quanta,
            });
            if fields[0].field_type() == FieldType::Text {
                out["type"] = json!("text");
            }
            out
        });
        json!({"name": kind.name(), "groups": groups.collect::<Vec<_>>()})
    });
    json!({"kinds": kinds.collect::<Vec<_>>()})
}

/// What the client shows, with texts instead of their numbers.
fn shown(client: &ClientSession, schema: &Schema) -> Value {
    let Some(state) = client.snapshot() else { return Value::Null };
    let mut rows = json!({});
    for (kind, table) in schema.kinds().iter().zip(state.tables()).filter(|(_, table)| !table.is_empty()) {
        let texts: Vec<usize> = kind.text_columns().collect();
        for (row, id) in table.ids().iter().enumerate() {
            let values = (0..table.width()).map(|column| match table.column(column)[row] {
                number if texts.contains(&column) => json!(state.text_of(number)),
                number => json!(number),
            });
            rows[kind.name()][id.to_string()] = values.collect();
        }
    }
    json!({"tick": state.tick(), "rows": rows})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
