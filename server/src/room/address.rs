//! A room's address, which stays the same when the room moves to another thread.

use super::actor::Room;
use crate::ground::{home::Home, report::SeatExpired};
use actix::{
    Actor, Addr, Handler, MailboxError, Message, Recipient,
    dev::{MessageResponse, OneshotSender, ToEnvelope},
};
use parking_lot::RwLock;
use std::{sync::Arc, time::Duration};

/// A room's address. Messages sent to where the room was before are forwarded.
#[derive(Clone, Default)]
pub struct RoomAddr(Arc<RwLock<Option<Whereabouts>>>);

/// Where a room is now.
struct Whereabouts {
    actor: Addr<Room>,
    home: Home,
}

impl RoomAddr {
    /// Sends a message, and waits for the answer.
    ///
    /// # Errors
    /// If the room has ended, or its mailbox is full.
    pub async fn send<M>(&self, message: M) -> Result<M::Result, MailboxError>
    where
        Room: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
        <Room as Actor>::Context: ToEnvelope<Room, M>,
    {
        self.actor().ok_or(MailboxError::Closed)?.send(message).await
    }

    /// Sends a message even if the mailbox is full. A room that has ended is sent nothing.
    pub fn do_send<M>(&self, message: M)
    where
        Room: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
        <Room as Actor>::Context: ToEnvelope<Room, M>,
    {
        if let Some(room) = &*self.0.read() {
            room.actor.do_send(message);
        }
    }

    /// Where to tell the room that a seat has expired. (The actor there forwards messages when the room has
    /// moved.) None: it has ended.
    pub(super) fn recipient(&self) -> Option<Recipient<SeatExpired>> {
        self.actor().map(Addr::recipient)
    }

    /// The thread it lives on.
    pub fn home(&self) -> Option<Home> {
        self.0.read().as_ref().map(|room| room.home.clone())
    }

    /// Whether the room is there.
    pub fn connected(&self) -> bool {
        self.0.read().as_ref().is_some_and(|room| room.actor.connected())
    }

    /// Whether both belong to the same room.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The room was started there. (It may have moved on since.)
    pub(super) fn begin(&self, actor: Addr<Room>, home: Home) {
        self.0.write().get_or_insert(Whereabouts { actor, home });
    }

    /// The room moves there, and `start` starts its actor. Nobody can find the room in between, or see its
    /// end before its beginning.
    pub(super) fn move_to(&self, home: Home, start: impl FnOnce() -> Addr<Room>) {
        let mut at = self.0.write();
        *at = Some(Whereabouts { actor: start(), home });
    }

    /// The room has ended.
    pub(super) fn end(&self) {
        *self.0.write() = None;
    }

    fn actor(&self) -> Option<Addr<Room>> {
        self.0.read().as_ref().map(|room| room.actor.clone())
    }
}

/// What a room's actor, or one that used to be a room's, makes of a message.
pub enum Handled<M: Message> {
    /// It was handled.
    Here(M::Result),
    /// The room has moved.
    SendOn(M, RoomAddr),
    /// It is not known yet whether the room goes on here.
    Later(M, RoomAddr),
    /// The room has ended.
    Gone,
}

/// Time between two attempts to reach a room that is on its way to another node.
const LATER: Duration = Duration::from_millis(5);

impl<M> MessageResponse<Room, M> for Handled<M>
where
    Room: Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn handle(self, _: &mut <Room as Actor>::Context, answer: Option<OneshotSender<M::Result>>) {
        match (self, answer) {
            (Handled::Here(result), Some(answer)) => drop(answer.send(result)),
            // Without an answer, the sender learns that the room has ended.
            (Handled::Here(_), None) | (Handled::Gone, _) => {}
            (Handled::SendOn(message, room), None) => room.do_send(message),
            (Handled::Later(message, room), answer) => {
                actix_rt::spawn(async move {
                    actix_rt::time::sleep(LATER).await;
                    let Some(answer) = answer else { return room.do_send(message) };
                    if let Ok(result) = room.send(message).await {
                        drop(answer.send(result));
                    }
                });
            }
            (Handled::SendOn(message, room), Some(answer)) => {
                let Some(actor) = room.actor() else { return };
                // Sent now, in order; only the answer is awaited.
                let sent = actor.send(message);
                actix_rt::spawn(async move {
                    if let Ok(result) = sent.await {
                        drop(answer.send(result));
                    }
                });
            }
        }
    }
}
