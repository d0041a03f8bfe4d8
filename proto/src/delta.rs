//! Deltas between snapshots: the difference from states that the receiver has.
//!
//! The receiver has a **baseline** (a state it has acknowledged or, on an ordered transport, the last one
//! sent) and perhaps a **prior**, a state before that. The predictor of each group says what becomes of an
//! entity: it stays as in the baseline (HOLD), or continues its movement from the prior to the baseline
//! (LINEAR). Only values that differ from the prediction are sent, as the difference from it, the residual.
//! An absent entity, group, table or message means "as predicted".
//!
//! ```
//! use driftless_proto::delta::{Decoder, Encoder, References};
//! use driftless_proto::{schema::Schema, snapshot::Snapshot, wire::ColumnCoding};
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
//! assert_eq!(body.len(), 8); // three tags with their lengths (table, group, values), and two values
//!
//! let mut received = Snapshot::default();
//! Decoder::default().apply(&schema, references, 7, &body, &mut received)?;
//! assert_eq!(received, current);
//! # Ok::<_, driftless_proto::delta::DeltaError>(())
//! ```
//!
//! # How a message is read
//!
//! The format is protobuf: the message `driftless.v1.State` in `schema/driftless/v1/state.proto`. Any
//! protobuf library reads what [`Encoder`] writes. [`Decoder`] is stricter than such a library and has an
//! error for each of these rules: a field that is not `repeated` may occur only once; packed fields must be
//! packed, in one piece; numbers must fit their field; kinds and groups ascend; row sets, spawned ids and
//! values must match the tables exactly. Unknown fields are skipped, except for the groups that protobuf no
//! longer uses (wire types 3 and 4).
//!
//! # Residuals
//!
//! A residual is the wrapping 32-bit difference `current - predicted`, in zigzag form (0, -1, 1, -2 are 0, 1,
//! 2, 3). Because it wraps, it fits in 32 bits for any two values.
//!
//! # The RICE coding
//!
//! `GroupDelta.rice` is a bit string, filled from the lowest bit of each byte. Numbers are written lowest bit
//! first, and the last byte is padded with zeros. Each field of the group has, in order, its parameters and
//! then a code for each row:
//!
//! - A row's class follows from its residuals z (in zigzag form) in the preceding fields, combined by bitwise
//!   or: class 0 below 4, class 1 below 32, else class 2. In the first field every row is of class 0. Each
//!   class that has rows has a 4-bit parameter k, in ascending order of class.
//! - The code of z, with the k of its row's class: let w = z + 2^k, and let m be the number of w's bits minus
//!   1. The code is m - k ones, a zero, and the m low bits of w. The longest code has 65 bits (z = 2^32 - 1,
//!      k = 0).
//!
//! This is a Rice code (R. Rice, "Some Practical Universal Noiseless Coding Techniques", JPL 79-22, 1979)
//! whose quotient is in Elias's gamma code instead of unary. It is also known as the exponential Golomb code
//! of order k (J. Teuhola, "A compression method for clustered bit-vectors", 1978). It needs no escape code,
//! and it takes fewer bits where some entities move a hundred times as fast as others: 7 % fewer than plain
//! Rice codes on tumbling cubes.
//!
//! `TableDelta.changed_rice` is a count of rows as a varint, then the gaps of `changed_gaps` as one field in
//! this coding.
//!
//! # The DENSE coding
//!
//! `State.dense` and `ZoneDelta.dense` stand for all `tables` of a content. Each is a bit string like
//! `GroupDelta.rice`; as there, a last byte is padded with zeros, and none follows. Absent: everything is as
//! predicted. "The code of n with k" is that of the RICE coding. For each kind of the schema, in order: a bit
//! that says whether anything differs from the prediction (else nothing follows), and then
//!
//! 1. if the baseline's table has rows: for each despawned row a 1, then the code of its gap (the rows
//!    skipped since the previous one) with k = 3; at the end a 0;
//! 2. for each new id, ascending: a 1; then, if ids of the baseline's table may still be above it (the
//!    previous new id is below the last of them), a bit that says whether it is above all of them; then the
//!    code, with the k of a scale that begins as (1, 64), of its distance: to the last id of the baseline
//!    plus 1 if it is the first above all of them, else to the previous new id plus 1 (for the first: to 0).
//!    At the end a 0;
//! 3. if there are survivors (rows of the baseline that are not despawned): for each group a bit that says
//!    whether any of them differs in it. If so: a bit that says whether some do not; if so, a bit that says
//!    how the rows follow. 0: a bit for each survivor. 1: the code of their count minus 1 with k = 3, then
//!    the code of each gap, with the k of a scale that begins as (1, 8). The encoder writes gaps for fewer
//!    than a quarter (rounded down) of the survivors. Then, row after row, the codes of the fields'
//!    residuals, in zigzag form. Each field has a scale for each class of row (as in the RICE coding; in the
//!    first field every row is of class 0), which begin as (2, 2), (2, 4) and (2, 32). If all residuals
//!    before the last one are 0, that one cannot be 0 and is written less 1;
//! 4. for each new entity, each column's value, as the difference from the row before it in the new table (in
//!    row 0: from 0), in zigzag form. Each column has a scale that begins as (1, 1) and gets the differences,
//!    in zigzag form, between the last nine survivors, each from the one before it, from the last backwards.
//!    With fewer than two survivors nothing is known of the scale: the first number is its count of bits in 6
//!    bits, then all but the highest 1; the scale begins as (0, 0) and gets this number.
//!
//! A scale is a count and a sum of numbers. Its k is the largest for which the sum divided by 2^(k + 1) is
//! not below the count, or 0. After each code its number is added to the sum (as at most 2^24), and 1 to the
//! count; when the count is 8, both are halved, and rounded down. So no parameters are written. (As in
//! LOCO-I: M. Weinberger, G. Seroussi, G. Sapiro, "The LOCO-I Lossless Image Compression Algorithm", HP Labs
//! HPL-98-193, 1998.)
//!
//! A list of new ids may have no more than one value for each bit of the string.

mod apply;
mod bits;
mod columns;
mod dense;
mod encode;
mod error;
mod message;
mod packed;
mod predict;
pub(crate) mod protobuf;
mod rice;
mod row_set;
mod survivors;
mod texts;

pub use apply::Decoder;
pub use encode::Encoder;
pub use error::DeltaError;

use crate::snapshot::Snapshot;

/// How many ticks a baseline may precede its state, and a prior its baseline. A receiver of datagrams keeps
/// this many snapshots.
pub const MAX_AGE: u32 = 64;

/// The states that both ends have, against which a delta is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct References<'a> {
    /// The state that the receiver has. None: everything is sent.
    pub baseline: Option<&'a Snapshot>,
    /// A state before the baseline that the receiver has, for linear predictions. None: everything is
    /// predicted to stay.
    pub prior: Option<&'a Snapshot>,
}

impl References<'_> {
    /// Whether they have the tables of a schema.
    fn are_of(&self, schema: &crate::schema::Schema) -> bool {
        [self.baseline, self.prior].into_iter().flatten().all(|s| s.is_of(schema))
    }
}
