//! The server's end for one player, without a socket: the real session, reliable queue and delta encoder, and
//! a world that the test controls.

use bytes::{BufMut, Bytes, BytesMut};
use driftless_client::proto::{
    code::CloseCode,
    delta::{Encoder, References},
    limits::Limits,
    reliable::{ReliableQueue, encode_body},
    schema::Schema,
    session::{
        Delivery,
        server::{PlayerInput, Request, ServerSession, StateTick},
    },
    snapshot::Snapshot,
    wire,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub const TICK_RATE: u32 = 20;
pub const TICK: Duration = Duration::from_millis(50);

/// One kind, `thing`, with a linear x and y and a held hp.
pub fn schema() -> Schema {
    Schema::new().kind("thing", |k| k.linear("position", &["x", "y"], 100).hold("health", &["hp"], 1))
}

/// A snapshot of things: id, x, y, hp.
pub fn snapshot(tick: u32, things: &[(u32, [i32; 3])]) -> Snapshot {
    let mut snapshot = Snapshot::new(&schema());
    snapshot.clear(tick);
    for (id, values) in things {
        snapshot.table_mut(0).push(*id, values);
    }
    snapshot
}

#[derive(Debug, Clone)]
pub struct Published(pub Arc<Snapshot>);

impl StateTick for Published {
    fn tick(&self) -> u32 {
        self.0.tick()
    }
}

/// A room with one player.
pub struct Room {
    origin: Instant,
    ahead: Duration,
    pub delivery: Delivery,
    session: Option<ServerSession<Published>>,
    pub queue: ReliableQueue,
    encoder: Encoder,
    token: Bytes,
    player: u32,
    input_received: u32,
    command_received: u64,
    pub inputs: Vec<PlayerInput>,
    pub commands: Vec<Bytes>,
    pub events: u64,
    pub joins: u32,
    pub resumes: u32,
    pub left: bool,
    /// The presence version in the last resume.
    pub presence_version: u64,
    /// Refuse every client with this code.
    pub refuse: Option<(CloseCode, Duration)>,
}

impl Room {
    pub fn new(now: Instant) -> Self {
        Self {
            origin: now,
            ahead: Duration::ZERO,
            delivery: Delivery::Ordered,
            session: None,
            queue: ReliableQueue::new(1000, 1 << 20),
            encoder: Encoder::default(),
            token: Bytes::new(),
            player: 0,
            input_received: 0,
            command_received: 0,
            inputs: Vec::new(),
            commands: Vec::new(),
            events: 0,
            joins: 0,
            resumes: 0,
            left: false,
            presence_version: 0,
            refuse: None,
        }
    }

    pub fn time_us(&self, now: Instant) -> u64 {
        (now.duration_since(self.origin) + self.ahead).as_micros() as u64
    }

    /// Time passes that the client's clock does not count, because its machine sleeps.
    pub fn pass_unseen(&mut self, time: Duration) {
        self.ahead += time;
    }

    /// A connection was accepted; the previous one has gone.
    pub fn connect(&mut self, now: Instant) {
        self.session = Some(ServerSession::new(now, Limits::default(), self.delivery));
    }

    pub fn disconnect(&mut self) {
        self.session = None;
    }

    /// The seat is forgotten: its token becomes worthless.
    pub fn forget_seat(&mut self) {
        self.token = Bytes::new();
    }

    pub fn close(&mut self, code: CloseCode, reconnect_after: Duration) {
        if let Some(session) = &mut self.session {
            session.close(code, "as the test wants", reconnect_after);
        }
    }

    pub fn closing(&self) -> Option<CloseCode> {
        self.session.as_ref()?.closing()
    }

    pub fn is_active(&self) -> bool {
        self.session.as_ref().is_some_and(|s| s.in_flight_limit() > 0)
    }

    pub fn receive(&mut self, now: Instant, message: Bytes) {
        let Some(session) = &mut self.session else { return };
        session.handle_message(now, message).unwrap();
        while let Some(request) = self.session.as_mut().and_then(|s| s.poll_request()) {
            self.answer(now, request);
        }
    }

    fn answer(&mut self, now: Instant, request: Request) {
        if let (Request::Join(_) | Request::Resume(_), Some((code, after))) = (&request, self.refuse) {
            return self.close(code, after);
        }
        match request {
            Request::Join(_) => {
                self.joins += 1;
                self.player += 1;
                self.token = Bytes::from(vec![self.player as u8; 16]);
                self.queue = ReliableQueue::new(1000, 1 << 20);
                (self.input_received, self.command_received) = (0, 0);
                self.welcome(now);
            }
            Request::Resume(resume) if resume.token == self.token && !self.token.is_empty() => {
                assert!(self.queue.resume(resume.reliable_received));
                self.resumes += 1;
                self.presence_version = resume.presence_version;
                self.welcome(now);
            }
            Request::Resume(_) => self.close(CloseCode::UnknownSession, Duration::ZERO),
            Request::Input(input) => {
                self.input_received = input.sequence;
                self.inputs.push(input);
            }
            Request::Command(command) => {
                self.command_received = command.sequence;
                self.commands.push(command.payload);
            }
            Request::RefuseCommand(sequence) => self.command_received = sequence,
            Request::ReliableAck(sequence) => assert!(self.queue.acked(sequence)),
            Request::Renew(_) | Request::ReadTopic(_) | Request::Publish { .. } => {}
            Request::Leave => self.left = true,
        }
    }

    fn welcome(&mut self, now: Instant) {
        let welcome = wire::Welcome {
            tick_rate: TICK_RATE,
            input_received: self.input_received,
            command_received: self.command_received,
            player: self.player,
            resume_token: self.token.clone(),
            resume_window_ms: 15_000,
            schema: Some(schema().to_wire()),
            room: "test".into(),
            kind: "test".into(),
            ..Default::default()
        };
        if let Some(session) = &mut self.session {
            session.welcome(now, welcome);
        }
    }

    /// Queues an event; its payload is its number, from 1.
    pub fn event(&mut self, tick: u32) {
        self.events += 1;
        let payload = Bytes::from(self.events.to_be_bytes().to_vec());
        let body = encode_body(&wire::reliable::Body::Event(wire::Event { tick, payload }));
        self.queue.push(body).unwrap();
    }

    /// Refuses the seat's command of this number.
    pub fn refuse_command(&mut self, command: u64) {
        let refused = wire::CommandRefused { command, reason: "as the test wants".into() };
        self.queue.push(encode_body(&wire::reliable::Body::CommandRefused(refused))).unwrap();
    }

    pub fn publish(&mut self, snapshot: &Snapshot) {
        if let Some(session) = &mut self.session {
            session.offer_state(Published(Arc::new(snapshot.clone())));
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let time_us = self.time_us(now);
        if let Some(session) = &mut self.session {
            session.handle_timeout(now, time_us);
        }
    }

    /// The next message to the client.
    pub fn poll(&mut self, now: Instant) -> Option<Bytes> {
        let time_us = self.time_us(now);
        let session = self.session.as_mut()?;
        let mut out = BytesMut::new();
        if session.poll_control(time_us, &mut out) || session.poll_reliable(&mut self.queue, &mut out) {
            return Some(out.freeze());
        }
        let coding = session.coding();
        session.poll_state(now, |send| {
            let references =
                References { baseline: send.baseline.map(|b| &*b.0), prior: send.prior.map(|p| &*p.0) };
            let mut shared = BytesMut::new();
            let current = &send.current.0;
            let checksum = Some(current.checksum());
            self.encoder.encode(&schema(), references, current, coding, checksum, &mut shared);
            send.head(self.input_received).write(shared.len(), &mut out);
            out.put_slice(&shared);
        })?;
        Some(out.freeze())
    }
}
