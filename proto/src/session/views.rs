//! The views of inputs that a message repeats, as distances: a player who acts once a tick is shown one tick
//! more each time, so most of them are 0.

use crate::{
    limits::MAX_PREVIOUS_INPUTS,
    moment::{Moment, PARTS},
};

/// The distance of two inputs, a tick apart, that is written as 0.
const USUAL: i64 = PARTS as i64;

/// Distances of the views of a message's inputs, oldest first, of which the last is not repeated. Those
/// before one that is unknown are unknown, too.
pub(super) fn distances(views: impl DoubleEndedIterator<Item = Option<Moment>>) -> Vec<i32> {
    let mut newest_first = views.rev().map_while(|view| view);
    let Some(mut later) = newest_first.next() else { return Vec::new() };
    let mut distances: Vec<i32> = newest_first
        .map(|view| {
            let distance = i64::try_from(later.since(view)).unwrap_or(i64::MAX) - USUAL;
            later = view;
            i32::try_from(distance).unwrap_or(i32::MAX)
        })
        .collect();
    distances.reverse();
    distances
}

/// The views of `repeated` inputs before one with the view `newest`, oldest first; the distances are those of
/// the last of them.
pub(super) fn of_repeated(
    newest: Option<Moment>,
    distances: &[i32],
    repeated: usize,
) -> [Option<Moment>; MAX_PREVIOUS_INPUTS] {
    let mut views = [None; MAX_PREVIOUS_INPUTS];
    let mut view = newest;
    let slots = views.iter_mut().take(repeated).rev();
    for (slot, &distance) in slots.zip(distances.iter().rev()) {
        // Nobody has been shown more at an earlier input.
        let parts = u64::try_from(i64::from(distance) + USUAL).unwrap_or(0);
        view = view.map(|later| later.before(parts)).filter(|view| view.parts() > 0);
        *slot = view;
    }
    views
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_inputs_have_the_views_that_they_had() {
        let views = [300, 428, 428, 560].map(|parts| Some(Moment::of_parts(parts)));
        let distances = distances(views.iter().copied());
        assert_eq!(distances, [0, -128, 4]);
        assert_eq!(of_repeated(views[3], &distances, 3)[..3], views[..3]);
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
        let views = of_repeated(newest, &[i32::MAX, i32::MIN, i32::MIN], 3);
        assert_eq!(views[..3], [None, newest, newest]);
    }
}
