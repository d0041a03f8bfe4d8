//! The actor of a connection. It handles rare events: joins and resumes, which wait for a room; closes that
//! others request; and the end, which the room must be told of. (Inputs and states do not pass through it:
//! see [`Peer`](super::Peer).)

use super::{
    End, LocalConnections, Peer, PeerRef,
    departure::{Departure, Errand},
};
use crate::{
    clock,
    ground::{
        admission::Admission,
        close::Close,
        entrant::{Entrant, Reach},
        home::{Home, MoveTo, Resident},
        id::ConnectionId,
        identity::Identity,
        once::Reserved,
        places,
        refusal::Refusal,
        seat::Seat,
        shared::RoomShared,
        source::Source,
        tenure::Tenure,
        trace::TraceParent,
        transport_kind::TransportKind,
    },
    room::{Moved, RoomAddr, Seated},
    spans,
    topics::Topics,
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
    cell::RefCell,
    mem,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tracing::{Span, debug, info};

/// One connection. It lives on one thread; when the connection moves to another, a new actor replaces it
/// there.
pub struct Connection {
    peer: PeerRef,
    connections: Rc<LocalConnections>,
    rooms: Arc<dyn Entrance>,
    /// The player's seat, once there is one.
    place: Option<Seating>,
    /// What it has come from another thread to do.
    errand: Option<Errand>,
    /// It has left this thread.
    departed: bool,
    renewal: Renewal,
    /// Where it goes when the renewal has ended.
    move_later: Option<MoveTo>,
    span: Span,
}

/// Whether a fresh token is being checked. That may wait for others, and nothing else must.
enum Renewal {
    Idle,
    /// It is, and then the newest of those that have come meanwhile.
    Checking {
        next: Option<String>,
    },
}

/// Finds rooms and seats for connections.
pub trait Rooms: Send + Sync {
    /// Finds or makes the room in which a seat is wanted.
    fn find(self: Arc<Self>, wanted: SeatRequest, identity: Arc<Identity>, source: Source) -> Search;
    /// Takes the seat in the room that was found.
    fn enter(
        self: Arc<Self>,
        ticket: Ticket,
        entrant: Entrant,
    ) -> LocalBoxFuture<'static, Result<Seated, Refusal>>;
}

/// The result of the search for a room: where it is, or why there is none.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives for a moment, and most joins should allocate nothing for it"
)]
pub enum Search {
    /// It is known.
    Over(Result<Ticket, Refusal>),
    /// Others have to be asked.
    Asks(LocalBoxFuture<'static, Result<Ticket, Refusal>>),
}

/// Rooms, and who may enter them.
pub trait Entrance: Rooms {
    /// Finds out who asks for a seat, from what is shown with the request.
    fn identify(
        self: Arc<Self>,
        wanted: &SeatRequest,
        transport: TransportKind,
        source: Source,
        trace: Option<TraceParent>,
    ) -> LocalBoxFuture<'static, Result<Tenure, Refusal>>;

    /// The topics.
    fn topics(&self) -> &Arc<Topics>;

    /// A client in a room shows a fresh token, for the identity that it has.
    fn renew(
        self: Arc<Self>,
        token: String,
        has: Arc<Identity>,
        room: Arc<RoomShared>,
        transport: TransportKind,
        source: Source,
    ) -> LocalBoxFuture<'static, Result<Option<Tenure>, Refusal>>;
}

/// What a player asks for.
pub enum SeatRequest {
    /// A new seat.
    Join(wire::Join),
    /// The seat that a token names.
    Resume(wire::Resume),
}

impl SeatRequest {
    /// The trace of which it says it is a part.
    fn trace(&self) -> Option<TraceParent> {
        TraceParent::parse(match self {
            SeatRequest::Join(join) => &join.traceparent,
            SeatRequest::Resume(resume) => &resume.traceparent,
        })
    }

