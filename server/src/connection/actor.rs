//! The actor of a connection: what is rare in its life. Joins and resumes, which wait for a room; closes asked for by others; the end,
//! of which the room must hear. (Inputs and states do not pass here: see [`Peer`](super::Peer).)

use super::{
    End, LocalConnections, Peer, PeerRef,
    departure::{Departure, Errand},
};
use crate::{
    ground::{
        admission::Admission,
        close::Close,
        entrant::{Entrant, Reach},
        home::{Home, MoveTo, Resident},
        id::ConnectionId,
        refusal::Refusal,
        seat::Seat,
        source::Source,
    },
    room::{Moved, RoomAddr, Seated},
};
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, ContextFutureSpawner, Handler,
    MailboxError, Message, WrapFuture,
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
    any::Any,
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::{Span, debug, info};

/// One connection. Lives on one thread; when the connection moves to another, one takes its place there.
pub struct Connection {
    peer: PeerRef,
    connections: Rc<LocalConnections>,
    rooms: Arc<dyn Rooms>,
    /// Where the player is, once there is a seat.
    place: Option<Place>,
    /// What it has come from another thread for.
    errand: Option<Errand>,
    /// It has left this thread.
    departed: bool,
    span: Span,
}

/// Who gives connections their seats.
pub trait Rooms: Send + Sync {
    /// Finds or makes the room in which somebody wants a seat.
    ///
    /// # Errors
    /// Why not.
    fn find(&self, wanted: Wanted, source: Source) -> Result<Ticket, Refusal>;
    /// The seat in the room that was found.
    fn enter(
        self: Arc<Self>,
        ticket: Ticket,
        entrant: Entrant,
    ) -> LocalBoxFuture<'static, Result<Seated, Refusal>>;
}

/// What a player asks for.
pub enum Wanted {
    /// A new seat.
    Join(wire::Join),
    /// The seat that a token names.
    Resume(wire::Resume),
}

/// A room is found for somebody.
pub struct Ticket {
    /// What was asked for.
    pub wanted: Wanted,
    /// The room.
    pub room: RoomAddr,
    /// The thread where the connection is to live, if it can move.
    pub home: Home,
    /// The place among the players, for the seat to keep. None: there is a seat already.
    pub place: Option<Arc<dyn Any + Send + Sync>>,
}

/// Where a player is.
pub(super) struct Place {
    room: RoomAddr,
    seat: Arc<Seat>,
    /// On the thread, among its players.
    _resident: Option<Resident>,
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
        Self::start(peer.clone(), connections, rooms, None);
        peer
    }

    /// A connection that is not let in: one without an actor, that nobody knows but its transport.
    pub fn unlisted(admission: Admission, delivery: Delivery, limits: Limits) -> PeerRef {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed));
        Peer::new(id, ServerSession::new(Instant::now(), limits, delivery), admission)
    }

    fn start(
        peer: PeerRef,
        connections: Rc<LocalConnections>,
        rooms: Arc<dyn Rooms>,
        errand: Option<Errand>,
    ) -> Addr<Self> {
        let span = tracing::info_span!("connection", id = %peer.borrow().id, room = tracing::field::Empty);
        Self::create(|ctx| {
            peer.borrow_mut().set_actor(ctx.address());
            connections.add(peer.clone());
            Self { peer, connections, rooms, place: None, errand, departed: false, span }
        })
    }

    /// A connection that comes from another thread.
    pub(super) fn arrive(peer: Peer, departure: Departure, connections: Rc<LocalConnections>) -> PeerRef {
        let Departure { rooms, errand, .. } = departure;
        let peer = Rc::new(RefCell::new(peer));
        Self::start(peer.clone(), connections, rooms, Some(errand));
        peer
    }

    /// Leaves for another thread. The transport takes it there when it is called.
    fn depart(&mut self, to: Home, errand: Errand, ctx: &mut Context<Self>) {
        let room = match &errand {
            Errand::Enter(_) => None,
            Errand::Stay(place) => Some(place.seat.room.id),
        };
        let mut peer = self.peer.borrow_mut();
        self.connections.remove(peer.id, room);
        peer.depart(Departure { to, rooms: self.rooms.clone(), errand });
        self.departed = true;
        ctx.stop();
    }

    /// Goes to the thread that was found for it, or takes the seat from here.
    fn go(&mut self, ticket: Ticket, ctx: &mut Context<Self>) {
        if self.peer.borrow().can_move() && !self.connections.is_at(&ticket.home) {
            self.depart(ticket.home.clone(), Errand::Enter(ticket), ctx);
        } else {
            self.enter(ticket, ctx);
        }
    }

    /// Takes the seat in the room that was found.
    fn enter(&mut self, ticket: Ticket, ctx: &mut Context<Self>) {
        let resumed = match &ticket.wanted {
            Wanted::Join(_) => None,
            Wanted::Resume(resume) => Some(resume.presence_version),
        };
        let entrant = {
            let peer = self.peer.borrow();
            Entrant { connection: peer.id, source: peer.source(), place: None, reach: self.reach(ctx) }
        };
        let seated = self.rooms.clone().enter(ticket, entrant);
        seated
            .into_actor(self)
            .map(move |seated, connection, _| connection.seated(seated, resumed))
            .wait(ctx);
    }

    fn settle_at(&mut self, place: Place) {
        let _resident = self.connections.home().map(Home::house_player);
        self.place = Some(Place { _resident, ..place });
    }

    /// Tells its room that it is here.
    fn tell_moved(&self, ctx: &mut Context<Self>) {
        let Some(Place { room, .. }) = &self.place else { return };
        let (room, moved) =
            (room.clone(), Moved { connection: self.peer.borrow().id, reach: self.reach(ctx) });
        let sent = async move { room.send(moved).await };
        sent.into_actor(self).map(|closed, connection, _| connection.settled(closed)).wait(ctx);
    }

    /// It is here, and its room knows. `closed`: what the room wanted of it meanwhile.
    fn settled(&self, closed: Result<Option<Close>, MailboxError>) {
        let ended = || Close { code: CloseCode::RoomClosed, reason: "the room has ended".to_owned() };
        if let Some(Close { code, reason }) = closed.unwrap_or_else(|_| Some(ended())) {
            self.peer.borrow_mut().close(code, &reason, Duration::ZERO);
        }
    }

    fn refuse(&self, refusal: Refusal) {
        self.peer.borrow_mut().close(refusal.code, &refusal.reason, refusal.wait);
    }

    /// How a room reaches it.
    fn reach(&self, ctx: &Context<Self>) -> Reach {
        let moves = self.peer.borrow().can_move().then(|| ctx.address().recipient());
        Reach { link: self.connections.link(), control: ctx.address().recipient(), moves }
    }

    /// `resumed`: the version of the list of members that the player has, if this answers a resume.
    fn seated(&mut self, seated: Result<Seated, Refusal>, resumed: Option<u64>) {
        let Seated { room, seat, welcome } = match seated {
            Ok(seated) => seated,
            Err(refusal) => return self.refuse(refusal),
        };
        self.span.record("room", &*seat.room.name);
        self.span.in_scope(|| debug!(player = seat.player, user = %seat.user, ?resumed, "seated"));
        self.settle_at(Place { room, seat: seat.clone(), _resident: None });
        let mut peer = self.peer.borrow_mut();
        // It may have ended while the room was asked: then the room hears that next.
        if peer.ended().is_none() {
            peer.session.welcome(Instant::now(), welcome);
            peer.set_seat(seat.clone(), resumed);
            drop(peer);
            self.connections.subscribe(seat.room.id, self.peer.clone());
        }
    }

    /// The connection has ended: its thread forgets it, and its room hears why.
    fn gone(&mut self) {
        let peer = self.peer.borrow();
        let server_stopped = End::Lost("the server stopped".to_owned());
        let place = self.place.take();
        self.connections.remove(peer.id, place.as_ref().map(|place| place.seat.room.id));
        self.span
            .in_scope(|| tell_end(&peer, peer.ended().unwrap_or(&server_stopped), place, &self.connections));
    }
}

