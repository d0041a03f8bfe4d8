//! What a client has of one zone: its contents at the ticks that deltas may refer to.

use crate::{delta::MAX_AGE, session::Delivery, snapshot::Snapshot};
use std::collections::VecDeque;

/// The last contents of a zone, oldest first. The newest always stays.
#[derive(Debug, Default)]
pub(super) struct Contents(VecDeque<Content>);

/// A content, and the ticks in which the zone had it.
#[derive(Debug)]
struct Content {
    state: Snapshot,
    until: u32,
}

impl Contents {
    /// The newest content.
    pub(super) fn newest(&self) -> Option<&Snapshot> {
        self.0.back().map(|content| &content.state)
    }

    /// The one before it.
    pub(super) fn previous(&self) -> Option<&Snapshot> {
        self.0.iter().nth_back(1).map(|content| &content.state)
    }

    /// The last tick of which this end knows what was in the zone.
    pub(super) fn known_until(&self) -> Option<u32> {
        self.0.back().map(|content| content.until)
    }

    /// Newest content and the one before it, with the last ticks that had them, to continue a movement. None:
    /// it was not moving, or nobody knows.
    pub(super) fn movement(&self) -> Option<[(&Snapshot, u32); 2]> {
        let mut newest_first = self.0.iter().rev();
        let newest = newest_first.next().filter(|content| content.state.tick() == content.until)?;
        let before = newest_first.next()?;
        Some([(&newest.state, newest.until), (&before.state, before.until)])
    }

    /// The content at a tick. None: it is not known (any more).
    pub(super) fn at(&self, tick: u32) -> Option<&Snapshot> {
        let content = self.0.iter().rev().find(|content| content.state.tick() <= tick)?;
        (tick <= content.until).then_some(&content.state)
    }

    /// The zone has not changed up to this tick.
    pub(super) fn unchanged(&mut self, tick: u32) {
        if let Some(content) = self.0.back_mut() {
            content.until = content.until.max(tick);
        }
    }

    /// Adds the newest content; one of the same tick is replaced. What no delta refers to any more goes to
    /// `spare`.
    pub(super) fn push(&mut self, state: Snapshot, delivery: Delivery, spare: &mut Vec<Snapshot>) {
        let tick = state.tick();
        if let Some(last) = self.0.back_mut()
            && last.until >= tick
        {
            last.until = tick.saturating_sub(1);
            if last.state.tick() >= tick {
                spare.extend(self.0.pop_back().map(|content| content.state));
            }
        }
        self.0.push_back(Content { state, until: tick });
        let keep = match delivery {
            // Baseline and prior.
            Delivery::Ordered => 2,
            // Any that the server may believe this end to have.
            Delivery::Datagram => MAX_AGE as usize + 1,
        };
        let too_old = |content: &Content| tick.saturating_sub(content.until) > MAX_AGE;
        while self.0.len() > keep || (self.0.len() > 2 && self.0.front().is_some_and(too_old)) {
            spare.extend(self.0.pop_front().map(|content| content.state));
        }
    }
}
