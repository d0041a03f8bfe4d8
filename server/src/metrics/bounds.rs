//! Upper bounds of the histograms, nanoseconds.

const US: u64 = 1_000;
const SECOND: u64 = 1_000_000_000;

/// Bounds of `room_tick_duration`: 10 µs to 100 ms.
pub(super) const TICK_DURATION: &[u64] =
    &times(US, [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000]);

/// Bounds of `room_tick_lateness`: 10 µs to 1 s, fine up to the promised 1 ms.
pub(super) const TICK_LATENESS: &[u64] = &times(
    US,
    [
        10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500, 600, 700, 800, 900, 1_000, 1_250, 1_500, 2_000,
        3_000, 5_000, 7_500, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    ],
);

/// Bounds of `job_duration`: 100 µs to 5 s.
pub(super) const JOB_DURATION: &[u64] = &times(
    US,
    [
        100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
        2_000_000, 5_000_000,
    ],
);

/// Bounds of `queue_wait`: 1 s to 10 min.
pub(super) const QUEUE_WAIT: &[u64] = &times(SECOND, [1, 2, 5, 10, 20, 30, 60, 120, 300, 600]);

/// Bounds of `encode`: 100 ns to 1 ms.
pub(super) const ENCODE: &[u64] =
    &[100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];

const fn times<const N: usize>(unit: u64, mut bounds: [u64; N]) -> [u64; N] {
    let mut n = 0;
    while n < N {
        bounds[n] *= unit;
        n += 1;
    }
    bounds
}
