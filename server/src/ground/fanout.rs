//! How a room's ticks reach the threads of its connections.

use super::{id::RoomId, published::Published};
use actix::{Message, Recipient};
use std::{cell::RefCell, rc::Rc, sync::Arc};

/// A room's newest state, sent once to each thread other than the room's own.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish {
    /// The room.
    pub room: RoomId,
    /// The state.
    pub state: Arc<Published>,
}

/// How rooms reach the connections of a thread.
#[derive(Clone)]
pub struct FanoutLink {
    /// Index of the thread.
    pub index: usize,
    /// Its fan-out.
    pub fanout: Recipient<Publish>,
}

/// The connections of a thread, for the rooms that live on it.
pub trait Audience {
    /// Takes a room's newest state.
    fn publish(&self, room: RoomId, state: &Arc<Published>);
}

thread_local! {
    static HERE: RefCell<Option<(usize, Rc<dyn Audience>)>> = const { RefCell::new(None) };
}

impl FanoutLink {
    /// The calling thread has these connections, and this link leads to them.
    pub fn lead_to(&self, audience: Rc<dyn Audience>) {
        HERE.with(|here| *here.borrow_mut() = Some((self.index, audience)));
    }

    /// Hands a state over: directly on its own thread, else by a message. False: the thread is so far behind
    /// that this state is dropped in favour of a newer one.
    pub fn publish(&self, room: RoomId, state: &Arc<Published>) -> bool {
        HERE.with(|here| match &*here.borrow() {
            Some((index, audience)) if *index == self.index => {
                audience.publish(room, state);
                true
            }
            _ => self.fanout.try_send(Publish { room, state: state.clone() }).is_ok(),
        })
    }
}
