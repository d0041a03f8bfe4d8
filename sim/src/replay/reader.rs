//! The reader of recordings: checks everything that the format promises, in the memory of one record.

use super::{Action, MAGIC, MAX_RECORD, RecordingHeader, ReplayError, TickRecord, VERSION, wire};
use crate::TICK_RATES;
use bytes::Bytes;
use prost::Message;
use std::io::{ErrorKind, Read};

/// A recording that is being read.
#[derive(Debug)]
pub struct Recording<R> {
    input: R,
    header: RecordingHeader,
    /// Number of the next record.
    record: u64,
    last_tick: Option<u32>,
    cut: bool,
}

impl<R: Read> Recording<R> {
    /// Reads the header.
    pub fn open(mut input: R) -> Result<Self, ReplayError> {
        let mut start = [0; 12];
        let read = read_up_to(&mut input, &mut start)?;
        let magic = read.min(MAGIC.len());
        if magic == 0 || start[..magic] != MAGIC[..magic] {
            return Err(ReplayError::NotARecording);
        }
        if read < start.len() {
            return Err(ReplayError::HeaderCut);
        }
        let found = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
        if found != VERSION {
            return Err(ReplayError::UnknownVersion { found });
        }
        let body = match read_record(&mut input, 0)? {
            Next::Body(body) => body,
            Next::End | Next::Cut => return Err(ReplayError::HeaderCut),
        };
        let wire::Header { kind, seed, tick_rate, room } = decode(body, 0)?;
        if !TICK_RATES.contains(&tick_rate) {
            return Err(ReplayError::TickRate(tick_rate));
        }
        let header = RecordingHeader { kind, seed, tick_rate, room };
        Ok(Self { input, header, record: 1, last_tick: None, cut: false })
    }

    /// What it is of.
    pub fn header(&self) -> &RecordingHeader {
        &self.header
    }

    /// The next tick. None at the end: see `is_cut`.
    pub fn next_tick(&mut self) -> Result<Option<TickRecord>, ReplayError> {
        if self.cut {
            return Ok(None);
        }
        let body = match read_record(&mut self.input, self.record)? {
            Next::Body(body) => body,
            Next::End => return Ok(None),
            Next::Cut => {
                self.cut = true;
                return Ok(None);
            }
        };
        let tick: wire::Tick = decode(body, self.record)?;
        if let Some(after) = self.last_tick.filter(|&last| tick.tick <= last) {
            return Err(ReplayError::TickBackwards { tick: tick.tick, after });
        }
        if !tick.inputs.is_sorted_by_key(|input| input.player) {
            return Err(ReplayError::InputOrder { tick: tick.tick });
        }
        let actions: Option<_> = tick.actions.into_iter().map(from_wire).collect();
        let actions = actions.ok_or_else(|| ReplayError::Malformed {
            record: self.record,
            reason: "an action that this program does not know".into(),
        })?;
        self.last_tick = Some(tick.tick);
        self.record += 1;
        let inputs = tick.inputs.into_iter().map(|input| (input.player, input.payload)).collect();
        Ok(Some(TickRecord { tick: tick.tick, actions, inputs, checksum: tick.checksum }))
    }

    /// Whether the file ended within a record.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

enum Next {
    Body(Bytes),
    End,
    Cut,
}

fn read_record(input: &mut impl Read, record: u64) -> Result<Next, ReplayError> {
    let mut head = [0; 8];
    match read_up_to(input, &mut head)? {
        0 => return Ok(Next::End),
        8 if head != [0; 8] => {}
        _ => return Ok(Next::Cut),
    }
    let bytes = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let crc = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if bytes == 0 || bytes as usize > MAX_RECORD {
        return Err(ReplayError::RecordLength { record, bytes });
    }
    // Grows with what is really there, not with what is announced.
    let mut body = Vec::new();
    input.take(u64::from(bytes)).read_to_end(&mut body)?;
    if body.len() < bytes as usize {
        return Ok(Next::Cut);
    }
    if crc32c::crc32c(&body) != crc {
        return Err(ReplayError::Damaged { record });
    }
    Ok(Next::Body(body.into()))
}

/// Reads until `buffer` is full or the input ends. How much was read.
fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match input.read(&mut buffer[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

fn decode<M: Message + Default>(body: Bytes, record: u64) -> Result<M, ReplayError> {
    M::decode(body).map_err(|error| ReplayError::Malformed { record, reason: error.to_string() })
}

fn from_wire(action: wire::Action) -> Option<Action> {
    use wire::action::Body;
    Some(match action.body? {
        Body::Join(wire::Join { player, name }) => Action::Join { player, name },
        Body::Leave(player) => Action::Leave { player },
        Body::Away(player) => Action::Away { player },
        Body::Back(player) => Action::Back { player },
        Body::Command(wire::Command { player, payload }) => Action::Command { player, payload },
    })
}
