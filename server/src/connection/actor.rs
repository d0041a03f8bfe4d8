//! The actor of a connection: what is rare in its life. Joins and resumes, which wait for a room; closes asked for by others; the end,
//! of which the room must hear. (Inputs and states do not pass here: see [`Peer`](super::Peer).)

use super::{End, LocalConnections, Peer, PeerRef};
use crate::{
    ground::{
        admission::Admission, close::Close, entrant::Entrant, id::ConnectionId, refusal::Refusal,
        report::LostReason, seat::Seat,
    },
    room::{Leave, Lost, Room, Seated},
};
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, ContextFutureSpawner, Handler, Message,
    WrapFuture,
};
use driftless_proto::{
    code::CloseCode,
    limits::Limits,
    session::{
        Delivery,
        server::{Request, ServerSession},
    },
    wire,
};
use futures_util::future::LocalBoxFuture;
use std::{
    mem,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::{Span, debug, info};

/// One connection. Lives on the thread that accepted it.
pub struct Connection {
    peer: PeerRef,
    connections: Rc<LocalConnections>,
    rooms: Arc<dyn Rooms>,
    place: Place,
    span: Span,
}

/// Who gives connections their seats.
pub trait Rooms: Send + Sync {
    /// A seat for a new player, in a room that is found or made.
    fn join(
        self: Arc<Self>,
        join: wire::Join,
        entrant: Entrant,
    ) -> LocalBoxFuture<'static, Result<Seated, Refusal>>;
    /// The seat that a token names.
    fn resume(
        self: Arc<Self>,
        resume: wire::Resume,
        entrant: Entrant,
    ) -> LocalBoxFuture<'static, Result<Seated, Refusal>>;
}

/// Where the connection's player is.
enum Place {
    /// Not in a room yet.
    Outside,
    /// In a room.
    Room { room: Addr<Room>, seat: Arc<Seat> },
    /// The connection has ended; its room, if it had one, knows.
    Gone,
}

impl Connection {
    /// A connection that has been let in, on the thread that serves it: what its transport needs.
    pub fn open(
        admission: Admission,
        delivery: Delivery,
        limits: Limits,
        connections: Rc<LocalConnections>,
        rooms: Arc<dyn Rooms>,
    ) -> PeerRef {
        let peer = Self::unlisted(admission, delivery, limits);
        Self::start(peer.clone(), connections, rooms);
        peer
    }

    /// A connection that is not let in: one without an actor, that nobody knows but its transport.
    pub fn unlisted(admission: Admission, delivery: Delivery, limits: Limits) -> PeerRef {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed));
        Peer::new(id, ServerSession::new(Instant::now(), limits, delivery), admission)
    }

    fn start(peer: PeerRef, connections: Rc<LocalConnections>, rooms: Arc<dyn Rooms>) -> Addr<Self> {
        let span = tracing::info_span!("connection", id = %peer.borrow().id, room = tracing::field::Empty);
        Self::create(|ctx| {
            peer.borrow_mut().set_actor(ctx.address());
            connections.add(peer.clone());
            Self { peer, connections, rooms, place: Place::Outside, span }
        })
    }

    /// `resumed`: the version of the list of members that the player has, if this answers a resume.
    fn seated(&mut self, seated: Result<Seated, Refusal>, resumed: Option<u64>, ctx: &mut Context<Self>) {
        let Seated { room, seat, welcome } = match seated {
            Ok(seated) => seated,
            Err(refusal) => return self.close(refusal.code, &refusal.reason, ctx),
        };
        self.span.record("room", &*seat.room.name);
        self.span.in_scope(|| debug!(player = seat.player, user = %seat.user, ?resumed, "seated"));
        self.place = Place::Room { room, seat: seat.clone() };
        let closing = {
            let mut peer = self.peer.borrow_mut();
            peer.session.welcome(Instant::now(), welcome);
            peer.set_seat(seat.clone(), resumed);
            peer.session.closing().is_some()
        };
        if closing {
            self.finish(ctx); // it was closed while the room was asked
        } else {
            self.connections.subscribe(seat.room.id, self.peer.clone());
        }
    }

    fn close(&mut self, code: CloseCode, reason: &str, ctx: &mut Context<Self>) {
        self.peer.borrow_mut().close(code, reason, Duration::ZERO);
        self.span.in_scope(|| info!(code = code.name(), reason, "closing"));
        self.finish(ctx);
    }

    /// The session is closing: the room hears it at once, whatever the socket does. The transport still sends the goodbye.
    fn finish(&mut self, ctx: &mut Context<Self>) {
        let code = self.peer.borrow().session.closing();
        self.gone(code);
        ctx.stop();
    }

    /// Tells the room that this connection is gone. `code`: with what it was closed; None: the transport went.
    fn gone(&mut self, code: Option<CloseCode>) {
        let (room, seat) = match mem::replace(&mut self.place, Place::Gone) {
            Place::Gone => return,
            Place::Outside => (None, None),
            Place::Room { room, seat } => (Some(room), Some(seat)),
        };
        let (connection, welcomed) = {
            let peer = self.peer.borrow();
            (peer.id, peer.is_welcomed())
        };
        self.connections.remove(connection, seat.map(|seat| seat.room.id));
        self.connections.worker().metrics().disconnected(code);
        self.span.in_scope(|| debug!(reason = code.map_or("lost", CloseCode::name), "connection ended"));
        let Some(room) = room else { return };
        // One message a connection, whose number is limited: no mailbox is flooded, and none of them may be lost.
        match code {
            Some(CloseCode::Left) => room.do_send(Leave { connection, removed: None }),
            Some(code) if !code.may_reconnect() => room.do_send(Leave { connection, removed: Some(code) }),
            code => {
                let why = match code {
                    Some(CloseCode::TimedOut) => LostReason::TimedOut,
                    Some(code @ CloseCode::SlowConsumer) => LostReason::Removed(code),
                    _ => LostReason::Disconnected,
                };
                room.do_send(Lost { connection, why, welcomed });
            }
        }
    }
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.gone(None);
    }
}

