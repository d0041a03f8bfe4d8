//! The reader of recordings: checks everything that the format guarantees, in the memory of one record.

use super::{
    Action, EndReason, MAGIC, MAX_RECORD, RecordingHeader, ReplayError, Start, TickRecord, VERSION, wire,
};
use crate::{
    Away, Moment, PlayerId, PlayerInput, Setup, TICK_RATES,
    job::{Answer, JobError, JobId},
};
use bytes::Bytes;
use prost::Message;
use std::{
    collections::HashMap,
    io::{ErrorKind, Read},
};

/// A recording being read.
#[derive(Debug)]
pub struct Recording<R> {
    input: R,
    header: RecordingHeader,
    start: Option<Start>,
    /// The record after the header, if it has been read and is not `start`.
    ahead: Option<Result<Next, ReplayError>>,
    /// Number of the next record.
    record: u64,
    /// Ticks with a checksum so far.
    ticks: u64,
    /// The newest tick.
    newest: Option<Newest>,
    /// Number of each player's last input.
    numbers: HashMap<PlayerId, u32>,
    /// The end has been reached.
    over: bool,
    end: Option<EndReason>,
}

/// The newest tick that was read.
#[derive(Debug)]
struct Newest {
    tick: u32,
    finished: bool,
    /// Player of its last input.
    input_of: Option<u32>,
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
        let wire::Header { kind, seed, tick_rate, room, max_players, options } =
            match read_record(&mut input, 0)? {
                Next::Record(wire::record::Body::Header(header)) => header,
                Next::Record(_) => return Err(malformed(0, "not the header")),
                Next::End | Next::Cut => return Err(ReplayError::HeaderCut),
            };
        if !TICK_RATES.contains(&tick_rate) {
            return Err(ReplayError::TickRate(tick_rate));
        }
        let setup = Setup { seed, tick_rate, max_players, options };
        let header = RecordingHeader { kind, room, setup };
        let (mut start, mut ahead, mut record) = (None, None, 1);
        match read_record(&mut input, 1) {
            Ok(Next::Record(wire::record::Body::Start(read))) => (start, record) = (Some(read.into()), 2),
            other => ahead = Some(other),
        }
        Ok(Self {
            input,
            header,
            start,
            ahead,
            record,
            ticks: 0,
            newest: None,
            numbers: HashMap::new(),
            over: false,
            end: None,
        })
    }

    /// What was recorded.
    pub fn header(&self) -> &RecordingHeader {
        &self.header
    }

    /// Where it begins. None: with the room.
    pub fn start(&self) -> Option<&Start> {
        self.start.as_ref()
    }

    /// The next tick, or the next part of one. None at the end: see `end`.
    pub fn next_record(&mut self) -> Result<Option<TickRecord>, ReplayError> {
        if self.over {
            return Ok(None);
        }
        let ahead = self.ahead.take();
        match ahead.unwrap_or_else(|| read_record(&mut self.input, self.record))? {
            Next::Record(wire::record::Body::Tick(tick)) => self.tick(tick).map(Some),
            Next::Record(wire::record::Body::End(end)) => self.ended(&end).map(|()| None),
            Next::Record(wire::record::Body::Header(_)) => Err(malformed(self.record, "a second header")),
            Next::Record(wire::record::Body::Start(_)) => Err(malformed(self.record, "a second beginning")),
            Next::End | Next::Cut => {
                self.over = true;
                Ok(None)
            }
        }
    }

    /// Why the recording ends, once all ticks are read. None: it was cut off and has no end marker.
    pub fn end(&self) -> Option<EndReason> {
        self.end
    }

    fn tick(&mut self, read: wire::Tick) -> Result<TickRecord, ReplayError> {
        let tick = read.tick;
        let input_of = match &self.newest {
            Some(newest) if newest.finished && tick <= newest.tick => {
                return Err(ReplayError::TickBackwards { tick, after: newest.tick });
            }
            Some(newest) if !newest.finished && tick != newest.tick => {
                return Err(ReplayError::Unfinished { tick, after: newest.tick });
            }
            Some(newest) if !newest.finished => newest.input_of,
            _ => None,
        };
        let in_order = read.inputs.is_sorted_by_key(|input| input.player)
            && read.inputs.first().is_none_or(|first| input_of.is_none_or(|last| last <= first.player))
            && (read.actions.is_empty() || input_of.is_none());
        if !in_order {
            return Err(ReplayError::InputOrder { tick });
        }
        let actions: Option<Vec<_>> = read.actions.into_iter().map(from_wire).collect();
        let actions =
            actions.ok_or_else(|| malformed(self.record, "an action that this program does not know"))?;
        let finished = read.checksum.is_some();
        let input_of = read.inputs.last().map(|input| input.player).or(input_of);
        self.newest = Some(Newest { tick, finished, input_of });
        self.ticks += u64::from(finished);
        self.record += 1;
        for action in &actions {
            if let Action::Leave { player } = action {
                self.numbers.remove(player);
            }
        }
        let inputs = read.inputs.into_iter().map(|input| self.input(tick, input)).collect();
        Ok(TickRecord { tick, actions, inputs, checksum: read.checksum })
    }

    fn input(&mut self, tick: u32, read: wire::Input) -> PlayerInput<Bytes> {
        let wire::Input { player, payload, missed, moment_before } = read;
        let before = self.numbers.get(&player).copied().unwrap_or(0);
        let number = before.wrapping_add(missed).wrapping_add(1);
        self.numbers.insert(player, number);
        let moment = moment_before.map(|parts| Moment::at(tick).before(parts));
        PlayerInput { player, number, moment, input: payload }
    }

    fn ended(&mut self, end: &wire::End) -> Result<(), ReplayError> {
        use wire::end::Reason;
        let reason = match end.reason() {
            Reason::Unknown => {
                return Err(malformed(self.record, "an end for a reason that this program does not know"));
            }
            Reason::RoomEnded => EndReason::RoomEnded,
            Reason::RoomFailed => EndReason::RoomFailed,
            Reason::ServerStopped => EndReason::ServerStopped,
            Reason::Behind => EndReason::Behind,
            Reason::Quota => EndReason::Quota,
            Reason::Unwritable => EndReason::Unwritable,
            Reason::TooLong => EndReason::TooLong,
        };
        if reason.is_complete() && end.ticks != self.ticks {
            return Err(ReplayError::TicksMissing { counted: end.ticks, found: self.ticks });
        }
        if read_up_to(&mut self.input, &mut [0])? > 0 {
            return Err(ReplayError::AfterEnd { record: self.record + 1 });
        }
        (self.over, self.end) = (true, Some(reason));
        Ok(())
    }
}

