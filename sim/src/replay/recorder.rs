//! The writer of recordings.

use super::{Action, MAGIC, MAX_RECORD, RecordingHeader, TickRecord, VERSION, wire};
use prost::Message;
use std::io::{Error, ErrorKind, Write};

/// Writes a recording. Keeps its scratch memory.
#[derive(Debug)]
pub struct Recorder<W> {
    out: W,
    tick: wire::Tick,
    body: Vec<u8>,
}

impl<W: Write> Recorder<W> {
    /// Writes the header.
    pub fn new(mut out: W, header: &RecordingHeader) -> std::io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let mut recorder = Self { out, tick: wire::Tick::default(), body: Vec::new() };
        let header = wire::Header {
            kind: header.kind.clone(),
            seed: header.seed,
            tick_rate: header.tick_rate,
            room: header.room.clone(),
        };
        header.encode_raw(&mut recorder.body);
        recorder.write_body()?;
        Ok(recorder)
    }

    /// Writes one tick.
    ///
    /// # Errors
    /// Those of the writer, after which the recording is cut; and `InvalidInput`, with nothing written, if the record
    /// is longer than [`MAX_RECORD`].
    pub fn record(&mut self, tick: &TickRecord) -> std::io::Result<()> {
        self.tick.tick = tick.tick;
        self.tick.checksum = tick.checksum;
        self.tick.actions.clear();
        self.tick.actions.extend(tick.actions.iter().map(to_wire));
        self.tick.inputs.clear();
        let inputs = tick.inputs.iter();
        self.tick
            .inputs
            .extend(inputs.map(|(player, p)| wire::Input { player: *player, payload: p.clone() }));
        self.body.clear();
        self.tick.encode_raw(&mut self.body);
        self.write_body()
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }

    /// The writer. Does not flush it.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn write_body(&mut self) -> std::io::Result<()> {
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
        Action::Join { player, name } => Body::Join(wire::Join { player: *player, name: name.clone() }),
        Action::Leave { player } => Body::Leave(*player),
        Action::Away { player } => Body::Away(*player),
        Action::Back { player } => Body::Back(*player),
        Action::Command { player, payload } => {
            Body::Command(wire::Command { player: *player, payload: payload.clone() })
        }
    };
    wire::Action { body: Some(body) }
}
