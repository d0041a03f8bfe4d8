//! What a client sees of its room, as its prediction or a bot needs it.

use crate::{PlayerId, Snapshot};

/// A room's state, and the player who sees it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The state.
    pub state: &'a Snapshot,
    /// The player of this client.
    pub player: PlayerId,
    /// The room's ticks per second, 1 to 128.
    pub tick_rate: u32,
}

impl Seen<'_> {
    /// The first `N` columns of the player's own row: the entity whose id is the player's, in the table of
    /// kind number `kind`. None: there is no such entity, or it has fewer columns.
    pub fn row<const N: usize>(&self, kind: usize) -> Option<[i32; N]> {
        let table = self.state.tables().get(kind)?;
        let row = table.row(self.player)?;
        (N <= table.width()).then(|| std::array::from_fn(|column| table.column(column)[row]))
    }
}
