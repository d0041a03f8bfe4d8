//! Corrections of a prediction, in virtual time.

use driftless_client::Smoothing;
use std::time::{Duration, Instant};

#[test]
fn correction_is_hidden_at_first_and_halves() {
    let now = Instant::now();
    let half_life = Duration::from_millis(50);
    let mut smoothing = Smoothing::new(half_life, 100.0);
    assert_eq!(smoothing.offset(now), [0.0, 0.0]);
    smoothing.correct(now, [10.0, 0.0], [2.0, 4.0]);
    assert_eq!(smoothing.offset(now), [8.0, -4.0]); // shown as before
    assert_eq!(smoothing.offset(now + half_life), [4.0, -2.0]);
    assert!(smoothing.offset(now + half_life * 20)[0].abs() < 0.001);
}

#[test]
fn corrections_add_up_without_a_step() {
    let now = Instant::now();
    let mut smoothing = Smoothing::new(Duration::from_millis(50), 100.0);
    smoothing.correct(now, [10.0], [2.0]);
    let later = now + Duration::from_millis(20);
    let shown = 2.0 + smoothing.offset(later)[0];
    smoothing.correct(later, [2.0], [5.0]);
    assert!((5.0 + smoothing.offset(later)[0] - shown).abs() < 1e-4);
}

#[test]
fn far_correction_is_not_hidden() {
    let now = Instant::now();
    let mut smoothing = Smoothing::new(Duration::from_millis(50), 100.0);
    smoothing.correct(now, [1000.0], [0.0]);
    assert_eq!(smoothing.offset(now), [0.0]);
    smoothing.correct(now, [f32::NAN], [0.0]);
    assert_eq!(smoothing.offset(now), [0.0]);
}
