//! The types of a page: what games show and what they say, as TypeScript for the web SDK.
//!
//! The kinds of entity and their fields are those of the schema, the messages those of the game's `.proto`
//! ([`Simulation::PROTO`](driftless_sim::Simulation::PROTO)). Nothing is guessed: what the SDK cannot write
//! or read is refused by name.

mod messages;
mod proto;
mod typescript;

use driftless_sim::GameKind;
use messages::Messages;
pub(crate) use typescript::{constant, pascal};

/// The TypeScript of these games, and what is to be said about it, a line each.
///
/// # Errors
/// One line: what of which game cannot be had.
pub(crate) fn typescript(games: &[GameKind]) -> Result<(String, Vec<String>), String> {
    let (mut text, mut notes) = (typescript::Text::new(), Vec::new());
    for game in games {
        let said = game.messages();
        let fault = |fault: String| format!("game `{}`: {fault}", game.name());
        let messages = if said.proto.is_empty() {
            if said.input.is_some() || said.command.is_some() || said.event.is_some() {
                notes.push(format!(
                    "game `{}` does not show its .proto, so its messages are bytes; to have them typed, say \
                     `const PROTO: &'static str = include_str!(\"….proto\")` in its Simulation",
                    game.name()
                ));
            }
            Messages::none()
        } else {
            Messages::read(&said).map_err(fault)?
        };
        text.game(game.name(), &game.schema(), &messages).map_err(fault)?;
    }
    Ok((text.finish(), notes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_sim::games;
    use std::{env, fs};

    // A page of the server's own is written by it: what it writes is checked by tsc, and plays.
    #[test]
    fn the_arenas_page_has_the_arenas_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../clients/web/pages/arena/gen/arena.ts");
        let (text, notes) = typescript(&[GameKind::of::<games::arena::Arena>()]).unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        if env::var_os("UPDATE_TYPES").is_some() {
            fs::write(path, &text).unwrap();
        }
        assert!(
            fs::read_to_string(path).unwrap() == text,
            "run UPDATE_TYPES=1 cargo test -p driftless-server --lib types, and commit what it writes"
        );
    }

    #[test]
    fn a_game_without_its_proto_has_kinds_and_bytes() {
        let (text, notes) = typescript(&[GameKind::of::<games::cursors::Cursors>()]).unwrap();
        assert!(text.contains("readonly cursor: CursorEntity;"), "{text}");
        assert!(text.contains("Game<Uint8Array, Uint8Array, Uint8Array, CursorsEntities>"), "{text}");
        assert!(notes[0].starts_with("game `cursors` does not show its .proto"), "{notes:?}");
    }
}
