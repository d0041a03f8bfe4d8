//! The states applied last, which deltas refer to and a game shows.

use super::ServerError;
use crate::{
    delta::{Decoder, MAX_AGE, References},
    schema::Schema,
    session::Delivery,
    snapshot::Snapshot,
    state::StateHead,
};
use std::collections::VecDeque;

/// States applied, oldest first. Their memory is reused, so nothing is allocated in steady state.
#[derive(Debug)]
pub(super) struct History {
    states: VecDeque<Snapshot>,
    spare: Vec<Snapshot>,
    keep: usize,
}

impl History {
    pub(super) fn new(delivery: Delivery) -> Self {
        Self { states: VecDeque::new(), spare: Vec::new(), keep: keep(delivery) }
    }

    /// The next states come over another transport. States that it does not need are dropped when the next
    /// one is applied.
    pub(super) fn set_delivery(&mut self, delivery: Delivery) {
        self.keep = keep(delivery);
    }

    pub(super) fn current(&self) -> Option<&Snapshot> {
        self.states.back()
    }

    pub(super) fn previous(&self) -> Option<&Snapshot> {
        self.states.iter().nth_back(1)
    }

    /// Forgets all states: those of another room may have another schema.
    pub(super) fn clear(&mut self) {
        self.states.clear();
        self.spare.clear();
    }

    /// Applies a delta. On error nothing changes. A state with the tick of the newest one replaces it.
    pub(super) fn apply(
        &mut self,
        decoder: &mut Decoder,
        schema: &Schema,
        head: StateHead,
        shared: &[u8],
    ) -> Result<(), ServerError> {
        let mut state = self.spare.pop().unwrap_or_else(|| Snapshot::new(schema));
        let applied = self.apply_to(&mut state, decoder, schema, head, shared);
        if applied.is_err() {
            self.spare.push(state);
            return applied;
        }
        if self.current().is_some_and(|current| current.tick() == head.tick) {
            self.spare.extend(self.states.pop_back());
        }
        self.states.push_back(state);
        let too_old = |s: &Snapshot| head.tick.saturating_sub(s.tick()) > MAX_AGE;
        while self.states.len() > self.keep
            || (self.states.len() > 2 && self.states.front().is_some_and(too_old))
        {
            self.spare.extend(self.states.pop_front());
        }
        Ok(())
    }

    fn apply_to(
        &self,
        state: &mut Snapshot,
        decoder: &mut Decoder,
        schema: &Schema,
        head: StateHead,
        shared: &[u8],
    ) -> Result<(), ServerError> {
        let find = |reference: Option<u32>| match reference {
            None => Ok(None),
            Some(tick) => match self.states.iter().rev().find(|state| state.tick() == tick) {
                Some(state) => Ok(Some(state)),
                None => Err(ServerError::UnknownBaseline { tick: head.tick, reference: tick }),
            },
        };
        let references = References { baseline: find(head.baseline)?, prior: find(head.prior)? };
        decoder.apply(schema, references, head.tick, shared, state)?;
        Ok(())
    }
}

/// Number of states that the next delta may refer to.
fn keep(delivery: Delivery) -> usize {
    match delivery {
        // Baseline and prior.
        Delivery::Ordered => 2,
        // Any state that the server may believe this end to have.
        Delivery::Datagram => MAX_AGE as usize + 1,
    }
}