    /// Says who the client is. Empty: it does not say.
    pub fn identity_token(&self) -> &str {
        match self {
            SeatRequest::Join(join) => &join.identity_token,
            SeatRequest::Resume(resume) => &resume.identity_token,
        }
    }
}

/// A room that was found for a connection.
pub struct Ticket {
    /// What was asked for.
    pub wanted: SeatRequest,
    /// Who asks for it.
    pub identity: Arc<Identity>,
    /// The room.
    pub room: RoomAddr,
    /// The thread where the connection should live, if it can move.
    pub home: Home,
    /// The player slot, for the seat to keep. None: a seat that has one already is resumed.
    pub place: Option<Arc<places::Place>>,
    /// The token that a new seat uses up, if it may be used once only.
    pub once: Option<Reserved>,
}

/// A player's seat and its room.
pub(super) struct Seating {
    room: RoomAddr,
    seat: Arc<Seat>,
    /// Counts the player among those of the thread.
    _resident: Option<Resident>,
}

impl Connection {
    /// Creates a connection that has been admitted, on the thread that serves it. Returns what its transport
    /// needs.
    pub fn open(
        admission: Admission,
        delivery: Delivery,
        limits: Limits,
        connections: Rc<LocalConnections>,
        rooms: Arc<dyn Entrance>,
    ) -> PeerRef {
        let peer = Self::unlisted(admission, delivery, limits);
        Self::start(peer.clone(), connections, rooms, None);
        peer
    }

