//! Random worlds for the codec's tests.
#![allow(dead_code)] // each test file uses its part

use driftless_proto::{
    delta::{Encoder, MAX_AGE, References},
    schema::Schema,
    snapshot::Snapshot,
    wire::ColumnCoding,
};
use proptest::{collection::btree_map, prelude::*};
use std::{
    collections::{BTreeMap, HashMap},
    sync::OnceLock,
};

/// Three states of a world.
#[derive(Debug, Clone)]
pub struct World {
    pub prior: Snapshot,
    pub baseline: Snapshot,
    pub current: Snapshot,
}

impl World {
    /// Both older states.
    pub fn references(&self) -> References<'_> {
        References { baseline: Some(&self.baseline), prior: Some(&self.prior) }
    }

    /// The shared bytes of the current state.
    pub fn encode(&self, coding: ColumnCoding, checksum: Option<u32>) -> Vec<u8> {
        let mut out = Vec::new();
        Encoder::default().encode(&schema(), self.references(), &self.current, coding, checksum, &mut out);
        out
    }
}

/// The kind that has texts.
const LABEL: usize = 4;

/// Kinds of 3, 4, 7, 1 and 3 columns.
pub fn schema() -> Schema {
    Schema::new()
        .kind("player", |k| k.linear("position", &["x", "y"], 100).hold("health", &["health"], 1))
        .kind("body", |k| k.linear("position", &["x", "y", "z"], 1000).hold("awake", &["awake"], 1))
        .kind("odd", |k| {
            k.hold("a", &["a"], 1).linear("bcdef", &["b", "c", "d", "e", "f"], 1).hold("g", &["g"], 1)
        })
        .kind("flag", |k| k.hold("flag", &["flag"], 1))
        .kind("label", |k| k.text("name", &["name"]).bytes("items", &["worn", "owned"]))
}

/// Worlds in which entities come and go, move smoothly, jump, or stay.
pub fn worlds() -> impl Strategy<Value = World> {
    let table = |width: usize| {
        let start = prop_oneof![-1000..1000, any::<i32>()];
        let step = prop_oneof![4 => Just(0), 4 => -3..=3, 1 => -300..300, 1 => any::<i32>()];
        let column = (start, step.clone(), step);
        let life = prop_oneof![6 => Just(7_u8), 1 => 0..8_u8];
        let id = prop_oneof![4 => 0..40_u32, 1 => any::<u32>(), 1 => Just(u32::MAX)];
        btree_map(id, (life, prop::collection::vec(column, width)), 0..20)
    };
    let tables = (table(3), table(4), table(7), table(1), table(3));
    let tables = tables.prop_map(|(a, b, c, d, e)| [a, b, c, d, e]);
    (0..=MAX_AGE * 4, 1..=MAX_AGE, 1..=MAX_AGE, tables).prop_map(|(tick, behind, ahead, tables)| {
        let mut states = [tick, tick + behind, tick + behind + ahead].map(|tick| {
            let mut state = Snapshot::new(&schema());
            state.clear(tick);
            state
        });
        for (kind, table) in tables.iter().enumerate() {
            fill(&mut states, kind, table);
        }
        let [prior, baseline, current] = states;
        World { prior, baseline, current }
    })
}

type Columns = Vec<(i32, i32, i32)>;

fn fill(states: &mut [Snapshot; 3], kind: usize, table: &BTreeMap<u32, (u8, Columns)>) {
    for (&id, (life, columns)) in table {
        for (n, state) in states.iter_mut().enumerate() {
            if life >> n & 1 == 0 {
                continue;
            }
            let at = |&(start, first, second): &(i32, i32, i32)| match n {
                0 => start,
                1 => start.wrapping_add(first),
                _ => start.wrapping_add(first).wrapping_add(second),
            };
            let mut values: Vec<i32> = columns.iter().map(at).collect();
            if kind == LABEL {
                values.iter_mut().for_each(|value| *value = state.text(text(*value)));
            }
            state.table_mut(kind).push(id, &values);
        }
    }
}

/// One player who moves by (2, -1) a tick: prior at tick 2, baseline at 4, current at 6.
pub fn straight_line() -> World {
    let state = |tick: u32| {
        let mut state = Snapshot::new(&schema());
        state.clear(tick);
        state.table_mut(0).push(1, &[2 * tick as i32, -(tick as i32), 100]);
        state
    };
    World { prior: state(2), baseline: state(4), current: state(6) }
}

/// One of a few texts: the empty one, short ones, long ones, and three with the same hash.
fn text(value: i32) -> &'static str {
    static TEXTS: OnceLock<Vec<String>> = OnceLock::new();
    let texts = TEXTS.get_or_init(|| {
        let others = ["", "Ada", "Bob", "#ff8800", "名前"].map(str::to_owned);
        others.into_iter().chain([200, 256].map(|len| "x".repeat(len))).chain(colliding()).collect()
    });
    &texts[value.rem_euclid(texts.len() as i32) as usize]
}

/// Three texts that would all have the same number, were each alone.
pub fn colliding() -> Vec<String> {
    let mut found = HashMap::<i32, Vec<String>>::new();
    let alone = Snapshot::new(&schema());
    for text in (0..).map(|n: u32| n.to_string()) {
        let same = found.entry(alone.clone().text(&text)).or_default();
        same.push(text);
        if same.len() == 3 {
            return same.clone();
        }
    }
    unreachable!("there are more texts than numbers")
}
