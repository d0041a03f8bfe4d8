//! Errors of a delta.

/// Why a delta was refused. All are the sender's fault except `References`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// The message ends within a field, or a length runs past its end.
    #[error("truncated")]
    Truncated,
    /// A varint is longer than 64 bits.
    #[error("varint longer than 64 bits")]
    Varint,
    /// A field has number 0 or one above 2^29 - 1.
    #[error("bad field number")]
    FieldNumber,
    /// A field's wire type is not the one in the schema, or is one that protobuf no longer uses (groups).
    #[error("field {field} of {message} has wire type {wire_type}")]
    WireType {
        /// The message it is in.
        message: &'static str,
        /// The field's number.
        field: u32,
        /// What was there instead.
        wire_type: u8,
    },
    /// A field that may occur once occurs twice.
    #[error("{0} occurs twice")]
    Repeated(&'static str),
    /// A number is larger than its field allows.
    #[error("{field} is {value}, which is too large")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// Bytes follow the state message.
    #[error("bytes after the message")]
    Trailing,
    /// A field of the per-client head (1 to 7, 10) is in the shared part.
    #[error("field {0} of the head is in the shared part")]
    HeadInShared(u32),
    /// A field of `State` comes after one that it should precede.
    #[error("field {0} of State comes too late")]
    FieldOrder(u32),
    /// The baseline or the prior would be before tick 0.
    #[error("the baseline or the prior is before tick 0")]
    BeforeStart,
    /// A kind that the schema does not have.
    #[error("unknown kind {0}")]
    UnknownKind(u32),
    /// Kinds are not in ascending order.
    #[error("kind {0} is not above the previous one")]
    KindOrder(u32),
    /// A group that the kind does not have.
    #[error("unknown group {0}")]
    UnknownGroup(u32),
    /// Groups are not in ascending order.
    #[error("group {0} is not above the previous one")]
    GroupOrder(u32),
    /// A row that the table does not have.
    #[error("{field} names a row past the end of {rows} rows")]
    Row {
        /// The row set it is in.
        field: &'static str,
        /// How many rows there are.
        rows: usize,
    },
    /// The changed rows are given twice, as gaps and as bits; or they are given but no group has changes.
    #[error("the changed rows are given twice, or without groups")]
    ChangedRows,
    /// The spawned ids run past the largest id.
    #[error("a spawned id is above 2^32 - 1")]
    SpawnedRange,
    /// An entity is spawned that already exists.
    #[error("entity {0} is spawned but already exists")]
    SpawnedTwice(u32),
    /// The new entities' columns are not exactly one per group, in order, for all new rows.
    #[error("the spawned entities' groups do not match the kind")]
    SpawnedGroups,
    /// More than three residuals in one number.
    #[error("interleave {0} is above 2")]
    Interleave(u64),
    /// A group has values in both codings, or a message has `tables` and `dense`.
    #[error("values in two codings")]
    TwoCodings,
    /// A group has more or fewer values than its rows and fields require.
    #[error("too many or too few values")]
    ValueCount,
    /// A number has bits that belong to none of its residuals.
    #[error("a residual has too many bits")]
    Residual,
    /// A text is empty, or longer than [`MAX_TEXT`](crate::limits::MAX_TEXT).
    #[error("a text of {0} bytes")]
    TextLength(usize),
    /// There are more texts than numbers or fewer, or more than [`MAX_TEXTS`](crate::limits::MAX_TEXTS).
    #[error("too many or too few texts")]
    TextCount,
    /// A text is new that already exists.
    #[error("text {0} is new but already exists")]
    TextTwice(u32),
    /// A row refers to a text that does not exist.
    #[error("a row refers to text {0}, which does not exist")]
    UnknownText(i32),
    /// A reference belongs to another schema: the caller's fault.
    #[error("a reference belongs to another schema")]
    References,
    /// The resulting state is not the one that the sender had.
    #[error("checksum {actual:08x} instead of {expected:08x}")]
    Checksum {
        /// What the message says.
        expected: u32,
        /// The checksum of the result.
        actual: u32,
    },
}