    /// Creates a connection without an actor, known only to its transport. (For a peer that is not admitted.)
    pub fn unlisted(admission: Admission, delivery: Delivery, limits: Limits) -> PeerRef {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed));
        Peer::new(id, ServerSession::new(clock::now(), limits, delivery), admission)
    }

    fn start(
        peer: PeerRef,
        connections: Rc<LocalConnections>,
        rooms: Arc<dyn Entrance>,
        errand: Option<Errand>,
    ) -> Addr<Self> {
        let empty = tracing::field::Empty;
        let span = tracing::info_span!("connection", id = %peer.borrow().id, trace = empty, room = empty);
        if let Some(trace) = peer.borrow().trace() {
            span.record("trace", trace.id());
        }
        Self::create(|ctx| {
            peer.borrow_mut().set_actor(ctx.address());
            connections.add(peer.clone());
            Self {
                peer,
                connections,
                rooms,
                place: None,
                errand,
                departed: false,
                renewal: Renewal::Idle,
                move_later: None,
                span,
            }
        })
    }

    /// Takes over a connection that comes from another thread.
    pub(super) fn arrive(peer: Peer, departure: Departure, connections: Rc<LocalConnections>) -> PeerRef {
        let Departure { rooms, errand, .. } = departure;
        let peer = Rc::new(RefCell::new(peer));
        Self::start(peer.clone(), connections, rooms, Some(errand));
        peer
    }

    /// Leaves for another thread. The transport moves the connection when it is woken.
    fn depart(&mut self, to: Home, errand: Errand, ctx: &mut Context<Self>) {
        let room = match &errand {
            Errand::Enter(_) => None,
            Errand::Stay(place) => Some(place.seat.channel()),
        };
        let mut peer = self.peer.borrow_mut();
        self.connections.remove(peer.id, room);
        peer.depart(Departure { to, rooms: self.rooms.clone(), errand });
        self.departed = true;
        ctx.stop();
    }

    /// Finds out who the client is, then its room.
    fn identify(&mut self, wanted: SeatRequest, connect: Option<spans::Span>, ctx: &mut Context<Self>) {
        let (transport, source) = self.peer.borrow().origin();
        let trace = self.peer.borrow().trace();
        let identified = self.rooms.clone().identify(&wanted, transport, source, trace).into_actor(self);
        let found = identified.map(move |tenure, connection, ctx| match tenure {
            Ok(tenure) => {
                if let Some(connect) = connect {
                    connect.end();
                }
                let identity = tenure.identity().clone();
                connection.peer.borrow_mut().set_tenure(tenure);
                connection.find(wanted, identity, ctx);
            }
            Err(refusal) => {
                if let Some(mut connect) = connect {
                    connect.fails(refusal.code.name());
                }
                connection.refuse(refusal);
            }
        });
        found.wait(ctx);
    }

    /// Begins the trace of a client whose transport has not done so.
    fn connect(&self, wanted: &SeatRequest) -> Option<spans::Span> {
        let mut peer = self.peer.borrow_mut();
        if peer.trace().is_some() {
            return None;
        }
        let mut connect = spans::Span::of_request("connect", wanted.trace());
        connect.set("transport", peer.origin().0.name());
        let trace = connect.here()?;
        self.span.record("trace", trace.id());
        peer.set_trace(trace);
        Some(connect)
    }

    fn find(&mut self, mut wanted: SeatRequest, identity: Arc<Identity>, ctx: &mut Context<Self>) {
        let source = self.peer.borrow().source();
        self.peer.borrow_mut().asks(&mut wanted);
        match self.rooms.clone().find(wanted, identity, source) {
            Search::Over(found) => self.found(found, ctx),
            Search::Asks(found) => {
                found.into_actor(self).map(|found, connection, ctx| connection.found(found, ctx)).wait(ctx);
            }
        }
    }

    fn found(&mut self, found: Result<Ticket, Refusal>, ctx: &mut Context<Self>) {
        match found {
            Ok(_) if self.peer.borrow().ended().is_some() => {} // `Ended` follows
            Ok(ticket) => self.go(ticket, ctx),
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Moves to the thread that was found for it, or takes the seat from here.
    fn go(&mut self, ticket: Ticket, ctx: &mut Context<Self>) {
        if self.peer.borrow().can_move() && !self.connections.is_at(&ticket.home) {
            self.depart(ticket.home.clone(), Errand::Enter(Box::new(ticket)), ctx);
        } else {
            self.enter(ticket, ctx);
        }
    }

    /// Takes the seat in the room that was found.
    fn enter(&mut self, ticket: Ticket, ctx: &mut Context<Self>) {
        let resumed = match &ticket.wanted {
            SeatRequest::Join(_) => None,
            SeatRequest::Resume(resume) => Some(resume.presence_version),
        };
        let entrant = {
            let (peer, identity) = (self.peer.borrow(), ticket.identity.clone());
            let (connection, source) = (peer.id, peer.source());
            Entrant { connection, source, identity, place: None, reach: self.reach(ctx) }
        };
        let seated = self.rooms.clone().enter(ticket, entrant);
        seated
            .into_actor(self)
            .map(move |seated, connection, _| connection.seated(seated, resumed))
            .wait(ctx);
    }

    fn settle_at(&mut self, place: Seating) {
        let _resident = self.connections.home().map(Home::house_player);
        self.place = Some(Seating { _resident, ..place });
    }

    /// Tells the room that the connection is here.
    fn tell_moved(&self, ctx: &mut Context<Self>) {
        let Some(Seating { room, .. }) = &self.place else { return };
        let (room, moved) =
            (room.clone(), Moved { connection: self.peer.borrow().id, reach: self.reach(ctx) });
        let sent = async move { room.send(moved).await };
        sent.into_actor(self).map(|closed, connection, _| connection.settled(closed)).wait(ctx);
    }

    /// The connection is here, and its room knows. `closed` is what the room wanted of it meanwhile.
    fn settled(&self, closed: Result<Option<Close>, MailboxError>) {
        let ended = || Close::new(CloseCode::RoomClosed, "the room has ended");
        if let Some(close) = closed.unwrap_or_else(|_| Some(ended())) {
            self.close(close);
        }
    }

    /// Has a fresh token checked. The connection goes on meanwhile.
    fn renew(&mut self, token: String, ctx: &mut Context<Self>) {
        let asked = {
            let peer = self.peer.borrow();
            let (transport, source) = peer.origin();
            let open = peer.identity().cloned().zip(peer.room().cloned()).filter(|_| peer.ended().is_none());
            open.map(|(has, room)| self.rooms.clone().renew(token, has, room, transport, source))
        };
        let Some(asked) = asked else { return };
        self.renewal = Renewal::Checking { next: None };
        asked.into_actor(self).map(|tenure, connection, ctx| connection.renewed(tenure, ctx)).spawn(ctx);
    }

    fn renewed(&mut self, tenure: Result<Option<Tenure>, Refusal>, ctx: &mut Context<Self>) {
        match tenure {
            Ok(Some(tenure)) => self.peer.borrow_mut().renew(tenure, self.rooms.topics()),
            // The earlier token is good until it expires, and another attempt may succeed before.
            Ok(None) => self.peer.borrow_mut().ask_again(),
            Err(refusal) => self.refuse(refusal),
        }
        if let Renewal::Checking { next: Some(token) } = mem::replace(&mut self.renewal, Renewal::Idle) {
            self.renew(token, ctx);
        } else if let Some(to) = self.move_later.take() {
            self.handle(to, ctx);
        }
    }

    fn close(&self, close: Close) {
        let Close { code, reason, moved } = close;
        let moved = moved.map(|moved| Box::new((*moved).clone()));
        self.peer.borrow_mut().refuse(Refusal { code, reason, wait: Duration::ZERO, moved });
    }

    fn refuse(&self, refusal: Refusal) {
        self.peer.borrow_mut().answered(Err(refusal.code));
        self.peer.borrow_mut().refuse(refusal);
    }

    /// How a room reaches the connection.
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
        self.peer.borrow_mut().answered(Ok(()));
        self.span.record("room", &*seat.room.name);
        self.span.in_scope(|| debug!(player = seat.player, user = %seat.user, ?resumed, "seated"));
        self.settle_at(Seating { room, seat: seat.clone(), _resident: None });
        let mut peer = self.peer.borrow_mut();
        // The connection may have ended while the room was asked; then the room is told of that next.
        if peer.ended().is_none() {
            peer.session.welcome(clock::now(), welcome);
            peer.set_seat(seat.clone(), resumed);
            drop(peer);
            self.connections.subscribe(seat.channel(), self.peer.clone());
        }
    }

    /// The connection has ended: its thread forgets it, and its room is told why.
    fn gone(&mut self) {
        let peer = self.peer.borrow();
        let server_stopped = End::Lost("the server stopped".to_owned());
        let place = self.place.take();
        self.connections.remove(peer.id, place.as_ref().map(|place| place.seat.channel()));
        self.span
            .in_scope(|| tell_end(&peer, peer.ended().unwrap_or(&server_stopped), place, &self.connections));
    }
}

