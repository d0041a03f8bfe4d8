//! The moments of inputs that a message repeats, as distances: a player who acts once a tick is shown one
//! tick more each time, so most of them are 0.

use crate::{
    limits::MAX_PREVIOUS_INPUTS,
    moment::{Moment, PARTS},
};

/// The distance of two inputs, a tick apart, that is written as 0.
const USUAL: i64 = PARTS as i64;

/// Distances of the moments of a message's inputs, oldest first, of which the last is not repeated. Those
/// before one that is unknown are unknown, too.
pub(super) fn distances(moments: impl DoubleEndedIterator<Item = Option<Moment>>) -> Vec<i32> {
    let mut newest_first = moments.rev().map_while(|moment| moment);
    let Some(mut later) = newest_first.next() else { return Vec::new() };
    let mut distances: Vec<i32> = newest_first
        .map(|moment| {
            let distance = i64::try_from(later.since(moment)).unwrap_or(i64::MAX) - USUAL;
            later = moment;
            i32::try_from(distance).unwrap_or(i32::MAX)
        })
        .collect();
    distances.reverse();
    distances
}

/// The moments of `repeated` inputs before one whose moment is `newest`, oldest first; the distances are
/// those of the last of them.
pub(super) fn of_repeated(
    newest: Option<Moment>,
    distances: &[i32],
    repeated: usize,
) -> [Option<Moment>; MAX_PREVIOUS_INPUTS] {
    let mut moments = [None; MAX_PREVIOUS_INPUTS];
    let mut moment = newest;
    let slots = moments.iter_mut().take(repeated).rev();
    for (slot, &distance) in slots.zip(distances.iter().rev()) {
        // Nobody has been shown more at an earlier input.
        let parts = u64::try_from(i64::from(distance) + USUAL).unwrap_or(0);
        moment = moment.map(|later| later.before(parts)).filter(|moment| moment.parts() > 0);
        *slot = moment;
    }
    moments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_inputs_have_the_views_that_they_had() {
        let moments = [300, 428, 428, 560].map(|parts| Some(Moment::of_parts(parts)));
        let distances = distances(moments.iter().copied());
        assert_eq!(distances, [0, -128, 4]);
        assert_eq!(of_repeated(moments[3], &distances, 3)[..3], moments[..3]);
    }

    #[test]
    fn what_is_unknown_stays_unknown() {
        let known = |parts| Some(Moment::of_parts(parts));
        assert_eq!(distances([known(9), None, known(500), known(600)].into_iter()), [-28]);
        assert_eq!(of_repeated(known(600), &[-28], 3)[..3], [None, None, known(500)]);
        assert_eq!(distances([known(9), None].into_iter()), []);
        assert_eq!(of_repeated(None, &[0, 0], 2)[..2], [None; 2]);
    }

    #[test]
    fn distances_that_nobody_has_are_taken_for_the_nearest() {
        let newest = Some(Moment::at(7));
        let moments = of_repeated(newest, &[i32::MAX, i32::MIN, i32::MIN], 3);
        assert_eq!(moments[..3], [None, newest, newest]);
    }
}
