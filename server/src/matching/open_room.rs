//! A room that somebody can enter, as lobbies and matches see it.

use super::filter::{Fact, Facts};
use crate::{
    ground::{notice::PRIVATE, shared::RoomShared},
    registry::Listed,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};
use utoipa::ToSchema;

/// A room with a free seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct OpenRoom {
    /// Name.
    pub(crate) name: String,
    /// Kind of game.
    pub(crate) kind: String,
    /// Seats taken, by people.
    pub(crate) players: u32,
    /// Seats that anybody may take. (The others are taken, or kept for players who have yet to come.)
    pub(crate) free: u32,
    /// Most players.
    pub(crate) max_players: u32,
    /// Seats of NPCs.
    pub(crate) npcs: u32,
    /// Spectators, including admins.
    pub(crate) spectators: u32,
    /// Where its server is, if that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// What its game or its maker publishes, by key.
    pub(crate) info: BTreeMap<String, String>,
}

impl OpenRoom {
    /// A room. None: nobody can enter it, or only who knows its name.
    pub(crate) fn of(listed: &Listed, region: Option<&str>) -> Option<Self> {
        Self::as_it_was(&listed.shared, region).filter(|_| listed.room.connected())
    }

    /// The same, of one that may be at another server by now.
    pub(crate) fn as_it_was(shared: &RoomShared, region: Option<&str>) -> Option<Self> {
        let room = Self::as_it_is(shared, region);
        let open = !shared.notice.is_private() && !shared.notice.joins_closed();
        (room.free > 0 && open).then_some(room)
    }

    /// A room, whether anybody can enter it or not.
    pub(crate) fn as_it_is(shared: &RoomShared, region: Option<&str>) -> Self {
        let count = |of: &AtomicU32| of.load(Relaxed);
        Self {
            name: shared.name.to_string(),
            kind: shared.kind.to_owned(),
            players: count(&shared.players),
            free: shared.free(),
            max_players: shared.max_players,
            npcs: count(&shared.npcs),
            spectators: count(&shared.spectators),
            region: region.map(str::to_owned),
            info: shared.notice.info(),
        }
    }

    /// Whether a filter may ask for this without the room having published it.
    pub(crate) fn is_own(name: &str) -> bool {
        let own = ["name", "kind", "region", "players", "free", "max_players", "npcs", "spectators", PRIVATE];
        own.contains(&name)
    }
}

impl Facts for OpenRoom {
    fn fact(&self, name: &str) -> Option<Fact<'_>> {
        let number = |n: u32| Some(Fact::Number(n.into()));
        match name {
            "name" => Some(Fact::Text(&self.name)),
            "kind" => Some(Fact::Text(&self.kind)),
            "region" => self.region.as_deref().or(self.info.get(name).map(|v| &**v)).map(Fact::Text),
            "players" => number(self.players),
            "free" => number(self.free),
            "max_players" => number(self.max_players),
            "npcs" => number(self.npcs),
            "spectators" => number(self.spectators),
            _ => self.info.get(name).map(|value| Fact::Text(value)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::matching::filter::Filter;

    pub(in crate::matching) fn room(name: &str, players: u32) -> OpenRoom {
        OpenRoom {
            name: name.into(),
            kind: "arena".into(),
            players,
            free: 10 - players,
            max_players: 10,
            npcs: 0,
            spectators: 0,
            region: None,
            info: BTreeMap::from([("mode".into(), "ctf".into()), ("players".into(), "99".into())]),
        }
    }

    #[test]
    fn what_a_room_says_of_itself_does_not_hide_what_is_so() {
        let fits = |room: &OpenRoom, text: &str| Filter::parse(text).unwrap().fits(room);
        let mut room = room("a", 3);
        assert!(fits(
            &room,
            r#"mode = "ctf" and players = 3 and free = 7 and kind = "arena" and name = "a""#
        ));
        room.info.insert("region".into(), "us".into());
        assert!(fits(&room, r#"region = "us""#), "where the server does not say, the room may");
        room.region = Some("eu".into());
        assert!(fits(&room, r#"region = "eu""#));
    }
}