/// The peer asks for what only a room can give.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ask(pub Request);

impl Handler<Ask> for Connection {
    type Result = ();

    fn handle(&mut self, Ask(request): Ask, ctx: &mut Self::Context) {
        let rooms = self.rooms.clone();
        let entrant = Entrant {
            connection: self.peer.borrow().id,
            source: self.peer.borrow().source(),
            link: self.connections.link(),
            control: ctx.address().recipient(),
        };
        match request {
            Request::Join(join) => rooms
                .join(join, entrant)
                .into_actor(self)
                .map(|seated, connection, ctx| connection.seated(seated, None, ctx))
                .wait(ctx),
            Request::Resume(resume) => {
                let has = Some(resume.presence_version);
                rooms
                    .resume(resume, entrant)
                    .into_actor(self)
                    .map(move |seated, connection, ctx| connection.seated(seated, has, ctx))
                    .wait(ctx);
            }
            Request::Leave => self.finish(ctx),
            // The peer handles them.
            Request::Input(_) | Request::Command(_) | Request::RefuseCommand(_) | Request::ReliableAck(_) => {
            }
        }
    }
}

/// The session is closing.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Finish {
    /// Why.
    pub reason: String,
}

impl Handler<Finish> for Connection {
    type Result = ();

    fn handle(&mut self, finish: Finish, ctx: &mut Self::Context) {
        let code = self.peer.borrow().session.closing().map_or("?", CloseCode::name);
        self.span.in_scope(|| info!(code, reason = %finish.reason, "closing"));
        self.finish(ctx);
    }
}

/// The transport has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ended(pub End);

impl Handler<Ended> for Connection {
    type Result = ();

    fn handle(&mut self, Ended(end): Ended, ctx: &mut Self::Context) {
        let code = match end {
            End::Closed => self.peer.borrow().session.closing(),
            End::Lost(reason) => {
                self.span.in_scope(|| debug!(%reason, "lost"));
                self.peer.borrow().session.closing()
            }
            End::Violation { code, reason } => {
                let name = code.name();
                self.span.in_scope(|| info!(code = name, %reason, "the peer broke the transport's rules"));
                Some(code)
            }
        };
        self.gone(code);
        ctx.stop();
    }
}

impl Handler<Close> for Connection {
    type Result = ();

    fn handle(&mut self, close: Close, ctx: &mut Self::Context) {
        self.close(close.code, &close.reason, ctx);
    }
}
