//! `serve --from [NAME=]FILE[@TICK]`: a room that goes on from a recording.

use crate::{
    carry,
    config::Config,
    ground::{
        made_with::{MadeWith, Maker},
        sight::Spectating,
    },
    room::core::{
        Carried,
        restore::{Failed, restore},
    },
};
use driftless_proto::names::is_room_name;
use driftless_sim::{GameKind, replay::scene};
use std::{convert::Infallible, fs::File, io::BufReader, path::PathBuf, str::FromStr};

/// A room to make of a recording, or of what `store export` has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FromFile {
    /// The room's name. None: as it was recorded.
    room: Option<String>,
    /// The recording.
    file: PathBuf,
    /// The tick after which it goes on. None: the last one.
    tick: Option<u32>,
}

impl FromFile {
    /// The room. Its seats wait for players who do not have their tokens.
    pub(super) fn read(&self, games: &[GameKind], config: &Config) -> Result<carry::Room, String> {
        let read = || -> Result<_, Box<dyn std::error::Error>> {
            let scene = scene(BufReader::new(File::open(&self.file)?), games, self.tick)?;
            let (header, setup) = (&scene.header, scene.header.setup.clone());
            let kind = games.iter().find(|kind| kind.name() == header.kind).ok_or("there is no such game")?;
            let name = self.room.as_ref().unwrap_or(&header.room).clone();
            if !is_room_name(&name) {
                return Err(
                    format!("a room cannot be called {name:?}: say NAME={}", self.file.display()).into()
                );
            }
            let delay = u32::try_from(config.spectate_delay.as_millis()).unwrap_or(u32::MAX);
            let delay_ms = kind.spectate_delay_ms().unwrap_or(delay).min(Spectating::MAX_DELAY_MS);
            let spectating = Spectating { max: config.max_spectators, delay_ms };
            let checkpoint = Carried::recorded(name, header.kind.clone(), scene.start(), spectating)?;
            let (newest, until, frames) = (scene.tick, scene.tick, Vec::new());
            let (tick_rate, max_players) = (setup.tick_rate, setup.max_players);
            // Whoever had a connection has lost it.
            let failed = Failed { checkpoint, frames, newest, until, tick_rate, max_players };
            let carried = restore(failed, kind)?.ok_or("its game ends it there")?;
            let durability = config.durability.of(kind.name());
            Ok(carry::Room { made_with: MadeWith { setup, maker: Maker::Operator, durability }, carried })
        };
        read().map_err(|why| format!("{}: {why}", self.file.display()))
    }
}

impl FromStr for FromFile {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (room, rest) = match text.split_once('=') {
            Some((room, rest)) if is_room_name(room) => (Some(room.to_owned()), rest),
            _ => (None, text),
        };
        let at = rest.rsplit_once('@').and_then(|(file, tick)| Some((file, tick.parse().ok()?)));
        Ok(match at {
            Some((file, tick)) => Self { room, file: file.into(), tick: Some(tick) },
            None => Self { room, file: rest.into(), tick: None },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_tick_may_be_said() {
        let from = |text: &str| text.parse::<FromFile>().unwrap();
        let parts = |from: FromFile| (from.room, from.file.display().to_string(), from.tick);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(parts(from("a.driftless")), (None, "a.driftless".to_owned(), None));
        assert_eq!(
            parts(from("hall=x/a.driftless@12")),
            (text("hall"), "x/a.driftless".to_owned(), Some(12))
        );
        assert_eq!(parts(from("x/y=a@b")), (None, "x/y=a@b".to_owned(), None), "neither");
        assert_eq!(parts(from("a@1@2")), (None, "a@1".to_owned(), Some(2)));
    }
}
