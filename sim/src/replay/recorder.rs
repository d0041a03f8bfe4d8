//! The writer of recordings.

use super::{Action, EndReason, MAGIC, MAX_RECORD, RecordingHeader, Start, TickRecord, VERSION, wire};
use crate::{
    Away, Moment, PlayerId, PlayerInput,
    job::{Answer, JobError, JobId},
};
use prost::{Message, encoding};
use std::{
    collections::HashMap,
    io::{Error, ErrorKind, Write},
};

/// A tick's record is split where it would be longer than this, bytes: what a reader has to hold, unless a
/// single message is longer.
const PART: usize = 1 << 20;
/// Overhead of a record for each action and input, at most, bytes.
const AROUND: usize = 32;

/// Writes a recording. Keeps its scratch memory.
#[derive(Debug)]
pub struct Recorder<W> {
    out: W,
    part: wire::Tick,
    /// Upper bound of the encoded length of `part`, bytes.
    size: usize,
    body: Vec<u8>,
    /// Number of each player's last input.
    numbers: HashMap<PlayerId, u32>,
    ticks: u64,
}

impl<W: Write> Recorder<W> {
    /// Most bytes that an end marker takes.
    pub const END_BYTES: usize = 32;

    /// Writes the header.
    pub fn new(mut out: W, header: &RecordingHeader) -> std::io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let mut recorder = Self {
            out,
            part: wire::Tick::default(),
            size: 0,
            body: Vec::new(),
            numbers: HashMap::new(),
            ticks: 0,
        };
        let header = wire::Header {
            kind: header.kind.clone(),
            room: header.room.clone(),
            seed: header.setup.seed,
            tick_rate: header.setup.tick_rate,
            max_players: header.setup.max_players,
            options: header.setup.options.clone(),
        };
        recorder.write(1, &header)?;
        Ok(recorder)
    }

    /// The same for a recording that begins in the middle of its room.
    ///
    /// # Errors
    /// Those of the writer; and `InvalidInput` if the state is longer than [`MAX_RECORD`].
    pub fn starting_from(out: W, header: &RecordingHeader, start: &Start) -> std::io::Result<Self> {
        let mut recorder = Self::new(out, header)?;
        recorder.write(4, &start.to_wire())?;
        Ok(recorder)
    }

    /// Writes one tick, in as many records as it needs.
    ///
    /// # Errors
    /// Those of the writer, after which the recording is cut off; and `InvalidInput` if one message is longer
    /// than [`MAX_RECORD`], after which only `end` may follow.
    pub fn record(&mut self, tick: &TickRecord) -> std::io::Result<()> {
        self.part.tick = tick.tick;
        self.begin_part();
        for action in &tick.actions {
            if let Action::Leave { player } = action {
                self.numbers.remove(player);
            }
            let action = to_wire(action);
            self.make_room(action.encoded_len())?;
            self.part.actions.push(action);
        }
        for PlayerInput { player, number, moment, input } in &tick.inputs {
            self.make_room(input.len())?;
            let before = self.numbers.insert(*player, *number).unwrap_or(0);
            self.part.inputs.push(wire::Input {
                player: *player,
                payload: input.clone(),
                missed: number.wrapping_sub(before).wrapping_sub(1),
                moment_before: moment.map(|moment| Moment::at(tick.tick).since(moment)),
            });
        }
        self.ticks += u64::from(tick.checksum.is_some());
        self.write_part(tick.checksum)
    }

    /// Writes the end marker. Nothing may follow it.
    pub fn end(&mut self, reason: EndReason) -> std::io::Result<()> {
        use wire::end::Reason;
        let reason = match reason {
            EndReason::RoomEnded => Reason::RoomEnded,
            EndReason::RoomFailed => Reason::RoomFailed,
            EndReason::ServerStopped => Reason::ServerStopped,
            EndReason::Behind => Reason::Behind,
            EndReason::Quota => Reason::Quota,
            EndReason::Unwritable => Reason::Unwritable,
            EndReason::TooLong => Reason::TooLong,
        };
        self.write(3, &wire::End { reason: reason.into(), ticks: self.ticks })
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }

    /// The writer, for inspection.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// The writer, to take out what has been written.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// The writer. Does not flush it.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Writes the part of the tick so far if `more` bytes would make its record too long.
    fn make_room(&mut self, more: usize) -> std::io::Result<()> {
        if !(self.part.actions.is_empty() && self.part.inputs.is_empty()) && self.size + more > PART {
            self.write_part(None)?;
            self.begin_part();
        }
        self.size += more + AROUND;
        Ok(())
    }

    fn begin_part(&mut self) {
        self.part.actions.clear();
        self.part.inputs.clear();
        self.size = 0;
    }

    fn write_part(&mut self, checksum: Option<u32>) -> std::io::Result<()> {
        let mut part = std::mem::take(&mut self.part);
        part.checksum = checksum;
        let result = self.write(2, &part);
        self.part = part;
        result
    }

    /// Writes a record; `tag` is that of the message in `wire::Record`.
    fn write(&mut self, tag: u32, message: &impl Message) -> std::io::Result<()> {
        self.body.clear();
        encoding::message::encode(tag, message, &mut self.body);
        let length = self.body.len();
        if length > MAX_RECORD {
            let reason = format!("a record of {length} bytes is longer than {MAX_RECORD}");
            return Err(Error::new(ErrorKind::InvalidInput, reason));
        }
        self.out.write_all(&(length as u32).to_le_bytes())?;
        self.out.write_all(&crc32c::crc32c(&self.body).to_le_bytes())?;
        self.out.write_all(&self.body)
    }
}

fn to_wire(action: &Action) -> wire::Action {
    use wire::action::Body;
    let body = match action {
        Action::User { player, user } => Body::User(wire::User { player: *player, user: user.clone() }),
        Action::Join { player, name } => Body::Join(wire::Join { player: *player, name: name.clone() }),
        Action::JoinNpc { player, name } => Body::JoinNpc(wire::Join { player: *player, name: name.clone() }),
        Action::Answer(answer) => Body::Answer(answered(answer)),
        Action::Leave { player } => Body::Leave(*player),
        Action::Away { player, why } => Body::Away(wire::Away { player: *player, why: how(*why).into() }),
        Action::Back { player } => Body::Back(*player),
        Action::Command { player, payload } => {
            Body::Command(wire::Command { player: *player, payload: payload.clone() })
        }
    };
    wire::Action { body: Some(body) }
}

fn answered(answer: &Answer) -> wire::Answer {
    use wire::answer::{Result, Why};
    let why = |why: Why| Result::Unanswered(why.into());
    let result = match &answer.result {
        Ok(payload) => Result::Payload(payload.clone()),
        Err(JobError::NoHandler) => why(Why::NoHandler),
        Err(JobError::Busy) => why(Why::Busy),
        Err(JobError::TimedOut) => why(Why::TimedOut),
        Err(JobError::Failed(reason)) => Result::Failed(reason.clone()),
    };
    let JobId { tick, index } = answer.id;
    wire::Answer { tick, index, job: answer.job.clone(), result: Some(result) }
}

fn how(why: Away) -> wire::away::Why {
    match why {
        Away::TimedOut => wire::away::Why::TimedOut,
        Away::Disconnected => wire::away::Why::Disconnected,
        Away::Closed => wire::away::Why::Closed,
    }
}
