//! The messages of a delta, as slices of the bytes that they arrived in.

use super::{
    DeltaError,
    packed::Interleave,
    protobuf::{Fields, once},
};
use crate::schema::{Kind, MAX_GROUPS};

/// The shared fields of a `State`.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    fields: Fields<'a>,
    checksum: Option<u32>,
    texts: Option<&'a [u8]>,
    dense: Option<&'a [u8]>,
    last_kind: Option<usize>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let fields = Fields::new("State", bytes);
        Self { fields, checksum: None, texts: None, dense: None, last_kind: None }
    }

    /// The checksum, after the last table.
    pub(super) fn checksum(&self) -> Option<u32> {
        self.checksum
    }

    /// The `TextDelta`, after the last table.
    pub(super) fn texts(&self) -> &'a [u8] {
        self.texts.unwrap_or_default()
    }

    /// The tables in the DENSE coding, after the last table.
    pub(super) fn dense(&self) -> Option<&'a [u8]> {
        self.dense
    }

    /// The next table, of a kind above the previous one; none at the end of the message.
    pub(super) fn next_table(&mut self, kinds: &[Kind]) -> Result<Option<TableDelta<'a>>, DeltaError> {
        while let Some(field) = self.fields.next()? {
            match field.number {
                number @ (1..=7 | 10) => return Err(DeltaError::HeadInShared(number)),
                8 => once(&mut self.checksum, "checksum", field.fixed32()?)?,
                9 => {
                    let table = TableDelta::read(field.bytes()?, kinds)?;
                    if self.last_kind.is_some_and(|last| last >= table.kind) {
                        return Err(DeltaError::KindOrder(table.kind as u32));
                    }
                    self.last_kind = Some(table.kind);
                    return Ok(Some(table));
                }
                14 => once(&mut self.texts, "texts", field.bytes()?)?,
                15 => once(&mut self.dense, "dense", field.bytes()?)?,
                _ => {}
            }
        }
        Ok(None)
    }
}

/// A `TableDelta`.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableDelta<'a> {
    pub(super) kind: usize,
    pub(super) despawned: &'a [u8],
    pub(super) spawned: &'a [u8],
    pub(super) changed_gaps: &'a [u8],
    pub(super) changed_bits: &'a [u8],
    pub(super) changed_rice: &'a [u8],
    spawned_groups: GroupList<'a>,
    groups: GroupList<'a>,
}

impl<'a> TableDelta<'a> {
    /// A table in which everything is as predicted.
    pub(super) fn unchanged(kind: usize) -> Self {
        Self {
            kind,
            despawned: &[],
            spawned: &[],
            changed_gaps: &[],
            changed_bits: &[],
            changed_rice: &[],
            spawned_groups: GroupList::default(),
            groups: GroupList::default(),
        }
    }

    fn read(bytes: &'a [u8], kinds: &[Kind]) -> Result<Self, DeltaError> {
        let (mut kind, mut despawned, mut spawned) = (None, None, None);
        let (mut gaps, mut bits, mut rice) = (None, None, None);
        let mut delta = Self::unchanged(0);
        let mut fields = Fields::new("TableDelta", bytes);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => once(&mut kind, "kind", field.number32("kind")?)?,
                2 => once(&mut despawned, "despawned", field.bytes()?)?,
                3 => once(&mut spawned, "spawned", field.bytes()?)?,
                4 => delta.spawned_groups.push(field.bytes()?).ok_or(DeltaError::SpawnedGroups)?,
                5 => once(&mut gaps, "changed_gaps", field.bytes()?)?,
                6 => once(&mut bits, "changed_bits", field.bytes()?)?,
                7 => {
                    let too_many = DeltaError::UnknownGroup(MAX_GROUPS as u32);
                    delta.groups.push(field.bytes()?).ok_or(too_many)?;
                }
                8 => once(&mut rice, "changed_rice", field.bytes()?)?,
                _ => {}
            }
        }
        let kind = kind.unwrap_or_default();
        if kind as usize >= kinds.len() {
            return Err(DeltaError::UnknownKind(kind));
        }
        delta.kind = kind as usize;
        delta.despawned = despawned.unwrap_or_default();
        delta.spawned = spawned.unwrap_or_default();
        delta.changed_gaps = gaps.unwrap_or_default();
        delta.changed_bits = bits.unwrap_or_default();
        delta.changed_rice = rice.unwrap_or_default();
        Ok(delta)
    }

    /// The groups of the spawned entities.
    pub(super) fn spawned_groups(&self) -> &[&'a [u8]] {
        self.spawned_groups.get()
    }

    /// The groups of the changed entities.
    pub(super) fn groups(&self) -> &[&'a [u8]] {
        self.groups.get()
    }
}

/// Encoded groups: at most as many as a kind can have.
#[derive(Debug, Clone, Copy, Default)]
struct GroupList<'a> {
    groups: [&'a [u8]; MAX_GROUPS],
    count: usize,
}

impl<'a> GroupList<'a> {
    fn push(&mut self, group: &'a [u8]) -> Option<()> {
        *self.groups.get_mut(self.count)? = group;
        self.count += 1;
        Some(())
    }

    fn get(&self) -> &[&'a [u8]] {
        &self.groups[..self.count]
    }
}

/// A `GroupDelta`.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupDelta<'a> {
    pub(super) group: u32,
    pub(super) rows: &'a [u8],
    pub(super) values: Values<'a>,
}

/// A group's residuals.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values<'a> {
    Packed { values: &'a [u8], interleave: Interleave },
    Rice(&'a [u8]),
}

impl<'a> GroupDelta<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DeltaError> {
        let (mut group, mut rows, mut interleave, mut packed, mut rice) = (None, None, None, None, None);
        let mut fields = Fields::new("GroupDelta", bytes);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => once(&mut group, "group", field.number32("group")?)?,
                2 => once(&mut rows, "rows", field.bytes()?)?,
                3 => once(&mut interleave, "interleave", field.number()?)?,
                4 => once(&mut packed, "packed", field.bytes()?)?,
                5 => once(&mut rice, "rice", field.bytes()?)?,
                _ => {}
            }
        }
        let interleave = Interleave::from_wire(interleave.unwrap_or_default())?;
        let values = match (packed, rice) {
            (Some(_), Some(_)) => return Err(DeltaError::TwoCodings),
            (None, Some(rice)) => Values::Rice(rice),
            (packed, None) => Values::Packed { values: packed.unwrap_or_default(), interleave },
        };
        Ok(Self { group: group.unwrap_or_default(), rows: rows.unwrap_or_default(), values })
    }
}
