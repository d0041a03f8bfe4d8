//! How long a connection may speak HTTP. actix-http ends one that does not send its first head, or is idle between two requests; not
//! one that sends its body or a later head byte by byte, nor one that takes its answer so.
//!
//! Each connection has a lease: time for a first request, prolonged by each answer for taking it and for sending another request. A
//! WebSocket leaves HTTP, and its lease with it.
//!
//! **Pipelining.** actix-http reads 128 KiB ahead and makes requests of all of it, thousands, before it answers the first: megabytes for
//! a socket. So it is given a little at a time, nothing while a request without a body is unanswered, and nothing at all any more once more
//! than one was sent at a time, which no browser and no proxy does: then what came is answered, and the connection closed.

use actix_http::error::DispatchError;
use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    task_local,
    time::{Instant, sleep_until},
};

/// Bytes that HTTP is given at a time.
pub(super) const CHUNK: usize = 2048;
/// What ends the head of a request.
const HEAD_END: &[u8; 4] = b"\r\n\r\n";

task_local! {
    /// When the connection that is being served ends. None: when its peer or the answer does.
    static UNTIL: Cell<Option<Instant>>;
    /// What the connection that is being served has sent.
    static SENT: Sent;
}

/// Requests that have come and are not answered.
#[derive(Default)]
struct Sent {
    unanswered: Cell<usize>,
    /// How much of a head's end the last byte has completed.
    matched: Cell<usize>,
    /// A request with a body is being answered: what comes belongs to it.
    body: Cell<bool>,
    pipelined: Cell<bool>,
    /// A chunk was given, and nothing has been made of it yet.
    given: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Whether what is being served is HTTP.
pub(super) fn is_held() -> bool {
    SENT.try_with(|_| ()).is_ok()
}

/// Whether HTTP may be given more now. If not, the task is woken when it may.
pub(super) fn may_read(cx: &Context<'_>) -> bool {
    let may = |sent: &Sent| {
        if sent.given.take() {
            cx.waker().wake_by_ref();
            return false;
        }
        let waits = sent.pipelined.get() || (sent.unanswered.get() > 0 && !sent.body.get());
        if waits {
            *sent.waker.borrow_mut() = Some(cx.waker().clone());
        }
        !waits
    };
    SENT.try_with(may).unwrap_or(true)
}

/// HTTP is given these bytes.
pub(super) fn gave(bytes: &[u8]) {
    let _ = SENT.try_with(|sent| {
        sent.given.set(!bytes.is_empty());
        if sent.body.get() {
            return;
        }
        for byte in bytes {
            let matched = sent.matched.get();
            sent.matched.set(match *byte == HEAD_END[matched] {
                true => matched + 1,
                false => usize::from(*byte == HEAD_END[0]),
            });
            if sent.matched.get() == HEAD_END.len() {
                sent.matched.set(0);
                sent.unanswered.set(sent.unanswered.get() + 1);
            }
        }
        sent.pipelined.set(sent.pipelined.get() || sent.unanswered.get() > 1);
    });
}

/// A request is being answered, with a body or without.
pub(crate) fn begin(body: bool) {
    let _ = SENT.try_with(|sent| sent.body.set(body));
}

/// A request is answered. Whether the connection is to be closed with the answer.
pub(crate) fn answered() -> bool {
    let answered = |sent: &Sent| {
        // What came after a head that has a body was not looked at.
        let closes = sent.pipelined.get() || sent.body.get();
        sent.unanswered.set(sent.unanswered.get().saturating_sub(1));
        if let Some(waker) = sent.waker.take()
            && !closes
        {
            waker.wake();
        }
        closes
    };
    SENT.try_with(answered).unwrap_or(false)
}

/// Serves a connection until its end, or that of its lease. `first`: what it has for its first request.
pub(super) async fn hold<T>(
    first: Duration,
    connection: impl Future<Output = Result<T, DispatchError>>,
) -> Result<T, DispatchError> {
    let first = Instant::now() + first;
    let until = UNTIL.scope(Cell::new(Some(first)), async {
        let (mut connection, mut timer) = (pin!(connection), pin!(sleep_until(first)));
        poll_fn(|cx| {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            let Some(until) = UNTIL.with(Cell::get) else { return Poll::Pending };
            if timer.deadline() != until {
                timer.as_mut().reset(until);
            }
            timer.as_mut().poll(cx).map(|()| Err(DispatchError::DisconnectTimeout))
        })
        .await
    });
    SENT.scope(Sent::default(), until).await
}

/// The connection that is being served has so long from now, unless its answer has no end.
pub(crate) fn prolong(by: Duration) {
    let _ = UNTIL.try_with(|until| until.set(until.get().map(|_| Instant::now() + by)));
}

/// The answer that is being made has no end. (One that its peer does not take ends by the socket's own timeout.)
pub(crate) fn make_endless() {
    let _ = UNTIL.try_with(|until| until.set(None));
}
