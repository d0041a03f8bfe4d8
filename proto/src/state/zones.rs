//! What a state message says of zones other than zone 0.
//!
//! ```text
//! head | zone 0: checksum, tables, texts | left, deferred | zone head, checksum, tables, texts | ...
//! ```

use crate::{
    delta::{
        DeltaError, MAX_AGE,
        protobuf::{Fields, bytes_field_len, number_field_len, once, put_varint, take_varint, varint_len},
    },
    view::ZoneId,
};
use bytes::BufMut;

/// Field numbers of `State`.
const LEFT: u32 = 11;
const DEFERRED: u32 = 12;
const ZONES: u32 = 13;
/// The last that this version knows.
const LAST: u32 = 15;

/// A message without its head, in its parts.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    /// The shared fields of zone 0.
    pub(crate) zone_0: &'a [u8],
    left: &'a [u8],
    deferred: &'a [u8],
    zones: &'a [u8],
}

/// A zone of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ZonePart<'a> {
    pub(crate) zone: ZoneId,
    /// None: the content is full.
    pub(crate) baseline: Option<u32>,
    pub(crate) prior: Option<u32>,
    /// The shared fields.
    pub(crate) body: &'a [u8],
}

/// The ticks of baseline and prior, of a message or of one zone.
pub(crate) type Ticks = (Option<u32>, Option<u32>);

impl<'a> Parts<'a> {
    /// Of what follows a head. What the lists contain, and what follows the first zone, is only checked when
    /// it is read.
    pub(crate) fn split(shared: &'a [u8]) -> Result<Self, DeltaError> {
        let mut fields = Fields::new("State", shared);
        let (mut left, mut deferred) = (None, None);
        let mut parts = Self { zone_0: shared, left: &[], deferred: &[], zones: &[] };
        loop {
            let rest = fields.rest();
            let Some(field) = fields.next()? else { break };
            if (LEFT..=ZONES).contains(&field.number) && left.is_none() && deferred.is_none() {
                parts.zone_0 = &shared[..shared.len() - rest.len()];
            }
            match field.number {
                LEFT if deferred.is_some() => return Err(DeltaError::FieldOrder(LEFT)),
                LEFT => once(&mut left, "left", field.bytes()?)?,
                DEFERRED => once(&mut deferred, "deferred", field.bytes()?)?,
                ZONES => {
                    parts.zones = rest;
                    break;
                }
                late @ ..=LAST if left.is_some() || deferred.is_some() => {
                    return Err(DeltaError::FieldOrder(late));
                }
                _ => {}
            }
        }
        (parts.left, parts.deferred) = (left.unwrap_or_default(), deferred.unwrap_or_default());
        Ok(parts)
    }

    /// Whether the message is only about zone 0.
    pub(crate) fn is_plain(&self) -> bool {
        self.left.is_empty() && self.deferred.is_empty() && self.zones.is_empty()
    }

    /// Reads the zones that the player no longer sees, ascending.
    pub(crate) fn left(&self, zones: &mut Vec<ZoneId>) -> Result<(), DeltaError> {
        take_ids(self.left, zones)
    }

    /// Reads the zones that have changed, but not in this message, ascending.
    pub(crate) fn deferred(&self, zones: &mut Vec<ZoneId>) -> Result<(), DeltaError> {
        take_ids(self.deferred, zones)
    }

