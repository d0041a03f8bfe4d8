//! The shape of a game's snapshots: kinds of entity, groups of fields, columns.

pub use crate::wire::Predictor;
use crate::wire;

/// Most kinds in a schema.
pub const MAX_KINDS: usize = 32;
/// Most groups in a kind.
pub const MAX_GROUPS: usize = 16;
/// Most fields in a group.
pub const MAX_FIELDS: usize = 8;

/// Shape of a game's snapshots: one table for each kind of entity. Built once, checked when built.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    kinds: Vec<Kind>,
}

/// One kind of entity: a table of integer columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    name: String,
    groups: Vec<Group>,
}

/// Fields that usually change together: they share a change flag and a predictor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    name: String,
    fields: Vec<Field>,
    predictor: Predictor,
}

/// One column of signed 32-bit integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    name: String,
    quanta_per_unit: u32,
}

/// What is wrong with a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A name is empty, longer than 64 bytes, or there twice.
    #[error("bad or repeated name {0:?}")]
    Name(String),
    /// Too many kinds, groups or fields, or a kind or group with none.
    #[error("{what}: {count} is outside 1..={max}")]
    Count {
        /// What is counted, by its path ("fields of player.position").
        what: String,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The predictor is none that this version knows.
    #[error("unknown predictor {0}")]
    Predictor(i32),
}

impl Schema {
    /// A schema without kinds, to add to: `Schema::new().kind("player", |k| k.linear("position", &["x", "y"], 100))`.
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds a kind whose groups `build` adds.
    ///
    /// # Panics
    /// If a name or a count is bad: a schema is part of the program, not of its input.
    pub fn kind(self, _name: &str, _build: impl FnOnce(Kind) -> Kind) -> Self {
        todo!()
    }
    /// The kinds, in the order that `TableDelta.kind` counts.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }
    /// Index of the kind of this name.
    pub fn find(&self, _kind: &str) -> Option<usize> {
        todo!()
    }
    /// As it travels in the welcome.
    pub fn to_wire(&self) -> wire::Schema {
        todo!()
    }
    /// From the welcome of a peer, checked.
    pub fn from_wire(_schema: &wire::Schema) -> Result<Self, SchemaError> {
        todo!()
    }
}

impl Kind {
    /// Adds a group that is predicted to stay as it is. `quanta_per_unit` is for people and pages that show it.
    pub fn hold(self, _group: &str, _fields: &[&str], _quanta_per_unit: u32) -> Self {
        todo!()
    }
    /// Adds a group that is predicted to go on as it went.
    pub fn linear(self, _group: &str, _fields: &[&str], _quanta_per_unit: u32) -> Self {
        todo!()
    }
    /// The kind's name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The groups, in the order that `GroupDelta.group` counts.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }
    /// How many columns the kind's table has.
    pub fn columns(&self) -> usize {
        self.groups.iter().map(|g| g.fields.len()).sum()
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
    /// How values are predicted.
    pub fn predictor(&self) -> Predictor {
        self.predictor
    }
}

impl Field {
    /// The field's name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Quanta in one unit of the game's measure, at least 1.
    pub fn quanta_per_unit(&self) -> u32 {
        self.quanta_per_unit
    }
}
