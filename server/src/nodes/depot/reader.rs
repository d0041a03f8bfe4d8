//! Reads what is stored of rooms.

use super::{Unread, packing::unpack};
use crate::{
    nodes::{
        Unavailable,
        ask::{Epoch, Failure, Incarnation},
        script::Call,
        way::Way,
    },
    store::StoredRoom,
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use redis::Script;
use std::{sync::Arc, time::Duration};
use tokio::{
    select,
    sync::{mpsc, oneshot},
    task::{JoinError, spawn_blocking},
};

/// When to ask again, if Redis does not answer.
const AGAIN: Duration = Duration::from_millis(100);
/// A checkpoint may be so much older than Redis believes: it was on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What is stored of a room is wanted.
pub(super) struct Reading {
    pub room: Arc<str>,
    pub node: Incarnation,
    pub epoch: Epoch,
    /// Longest time for the answer.
    pub limit: Duration,
    pub tell: oneshot::Sender<Result<Option<StoredRoom>, Unread>>,
}

/// Reads what is wanted, as long as somebody may want something.
pub(super) async fn read(mut wanted: mpsc::UnboundedReceiver<Reading>, way: Way, call: Call) {
    let (script, mut under_way) = (Script::new(include_str!("read.lua")), FuturesUnordered::new());
    loop {
        select! {
            Some(()) = under_way.next() => {}
            reading = wanted.recv() => {
                let Some(Reading { room, node, epoch, limit, tell }) = reading else { return };
                let (script, way, call) = (&script, &way, &call);
                under_way.push(async move {
                    let mut read = script.prepare_invoke();
                    read.key(call.key()).arg(&call.prefix);
                    read.arg(&*room).arg(&*node.0).arg(epoch);
                    let _ = tell.send(stored(way.call(limit, &read).await).await);
                });
            }
        }
    }
}

async fn stored(asked: Result<Vec<Vec<u8>>, Failure>) -> Result<Option<StoredRoom>, Unread> {
    let unavailable = |why: String| Unavailable { why, wait: AGAIN };
    let values = asked.map_err(|failure| match failure {
        Failure::Slow(_) => Unread::Slow(unavailable(failure.to_string())),
        failure => Unread::Unavailable(unavailable(failure.to_string())),
    })?;
    match &values[..] {
        [word] if word == b"nothing" => Ok(None),
        [word, passed, _, _] if word == b"stored" => {
            let passed = String::from_utf8_lossy(passed).parse().unwrap_or(0);
            let passed = Duration::from_millis(passed) + ON_ITS_WAY;
            let gathered = move || {
                let (row, journal) = (&values[2], &values[3]);
                Ok(Some(StoredRoom::gathered(unpack(row)?, journal, passed)))
            };
            let stopped = |error: JoinError| Unread::Unavailable(unavailable(error.to_string()));
            spawn_blocking(gathered).await.unwrap_or_else(|error| Err(stopped(error)))
        }
        _ => Err(Unread::Unavailable(unavailable("another node has the room by now".to_owned()))),
    }
}
