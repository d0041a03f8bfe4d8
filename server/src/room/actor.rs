//! The actor of a room: its mailbox. What happens in the room, [`Shell`] says.

use super::{
    RoomAddr,
    address::Handled,
    core::{JoinError, ResumeError},
    inspect::Inspect,
    shell::{Seated, Shell},
    timetable::Timetable,
};
use crate::ground::{
    close::Close,
    entrant::{Entrant, Reach},
    home::{Home, MoveTo},
    id::ConnectionId,
    report::{LostReason, SeatExpired},
    seat::ResumeToken,
};
use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use driftless_proto::code::CloseCode;
use driftless_sim::PlayerId;
use std::{cell::RefCell, rc::Rc, sync::Arc, time::Instant};

/// Control messages that may wait for a room: joins and leaves of as many connections come and go in a tick at most.
const MAILBOX: usize = 4096;

/// A room. When it has moved to another thread, what is still sent to this actor is sent on.
pub struct Room {
    address: RoomAddr,
    /// None: it has moved.
    shell: Option<Rc<RefCell<Shell>>>,
}

impl Room {
    /// Starts a room on a thread, where `make` is called. Returns before that, with the address that the room is given.
    pub fn start_at(home: &Home, make: impl FnOnce(&Home, RoomAddr) -> Shell + Send + 'static) -> RoomAddr {
        let address = RoomAddr::default();
        let (of_room, of_home) = (address.clone(), home.clone());
        let started = Self::start_in_arbiter(home.arbiter(), move |ctx| {
            of_room.begin(ctx.address(), of_home.clone());
            Self { shell: Some(Rc::new(RefCell::new(make(&of_home, of_room.clone())))), address: of_room }
        });
        // Whoever is told of the room may ask it at once.
        address.begin(started, home.clone());
        address
    }

    /// Calls the room if it is here.
    fn handle<M: Message>(
        &mut self,
        message: M,
        ctx: &mut Context<Self>,
        handle: impl FnOnce(&mut Shell, M) -> M::Result,
    ) -> Handled<M> {
        let Some(shell) = &self.shell else { return Handled::SendOn(message, self.address.clone()) };
        let mut shell = shell.borrow_mut();
        let result = handle(&mut shell, message);
        if shell.has_ended() {
            Timetable::here().remove(shell.schedule(), shell.id());
            ctx.stop();
        }
        Handled::Here(result)
    }

    /// Takes the room away from this thread.
    fn depart(&mut self) -> Option<Shell> {
        let shell = self.shell.take_if(|shell| !shell.borrow().has_ended())?;
        {
            let shell = shell.borrow();
            Timetable::here().remove(shell.schedule(), shell.id());
        }
        // The timetable had the only other one.
        Rc::into_inner(shell).map(RefCell::into_inner)
    }
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        if let Some(shell) = &self.shell {
            let (schedule, id) = (*shell.borrow().schedule(), shell.borrow().id());
            Timetable::here().add(&schedule, id, shell.clone(), Instant::now());
        }
    }
}

/// A new player wants a seat.
#[derive(Message)]
#[rtype(result = "Result<Seated, JoinError>")]
pub struct Join {
    /// The player's connection.
    pub entrant: Entrant,
    /// Who it is.
    pub user: Arc<str>,
    /// Name to show.
    pub name: Arc<str>,
}

impl Handler<Join> for Room {
    type Result = Handled<Join>;

    fn handle(&mut self, message: Join, ctx: &mut Self::Context) -> Self::Result {
        let me = ctx.address().recipient();
        self.handle(message, ctx, |shell, join| shell.join(join, me))
    }
}

/// A player wants the seat back.
#[derive(Message)]
#[rtype(result = "Result<Seated, ResumeError>")]
pub struct Resume {
    /// The player's new connection.
    pub entrant: Entrant,
    /// The player that the token names.
    pub player: PlayerId,
    /// The token.
    pub token: ResumeToken,
    /// Sequence of the last reliable message the player has.
    pub received: u64,
}

impl Handler<Resume> for Room {
    type Result = Handled<Resume>;

    fn handle(&mut self, message: Resume, ctx: &mut Self::Context) -> Self::Result {
        self.handle(message, ctx, Shell::resume)
    }
}

/// A connection is gone; its player may come back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Lost {
    /// The connection.
    pub connection: ConnectionId,
    /// How it went.
    pub why: LostReason,
    /// Whether the welcome may have arrived. If not, nobody has the token, and nobody can come back.
    pub welcomed: bool,
}

impl Handler<Lost> for Room {
    type Result = Handled<Lost>;

    fn handle(&mut self, message: Lost, ctx: &mut Self::Context) -> Self::Result {
        self.handle(message, ctx, Shell::lost)
    }
}

/// A connection's player does not come back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave {
    /// The connection.
    pub connection: ConnectionId,
    /// The code with which the server removed the player. None: the player left.
    pub removed: Option<CloseCode>,
}

impl Handler<Leave> for Room {
    type Result = Handled<Leave>;

    fn handle(&mut self, message: Leave, ctx: &mut Self::Context) -> Self::Result {
        self.handle(message, ctx, Shell::leave)
    }
}

/// A connection has arrived on another thread. Some: it was closed on its way.
#[derive(Message)]
#[rtype(result = "Option<Close>")]
pub struct Moved {
    /// The connection.
    pub connection: ConnectionId,
    /// How it is reached now.
    pub reach: Reach,
}

impl Handler<Moved> for Room {
    type Result = Handled<Moved>;

    fn handle(&mut self, message: Moved, ctx: &mut Self::Context) -> Self::Result {
        self.handle(message, ctx, |shell, moved| shell.moved(moved.connection, moved.reach))
    }
}

impl Handler<SeatExpired> for Room {
    type Result = Handled<SeatExpired>;

    fn handle(&mut self, message: SeatExpired, ctx: &mut Self::Context) -> Self::Result {
        self.handle(message, ctx, Shell::seat_expired)
    }
}

/// An operator removes a player. False: there is no such seat.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct Kick {
    /// Who.
    pub player: PlayerId,
    /// Why: what the player is told.
    pub reason: String,
}

impl Handler<Kick> for Room {
    type Result = Handled<Kick>;

    fn handle(&mut self, message: Kick, ctx: &mut Self::Context) -> Self::Result {
        self.handle(message, ctx, Shell::kick)
    }
}

impl Handler<Inspect> for Room {
    type Result = Handled<Inspect>;

    fn handle(&mut self, message: Inspect, ctx: &mut Self::Context) -> Self::Result {
        self.handle(message, ctx, |shell, _| shell.inspect())
    }
}

/// An operator ends the room.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseRoom;

impl Handler<CloseRoom> for Room {
    type Result = Handled<CloseRoom>;

    fn handle(&mut self, message: CloseRoom, ctx: &mut Self::Context) -> Self::Result {
        self.handle(message, ctx, |shell, _| shell.close())
    }
}

impl Handler<MoveTo> for Room {
    type Result = ();

    fn handle(&mut self, MoveTo(home): MoveTo, _: &mut Self::Context) {
        if self.shell.is_none() {
            self.address.do_send(MoveTo(home));
        } else if let Some(mut shell) = self.depart() {
            shell.leave_for(&home);
            let started = Self::start_in_arbiter(home.arbiter(), {
                let address = self.address.clone();
                move |_| Self { address, shell: Some(Rc::new(RefCell::new(shell))) }
            });
            self.address.moved(started, home);
        }
    }
}

/// The room has ended in a tick, where its actor was not asked.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Ended;

impl Handler<Ended> for Room {
    type Result = ();

    fn handle(&mut self, _: Ended, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
