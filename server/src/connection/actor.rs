//! The actor of a connection: decodes what arrives and calls session, directory and room.

use super::{PeerRef, Worker};
use crate::{
    directory::{Directory, Seated},
    error::Refusal,
    presence::LostReason,
    room::{Leave, Lost, Room, seat::Seat},
};
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, ContextFutureSpawner, Handler, Message,
    StreamHandler, WrapFuture,
};
use bytes::Bytes;
use driftless_proto::{
    code::CloseCode,
    session::server::{Request, Seat as SessionSeat},
};
use futures_util::Stream;
use std::{
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tracing::{Span, debug, info};

/// What a transport gives.
#[derive(Debug)]
pub enum Inbound {
    /// One message of the protocol.
    Message(Bytes),
    /// The peer closed the transport, with the code it gave.
    Closed(Option<u16>),
}

/// What went wrong with a transport.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The connection is gone.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The peer broke the rules of the transport. The transport answers it by itself, with its own code.
    #[error("{reason} (close code {transport_code})")]
    Violation {
        /// The transport's close code.
        transport_code: u16,
        /// What it is to the room and the metrics.
        code: CloseCode,
        /// What the peer did.
        reason: String,
    },
}

/// One connection. Lives on the thread that accepted it.
pub struct Connection {
    peer: PeerRef,
    worker: Rc<Worker>,
    directory: Arc<Directory>,
    place: Place,
    ended: Option<CloseCode>,
    span: Span,
}

/// Where the connection's player is.
enum Place {
    /// Not in a room yet.
    Outside,
    /// In a room.
    Room { room: Addr<Room>, seat: Arc<Seat> },
    /// Left for good; the room knows.
    Left,
}

impl Connection {
    /// Starts the actor of an accepted connection, fed by a transport.
    pub fn start<S>(peer: PeerRef, inbound: S, worker: Rc<Worker>, directory: Arc<Directory>) -> Addr<Self>
    where
        S: Stream<Item = Result<Inbound, TransportError>> + 'static,
    {
        let span = tracing::info_span!("connection", id = %peer.borrow().id, room = tracing::field::Empty);
        Self::create(|ctx| {
            peer.borrow_mut().set_actor(ctx.address().recipient());
            worker.add(peer.clone());
            ctx.add_stream(inbound);
            Self { peer, worker, directory, place: Place::Outside, ended: None, span }
        })
    }

    fn message(&mut self, message: Bytes, ctx: &mut Context<Self>) {
        let now = Instant::now();
        {
            let mut counters = self.worker.counters();
            counters.messages_in += 1;
            counters.bytes_in += message.len() as u64;
        }
        let handled = {
            let peer = &mut *self.peer.borrow_mut();
            match &peer.seat {
                Some(seat) => {
                    let mut outbox = seat.outbox.lock();
                    peer.session.handle_message(now, message, outbox.of(peer.id))
                }
                None => peer.session.handle_message(now, message, None),
            }
        };
        loop {
            let request = self.peer.borrow_mut().session.poll_request();
            match request {
                Some(request) => self.request(request, ctx),
                None => break,
            }
        }
        if let Err(e) = handled {
            self.span
                .in_scope(|| info!(code = e.code.name(), reason = %e.reason, "the peer broke the protocol"));
            self.finish(ctx);
        } else {
            let peer = self.peer.borrow();
            if peer.session.wants_transmit() {
                peer.wake();
            }
        }
    }

    fn request(&mut self, request: Request, ctx: &mut Context<Self>) {
        match request {
            Request::Input(input) => {
                let Place::Room { seat, .. } = &self.place else { return };
                let sequence = input.sequence;
                if seat.room.inbox.lock().input(seat.player, input) {
                    seat.input_received.fetch_max(sequence, Ordering::Relaxed);
                    self.worker.counters().inputs += 1;
                }
            }
            Request::Command(command) => {
                let Place::Room { seat, .. } = &self.place else { return };
                let mut inbox = seat.room.inbox.lock();
                // Under the inbox's lock, so that a connection that was replaced cannot repeat it.
                if command.sequence > seat.command_received.load(Ordering::Relaxed) {
                    if inbox.command(seat.player, command.sequence, command.payload) {
                        seat.command_received.store(command.sequence, Ordering::Relaxed);
                    } else {
                        drop(inbox);
                        self.close(CloseCode::SlowConsumer, "the room takes no more commands", ctx);
                    }
                }
            }
            Request::Join(join) => {
                let (directory, id, link) =
                    (self.directory.clone(), self.peer.borrow().id, self.worker.link());
                let control = ctx.address().recipient();
                async move { directory.join(join, id, link, control).await }
                    .into_actor(self)
                    .map(|seated, connection, ctx| connection.seated(seated, false, ctx))
                    .wait(ctx);
            }
            Request::Resume(resume) => {
                let (directory, id, link) =
                    (self.directory.clone(), self.peer.borrow().id, self.worker.link());
                let control = ctx.address().recipient();
                async move { directory.resume(resume, id, link, control).await }
                    .into_actor(self)
                    .map(|seated, connection, ctx| connection.seated(seated, true, ctx))
                    .wait(ctx);
            }
            Request::Leave => self.finish(ctx),
        }
    }

