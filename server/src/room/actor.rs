//! The actor of a room, which is its mailbox. [`Shell`] determines what happens in the room.

use super::{
    RoomAddr,
    address::Handled,
    core::{Carried, JoinError, ResumeError},
    inspect::Inspect,
    jobs::Answered,
    shell::{Seated, Shell},
    start::RefusedOptions,
    timetable::Timetable,
};
use crate::{
    clock,
    ground::{
        close::Close,
        entrant::{Entrant, Reach},
        home::{MoveTo, Resident},
        id::ConnectionId,
        report::{LostReason, SeatExpired},
        reservation::{Reservation, ReservationToken},
        seat::ResumeToken,
        sight::Sight,
    },
};
use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, ContextFutureSpawner, Handler, Message,
    WrapFuture,
};
use driftless_proto::code::CloseCode;
use driftless_sim::PlayerId;
use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use tracing::error;

/// Control messages that may wait for a room: enough for the joins and leaves of as many connections within a
/// tick.
const MAILBOX: usize = 4096;

/// A room. When it has moved to another thread, messages still sent to this actor are forwarded.
pub struct Room {
    address: RoomAddr,
    /// None: its game is being created, and nothing is handled yet; or it has moved.
    shell: Option<Rc<RefCell<Shell>>>,
    /// Starts creating the game.
    begin: Option<Begin>,
}

/// Begins a room: its actor waits for the game.
type Begin = Box<dyn FnOnce(&mut Room, &mut Context<Room>)>;

impl Room {
    /// Starts a room. `make` creates its game where no other room has to wait for it, however long it takes;
    /// then `shell` makes the rest, on the room's thread. Returns before that: messages to the room wait
    /// meanwhile.
    pub fn start_at<T: Send + 'static>(
        home: Resident,
        make: impl FnOnce() -> T + Send + 'static,
        shell: impl FnOnce(T, Resident, RoomAddr) -> Shell + Send + 'static,
    ) -> RoomAddr {
        let address = RoomAddr::default();
        let (of_room, at) = (address.clone(), home.home().clone());
        let started = Self::start_in_arbiter(at.arbiter(), move |ctx| {
            of_room.begin(ctx.address(), home.home().clone());
            let begin: Begin = Box::new(move |room, ctx| {
                let made = actix_rt::task::spawn_blocking(make);
                made.into_actor(room)
                    .map(move |made, room, ctx| match made {
                        Ok(made) => room.begin(shell(made, home, room.address.clone())),
                        Err(error) => {
                            error!(%error, "cannot create a game");
                            room.address.end();
                            ctx.stop();
                        }
                    })
                    .wait(ctx);
            });
            Self { address: of_room, shell: None, begin: Some(begin) }
        });
        // Whoever learns of the room may send to it at once.
        address.begin(started, at);
        address
    }

    /// The room lives on this thread from now on.
    fn begin(&mut self, shell: Shell) {
        let (schedule, id, shell) = (*shell.schedule(), shell.id(), Rc::new(RefCell::new(shell)));
        Timetable::here().add(&schedule, id, shell.clone(), clock::now());
        self.shell = Some(shell);
    }

    /// Calls the room if it is here.
    pub(super) fn handle<M: Message>(
        &mut self,
        message: M,
        ctx: &mut Context<Self>,
        handle: impl FnOnce(&mut Shell, M) -> M::Result,
    ) -> Handled<M> {
        let Some(shell) = &self.shell else { return Handled::SendOn(message, self.address.clone()) };
        let mut shell = shell.borrow_mut();
        let result = handle(&mut shell, message);
        if shell.has_ended() {
            self.stop(&shell, ctx);
        }
        Handled::Here(result)
    }

    /// The room has ended.
    fn stop(&self, shell: &Shell, ctx: &mut Context<Self>) {
        Timetable::here().remove(shell.schedule(), shell.id());
        ctx.stop();
    }

    /// The same, but not before it is known whether the room goes on here or at another node: who got a seat
    /// meanwhile would have none there. If it has ended, or another node may have it, nobody is answered as
    /// if it knew: whoever asks looks for the room again.
    fn handle_settled<M: Message>(
        &mut self,
        message: M,
        ctx: &mut Context<Self>,
        handle: impl FnOnce(&mut Shell, M) -> M::Result,
    ) -> Handled<M> {
        let Some(shell) = self.shell.clone() else { return self.handle(message, ctx, handle) };
        if shell.borrow().is_on_its_way() {
            return Handled::Later(message, self.address.clone());
        }
        if shell.borrow_mut().ends_as_lost(clock::now()) {
            self.stop(&shell.borrow(), ctx);
            return Handled::Gone;
        }
        self.handle(message, ctx, handle)
    }

    /// Takes the room off this thread.
    fn depart(&mut self) -> Option<Shell> {
        let shell = self.shell.take_if(|shell| !shell.borrow().has_ended())?;
        {
            let shell = shell.borrow();
            Timetable::here().remove(shell.schedule(), shell.id());
        }
        let shell = Rc::into_inner(shell).map(RefCell::into_inner);
        if shell.is_none() {
            error!("a room could not leave its thread, because it is still in use");
            self.address.end();
        }
        shell
    }
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        if let Some(begin) = self.begin.take() {
            begin(self, ctx);
        }
    }
}

/// Asks whether the game has started; answered once it has. A room whose game refused its options ends with
/// the answer.
#[derive(Message)]
#[rtype(result = "Result<(), RefusedOptions>")]
pub struct AskStarted;

