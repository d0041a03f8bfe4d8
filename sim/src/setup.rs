//! The setup of a room.

use driftless_proto::limits::MAX_OPTIONS;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::any::TypeId;

/// Most players of a room whose maker does not say.
const MAX_PLAYERS: u32 = 100;

/// The setup of a room: everything that its game may depend on, apart from what its players do.
///
/// A game has its [options](crate::Simulation::Options) in a type of its own. Outside the game, and in
/// recordings, they are JSON text: `Setup<String>`, at most 1 KiB, where an empty text stands for the
/// defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup<O = ()> {
    /// The seed of the game's random numbers.
    pub seed: u64,
    /// Ticks per second, one of [`TICK_RATES`](crate::TICK_RATES).
    pub tick_rate: u32,
    /// Most players at a time.
    pub max_players: u32,
    /// The game's options.
    pub options: O,
}

impl<O: Default> Setup<O> {
    /// A room for up to 100 players, with default options.
    pub fn new(seed: u64, tick_rate: u32) -> Self {
        Self { seed, tick_rate, max_players: MAX_PLAYERS, options: O::default() }
    }
}

impl Setup<String> {
    /// Parses the options into the game's type. The error says what is wrong with them.
    pub(crate) fn read<O: DeserializeOwned + Default + 'static>(&self) -> Result<Setup<O>, String> {
        let Self { seed, tick_rate, max_players, .. } = *self;
        Ok(Setup { seed, tick_rate, max_players, options: read_options(&self.options)? })
    }
}

fn read_options<O: DeserializeOwned + Default + 'static>(text: &str) -> Result<O, String> {
    let text = text.trim();
    if text.len() > MAX_OPTIONS {
        return Err(format!("the options have {} bytes, more than {MAX_OPTIONS}", text.len()));
    }
    if text.is_empty() || text == "{}" {
        return Ok(O::default());
    }
    if TypeId::of::<O>() == TypeId::of::<()>() {
        return Err("this game has no options".into());
    }
    if !text.starts_with('{') {
        return Err("the options are not a JSON object".into());
    }
    let mut unknown = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let read = serde_ignored::deserialize(&mut json, |path| {
        unknown.get_or_insert_with(|| path.to_string());
    });
    let options = read.and_then(|options| json.end().map(|()| options)).map_err(|error| error.to_string())?;
    match unknown {
        None => Ok(options),
        Some(name) => Err(format!("unknown option `{name}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Default, Deserialize)]
    #[serde(default)]
    struct Rules {
        lives: u8,
        teams: bool,
    }

    #[test]
    fn options_are_read_into_the_games_own_type() {
        assert_eq!(read_options::<Rules>(r#"{"lives": 3}"#), Ok(Rules { lives: 3, teams: false }));
        for none in ["", " ", "{}", "{ }"] {
            assert_eq!(read_options::<Rules>(none), Ok(Rules::default()), "{none:?}");
        }
        assert_eq!(read_options::<()>("{}"), Ok(()));
    }

    #[test]
    fn options_that_the_game_does_not_know_are_refused_by_name() {
        let refused = |text: &str| read_options::<Rules>(text).unwrap_err();
        assert_eq!(refused(r#"{"lifes": 3, "lives": 3}"#), "unknown option `lifes`");
        assert!(refused(r#"{"lives": 256}"#).contains("invalid value: integer `256`"));
        assert!(refused("{").contains("EOF"), "{}", refused("{"));
        // By serde's rules a list would set the fields in their order.
        assert_eq!(refused("[3, true]"), "the options are not a JSON object");
        assert!(refused("{} {}").contains("trailing characters"), "{}", refused("{} {}"));
        assert_eq!(read_options::<()>(r#"{"lives": 3}"#), Err("this game has no options".into()));
        let long = format!("{{{}}}", " ".repeat(MAX_OPTIONS));
        assert_eq!(refused(&long), "the options have 1026 bytes, more than 1024");
    }
}
