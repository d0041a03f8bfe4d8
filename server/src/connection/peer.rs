//! What a connection's actor, its thread's fan-out and its transport share.

use super::{ConnectionId, actor::Finish, worker::Worker};
use crate::{
    limits::ConnectionPermit,
    room::{published::Published, seat::Seat},
};
use actix::Recipient;
use bytes::BytesMut;
use driftless_proto::session::server::StateTick;
use driftless_proto::{code::CloseCode, session::server::ServerSession, state::StateHead};
use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::{Context, Waker},
    time::{Duration, Instant},
};

/// A peer is used on its thread only.
pub type PeerRef = Rc<RefCell<Peer>>;

/// One connection's session and seat, from which the transport pulls.
pub struct Peer {
    /// Number of the connection.
    pub id: ConnectionId,
    /// The protocol's state machine.
    pub session: ServerSession<Arc<Published>>,
    /// The seat, from the welcome on.
    pub seat: Option<Arc<Seat>>,
    /// Told once when the session is closing.
    actor: Option<Recipient<Finish>>,
    waker: Option<Waker>,
    /// The actor has ended without a goodbye: the peer is gone.
    gone: bool,
    stale_counted: u64,
    _permit: ConnectionPermit,
}

/// What `Peer::next_message` gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outbound {
    /// One message was written.
    Message,
    /// Nothing to send now. The waker will be called.
    Idle,
    /// All is sent; close the transport with this code.
    Close(CloseCode),
    /// The peer is gone or has said that it goes: end the transport.
    Gone,
}

impl Peer {
    /// A connection that has just been accepted.
    pub fn new(
        id: ConnectionId,
        session: ServerSession<Arc<Published>>,
        permit: ConnectionPermit,
    ) -> PeerRef {
        Rc::new(RefCell::new(Self {
            id,
            session,
            seat: None,
            actor: None,
            waker: None,
            gone: false,
            stale_counted: 0,
            _permit: permit,
        }))
    }

    /// Whom to tell when the session is closing.
    pub fn set_actor(&mut self, actor: Recipient<Finish>) {
        self.actor = Some(actor);
    }

    /// Writes the next message to `out`: control first, then the reliable queue, then the newest state.
    pub fn next_message(&mut self, worker: &Worker, now: Instant, out: &mut BytesMut) -> Outbound {
        let time = worker.clock().micros(now);
        let wrote = self.session.poll_control(time, out)
            || self.write_reliable(out)
            || self.write_state(worker, now, out);
        if self.session.closing().is_some() {
            self.tell_actor();
        }
        match self.session.closing() {
            _ if wrote => Outbound::Message,
            // A queue that overflowed is found while looking for a reliable message: the goodbye is still to be sent.
            Some(_) if self.session.poll_control(time, out) => Outbound::Message,
            Some(code) => Outbound::Close(code),
            None if self.gone => Outbound::Gone,
            None => Outbound::Idle,
        }
    }

    /// Has the transport called again when there is something to send.
    pub fn register(&mut self, cx: &Context<'_>) {
        match &self.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.waker = Some(cx.waker().clone()),
        }
    }

    /// Calls the transport.
    pub fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Puts a newer state in the slot and calls the transport.
    pub fn offer(&mut self, state: Arc<Published>) {
        self.session.offer_state(state);
        self.wake();
    }

    /// The peer is gone: the transport ends even if its socket would still take bytes (a peer may close one half only).
    pub fn abandon(&mut self) {
        self.gone = true;
        self.wake();
    }

    /// Ends the session with a goodbye, and tells the actor.
    pub fn close(&mut self, code: CloseCode, reason: &str, reconnect_after: Duration) {
        self.session.close(code, reason, reconnect_after);
        self.tell_actor();
        self.wake();
    }

    /// Lets time pass: pings, deadlines; and notes when the peer was last heard of.
    pub fn sweep(&mut self, worker: &Worker, now: Instant) {
        if self.session.poll_timeout().is_some_and(|at| at <= now) {
            self.session.handle_timeout(now, worker.clock().micros(now));
            if self.session.closing().is_some() {
                self.tell_actor();
            }
            self.wake();
        }
        if let Some(seat) = &self.seat {
            let seen = worker.clock().micros(self.session.last_seen());
            seat.vitals.last_seen_us.store(seen, Ordering::Relaxed);
            if let Some(rtt) = self.session.rtt() {
                let rtt = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
                seat.vitals.rtt_us.store(rtt, Ordering::Relaxed);
            }
        }
        let stale = self.session.stats().stale_dropped;
        worker.counters().stale_states_dropped += stale - self.stale_counted;
        self.stale_counted = stale;
    }

    fn write_reliable(&mut self, out: &mut BytesMut) -> bool {
        let Some(seat) = &self.seat else { return false };
        let mut outbox = seat.outbox.lock();
        outbox.of(self.id).is_some_and(|queue| self.session.poll_reliable(queue, out))
    }

    fn write_state(&mut self, worker: &Worker, now: Instant, out: &mut BytesMut) -> bool {
        let Some(seat) = &self.seat else { return false };
        let Some(send) = self.session.poll_state(now) else { return false };
        let (baseline, prior) = (send.baseline.as_deref(), send.prior.as_deref());
        let shared = worker.delta(&send.current, baseline, prior, self.session.coding());
        let head = StateHead {
            tick: send.current.tick(),
            baseline: baseline.map(StateTick::tick),
            prior: prior.map(StateTick::tick),
            input: send.current.input_of(seat.index, seat.player),
        };
        head.write(shared.len(), out);
        out.extend_from_slice(&shared);
        worker.counters().states_sent += 1;
        true
    }

    fn tell_actor(&mut self) {
        if let Some(actor) = self.actor.take() {
            // One message a connection: its mailbox cannot be filled by it.
            actor.do_send(Finish);
        }
    }
}
