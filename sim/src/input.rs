//! A player's input for a tick.

use crate::{Moment, PlayerId};

/// One input. `I` is the game's own type; outside the game, where it is not decoded, its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayerInput<I> {
    /// The player.
    pub player: PlayerId,
    /// Its number: 1 for a player's first, then one more each. Skipped numbers were lost, or came too late.
    pub number: u32,
    /// The moment that the player was shown when acting, according to its client. It may be untrue, but is
    /// never after the newest state sent, nor before that of an earlier input. None: unknown.
    pub moment: Option<Moment>,
    /// What the player does.
    pub input: I,
}

impl<I> PlayerInput<I> {
    /// Without a number and a moment, for a game's tests.
    pub fn new(player: PlayerId, input: I) -> Self {
        Self { player, number: 0, moment: None, input }
    }

    /// The same with an input of another type.
    pub(crate) fn with<J>(&self, input: J) -> PlayerInput<J> {
        let Self { player, number, moment, .. } = *self;
        PlayerInput { player, number, moment, input }
    }
}

impl PlayerInput<bytes::Bytes> {
    /// The same with bytes, for a [`Game`](crate::Game).
    pub fn as_bytes(&self) -> PlayerInput<&[u8]> {
        self.with(&self.input)
    }
}
