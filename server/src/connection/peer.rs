//! What a connection's actor, its thread's fan-out and its transport share.

mod standing;
mod states;

use super::{
    End,
    actor::{Ask, Connection, Ended, Publish, ReadTopic, Renew},
    calls::Caller,
    departure::Departure,
    members::MemberReader,
    worker::Worker,
};
use crate::{
    clock,
    ground::{
        admission::Admission,
        id::ConnectionId,
        published::Published,
        refusal::Refusal,
        seat::{CommandTaken, Seat},
        shared::RoomShared,
        transport_kind::TransportKind,
    },
    spans::Span,
    topics::{Publisher, Subscriptions, TooManyWait, Topics},
};
use actix::Addr;
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
    lane::Lane,
    session::server::{Request, ServerSession, SessionStats},
    wire,
};
use std::{
    cell::RefCell,
    mem,
    rc::Rc,
    sync::Arc,
    task::Context,
    time::{Duration, Instant},
};

/// A peer is used only on its own thread.
pub type PeerRef = Rc<RefCell<Peer>>;

/// One connection's session and seat. A transport puts messages in, and pulls messages out.
///
/// The field order puts what every tick needs first: on a thread with many connections, none of it is in the
/// cache.
#[repr(C)]
pub struct Peer {
    seat: Option<Arc<Seat>>,
    /// The value of the seat's `told` when the peer last looked into its reliable queue.
    looked_at: u64,
    /// Who sends what there is to send.
    caller: Caller,
    /// Bytes sent that are not yet added to the room's figures.
    sent_uncounted: u64,
    /// There may be something in the seat's reliable queue, whatever the seat says.
    look_for_reliable: bool,
    /// The seat's token has been handed to a transport, for this or an earlier connection.
    welcomed: bool,
    transport: TransportKind,
    /// The protocol's state machine.
    pub session: ServerSession<Arc<Published>>,
    /// What the player has of the list of members.
    members: MemberReader,
    /// The topics that it reads or publishes in. None: it never has.
    topics: Option<Box<Subscriptions>>,
    /// Number of the connection.
    pub id: ConnectionId,
    /// Handles rare events: joins, leaves, the end.
    actor: Option<Addr<Connection>>,
    /// Why the connection ends, once that is decided.
    end: Option<End>,
    /// It is about to leave its thread.
    departure: Option<Box<Departure>>,
    /// The session's counts that are already in the metrics.
    counted: SessionStats,
    admission: Admission,
    /// It waits for a room. (In a box: it seldom does.)
    joining: Option<Box<Span>>,
}

/// What `Peer::next_message` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outbound {
    /// One message was written.
    Message,
    /// There is nothing to send now. The transport will be woken.
    Idle,
    /// Everything is sent; close the transport with this code.
    Close(CloseCode),
}

impl Peer {
    /// A connection that has just been accepted.
    pub fn new(id: ConnectionId, session: ServerSession<Arc<Published>>, admission: Admission) -> PeerRef {
        Rc::new(RefCell::new(Self {
            seat: None,
            looked_at: 0,
            caller: Caller::Nobody,
            sent_uncounted: 0,
            look_for_reliable: false,
            welcomed: false,
            transport: admission.transport,
            session,
            members: MemberReader::new(0, clock::now()),
            topics: None,
            id,
            actor: None,
            end: None,
            departure: None,
            counted: SessionStats::default(),
            admission,
            joining: None,
        }))
    }

    /// Names the actor.
    pub fn set_actor(&mut self, actor: Addr<Connection>) {
        self.actor = Some(actor);
    }

    /// Gives the peer its seat. `resumed`: the version of the list of members that the player has, if the
    /// seat was already its own.
    pub fn set_seat(&mut self, seat: Arc<Seat>, resumed: Option<u64>) {
        self.seat = Some(seat);
        self.welcomed = resumed.is_some();
        self.members = MemberReader::new(resumed.unwrap_or(0), clock::now());
        self.look_for_reliable = true;
        self.call();
    }