    fn seated(&mut self, seated: Result<Seated, Refusal>, resumed: bool, ctx: &mut Context<Self>) {
        let Seated { room, seat, mut welcome } = match seated {
            Ok(seated) => seated,
            Err(refusal) => {
                self.span.in_scope(|| info!(code = refusal.code.name(), reason = %refusal.reason, "refused"));
                return self.close(refusal.code, &refusal.reason, ctx);
            }
        };
        self.span.record("room", &*seat.room.name);
        self.span.in_scope(|| debug!(player = seat.player, user = %seat.user, resumed, "seated"));
        let now = Instant::now();
        welcome.resumed = resumed;
        welcome.server_time_us = self.worker.clock().micros(now);
        {
            let mut peer = self.peer.borrow_mut();
            let session_seat = SessionSeat {
                tick_rate: seat.room.tick_rate,
                input_received: seat.input_received.load(Ordering::Relaxed),
                command_received: seat.command_received.load(Ordering::Relaxed),
            };
            peer.session.welcome(now, &session_seat, welcome);
            peer.seat = Some(seat.clone());
            peer.wake();
        }
        self.worker.subscribe(seat.room.id, self.peer.clone());
        self.place = Place::Room { room, seat };
        if self.ended.is_some() || self.peer.borrow().session.closing().is_some() {
            self.finish(ctx); // it was closed while the room was asked
        }
    }

    fn close(&mut self, code: CloseCode, reason: &str, ctx: &mut Context<Self>) {
        self.peer.borrow_mut().close(code, reason, Duration::ZERO);
        self.finish(ctx);
    }

    /// The session is closing: tells the room at once, whatever the socket does, and stops reading. The transport still
    /// pulls the goodbye.
    fn finish(&mut self, ctx: &mut Context<Self>) {
        let code = self.peer.borrow().session.closing();
        self.end(code);
        self.peer.borrow().wake();
        ctx.stop();
    }

    /// Tells the room that this connection is gone. `code`: the code it was closed with; None: the transport is gone.
    fn end(&mut self, code: Option<CloseCode>) {
        let id = self.peer.borrow().id;
        let room_id = self.peer.borrow().seat.as_ref().map(|seat| seat.room.id);
        self.worker.remove(id, room_id);
        if let Place::Room { room, .. } = std::mem::replace(&mut self.place, Place::Left) {
            // One message a connection, so the mailbox limit that do_send passes over is kept by the connections' own.
            match code {
                Some(CloseCode::Left) => room.do_send(Leave { connection: id, removed: None }),
                Some(code) if !code.may_reconnect() => {
                    room.do_send(Leave { connection: id, removed: Some(code) })
                }
                Some(CloseCode::TimedOut) => room.do_send(Lost { connection: id, why: LostReason::TimedOut }),
                Some(code @ CloseCode::SlowConsumer) => {
                    room.do_send(Lost { connection: id, why: LostReason::Removed(code) });
                }
                _ => room.do_send(Lost { connection: id, why: LostReason::Disconnected }),
            }
        }
        if self.ended.is_none() {
            self.worker.metrics().disconnected(code);
            let reason = code.map_or("lost", CloseCode::name);
            self.span.in_scope(|| debug!(reason, "connection ended"));
            self.ended = Some(code.unwrap_or(CloseCode::Internal));
        }
    }
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        let code = self.peer.borrow().session.closing();
        self.end(code);
        self.peer.borrow_mut().abandon();
    }
}

impl StreamHandler<Result<Inbound, TransportError>> for Connection {
    fn handle(&mut self, inbound: Result<Inbound, TransportError>, ctx: &mut Self::Context) {
        match inbound {
            Ok(Inbound::Message(message)) => self.message(message, ctx),
            Ok(Inbound::Closed(code)) => {
                self.span.in_scope(|| debug!(code, "the peer closed"));
                ctx.stop();
            }
            Err(TransportError::Violation { code, reason, .. }) => {
                self.span
                    .in_scope(|| info!(code = code.name(), %reason, "the peer broke the transport's rules"));
                self.end(Some(code));
                ctx.stop();
            }
            Err(TransportError::Lost(e)) => {
                self.span.in_scope(|| debug!(error = %e, "lost"));
                ctx.stop();
            }
        }
    }
}

/// The session is closing.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Finish;

impl Handler<Finish> for Connection {
    type Result = ();

    fn handle(&mut self, _: Finish, ctx: &mut Self::Context) {
        self.finish(ctx);
    }
}

/// A room or an operator ends the connection.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct Close {
    /// With what code.
    pub code: CloseCode,
    /// Why.
    pub reason: String,
}

impl Handler<Close> for Connection {
    type Result = ();

    fn handle(&mut self, close: Close, ctx: &mut Self::Context) {
        self.close(close.code, &close.reason, ctx);
    }
}
