//! The layout of a game's snapshots: kinds of entity, groups of fields, columns.
//!
//! The game makes a [`Schema`] once, and the welcome carries it, so that both ends read the same deltas:
//!
//! ```
//! use driftless_proto::schema::Schema;
//!
//! let schema = Schema::new()
//!     .kind("player", |k| k.linear("position", &["x", "y"], 100).hold("health", &["health"], 1))
//!     .kind("bullet", |k| k.linear("position", &["x", "y"], 100));
//! assert_eq!(schema.find("bullet"), Some(1));
//! assert_eq!(schema.kinds()[0].columns(), 3);
//! assert_eq!(Schema::from_wire(&schema.to_wire()), Ok(schema));
//! ```
//!
//! Put fields that change in the same ticks into one group: a group costs one bit for each changed entity,
//! and nothing for an entity whose whole group is as predicted. Two or three fields of a group also share a
//! number on the wire when that is smaller.
//!
//! An entity that is placed elsewhere (a respawn, a teleport) has not moved there. A field that changes then
//! is its [life](Kind::life): clients show a jump.
//!
//! Names, colours, lists of items: what changes rarely and is no number has groups of [text](Kind::text) or
//! [bytes](Kind::bytes).

use crate::wire;
pub use crate::wire::{FieldType, Predictor};

/// Most kinds in a schema.
pub const MAX_KINDS: usize = 32;
/// Most groups in a kind.
pub const MAX_GROUPS: usize = 16;
/// Most fields in a group.
pub const MAX_FIELDS: usize = 8;
/// Longest name of a kind, group or field, bytes.
pub const MAX_NAME: usize = 64;

/// Layout of a game's snapshots: one table for each kind of entity. Checked when it is built; does not change
/// afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    kinds: Vec<Kind>,
}

/// One kind of entity: a table of integer columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    name: String,
    groups: Vec<Group>,
    life: Option<usize>,
}

/// Fields that usually change together: they share a change flag and a predictor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    name: String,
    fields: Vec<Field>,
    predictor: Predictor,
}

/// One column of signed 32-bit integers, which may be numbers of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    name: String,
    quanta_per_unit: u32,
    field_type: FieldType,
}

/// What is wrong with a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A name is empty, longer than 64 bytes, or used twice.
    #[error("bad or repeated name {0:?}")]
    Name(String),
    /// Too many kinds, groups or fields; or a kind or group with none.
    #[error("{what}: {count} is outside 1..={max}")]
    Count {
        /// What is counted, with its path ("fields of player.position").
        what: String,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A field of this kind is called `id`, which is what each entity's number is called.
    #[error("a field of {0:?} is called \"id\", as each entity's number is: choose another name")]
    Id(String),
    /// A predictor that this version does not know.
    #[error("unknown predictor {0}")]
    Predictor(i32),
    /// A type of field that this version does not know.
    #[error("unknown field type {0}")]
    FieldType(i32),
    /// This group has texts or bytes, and a predictor other than HOLD.
    #[error("group {0:?} has texts or bytes, which do not move")]
    MovingText(String),
    /// What counts the lives of this kind's entities is no field of it, or no number of a HOLD group.
    #[error("the life of {0:?} must be one of its fields, a number of a HOLD group")]
    Life(String),
}

impl Schema {
    /// A schema without kinds. Add kinds with [`kind`](Self::kind).
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds a kind whose groups `build` adds.
    ///
    /// # Panics
    /// If a name or a count is invalid: a schema is part of the program, not of its input.
    pub fn kind(mut self, name: &str, build: impl FnOnce(Kind) -> Kind) -> Self {
        self.kinds.push(build(Kind { name: name.to_owned(), groups: Vec::new(), life: None }));
        if let Err(error) = self.check() {
            panic!("schema: {error}");
        }
        self
    }
    /// The kinds; `TableDelta.kind` is an index into them.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }
    /// Index of the kind with this name.
    pub fn find(&self, kind: &str) -> Option<usize> {
        self.kinds.iter().position(|k| k.name == kind)
    }
    /// The message that the welcome carries.
    pub fn to_wire(&self) -> wire::Schema {
        wire::Schema { kinds: self.kinds.iter().map(Kind::to_wire).collect() }
    }
    /// Checks and converts the schema in a peer's welcome.
    ///
    /// # Errors
    /// The first fault found. A schema without kinds is allowed: a room may have no state.
    pub fn from_wire(schema: &wire::Schema) -> Result<Self, SchemaError> {
        check_count(|| "kinds".to_owned(), schema.kinds.len(), 0, MAX_KINDS)?;
        let kinds = schema.kinds.iter().map(Kind::from_wire).collect::<Result<_, _>>()?;
        let schema = Self { kinds };
        schema.check()?;
        Ok(schema)
    }