    /// Whether a welcome may have arrived. If not, nobody has the seat's token.
    pub fn is_welcomed(&self) -> bool {
        self.welcomed
    }

    /// Wakes this task from now on when there is something to send.
    pub fn register(&mut self, cx: &Context<'_>) {
        self.caller.register(cx);
    }

    /// From now on, queues `key` for this thread's hub when there is something to send. Queues it at once.
    pub fn attach(&mut self, key: usize) {
        self.caller = Caller::Hub { key, called: false };
        self.call();
    }

    /// Wakes nobody from now on.
    pub fn detach(&mut self) {
        self.caller = Caller::Nobody;
    }

    /// The transport has noticed a wake-up: the next one counts again.
    pub fn heard(&mut self) {
        self.caller.heard();
    }

    /// Whether the connection can move to another thread.
    pub(super) fn can_move(&self) -> bool {
        self.transport == TransportKind::WebSocket
    }

    /// The connection is to move to another thread, and its actor has stopped. The transport moves it.
    pub(super) fn depart(&mut self, departure: Departure) {
        self.actor = None;
        self.departure = Some(Box::new(departure));
        self.call();
    }

    /// Whether it is to leave.
    pub fn is_leaving(&self) -> bool {
        self.departure.is_some()
    }

    /// Its destination and purpose.
    pub fn take_departure(&mut self) -> Option<Departure> {
        self.departure.take().map(|departure| *departure)
    }

    /// Wakes the transport.
    pub fn call(&mut self) {
        self.caller.call();
    }

    /// A message has arrived. Inputs and commands go straight to the room's inbox; rare requests go to the
    /// actor.
    pub fn receive(&mut self, worker: &Worker, now: Instant, message: Bytes) {
        let Self { session, seat, id, .. } = self;
        let (bytes, mut inputs, mut excess) = (message.len(), 0, 0);
        let mut other = None;
        // An error closes the session, which reports it.
        let _ = session.handle_message_with(now, message, |request| match (request, &*seat) {
            (Request::Input(input), Some(seat)) => {
                inputs += 1;
                excess += u64::from(!seat.take_input(input));
            }
            (Request::ReliableAck(sequence), Some(seat)) => {
                if let Some(queue) = seat.outbox.lock().of(*id) {
                    queue.acked(sequence);
                }
            }
            // A message leads to one such request at most.
            (request, _) => other = Some(request),
        });
        worker.arrived(self.transport, bytes, inputs, excess);
        if let Some(request) = other {
            self.request(worker, request);
        }
        self.settle();
    }

    /// Ends the connection. Only the first reason counts: the actor is told once, and the transport is woken.
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

    /// If the session is closing, the connection ends. The transport still sends the goodbye.
    fn settle(&mut self) {
        if let Some(code) = self.session.closing()
            && self.end.is_none()
        {
            let reason = self.session.closing_reason().unwrap_or_default().to_owned();
            self.end(End::Closed { code, reason });
        }
    }

    /// Whether `next_message` may have something to give.
    pub fn wants_transmit(&self) -> bool {
        self.look_for_reliable
            || self.members.is_due()
            || self.topics.as_ref().is_some_and(|topics| topics.is_due())
            || self.session.wants_transmit()
            || self.session.closing().is_some()
    }

    /// What its reliable messages cost that wait for it, bytes.
    pub fn waiting(&self) -> usize {
        self.seat.as_ref().map_or(0, |seat| seat.outbox.lock().queue().bytes())
    }

    /// Appends the next message to `out`, for a transport with one lane: reliable ones first, then the newest
    /// state.
    pub fn next_message(&mut self, worker: &Worker, now: Instant, out: &mut BytesMut) -> Outbound {
        match self.next_reliable(worker, now, out) {
            Outbound::Idle if self.next_unreliable(worker, now, usize::MAX, out, |_| ()) => Outbound::Message,
            outbound => outbound,
        }
    }