/// Reports a connection's end to the log, the metrics and its room.
pub(super) fn tell_end(peer: &Peer, end: &End, place: Option<Seating>, connections: &LocalConnections) {
    connections.worker().metrics().disconnected(end.code());
    match end {
        End::Closed { code, reason } => info!(code = code.name(), %reason, "closed"),
        End::Lost(reason) => debug!(%reason, "lost"),
    }
    if let Some(Seating { room, .. }) = place {
        end.tell(&room, peer.id, peer.is_welcomed());
    }
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let ended = self.peer.borrow().ended().is_some();
        match self.errand.take() {
            Some(Errand::Enter(ticket)) if !ended => self.enter(*ticket, ctx),
            Some(Errand::Stay(place)) => {
                self.span.record("room", &*place.seat.room.name);
                self.connections.subscribe(place.seat.channel(), self.peer.clone());
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

    fn handle(&mut self, to: MoveTo, ctx: &mut Self::Context) {
        if self.peer.borrow().ended().is_some() {
            return; // its room is told of the end
        }
        if let Renewal::Checking { .. } = self.renewal {
            self.move_later = Some(to);
            return;
        }
        let MoveTo { home, .. } = to;
        if self.connections.is_at(&home) {
            self.tell_moved(ctx);
        } else if let Some(place) = self.place.take() {
            self.depart(home, Errand::Stay(place), ctx);
        }
    }
}

/// The peer asks for something that only a room can give.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ask(pub Request);

impl Handler<Ask> for Connection {
    type Result = ();

    fn handle(&mut self, Ask(request): Ask, ctx: &mut Self::Context) {
        let wanted = match request {
            Request::Join(join) => SeatRequest::Join(*join),
            Request::Resume(resume) => SeatRequest::Resume(*resume),
            // The peer handles these itself.
            Request::Input(_)
            | Request::Command(_)
            | Request::RefuseCommand(_)
            | Request::ReliableAck(_)
            | Request::Renew(_)
            | Request::ReadTopic(_)
            | Request::Publish { .. }
            | Request::Leave => return,
        };
        if self.peer.borrow().ended().is_some() {
            return; // `Ended` follows
        }
        let connect = self.connect(&wanted);
        let known = self.peer.borrow().identity().cloned();
        // A guest's request may bring a token that the transport could not.
        let is_new =
            |identity: &Arc<Identity>| identity.user.is_guest() && !wanted.identity_token().is_empty();
        match known.filter(|identity| !is_new(identity)) {
            Some(identity) => self.find(wanted, identity, ctx),
            None => self.identify(wanted, connect, ctx),
        }
    }
}

/// The client shows a fresh token.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Renew(pub String);

impl Handler<Renew> for Connection {
    type Result = ();

    fn handle(&mut self, Renew(token): Renew, ctx: &mut Self::Context) {
        match &mut self.renewal {
            Renewal::Idle => self.renew(token, ctx),
            Renewal::Checking { next } => *next = Some(token),
        }
    }
}

/// The client reads a topic, or no longer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ReadTopic(pub wire::ReadTopic);

impl Handler<ReadTopic> for Connection {
    type Result = ();

    fn handle(&mut self, ReadTopic(read): ReadTopic, _: &mut Self::Context) {
        self.peer.borrow_mut().read_topic(self.rooms.topics(), read);
    }
}

/// The client publishes something.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish {
    pub publish: wire::Publish,
    /// Whether it came too fast.
    pub excess: bool,
}

impl Handler<Publish> for Connection {
    type Result = ();

    fn handle(&mut self, Publish { publish, excess }: Publish, _: &mut Self::Context) {
        self.peer.borrow_mut().publish(self.rooms.topics(), publish, excess);
    }
}

/// The peer says that the connection has ended.
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
        self.close(close);
    }
}
