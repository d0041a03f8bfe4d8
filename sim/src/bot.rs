//! A game's own bots.

use crate::{Rng, Seen, Simulation};

/// A game that defines how a bot plays it: from what a client sees, one input per tick.
///
/// `driftless_loadtest::main(&[BotKind::of::<Tag>()])` is a program that load-tests the game with them.
///
/// ```
/// # use driftless_sim::{Bot, Rng, Schema, Seen, Setup, Snapshot, Step, Simulation, PlayerId, PlayerInput};
/// # use driftless_sim::games::arena::{Arena, ArenaInput};
/// let mut memory = <Arena as Bot>::Memory::default();
/// let (state, mut rng) = (Snapshot::new(&Arena::schema()), Rng::new(7));
/// let input = Arena::act(&mut memory, &Seen { state: &state, player: 1, tick_rate: 20 }, &mut rng);
/// assert_eq!(input, ArenaInput::default(), "a player that is not in the state has nothing to do");
/// ```
pub trait Bot: Simulation {
    /// What a bot remembers from one input to the next; `()` if nothing.
    type Memory: Default + Send;

    /// The bot's next input. `rng` belongs to the bot.
    fn act(memory: &mut Self::Memory, seen: &Seen<'_>, rng: &mut Rng) -> Self::Input;
}