    /// Appends the next message of the [reliable lane](Lane::Reliable) to `out`: welcome, the seat's queue,
    /// presence, goodbye.
    pub fn next_reliable(&mut self, worker: &Worker, now: Instant, out: &mut BytesMut) -> Outbound {
        let (time, before) = (worker.clock().micros(now), out.len());
        let control = self.session.poll_control_of(Lane::Reliable, time, out);
        // With a seat and without an end, it was the welcome.
        self.welcomed |= control && self.seat.is_some() && self.session.closing().is_none();
        let wrote = control
            || self.write_reliable(out)
            || self.write_presence(now, out)
            || self.write_topics(now, out)
            // An overflowed queue is noticed while looking for a message; then the goodbye has yet to be
            // sent.
            || self.session.poll_control_of(Lane::Reliable, time, out);
        match self.session.closing() {
            _ if wrote => {
                self.sent(worker, 1, out.len() - before);
                Outbound::Message
            }
            Some(code) => Outbound::Close(code),
            None => Outbound::Idle,
        }
    }

    /// Appends the next message of the [unreliable lane](Lane::Unreliable) to `out`, if any: pong, ping, the
    /// newest state. A state with zones may be several messages, each of `message_bytes` if possible; `each`
    /// is called after every message, and may take it away.
    pub fn next_unreliable(
        &mut self,
        worker: &Worker,
        now: Instant,
        message_bytes: usize,
        out: &mut BytesMut,
        mut each: impl FnMut(&mut BytesMut),
    ) -> bool {
        let before = out.len();
        if self.session.has_control()
            && let Some(seat) = &self.seat
        {
            self.session.done_commands(seat.command_done());
        }
        let control = self.session.poll_control_of(Lane::Unreliable, worker.clock().micros(now), out);
        if !control && self.sends_zones() {
            return self.write_zones(worker, now, message_bytes, out, each);
        }
        let wrote = control || self.write_state(worker, now, out);
        if wrote {
            self.sent(worker, 1, out.len() - before);
            each(out);
        }
        wrote
    }

    /// Puts a newer state into the slot and wakes the transport.
    pub fn offer(&mut self, state: Arc<Published>) {
        self.session.offer_state(state);
        self.members.tick();
        if let Some(topics) = &mut self.topics {
            topics.tick();
        }
        self.call();
    }

    /// Ends the session with a goodbye, and tells the actor.
    pub fn close(&mut self, code: CloseCode, reason: &str, reconnect_after: Duration) {
        self.session.close(code, reason, reconnect_after);
        self.settle();
    }

