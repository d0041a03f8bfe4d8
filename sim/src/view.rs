//! What a player sees: the zones that a game puts in view.
//!
//! A game cuts its state into zones with [`Snapshot::zone`], and says in [`Simulation::view`] which of them a
//! player sees. Zone 0 is seen by everybody, always. Not a byte of any other zone reaches a client whose
//! player does not see it.

use crate::{InView, PlayerId, Simulation, Snapshot, ZoneId};
use driftless_proto::{limits::MAX_ZONES_IN_VIEW, merge::Merge};

/// Priority of a zone for which a game gives none.
pub const DEFAULT_PRIORITY: u8 = 128;

/// The zones that one player sees, to fill.
///
/// ```
/// use driftless_sim::{InView, View};
///
/// let (had, mut seen) = ([InView { zone: 9, priority: 128 }], Vec::new());
/// let mut view = View::new(&had, &mut seen);
/// view.see(4); // the hand of player 4
/// view.see_with(7, 32); // the stands, which can wait four times as long
/// if view.had(9) {
///     view.see_with(9, 32); // a place that it has just left
/// }
/// let expected = [(4, 128), (7, 32), (9, 32)];
/// assert_eq!(seen, expected.map(|(zone, priority)| InView { zone, priority }));
/// ```
#[derive(Debug)]
pub struct View<'a> {
    had: &'a [InView],
    /// Ascending by zone.
    seen: &'a mut Vec<InView>,
}

impl<'a> View<'a> {
    /// For a room, or a game's test. `had` is what the player saw the tick before, ascending by zone; `seen`
    /// is cleared, and gets what it sees now, likewise.
    pub fn new(had: &'a [InView], seen: &'a mut Vec<InView>) -> Self {
        seen.clear();
        Self { had, seen }
    }

    /// The player sees this zone, with [`DEFAULT_PRIORITY`].
    pub fn see(&mut self, zone: ZoneId) {
        self.see_with(zone, DEFAULT_PRIORITY);
    }

    /// The player sees this zone. When not everything can be sent to its client, one of twice the priority is
    /// sent twice as often; 0 counts as 1.
    ///
    /// Said more than once of a zone, the highest priority counts. Zone 0 is ignored, since all see it, and
    /// so are zones beyond the first [`MAX_ZONES_IN_VIEW`].
    pub fn see_with(&mut self, zone: ZoneId, priority: u8) {
        if zone == 0 {
            return;
        }
        // Most games go through their zones in ascending order.
        let at = match self.seen.last() {
            Some(last) if zone <= last.zone => self.seen.binary_search_by_key(&zone, |seen| seen.zone),
            _ => Err(self.seen.len()),
        };
        match at {
            Ok(at) => self.seen[at].priority = self.seen[at].priority.max(priority),
            Err(at) if self.seen.len() < MAX_ZONES_IN_VIEW => self.seen.insert(at, InView { zone, priority }),
            Err(_) => {}
        }
    }

    /// Whether the player saw this zone the tick before: what it already sees may stay in view for a little
    /// farther than what it does not, so that zones do not come and go at every step over a border.
    pub fn had(&self, zone: ZoneId) -> bool {
        self.had.binary_search_by_key(&zone, |seen| seen.zone).is_ok()
    }
}

/// What a player sees of a game now, for tests: zone 0 and the zones of its view, as its client shows them
/// when nothing is late. A view with hysteresis is one of somebody who has just come.
///
/// ```
/// use driftless_sim::{Output, Setup, Simulation as _, Step, games::hands::{Hands, Move}, seen_by};
///
/// let mut output = Output::new();
/// let mut game = Hands::new(&Setup::new(7, 20))?;
/// game.command(4, Move { play: None }, &mut Step::new(1, &mut output))?; // player 4 draws a card
/// assert_eq!(seen_by(&game, 4).tables()[0].len(), 1);
/// assert!(seen_by(&game, 5).tables()[0].is_empty());
/// # Ok::<_, String>(())
/// ```
pub fn seen_by<G: Simulation>(game: &G, player: PlayerId) -> Snapshot {
    let schema = G::schema();
    let (mut state, mut out) = (Snapshot::new(&schema), Snapshot::new(&schema));
    game.snapshot(&mut state);
    let mut seen = Vec::new();
    game.view(player, &mut View::new(&[], &mut seen));
    let zones = seen.iter().filter_map(|seen| state.content(seen.zone));
    let contents: Vec<_> = std::iter::once(&state).chain(zones).collect();
    Merge::new(&schema).merge(&contents, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_seen_twice_and_in_any_order_come_once_and_in_order_with_the_highest_priority() {
        let mut seen = vec![InView { zone: 1, priority: 1 }];
        let mut view = View::new(&[], &mut seen);
        for (zone, priority) in [(5, 10), (2, 20), (0, 255), (5, 30), (9, 0), (2, 1), (u32::MAX, 7)] {
            view.see_with(zone, priority);
        }
        let expected = [(2, 20), (5, 30), (9, 0), (u32::MAX, 7)];
        assert_eq!(seen, expected.map(|(zone, priority)| InView { zone, priority }));
    }

    // Promise 4
    #[test]
    fn zones_beyond_the_most_are_ignored() {
        let mut seen = Vec::new();
        let mut view = View::new(&[], &mut seen);
        (1..=2 * MAX_ZONES_IN_VIEW as u32).rev().for_each(|zone| view.see(zone));
        view.see_with(2 * MAX_ZONES_IN_VIEW as u32, 200);
        assert_eq!(seen.len(), MAX_ZONES_IN_VIEW);
        assert_eq!(seen[0], InView { zone: MAX_ZONES_IN_VIEW as u32 + 1, priority: DEFAULT_PRIORITY });
        assert_eq!(seen.last().map(|seen| seen.priority), Some(200));
    }
}
