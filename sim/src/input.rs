//! What a player does in a tick, and whose it is.

use crate::PlayerId;

/// One input. `I` is the game's own type; around the game, where nobody reads it, its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayerInput<I> {
    /// Whose.
    pub player: PlayerId,
    /// Its number: 1 for a player's first, then one more each. Those that are left out were lost, or came too late.
    pub number: u32,
    /// Tick of the state that the player saw when acting, as its client says: a lie is at least not in the future. 0: unknown.
    pub seen: u32,
    /// What the player does.
    pub input: I,
}

impl<I> PlayerInput<I> {
    /// Without a number and a tick: for the tests of a game.
    pub fn new(player: PlayerId, input: I) -> Self {
        Self { player, number: 0, seen: 0, input }
    }

    /// The same of another type.
    pub(crate) fn with<J>(&self, input: J) -> PlayerInput<J> {
        let Self { player, number, seen, .. } = *self;
        PlayerInput { player, number, seen, input }
    }
}

impl PlayerInput<bytes::Bytes> {
    /// To hand it to a [`Game`](crate::Game).
    pub fn as_bytes(&self) -> PlayerInput<&[u8]> {
        self.with(&self.input)
    }
}