    /// Ends the session with the goodbye that a refusal asks for.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        let Refusal { code, reason, wait, moved } = refusal;
        match moved {
            Some(moved) => self.session.send_away(&reason, *moved),
            None => self.session.close(code, &reason, wait),
        }
        self.settle();
    }

    /// Handles the passage of time (pings, deadlines) and notes when the peer was last heard from. `passed`
    /// is the time since the last sweep; `stall` is the part of it in which the thread did nothing and read
    /// nothing.
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
        self.check_tenure(now);
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
            let mut counters = worker.counters(self.transport);
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
            (Request::Command(command), Some(seat)) => {
                let taken = seat.take_command(command.sequence, Some(command.payload));
                if taken == CommandTaken::Refused {
                    worker.counters(self.transport).excess_dropped += 1;
                }
                self.check_commands(taken);
            }
            (Request::RefuseCommand(sequence), Some(seat)) => {
                let taken = seat.take_command(sequence, None);
                self.check_commands(taken);
            }
            // The session lets none pass before the welcome.
            (Request::Command(_) | Request::RefuseCommand(_), None) => {}
            (Request::Input(_) | Request::ReliableAck(_), _) => {}
            (request @ (Request::Join(_) | Request::Resume(_)), _) => {
                if let Some(actor) = &self.actor {
                    actor.do_send(Ask(request)); // the session lets only one pass
                }
            }
            (Request::Renew(token), _) => {
                if let Some(actor) = &self.actor {
                    actor.do_send(Renew(token)); // counted by the session's rate of messages
                }
            }
            (Request::ReadTopic(read), _) => {
                if let Some(actor) = &self.actor {
                    actor.do_send(ReadTopic(*read)); // counted by the session's rate of messages
                }
            }
            (Request::Publish { publish, excess }, _) => {
                if let Some(actor) = &self.actor {
                    actor.do_send(Publish { publish: *publish, excess }); // as many as may wait: see `publish`
                }
            }
            (Request::Leave, _) => {} // the session is closing
        }
    }

    fn check_commands(&mut self, taken: CommandTaken) {
        if taken == CommandTaken::TooOften {
            self.close(CloseCode::RateLimited, "far too many commands between two ticks", Duration::ZERO);
        }
    }

    /// Checks whether the peer acknowledges what waits for it. `passed` is the time since the last check.
    fn check_progress(&mut self, passed: Duration) {
        let Some(seat) = &self.seat else { return };
        let may_wait = self.look_for_reliable || self.looked_at != seat.told();
        if !may_wait && !self.session.awaits_reliable_ack() {
            return;
        }
        let stuck = seat.outbox.lock().of(self.id).map_or(Duration::ZERO, |queue| queue.look(passed));
        let patience = self.session.timeout();
        if stuck >= patience {
            let reason =
                format!("too many unacknowledged reliable messages, and no acknowledgement for {patience:?}");
            self.close(CloseCode::SlowConsumer, &reason, Duration::ZERO);
        }
    }

    fn write_reliable(&mut self, out: &mut BytesMut) -> bool {
        let Some(seat) = &self.seat else { return false };
        let told = seat.told();
        if !self.look_for_reliable && self.looked_at == told {
            return false;
        }
        self.looked_at = told; // set before looking, so that what comes meanwhile is looked for again
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

    fn write_topics(&mut self, now: Instant, out: &mut BytesMut) -> bool {
        let Some(topics) = self.topics.as_mut().filter(|_| self.session.closing().is_none()) else {
            return false;
        };
        topics.next(now).inspect(|message| out.extend_from_slice(message)).is_some()
    }

    /// The client reads a topic, or no longer.
    pub(super) fn read_topic(&mut self, topics: &Topics, read: wire::ReadTopic) {
        let Some(identity) = self.identity().cloned() else { return };
        let source = self.source();
        self.subscriptions().ask(topics, &identity, source, read, clock::now());
        self.call();
    }

    /// The client publishes something.
    pub(super) fn publish(&mut self, topics: &Arc<Topics>, publish: wire::Publish, excess: bool) {
        let Some(identity) = self.identity().cloned() else { return };
        let publisher = Publisher { identity: &identity, source: self.source(), excess };
        match self.subscriptions().publish(topics, publisher, publish, clock::now()) {
            Ok(()) => self.call(),
            Err(TooManyWait) => {
                let reason = "far too many publications in topics wait for their answers";
                self.close(CloseCode::RateLimited, reason, Duration::ZERO);
            }
        }
    }

    fn subscriptions(&mut self) -> &mut Subscriptions {
        self.topics.get_or_insert_with(|| Box::new(Subscriptions::new(clock::now())))
    }

    /// The room of its seat.
    pub(super) fn room(&self) -> Option<&Arc<RoomShared>> {
        self.seat.as_ref().map(|seat| &seat.room)
    }

    fn sent(&mut self, worker: &Worker, messages: u64, bytes: usize) {
        self.sent_uncounted += bytes as u64;
        let mut counters = worker.counters(self.transport);
        counters.messages_out += messages;
        counters.bytes_out += bytes as u64;
    }
}
