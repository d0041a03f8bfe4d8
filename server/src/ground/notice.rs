//! What a game publishes about its room.

use driftless_sim::step::MAX_INFO;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

/// The key with which a room is kept out of lobbies, lists and matches: it is found by its name only.
pub const PRIVATE: &str = "private";
/// The key with which a room that is for some players alone lets others watch.
pub const SPECTATE: &str = "spectate";

/// What a room publishes.
#[derive(Debug, Default)]
pub struct Notice {
    joins_closed: AtomicBool,
    info: Mutex<BTreeMap<String, String>>,
}

impl Notice {
    /// Whether new players are refused.
    pub fn joins_closed(&self) -> bool {
        self.joins_closed.load(Ordering::Relaxed)
    }

    /// Refuses new players from now on, or admits them again.
    pub fn close_joins(&self, closed: bool) {
        self.joins_closed.store(closed, Ordering::Relaxed);
    }

    /// Whether the room is found by its name only.
    pub fn is_private(&self) -> bool {
        self.says(PRIVATE)
    }

    /// Whether anybody may watch, even if only some may play.
    pub fn lets_watch(&self) -> bool {
        self.says(SPECTATE)
    }

    fn says(&self, key: &str) -> bool {
        self.info.lock().get(key).is_some_and(|value| value == "true")
    }

    /// All values, by key.
    pub fn info(&self) -> BTreeMap<String, String> {
        self.info.lock().clone()
    }

    /// Sets the value of a key; an empty value removes the key. The number of keys is limited.
    pub fn set_info(&self, key: String, value: String) {
        let mut info = self.info.lock();
        if value.is_empty() {
            info.remove(&key);
        } else if info.len() < MAX_INFO || info.contains_key(&key) {
            info.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise 4
    #[test]
    fn no_more_is_shown_than_there_is_place_for() {
        let notice = Notice::default();
        (0..100).for_each(|n| notice.set_info(format!("{n:02}"), "x".into()));
        assert_eq!(notice.info().len(), MAX_INFO);
        notice.set_info("00".into(), "y".into());
        notice.set_info("01".into(), String::new());
        notice.set_info("99".into(), "z".into());
        let info = notice.info();
        assert_eq!((info.len(), &*info["00"], &*info["99"]), (MAX_INFO, "y", "z"));
    }
}
