//! The schema and the coding in a vector.

use driftless_proto::{
    schema::{FieldType, Predictor, Schema},
    wire::{self, ColumnCoding},
};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct VectorSchema {
    kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    name: String,
    groups: Vec<Group>,
    #[serde(default)]
    life: Option<String>,
}

impl Kind {
    /// The place of the field that counts lives, from 1.
    fn life(&self) -> u32 {
        let mut fields = self.groups.iter().flat_map(|group| &group.fields);
        self.life.as_ref().map_or(0, |life| fields.position(|field| field == life).unwrap() as u32 + 1)
    }
}

#[derive(Deserialize)]
struct Group {
    name: String,
    fields: Vec<String>,
    predictor: String,
    quanta_per_unit: u32,
    #[serde(rename = "type", default)]
    field_type: Option<String>,
}

impl VectorSchema {
    pub(crate) fn schema(&self) -> Schema {
        let field_type = |group: &Group| match group.field_type.as_deref() {
            None => FieldType::Number,
            Some("text") => FieldType::Text,
            Some("bytes") => FieldType::Bytes,
            Some(other) => panic!("type {other}"),
        };
        let field = |name: &String, g: &Group| wire::Field {
            name: name.clone(),
            quanta_per_unit: g.quanta_per_unit,
            field_type: field_type(g).into(),
        };
        let group = |g: &Group| wire::Group {
            name: g.name.clone(),
            fields: g.fields.iter().map(|name| field(name, g)).collect(),
            predictor: match g.predictor.as_str() {
                "hold" => Predictor::Hold,
                "linear" => Predictor::Linear,
                other => panic!("predictor {other}"),
            }
            .into(),
        };
        let kind = |k: &Kind| wire::Kind {
            name: k.name.clone(),
            groups: k.groups.iter().map(group).collect(),
            life: k.life(),
        };
        Schema::from_wire(&wire::Schema { kinds: self.kinds.iter().map(kind).collect() }).unwrap()
    }
}

pub(crate) fn coding(name: &str) -> ColumnCoding {
    match name {
        "packed" => ColumnCoding::Packed,
        "rice" => ColumnCoding::Rice,
        "dense" => ColumnCoding::Dense,
        other => panic!("coding {other}"),
    }
}
