//! What a connection's actor, its thread's fan-out and its transport share.

use super::{
    End,
    actor::{Ask, Connection, Ended},
    calls::Caller,
    departure::Departure,
    members::MemberReader,
    worker::Worker,
};
use crate::ground::{
    admission::Admission, id::ConnectionId, published::Published, seat::Seat, source::Source,
    transport_kind::TransportKind,
};
use actix::Addr;
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
    lane::Lane,
    reliable::encode_body,
    session::server::{Request, ServerSession, SessionStats},
    wire::{CommandRefused, reliable::Body},
};
use std::{
    cell::RefCell,
    mem,
    rc::Rc,
    sync::Arc,
    task::Context,
    time::{Duration, Instant},
};

/// A peer is used on its thread only.
pub type PeerRef = Rc<RefCell<Peer>>;

/// One connection's session and seat: what a transport puts messages into, and pulls messages from.
pub struct Peer {
    /// Number of the connection.
    pub id: ConnectionId,
    /// The protocol's state machine.
    pub session: ServerSession<Arc<Published>>,
    seat: Option<Arc<Seat>>,
    /// What the player has of who is in the room.
    members: MemberReader,
    /// The seat's token has been handed to the transport, now or to a connection before.
    welcomed: bool,
    /// Who handles what is rare: joins, leaves, the end.
    actor: Option<Addr<Connection>>,
    /// Why the connection ends, once that is decided.
    end: Option<End>,
    /// It is to leave its thread.
    departure: Option<Box<Departure>>,
    /// There may be something in the seat's reliable queue. (The room fills it at its ticks, and a tick brings a state.)
    look_for_reliable: bool,
    /// Who sends what there is to send.
    caller: Caller,
    /// What the metrics have of the session's figures.
    counted: SessionStats,
    /// Bytes sent that the room's figures do not have yet.
    sent_uncounted: u64,
    admission: Admission,
}

/// What `Peer::next_message` gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outbound {
    /// One message was written.
    Message,
    /// Nothing to send now. The transport will be called.
    Idle,
    /// All is sent; close the transport with this code.
    Close(CloseCode),
}

impl Peer {
    /// A connection that has just been accepted.
    pub fn new(id: ConnectionId, session: ServerSession<Arc<Published>>, admission: Admission) -> PeerRef {
        Rc::new(RefCell::new(Self {
            id,
            session,
            seat: None,
            members: MemberReader::new(0, Instant::now()),
            welcomed: false,
            actor: None,
            end: None,
            departure: None,
            look_for_reliable: false,
            caller: Caller::Nobody,
            counted: SessionStats::default(),
            sent_uncounted: 0,
            admission,
        }))
    }

    /// Names the actor.
    pub fn set_actor(&mut self, actor: Addr<Connection>) {
        self.actor = Some(actor);
    }

    /// Gives the peer its seat. `resumed`: the version of the list of members that the player has, if the seat was its own before.
    pub fn set_seat(&mut self, seat: Arc<Seat>, resumed: Option<u64>) {
        self.seat = Some(seat);
        self.welcomed = resumed.is_some();
        self.members = MemberReader::new(resumed.unwrap_or(0), Instant::now());
        self.look_for_reliable = true;
        self.call();
    }

    /// Whether a welcome may have arrived. If not, nobody has the seat's token.
    pub fn is_welcomed(&self) -> bool {
        self.welcomed
    }

    /// Has a task called again when there is something to send.
    pub fn register(&mut self, cx: &Context<'_>) {
        self.caller.register(cx);
    }

    /// Has whoever serves the sockets of this thread called, by this key, when there is something to send. Calls at once.
    pub fn attach(&mut self, key: usize) {
        self.caller = Caller::Hub { key, called: false };
        self.call();
    }

    /// Calls nobody any more.
    pub fn detach(&mut self) {
        self.caller = Caller::Nobody;
    }

    /// A call was heard: the next one is one more.
    pub fn heard(&mut self) {
        self.caller.heard();
    }

    /// Whether it can go to another thread.
    pub(super) fn can_move(&self) -> bool {
        self.transport() == TransportKind::WebSocket
    }

    /// It is to go to another thread; its actor is no more. The transport takes it there.
    pub(super) fn depart(&mut self, departure: Departure) {
        self.actor = None;
        self.departure = Some(Box::new(departure));
        self.call();
    }

    /// Whether it is to leave.
    pub fn is_leaving(&self) -> bool {
        self.departure.is_some()
    }

    /// Where to, and what for.
    pub fn take_departure(&mut self) -> Option<Departure> {
        self.departure.take().map(|departure| *departure)
    }

    /// Calls the transport.
    pub fn call(&mut self) {
        self.caller.call();
    }

