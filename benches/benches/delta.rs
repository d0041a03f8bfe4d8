//! Encoding and decoding of a delta, by number of entities and age of the baseline.
//!
//! The entities move like players: each in its own direction at its own speed, turning now and then, so that
//! a prediction is often right after one tick and rarely after sixty.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use driftless_proto::{
    delta::{Decoder, Encoder, References},
    schema::Schema,
    snapshot::Snapshot,
    wire::ColumnCoding,
};
use std::hint::black_box;

/// Ticks before the state; the prior precedes the baseline by as many.
const AGES: [u32; 3] = [1, 6, 60];
const ENTITIES: [u32; 3] = [10, 100, 1000];

fn schema() -> Schema {
    Schema::new().kind("player", |k| k.linear("position", &["x", "y"], 100))
}

/// The world at ticks 0 to `ticks` - 1.
fn walk(entities: u32, ticks: u32) -> Vec<Snapshot> {
    // The generator of "Numerical Recipes": the same world on every machine.
    let mut seed = 1_u32;
    let mut random = |below: i32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as i32 % below
    };
    let mut players: Vec<[i32; 4]> =
        (0..entities).map(|_| [random(10_000), random(10_000), random(50) - 25, random(50) - 25]).collect();
    (0..ticks)
        .map(|tick| {
            let mut snapshot = Snapshot::new(&schema());
            snapshot.clear(tick);
            for (id, [x, y, vx, vy]) in (0..).zip(&mut players) {
                if random(4) == 0 {
                    *vx += random(9) - 4;
                    *vy += random(9) - 4;
                }
                *x += *vx;
                *y += *vy;
                snapshot.table_mut(0).push(id, &[*x, *y]);
            }
            snapshot
        })
        .collect()
}

fn delta(criterion: &mut Criterion) {
    let schema = schema();
    for (name, coding) in [("packed", ColumnCoding::Packed), ("rice", ColumnCoding::Rice)] {
        for entities in ENTITIES {
            let frames = walk(entities, 128);
            for age in AGES {
                let references = References {
                    baseline: Some(&frames[127 - age as usize]),
                    prior: Some(&frames[127 - 2 * age as usize]),
                };
                let current = &frames[127];
                let mut encoder = Encoder::default();
                let mut body = Vec::new();
                // Once beforehand, so that it also works if a filter selects only one of the two.
                encoder.encode(&schema, references, current, coding, None, &mut body);
                let case = format!("{entities} entities");
                let mut group = criterion.benchmark_group(format!("encode {name}"));
                group.throughput(Throughput::Elements(entities.into()));
                group.bench_function(BenchmarkId::new(&case, age), |b| {
                    b.iter(|| {
                        body.clear();
                        encoder.encode(&schema, black_box(references), current, coding, None, &mut body);
                    });
                });
                group.finish();

                let mut decoder = Decoder::default();
                let mut decoded = Snapshot::new(&schema);
                assert!(decoder.apply(&schema, references, 127, &body, &mut decoded).is_ok());
                let mut group = criterion.benchmark_group(format!("decode {name}"));
                group.throughput(Throughput::Elements(entities.into()));
                group.bench_function(BenchmarkId::new(&case, age), |b| {
                    b.iter(|| decoder.apply(&schema, references, 127, black_box(&body), &mut decoded));
                });
                group.finish();
                assert_eq!(&decoded, current);
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(30);
    targets = delta
}
criterion_main!(benches);