    fn check(&self) -> Result<(), SchemaError> {
        check_count(|| "kinds".to_owned(), self.kinds.len(), 0, MAX_KINDS)?;
        check_names(self.kinds.iter().map(|k| k.name.as_str()))?;
        self.kinds.iter().try_for_each(Kind::check)
    }
}

impl Kind {
    /// Adds a group whose values are predicted to stay as they are. `quanta_per_unit` is for people and pages
    /// that display the values; 0 means 1.
    pub fn hold(self, group: &str, fields: &[&str], quanta_per_unit: u32) -> Self {
        self.group(group, fields, FieldType::Number, quanta_per_unit, Predictor::Hold)
    }
    /// Adds a group whose values are predicted to continue their movement. 0 `quanta_per_unit` means 1.
    pub fn linear(self, group: &str, fields: &[&str], quanta_per_unit: u32) -> Self {
        self.group(group, fields, FieldType::Number, quanta_per_unit, Predictor::Linear)
    }
    /// Adds a group of texts: what changes rarely, such as a name. To the predictor and on the wire, the
    /// value of an entity is a number, which [`Snapshot::text`](crate::snapshot::Snapshot::text) gives; the
    /// text itself is sent only when the receiver does not have it.
    pub fn text(self, group: &str, fields: &[&str]) -> Self {
        self.group(group, fields, FieldType::Text, 1, Predictor::Hold)
    }
    /// The same for bytes, such as a list of items.
    pub fn bytes(self, group: &str, fields: &[&str]) -> Self {
        self.group(group, fields, FieldType::Bytes, 1, Predictor::Hold)
    }
    /// Says which field, of a group added before, counts an entity's lives: where it changes from one state
    /// to the next, the entity was placed elsewhere (a respawn, a teleport) and was nowhere in between, so
    /// nobody is shown it on the way. Costs nothing on the wire but what the field does.
    ///
    /// # Panics
    /// When the schema is built, if there is no such field, or it is no number of a [`hold`](Self::hold)
    /// group.
    pub fn life(mut self, field: &str) -> Self {
        let mut fields = self.groups.iter().flat_map(|group| &group.fields);
        self.life = Some(fields.position(|it| it.name == field).unwrap_or(usize::MAX));
        self
    }
    /// The kind's name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The groups; `GroupDelta.group` is an index into them.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }
    /// Number of columns in the kind's table.
    pub fn columns(&self) -> usize {
        self.groups.iter().map(|g| g.fields.len()).sum()
    }

    /// The column that counts an entity's lives: see [`life`](Self::life).
    pub fn life_column(&self) -> Option<usize> {
        self.life
    }

    /// The columns of texts and of bytes, ascending: their values are numbers of texts.
    pub fn text_columns(&self) -> impl Iterator<Item = usize> {
        let fields = self.groups.iter().flat_map(|group| &group.fields).enumerate();
        fields.filter(|(_, field)| field.field_type != FieldType::Number).map(|(column, _)| column)
    }

    fn group(
        mut self,
        name: &str,
        fields: &[&str],
        field_type: FieldType,
        quanta_per_unit: u32,
        predictor: Predictor,
    ) -> Self {
        let quanta_per_unit = quanta_per_unit.max(1);
        let field = |&name: &&str| Field { name: name.to_owned(), quanta_per_unit, field_type };
        let fields = fields.iter().map(field).collect();
        self.groups.push(Group { name: name.to_owned(), fields, predictor });
        self
    }

