//! Writes what is stored of rooms, in calls of the script that are small enough for Redis, which does nothing
//! else meanwhile.

use super::{
    Written,
    books::{Order, Write},
};
use crate::nodes::{ask::Failure, script::Call, way::Way};
use redis::{Script, Value};
use std::time::Duration;

/// Bytes and rooms of a call, about.
const CALL_BYTES: usize = 256 << 10;
const CALL_ROOMS: usize = 64;
/// Bytes that are on their way at a time, about: after a failure, so much is repeated at most.
const UNANSWERED: usize = 4 << 20;
/// What a slow Redis takes in a second, bytes: a call of more may take longer.
const RATE: u32 = 2 << 20;

/// Writes.
pub(super) struct Writer {
    way: Way,
    call: Call,
    /// Longest time for a small call.
    limit: Duration,
    script: Script,
}

/// What is written of a room, as Redis gets it.
#[derive(Debug)]
pub(super) struct Packed {
    pub write: Write,
    /// Its checkpoint, if that is what is written.
    pub row: Vec<u8>,
}

impl Packed {
    pub(super) fn bytes(&self) -> usize {
        self.write.frames.len() + self.row.len()
    }
}

impl Writer {
    pub(super) fn new(way: Way, call: Call, limit: Duration) -> Self {
        Self { way, call, limit, script: Script::new(super::SCRIPT) }
    }

    /// One call. What it says of each.
    pub(super) async fn write(&self, writes: &[Packed]) -> Result<Vec<Written>, Failure> {
        let mut call = self.script.prepare_invoke();
        call.key(self.call.key()).arg(&self.call.prefix).arg("write");
        for Packed { write: Write { number, about, order, frames, .. }, row } in writes {
            call.arg(&*about.name).arg(&*about.grant.node.0).arg(about.grant.epoch()).arg(*number);
            match order {
                Order::Put { taken, .. } => {
                    let age = taken.elapsed().as_millis() as u64;
                    call.arg("put").arg(age).arg(&frames[..]).arg(&*about.kind).arg(&row[..]);
                }
                Order::Append { after } => {
                    call.arg("append").arg(*after).arg(&frames[..]).arg("").arg("");
                }
                Order::Forget => {
                    call.arg("forget").arg("").arg("").arg("").arg("");
                }
            }
        }
        let limit = self.limit + limit(bytes(writes));
        outcomes(&self.way.call(limit, &call).await?)
    }
}

pub(super) fn bytes(writes: &[Packed]) -> usize {
    writes.iter().map(Packed::bytes).sum()
}

/// How much longer than a small call one of so many bytes may take.
fn limit(bytes: usize) -> Duration {
    Duration::from_secs(bytes as u64) / RATE
}

/// The next calls: what goes into each. They may be on their way at the same time.
pub(super) fn calls(mut writes: &[Packed]) -> Vec<&[Packed]> {
    let (mut calls, mut all) = (Vec::new(), 0);
    while !writes.is_empty() && all < UNANSWERED {
        let mut bytes = 0;
        let fits = |write: &&Packed| {
            bytes += write.bytes();
            bytes <= CALL_BYTES
        };
        let count = writes.iter().take(CALL_ROOMS).take_while(fits).count().max(1);
        let (call, rest) = writes.split_at(count);
        all += self::bytes(call);
        calls.push(call);
        writes = rest;
    }
    calls
}

fn outcomes(value: &Value) -> Result<Vec<Written>, Failure> {
    let nonsense = || Failure::Refused(format!("the script has returned {value:?}"));
    let Value::Array(values) = value else { return Err(nonsense()) };
    let one = |value: &Value| match value {
        Value::BulkString(word) => match &word[..] {
            b"done" => Some(Written::Done),
            b"gap" => Some(Written::Gap),
            b"fenced" => Some(Written::Fenced),
            _ => None,
        },
        _ => None,
    };
    values.iter().map(one).collect::<Option<_>>().ok_or_else(nonsense)
}
