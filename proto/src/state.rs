//! The per-client parts of a state message, and how they and shared bytes are joined.
//!
//! A room's state is encoded once for all clients with the same baseline and prior:
//! [`Encoder`](crate::delta::Encoder) writes these shared bytes. A protobuf message is the concatenation of
//! its fields, so a whole message is a [`StateHead`] followed by the shared bytes, which are neither copied
//! nor encoded again:
//!
//! ```text
//! ServerMessage.state tag, length | tick, baseline, prior, input | checksum, tables, texts
//!          StateHead::write, for each client                     | Encoder::encode, shared
//! ```
//!
//! In a room with zones, more follows: which zones have left or are deferred, and for each zone a head and
//! the bytes that its receivers share.

pub(crate) mod zones;

use crate::delta::{
    DeltaError, MAX_AGE,
    protobuf::{Fields, number_field_len, once, put_varint, take_varint, varint_len},
};
use bytes::{BufMut, Bytes};

/// The fields of `State` that are written for each client.
///
/// The baseline is before `tick` and the prior before the baseline, each by 1 to [`MAX_AGE`] ticks. Without a
/// baseline there is no prior either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateHead {
    /// Tick of the state.
    pub tick: u32,
    /// Tick of the baseline. None: the state is full.
    pub baseline: Option<u32>,
    /// Tick of the prior, before the baseline. None: everything is predicted to stay.
    pub prior: Option<u32>,
    /// The player's last input that the state contains. 0: none.
    pub input: u32,
    /// Number of the message, which an acknowledgement names. Usually the tick.
    pub number: u32,
    /// The message says nothing of zone 0; baseline and prior are only for its other zones.
    pub apart: bool,
}

/// Tag of `ServerMessage.state`.
const STATE_TAG: u8 = 1 << 3 | 2;
/// The fields of the head.
const FIELDS: [(u32, &str); 8] = [
    (1, "tick"),
    (2, "full"),
    (3, "baseline_lag"),
    (4, "no_prior"),
    (5, "prior_lag"),
    (6, "input"),
    (7, "number"),
    (10, "apart"),
];

impl StateHead {
    /// Length of a whole `ServerMessage` with this head and a shared part of `shared` bytes.
    pub fn message_len(&self, shared: usize) -> usize {
        let state = self.state_len(shared);
        1 + varint_len(state as u64) + state
    }
    /// Writes the start of a `ServerMessage`, up to where `shared` bytes follow: zone 0's, and what there is
    /// of other zones.
    pub fn write(&self, shared: usize, out: &mut impl BufMut) {
        debug_assert!(self.baseline.is_none_or(|b| b < self.tick && self.tick - b <= MAX_AGE), "{self:?}");
        debug_assert!(
            self.prior.is_none_or(|p| self.baseline.is_some_and(|b| p < b && b - p <= MAX_AGE)),
            "{self:?}"
        );
        out.put_u8(STATE_TAG);
        put_varint(out, self.state_len(shared) as u64);
        for (field, value) in self.fields() {
            if value != 0 {
                out.put_u8(field << 3);
                put_varint(out, value);
            }
        }
    }
    /// Splits a `ServerMessage` that is a state into head and shared part. None: it is not a state (decode it
    /// with prost). Does not allocate.
    ///
    /// The head's fields must come before the others, as `write` puts them, and each may occur once.
    ///
    /// # Errors
    /// What is wrong with the message. The shared part is checked only by [`Decoder`](crate::delta::Decoder).
    pub fn split(message: &Bytes) -> Result<Option<(StateHead, Bytes)>, DeltaError> {
        let Some((&STATE_TAG, mut rest)) = message.split_first() else { return Ok(None) };
        let len = take_varint(&mut rest)?;
        match len.cmp(&(rest.len() as u64)) {
            std::cmp::Ordering::Less => return Err(DeltaError::Trailing),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => return Err(DeltaError::Truncated),
        }
        let mut fields = Fields::new("State", rest);
        let mut values = [None; FIELDS.len()];
        let shared = loop {
            let rest = fields.rest();
            let Some(field) = fields.next()? else { break rest };
            let Some(at) = FIELDS.iter().position(|(number, _)| *number == field.number) else { break rest };
            let (_, name) = FIELDS[at];
            once(&mut values[at], name, field.number32(name)?)?;
        };
        let [tick, full, baseline_lag, no_prior, prior_lag, input, number, apart] =
            values.map(Option::unwrap_or_default);
        let baseline = if full == 0 { Some(before(tick, baseline_lag, "baseline_lag")?) } else { None };
        let prior = match baseline {
            Some(baseline) if no_prior == 0 => Some(before(baseline, prior_lag, "prior_lag")?),
            _ => None,
        };
        let number = if number == 0 { tick } else { number };
        let shared = message.slice(message.len() - shared.len()..);
        Ok(Some((Self { tick, baseline, prior, input, number, apart: apart != 0 }, shared)))
    }

    /// Length of the `State` in the message.
    fn state_len(&self, shared: usize) -> usize {
        self.fields().map(|(_, value)| number_field_len(value)).sum::<usize>() + shared
    }

    /// The fields with their numbers; those that are 0 are not written.
    fn fields(&self) -> impl Iterator<Item = (u8, u64)> {
        let lag =
            |of: u32, to: Option<u32>| to.map_or(0, |to| of.saturating_sub(to).saturating_sub(1).into());
        let full = self.baseline.is_none();
        [
            (1, self.tick.into()),
            (2, full.into()),
            (3, lag(self.tick, self.baseline)),
            (4, (!full && self.prior.is_none()).into()),
            (5, self.baseline.map_or(0, |baseline| lag(baseline, self.prior))),
            (6, self.input.into()),
            (7, if self.number == self.tick { 0 } else { self.number.into() }),
            (10, self.apart.into()),
        ]
        .into_iter()
    }
}

/// The tick `lag` + 1 before `tick`.
fn before(tick: u32, lag: u32, field: &'static str) -> Result<u32, DeltaError> {
    if lag >= MAX_AGE {
        return Err(DeltaError::TooLarge { field, value: lag.into() });
    }
    tick.checked_sub(lag + 1).ok_or(DeltaError::BeforeStart)
}
