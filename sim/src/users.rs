//! Which players are known users.

use crate::PlayerId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The users that players with a seat are. Guests are not in it, so a room of guests keeps nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Users(BTreeMap<PlayerId, Box<str>>);

/// Nobody.
pub(crate) static NONE: Users = Users(BTreeMap::new());

impl Users {
    pub(crate) fn add(&mut self, player: PlayerId, user: &str) {
        self.0.insert(player, user.into());
    }

    pub(crate) fn remove(&mut self, player: PlayerId) {
        self.0.remove(&player);
    }

    pub(crate) fn get(&self, player: PlayerId) -> Option<&str> {
        self.0.get(&player).map(|user| &**user)
    }

    /// Itself, for a room that is to go on elsewhere.
    pub(crate) fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default() // numbers and texts are serialisable
    }

    /// What was saved, with its CRC-32C after it, from the front of `all`; and what follows.
    pub(crate) fn restore(all: &[u8]) -> Result<(Self, &[u8]), String> {
        let (users, rest) = postcard::take_from_bytes::<Self>(all)
            .map_err(|error| format!("its users are malformed: {error}"))?;
        let saved = &all[..all.len() - rest.len()];
        let (crc, rest) = rest.split_first_chunk::<4>().ok_or("its users end too early")?;
        if crc32c::crc32c(saved) != u32::from_le_bytes(*crc) {
            return Err("its users are damaged: their CRC does not match".into());
        }
        Ok((users, rest))
    }
}
