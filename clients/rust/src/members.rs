//! Who is in the room, put together from what the server tells.

use driftless_proto::wire::{Member, Presence};
use std::collections::BTreeMap;

/// The members of a room, by user. Kept over a resume; begins anew with a new seat.
///
/// A large list comes in pages, over some seconds: [`is_complete`](Self::is_complete) says when all have come.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Members {
    by_user: BTreeMap<String, Member>,
    complete: bool,
}

impl Members {
    /// Applies what the server told. Who is said to have left and was never told of is struck from the message: of each
    /// member, an application hears that it is there before it hears that it is gone.
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

    /// Whether nothing is missing of what the server had to tell when it told the last.
    pub fn is_complete(&self) -> bool {
        self.complete
    }
    /// A member.
    pub fn get(&self, user: &str) -> Option<&Member> {
        self.by_user.get(user)
    }
    /// All, in order of user.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.by_user.values()
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_user.len()
    }
    /// Whether nobody is known to be there.
    pub fn is_empty(&self) -> bool {
        self.by_user.is_empty()
    }
}
