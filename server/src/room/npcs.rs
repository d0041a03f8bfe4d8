//! Seats without a connection: players that the game itself controls.

use crate::ground::tight::SortedMap;
use driftless_proto::names::{NPC, display_name};
use driftless_sim::PlayerId;
use std::{mem, sync::Arc};

/// The NPCs of a room. They have no token, queue or budget, and add no cost of their own to a tick. Most
/// rooms have none, and are small.
#[derive(Debug, Default)]
pub struct Npcs(Option<Box<List>>);

#[derive(Debug, Default)]
struct List {
    by_player: SortedMap<PlayerId, Npc>,
    /// Names of the NPCs that the game has asked for since the last tick.
    asked: Vec<String>,
    /// The game has asked for more than there may be.
    refused: bool,
}

/// An NPC that has a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Npc {
    /// Its number, from the same sequence as those of players.
    pub player: PlayerId,
    /// User id, as in presence.
    pub user: Arc<str>,
    /// Display name.
    pub name: Arc<str>,
}

impl Npc {
    /// Its name is the requested one in the form in which it may be shown, or else its user id.
    pub(super) fn new(player: PlayerId, name: &str) -> Self {
        let user: Arc<str> = format!("{NPC}{player}").into();
        let name = display_name(name).map_or_else(|_| user.clone(), Arc::from);
        Self { player, user, name }
    }
}

impl Npcs {
    /// Number of NPCs that have a seat.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |list| list.by_player.len())
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// All NPCs.
    pub fn iter(&self) -> impl Iterator<Item = &Npc> {
        self.0.iter().flat_map(|list| list.by_player.values())
    }
    /// The NPC with this number.
    pub fn get(&self, player: PlayerId) -> Option<&Npc> {
        self.0.as_ref()?.by_player.get(player)
    }
    /// The game asks for an NPC. Requests beyond `most` at a time are not kept. True: it is the first that
    /// gets no seat.
    pub(super) fn ask(&mut self, name: String, most: usize) -> bool {
        let list = self.0.get_or_insert_default();
        if list.asked.len() < most {
            list.asked.push(name);
            return false;
        }
        self.refuse()
    }
    /// The names of the NPCs that have been asked for.
    pub(super) fn asked(&self) -> &[String] {
        self.0.as_ref().map_or(&[], |list| &list.asked)
    }
    /// The names of the NPCs to seat now.
    pub(super) fn take_asked(&mut self) -> Vec<String> {
        self.0.as_mut().map(|list| mem::take(&mut list.asked)).unwrap_or_default()
    }
    /// An NPC gets no seat. True: it is the first that gets none.
    pub(super) fn refuse(&mut self) -> bool {
        self.0.as_mut().is_some_and(|list| !mem::replace(&mut list.refused, true))
    }
    /// One has a seat.
    pub(super) fn seat(&mut self, npc: Npc) {
        self.0.get_or_insert_default().by_player.insert(npc.player, npc);
    }
    /// Its seat has ended.
    pub(super) fn remove(&mut self, player: PlayerId) -> Option<Npc> {
        self.0.as_mut()?.by_player.remove(player)
    }
}
