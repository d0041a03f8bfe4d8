use super::{datagrams, ms, path, phases};
use crate::model::{Conditions, Loss, MAX_SEGMENT, Path, SEGMENT_HEADERS, Segments};
use proptest::prelude::*;
use std::time::Duration;

/// Offers writes at their times and notes when their bytes come out: (time, bytes). A write waits for room,
/// as a sender does.
fn run(path: Path, seed: u64, writes: &[(Duration, usize)]) -> (Vec<(Duration, usize)>, Segments) {
    let mut stream = Segments::new(path, seed);
    let mut out = Vec::new();
    let mut now = Duration::ZERO;
    let mut writes = writes.iter().copied().peekable();
    let mut unsent = 0;
    for _ in 0..1_000_000 {
        let arrived = stream.poll(now);
        if arrived > 0 {
            out.push((now, arrived));
        }
        while let Some((_, bytes)) = writes.next_if(|&(at, _)| at <= now) {
            unsent += bytes;
        }
        let take = unsent.min(stream.room(now));
        unsent -= take;
        stream.offer(now, take);
        let write = writes.peek().map(|&(at, _)| at);
        let room = (unsent > 0).then(|| now + ms(1));
        let next = stream.poll_timeout().into_iter().chain(write).chain(room).min();
        match next {
            Some(next) => now = now.max(next),
            None => return (out, stream),
        }
    }
    panic!("no end: {stream:?}");
}

/// A link of 60 ms that loses what the given seed loses: the times at which the writes (20 a second) come
/// out.
fn delays(loss: f64, seed: u64) -> Vec<Duration> {
    let both = Conditions { latency: ms(30), loss: Loss::Independent(loss), ..Conditions::default() };
    let writes: Vec<_> = (0..400).map(|n| (ms(50 * n), 100)).collect();
    let (out, _) = run(path(both), seed, &writes);
    out.into_iter()
        .flat_map(|(at, bytes)| std::iter::repeat_n(at, bytes / 100))
        .enumerate()
        .map(|(n, at)| at - ms(50 * n as u64))
        .collect()
}

#[test]
fn without_loss_bytes_take_the_latency() {
    assert!(delays(0.0, 1).iter().all(|&delay| delay == ms(30)));
}

#[test]
fn a_write_is_cut_into_segments_that_share_the_rate() {
    let both = Conditions { rate: Some(15_000), queue: 32_000, ..Conditions::default() };
    let (out, stream) = run(path(both), 1, &[(ms(0), 2 * MAX_SEGMENT)]);
    assert_eq!(stream.counts(), (2, 0));
    let first = Duration::from_secs_f64((MAX_SEGMENT + SEGMENT_HEADERS) as f64 / 15_000.0);
    assert_eq!(out, [(first, MAX_SEGMENT), (first * 2, MAX_SEGMENT)]);
}

// RFC 8985, section 6.2: lost at t, the next segment leaves 50 ms later, its acknowledgement is back after 60
// ms, a quarter of that is waited for reordering, and the retransmission takes 30 ms. What came in between
// waits for it.
#[test]
fn what_is_behind_a_lost_segment_waits_for_its_retransmission() {
    let found = (0..200).map(|seed| delays(0.02, seed)).find(|delays| {
        // The first loss of a run that has one, and not in the tail.
        delays.iter().take(300).any(|&delay| delay > ms(30))
    });
    let delays = found.unwrap();
    let lost = delays.iter().position(|&delay| delay > ms(30)).unwrap();
    assert_eq!(delays[lost..lost + 4], [ms(50 + 60 + 15 + 30), ms(105), ms(55), ms(30)]);
}

#[test]
fn a_single_lost_segment_waits_for_the_timer() {
    let dark = Conditions { latency: ms(30), black_out: true, ..Conditions::default() };
    let clear = Conditions { latency: ms(30), ..Conditions::default() };
    let path = phases(vec![(Some(ms(10)), dark), (None, clear)]);
    let (out, _) = run(path, 1, &[(ms(0), 100)]);
    // RFC 6298: a round trip of 60 ms, and 200 ms for its variation; then 30 ms to get there.
    assert_eq!(out, [(ms(60 + 200 + 30), 100)]);
}

