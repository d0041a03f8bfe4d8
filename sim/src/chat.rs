//! Room chat for any game: length limit, flood limit, and a typing indicator that ends by itself.
//!
//! Keep a [`Chat`] in the simulation's state, tell it who joins and leaves, call [`Chat::step`] once a tick,
//! and send what it accepts as events of the game's own type. Time is counted in ticks, so that it is part of
//! the replay.
//!
//! ```
//! use driftless_sim::chat::{Chat, ChatError, TextError};
//!
//! let mut chat = Chat::new(20);
//! chat.join(1);
//! assert!(chat.typing(1, true));
//! let said = chat.say(1, "  hello  ")?;
//! assert_eq!((said.text.as_str(), said.ended_typing), ("hello", true));
//! assert_eq!(chat.say(1, "two\nlines"), Err(ChatError::Text(TextError::Character('\n'))));
//! # Ok::<_, ChatError>(())
//! ```

use crate::PlayerId;
pub use driftless_proto::names::TextError;
use driftless_proto::names::check_text;
use serde::{Deserialize, Serialize};

/// Longest message after trimming, characters (Unicode scalar values).
pub const MAX_CHARACTERS: usize = 200;
/// Messages that a player may send at once; on average, one per second.
pub const BURST: u32 = 5;
/// How long a typing indicator stays on unless it is renewed, seconds.
pub const TYPING_SECONDS: u32 = 5;

/// The state of a room's chat: limits and typing indicators of its players.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    tick_rate: u32,
    /// By player, ascending.
    talkers: Vec<Talker>,
}

/// The effect of a player's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What to show, trimmed.
    pub text: String,
    /// Whether this ended the player's typing indicator (tell everybody).
    pub ended_typing: bool,
}

/// Why a message is not shown. All are the player's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// Only white space.
    #[error("the message is empty")]
    Empty,
    /// More than [`MAX_CHARACTERS`].
    #[error("the message has {0} characters, more than {MAX_CHARACTERS}")]
    TooLong(usize),
    /// It contains a character that must not be shown to others: see [`driftless_proto::names`].
    #[error("the message cannot be shown: {0}")]
    Text(#[from] TextError),
    /// More than [`BURST`] at once, or more than one per second over a longer time.
    #[error("too many messages; wait a second")]
    TooFast,
    /// The player has no seat.
    #[error("the player is not in the room")]
    NotHere,
}

/// One player's limits. All times are remaining ticks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Talker {
    player: PlayerId,
    /// A leaky bucket: each message adds a second, each tick subtracts a tick.
    heat: u32,
    /// Ticks until the typing indicator ends. 0: it is off.
    typing: u32,
    /// Ticks until the indicator may be switched on again, so that switching it cannot flood the others.
    quiet: u32,
}

impl Chat {
    /// The chat of a new room with `tick_rate` ticks per second.
    pub fn new(tick_rate: u32) -> Self {
        Self { tick_rate, talkers: Vec::new() }
    }

    /// A player takes a seat.
    pub fn join(&mut self, player: PlayerId) {
        if let Err(at) = self.find(player) {
            self.talkers.insert(at, Talker { player, heat: 0, typing: 0, quiet: 0 });
        }
    }

    /// A player's seat ends. Returns whether its typing indicator was on.
    pub fn leave(&mut self, player: PlayerId) -> bool {
        self.find(player).is_ok_and(|at| self.talkers.remove(at).typing > 0)
    }

    /// A player says something.
    pub fn say(&mut self, player: PlayerId, text: &str) -> Result<Said, ChatError> {
        let at = self.find(player).map_err(|_| ChatError::NotHere)?;
        let heat = self.talkers[at].heat.saturating_add(self.tick_rate);
        if heat > BURST.saturating_mul(self.tick_rate) {
            return Err(ChatError::TooFast);
        }
        let text = clean(text)?;
        let talker = &mut self.talkers[at];
        talker.heat = heat;
        let ended_typing = std::mem::take(&mut talker.typing) > 0;
        Ok(Said { text: text.to_owned(), ended_typing })
    }

    /// A player starts or stops writing. True: the indicator changed, and everybody should be told. It can be
    /// switched on once per second; earlier attempts are ignored.
    pub fn typing(&mut self, player: PlayerId, on: bool) -> bool {
        let Ok(at) = self.find(player) else { return false };
        let talker = &mut self.talkers[at];
        let was_on = talker.typing > 0;
        if !on {
            talker.typing = 0;
            return was_on;
        }
        if !was_on && talker.quiet > 0 {
            return false;
        }
        talker.typing = self.tick_rate.saturating_mul(TYPING_SECONDS);
        talker.quiet = self.tick_rate;
        !was_on
    }

