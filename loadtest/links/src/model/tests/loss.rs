use crate::model::{Loss, LossState};
use fastrand::Rng;
use proptest::prelude::*;

/// Fates of so many packets.
fn draw(loss: &Loss, seed: u64, count: usize) -> Vec<bool> {
    let (mut state, mut dice) = (LossState::default(), Rng::with_seed(seed));
    (0..count).map(|_| state.draw(loss, &mut dice)).collect()
}

fn share(fates: &[bool]) -> f64 {
    fates.iter().filter(|&&lost| lost).count() as f64 / fates.len() as f64
}

#[test]
fn bursts_are_as_long_as_they_should_be() {
    // Gilbert: all is lost while bad, nothing while good; a bad stretch has 1/leave packets.
    let loss = Loss::Bursts { enter: 0.01, leave: 0.2, good: 0.0, bad: 1.0 };
    let fates = draw(&loss, 5, 400_000);
    let runs = fates.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len);
    let (count, sum) = runs.fold((0, 0), |(count, sum), run| (count + 1, sum + run));
    let mean = sum as f64 / count as f64;
    assert!((mean - 5.0).abs() < 0.3, "{mean}");
}

#[test]
fn independent_loss_has_no_bursts() {
    let fates = draw(&Loss::Independent(0.2), 5, 400_000);
    let after_loss: Vec<bool> = fates.windows(2).filter(|pair| pair[0]).map(|pair| pair[1]).collect();
    assert!((share(&after_loss) - 0.2).abs() < 0.01);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_share_lost_is_the_one_asked_for(seed: u64, loss in losses()) {
        let share = share(&draw(&loss, seed, 200_000));
        prop_assert!((share - loss.mean()).abs() < 0.02, "{share} instead of {}", loss.mean());
    }

    #[test]
    fn the_same_seed_has_the_same_fate(seed: u64, loss in losses()) {
        prop_assert_eq!(draw(&loss, seed, 100), draw(&loss, seed, 100));
    }
}

fn losses() -> impl Strategy<Value = Loss> {
    prop_oneof![
        (0.0..=1.0).prop_map(Loss::Independent),
        (0.01..0.5, 0.1..1.0, 0.0..0.1, 0.5..=1.0).prop_map(|(enter, leave, good, bad)| Loss::Bursts {
            enter,
            leave,
            good,
            bad
        }),
    ]
}
