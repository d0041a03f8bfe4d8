//! Who somebody is, and what that allows: what the door has found out, and a room learns.

use super::guest::guest_id;
use driftless_proto::names::{GUEST, MAX_USER_ID};
use std::{fmt, str::FromStr, sync::Arc, time::Duration};

/// Somebody who may enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: User,
    /// The display name, in the form in which it is shown. None: the one that the client asks for.
    pub name: Option<Arc<str>>,
    /// What the user may do in a room.
    pub role: Role,
    /// Where the user may do it.
    pub entry: EntryRights,
    /// Which topics the user may read and write.
    pub topics: TopicRights,
    /// Of which other users the user may know where they are: those whose ids fit one of these patterns.
    pub presence: Arc<[UserPattern]>,
    /// When this ends, as the time since 1970. None: with the connection.
    pub expires: Option<Duration>,
    /// Identifies the token (`iss` and `jti`), if it may be used once only.
    pub once: Option<Arc<str>>,
}

impl Identity {
    /// Somebody who has shown no token: a player with an id that nobody can guess, who may enter every room.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn guest() -> Result<Self, getrandom::Error> {
        Ok(Self::of(User::Guest(guest_id()?.into())))
    }

    /// A player who may enter every room, for as long as the connection lasts.
    pub fn of(user: User) -> Self {
        let (entry, topics, presence) = (EntryRights::default(), TopicRights::default(), Arc::default());
        Self { user, name: None, role: Role::Player, entry, topics, presence, expires: None, once: None }
    }

    /// Whether this allows to know where a user is. (Everybody knows that of himself.)
    pub fn may_find(&self, user: &str) -> bool {
        **self.user.id() == *user || self.presence.iter().any(|pattern| pattern.fits(user))
    }
}

/// A user, by its id. Ids of guests begin with `guest-`, and no others do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum User {
    /// Somebody of whom nothing is known. The id is random, and another one for each seat.
    Guest(Arc<str>),
    /// Somebody whom a token names: its `sub`.
    Known(Arc<str>),
}

impl User {
    /// The user with this id, which the server has given or checked.
    pub fn with_id(id: Arc<str>) -> Self {
        if id.starts_with(GUEST) { Self::Guest(id) } else { Self::Known(id) }
    }

    /// The id, as presence has it.
    pub fn id(&self) -> &Arc<str> {
        match self {
            User::Guest(id) | User::Known(id) => id,
        }
    }

    /// Whether nothing is known of this user.
    pub fn is_guest(&self) -> bool {
        matches!(self, User::Guest(_))
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id().fmt(f)
    }
}

/// What somebody is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// Takes a seat and plays.
    #[default]
    Player,
    /// Watches, and takes no seat.
    Spectator,
    /// Watches everything.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 3] = [Role::Player, Role::Spectator, Role::Admin];

    /// The name, in tokens and elsewhere.
    pub fn name(self) -> &'static str {
        match self {
            Role::Player => "player",
            Role::Spectator => "spectator",
            Role::Admin => "admin",
        }
    }

    /// The role with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which rooms somebody may enter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryRights {
    /// Rooms whose names fit one of these patterns. None: all.
    pub rooms: Option<Arc<[RoomPattern]>>,
    /// Rooms of this kind of game. None: of all.
    pub kind: Option<Arc<str>>,
}

impl EntryRights {
    /// Whether this allows a room with this name.
    pub fn allows_room(&self, name: &str) -> bool {
        self.rooms.as_ref().is_none_or(|rooms| rooms.iter().any(|pattern| pattern.fits(name)))
    }

    /// Whether this allows every room, whatever its name.
    pub fn allows_all_rooms(&self) -> bool {
        self.rooms.as_ref().is_none_or(|rooms| rooms.iter().any(|pattern| &*pattern.0 == "*"))
    }

    /// Whether this allows a room of this kind.
    pub fn allows_kind(&self, kind: &str) -> bool {
        self.kind.as_ref().is_none_or(|allowed| **allowed == *kind)
    }
}

