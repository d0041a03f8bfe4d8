//! Several ways to the same place, the best one first: Happy Eyeballs (RFC 8305), for addresses and for transports.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Starts the attempts in order, each `head_start` after the one before, or at once when one has failed. The first
/// success is returned with its index, and the others are dropped; if there is none, all errors in the order in which
/// they came.
pub async fn race<T, E, F>(
    attempts: impl IntoIterator<Item = F>,
    head_start: Duration,
) -> Result<(usize, T), Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = attempts.into_iter().collect::<Vec<_>>().into_iter().enumerate();
    let mut running = Vec::new();
    let mut errors = Vec::new();
    let mut start_next = true;
    let mut timer = pin!(sleep(Duration::ZERO));
    poll_fn(|cx| {
        loop {
            while waiting.len() > 0 && (std::mem::take(&mut start_next) || timer.as_mut().poll(cx).is_ready())
            {
                running.extend(waiting.next().map(|(index, attempt)| (index, Box::pin(attempt))));
                timer.as_mut().reset(Instant::now() + head_start);
            }
            let mut place = 0;
            while let Some((index, attempt)) = running.get_mut(place) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(won)) => return Poll::Ready(Ok((*index, won))),
                    Poll::Ready(Err(error)) => {
                        errors.push(error);
                        start_next = true;
                        drop(running.swap_remove(place));
                    }
                    Poll::Pending => place += 1,
                }
            }
            match (running.len(), waiting.len()) {
                (0, 0) => return Poll::Ready(Err(std::mem::take(&mut errors))),
                (_, 0) => return Poll::Pending,
                _ if !start_next => return Poll::Pending,
                _ => {}
            }
        }
    })
    .await
}
