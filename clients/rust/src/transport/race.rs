//! Races several ways to the same server, in order of preference: Happy Eyeballs (RFC 8305), for addresses
//! and for transports.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The winner of a [`race`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Won<T, E> {
    /// Its index.
    pub index: usize,
    /// The result of its attempt.
    pub with: T,
    /// Errors of the attempts that had failed by then, in the order in which they failed.
    pub errors: Vec<E>,
}

/// Starts the attempts in order, each after the head start of the previous one, or at once when one has
/// failed. `head_start` is called with an attempt's index, and again whenever something happens, because an
/// attempt may learn something that changes it. Returns the first success and drops the other attempts; if
/// there is none, returns all errors in the order in which they came.
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
