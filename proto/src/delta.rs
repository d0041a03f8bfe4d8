//! Deltas between snapshots: what changed against states that the receiver has.
//!
//! The receiver has a **baseline** (a state it has acknowledged, or on an ordered transport the last one sent) and
//! perhaps a **prior**, a state before that. An entity goes on as its groups' predictors say: it stays as in the baseline
//! (HOLD), or moves on as it did from the prior to the baseline (LINEAR). Only what is not as predicted travels, as the
//! difference from the prediction, its residual. An entity, group, table or message that is absent is as predicted.
//!
//! ```
//! use driftless_proto::{delta::{Decoder, Encoder, References}, schema::Schema, snapshot::Snapshot, wire::ColumnCoding};
//!
//! let schema = Schema::new().kind("player", |k| k.linear("position", &["x", "y"], 100));
//! let mut baseline = Snapshot::new(&schema);
//! baseline.clear(6);
//! baseline.table_mut(0).push(7, &[100, 200]);
//! let mut current = Snapshot::new(&schema);
//! current.clear(7);
//! current.table_mut(0).push(7, &[101, 198]);
//!
//! let references = References { baseline: Some(&baseline), prior: None };
//! let mut body = Vec::new();
//! Encoder::default().encode(&schema, references, &current, ColumnCoding::Packed, None, &mut body);
//! assert_eq!(body.len(), 8); // the tags and lengths of the table, of the group and of its values; two values
//!
//! let mut received = Snapshot::default();
//! Decoder::default().apply(&schema, references, 7, &body, &mut received)?;
//! assert_eq!(received, current);
//! # Ok::<_, driftless_proto::delta::DeltaError>(())
//! ```
//!
//! # How a message is read
//!
//! The format is protobuf's, `driftless.v1.State` in `schema/driftless/v1/state.proto`, and any protobuf library reads what
//! [`Encoder`] writes. [`Decoder`] is stricter than such a library, in these ways, each with an error of its own:
//! a field that is not `repeated` may be there once; packed fields must be packed, in one piece; numbers must fit
//! their field; kinds and groups ascend; row sets, spawned ids and values must be exactly those of the tables. Fields that it
//! does not know are skipped, except for the groups that protobuf gave up (wire types 3 and 4).
//!
//! # Residuals
//!
//! A residual is the wrapped 32-bit difference `current - predicted`, in zigzag form (0, -1, 1, -2 are 0, 1, 2, 3).
//! Wrapping keeps it in 32 bits for any two values.
//!
//! # The RICE coding
//!
//! `GroupDelta.rice` is a bit string, filled from the lowest bit of each byte; numbers are written lowest bit first; the last
//! byte is filled with zeros. Each field of the group has, in order, its parameters and then a code for each row:
//!
//! - A row's class is found from its residuals z (in zigzag form) in the fields before, put together by bitwise or: 0 below
//!   4, 1 below 32, else 2. In the first field every row is of class 0. For each class that has rows, ascending, a
//!   parameter k of 4 bits.
//! - The code of z, with the k of its row's class: let w = z + 2^k, and m the number of w's bits less 1. Then m - k ones, a zero,
//!   and the m low bits of w. The longest code has 65 bits (z = 2^32 - 1, k = 0).
//!
//! This is a Rice code (R. Rice, "Some Practical Universal Noiseless Coding Techniques", JPL 79-22, 1979) whose quotient is in
//! Elias's gamma code instead of ones alone, which is also known as the exponential Golomb code of order k (J. Teuhola, "A
//! compression method for clustered bit-vectors", 1978). It needs no escape, and fewer bits where some
//! entities move a hundred times as fast as others: 7 % fewer than plain Rice codes on tumbling cubes.
//!
//! `TableDelta.changed_rice` is a count of rows as a varint, then the gaps of `changed_gaps` as one field in this coding.

mod apply;
mod bits;
mod columns;
mod encode;
mod error;
mod message;
mod packed;
mod predict;
pub(crate) mod protobuf;
mod rice;
mod row_set;
mod survivors;

pub use apply::Decoder;
pub use encode::Encoder;
pub use error::DeltaError;

use crate::snapshot::Snapshot;

/// How far back a baseline may lie from a state, or a prior from its baseline, ticks: also how many snapshots a
/// datagram receiver keeps.
pub const MAX_AGE: u32 = 64;

/// The states that both ends have, against which a delta is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct References<'a> {
    /// The state that the receiver has. None: everything is sent.
    pub baseline: Option<&'a Snapshot>,
    /// A state before the baseline that the receiver has, to predict from. None: predicted to stay.
    pub prior: Option<&'a Snapshot>,
}

impl References<'_> {
    /// Whether they have the tables of a schema.
    fn are_of(&self, schema: &crate::schema::Schema) -> bool {
        [self.baseline, self.prior].into_iter().flatten().all(|s| s.is_of(schema))
    }
}
