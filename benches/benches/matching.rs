//! How long a round takes in which matches are made of all who wait, by the number of tickets.
//!
//! `cargo bench -p driftless-benches --bench matching`

#![allow(missing_docs, reason = "a benchmark")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use driftless_server::{Groups, MatchFunction, Round, Ticket, TicketId};
use std::hint::black_box;

/// Milliseconds since 1970.
const NOW: u64 = 1_800_000_000_000;

/// A number from 0 to 1 that follows from another, evenly spread: by the golden ratio.
fn spread(n: usize, which: f64) -> f64 {
    (n as f64 * 0.618_033_988_749_894_9 * which).fract()
}

/// Parties of one to three who have come within the last minute. `wants`: with regions and filters.
fn tickets(count: usize, wants: bool) -> Vec<Ticket> {
    let ticket = |n: usize| {
        let party = [1, 1, 1, 2, 3][n % 5];
        let mut ticket = Ticket::new(TicketId::numbered(n as u128), "arena", party);
        ticket.skill = 1_000.0 + 1_000.0 * spread(n, 1.0);
        ticket.since_ms = NOW - 60_000 + (n * 60_000 / count) as u64;
        if wants {
            ticket.latencies = ["eu", "us", "asia"]
                .iter()
                .enumerate()
                .map(|(at, region)| ((*region).to_owned(), (300.0 * spread(n, at as f64 + 2.0)) as u32))
                .collect();
            let mode = ["ctf", "dm", "race"][(3.0 * spread(n, 7.0)) as usize];
            ticket.attributes.insert("mode".to_owned(), mode.to_owned());
            ticket.filter = format!("mode = \"{mode}\"");
        }
        ticket
    };
    (0..count).map(ticket).collect()
}

fn rounds(c: &mut Criterion) {
    let mut group = c.benchmark_group("round");
    group.sample_size(10);
    for (name, groups) in
        [("2x1", Groups::new(2, 1)), ("2x5", Groups::new(2, 5)), ("10x3", Groups::new(10, 3))]
    {
        for (count, wants) in [(1_000, false), (10_000, false), (10_000, true)] {
            let tickets = tickets(count, wants);
            let id = format!("{name}{}", if wants { ", regions and filters" } else { "" });
            let made = groups.propose(&Round::new(NOW, 1, &tickets, &[])).len();
            assert!(made > 0);
            group.bench_with_input(BenchmarkId::new(id, count), &tickets, |b, tickets| {
                b.iter(|| black_box(groups.propose(&Round::new(NOW, 1, tickets, &[]))));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, rounds);
criterion_main!(benches);
