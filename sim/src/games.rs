//! Games that come with Driftless.

pub mod arena;
pub mod cursors;
mod cursors_bot;
pub mod hands;

use crate::GameKind;

/// All kinds of games in this module; the first is the default.
pub fn kinds() -> Vec<GameKind> {
    vec![GameKind::of::<arena::Arena>(), GameKind::of::<cursors::Cursors>(), GameKind::of::<hands::Hands>()]
}
