//! Connections without sockets.

use crate::BusyRoom;
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    limits::{Limits, PROTOCOL},
    moment::Moment,
    session::{Delivery, server::ServerSession},
    state::StateHead,
    wire::{self, client_message, server_message},
};
use driftless_server::{
    clock::Clock,
    connection::{LocalConnections, Outbound, Peer, PeerRef, Worker},
    ground::{
        admission::Admission,
        id::{ConnectionId, RoomId},
        published::Published,
        seat::Seat,
        source::Source,
        transport_kind::TransportKind,
    },
    metrics::Metrics,
};
use prost::Message;
use std::{
    error::Error,
    mem::ManuallyDrop,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

/// Time between two checks of a connection.
const SWEEP: Duration = Duration::from_millis(100);

/// A thread that serves connections, with its buffers, counters and lists, but without a running event loop.
pub struct Thread {
    connections: Rc<LocalConnections>,
    join: Bytes,
    /// Where the fan-out actor lives. Never dropped, because an actor's timers can only be dropped while its
    /// event loop runs.
    _system: ManuallyDrop<actix::SystemRunner>,
}

/// A client that is connected to a [`Thread`] and keeps up: it acknowledges what it has with its next input.
pub struct Client {
    id: ConnectionId,
    peer: PeerRef,
    inputs: u32,
    state: u32,
    missing: u32,
    reliable: u64,
}

impl Thread {
    /// A thread without connections.
    pub fn start() -> Self {
        let system = actix::System::new();
        let metrics = Arc::new(Metrics::new());
        let connections = system.block_on(async {
            LocalConnections::start(Worker::start(Clock::start(), metrics, Duration::ZERO))
        });
        let join = wire::Join {
            protocol: PROTOCOL,
            room: "bench".to_owned(),
            codings: vec![wire::ColumnCoding::Rice.into()],
            ..Default::default()
        };
        Self {
            connections,
            join: encoded(client_message::Body::Join(join)),
            _system: ManuallyDrop::new(system),
        }
    }

    /// What connections share.
    pub fn worker(&self) -> &Rc<Worker> {
        self.connections.worker()
    }
}

impl Client {
    /// A connection that has asked to join.
    pub fn connect(thread: &Thread, id: ConnectionId, now: Instant) -> Self {
        Self::over(TransportKind::WebSocket, Delivery::Ordered, thread, id, now)
    }

    /// The same over a transport that loses messages. What it has of the states, [`has`](Self::has) says.
    pub fn connect_lossy(thread: &Thread, id: ConnectionId, now: Instant) -> Self {
        Self::over(TransportKind::Quic, Delivery::Datagram, thread, id, now)
    }

    fn over(
        transport: TransportKind,
        delivery: Delivery,
        thread: &Thread,
        id: ConnectionId,
        now: Instant,
    ) -> Self {
        let admission = Admission::new(transport, Source::UNKNOWN, ());
        let session = ServerSession::new(now, Limits::default(), delivery);
        let peer = Peer::new(id, session, admission);
        thread.connections.add(peer.clone());
        peer.borrow_mut().receive(thread.worker(), now, thread.join.clone());
        Self { id, peer, inputs: 0, state: 0, missing: 0, reliable: 0 }
    }

    /// It acknowledges this state next, and says which of the 32 before it are missing.
    pub fn has(&mut self, state: u32, missing: u32) {
        (self.state, self.missing) = (state, missing);
    }

    /// The connection's number.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Welcomes the connection to its seat, as the connection's actor does.
    pub fn seat(&self, thread: &Thread, room: &BusyRoom, seat: Arc<Seat>, now: Instant) {
        let welcome = wire::Welcome {
            player: seat.player,
            tick_rate: seat.room.tick_rate,
            resume_token: seat.token.to_wire(),
            schema: Some(room.schema().to_wire()),
            room: seat.room.name.to_string(),
            kind: seat.room.kind.to_owned(),
            user: seat.user.to_string(),
            ..Default::default()
        };
        let room = seat.room.id;
        {
            let mut peer = self.peer.borrow_mut();
            peer.session.welcome(now, welcome);
            peer.set_seat(seat, None);
        }
        thread.connections.subscribe(room, self.peer.clone());
    }

    /// Removes the connection from its thread.
    pub fn disconnect(self, thread: &Thread, room: RoomId) {
        thread.connections.remove(self.id, Some(room));
    }

    /// The client's next input, encoded, with what it acknowledges, for `receive`.
    pub fn input(&mut self, payload: Bytes) -> Bytes {
        self.inputs += 1;
        encoded(client_message::Body::Input(wire::Input {
            sequence: self.inputs,
            moment: Moment::at(self.state).parts(),
            payload,
            state_ack: self.state,
            state_missing: self.missing,
            reliable_ack: self.reliable,
            ..Default::default()
        }))
    }

    /// A message of the client arrives at the server.
    pub fn receive(&self, thread: &Thread, now: Instant, message: Bytes) {
        self.peer.borrow_mut().receive(thread.worker(), now, message);
    }

    /// Puts a state into the connection's slot, as the fan-out does.
    pub fn offer(&self, state: &Arc<Published>) {
        self.peer.borrow_mut().offer(state.clone());
    }

    /// Writes the next message to the client into `out`. False: there is none.
    pub fn next_message(&self, thread: &Thread, now: Instant, out: &mut BytesMut) -> bool {
        self.peer.borrow_mut().next_message(thread.worker(), now, out) == Outbound::Message
    }

    /// Lets `SWEEP` pass for the connection, as the fan-out does.
    pub fn sweep(&self, thread: &Thread, now: Instant) {
        self.peer.borrow_mut().sweep(thread.worker(), now, SWEEP, Duration::ZERO);
    }

    /// A message of the server arrives at the client, which will acknowledge it.
    ///
    /// # Errors
    /// The message is not part of the protocol, or says that the server closes the connection.
    pub fn took(&mut self, message: Bytes) -> Result<(), Box<dyn Error>> {
        if let Some((head, _)) = StateHead::split(&message)? {
            self.state = head.tick;
            return Ok(());
        }
        match wire::ServerMessage::decode(message)?.body {
            Some(server_message::Body::Reliable(message)) => self.reliable = message.sequence,
            Some(server_message::Body::Goodbye(goodbye)) => return Err(goodbye.reason.into()),
            _ => {}
        }
        Ok(())
    }

    /// Sends everything to the client, which receives it.
    ///
    /// # Errors
    /// As `took`.
    pub fn drain(&mut self, thread: &Thread, now: Instant, out: &mut BytesMut) -> Result<(), Box<dyn Error>> {
        out.clear();
        while self.next_message(thread, now, out) {
            self.took(Bytes::copy_from_slice(out))?;
            out.clear();
        }
        Ok(())
    }
}

/// A part of a buffer, as a transport passes it on: sharing a piece of it takes no memory.
fn encoded(body: client_message::Body) -> Bytes {
    let message = wire::ClientMessage { body: Some(body) }.encode_to_vec();
    BytesMut::from(&message[..]).split().freeze()
}
