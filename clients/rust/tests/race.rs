//! Several ways at once, in order of preference. In virtual time.
#![allow(clippy::unwrap_used)]

use driftless_client::transport::race;
use std::{
    cell::{Cell, RefCell},
    time::Duration,
};
use tokio::time::{Instant, sleep};

const HEAD_START: Duration = Duration::from_millis(250);

/// An attempt: how long it takes, and whether it works.
type Attempt = (u64, bool);

/// Races these. Returns the winner (or all errors), the milliseconds that it took, and when each attempt
/// began.
async fn run(attempts: &[Attempt]) -> (Result<usize, Vec<usize>>, u128, Vec<u128>) {
    let start = Instant::now();
    let begun = RefCell::new(Vec::new());
    let futures = attempts.iter().enumerate().map(|(index, &(ms, works))| {
        let begun = &begun;
        async move {
            begun.borrow_mut().push(start.elapsed().as_millis());
            sleep(Duration::from_millis(ms)).await;
            if works { Ok(index) } else { Err(index) }
        }
    });
    let won = race(futures, |_| HEAD_START).await.map(|won| {
        assert_eq!(won.index, won.with);
        won.index
    });
    (won, start.elapsed().as_millis(), begun.into_inner())
}

#[tokio::test(start_paused = true)]
async fn the_first_wins_alone_within_its_head_start() {
    assert_eq!(run(&[(249, true), (1, true)]).await, (Ok(0), 249, vec![0]));
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_overtaken_after_its_head_start() {
    assert_eq!(run(&[(10_000, true), (40, true)]).await, (Ok(1), 290, vec![0, 250]));
    assert_eq!(run(&[(10_000, true), (10_000, true), (40, true)]).await, (Ok(2), 540, vec![0, 250, 500]));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_only_slow_may_still_win() {
    assert_eq!(run(&[(300, true), (60, true)]).await, (Ok(0), 300, vec![0, 250]));
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_makes_room_at_once() {
    assert_eq!(run(&[(5, false), (10, false), (20, true)]).await, (Ok(2), 35, vec![0, 5, 15]));
    // Late, with another one in progress.
    assert_eq!(run(&[(260, false), (1000, true), (5, true)]).await, (Ok(2), 265, vec![0, 250, 260]));
}

#[tokio::test(start_paused = true)]
async fn all_that_fail_are_told() {
    assert_eq!(run(&[(300, false), (20, false)]).await, (Err(vec![1, 0]), 300, vec![0, 250]));
    assert_eq!(run(&[]).await, (Err(vec![]), 0, vec![]));
}

#[tokio::test(start_paused = true)]
async fn head_start_grows_with_what_the_first_learns_on_its_way() {
    let (start, learned) = (Instant::now(), Cell::new(HEAD_START));
    let attempt = |first: bool| {
        let learned = &learned;
        async move {
            sleep(Duration::from_millis(200)).await; // both could be there after 600 ms
            if first {
                learned.set(Duration::from_millis(700));
            }
            sleep(Duration::from_millis(400)).await;
            Ok::<_, ()>(start.elapsed().as_millis())
        }
    };
    let won = race([attempt(true), attempt(false)], |_| learned.get()).await.unwrap();
    assert_eq!((won.index, won.with), (0, 600));
}

#[tokio::test(start_paused = true)]
async fn errors_of_those_before_the_winner_are_told() {
    let attempt = |error: bool| async move { if error { Err("no") } else { Ok(()) } };
    let won = race([attempt(true), attempt(false)], |_| HEAD_START).await.unwrap();
    assert_eq!((won.index, won.errors), (1, vec!["no"]));
}
