//! Several ways to the same place, the best one first: Happy Eyeballs (RFC 8305), for addresses and for transports.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Who won a [`race`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Won<T, E> {
    /// Its index.
    pub index: usize,
    /// What it came with.
    pub with: T,
    /// Errors of those that had failed by then, in the order in which they came.
    pub errors: Vec<E>,
}

/// Starts the attempts in order, each after the head start of the one before (`head_start` is given its index, and is
/// asked again whenever something happens: what an attempt learns on its way may change it), or at once when one has failed.
/// The first success is returned, and the others are dropped; if there is none, all errors in the order in which they came.
///
/// # Errors
/// All attempts fail.
pub async fn race<T, E, F>(
    attempts: impl IntoIterator<Item = F>,
    head_start: impl Fn(usize) -> Duration,
) -> Result<Won<T, E>, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = attempts.into_iter().collect::<Vec<_>>().into_iter().enumerate();
    let mut running = Vec::new();
    let mut errors = Vec::new();
    let mut start_next = true;
    let mut last_start = (0, Instant::now());
    let mut timer = pin!(sleep(Duration::ZERO));
    poll_fn(|cx| {
        loop {
            while waiting.len() > 0 {
                let (last, at) = last_start;
                timer.as_mut().reset(at + head_start(last));
                if !std::mem::take(&mut start_next) && timer.as_mut().poll(cx).is_pending() {
                    break;
                }
                if let Some((index, attempt)) = waiting.next() {
                    last_start = (index, Instant::now());
                    running.push((index, Box::pin(attempt)));
                }
            }
            let mut place = 0;
            while let Some((index, attempt)) = running.get_mut(place) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(with)) => {
                        let errors = std::mem::take(&mut errors);
                        return Poll::Ready(Ok(Won { index: *index, with, errors }));
                    }
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
