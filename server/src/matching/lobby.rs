//! The lobby: open rooms by name, as they were a moment ago, and what has changed since.

mod live;

pub(crate) use live::{LivePage, LivePages, PageReader};

use super::{filter::Filter, open_room::OpenRoom};
use parking_lot::Mutex;
use serde::Serialize;
use std::{
    cmp::Ordering,
    sync::Arc,
    time::{Duration, Instant},
};
use utoipa::ToSchema;

/// How old a list may be: so often is it made, however many read it.
pub(crate) const FRESH: Duration = Duration::from_millis(500);

/// The newest list.
#[derive(Default)]
pub(crate) struct Lobby(Mutex<Option<(Instant, Rooms)>>);

/// Open rooms, in order of their names.
pub(crate) type Rooms = Arc<[Arc<OpenRoom>]>;

/// Which rooms a reader wants.
#[derive(Debug, PartialEq)]
pub(crate) struct LobbyQuery {
    /// Of this kind only.
    pub(crate) kind: Option<String>,
    /// Those that fit.
    pub(crate) filter: Option<Filter>,
    /// After this name.
    pub(crate) after: Option<String>,
    /// At most so many.
    pub(crate) limit: usize,
}

/// Those of the rooms that are wanted.
pub(crate) struct Page {
    /// They.
    pub(crate) rooms: Vec<Arc<OpenRoom>>,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// What has changed in a lobby.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Changes<'a> {
    /// Rooms that are new, or other than they were.
    pub(crate) rooms: Vec<&'a OpenRoom>,
    /// Names of rooms that nobody can enter any more, or that no longer fit.
    pub(crate) gone: Vec<&'a str>,
}

impl Changes<'_> {
    /// Whether nothing has changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.gone.is_empty()
    }
}

impl Lobby {
    /// The rooms, from `look` if what is known is too old. Of those with one name, the first counts.
    pub(crate) fn rooms(&self, now: Instant, look: impl FnOnce() -> Vec<OpenRoom>) -> Rooms {
        let mut newest = self.0.lock();
        if let Some((at, rooms)) = &*newest
            && now.saturating_duration_since(*at) < FRESH
        {
            return rooms.clone();
        }
        let rooms = sorted(look());
        *newest = Some((now, rooms.clone()));
        rooms
    }
}

fn sorted(mut rooms: Vec<OpenRoom>) -> Rooms {
    rooms.sort_by(|one, other| one.name.cmp(&other.name));
    rooms.dedup_by(|later, first| later.name == first.name);
    rooms.into_iter().map(Arc::new).collect()
}

impl LobbyQuery {
    /// Those of the rooms that are wanted.
    pub(crate) fn of(&self, rooms: &[Arc<OpenRoom>]) -> Page {
        let from = self.after.as_ref().map_or(0, |after| rooms.partition_point(|room| room.name <= *after));
        let mut fitting = rooms[from..].iter().filter(|room| {
            self.kind.as_ref().is_none_or(|kind| room.kind == *kind)
                && self.filter.as_ref().is_none_or(|filter| filter.fits(&***room))
        });
        let rooms = fitting.by_ref().take(self.limit).cloned().collect();
        Page { rooms, more: fitting.next().is_some() }
    }
}

/// The changes from one list to the next, both in order of their names.
fn changes<'a>(before: &'a [Arc<OpenRoom>], after: &'a [Arc<OpenRoom>]) -> Changes<'a> {
    let mut changes = Changes { rooms: Vec::new(), gone: Vec::new() };
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.name.cmp(&new.name),
        };
        let old = before.next_if(|_| order != Ordering::Greater);
        let new = after.next_if(|_| order != Ordering::Less);
        match (old, new) {
            (Some(old), None) => changes.gone.push(&old.name),
            (old, Some(new)) if old != Some(new) => changes.rooms.push(new),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::open_room::tests::room;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_list_is_made_once_for_all_who_read_it_and_anew_when_it_is_old() {
        let (lobby, now) = (Lobby::default(), Instant::now());
        let names = |rooms: &Rooms| rooms.iter().map(|room| room.name.clone()).collect::<Vec<_>>();
        let first = lobby.rooms(now, || vec![room("b", 1), room("a", 1)]);
        assert_eq!(names(&first), ["a", "b"]);
        assert!(Arc::ptr_eq(&first, &lobby.rooms(now, || panic!("it is fresh"))));
        assert!(names(&lobby.rooms(now + FRESH, Vec::new)).is_empty());
        let twice = lobby.rooms(now + 2 * FRESH, || vec![room("b", 1), room("a", 1), room("b", 2)]);
        assert_eq!((names(&twice).join(" "), twice[1].players), ("a b".into(), 1), "who says so first");
    }

    #[test]
    fn a_page_has_what_fits_and_says_whether_there_is_more() {
        let rooms = sorted((0..9).map(|n| room(&format!("r{n}"), n)).collect());
        let wanted = |filter: &str, after: Option<&str>, limit| LobbyQuery {
            kind: Some("arena".into()),
            filter: Some(Filter::parse(filter).unwrap()),
            after: after.map(str::to_owned),
            limit,
        };
        let names = |wanted: LobbyQuery| {
            let Page { rooms, more } = wanted.of(&rooms);
            (rooms.iter().map(|room| room.name.clone()).collect::<Vec<_>>().join(" "), more)
        };
        assert_eq!(names(wanted("players > 2", None, 3)), ("r3 r4 r5".into(), true));
        assert_eq!(names(wanted("players > 2", Some("r5"), 3)), ("r6 r7 r8".into(), false));
        assert_eq!(names(wanted("mode = \"dm\"", None, 3)), (String::new(), false));
        assert_eq!(names(LobbyQuery { kind: Some("chess".into()), ..wanted("free > 0", None, 3) }).0, "");
    }

    proptest! {
        #[test]
        fn whoever_applies_the_changes_has_the_new_list(
            before in prop::collection::btree_map("[a-d]{1,2}", 0..3u32, 0..8),
            after in prop::collection::btree_map("[a-d]{1,2}", 0..3u32, 0..8),
        ) {
            let rooms = |of: &BTreeMap<String, u32>| of.iter().map(|(name, n)| room(name, *n)).collect();
            let (old, new) = (sorted(rooms(&before)), sorted(rooms(&after)));
            let changes = changes(&old, &new);
            prop_assert!(changes.rooms.iter().all(|room| !old.iter().any(|had| had.as_ref() == *room)), "only what is other");
            let mut has: BTreeMap<&str, &OpenRoom> = old.iter().map(|room| (&*room.name, &**room)).collect();
            for name in &changes.gone {
                prop_assert!(has.remove(name).is_some());
            }
            has.extend(changes.rooms.iter().map(|room| (&*room.name, *room)));
            prop_assert_eq!(has.into_values().collect::<Vec<_>>(), new.iter().map(|room| &**room).collect::<Vec<_>>());
        }
    }
}