    /// A message arrived. Inputs and commands go straight to the room's inbox; what is rare goes to the actor.
    pub fn receive(&mut self, worker: &Worker, now: Instant, message: Bytes) {
        worker.arrived(self.transport(), message.len());
        // What is wrong with it closes the session, which says so.
        let _ = self.session.handle_message(now, message);
        while let Some(request) = self.session.poll_request() {
            self.request(worker, request);
        }
        self.settle();
    }

    /// The connection ends. Only the first word counts: the actor is told, once, and the transport is called.
    pub fn end(&mut self, end: End) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(end);
        if let Some(actor) = &self.actor {
            actor.do_send(Ended);
        }
        self.call();
    }

    /// Why the connection ends, once that is decided.
    pub(crate) fn ended(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// If the session is closing, that is the connection's end. The transport still sends the goodbye.
    fn settle(&mut self) {
        if self.end.is_none()
            && let Some(code) = self.session.closing()
        {
            let reason = self.session.closing_reason().unwrap_or_default().to_owned();
            self.end(End::Closed { code, reason });
        }
    }

    /// Whether `next_message` may have something to give.
    pub fn wants_transmit(&self) -> bool {
        self.look_for_reliable
            || self.members.is_due()
            || self.session.wants_transmit()
            || self.session.closing().is_some()
    }

    /// Appends the next message to `out`, for a transport with one lane: reliable ones first, then the newest state.
    pub fn next_message(&mut self, worker: &Worker, now: Instant, out: &mut BytesMut) -> Outbound {
        match self.next_reliable(worker, now, out) {
            Outbound::Idle if self.next_unreliable(worker, now, out) => Outbound::Message,
            outbound => outbound,
        }
    }

    /// Appends the next message of the [reliable lane](Lane::Reliable) to `out`: welcome, the seat's queue, presence,
    /// goodbye.
    pub fn next_reliable(&mut self, worker: &Worker, now: Instant, out: &mut BytesMut) -> Outbound {
        let (time, before) = (worker.clock().micros(now), out.len());
        let control = self.session.poll_control_of(Lane::Reliable, time, out);
        // With a seat and no end, that was the welcome.
        self.welcomed |= control && self.seat.is_some() && self.session.closing().is_none();
        let wrote = control
            || self.write_reliable(out)
            || self.write_presence(now, out)
            // A queue that overflowed is found while looking for a message: the goodbye is still to be sent.
            || self.session.poll_control_of(Lane::Reliable, time, out);
        match self.session.closing() {
            _ if wrote => {
                self.sent(worker, out.len() - before);
                Outbound::Message
            }
            Some(code) => Outbound::Close(code),
            None => Outbound::Idle,
        }
    }

    /// Appends the next message of the [unreliable lane](Lane::Unreliable) to `out`, if any: pong, ping, the newest state.
    pub fn next_unreliable(&mut self, worker: &Worker, now: Instant, out: &mut BytesMut) -> bool {
        let before = out.len();
        let wrote = self.session.poll_control_of(Lane::Unreliable, worker.clock().micros(now), out)
            || self.write_state(worker, now, out);
        if wrote {
            self.sent(worker, out.len() - before);
        }
        wrote
    }

    /// Puts a newer state in the slot and calls the transport.
    pub fn offer(&mut self, state: Arc<Published>) {
        self.session.offer_state(state);
        self.look_for_reliable = true;
        self.members.tick();
        self.call();
    }

    /// Ends the session with a goodbye, and tells the actor.
    pub fn close(&mut self, code: CloseCode, reason: &str, reconnect_after: Duration) {
        self.session.close(code, reason, reconnect_after);
        self.settle();
    }

    /// Lets time pass: pings, deadlines; and notes when the peer was last heard of. `passed`: what the last sweep was ago;
    /// `stall`: for how long of it the thread did nothing, and read nothing.
    pub fn sweep(&mut self, worker: &Worker, now: Instant, passed: Duration, stall: Duration) {
        if !stall.is_zero() {
            self.session.handle_stall(now, stall);
        }
        self.check_progress(passed - stall);
        if self.session.poll_timeout().is_some_and(|at| at <= now) {
            self.session.handle_timeout(now, worker.clock().micros(now));
            self.settle();
            self.call();
        }
        if let Some(seat) = &self.seat {
            seat.vitals.set_last_seen(worker.clock().micros(self.session.last_seen()));
            if let Some(rtt) = self.session.rtt() {
                seat.vitals.set_rtt(u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX));
            }
        }
        let stats = self.session.stats();
        let counted = mem::replace(&mut self.counted, stats);
        let newly_stale = stats.stale_dropped - counted.stale_dropped;
        {
            let mut counters = worker.counters(self.transport());
            counters.stale_states_dropped += newly_stale;
            counters.excess_dropped += stats.excess_dropped - counted.excess_dropped;
        }
        let sent = mem::take(&mut self.sent_uncounted);
        if let Some(seat) = &self.seat {
            seat.room.figures.sent(sent, newly_stale);
        }
    }

    fn request(&mut self, worker: &Worker, request: Request) {
        match (request, &self.seat) {
            (Request::Input(input), Some(seat)) => {
                let all_kept = seat.take_input(input);
                let mut counters = worker.counters(self.transport());
                counters.inputs += 1;
                counters.excess_dropped += u64::from(!all_kept);
            }
            (Request::Command(command), Some(seat)) => {
                if !seat.take_command(command.sequence, command.payload) {
                    worker.counters(self.transport()).excess_dropped += 1;
                    self.refuse(command.sequence);
                }
            }
            (Request::RefuseCommand(sequence), Some(seat)) => {
                if seat.skip_command(sequence) {
                    self.refuse(sequence);
                }
            }
            (Request::ReliableAck(sequence), Some(seat)) => {
                if let Some(queue) = seat.outbox.lock().of(self.id) {
                    queue.acked(sequence);
                }
            }
            // The session lets none pass before the welcome.
            (
                Request::Input(_) | Request::Command(_) | Request::RefuseCommand(_) | Request::ReliableAck(_),
                None,
            ) => {}
            (request @ (Request::Join(_) | Request::Resume(_)), _) => {
                if let Some(actor) = &self.actor {
                    actor.do_send(Ask(request)); // the session lets one pass
                }
            }
            (Request::Leave, _) => {} // the session is closing
        }
    }

    /// Tells the peer that a command came too fast.
    fn refuse(&mut self, command: u64) {
        let Some(seat) = &self.seat else { return };
        let refused = CommandRefused { command, reason: "too many commands: wait a moment".to_owned() };
        let body = encode_body(&Body::CommandRefused(refused));
        let pushed = seat.outbox.lock().queue().push(body);
        self.look_for_reliable = true;
        if let Err(full) = pushed {
            self.close(CloseCode::SlowConsumer, &full.to_string(), Duration::ZERO);
        }
    }

    /// Looks whether the peer acknowledges what waits for it. `passed`: what the last look was ago.
    fn check_progress(&mut self, passed: Duration) {
        if !self.look_for_reliable && !self.session.awaits_reliable_ack() {
            return;
        }
        let Some(seat) = &self.seat else { return };
        let stuck = seat.outbox.lock().of(self.id).map_or(Duration::ZERO, |queue| queue.look(passed));
        let patience = self.session.timeout();
        if stuck >= patience {
            let reason = format!("too many reliable messages, and none acknowledged for {patience:?}");
            self.close(CloseCode::SlowConsumer, &reason, Duration::ZERO);
        }
    }

    fn write_reliable(&mut self, out: &mut BytesMut) -> bool {
        let Some(seat) = self.seat.as_ref().filter(|_| self.look_for_reliable) else { return false };
        let wrote = {
            let mut outbox = seat.outbox.lock();
            outbox.of(self.id).is_some_and(|queue| self.session.poll_reliable(queue, out))
        };
        self.look_for_reliable = wrote;
        self.settle();
        wrote
    }

    fn write_presence(&mut self, now: Instant, out: &mut BytesMut) -> bool {
        let Some(seat) = self.seat.as_ref().filter(|_| self.session.closing().is_none()) else {
            return false;
        };
        let message = self.members.next(&seat.room.members, now);
        message.inspect(|message| out.extend_from_slice(message)).is_some()
    }

    fn write_state(&mut self, worker: &Worker, now: Instant, out: &mut BytesMut) -> bool {
        let Some(seat) = &self.seat else { return false };
        let Some(send) = self.session.poll_state(now) else { return false };
        let (baseline, prior) = (send.baseline.as_deref(), send.prior.as_deref());
        let transport = self.transport();
        let shared = worker.delta(transport, &send.current, baseline, prior, self.session.coding());
        send.head(send.current.input_of(seat.index, seat.player)).write(shared.len(), out);
        out.extend_from_slice(&shared);
        worker.counters(transport).states_sent += 1;
        true
    }

    /// Where it comes from.
    pub(super) fn source(&self) -> Source {
        self.admission.source
    }

    fn transport(&self) -> TransportKind {
        self.admission.transport
    }

    fn sent(&mut self, worker: &Worker, bytes: usize) {
        self.sent_uncounted += bytes as u64;
        let mut counters = worker.counters(self.transport());
        counters.messages_out += 1;
        counters.bytes_out += bytes as u64;
    }
}