/// Which topics somebody may read and write: those whose names fit one of these patterns. By default none.
/// (Those that the configuration names, everybody may read.)
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicRights {
    /// Those to read.
    pub read: Arc<[RoomPattern]>,
    /// Those to publish in.
    pub write: Arc<[RoomPattern]>,
}

impl TopicRights {
    /// Whether this allows to read the topic with this name.
    pub fn may_read(&self, name: &str) -> bool {
        self.read.iter().any(|pattern| pattern.fits(name))
    }

    /// Whether this allows to publish in the topic with this name.
    pub fn may_write(&self, name: &str) -> bool {
        self.write.iter().any(|pattern| pattern.fits(name))
    }
}

/// The name of a room or a topic, in which each `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPattern(Box<str>);

impl RoomPattern {
    /// Longest pattern, bytes.
    pub const MAX: usize = 128;

    /// A pattern. None: it is empty or too long, or has characters that no such name has.
    pub fn new(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-*".contains(&b);
        let fits = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(plain);
        fits.then(|| Self(text.into()))
    }

    /// Whether a room or a topic may be called so.
    pub fn fits(&self, name: &str) -> bool {
        fits(&self.0, name)
    }
}

/// The id of a user, in which each `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPattern(Box<str>);

impl UserPattern {
    /// Longest pattern, bytes: that of an id.
    pub const MAX: usize = MAX_USER_ID;

    /// A pattern. None: it is empty or too long, or has characters that no id has.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.into()))
    }

    /// Whether this is such a user.
    pub fn fits(&self, user: &str) -> bool {
        fits(&self.0, user)
    }
}

/// Whether a name fits a pattern, in which each `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        // The first place is the best: it leaves most to the parts that follow.
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// The text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("1 to {} of A-Z, a-z, 0-9, ., _, - and *", RoomPattern::MAX)]
pub struct BadPattern;

impl FromStr for RoomPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        Self::new(text).ok_or(BadPattern)
    }
}

impl fmt::Display for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, name: &str) -> bool {
        let of_user = UserPattern::new(pattern).unwrap().fits(name);
        assert_eq!(RoomPattern::new(pattern).unwrap().fits(name), of_user);
        of_user
    }

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_does() {
        for (pattern, name) in [
            ("a", "a"),
            ("*", "a"),
            ("a*", "a"),
            ("match-*", "match-7"),
            ("*-eu", "x-eu"),
            ("a*b*c", "aXbbYc"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a", "ab"), ("a", "A"), ("a.c", "abc"), ("match-*", "watch-7"), ("a*a", "a"), ("a*b*c", "acb")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        for bad in ["", "a/b", "../x", "a b", "ä", &"x".repeat(129)] {
            assert_eq!(RoomPattern::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_guest_is_a_guest_whichever_way_its_id_came() {
        let guest = Identity::guest().unwrap().user;
        assert!(guest.is_guest() && User::with_id(guest.id().clone()) == guest);
        assert_eq!(User::with_id("ann".into()), User::Known("ann".into()));
    }

    #[test]
    fn everybody_may_find_himself_and_whom_the_patterns_name() {
        let presence = ["auth0|bob", "clan-7-*"].map(|text| UserPattern::new(text).unwrap());
        let ann = Identity { presence: presence.into(), ..Identity::of(User::Known("ann".into())) };
        for (user, may) in
            [("ann", true), ("auth0|bob", true), ("clan-7-x", true), ("clan-8-x", false), ("", false)]
        {
            assert_eq!(ann.may_find(user), may, "{user:?}");
        }
        for bad in ["", "a b", "ä", &"x".repeat(256)] {
            assert_eq!(UserPattern::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn roles_have_names() {
        assert!(Role::ALL.into_iter().all(|role| Role::from_name(role.name()) == Some(role)));
        assert_eq!(Role::from_name("Admin"), None);
    }

    /// What a pattern means, by trying everything.
    fn by_hand(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|n| by_hand(rest, &name[n..])),
            Some((c, rest)) => name.first() == Some(c) && by_hand(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn patterns_mean_what_they_say(pattern in "[ab*]{1,8}", name in "[ab]{0,8}") {
            prop_assert_eq!(fits(&pattern, &name), by_hand(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
