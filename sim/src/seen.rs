//! What a client sees of its room: what its prediction and a bot go by.

use crate::{PlayerId, Snapshot};

/// A room's state, and who looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The state.
    pub state: &'a Snapshot,
    /// Who looks: the player of this client.
    pub player: PlayerId,
    /// The room's ticks a second, 1 to 128.
    pub tick_rate: u32,
}

impl Seen<'_> {
    /// The first `N` columns of the player's own row: that of the entity whose id is the player's, in the
    /// table of the schema's kind number `kind`. None: there is no such entity, or it has fewer columns.
    pub fn row<const N: usize>(&self, kind: usize) -> Option<[i32; N]> {
        let table = self.state.tables().get(kind)?;
        let row = table.row(self.player)?;
        (N <= table.width()).then(|| std::array::from_fn(|column| table.column(column)[row]))
    }
}