    /// One tick. Calls `ended` for each player whose typing indicator expires.
    pub fn step(&mut self, mut ended: impl FnMut(PlayerId)) {
        for talker in &mut self.talkers {
            talker.heat = talker.heat.saturating_sub(1);
            talker.quiet = talker.quiet.saturating_sub(1);
            if talker.typing > 0 {
                talker.typing -= 1;
                if talker.typing == 0 {
                    ended(talker.player);
                }
            }
        }
    }

    fn find(&self, player: PlayerId) -> Result<usize, usize> {
        self.talkers.binary_search_by_key(&player, |t| t.player)
    }
}

fn clean(text: &str) -> Result<&str, ChatError> {
    let text = text.trim();
    let characters = text.chars().count();
    if characters == 0 {
        Err(ChatError::Empty)
    } else if characters > MAX_CHARACTERS {
        Err(ChatError::TooLong(characters))
    } else {
        check_text(text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 20;

    fn chat() -> Chat {
        let mut chat = Chat::new(RATE);
        chat.join(1);
        chat
    }

    fn ended_in(chat: &mut Chat, ticks: u32) -> Vec<PlayerId> {
        let mut ended = Vec::new();
        (0..ticks).for_each(|_| chat.step(|player| ended.push(player)));
        ended
    }

    #[test]
    fn messages_are_trimmed() {
        assert_eq!(chat().say(1, "  hello \n").unwrap().text, "hello");
    }

    #[test]
    fn empty_long_and_control_messages_are_refused_by_name() {
        assert_eq!(chat().say(1, " \t "), Err(ChatError::Empty));
        for c in ['\n', '\u{202e}', '\u{200b}', '\u{2800}', '\u{2028}', '\u{3164}', '\u{e0041}'] {
            let refused = Err(ChatError::Text(TextError::Character(c)));
            assert_eq!(chat().say(1, &format!("a{c}b")), refused, "{c:?}");
        }
        assert_eq!(chat().say(1, &"é".repeat(MAX_CHARACTERS)).unwrap().text.chars().count(), MAX_CHARACTERS);
        assert_eq!(
            chat().say(1, &"é".repeat(MAX_CHARACTERS + 1)),
            Err(ChatError::TooLong(MAX_CHARACTERS + 1))
        );
        assert_eq!(chat().say(2, "hello"), Err(ChatError::NotHere));
    }

    #[test]
    fn a_flood_is_refused_until_a_second_has_passed() {
        let mut chat = chat();
        (0..BURST).for_each(|_| assert!(chat.say(1, "x").is_ok()));
        assert_eq!(chat.say(1, "x"), Err(ChatError::TooFast));
        ended_in(&mut chat, RATE - 1);
        assert_eq!(chat.say(1, "x"), Err(ChatError::TooFast));
        ended_in(&mut chat, 1);
        assert!(chat.say(1, "x").is_ok());
    }

    #[test]
    fn a_refused_message_changes_nothing() {
        let mut chat = chat();
        (0..BURST).for_each(|_| assert!(chat.say(1, "x").is_ok()));
        let before = chat.clone();
        assert!(chat.say(1, "x").is_err() && chat.say(1, "").is_err());
        assert_eq!(chat, before);
    }

    #[test]
    fn typing_ends_by_itself() {
        let mut chat = chat();
        assert!(chat.typing(1, true));
        assert!(ended_in(&mut chat, RATE * TYPING_SECONDS - 1).is_empty());
        assert_eq!(ended_in(&mut chat, 1), [1]);
        assert!(ended_in(&mut chat, 1_000).is_empty());
    }

    #[test]
    fn renewed_typing_goes_on_and_is_told_once() {
        let mut chat = chat();
        assert!(chat.typing(1, true));
        ended_in(&mut chat, RATE);
        assert!(!chat.typing(1, true));
        assert!(ended_in(&mut chat, RATE * TYPING_SECONDS - 1).is_empty());
        assert!(chat.typing(1, false));
        assert!(!chat.typing(1, false));
    }

    #[test]
    fn a_message_ends_typing() {
        let mut chat = chat();
        chat.typing(1, true);
        assert!(chat.say(1, "done").unwrap().ended_typing);
        assert!(ended_in(&mut chat, 1_000).is_empty());
    }

    #[test]
    fn switching_typing_is_no_way_to_flood() {
        let mut chat = chat();
        let told = (0..100).filter(|i| chat.typing(1, i % 2 == 0)).count();
        assert_eq!(told, 2);
    }

    #[test]
    fn leaving_ends_typing() {
        let mut chat = chat();
        chat.typing(1, true);
        assert!(chat.leave(1));
        assert!(!chat.leave(1));
        assert!(ended_in(&mut chat, 1_000).is_empty());
    }
}