/// Tells of a connection's end: the log, the metrics, its room.
pub(super) fn tell_end(peer: &Peer, end: &End, place: Option<Place>, connections: &LocalConnections) {
    connections.worker().metrics().disconnected(end.code());
    match end {
        End::Closed { code, reason } => info!(code = code.name(), %reason, "closed"),
        End::Lost(reason) => debug!(%reason, "lost"),
    }
    if let Some(Place { room, .. }) = place {
        end.tell(&room, peer.id, peer.is_welcomed());
    }
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let ended = self.peer.borrow().ended().is_some();
        match self.errand.take() {
            Some(Errand::Enter(ticket)) if !ended => self.enter(ticket, ctx),
            Some(Errand::Stay(place)) => {
                self.span.record("room", &*place.seat.room.name);
                self.connections.subscribe(place.seat.room.id, self.peer.clone());
                self.settle_at(place);
                self.tell_moved(ctx);
            }
            Some(Errand::Enter(_)) | None => {}
        }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if !self.departed {
            self.gone();
        }
    }
}

impl Handler<MoveTo> for Connection {
    type Result = ();

    fn handle(&mut self, MoveTo { home, .. }: MoveTo, ctx: &mut Self::Context) {
        if self.peer.borrow().ended().is_some() {
            return; // of which its room hears
        }
        if self.connections.is_at(&home) {
            self.tell_moved(ctx);
        } else if let Some(place) = self.place.take() {
            self.depart(home, Errand::Stay(place), ctx);
        }
    }
}

/// The peer asks for what only a room can give.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ask(pub Request);

impl Handler<Ask> for Connection {
    type Result = ();

    fn handle(&mut self, Ask(request): Ask, ctx: &mut Self::Context) {
        let wanted = match request {
            Request::Join(join) => Wanted::Join(*join),
            Request::Resume(resume) => Wanted::Resume(*resume),
            // The peer handles them.
            Request::Input(_)
            | Request::Command(_)
            | Request::RefuseCommand(_)
            | Request::ReliableAck(_)
            | Request::Leave => return,
        };
        let source = {
            let peer = self.peer.borrow();
            if peer.ended().is_some() {
                return; // of which the next message tells
            }
            peer.source()
        };
        match self.rooms.find(wanted, source) {
            Ok(ticket) => self.go(ticket, ctx),
            Err(refusal) => self.refuse(refusal),
        }
    }
}

/// The connection has ended, as its peer says.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ended;

impl Handler<Ended> for Connection {
    type Result = ();

    fn handle(&mut self, _: Ended, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<Close> for Connection {
    type Result = ();

    fn handle(&mut self, close: Close, _: &mut Self::Context) {
        self.peer.borrow_mut().close(close.code, &close.reason, Duration::ZERO);
    }
}