    /// Calls `zone` for each zone of the message, ascending. `tick` and `ticks` are those of the head.
    pub(crate) fn zones<E: From<DeltaError>>(
        &self,
        tick: u32,
        ticks: Ticks,
        mut zone: impl FnMut(ZonePart<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut fields = Fields::new("State", self.zones);
        let mut last = 0;
        while let Some(field) = fields.next()? {
            match field.number {
                ZONES => {
                    let part = ZonePart::read(field.bytes()?, tick, ticks, last)?;
                    last = part.zone;
                    zone(part)?;
                }
                late @ ..=LAST => return Err(DeltaError::FieldOrder(late).into()),
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> ZonePart<'a> {
    fn read(bytes: &'a [u8], tick: u32, ticks: Ticks, last: ZoneId) -> Result<Self, DeltaError> {
        let mut fields = Fields::new("ZoneDelta", bytes);
        let (mut gap, mut references) = (None, None);
        let body = loop {
            let rest = fields.rest();
            match fields.next()? {
                Some(field) if field.number == 1 => once(&mut gap, "zone", field.number32("zone")?)?,
                Some(field) if field.number == 2 => {
                    once(&mut references, "references", field.number32("references")?)?;
                }
                _ => break rest,
            }
        };
        let zone = next_id(last, gap.unwrap_or_default().into())?;
        let (baseline, prior) = match references.unwrap_or_default() {
            0 => ticks,
            references => from_wire(tick, references)?,
        };
        Ok(Self { zone, baseline, prior, body })
    }
}

/// The head of a zone in a message, before the bytes that its receivers share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ZoneHead {
    gap: u32,
    references: u32,
}

impl ZoneHead {
    /// Of `zone`, which comes after the zone `last` (0: it is the first), with these baseline and prior, in a
    /// message of `tick` whose own are `message`.
    pub(crate) fn new(zone: ZoneId, last: ZoneId, tick: u32, ticks: Ticks, message: Ticks) -> Self {
        let references = if ticks == message { 0 } else { to_wire(tick, ticks) };
        Self { gap: zone - last - 1, references }
    }

    /// Bytes of the zone in the message, with a body of `body` bytes.
    pub(crate) fn field_len(self, body: usize) -> usize {
        bytes_field_len(self.len(body))
    }

    /// Writes it, up to where the body follows.
    pub(crate) fn write(self, body: usize, out: &mut impl BufMut) {
        out.put_u8(tag(ZONES));
        put_varint(out, self.len(body) as u64);
        for (field, value) in [(1, self.gap), (2, self.references)] {
            if value != 0 {
                out.put_u8(field << 3);
                put_varint(out, value.into());
            }
        }
    }

    fn len(self, body: usize) -> usize {
        number_field_len(self.gap.into()) + number_field_len(self.references.into()) + body
    }
}

/// One of the two lists of zones in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Left,
    Deferred,
}

impl List {
    /// Bytes of the field with these zones, which ascend and are not 0.
    pub(crate) fn field_len(zones: impl Iterator<Item = ZoneId>) -> usize {
        match ids_len(zones) {
            0 => 0,
            len => bytes_field_len(len),
        }
    }

    /// Writes the field, unless it is empty.
    pub(crate) fn write(self, zones: impl Iterator<Item = ZoneId> + Clone, out: &mut impl BufMut) {
        let len = ids_len(zones.clone());
        if len == 0 {
            return;
        }
        out.put_u8(tag(match self {
            Self::Left => LEFT,
            Self::Deferred => DEFERRED,
        }));
        put_varint(out, len as u64);
        let mut last = 0;
        for zone in zones {
            put_varint(out, u64::from(zone - last - 1));
            last = zone;
        }
    }
}

/// The tag of a bytes field.
fn tag(field: u32) -> u8 {
    (field << 3 | 2) as u8
}

fn ids_len(zones: impl Iterator<Item = ZoneId>) -> usize {
    let mut last = 0;
    zones.map(|zone| varint_len(u64::from(zone - std::mem::replace(&mut last, zone) - 1))).sum()
}

fn take_ids(mut bytes: &[u8], zones: &mut Vec<ZoneId>) -> Result<(), DeltaError> {
    zones.clear();
    let mut last = 0;
    while !bytes.is_empty() {
        last = next_id(last, take_varint(&mut bytes)?)?;
        zones.push(last);
    }
    Ok(())
}

/// The zone that is `gap` + 1 after another (0: the first).
fn next_id(last: ZoneId, gap: u64) -> Result<ZoneId, DeltaError> {
    let zone = gap.checked_add(u64::from(last) + 1).and_then(|zone| ZoneId::try_from(zone).ok());
    zone.ok_or(DeltaError::TooLarge { field: "zone", value: gap })
}

fn to_wire(tick: u32, (baseline, prior): Ticks) -> u32 {
    let Some(baseline) = baseline else { return 1 };
    let behind = prior.map_or(0, |prior| baseline - prior);
    2 + (tick - baseline - 1) + MAX_AGE * behind
}

fn from_wire(tick: u32, references: u32) -> Result<Ticks, DeltaError> {
    let Some(lags) = references.checked_sub(2) else { return Ok((None, None)) };
    let (ahead, behind) = (lags % MAX_AGE + 1, lags / MAX_AGE);
    if behind > MAX_AGE {
        return Err(DeltaError::TooLarge { field: "references", value: references.into() });
    }
    let baseline = tick.checked_sub(ahead).ok_or(DeltaError::BeforeStart)?;
    let prior = match behind {
        0 => None,
        behind => Some(baseline.checked_sub(behind).ok_or(DeltaError::BeforeStart)?),
    };
    Ok((Some(baseline), prior))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;
    use proptest::prelude::*;
    use prost::Message as _;
    use std::collections::BTreeSet;

    fn ids() -> impl Strategy<Value = Vec<ZoneId>> {
        let id = prop_oneof![1..100_u32, any::<u32>().prop_map(|id| id.max(1))];
        proptest::collection::btree_set(id, 0..8).prop_map(|ids: BTreeSet<_>| ids.into_iter().collect())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_any_library_reads_it(
            left in ids(),
            deferred in ids(),
            zones in ids(),
            lags in proptest::collection::vec((0..3_u32, 1..=MAX_AGE, 1..=MAX_AGE), 8),
        ) {
            let (tick, message) = (500, (Some(499), None));
            let ticks = |n: usize| match lags[n] {
                (0, ..) => (None, None),
                (1, ahead, _) => (Some(tick - ahead), None),
                (_, ahead, behind) => (Some(tick - ahead), Some(tick - ahead - behind)),
            };
            let zone_0 = [8 << 3 | 5, 1, 2, 3, 4]; // a checksum
            let body = [8 << 3 | 5, 9, 9, 9, 9];
            let mut out = zone_0.to_vec();
            for (list, zones) in [(List::Left, &left), (List::Deferred, &deferred)] {
                let start = out.len();
                list.write(zones.iter().copied(), &mut out);
                prop_assert_eq!(out.len() - start, List::field_len(zones.iter().copied()));
            }
            let mut last = 0;
            for (n, &zone) in zones.iter().enumerate() {
                let head = ZoneHead::new(zone, last, tick, ticks(n), message);
                let start = out.len();
                head.write(body.len(), &mut out);
                out.extend(body);
                prop_assert_eq!(out.len() - start, head.field_len(body.len()));
                last = zone;
            }
            let parts = Parts::split(&out).unwrap();
            prop_assert_eq!(parts.zone_0, zone_0);
            prop_assert_eq!(parts.is_plain(), left.is_empty() && deferred.is_empty() && zones.is_empty());
            let mut read = Vec::new();
            parts.left(&mut read).unwrap();
            prop_assert_eq!(&read, &left);
            parts.deferred(&mut read).unwrap();
            prop_assert_eq!(&read, &deferred);
            let mut n = 0;
            parts.zones::<DeltaError>(tick, message, |part| {
                let (baseline, prior) = ticks(n);
                assert_eq!(part, ZonePart { zone: zones[n], baseline, prior, body: &body });
                n += 1;
                Ok(())
            }).unwrap();
            prop_assert_eq!(n, zones.len());

            let generated = wire::State::decode(&out[..]).unwrap();
            prop_assert_eq!(generated.zones.len(), zones.len());
            prop_assert_eq!(generated.left.len(), left.len());
            prop_assert_eq!(generated.encode_to_vec(), out);
        }

        // Promise 6
        #[test]
        fn random_bytes_are_refused_or_read(bytes: Vec<u8>, tick in 0..200_u32) {
            let mut ids = Vec::new();
            if let Ok(parts) = Parts::split(&bytes) {
                let _ = parts.left(&mut ids);
                let _ = parts.deferred(&mut ids);
                let _ = parts.zones::<DeltaError>(tick, (None, None), |part| {
                    assert!(part.zone > 0 && part.baseline.is_none_or(|b| b < tick));
                    assert!(part.prior.is_none_or(|p| part.baseline.is_some_and(|b| p < b)));
                    Ok(())
                });
            }
        }
    }
}