impl Handler<AskStarted> for Room {
    type Result = Handled<AskStarted>;

    fn handle(&mut self, message: AskStarted, ctx: &mut Self::Context) -> Self::Result {
        self.handle(message, ctx, |shell, _| shell.started())
    }
}

/// A new player wants a seat.
#[derive(Message)]
#[rtype(result = "Result<Seated, JoinError>")]
pub struct Join {
    /// The player's connection.
    pub entrant: Entrant,
    /// The user.
    pub user: Arc<str>,
    /// Display name.
    pub name: Arc<str>,
    /// Whether it watches instead of playing.
    pub sight: Sight,
    /// Options for the room, if it is created for this join.
    pub options: String,
    /// What it shows of a seat that is kept for it.
    pub reservation: Option<ReservationToken>,
}

impl Handler<Join> for Room {
    type Result = Handled<Join>;

    fn handle(&mut self, message: Join, ctx: &mut Self::Context) -> Self::Result {
        self.handle_settled(message, ctx, Shell::join)
    }
}

/// Keeps seats for players who have yet to come: all of them or none.
#[derive(Message)]
#[rtype(result = "Result<(), JoinError>")]
pub struct Reserve {
    /// For whom.
    pub reservations: Vec<Reservation>,
    /// For how long.
    pub lasts: Duration,
    /// The room is for these alone, and for those who get reservations later.
    pub alone: bool,
}

impl Handler<Reserve> for Room {
    type Result = Handled<Reserve>;

    fn handle(&mut self, message: Reserve, ctx: &mut Self::Context) -> Self::Result {
        self.handle_settled(message, ctx, Shell::reserve)
    }
}

/// Seats need not be kept any longer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Release(pub Vec<ReservationToken>);

impl Handler<Release> for Room {
    type Result = Handled<Release>;

    fn handle(&mut self, message: Release, ctx: &mut Self::Context) -> Self::Result {
        self.handle_settled(message, ctx, |shell, Release(tokens)| shell.release(&tokens))
    }
}

/// A player wants the seat back.
#[derive(Message)]
#[rtype(result = "Result<Seated, ResumeError>")]
pub struct Resume {
    /// The player's new connection.
    pub entrant: Entrant,
    /// The player that the token identifies.
    pub player: PlayerId,
    /// The token.
    pub token: ResumeToken,
    /// Sequence of the last reliable message that the player has.
    pub received: u64,
}

impl Handler<Resume> for Room {
    type Result = Handled<Resume>;

    fn handle(&mut self, message: Resume, ctx: &mut Self::Context) -> Self::Result {
        self.handle_settled(message, ctx, Shell::resume)
    }
}

/// A connection is lost; its player may come back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Lost {
    /// The connection.
    pub connection: ConnectionId,
    /// How it was lost.
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

/// A connection's player is not coming back.
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

/// A connection has arrived on another thread. The answer is Some if it was closed while moving.
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
    /// The close code.
    pub code: CloseCode,
    /// The reason that the player is told.
    pub reason: String,
}

impl Handler<Kick> for Room {
    type Result = Handled<Kick>;

    fn handle(&mut self, message: Kick, ctx: &mut Self::Context) -> Self::Result {
        self.handle_settled(message, ctx, Shell::kick)
    }
}

impl Handler<Inspect> for Room {
    type Result = Handled<Inspect>;

    fn handle(&mut self, message: Inspect, ctx: &mut Self::Context) -> Self::Result {
        self.handle(message, ctx, |shell, _| shell.inspect())
    }
}

impl Handler<Answered> for Room {
    type Result = Handled<Answered>;

    fn handle(&mut self, message: Answered, ctx: &mut Self::Context) -> Self::Result {
        self.handle(message, ctx, Shell::answered)
    }
}

/// The server is stopping and another will continue the room: it stops after its next tick and hands over
/// everything. `None`: its game has ended it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Carry(pub oneshot::Sender<Option<Carried>>);

impl Handler<Carry> for Room {
    type Result = Handled<Carry>;

    fn handle(&mut self, message: Carry, ctx: &mut Self::Context) -> Self::Result {
        self.handle(message, ctx, Shell::carry)
    }
}

/// An operator ends the room.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseRoom;

impl Handler<CloseRoom> for Room {
    type Result = Handled<CloseRoom>;

    fn handle(&mut self, message: CloseRoom, ctx: &mut Self::Context) -> Self::Result {
        self.handle_settled(message, ctx, |shell, _| shell.close())
    }
}

impl Handler<MoveTo> for Room {
    type Result = ();

    fn handle(&mut self, message: MoveTo, _: &mut Self::Context) {
        let Some(shell) = &self.shell else { return self.address.do_send(message) };
        let MoveTo { home, from } = message;
        if !shell.borrow_mut().is_to_leave_for(&home, from.as_ref()) {
            return;
        }
        let Some(mut shell) = self.depart() else { return };
        shell.leave_for(&home);
        let address = self.address.clone();
        self.address.move_to(home.clone(), || {
            Self::start_in_arbiter(home.arbiter(), move |_| Self {
                address,
                shell: None,
                begin: Some(Box::new(move |room, _| room.begin(shell))),
            })
        });
    }
}

/// The room has ended during a tick, which does not involve its actor.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Ended;

impl Handler<Ended> for Room {
    type Result = ();

    fn handle(&mut self, _: Ended, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
