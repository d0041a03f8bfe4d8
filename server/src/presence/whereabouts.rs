//! Where users are: what one node knows of a user, how it writes that down for other nodes, and what follows
//! from what all of them know. Pure.

use super::view::MemberState;
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};
use utoipa::ToSchema;

/// A user in a room, as the room's node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The room.
    pub room: Arc<str>,
    /// Whether any seat of the user has a connection.
    pub state: MemberState,
    /// When the user's first seat was taken, milliseconds since 1970.
    pub since_unix_ms: u64,
    /// The room has just gone to another node, and the user with it.
    pub moved: bool,
}

/// Where a user is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Whereabouts {
    /// The user: `sub` of the token.
    pub user: Arc<str>,
    /// The best of what the user is in any room.
    pub state: UserState,
    /// The rooms, by name.
    pub rooms: Vec<Stay>,
}

/// A user's stay in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stay {
    /// The room.
    pub room: Arc<str>,
    /// The name of the room's node. Absent: there are no other nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
    /// Whether any seat of the user has a connection.
    pub state: MemberState,
    /// When the user's first seat was taken, milliseconds since 1970.
    pub since_unix_ms: u64,
}

/// Whether a user can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// A seat has a connection.
    Online,
    /// No seat has a connection; some are within their resume window.
    Away,
    /// There is no seat.
    Offline,
}

impl Whereabouts {
    /// What follows from the visits that nodes know of.
    pub fn of(user: Arc<str>, visits: impl IntoIterator<Item = (Option<Arc<str>>, Visit)>) -> Self {
        let mut rooms = BTreeMap::<Arc<str>, (Option<Arc<str>>, Visit)>::new();
        for (node, visit) in visits {
            let known = rooms.get(&visit.room);
            if known.is_none_or(|(_, known)| known.is_older_than(&visit)) {
                rooms.insert(visit.room.clone(), (node, visit));
            }
        }
        let stay = |(node, visit): (Option<Arc<str>>, Visit)| {
            let Visit { room, state, since_unix_ms, .. } = visit;
            Stay { room, node, state, since_unix_ms }
        };
        let rooms: Vec<_> = rooms.into_values().map(stay).collect();
        let state = match rooms.iter().any(|stay| stay.state == MemberState::Online) {
            true => UserState::Online,
            false if rooms.is_empty() => UserState::Offline,
            false => UserState::Away,
        };
        Self { user, state, rooms }
    }
}

impl Visit {
    /// Whether another node knows better: a room on its way is at two for a moment.
    fn is_older_than(&self, other: &Self) -> bool {
        (!self.moved, self.since_unix_ms) < (!other.moved, other.since_unix_ms)
    }

    /// Visits, as other nodes read them: `ROOM STATE SINCE`, and so on, with commas between them.
    pub fn write(visits: &[Self]) -> String {
        let mut text = String::new();
        for (n, Self { room, state, since_unix_ms, moved }) in visits.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let state = if *state == MemberState::Online { "online" } else { "away" };
            let moved = if *moved { " moved" } else { "" };
            let _ = write!(text, "{comma}{room} {state} {since_unix_ms}{moved}"); // a text takes everything
        }
        text
    }

    /// What another node has written. What another version says besides, or otherwise, is nothing.
    pub fn read(text: &str) -> impl Iterator<Item = Self> {
        let one = |visit: &str| {
            let mut words = visit.split(' ');
            let room = words.next().filter(|room| !room.is_empty())?.into();
            let state = match words.next()? {
                "online" => MemberState::Online,
                "away" => MemberState::Away,
                _ => return None,
            };
            let since_unix_ms = words.next()?.parse().ok()?;
            Some(Self { room, state, since_unix_ms, moved: words.any(|word| word == "moved") })
        };
        text.split(',').filter_map(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn visit(room: &str, state: MemberState, since: u64, moved: bool) -> Visit {
        Visit { room: room.into(), state, since_unix_ms: since, moved }
    }

    fn of(visits: &[(&str, Visit)]) -> Whereabouts {
        let visits = visits.iter().map(|(node, visit)| (Some((*node).into()), visit.clone()));
        Whereabouts::of("ann".into(), visits)
    }

    fn rooms(whereabouts: &Whereabouts) -> Vec<(&str, &str)> {
        whereabouts.rooms.iter().map(|stay| (&*stay.room, stay.node.as_deref().unwrap())).collect()
    }

    #[test]
    fn a_user_is_what_is_best_of_all_rooms_at_all_nodes() {
        use MemberState::{Away, Online};
        assert_eq!(of(&[]).state, UserState::Offline);
        let away = of(&[("a", visit("x", Away, 1, false))]);
        assert_eq!((away.state, rooms(&away)), (UserState::Away, vec![("x", "a")]));
        let both = of(&[("b", visit("y", Online, 2, false)), ("a", visit("x", Away, 1, false))]);
        assert_eq!((both.state, rooms(&both)), (UserState::Online, vec![("x", "a"), ("y", "b")]));
    }

    #[test]
    fn a_room_on_its_way_is_at_one_node_whichever_is_heard_first() {
        use MemberState::Online;
        let (old, new) = (visit("x", Online, 9, true), visit("x", Online, 5, false));
        for order in [[("a", old.clone()), ("b", new.clone())], [("b", new), ("a", old.clone())]] {
            assert_eq!(rooms(&of(&order)), [("x", "b")]);
        }
        assert_eq!(of(&[("a", old)]).state, UserState::Online, "until the other node says so");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            visits in proptest::collection::vec(("[A-Za-z0-9._-]{1,9}", any::<bool>(), any::<u64>(), any::<bool>()), 0..4)
        ) {
            let state = |online| if online { MemberState::Online } else { MemberState::Away };
            let visits = visits.iter().map(|(room, online, since, moved)| visit(room, state(*online), *since, *moved));
            let visits: Vec<_> = visits.collect();
            prop_assert_eq!(Visit::read(&Visit::write(&visits)).collect::<Vec<_>>(), visits);
        }

        #[test]
        fn any_text_is_read(text in "(?s).{0,60}") {
            let _ = Visit::read(&text).count();
        }
    }
}
