//! The members of a room, assembled from what the server sends.

use driftless_proto::wire::{Member, Presence};
use std::collections::BTreeMap;

/// The members of the room, by user. Kept across a resume; starts over with a new seat.
///
/// A large list comes in pages, over some seconds: [`is_complete`](Self::is_complete) says when all have
/// arrived.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Members {
    by_user: BTreeMap<String, Member>,
    complete: bool,
}

impl Members {
    /// Applies a message of the server. A departure of a member who was never reported is removed from the
    /// message, so an application learns of each member's arrival before it learns of the departure.
    pub fn apply(&mut self, presence: &mut Presence) {
        if presence.since == 0 {
            self.by_user.clear();
        }
        presence.members.retain(|member| {
            if member.players.is_empty() {
                return self.by_user.remove(&member.user).is_some();
            }
            self.by_user.insert(member.user.clone(), member.clone());
            true
        });
        self.complete = !presence.more;
    }

    /// Whether the list is complete as of the server's last message.
    pub fn is_complete(&self) -> bool {
        self.complete
    }
    /// A member.
    pub fn get(&self, user: &str) -> Option<&Member> {
        self.by_user.get(user)
    }
    /// All members, in order of user.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.by_user.values()
    }
    /// Number of members.
    pub fn len(&self) -> usize {
        self.by_user.len()
    }
    /// Whether no members are known.
    pub fn is_empty(&self) -> bool {
        self.by_user.is_empty()
    }
}