    fn check(&self) -> Result<(), SchemaError> {
        check_count(|| format!("groups of {}", self.name), self.groups.len(), 1, MAX_GROUPS)?;
        for group in &self.groups {
            let what = || format!("fields of {}.{}", self.name, group.name);
            check_count(what, group.fields.len(), 1, MAX_FIELDS)?;
            let is_number = |field: &Field| field.field_type == FieldType::Number;
            if group.predictor != Predictor::Hold && !group.fields.iter().all(is_number) {
                return Err(SchemaError::MovingText(group.name.clone()));
            }
        }
        if let Some(life) = self.life {
            let mut fields =
                self.groups.iter().flat_map(|g| g.fields.iter().map(|field| (g.predictor, field)));
            let is_count = |(predictor, field): (Predictor, &Field)| {
                predictor == Predictor::Hold && field.field_type == FieldType::Number
            };
            if !fields.nth(life).is_some_and(is_count) {
                return Err(SchemaError::Life(self.name.clone()));
            }
        }
        check_names(self.groups.iter().map(|g| g.name.as_str()))?;
        let fields = self.groups.iter().flat_map(|g| &g.fields).map(|f| f.name.as_str());
        if fields.clone().any(|field| field == "id") {
            return Err(SchemaError::Id(self.name.clone()));
        }
        check_names(fields)
    }

    fn to_wire(&self) -> wire::Kind {
        wire::Kind {
            name: self.name.clone(),
            groups: self.groups.iter().map(Group::to_wire).collect(),
            life: self.life.map_or(0, |column| column as u32 + 1),
        }
    }

    fn from_wire(kind: &wire::Kind) -> Result<Self, SchemaError> {
        check_name(&kind.name)?;
        check_count(|| format!("groups of {}", kind.name), kind.groups.len(), 1, MAX_GROUPS)?;
        let groups = kind.groups.iter().map(|g| Group::from_wire(&kind.name, g)).collect::<Result<_, _>>()?;
        let life = kind.life.checked_sub(1).map(|column| column as usize);
        Ok(Self { name: kind.name.clone(), groups, life })
    }
}

impl Group {
    /// The group's name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The fields, in the order of their columns.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
    /// How the values are predicted.
    pub fn predictor(&self) -> Predictor {
        self.predictor
    }

    fn to_wire(&self) -> wire::Group {
        wire::Group {
            name: self.name.clone(),
            fields: self.fields.iter().map(Field::to_wire).collect(),
            predictor: self.predictor.into(),
        }
    }

    fn from_wire(kind: &str, group: &wire::Group) -> Result<Self, SchemaError> {
        check_name(&group.name)?;
        check_count(|| format!("fields of {kind}.{}", group.name), group.fields.len(), 1, MAX_FIELDS)?;
        let predictor =
            Predictor::try_from(group.predictor).map_err(|_| SchemaError::Predictor(group.predictor))?;
        let fields = group.fields.iter().map(Field::from_wire).collect::<Result<_, _>>()?;
        Ok(Self { name: group.name.clone(), fields, predictor })
    }
}

impl Field {
    /// The field's name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Quanta per unit of the game's measure, at least 1.
    pub fn quanta_per_unit(&self) -> u32 {
        self.quanta_per_unit
    }
    /// What its values are: integers, or the numbers of texts or bytes.
    pub fn field_type(&self) -> FieldType {
        self.field_type
    }

    fn to_wire(&self) -> wire::Field {
        // An absent field means 1.
        let quanta_per_unit = if self.quanta_per_unit == 1 { 0 } else { self.quanta_per_unit };
        wire::Field { name: self.name.clone(), quanta_per_unit, field_type: self.field_type.into() }
    }

    fn from_wire(field: &wire::Field) -> Result<Self, SchemaError> {
        let field_type = FieldType::try_from(field.field_type);
        Ok(Self {
            name: field.name.clone(),
            quanta_per_unit: field.quanta_per_unit.max(1),
            field_type: field_type.map_err(|_| SchemaError::FieldType(field.field_type))?,
        })
    }
}

fn check_count(what: impl Fn() -> String, count: usize, min: usize, max: usize) -> Result<(), SchemaError> {
    if (min..=max).contains(&count) { Ok(()) } else { Err(SchemaError::Count { what: what(), count, max }) }
}

fn check_name(name: &str) -> Result<(), SchemaError> {
    let fits = !name.is_empty() && name.len() <= MAX_NAME;
    if fits { Ok(()) } else { Err(SchemaError::Name(name.chars().take(MAX_NAME).collect())) }
}

/// The lists are short (at most 128 names), so each name is compared with all before it.
fn check_names<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Result<(), SchemaError> {
    for (n, name) in names.clone().enumerate() {
        check_name(name)?;
        if names.clone().take(n).any(|before| before == name) {
            return Err(SchemaError::Name(name.to_owned()));
        }
    }
    Ok(())
}
