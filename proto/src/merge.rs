//! Several contents as one: the zones that a player sees, or all zones of a room.

use crate::{schema::Schema, snapshot::Snapshot};

/// Merges contents. Keeps its memory.
///
/// ```
/// # use driftless_proto::{merge::Merge, schema::Schema, snapshot::Snapshot};
/// let schema = Schema::new().kind("card", |kind| kind.hold("face", &["rank"], 1).text("name", &["name"]));
/// let mut state = Snapshot::new(&schema);
/// state.table_mut(0).push(2, &[7, 0]);
/// let name = state.zone(4).text("ace");
/// state.zone(4).table_mut(0).push(1, &[14, name]);
///
/// let mut all = Snapshot::new(&schema);
/// Merge::new(&schema).merge(&[&state, state.content(4).unwrap()], &mut all);
/// assert_eq!(all.tables()[0].ids(), [1, 2]);
/// assert_eq!(all.text_of(all.tables()[0].value(1, 1).unwrap()), "ace");
/// ```
#[derive(Debug)]
pub struct Merge {
    /// For each kind, its columns of texts. A number means a text in one content only.
    text_columns: Box<[Box<[usize]>]>,
    /// Ascending by id: id, index of the content, and row in it.
    rows: Vec<(u32, u32, u32)>,
    ids: Vec<u32>,
    /// The values, column by column.
    values: Vec<i32>,
}

impl Merge {
    /// For contents with this schema.
    pub fn new(schema: &Schema) -> Self {
        Self {
            text_columns: schema.kinds().iter().map(|kind| kind.text_columns().collect()).collect(),
            rows: Vec::new(),
            ids: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Writes the entities of all contents, each of zone 0 or another, into `out`, which has been cleared. Of
    /// an entity that several have, the row in the last of them counts.
    pub fn merge(&mut self, contents: &[&Snapshot], out: &mut Snapshot) {
        let Self { text_columns, rows, ids, values } = self;
        for (kind, text_columns) in text_columns.iter().enumerate() {
            rows.clear();
            for (content, state) in (0..).zip(contents) {
                rows.extend((0..).zip(state.tables()[kind].ids()).map(|(row, &id)| (id, content, row)));
            }
            rows.sort_unstable();
            rows.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    *kept = *later;
                }
                same
            });
            ids.clear();
            ids.extend(rows.iter().map(|row| row.0));
            values.clear();
            for column in 0..out.tables()[kind].width() {
                let is_text = text_columns.contains(&column);
                values.extend(rows.iter().map(|&(_, content, row)| {
                    let content = contents[content as usize];
                    match content.tables()[kind].column(column)[row as usize] {
                        number if is_text => out.bytes(content.bytes_of(number)),
                        value => value,
                    }
                }));
            }
            out.table_mut(kind).set(ids, values);
        }
    }
}
