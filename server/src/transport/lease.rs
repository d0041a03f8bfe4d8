//! How long a connection may speak HTTP. actix-http ends a connection that does not send its first head, or
//! is idle between two requests. It does not end one that sends a body or a later head byte by byte, or that
//! reads its answer so.
//!
//! Each connection therefore has a lease: time for a first request, extended by each answer so that the
//! client can read it and send another request. A WebSocket leaves HTTP, and its lease with it.
//!
//! **Pipelining.** actix-http reads 128 KiB ahead and makes requests of all of it, possibly thousands, before
//! it answers the first: megabytes per socket. So it is given a little at a time, and nothing while a request
//! without a body is unanswered. Once a client has sent more than one request at a time, which no browser and
//! no proxy does, it is given nothing any more: the requests that came are answered, and the connection is
//! closed.

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
/// The end of a request's head.
const HEAD_END: &[u8; 4] = b"\r\n\r\n";

task_local! {
    /// When the connection being served ends. None: when its peer or the answer ends it.
    static UNTIL: Cell<Option<Instant>>;
    /// What the connection being served has sent.
    static SENT: Sent;
}

/// Requests that have arrived and are not answered.
#[derive(Default)]
struct Sent {
    unanswered: Cell<usize>,
    /// How many bytes of a head's end have been matched.
    matched: Cell<usize>,
    /// A request with a body is being answered: what arrives belongs to it.
    body: Cell<bool>,
    pipelined: Cell<bool>,
    /// A chunk was given and has not been processed yet.
    given: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Whether the connection being served speaks HTTP.
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

/// A request is being answered; `body` says whether it has a body.
pub(crate) fn begin(body: bool) {
    let _ = SENT.try_with(|sent| sent.body.set(body));
}

/// A request has been answered. True: the connection has to be closed after the answer.
pub(crate) fn answered() -> bool {
    let answered = |sent: &Sent| {
        // What came after a head with a body was not examined.
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

/// Serves a connection until it ends or its lease runs out. `first` is the time for its first request.
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

/// Gives the connection being served this much time from now, unless its answer is endless.
pub(crate) fn prolong(by: Duration) {
    let _ = UNTIL.try_with(|until| until.set(until.get().map(|_| Instant::now() + by)));
}

/// Whether the current answer has no end.
pub(super) fn is_endless() -> bool {
    UNTIL.try_with(|until| until.get().is_none()).unwrap_or(false)
}

/// The current answer has no end. (If its peer does not read it, the socket's own timeout ends it.)
pub(crate) fn make_endless() {
    let _ = UNTIL.try_with(|until| until.set(None));
}