#[test]
fn the_last_of_several_is_probed_for() {
    let clear = Conditions { latency: ms(30), ..Conditions::default() };
    let dark = Conditions { black_out: true, ..clear.clone() };
    let path = phases(vec![(Some(ms(40)), dark), (None, clear)]);
    let (out, _) = run(path, 1, &[(ms(10), 100), (ms(25), 100)]);
    // RFC 8985, section 7.3: the last is sent again two round trips after it was sent, before the first one's
    // timer. Its acknowledgement, and a quarter of a round trip, bring the first.
    assert_eq!(out, [(ms(25 + 120 + 60 + 15 + 30), 200)]);
}

#[test]
fn after_a_black_out_the_timer_has_backed_off_and_all_comes_in_order() {
    let clear = Conditions { latency: ms(30), ..Conditions::default() };
    let dark = Conditions { black_out: true, ..clear.clone() };
    let path = phases(vec![(Some(ms(1000)), clear.clone()), (Some(ms(5000)), dark), (None, clear)]);
    let writes: Vec<_> = (0..400).map(|n| (ms(50 * n), 100)).collect();
    let (out, stream) = run(path, 1, &writes);
    let first = out.iter().map(|&(at, _)| at).find(|&at| at > ms(1100)).unwrap();
    // The last acknowledgement before it comes at 1,010 ms. Sent again 260, 520, 1,040, 2,080 and 4,160 ms
    // after each other: the last of these is the first to pass.
    assert_eq!(first, ms(1010 + 260 + 520 + 1040 + 2080 + 4160 + 30));
    assert_eq!(out.iter().map(|(_, bytes)| bytes).sum::<usize>(), 400 * 100);
    // What was written between the first timeout and the acknowledgement of that segment left at once, cut
    // anew: as few segments.
    let held = (1300..9130).step_by(50).count();
    let (sent, again) = stream.counts();
    assert_eq!(sent - again, (400 - held + (held * 100).div_ceil(MAX_SEGMENT)) as u64);
}

#[test]
fn a_full_queue_holds_the_sender_back() {
    let both = Conditions { rate: Some(12_000), queue: 32_000, ..Conditions::default() };
    let mut stream = Segments::new(path(both), 1);
    let room = stream.room(ms(0));
    assert_eq!(room, 21 * MAX_SEGMENT);
    stream.offer(ms(0), room);
    assert_eq!(stream.room(ms(0)), 0);
    // A second later 12 kB have left.
    stream.poll(ms(1000));
    let room = stream.room(ms(1000));
    assert_eq!(room, 8 * MAX_SEGMENT);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_byte_arrives_once_and_never_too_early(
        seed: u64,
        both in datagrams::conditions(),
        sizes in proptest::collection::vec(1..4000usize, 1..60),
    ) {
        let writes: Vec<_> = sizes.iter().enumerate().map(|(n, &size)| (ms(n as u64 * 20), size)).collect();
        let (out, stream) = run(path(both.clone()), seed, &writes);
        prop_assert!(stream.is_empty());
        prop_assert_eq!(out.iter().map(|(_, bytes)| bytes).sum::<usize>(), sizes.iter().sum::<usize>());
        prop_assert!(out.iter().all(|&(at, _)| at >= both.latency.saturating_sub(both.jitter)));
        if let (Some(rate), Some(&(end, _))) = (both.rate, out.last()) {
            let bytes = sizes.iter().sum::<usize>() as f64;
            prop_assert!(end.as_secs_f64() + 1e-6 >= bytes / rate as f64, "faster than the rate");
        }
    }

    #[test]
    fn the_same_seed_has_the_same_fate(seed: u64, both in datagrams::conditions()) {
        let writes: Vec<_> = (0..100).map(|n| (ms(n * 20), 300)).collect();
        prop_assert_eq!(run(path(both.clone()), seed, &writes).0, run(path(both), seed, &writes).0);
    }
}