#[derive(Debug)]
enum Next {
    Record(wire::record::Body),
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
    // Grows with the bytes that really exist, not with the announced length.
    let mut body = Vec::new();
    input.take(u64::from(bytes)).read_to_end(&mut body)?;
    if body.len() < bytes as usize {
        return Ok(Next::Cut);
    }
    if crc32c::crc32c(&body) != crc {
        return Err(ReplayError::Damaged { record });
    }
    let decoded = wire::Record::decode(Bytes::from(body)).map_err(|e| malformed(record, &e.to_string()))?;
    let body = decoded.body.ok_or_else(|| malformed(record, "a record that this program does not know"))?;
    Ok(Next::Record(body))
}

/// Reads until `buffer` is full or the input ends. Returns how much was read.
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

fn malformed(record: u64, reason: &str) -> ReplayError {
    ReplayError::Malformed { record, reason: reason.to_owned() }
}

fn from_wire(action: wire::Action) -> Option<Action> {
    use wire::action::Body;
    Some(match action.body? {
        Body::User(wire::User { player, user }) => Action::User { player, user },
        Body::Join(wire::Join { player, name }) => Action::Join { player, name },
        Body::JoinNpc(wire::Join { player, name }) => Action::JoinNpc { player, name },
        Body::Answer(answer) => Action::Answer(answered(answer)?),
        Body::Leave(player) => Action::Leave { player },
        Body::Away(away) => Action::Away { player: away.player, why: how(away.why())? },
        Body::Back(player) => Action::Back { player },
        Body::Command(wire::Command { player, payload }) => Action::Command { player, payload },
    })
}

fn answered(answer: wire::Answer) -> Option<Answer> {
    use wire::answer::{Result, Why};
    let wire::Answer { tick, index, job, result } = answer;
    let result = match result? {
        Result::Payload(payload) => Ok(payload),
        Result::Failed(reason) => Err(JobError::Failed(reason)),
        Result::Unanswered(why) => Err(match Why::try_from(why).ok()? {
            Why::Unknown => return None,
            Why::NoHandler => JobError::NoHandler,
            Why::Busy => JobError::Busy,
            Why::TimedOut => JobError::TimedOut,
        }),
    };
    Some(Answer { id: JobId { tick, index }, job, result })
}

fn how(why: wire::away::Why) -> Option<Away> {
    match why {
        wire::away::Why::Unknown => None,
        wire::away::Why::TimedOut => Some(Away::TimedOut),
        wire::away::Why::Disconnected => Some(Away::Disconnected),
        wire::away::Why::Closed => Some(Away::Closed),
    }
}
