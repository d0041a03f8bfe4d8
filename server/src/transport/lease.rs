//! How long a connection may speak HTTP. actix-http ends one that does not send its first head, or is idle between two requests; not
//! one that sends its body or a later head byte by byte, nor one that takes its answer so.
//!
//! Each connection has a lease: time for a first request, prolonged by each answer for taking it and for sending another request. A
//! WebSocket leaves HTTP, and its lease with it.

use actix_http::error::DispatchError;
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};
use tokio::{
    task_local,
    time::{Instant, sleep_until},
};

task_local! {
    /// When the connection that is being served ends. None: when its peer or the answer does.
    static UNTIL: Cell<Option<Instant>>;
}

/// Serves a connection until its end, or that of its lease. `first`: what it has for its first request.
pub(super) async fn hold<T>(
    first: Duration,
    connection: impl Future<Output = Result<T, DispatchError>>,
) -> Result<T, DispatchError> {
    let first = Instant::now() + first;
    UNTIL
        .scope(Cell::new(Some(first)), async {
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
        })
        .await
}

/// The connection that is being served has so long from now, unless its answer has no end.
pub(crate) fn prolong(by: Duration) {
    let _ = UNTIL.try_with(|until| until.set(until.get().map(|_| Instant::now() + by)));
}

/// The answer that is being made has no end. (One that its peer does not take ends by the socket's own timeout.)
pub(crate) fn make_endless() {
    let _ = UNTIL.try_with(|until| until.set(None));
}
