//! A schema is checked when it is built and when it is read.
#![allow(clippy::unwrap_used, clippy::expect_used)] // in helpers of tests

use driftless_proto::{
    schema::{FieldType, MAX_FIELDS, MAX_GROUPS, MAX_KINDS, Predictor, Schema, SchemaError},
    wire,
};

fn wire_schema() -> wire::Schema {
    Schema::new()
        .kind("player", |k| k.linear("position", &["x", "y"], 100).hold("health", &["health"], 1))
        .kind("bullet", |k| k.linear("position", &["x", "y"], 0))
        .kind("tree", |k| k.text("name", &["name"]).bytes("shape", &["shape"]))
        .to_wire()
}

fn refused(change: impl FnOnce(&mut wire::Schema)) -> SchemaError {
    let mut schema = wire_schema();
    change(&mut schema);
    Schema::from_wire(&schema).expect_err("a bad schema")
}

#[test]
fn a_schema_comes_back_from_the_wire() {
    let schema = Schema::from_wire(&wire_schema()).unwrap();
    assert_eq!(schema.to_wire(), wire_schema());
    assert_eq!(schema.find("bullet"), Some(1));
    assert_eq!(schema.find("tank"), None);
    assert_eq!(schema.kinds()[0].groups()[0].fields()[1].quanta_per_unit(), 100);
    assert_eq!(schema.kinds()[1].groups()[0].fields()[1].quanta_per_unit(), 1, "0 means 1");
    assert_eq!(Schema::from_wire(&wire::Schema::default()), Ok(Schema::new()));
}

#[test]
fn a_bad_name_is_refused() {
    for bad in [String::new(), "n".repeat(65)] {
        assert!(matches!(refused(|s| s.kinds[0].name = bad.clone()), SchemaError::Name(_)));
        assert!(matches!(refused(|s| s.kinds[0].groups[0].name = bad.clone()), SchemaError::Name(_)));
        assert!(matches!(
            refused(|s| s.kinds[0].groups[0].fields[0].name = bad.clone()),
            SchemaError::Name(_)
        ));
    }
}

#[test]
fn a_repeated_name_is_refused() {
    let repeated = |name: &str| SchemaError::Name(name.to_owned());
    assert_eq!(refused(|s| s.kinds[1].name = "player".into()), repeated("player"));
    assert_eq!(refused(|s| s.kinds[0].groups[1].name = "position".into()), repeated("position"));
    // A field's name is unique in its kind, not only in its group.
    assert_eq!(refused(|s| s.kinds[0].groups[1].fields[0].name = "x".into()), repeated("x"));
}

#[test]
fn a_field_called_id_is_refused() {
    let error = refused(|s| s.kinds[0].groups[1].fields[0].name = "id".into());
    assert_eq!(error, SchemaError::Id("player".into()));
}

#[test]
fn a_count_out_of_range_is_refused() {
    let count = |error| match error {
        SchemaError::Count { count, max, .. } => (count, max),
        other => panic!("{other}"),
    };
    assert_eq!(count(refused(|s| s.kinds[0].groups.clear())), (0, MAX_GROUPS));
    assert_eq!(count(refused(|s| s.kinds[0].groups[0].fields.clear())), (0, MAX_FIELDS));
    let error = refused(|s| s.kinds.resize_with(MAX_KINDS + 1, Default::default));
    assert_eq!(count(error), (MAX_KINDS + 1, MAX_KINDS));
    let error = refused(|s| s.kinds[0].groups.resize_with(MAX_GROUPS + 1, Default::default));
    assert_eq!(count(error), (MAX_GROUPS + 1, MAX_GROUPS));
    let error = refused(|s| s.kinds[0].groups[0].fields.resize_with(MAX_FIELDS + 1, Default::default));
    assert_eq!(count(error), (MAX_FIELDS + 1, MAX_FIELDS));
}

#[test]
fn what_counts_lives_is_a_number_that_does_not_move() {
    let schema = Schema::new().kind("player", |k| {
        k.linear("position", &["x"], 1).hold("status", &["health", "spawns"], 1).life("spawns")
    });
    assert_eq!(schema.kinds()[0].life_column(), Some(2));
    assert_eq!(schema.to_wire().kinds[0].life, 3);
    assert_eq!(Schema::from_wire(&schema.to_wire()), Ok(schema));
    let bad = |kind: usize, life| refused(|s| s.kinds[kind].life = life);
    for life in [1, 4, u32::MAX] {
        assert_eq!(bad(0, life), SchemaError::Life("player".into()), "{life}");
    }
    assert_eq!(bad(2, 1), SchemaError::Life("tree".into()));
}

#[test]
#[should_panic(expected = "the life of \"player\" must be one of its fields")]
fn a_life_that_is_no_field_is_refused_when_the_schema_is_built() {
    Schema::new().kind("player", |k| k.hold("status", &["health"], 1).life("spawns"));
}

#[test]
fn an_unknown_predictor_is_refused() {
    assert_eq!(refused(|s| s.kinds[0].groups[0].predictor = 9), SchemaError::Predictor(9));
}

#[test]
fn a_field_has_a_type() {
    let schema = Schema::from_wire(&wire_schema()).unwrap();
    let of = |kind: usize, group: usize| schema.kinds()[kind].groups()[group].fields()[0].field_type();
    assert_eq!([of(0, 0), of(2, 0), of(2, 1)], [FieldType::Number, FieldType::Text, FieldType::Bytes]);
    assert_eq!(refused(|s| s.kinds[2].groups[0].fields[0].field_type = 3), SchemaError::FieldType(3));
}

#[test]
fn a_text_that_is_predicted_to_move_is_refused() {
    let moving = |s: &mut wire::Schema| s.kinds[2].groups[1].predictor = Predictor::Linear.into();
    assert_eq!(refused(moving), SchemaError::MovingText("shape".into()));
}

#[test]
#[should_panic(expected = "bad or repeated name \"player\"")]
fn a_bad_schema_of_the_program_panics() {
    let _ =
        Schema::new().kind("player", |k| k.hold("a", &["a"], 1)).kind("player", |k| k.hold("a", &["a"], 1));
}
